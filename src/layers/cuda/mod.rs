//! Training on a CUDA device: memory and the operations that layers are made of, in f32.
//!
//! Whole batches lie in device memory: a row is one sample of one ray. Parameters are the slots of one flat vector in a
//! buffer, and gradients are added into the same slots of another. Every sum has a fixed order, so a step repeats to the
//! last bit on the same device. The functions return before the work is done; all of it is in order on the first stream.
//!
//! What a layer does with these operations lies in `cuda.rs` of the layer's own folder.

mod args;
mod elementwise;
mod epilogue;
mod executor;
mod footprint;
mod product;
mod reduce;
mod store;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;
pub mod twins;

pub use args::{BLOCK, MoreArgs, WARPS, warps};
pub use epilogue::Epilogue;
pub use executor::OnCuda;
pub use footprint::{Footprint, Footprints};
pub use product::{Matrix, MatrixMut};
pub use store::{Slice, SliceMut, Store};

use compute::cuda::{Device, KernelSource, Module, Result};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The kernels that all layers use on one device, and memory for their partial sums.
///
/// Its methods are the layers' operations; each lies in `cuda.rs` of its layer.
#[derive(Debug)]
pub struct Ops {
    pub(crate) device: Device,
    pub(crate) product: Module,
    pub(crate) reduce: Module,
    pub(crate) elementwise: Module,
    pub(crate) layer_norm: Module,
    /// Kernels of layer kinds, by their file: made ready when a network first uses the kind.
    of_kinds: Mutex<HashMap<&'static str, Module>>,
    /// Partial sums of the operation in progress. Work is in order, so the next operation may overwrite them.
    pub(crate) partial: Mutex<Store>,
}

impl Ops {
    /// Makes the kernels ready.
    ///
    /// # Errors
    /// If they cannot be compiled or loaded.
    pub fn new(device: &Device) -> Result<Self> {
        let module = |file| device.module(&KernelSource::plain(file));
        Ok(Self {
            device: device.clone(),
            product: module("training/product.cu")?,
            reduce: module("training/reduce.cu")?,
            elementwise: module("training/elementwise.cu")?,
            layer_norm: module("training/layer_norm.cu")?,
            of_kinds: Mutex::default(),
            partial: Mutex::default(),
        })
    }

    /// The kernels in a file of a layer kind.
    ///
    /// # Errors
    /// If they cannot be compiled or loaded.
    pub(crate) fn module(&self, file: &'static str) -> Result<Module> {
        let mut modules = self.of_kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(file) {
            return Ok(module.clone());
        }
        let module = self.device.module(&KernelSource::plain(file))?;
        modules.insert(file, module.clone());
        Ok(module)
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Blocks that keep every multiprocessor busy with several at a time.
    pub(crate) fn wanted_blocks(&self) -> usize {
        4 * self.device.info().multiprocessors.max(1) as usize
    }
}
