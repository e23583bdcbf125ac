//! RealityCapture and RealityScan: a CSV file of "internal/external camera parameters" beside the photographs.
//!
//! Its columns are `#name`, the place `x`, `y`, `alt` (z up), the angles `heading`, `pitch` and `roll` in degrees, the focal
//! length `f` and principal point `px`, `py` in millimetres of a film 36 mm long, the latter from the picture's middle, and
//! the distortion `k1` to `k4`, `t1`, `t2`, which is read as OpenCV's. A camera with all angles zero looks straight down with
//! north at the top.

use super::find::Finder;
use super::posed::{self, Intrinsics, Photograph, Posed};
use super::{LoadOptions, format_error, photographs_error};
use crate::distortion::Coefficients;
use crate::file::{open_regular, read_text};
use crate::{Error, Format, Result, Scene};
use glam::{DMat3, DMat4, DVec2, DVec3};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file that is read.
const MAX_BYTES: u64 = 32 << 20;
/// Length of the film that focal lengths are for, in millimetres.
const FILM: f64 = 36.0;
/// Files in a folder that are looked at.
const SEARCHED: usize = 2000;
/// Columns without which there is no camera.
const NEEDED: [&str; 8] = ["#name", "x", "y", "alt", "heading", "pitch", "roll", "f"];

/// The first file of cameras in a folder.
pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(root).ok()?.flatten().take(SEARCHED).map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"))).collect();
    files.sort();
    files.into_iter().find(|path| {
        let mut start = Vec::new();
        let read = open_regular(path).map(|file| file.take(512).read_to_end(&mut start));
        matches!(read, Ok(Ok(_))) && {
            let text = String::from_utf8_lossy(&start);
            text.lines().take(2).any(|line| line.trim_start_matches('\u{feff}').starts_with("#name,"))
        }
    })
}

/// Loads a scene of RealityCapture.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming file and line: columns that are missing, values that are no
/// numbers, or photographs that are missing for most cameras; otherwise as for all formats, see `posed.rs`.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let file = find(root).ok_or_else(|| format_error(root, "expected a CSV file with the column #name, found none"))?;
    let text = read_text(&file, MAX_BYTES)?;
    let table = Table::parse(&text).map_err(|problem| format_error(&file, problem))?;
    let mut warnings = Vec::new();
    let mut photographs = Vec::new();
    let finders = ["images", "input", ""].map(|folder| root.join(folder));
    let (mut missing, mut is_bent, mut is_off) = (Vec::new(), false, false);
    for (line, row) in &table.rows {
        let name = table.text(row, "#name").unwrap_or_default();
        let what = format!("{}: line {line} ({name})", file.display());
        let bad = |problem: String| Error::Camera { what: what.clone(), problem };
        // Other systems' folders may stand before the name.
        let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
        let found = finders.iter().find_map(|folder| {
            let finder = Finder::new(folder);
            Some(finder.find(name).or_else(|| finder.find(base))?.path)
        });
        let Some(path) = found else {
            missing.push(name);
            continue;
        };
        let number = |column: &str| table.number(row, column).map_err(bad);
        let needed = |column: &str| {
            number(column)?.ok_or_else(|| bad(format!("expected a number in the column {column}, found none")))
        };
        let angles = [needed("heading")?, needed("pitch")?, needed("roll")?];
        let place = DVec3::new(needed("x")?, needed("y")?, needed("alt")?);
        let optional = |column: &str| Ok::<_, Error>(number(column)?.unwrap_or(0.0));
        let coefficients = Coefficients {
            radial: [optional("k1")?, optional("k2")?, optional("k3")?, optional("k4")?],
            tangential: [optional("t1")?, optional("t2")?],
        };
        let (width, height) = crate::view::image_size(&path)?;
        let size = DVec2::new(width.into(), height.into());
        let scale = size.max_element() / FILM;
        let off = DVec2::new(optional("px")?, optional("py")?);
        is_bent |= !coefficients.is_zero();
        is_off |= off != DVec2::ZERO;
        photographs.push(Photograph {
            mask: None,
            path,
            pose: pose(angles, place),
            intrinsics: Intrinsics {
                size: Some(size),
                focal: DVec2::splat(needed("f")? * scale),
                center: Some(0.5 * size + off * scale),
                lens: coefficients.into(),
            },
            bounds: None,
            what,
        });
    }
    if let Some(first) = missing.first() {
        let (count, all) = (missing.len(), table.rows.len());
        let problem = format!("expected the photographs of all {all} cameras, found {count} missing, such as {first}");
        if 2 * count > all {
            return Err(photographs_error(&file, problem));
        }
        warnings.push(format!("{}: {problem}; these are left out", file.display()));
    }
    if is_bent || is_off {
        warnings.push(format!(
            "{}: principal points are taken as millimetres of a 36 mm film from the middle and distortion as OpenCV's: the \
             format is not documented in this",
            file.display()
        ));
    }
    posed::say_unused(&photographs, "not in the file of cameras: not used", &mut warnings);
    let pose_files = vec![file];
    let missing = missing.len();
    let posed =
        Posed { root, format: Format::RealityCapture, pose_files, photographs, missing, stored_factor: None, warnings };
    posed.into_scene(options)
}

/// Camera-to-world in OpenGL axes from heading, pitch and roll in degrees.
pub(crate) fn pose([heading, pitch, roll]: [f64; 3], place: DVec3) -> DMat4 {
    let axes = DMat3::from_rotation_z(-heading.to_radians())
        * DMat3::from_rotation_x(pitch.to_radians())
        * DMat3::from_rotation_y(roll.to_radians());
    let mut pose = DMat4::from_mat3(axes);
    pose.w_axis = place.extend(1.0);
    pose
}

/// A CSV file: names of columns, and rows with the numbers of their lines.
struct Table<'a> {
    columns: Vec<&'a str>,
    rows: Vec<(usize, Vec<&'a str>)>,
}

impl<'a> Table<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut columns: Option<Vec<&str>> = None;
        let mut rows = Vec::new();
        for (line, content) in text.lines().enumerate().map(|(i, content)| (i + 1, content.trim())) {
            if content.starts_with("#name,") && columns.is_none() {
                let names: Vec<&str> = content.split(',').map(str::trim).collect();
                if let Some(missing) = NEEDED.iter().find(|needed| !names.contains(needed)) {
                    return Err(format!("line {line}: expected the columns {}, found no {missing}", NEEDED.join(", ")));
                }
                columns = Some(names);
            } else if !content.is_empty() && !content.starts_with('#') {
                let Some(columns) = &columns else {
                    return Err(format!("line {line}: expected the names of columns first (#name, ..), found a row"));
                };
                let fields: Vec<&str> = content.split(',').map(str::trim).collect();
                if fields.len() != columns.len() {
                    let (expected, found) = (columns.len(), fields.len());
                    return Err(format!("line {line}: expected {expected} values between commas, found {found}"));
                }
                rows.push((line, fields));
            }
        }
        let columns = columns.ok_or("expected the names of columns (#name, ..), found none")?;
        if rows.is_empty() {
            return Err("expected at least one camera, found none".into());
        }
        Ok(Self { columns, rows })
    }

    fn text(&self, row: &[&'a str], column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|name| *name == column)?;
        row.get(at).copied().filter(|text| !text.is_empty())
    }

    fn number(&self, row: &[&str], column: &str) -> Result<Option<f64>, String> {
        let at = self.columns.iter().position(|name| *name == column);
        let Some(text) = at.and_then(|at| row.get(at)).filter(|text| !text.is_empty()) else { return Ok(None) };
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        let shown = || text.chars().take(40).collect::<String>();
        number.map(Some).ok_or_else(|| format!("expected a number in the column {column}, found {:?}", shown()))
    }
}
