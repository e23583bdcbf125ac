//! Which photographs the proxy is made of, for a camera.

use scene::{Camera, Scene};

/// Most photographs of a picture.
pub const MOST: usize = 6;

/// A photograph's part in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// The view.
    pub view: usize,
    /// Its weight.
    pub weight: f32,
}

/// The photographs of `candidates` that see most of what `camera` sees, nearest first. The first four share the picture;
/// those from farther away only fill its holes.
pub fn choose(scene: &Scene, camera: &Camera, candidates: &[usize]) -> Vec<Chosen> {
    const SHARING: usize = 4;
    let nearest = scene::nearest_sources(scene, camera, candidates, MOST).unwrap_or_default();
    let weight = |rank: usize| if rank < SHARING { 1.0 } else { 0.01 };
    nearest.into_iter().enumerate().map(|(rank, view)| Chosen { view, weight: weight(rank) }).collect()
}
