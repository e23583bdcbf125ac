//! From photographs with cameras, as a file format gives them, to a scene: what all formats but LLFF's and those of
//! `transforms.json` share.

use super::pictures::{self, Pictures};
use super::range::{self, Range};
use super::world::{Bounded, World};
use super::{LoadOptions, check_factor, format_error, reduced_size, split, stem};
use crate::camera::center_from_corner;
use crate::distortion::Distortion;
use crate::lens::Lens;
use crate::pose::{check_rigid, flip_axes};
use crate::{Camera, Error, Format, Result, Scene, Similarity, SourceOrder, View};
use glam::{DMat4, DVec2, Mat4};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Photographs with a longer side than this are reduced, unless the user gives a factor: to render from all pixels of a
/// phone's pictures takes minutes a frame.
const LONGEST_SIDE: u32 = 1600;

/// Intrinsics of a photograph as its file gives them. Pixels are counted from the image's corner, so that the middle is at
/// half its size; x right, y down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Intrinsics {
    /// Width and height that the numbers are for; none if they are for the picture as it is.
    pub size: Option<DVec2>,
    /// Focal lengths in pixels.
    pub focal: DVec2,
    /// Principal point in pixels; none for the middle.
    pub center: Option<DVec2>,
    /// The lens.
    pub lens: Lens,
}

/// A photograph with its camera.
#[derive(Clone, Debug)]
pub(super) struct Photograph {
    /// File and frame that tell of it, for messages.
    pub what: String,
    /// The picture, and its mask.
    pub path: PathBuf,
    pub mask: Option<PathBuf>,
    /// Camera-to-world in OpenGL axes: x right, y up, z backwards.
    pub pose: DMat4,
    pub intrinsics: Intrinsics,
    /// Near and far depth along the optical axis in the units of the poses.
    pub bounds: Option<[f64; 2]>,
}

/// What a format found in a folder.
pub(super) struct Posed<'a> {
    /// The scene's folder, in which names of views are unique.
    pub root: &'a Path,
    pub format: Format,
    /// The files that the poses come from; at least one.
    pub pose_files: Vec<PathBuf>,
    pub photographs: Vec<Photograph>,
    /// Number of cameras whose photographs are missing.
    pub missing: usize,
    /// Reduction that the pictures were stored with, where their folder is for the factor that is asked for.
    pub stored_factor: Option<u32>,
    pub warnings: Vec<String>,
}

impl Posed<'_> {
    /// The scene of all photographs, in the order of their paths.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming file and frame: pictures that cannot be read or have
    /// another shape than their intrinsics are for, two cameras for one picture, poses that are not rigid, lenses that fold
    /// the image over, bounds that are not `0 < near < far`, or no bounds and no way to tell them. [`Error::Scene`] if a
    /// split is asked for that the scene does not have.
    pub fn into_scene(self, options: &LoadOptions) -> Result<Scene> {
        let Self { root, format, pose_files, mut photographs, missing, stored_factor, mut warnings } = self;
        let wanted = split::choose(root, options.split, split::of_positions(options.hold_every))?;
        if photographs.is_empty() {
            return Err(format_error(&pose_files[0], "expected at least one camera with a photograph, found none"));
        }
        photographs.sort_by(|a, b| a.path.cmp(&b.path));
        for pair in photographs.windows(2) {
            if pair[0].path == pair[1].path {
                let (path, other) = (pair[1].path.display(), &pair[0].what);
                let problem = format!("expected a picture of its own, found {path}, which {other} has too");
                return Err(Error::Camera { what: pair[1].what.clone(), problem });
            }
        }
        let paths: Vec<PathBuf> = photographs.iter().map(|photograph| photograph.path.clone()).collect();
        let aspects: Vec<_> = photographs.iter().map(|p| p.intrinsics.size.map(|size| size.x / size.y)).collect();
        let found = Pictures::survey(&paths, &aspects, &mut warnings)?;
        pictures::say_sizes(&found.sizes, &paths, &mut warnings);
        let factor = factor(options, stored_factor, &found.sizes, &mut warnings)?;
        let named = f64::from(stored_factor.unwrap_or(1));
        let cameras = cameras(root, &photographs, &found.sizes, (factor, named), &mut warnings)?;
        pictures::say_transparent(&found.transparent(&paths), &mut warnings);

        let placed = place(&pose_files[0], &photographs, options.bounds, &mut warnings)?;
        let names = view_names(root, &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        let mut views = Vec::with_capacity(photographs.len());
        for (i, (photograph, (camera, distortion))) in photographs.iter().zip(cameras).enumerate() {
            let world_from_camera = flip_axes(placed.scene_from_file.pose(photograph.pose)).as_mat4();
            let camera = Camera { world_from_camera, ..camera };
            camera.validate(&photograph.what)?;
            let [near, far] = placed.bounds[i];
            if !(near > 0.0 && near < far && far.is_finite()) {
                let problem = format!("expected bounds 0 < near < far of one magnitude, found {near} and {far}");
                return Err(Error::Bounds { what: photograph.what.clone(), problem });
            }
            views.push(View {
                name: names[i].clone(),
                path: photograph.path.clone(),
                mask: photograph.mask.clone(),
                camera,
                near,
                far,
                stored_size: found.sizes[i],
                turn: found.turns[i],
                distortion,
            });
        }
        super::warn_degenerate(&views, &mut warnings);
        let (source_ids, held_out) = split::by_position(views.len(), options.hold_every);
        let mut scene = Scene {
            name: super::scene_name(root),
            root: root.to_owned(),
            format,
            near: 0.0,
            far: 0.0,
            views,
            source_ids,
            held_out,
            split: wanted,
            missing,
            pose_files,
            bounds_are_tight: placed.are_tight,
            eval_stride: 1,
            scene_from_file: placed.scene_from_file,
            order: SourceOrder::Distance,
            warnings,
        };
        super::leave_out(&mut scene, &placed.strays);
        super::span_views(&mut scene);
        Ok(scene)
    }
}

/// The reduction of the stored pictures.
fn factor(
    options: &LoadOptions,
    stored_factor: Option<u32>,
    sizes: &[(u32, u32)],
    warnings: &mut Vec<String>,
) -> Result<u32> {
    if let Some(factor) = options.factor {
        return Ok(check_factor(factor)? / stored_factor.unwrap_or(1));
    }
    let (width, height) = sizes.iter().copied().max_by_key(|size| size.0.max(size.1)).unwrap_or((1, 1));
    let factor = width.max(height).div_ceil(LONGEST_SIDE);
    if factor > 1 {
        warnings.push(format!(
            "photographs of {width}x{height} are reduced by {factor} while loading, as is usual; --factor 1 keeps their size"
        ));
    }
    Ok(factor)
}

/// The cameras, still at the origin, and their lenses; `named` is the reduction by which the folder of pictures is called,
/// which is no news.
fn cameras(
    root: &Path,
    photographs: &[Photograph],
    sizes: &[(u32, u32)],
    (factor, named): (u32, f64),
    warnings: &mut Vec<String>,
) -> Result<Vec<(Camera, Option<Distortion>)>> {
    let whole = |(width, height): (u32, u32)| DVec2::new(width.into(), height.into());
    let mut cameras: Vec<(Camera, Option<Distortion>)> = Vec::with_capacity(photographs.len());
    let (mut scaled, mut cut) = (None, None);
    for (i, (photograph, &stored)) in photographs.iter().zip(sizes).enumerate() {
        let bad = |problem: String| Error::Camera { what: photograph.what.clone(), problem };
        check_rigid(photograph.pose).map_err(bad)?;
        let Intrinsics { size, focal, center, lens } = photograph.intrinsics;
        let file = size.unwrap_or(whole(stored));
        let Some(scale) = pictures::scale(stored, file) else {
            return Err(bad(format!(
                "expected a photograph in the shape of {}x{}, for which its camera is, found {}x{}: was it turned, cropped \
                 or stretched afterwards?",
                file.x, file.y, stored.0, stored.1
            )));
        };
        // Sizes of reduced pictures are rounded to whole pixels.
        let tolerance = if named > 1.0 { 0.02 } else { 1e-3 };
        if (scale * named - 1.0).abs() > tolerance && scaled.is_none() {
            scaled = Some(format!(
                "{}: its picture of {}x{} is {scale:.4} times the size in the file: focal length and principal point are \
                 scaled so, as for others like it",
                photograph.what, stored.0, stored.1
            ));
        }
        let center = center.unwrap_or(0.5 * file);
        if !(center.is_finite() && center.cmpge(DVec2::ZERO).all() && center.cmple(file).all()) {
            return Err(bad(format!(
                "expected a principal point within the {}x{} pixels, found {}, {}",
                file.x, file.y, center.x, center.y
            )));
        }
        if !(focal.is_finite() && focal.min_element() > 0.0) {
            return Err(bad(format!("expected positive focal lengths, found {} and {}", focal.x, focal.y)));
        }
        let by = whole(stored) / file;
        let (focal, center) = (focal * by, center_from_corner(center * by));
        let same = i.checked_sub(1).filter(|&j| {
            photographs[j].intrinsics == photograph.intrinsics && sizes[j] == stored && !lens.is_pinhole()
        });
        let distortion = match same {
            Some(j) => cameras[j].1,
            None if lens.is_pinhole() => None,
            None => Some(Distortion::new(lens, focal, center, stored).map_err(bad)?),
        };
        if distortion.is_some_and(|d| d.is_cut()) && cut.is_none() {
            cut = Some(pictures::cut_warning(&photograph.what));
        }
        let (width, height) = reduced_size(root, stored, factor)?;
        let reduced = whole((width, height)) / whole(stored);
        let camera = Camera {
            width,
            height,
            focal: (focal * distortion.map_or(1.0, |d| d.zoom()) * reduced).as_vec2(),
            center: ((center + 0.5) * reduced - 0.5).as_vec2(),
            world_from_camera: Mat4::IDENTITY,
        };
        camera.validate(&photograph.what)?;
        cameras.push((camera, distortion));
    }
    warnings.extend(scaled.into_iter().chain(cut));
    Ok(cameras)
}

/// The scene's frame and bounds.
struct Placed {
    scene_from_file: Similarity,
    bounds: Vec<[f32; 2]>,
    strays: Vec<usize>,
    are_tight: bool,
}

/// By the bounds that the user gives, or those of each photograph, or what the cameras tell.
fn place(
    file: &Path,
    photographs: &[Photograph],
    given: Option<[f64; 2]>,
    warnings: &mut Vec<String>,
) -> Result<Placed> {
    let poses: Vec<DMat4> = photographs.iter().map(|photograph| photograph.pose).collect();
    let what = |i: usize| photographs[i].what.clone();
    let own: Option<Vec<[f64; 2]>> = photographs.iter().map(|photograph| photograph.bounds).collect();
    if let (Some(bounds), None) = (own, given) {
        for (i, [near, far]) in bounds.iter().enumerate() {
            if !(*near > 0.0 && near < far && far.is_finite()) {
                let problem = format!("expected bounds 0 < near < far, found {near} and {far}");
                return Err(Error::Bounds { what: what(i), problem });
            }
        }
        let Bounded { scene_from_file, bounds, strays } = Bounded::new(&poses, &bounds, &what, warnings);
        return Ok(Placed { scene_from_file, bounds, strays, are_tight: true });
    }
    let strays = range::stray_poses(&poses, &what, warnings);
    let kept: Vec<DMat4> = (0..poses.len()).filter(|i| !strays.contains(i)).map(|i| poses[i]).collect();
    let keys = given.map_or([None; 2], |[near, far]| [Some(near), Some(far)]);
    if given.is_none() {
        warnings.push(format!(
            "{}: no depths: near and far are guessed from where the cameras stand and look; --bounds NEAR,FAR gives them",
            file.display()
        ));
    }
    let World { scene_from_file, bounds, strays, .. } =
        World::scaled(file, keys, Range::of(&kept), &kept, strays, warnings)?;
    Ok(Placed { scene_from_file, bounds: vec![bounds; poses.len()], strays, are_tight: false })
}

/// Names of views: the stems of their pictures, or where two are the same, the whole paths below `root` with `_` between
/// their parts.
pub(super) fn view_names(root: &Path, paths: &[&Path]) -> Vec<String> {
    let whole = |path: &Path| {
        let path = path.strip_prefix(root).unwrap_or(path).with_extension("");
        let parts: Vec<_> = path
            .components()
            .filter(|part| matches!(part, std::path::Component::Normal(_)))
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        parts.join("_")
    };
    let stems: Vec<String> = paths.iter().map(|path| stem(path)).collect();
    if stems.iter().collect::<HashSet<_>>().len() == stems.len() {
        return stems;
    }
    paths.iter().map(|path| whole(path)).collect()
}

/// Says how many photographs beside those with cameras lie in their folders, where there are any.
pub(super) fn say_unused(photographs: &[Photograph], why: &str, warnings: &mut Vec<String>) {
    let unused = unused(photographs.iter().map(|photograph| photograph.path.as_path()));
    if let Some(first) = unused.first() {
        let more = if unused.len() > 1 { format!(" and {} more", unused.len() - 1) } else { String::new() };
        warnings.push(format!("{}{more}: {why}", first.display()));
    }
}

/// Pictures that lie beside those that are used, in the order of their paths. What is named after one that is used, such as
/// its depth, is none of its own.
pub(crate) fn unused<'a>(used: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut folders: HashMap<&Path, HashSet<&Path>> = HashMap::new();
    for path in used {
        folders.entry(path.parent().unwrap_or(path)).or_default().insert(path);
    }
    let mut unused: Vec<PathBuf> = Vec::new();
    for (folder, used) in folders {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let stems: HashSet<&str> = used.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
        let belongs = |path: &Path| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            stem.match_indices(['_', '.']).any(|(end, _)| stems.contains(&stem[..end]))
        };
        let hidden = |path: &Path| super::file_name(path).starts_with('.');
        unused.extend(entries.filter(|path| {
            crate::picture::is_read(path) && !hidden(path) && !used.contains(path.as_path()) && !belongs(path)
        }));
    }
    unused.sort();
    unused
}
