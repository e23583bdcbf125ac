//! What a chunk of rays is, and what it gives.

#[cfg(doc)]
use super::CudaEngine;
use scene::Ray;

/// Rays and where their samples lie.
#[derive(Clone, Copy, Debug)]
pub struct Rays<'a> {
    /// The rays.
    pub rays: &'a [Ray],
    /// Depths of the samples, increasing: `[samples]`, the same for all rays, or `[rays, samples]`.
    pub depths: &'a [f32],
    /// Samples a ray.
    pub samples: usize,
    /// Near and far bound.
    pub depth_range: (f32, f32),
}

/// What is wanted beside colour and depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Weights of the samples.
    pub weights: bool,
    /// States after each stage, for comparisons: the start, and after each view block, position layer and ray block.
    pub states: bool,
    /// Clock cycles of each stage, see [`CudaEngine::stage_cycles`].
    pub cycles: bool,
    /// Which experts the rows went to, where there are experts.
    pub routing: bool,
}

/// What rays give.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RayBatch {
    /// Colours `[rays, 3]`, not clipped.
    pub rgb: Vec<f32>,
    /// Mean depth `[rays]`.
    pub depth: Vec<f32>,
    /// Weights of the samples `[rays, samples]`, which sum to 1; empty if not wanted.
    pub weights: Vec<f32>,
    /// `[stages, rays, samples, C]`; empty if not wanted.
    pub states: Vec<f32>,
    /// Rows that went to the multiply expert of each feed-forward part, view and ray part of block 0 first; empty if not
    /// wanted or without experts.
    pub routed: Vec<u64>,
    /// Rows of each ray that went to a multiply expert `[rays]`, out of `samples` for each feed-forward part; empty if not
    /// wanted or without experts.
    pub multiplied: Vec<u32>,
}
