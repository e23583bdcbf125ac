//! A set of posed photographs and how they may be used.

use crate::{Split, View};
use std::path::PathBuf;

/// Far bound multiplier for held-out views and training.
pub const FAR_EVAL: f32 = 1.6;
/// Far bound multiplier for camera paths away from the photographs.
pub const FAR_RENDER: f32 = 1.5;

/// Where a scene comes from; decides depth range and conventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SceneKind {
    /// Forward-facing photographs with depth bounds, recentred and rescaled so that the nearest bound is 4/3.
    Llff,
    /// A synthetic object around the origin, seen between depths 2 and 6.
    Blender,
    /// Photographs with free poses. Around what the cameras look at, if they look at one place, else recentred as
    /// [`Llff`](Self::Llff); rescaled so that the near bound is 4/3.
    Nerfstudio,
}

/// What "nearest" means when source views are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceOrder {
    /// Distance between camera centres.
    Distance,
    /// Angle between the camera centres as seen from the origin.
    Direction,
}

/// A loaded scene. World units and axes are those of the loader, which may differ from the files'.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Name of the scene: the last part of its folder.
    pub name: String,
    /// Its folder.
    pub root: PathBuf,
    /// Where it comes from.
    pub kind: SceneKind,
    /// All views; they share one image size.
    pub views: Vec<View>,
    /// Indices of the views that may be sources when held-out views are rendered.
    pub source_ids: Vec<usize>,
    /// Indices of the views kept for testing.
    pub held_out: Vec<usize>,
    /// What the held-out views are; none if there are none.
    pub split: Option<Split>,
    /// The files that the poses come from.
    pub pose_files: Vec<PathBuf>,
    /// Smallest depth bound of all views in scene units.
    pub near: f32,
    /// Largest depth bound of all views in scene units.
    pub far: f32,
    /// Scene units per unit of the scene's files.
    pub scale: f32,
    /// How source views are ranked.
    pub order: SourceOrder,
    /// What looked odd while loading; for the user to read.
    pub warnings: Vec<String>,
}

impl Scene {
    /// Depth range `[near, far]` to sample: `[0.9·near, far_factor·far]` for LLFF scenes, `[2, 6]` for Blender scenes
    /// and `[near, far]` for nerfstudio scenes, whose bounds are wide already.
    ///
    /// The factor is [`FAR_EVAL`] for held-out views and [`FAR_RENDER`] for other camera paths.
    pub fn depth_range(&self, far_factor: f32) -> [f32; 2] {
        match self.kind {
            SceneKind::Llff => [0.9 * self.near, far_factor * self.far],
            SceneKind::Blender => [2.0, 6.0],
            SceneKind::Nerfstudio => [self.near, self.far],
        }
    }

    /// Width and height that all images share; zero if there are no views.
    pub fn size(&self) -> (u32, u32) {
        self.views.first().map_or((0, 0), |view| (view.camera.width, view.camera.height))
    }
}
