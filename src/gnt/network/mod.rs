//! The training path: the transformer on a chunk of rays, forward and backward, for gradients and as the reference of the
//! engines.
//!
//! It is written once over an executor, the CPU or a CUDA device: [`Workspace`] is a pass over a chunk, [`trunk`] has the
//! blocks in order. What has to be said for each device lies side by side in the folders [`sources`], [`tokens`],
//! [`start`] and [`head`], and in the layers' own folders. On the CPU a chunk is a few rays, so that everything stays in
//! cache; on a device it is as many as its memory holds.

pub mod cuda;
pub mod head;
pub mod position;
pub mod router_training;
pub mod sources;
pub mod start;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod trunk;
mod workspace;

pub use layers::executor::Cpu;
pub use router_training::RouterTraining;
pub use workspace::Workspace;

use crate::folded::Folded;
use crate::{Config, Model};
use head::HeadExecutor;
use layers::executor::Executor;
use start::StartExecutor;

/// An executor that can run the whole transformer.
pub trait RayExecutor: StartExecutor + HeadExecutor {}

impl<E: StartExecutor + HeadExecutor> RayExecutor for E {}

/// A network with its parameters, on the executor where it runs.
#[derive(Debug)]
pub struct NetworkOn<'a, E: Executor = Cpu> {
    /// Where it runs.
    pub executor: &'a E,
    /// Sizes and kinds.
    pub config: &'a Config,
    /// The folded transformer.
    pub net: &'a Folded,
    /// Its parameters (folded layout), in the executor's memory.
    pub params: &'a E::Flat,
}

impl<E: Executor> Clone for NetworkOn<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: Executor> Copy for NetworkOn<'_, E> {}

impl<'a> NetworkOn<'a> {
    /// The transformer of `model` with the parameters `folded` on the CPU.
    pub fn cpu(model: &'a Model, folded: &'a [f32]) -> Self {
        Self { executor: &Cpu, config: &model.config, net: &model.net, params: folded }
    }
}

/// What the backward pass starts from.
#[derive(Debug)]
pub struct Seeds<'a, E: Executor = Cpu> {
    /// Gradient of the colours `[rays, 3]`.
    pub rgb: &'a E::Values,
    /// Gradient of the samples' logits along the ray `[rays, samples]`.
    pub ray_logits: Option<&'a E::Values>,
    /// Gradients of the recorded states.
    pub states: Option<&'a [E::Values]>,
    /// Gradient of the tokens `[T, V, C]`.
    pub tokens: Option<&'a E::Values>,
}

impl<'a, E: Executor> Seeds<'a, E> {
    /// The gradient of the colours alone.
    pub fn of_colours(rgb: &'a E::Values) -> Self {
        Self { rgb, ray_logits: None, states: None, tokens: None }
    }
}
