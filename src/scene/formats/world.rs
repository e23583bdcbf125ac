//! The frame of a scene and its depth bounds, from poses with bounds of their own or from the poses alone.
//!
//! In both the near bound becomes 4/3, as in LLFF's loaders. Poses absurdly far from all others take no part, and are left
//! out of the scene.

use super::range::{self, Range};
use crate::pose::Mean;
use crate::robust::extent_without_strays;
use crate::{Error, Result, Similarity, SourceOrder};
use glam::DMat4;
use std::path::Path;

/// Near bound in scene units.
pub(super) const NEAR: f64 = 4.0 / 3.0;

/// A scene's frame and the bounds that all its views have.
pub(super) struct World {
    pub scene_from_file: Similarity,
    /// Near and far bound in scene units.
    pub bounds: [f32; 2],
    pub order: SourceOrder,
    /// Poses that are not to be used, by their position among all.
    pub strays: Vec<usize>,
}

impl World {
    /// The world of poses in OpenGL axes without strays, whose near bound becomes [`NEAR`]. `keys` are the bounds that the
    /// file `path` or the user gives; `range` tells those that are missing. If the cameras look at one place, it becomes the
    /// origin and the axes stay; otherwise the average camera becomes the origin (x right, y up, z backwards).
    ///
    /// # Errors
    /// [`Error::Bounds`] if the bounds are not `0 < near < far` or nothing tells them.
    pub fn scaled(
        path: &Path,
        keys: [Option<f64>; 2],
        range: Option<Range>,
        poses: &[DMat4],
        strays: Vec<usize>,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let fail = |problem: String| Err(Error::Bounds { what: path.display().to_string(), problem });
        let near = keys[0].or(range.map(|r| r.near));
        let far = keys[1].or(range.map(|r| r.far));
        let (Some(near), Some(far)) = (near, far) else {
            let found = match poses.len() {
                1 => "one photograph",
                _ => "all cameras in one place",
            };
            return fail(format!("expected cameras in different places or the keys near and far, found {found}"));
        };
        let scale = NEAR / near;
        let scaled = (far * scale) as f32;
        if !(near > 0.0 && near < far && scale.is_finite() && scaled.is_finite() && scaled > NEAR as f32) {
            let from = |key: Option<f64>| if key.is_some() { "as given" } else { "from the cameras" };
            return fail(format!(
                "expected bounds 0 < near < far of one magnitude, found near {near} ({}) and far {far} ({})",
                from(keys[0]),
                from(keys[1])
            ));
        }
        let origin = match range.and_then(|r| r.focus) {
            Some(focus) => DMat4::from_translation(focus),
            None => {
                let mean = Mean::of(poses);
                mean.pose().unwrap_or_else(|| {
                    warnings.push("the cameras look all ways, so the axes stay as they are in the file".to_owned());
                    DMat4::from_translation(mean.center)
                })
            }
        };
        let scene_from_file = Similarity::recentre(origin, scale);
        Ok(Self { scene_from_file, bounds: [NEAR as f32, scaled], order: SourceOrder::Distance, strays })
    }
}

/// A scene's frame and the bounds that each of its views has.
pub(super) struct Bounded {
    pub scene_from_file: Similarity,
    /// Near and far bound of each view in scene units.
    pub bounds: Vec<[f32; 2]>,
    /// Views that are not to be used.
    pub strays: Vec<usize>,
}

impl Bounded {
    /// From poses in OpenGL axes and their bounds `0 < near < far` in the units of the poses, which `what` names. The
    /// average camera becomes the origin; a bound far from all others takes no part in the scale, and that is said.
    pub fn new(
        poses: &[DMat4],
        bounds: &[[f64; 2]],
        what: &dyn Fn(usize) -> String,
        warnings: &mut Vec<String>,
    ) -> Self {
        let strays = range::stray_poses(poses, what, warnings);
        let kept: Vec<usize> = (0..poses.len()).filter(|i| !strays.contains(i)).collect();
        let limits = [0, 1].map(|end| extent_without_strays(kept.iter().map(|&i| bounds[i][end])));
        let nearest = limits[0][0] as f32;
        let scale = 1.0 / (f64::from(nearest) * 0.75);
        let bound = |i: usize, end: usize| {
            let [low, high] = limits[end];
            bounds[i][end].clamp(if end == 0 { low } else { 0.0 }, if end == 1 { high } else { f64::INFINITY })
        };
        for &i in &kept {
            for (end, name) in [(0, "near"), (1, "far")] {
                if bound(i, end) != bounds[i][end] {
                    let (found, used) = (bounds[i][end], bound(i, end));
                    warnings.push(format!(
                        "{}: its {name} bound of {found} is far from those of all other views, so that {used} is used",
                        what(i)
                    ));
                }
            }
        }
        let bounds: Vec<[f32; 2]> =
            (0..poses.len()).map(|i| [0, 1].map(|end| (f64::from(bound(i, end) as f32) * scale) as f32)).collect();
        let used: Vec<DMat4> = kept.iter().map(|&i| poses[i]).collect();
        let average = Mean::of(&used).pose().unwrap_or_else(|| {
            warnings.push("the cameras look all ways, so the first one is taken as the average".to_owned());
            used[0]
        });
        Self { scene_from_file: Similarity::recentre(average, scale), bounds, strays }
    }
}
