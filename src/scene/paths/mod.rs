//! Camera paths: which cameras to render, and which views may be their sources.

mod curve;
pub mod ellipse;
mod fields;
pub mod file;
mod frame_fields;
pub mod interpolate;
pub mod keyframes;
pub mod nerfstudio;
pub mod orbit;
pub mod posed;
mod row;
pub mod size;
pub mod spiral;
mod tour;

use crate::capture::{Capture, CaptureKind};
use crate::{Camera, Error, Result, Scene};
use ellipse::Ellipse;
use glam::Vec2;
use std::path::PathBuf;
use std::str::FromStr;

/// Frames of a path if no number is given.
pub const DEFAULT_FRAMES: usize = 120;
/// Most frames of a path.
pub const MAX_FRAMES: usize = 100_000;

/// One camera of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// File stem for the rendered frame: `frame_0000`, or the photograph's name on the test path.
    pub name: String,
    /// What to render.
    pub camera: Camera,
    /// Index of the view that the frame reproduces, if any.
    pub truth: Option<usize>,
    /// Indices of views that must not be sources of this frame.
    pub excluded: Vec<usize>,
}

impl Frame {
    /// A frame of no photograph, for which every view may be a source.
    pub fn new(name: impl Into<String>, camera: Camera) -> Self {
        Self { name: name.into(), camera, truth: None, excluded: Vec::new() }
    }
}

/// Which path to render.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// The one of the others that suits the photographs; see [`plan`].
    Auto,
    /// Once around in front of a forward-facing scene.
    Spiral,
    /// The held-out photographs.
    Test,
    /// Smoothly past the cameras of the photographs.
    Interpolate,
    /// Around the point the cameras look at, as far as there are photographs.
    Orbit,
    /// On an ellipse around the point the cameras look at, where there are photographs all round.
    Ellipse,
    /// Cameras from a file; see [`mod@file`].
    File(PathBuf),
    /// Single poses, which are given besides; see [`posed::frames`].
    Poses,
}

impl FromStr for PathKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "spiral" => Ok(Self::Spiral),
            "test" => Ok(Self::Test),
            "interpolate" => Ok(Self::Interpolate),
            "orbit" => Ok(Self::Orbit),
            "ellipse" => Ok(Self::Ellipse),
            file if [".json", ".txt"].iter().any(|end| file.to_lowercase().ends_with(end)) => {
                Ok(Self::File(file.into()))
            }
            other => Err(Error::Scene(format!(
                "camera path: expected auto, spiral, orbit, ellipse, interpolate, test or a .json or .txt file, found \
                 {other:?}"
            ))),
        }
    }
}

/// The frames of a path, and how they came about.
#[derive(Clone, Debug)]
pub struct PathPlan {
    /// The path; of [`PathKind::Auto`] the one that was chosen.
    pub kind: PathKind,
    /// Why it was chosen, in words; none if it was asked for.
    pub reason: Option<String>,
    /// The cameras.
    pub frames: Vec<Frame>,
    /// What was assumed or ignored.
    pub warnings: Vec<String>,
}

/// Plans a path.
///
/// `count` is the number of frames, by default [`DEFAULT_FRAMES`]; the test path and files of frames have a length of their
/// own, of which at most the first `count` are taken. [`PathKind::Auto`] is a spiral for photographs that all face one way, an
/// orbit for those around a place, and a walk past the cameras for all others. [`PathKind::Ellipse`] is one of these where
/// the photographs are not all round a place. `options` are for path files.
///
/// # Errors
/// [`Error::Scene`] if the scene does not suit the path or the count is not 1 to [`MAX_FRAMES`]; as [`file::load`] for
/// a file.
pub fn plan(scene: &Scene, kind: &PathKind, count: Option<usize>, options: &file::PathFileOptions) -> Result<PathPlan> {
    let num_frames = count.unwrap_or(DEFAULT_FRAMES);
    if num_frames == 0 || num_frames > MAX_FRAMES {
        return Err(Error::Scene(format!("expected 1 to {MAX_FRAMES} frames, found {num_frames}")));
    }
    let capture =
        || Capture::of(scene).ok_or_else(|| Error::Scene(format!("{}: expected views, found none", scene.name)));
    let (kind, reason) = match kind {
        PathKind::Auto => choose(scene, &capture()?),
        PathKind::Ellipse => ellipse_or_other(scene, &capture()?),
        other => (other.clone(), None),
    };
    let mut warnings = Vec::new();
    let mut frames = match &kind {
        PathKind::Auto => unreachable!("a path was chosen"),
        PathKind::Poses => return Err(Error::Scene("camera path: expected poses, found none".into())),
        PathKind::Spiral => spiral::frames(scene, &capture()?, num_frames)?,
        PathKind::Test => test_frames(scene)?,
        PathKind::Interpolate => interpolate::frames(scene, &capture()?, num_frames)?,
        PathKind::Orbit => orbit::frames(scene, &capture()?, num_frames)?,
        PathKind::Ellipse => match Ellipse::of(scene, &capture()?) {
            Ok(ellipse) => ellipse.frames(scene, num_frames)?,
            Err(why) => return Err(Error::Scene(format!("{}: no ellipse, since {why}", scene.name))),
        },
        PathKind::File(path) => {
            let (frames, found) = file::load(path, scene, num_frames, options)?;
            warnings = found;
            frames
        }
    };
    frames.truncate(count.unwrap_or(usize::MAX));
    Ok(PathPlan { kind, reason, frames, warnings })
}

/// The frames of a path, as [`plan`].
///
/// # Errors
/// As [`plan`].
pub fn frames(scene: &Scene, kind: &PathKind, count: Option<usize>) -> Result<Vec<Frame>> {
    Ok(plan(scene, kind, count, &file::PathFileOptions::default())?.frames)
}

/// The path that suits a capture, and why.
fn choose(scene: &Scene, capture: &Capture) -> (PathKind, Option<String>) {
    let walk = |why: &str| (PathKind::Interpolate, format!("a walk past the cameras: the photographs {why}"));
    let (kind, reason) = match capture.kind {
        CaptureKind::Forward => {
            (PathKind::Spiral, "a spiral: the photographs are taken from close by and face the same way".to_owned())
        }
        CaptureKind::Around => match orbit::Orbit::of(scene, capture) {
            Ok(orbit) => (PathKind::Orbit, orbit.words()),
            Err(_) => walk("look to several sides"),
        },
        CaptureKind::Inside => walk("look out to all sides"),
        CaptureKind::Walk => walk("go along a way"),
    };
    (kind, Some(reason))
}

/// An ellipse, or the path that suits a capture that has none, and why.
fn ellipse_or_other(scene: &Scene, capture: &Capture) -> (PathKind, Option<String>) {
    let Err(why) = Ellipse::of(scene, capture) else { return (PathKind::Ellipse, None) };
    let (kind, instead) = choose(scene, capture);
    (kind, instead.map(|instead| format!("no ellipse, since {why}; instead {instead}")))
}

/// The held-out views under the names of their photographs.
fn test_frames(scene: &Scene) -> Result<Vec<Frame>> {
    if scene.held_out.is_empty() {
        return Err(Error::Scene(format!("{}: expected held-out views for the test path, found none", scene.name)));
    }
    let frame = |&id: &usize| {
        let view = &scene.views[id];
        Frame { name: view.name.clone(), camera: view.camera, truth: Some(id), excluded: Vec::new() }
    };
    Ok(scene.held_out.iter().map(frame).collect())
}

/// Views that may be sources of a frame: [`Scene::source_ids`] for a held-out photograph, otherwise all views; never
/// the photograph itself nor [`Frame::excluded`] ones.
pub fn source_candidates(scene: &Scene, frame: &Frame) -> Vec<usize> {
    let allowed = |id: &usize| frame.truth != Some(*id) && !frame.excluded.contains(id);
    match frame.truth {
        Some(truth) if scene.held_out.contains(&truth) => scene.source_ids.iter().copied().filter(allowed).collect(),
        _ => (0..scene.views.len()).filter(allowed).collect(),
    }
}

/// Name of the frame of a number.
fn frame_name(i: usize) -> String {
    format!("frame_{i:04}")
}

/// Frames named by their number.
fn numbered(cameras: impl IntoIterator<Item = Camera>) -> Vec<Frame> {
    cameras.into_iter().enumerate().map(|(i, camera)| Frame::new(frame_name(i), camera)).collect()
}

/// A camera with the size of the views and the middle of their intrinsics, which new cameras get.
fn template(scene: &Scene) -> Result<Camera> {
    // Focal lengths of pictures of other sizes are for other pixels.
    let usual: Vec<&Camera> =
        scene.views.iter().map(|v| &v.camera).filter(|c| (c.width, c.height) == scene.size()).collect();
    let Some(first) = usual.first() else {
        return Err(Error::Scene(format!("{}: expected views, found none", scene.name)));
    };
    let middle =
        |value: fn(&Camera) -> f32| crate::robust::median(usual.iter().map(|camera| f64::from(value(camera)))) as f32;
    let focal = Vec2::new(middle(|c| c.focal.x), middle(|c| c.focal.y));
    let center = Vec2::new(middle(|c| c.center.x), middle(|c| c.center.y));
    Ok(Camera { focal, center, ..**first })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use glam::Vec3;

    fn line(count: usize) -> Scene {
        testing::scene(&(0..count).map(|i| Vec3::X * i as f32).collect::<Vec<_>>())
    }

    #[test]
    fn test_path_has_the_held_out_views_and_other_sources() {
        let scene = line(17);
        let path = frames(&scene, &PathKind::Test, None).unwrap();
        assert_eq!(path.iter().map(|f| f.truth.unwrap()).collect::<Vec<_>>(), [0, 8, 16]);
        assert_eq!(path[1].name, "image008");
        let sources = source_candidates(&scene, &path[1]);
        assert_eq!(sources, scene.source_ids);
        assert!(!sources.contains(&0) && !sources.contains(&8));
        assert_eq!(frames(&scene, &PathKind::Test, Some(2)).unwrap().len(), 2);
    }

    #[test]
    fn a_photograph_is_never_its_own_source() {
        let scene = line(3);
        let mut frame = numbered([scene.views[1].camera]).remove(0);
        assert_eq!(source_candidates(&scene, &frame), [0, 1, 2]);
        frame.truth = Some(1);
        frame.excluded = vec![2];
        assert_eq!(source_candidates(&scene, &frame), [0]);
    }

    #[test]
    fn counts_and_names_are_checked() {
        let scene = line(3);
        for count in [0, MAX_FRAMES + 1, usize::MAX] {
            assert!(frames(&scene, &PathKind::Interpolate, Some(count)).is_err());
        }
        assert_eq!("a/b.JSON".parse::<PathKind>().unwrap(), PathKind::File("a/b.JSON".into()));
        assert_eq!("orbit".parse::<PathKind>().unwrap(), PathKind::Orbit);
        assert!("circle".parse::<PathKind>().unwrap_err().to_string().contains("circle"));
        let mut empty = line(1);
        empty.held_out.clear();
        assert!(frames(&empty, &PathKind::Test, None).is_err());
        empty.views.clear();
        for kind in [PathKind::Auto, PathKind::Spiral, PathKind::Interpolate, PathKind::Orbit, PathKind::Ellipse] {
            assert!(frames(&empty, &kind, None).is_err(), "{kind:?}");
        }
    }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod real_tests;
#[cfg(test)]
pub(crate) mod rigs;
