//! The two worlds that poses, depths and bounds may be told in.

use crate::errors;
use glam::{DMat4, Mat4};
use pyo3::prelude::*;
use scene::{Scene, Similarity};

/// Whose coordinates are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Those of the scene's files.
    File,
    /// Those in which the scene is rendered: moved, turned and scaled.
    Scene,
}

impl World {
    /// By its name.
    ///
    /// # Errors
    /// `ValueError` for any other.
    pub fn named(name: &str) -> PyResult<Self> {
        match name {
            "file" => Ok(Self::File),
            "scene" => Ok(Self::Scene),
            _ => Err(errors::of_argument("world", "\"file\" or \"scene\"", format!("{name:?}"))),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Scene => "scene",
        }
    }

    /// From this world to that of the scene's cameras.
    fn scene_from_world(self, scene: &Scene) -> Similarity {
        match self {
            Self::File => scene.scene_from_file,
            Self::Scene => Similarity::IDENTITY,
        }
    }

    /// The pose of a camera in the scene's world from one in this one.
    pub fn pose_in_scene(self, scene: &Scene, pose: DMat4) -> Mat4 {
        self.scene_from_world(scene).pose(pose).as_mat4()
    }

    /// The pose in this world of a camera of the scene.
    pub fn pose_of(self, scene: &Scene, pose: Mat4) -> DMat4 {
        self.scene_from_world(scene).inverse().pose(pose.as_dmat4())
    }

    /// Length in this world of one unit of the scene's.
    pub fn unit(self, scene: &Scene) -> f64 {
        1.0 / self.scene_from_world(scene).scale
    }
}
