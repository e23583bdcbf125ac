//! The training path's layers on a CUDA device, forward and backward, in f32.
//!
//! Whole batches lie in device memory: a row is one sample of one ray. Parameters are the slots of one flat vector in a
//! buffer, and gradients are added into the same slots of another. Every sum has a fixed order, so a step repeats to the
//! last bit on the same device. The functions return before the work is done; all of it is in order on the first stream.

mod elementwise;
mod experts;
mod feed_forward;
mod layer_norm;
mod linear;
mod product;
mod ray_attention;
mod reduce;
#[cfg(test)]
mod testing;
mod view;

pub use experts::{ExpertsScratch, ExpertsTape};
pub use feed_forward::{FeedForwardScratch, FeedForwardTape};
pub use layer_norm::LayerNormTape;
pub use product::{Epilogue, Matrix, MatrixMut};
pub use ray_attention::{RayAttentionScratch, RayAttentionTape};
pub use view::{Store, View, ViewMut};

use std::sync::Mutex;
use tensor::cuda::{Device, Module, Result, Source};

/// The kernels of the layers on one device, and memory for their partial sums.
///
/// Its methods are the layers' operations; they lie in the file of each layer.
#[derive(Debug)]
pub struct Ops {
    device: Device,
    product: Module,
    reduce: Module,
    elementwise: Module,
    layer_norm: Module,
    ray_attention: Module,
    experts: Module,
    /// Partial sums of the operation in progress. Work is in order, so the next operation may overwrite them.
    partial: Mutex<Store>,
}

impl Ops {
    /// Makes the kernels ready.
    ///
    /// # Errors
    /// If they cannot be compiled or loaded.
    pub fn new(device: &Device) -> Result<Self> {
        let module = |file| device.module(&Source::plain(file));
        Ok(Self {
            device: device.clone(),
            product: module("training/product.cu")?,
            reduce: module("training/reduce.cu")?,
            elementwise: module("training/elementwise.cu")?,
            layer_norm: module("training/layer_norm.cu")?,
            ray_attention: module("training/ray_attention.cu")?,
            experts: module("training/experts.cu")?,
            partial: Mutex::default(),
        })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Blocks that keep every multiprocessor busy with several at a time.
    fn wanted_blocks(&self) -> usize {
        4 * self.device.info().multiprocessors.max(1) as usize
    }
}
