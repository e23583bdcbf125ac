//! Agisoft Metashape: an XML file of cameras ("Export Cameras") beside the photographs.
//!
//! A sensor has its resolution and `calibration` in pixels: `f`, `cx` and `cy` from the picture's middle, `k1` to `k4`, `p1` and
//! `p2` (the other way round than OpenCV's), and the affinity `b1`, `b2`. A camera has its 4×4 camera-to-chunk `transform` in
//! OpenCV axes (x right, y down, z forward). Components of a chunk have a transform of their own, which is applied; that of
//! the chunk into the world of maps is left out, as it changes the scale and place of the whole alike.
//! Source: Metashape's user manual, appendix "Camera models".

use super::find::Finder;
use super::posed::{self, Intrinsics, Photograph, Posed};
use super::{LoadOptions, format_error, photographs_error};
use crate::distortion::Coefficients;
use crate::file::{open_regular, read_text};
use crate::lens::{Lens, LensModel};
use crate::pose::flip_axes;
use crate::{Error, Format, Result, Scene};
use glam::{DMat3, DMat4, DVec2, DVec3};
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file that is read; parsed it takes some times as much memory.
const MAX_BYTES: u64 = 64 << 20;
/// Most elements and texts of a file.
const MOST_NODES: u32 = 4_000_000;
/// Files in a folder that are looked at.
const SEARCHED: usize = 2000;

/// The first file of cameras in a folder.
pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(root).ok()?.flatten().take(SEARCHED).map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xml"))).collect();
    files.sort();
    files.into_iter().find(|path| {
        let mut start = Vec::new();
        let read = open_regular(path).map(|file| file.take(4096).read_to_end(&mut start));
        let text = String::from_utf8_lossy(&start);
        matches!(read, Ok(Ok(_))) && text.contains("<document") && text.contains("<chunk")
    })
}

/// Loads a scene of Metashape.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming file and camera: no XML, elements that are missing or no
/// numbers, sensors that are no frame or fisheye cameras, or photographs that are missing for most cameras; otherwise as for
/// all formats, see `posed.rs`.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let file =
        find(root).ok_or_else(|| format_error(root, "expected an XML file of Metashape's cameras, found none"))?;
    let text = read_text(&file, MAX_BYTES)?;
    let bad = |problem: String| format_error(&file, problem);
    let limits = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text.trim_start_matches('\u{feff}'), limits);
    let document = document.map_err(|e| bad(format!("expected XML, found: {e}")))?;
    let mut warnings = Vec::new();
    let chunks: Vec<Node> = document.root_element().descendants().filter(|node| node.has_tag_name("chunk")).collect();
    let Some(chunk) = chunks.first() else { return Err(bad("expected a chunk of cameras, found none".into())) };
    if chunks.len() > 1 {
        warnings.push(format!("{}: {} chunks, of which the first is used", file.display(), chunks.len()));
    }
    let sensors = sensors(chunk).map_err(bad)?;
    let components = components(chunk).map_err(bad)?;
    let finders = ["images", "input", ""].map(|folder| root.join(folder));
    let (mut photographs, mut missing, mut unposed, mut all) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut disabled = Vec::new();
    for camera in chunk.descendants().filter(|node| node.has_tag_name("camera") && node.attribute("label").is_some()) {
        let label = camera.attribute("label").unwrap_or_default();
        let what = format!("{}: camera {label}", file.display());
        let bad = |problem: String| Error::Camera { what: what.clone(), problem };
        if matches!(camera.attribute("enabled"), Some("false" | "0")) {
            disabled.push(label);
            continue;
        }
        let Some(transform) = child(camera, "transform") else {
            unposed.push(label);
            continue;
        };
        all += 1;
        let found = finders.iter().find_map(|folder| Some(Finder::new(folder).find(label)?.path));
        let Some(path) = found else {
            missing.push(label);
            continue;
        };
        let id = camera.attribute("sensor_id").unwrap_or("0");
        let Some(intrinsics) = sensors.get(id) else {
            return Err(bad(format!("expected a sensor of the file, found number {id:?}")));
        };
        let numbers = floats::<16>(transform, "transform").map_err(bad)?;
        let mut pose = DMat4::from_cols_array(&numbers).transpose();
        if let Some(component) = camera.attribute("component_id").and_then(|id| components.get(id)) {
            pose = component.pose(pose);
        }
        let intrinsics = intrinsics.clone().map_err(bad)?;
        photographs.push(Photograph { what, path, mask: None, pose: flip_axes(pose), intrinsics, bounds: None });
    }
    if !disabled.is_empty() {
        let (count, first) = (disabled.len(), disabled[0]);
        warnings.push(format!("{}: {count} cameras are disabled, such as {first}: not used", file.display()));
    }
    let named = |labels: &[&str]| format!("{} of {}, such as {}", labels.len(), all, labels[0]);
    if !missing.is_empty() {
        let problem = format!("expected the photographs of all cameras, found them missing for {}", named(&missing));
        if 2 * missing.len() > all {
            return Err(photographs_error(&file, problem));
        }
        warnings.push(format!("{}: {problem}; these are left out", file.display()));
    }
    if let Some(first) = unposed.first() {
        let count = unposed.len();
        warnings.push(format!(
            "{}: {count} cameras without a pose (not aligned), such as {first}: not used",
            file.display()
        ));
    }
    posed::say_unused(&photographs, "without a pose in the file of cameras: not used", &mut warnings);
    let pose_files = vec![file.clone()];
    let missing = missing.len();
    let posed =
        Posed { root, format: Format::Metashape, pose_files, photographs, missing, stored_factor: None, warnings };
    posed.into_scene(options)
}

fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// The numbers in an element.
fn floats<const N: usize>(node: Node, what: &str) -> Result<[f64; N], String> {
    let text = node.text().unwrap_or_default();
    let numbers: Option<Vec<f64>> = text.split_ascii_whitespace().take(N + 1).map(|word| word.parse().ok()).collect();
    let shown = || text.trim().chars().take(60).collect::<String>();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| format!("expected {what} of {N} numbers, found {:?}", shown()))
}

/// The intrinsics of each sensor by its identifier; what is wrong with one matters where a camera uses it.
type Sensors<'a> = HashMap<&'a str, Result<Intrinsics, String>>;

fn sensors<'a>(chunk: &Node<'a, 'a>) -> Result<Sensors<'a>, String> {
    let nodes = chunk.descendants().filter(|node| node.has_tag_name("sensor"));
    let sensors: HashMap<_, _> = nodes.map(|node| (node.attribute("id").unwrap_or("0"), sensor(node))).collect();
    if sensors.is_empty() { Err("expected at least one sensor, found none".into()) } else { Ok(sensors) }
}

fn sensor(node: Node) -> Result<Intrinsics, String> {
    let kind = node.attribute("type").unwrap_or("frame");
    let all: Vec<Node> = node.children().filter(|child| child.has_tag_name("calibration")).collect();
    // What was measured goes before what the camera's maker says.
    let adjusted = all.iter().find(|c| c.attribute("class") == Some("adjusted"));
    let Some(calibration) = adjusted.or(all.first()) else {
        return Err("expected a sensor with a calibration, found none".into());
    };
    let resolution = child(*calibration, "resolution").or(child(node, "resolution"));
    let side = |name: &str| -> Result<f64, String> {
        let text = resolution.and_then(|r| r.attribute(name)).unwrap_or_default();
        text.parse()
            .ok()
            .filter(|side: &f64| *side > 0.0)
            .ok_or_else(|| format!("expected a resolution with a positive {name}, found {text:?}"))
    };
    let size = DVec2::new(side("width")?, side("height")?);
    let optional = |name: &str| child(*calibration, name).map_or(Ok([0.0]), |node| floats::<1>(node, name));
    let number = |name: &str| optional(name).map(|[value]| value);
    let f = number("f")?;
    let radial = [number("k1")?, number("k2")?, number("k3")?, number("k4")?];
    let tangential = [number("p2")?, number("p1")?];
    let [b1, b2] = [number("b1")?, number("b2")?];
    let model = match kind {
        "frame" => LensModel::Brown(Coefficients { radial, tangential }),
        "fisheye" | "equidistant_fisheye" => {
            let [k1, k2, k3, k4] = radial;
            let radial = [k1, k2, k3, k4, 0.0, 0.0];
            LensModel::Fisheye { radial, tangential, prism: [0.0; 4], after_radial: false }
        }
        other => return Err(format!("expected a sensor of type frame or fisheye, found {other:?}")),
    };
    let focal = DVec2::new(f + b1, f);
    let lens = Lens { model, shear: b2 / focal.x };
    Ok(Intrinsics {
        size: Some(size),
        focal,
        center: Some(0.5 * size + DVec2::new(number("cx")?, number("cy")?)),
        lens,
    })
}

/// The transforms of components by their identifiers.
fn components<'a>(chunk: &Node<'a, 'a>) -> Result<HashMap<&'a str, crate::Similarity>, String> {
    let nodes = chunk.descendants().filter(|node| node.has_tag_name("component"));
    let mut components = HashMap::new();
    for node in nodes {
        let (Some(id), Some(transform)) = (node.attribute("id"), child(node, "transform")) else { continue };
        let part = |name: &str| child(transform, name);
        let rotation = part("rotation").map(|r| floats::<9>(r, "rotation")).transpose()?;
        let translation = part("translation").map(|t| floats::<3>(t, "translation")).transpose()?;
        let scale = part("scale").map(|s| floats::<1>(s, "scale")).transpose()?;
        let rotation = rotation.map_or(DMat3::IDENTITY, |rows| DMat3::from_cols_array(&rows).transpose());
        crate::pose::check_rigid(DMat4::from_mat3(rotation))?;
        let scale = scale.map_or(1.0, |[scale]| scale);
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(format!("expected a component with a positive scale, found {scale}"));
        }
        let translation = DVec3::from_array(translation.unwrap_or_default());
        components.insert(id, crate::Similarity { rotation, scale, translation });
    }
    Ok(components)
}
