//! The pictures of a run: a frame of the path each, two of it for two eyes, or all around it; all of the path, or a part.

use super::panorama::Panorama;
use super::picture::Picture;
use anyhow::bail;
use eval::report::data::Shard;
use glam::{Mat4, Vec3};
use scene::{Camera, Frame, Scene};
use std::ops::Range;
use std::str::FromStr;

/// Distance of the eyes without one given, as a part of the nearest depth: the rule of stereo photography.
const BASELINE: f32 = 1.0 / 30.0;

/// Distance of the eyes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Baseline {
    /// 1/30 of the scene's nearest depth.
    Auto,
    /// In units of the scene's files.
    Given(f64),
}

impl FromStr for Baseline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let given = text.parse().ok().filter(|length: &f64| *length > 0.0 && length.is_finite());
        given.map(Self::Given).ok_or_else(|| "expected auto or a number above 0, in units of the scene's files".into())
    }
}

/// How the pictures of two eyes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StereoLayout {
    /// One picture of twice the width, the left eye's on the left
    #[default]
    SideBySide,
    /// NAME_left and NAME_right
    Files,
}

/// The part of `total` things in order that a shard has.
fn range(shard: Shard, total: usize) -> Range<usize> {
    let at = |part: u32| (u128::from(part) * total as u128 / u128::from(shard.count)) as usize;
    at(shard.index - 1)..at(shard.index)
}

/// A picture of a run.
#[derive(Clone, Debug)]
pub struct Shot {
    /// Name of its files.
    pub name: String,
    /// What is rendered: one frame, two side by side, or the faces of a panorama.
    pub parts: Vec<Frame>,
    /// What its parts become, unless they stand side by side.
    pub panorama: Option<Panorama>,
    /// Which frame of the path it is of.
    pub frame: usize,
    /// Whether the command has it: every so many frames.
    pub chosen: bool,
    /// Whether this run renders it, or leaves it to another one.
    pub wanted: bool,
}

impl Shot {
    /// Its size where every `stride`-th pixel is rendered.
    pub fn size(&self, stride: u32) -> (u32, u32) {
        if let Some(panorama) = self.panorama {
            return panorama.size(stride);
        }
        let sides =
            self.parts.iter().map(|part| (part.camera.width.div_ceil(stride), part.camera.height.div_ceil(stride)));
        sides.fold((0, 0), |(width, height), (w, h)| (width + w, height.max(h)))
    }

    /// The frame that it is, where it is one.
    pub fn single(&self) -> Option<&Frame> {
        match &self.parts[..] {
            [frame] => Some(frame),
            _ => None,
        }
    }

    /// Puts the pictures of its parts, every `stride`-th pixel each, together; none for none.
    pub fn join(&self, pictures: Vec<Picture>, stride: u32) -> Option<Picture> {
        match self.panorama {
            Some(panorama) => Some(panorama.join(&pictures, stride)),
            None => pictures.into_iter().reduce(Picture::beside),
        }
    }
}

/// How frames of a path become pictures.
#[derive(Clone, Copy, Debug)]
pub struct ShotOptions {
    /// Two eyes instead of one.
    pub stereo: Option<(Baseline, StereoLayout)>,
    /// All that is around the camera, instead of what it sees.
    pub panorama: Option<Panorama>,
    /// Every how many frames of the path there is one.
    pub every: usize,
    /// Which part is rendered, if not all.
    pub shard: Option<Shard>,
}

/// The pictures of a path, those that are left out or that other parts render included, and what was assumed, in words.
///
/// # Errors
/// If photographs are to be seen by two eyes or all around, or no frame is left.
pub fn of(frames: &[Frame], scene: &Scene, options: &ShotOptions) -> anyhow::Result<(Vec<Shot>, Option<String>)> {
    let are_photographs = frames.iter().any(|frame| frame.truth.is_some());
    if options.stereo.is_some() && are_photographs {
        bail!("--stereo: expected a path of new views, found the held-out photographs, which are of one eye each");
    }
    if options.panorama.is_some() && are_photographs {
        bail!("--panorama: expected a path of new views, found the held-out photographs, which do not show all around");
    }
    let baseline = options.stereo.map(|(baseline, _)| match baseline {
        Baseline::Auto => scene.near * BASELINE,
        Baseline::Given(length) => (length * scene.scene_from_file.scale) as f32,
    });
    let chosen: Vec<usize> = (0..frames.len()).step_by(options.every.max(1)).collect();
    let part = options.shard.map_or(0..chosen.len(), |shard| range(shard, chosen.len()));
    if let Some(Shard { index: number, count }) = options.shard.filter(|_| part.is_empty()) {
        bail!("--shard {number}/{count}: expected at least as many frames as parts, found {}", chosen.len());
    }
    let mut shots = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let place = chosen.binary_search(&index);
        let (chosen, wanted) = (place.is_ok(), place.is_ok_and(|place| part.contains(&place)));
        let shot = |name: &str, parts| {
            let (name, panorama) = (name.to_owned(), options.panorama);
            Shot { name, parts, panorama, frame: index, chosen, wanted }
        };
        let Some((baseline, (_, layout))) = baseline.zip(options.stereo) else {
            let parts = options.panorama.map_or_else(|| vec![frame.clone()], |panorama| panorama.faces(frame));
            shots.push(shot(&frame.name, parts));
            continue;
        };
        let eyes = [("left", -0.5), ("right", 0.5)].map(|(eye, side)| Frame {
            name: format!("{}_{eye}", frame.name),
            camera: aside(&frame.camera, side * baseline),
            ..frame.clone()
        });
        match layout {
            StereoLayout::SideBySide => shots.push(shot(&frame.name, eyes.to_vec())),
            StereoLayout::Files => shots.extend(eyes.map(|eye| shot(&eye.name.clone(), vec![eye]))),
        }
    }
    let words = baseline.map(|baseline| {
        let in_file = f64::from(baseline) / scene.scene_from_file.scale;
        let part = baseline / scene.near;
        format!("stereo: eyes {in_file:.4} apart in units of the scene's files, {part:.3} of its nearest depth, axes parallel")
    });
    Ok((shots, words.or(options.panorama.map(Panorama::words))))
}

/// The camera moved along its x axis.
fn aside(camera: &Camera, by: f32) -> Camera {
    Camera { world_from_camera: camera.world_from_camera * Mat4::from_translation(Vec3::X * by), ..*camera }
}

#[cfg(test)]
mod tests {
    use super::super::files::tests::frame;
    use super::*;
    use crate::cli::numbers::parse_shard;
    use scene::Similarity;

    fn scene() -> Scene {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenes/still-life"));
        let mut scene = scene::formats::load(root, &scene::LoadOptions::default()).unwrap();
        scene.near = 3.0;
        scene.scene_from_file = Similarity { scale: 2.0, ..Similarity::IDENTITY };
        scene
    }

    fn path(count: usize) -> Vec<Frame> {
        (0..count).map(|i| frame(&format!("frame_{i:04}"))).collect()
    }

    #[test]
    fn parts_are_all_frames_once() {
        let scene = scene();
        for (total, every, count) in [(7, 1, 3), (10, 3, 4), (100, 7, 1)] {
            let mut wanted = Vec::new();
            for number in 1..=count {
                let shard = parse_shard(&format!("{number}/{count}")).ok();
                let (shots, words) =
                    of(&path(total), &scene, &ShotOptions { stereo: None, panorama: None, every, shard }).unwrap();
                let chosen = shots.iter().filter(|shot| shot.chosen).count();
                assert!(words.is_none() && shots.len() == total && chosen == total.div_ceil(every));
                wanted.extend(shots.into_iter().filter(|shot| shot.wanted).map(|shot| shot.frame));
            }
            assert_eq!(wanted, (0..total).step_by(every).collect::<Vec<_>>());
        }
        // Of two frames in nine parts, seven have none.
        let shard = parse_shard("1/9").ok();
        let message = of(&path(2), &scene, &ShotOptions { stereo: None, panorama: None, every: 1, shard })
            .unwrap_err()
            .to_string();
        assert!(message.contains("--shard 1/9") && message.contains("found 2"), "{message}");
        for wrong in ["0/3", "4/3", "1", "a/b", "1/0", "-1/2"] {
            assert!(parse_shard(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn eyes_stand_on_either_side() {
        let scene = scene();
        for (baseline, expected) in [("auto", 0.1), ("0.2", 0.4)] {
            for layout in [StereoLayout::SideBySide, StereoLayout::Files] {
                let stereo = Some((baseline.parse().unwrap(), layout));
                let (shots, words) =
                    of(&path(2), &scene, &ShotOptions { stereo, panorama: None, every: 1, shard: None }).unwrap();
                let eyes: Vec<&Frame> = shots.iter().flat_map(|shot| &shot.parts).collect();
                let centers: Vec<f32> = eyes.iter().map(|eye| eye.camera.origin().x).collect();
                assert!((centers[1] - centers[0] - expected).abs() < 1e-6 && centers[0] < 0.0, "{centers:?}");
                assert_eq!(eyes[3].name, "frame_0001_right");
                let files = layout == StereoLayout::Files;
                assert_eq!((shots.len(), shots[0].size(2)), if files { (4, (3, 2)) } else { (2, (6, 2)) });
                assert!(words.unwrap().contains(if baseline == "auto" {
                    "0.033 of its nearest"
                } else {
                    "eyes 0.2000"
                }));
            }
        }
        let photograph = Frame { truth: Some(0), ..frame("a") };
        let options =
            ShotOptions { stereo: Some((Baseline::Auto, StereoLayout::Files)), panorama: None, every: 1, shard: None };
        let message = of(std::slice::from_ref(&photograph), &scene, &options).unwrap_err().to_string();
        assert!(message.contains("--stereo"), "{message}");
        let options = ShotOptions { stereo: None, panorama: Some(Panorama { width: 64 }), ..options };
        let message = of(&[photograph], &scene, &options).unwrap_err().to_string();
        assert!(message.contains("--panorama"), "{message}");
        let (shots, words) = of(&path(2), &scene, &options).unwrap();
        assert_eq!((shots.len(), shots[1].parts.len(), shots[1].size(3)), (2, 6, (22, 11)));
        assert!(words.unwrap().contains("64x32"));
        assert!("0".parse::<Baseline>().is_err() && "x".parse::<Baseline>().is_err());
    }
}
