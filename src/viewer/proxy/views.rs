//! Which photographs the proxy is made of, for a camera.

use scene::{Camera, Scene};

/// Most photographs of a picture.
pub const MOST: usize = 5;
/// Photographs that share a picture; the others only fill its holes.
const SHARING: usize = 3;

/// A photograph's part in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// The view.
    pub view: usize,
    /// Whether it only fills the holes that the others leave.
    pub fills: bool,
}

/// The photographs of `candidates` that see most of what `camera` sees, nearest first. The first few share the picture;
/// those from farther away only fill its holes.
pub fn choose(scene: &Scene, camera: &Camera, candidates: &[usize]) -> Vec<Chosen> {
    let nearest = scene::nearest_sources(scene, camera, candidates, MOST).unwrap_or_default();
    nearest.into_iter().enumerate().map(|(rank, view)| Chosen { view, fills: rank >= SHARING }).collect()
}
