//! The pre-norm residual feed-forward block: `x += fc2(relu(fc1(norm(x))))`.

pub mod cuda;
pub mod engine;
pub mod ray_kernel;
mod train;

pub use train::{MlpScratch, MlpTape};

use crate::Slot;
use crate::builder::{BlockShape, Builder};
use crate::layer_norm::LayerNorm;
use crate::linear::{Linear, LinearKind};
use crate::operations::{Part, RaySize, Step, linear};

/// Layer norm, two linear layers with a ReLU between, and the residual sum.
#[derive(Clone, Copy, Debug)]
pub struct Mlp {
    /// Normalisation of the input.
    pub norm: LayerNorm,
    /// `width → hidden`.
    pub fc1: Linear,
    /// `hidden → width`.
    pub fc2: Linear,
    /// Weight and bias of `fc1` and `fc2` in the vector of parameters.
    pub original: [[Slot; 2]; 2],
}

impl Mlp {
    /// Registers `{name}.fc1` and `{name}.fc2` and folds them.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: &BlockShape, kind: LinearKind) -> Self {
        let (c, hidden) = (shape.width, shape.width * shape.mlp_ratio);
        let (fc1, first) = b.linear_with_parameters(kind, &format!("{name}.fc1"), c, hidden);
        let (fc2, second) = b.linear_with_parameters(kind, &format!("{name}.fc2"), hidden, c);
        Self { norm, fc1, fc2, original: [first, second] }
    }
}

/// A feed-forward part of two linear layers of `kind`.
pub fn operations(shape: &BlockShape, ray: RaySize, part: Part, kind: LinearKind) -> Vec<Step> {
    let [c, ..] = shape.sizes();
    let hidden = c * shape.mlp_ratio as u64;
    vec![linear(part, kind, ray.samples, c, hidden), linear(part, kind, ray.samples, hidden, c)]
}
