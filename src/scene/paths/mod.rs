//! Camera paths: which cameras to render, and which views may be their sources.

pub mod interpolate;
pub mod json;
pub mod orbit;
pub mod spiral;

use crate::{Camera, Error, Result, Scene};
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

/// Which path to render.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// Spiral around the average camera of a forward-facing scene.
    Spiral,
    /// The held-out photographs.
    Test,
    /// Smoothly through the cameras of the photographs.
    Interpolate,
    /// Circle around the point the cameras look at.
    Orbit,
    /// Cameras from a JSON file; see [`json`].
    File(PathBuf),
}

impl FromStr for PathKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "spiral" => Ok(Self::Spiral),
            "test" => Ok(Self::Test),
            "interpolate" => Ok(Self::Interpolate),
            "orbit" => Ok(Self::Orbit),
            file if file.to_lowercase().ends_with(".json") => Ok(Self::File(file.into())),
            other => Err(Error::Scene(format!(
                "camera path: expected spiral, test, interpolate, orbit or a .json file, found {other:?}"
            ))),
        }
    }
}

/// The frames of a path.
///
/// `count` is the number of frames, by default [`DEFAULT_FRAMES`]; the test path and files have a length of their own,
/// of which at most the first `count` are taken. `turns` is the number of turns of a spiral.
///
/// # Errors
/// [`Error::Scene`] if the scene does not suit the path or the count is not 1 to [`MAX_FRAMES`]; as [`json::load`] for
/// a file.
pub fn frames(scene: &Scene, kind: &PathKind, count: Option<usize>, turns: f64) -> Result<Vec<Frame>> {
    let num_frames = count.unwrap_or(DEFAULT_FRAMES);
    if num_frames == 0 || num_frames > MAX_FRAMES {
        return Err(Error::Scene(format!("expected 1 to {MAX_FRAMES} frames, found {num_frames}")));
    }
    let mut frames = match kind {
        PathKind::Spiral => spiral::frames(scene, num_frames, turns)?,
        PathKind::Test => test_frames(scene)?,
        PathKind::Interpolate => interpolate::frames(scene, num_frames)?,
        PathKind::Orbit => orbit::frames(scene, num_frames)?,
        PathKind::File(path) => json::load(path, scene)?,
    };
    frames.truncate(count.unwrap_or(usize::MAX));
    Ok(frames)
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

/// Frames named by their number.
fn numbered(cameras: impl IntoIterator<Item = Camera>) -> Vec<Frame> {
    let frame = |(i, camera)| Frame { name: format!("frame_{i:04}"), camera, truth: None, excluded: Vec::new() };
    cameras.into_iter().enumerate().map(frame).collect()
}

/// The first view's camera, whose intrinsics new cameras get.
fn template(scene: &Scene) -> Result<Camera> {
    let first = scene.views.first();
    first.map(|view| view.camera).ok_or_else(|| Error::Scene(format!("{}: expected views, found none", scene.name)))
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
        let path = frames(&scene, &PathKind::Test, None, 2.0).unwrap();
        assert_eq!(path.iter().map(|f| f.truth.unwrap()).collect::<Vec<_>>(), [0, 8, 16]);
        assert_eq!(path[1].name, "image008");
        let sources = source_candidates(&scene, &path[1]);
        assert_eq!(sources, scene.source_ids);
        assert!(!sources.contains(&0) && !sources.contains(&8));
        assert_eq!(frames(&scene, &PathKind::Test, Some(2), 2.0).unwrap().len(), 2);
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
            assert!(frames(&scene, &PathKind::Interpolate, Some(count), 2.0).is_err());
        }
        assert_eq!("a/b.JSON".parse::<PathKind>().unwrap(), PathKind::File("a/b.JSON".into()));
        assert_eq!("orbit".parse::<PathKind>().unwrap(), PathKind::Orbit);
        assert!("circle".parse::<PathKind>().unwrap_err().to_string().contains("circle"));
        let mut empty = line(1);
        empty.held_out.clear();
        assert!(frames(&empty, &PathKind::Test, None, 2.0).is_err());
        empty.views.clear();
        for kind in [PathKind::Spiral, PathKind::Interpolate, PathKind::Orbit] {
            assert!(frames(&empty, &kind, None, 2.0).is_err(), "{kind:?}");
        }
    }
}
