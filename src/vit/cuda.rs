//! Classifiers on a CUDA device: the layers' own kernels, launched one after the other, in f32.

use crate::compact::cuda::CudaCompact;
use crate::deit::cuda::CudaDeit;
use crate::model::Net;
use crate::pvt::cuda::CudaPvt;
use crate::{Model, Result};
use compute::cuda::{Buffer, CudaError, Device};
use layers::cuda::{Ops, Store};
use layers::feed_forward::experts::Usage;

/// Most images of a pass.
const IMAGES: usize = 64;

/// A classifier on a device.
#[derive(Debug)]
pub struct CudaClassifier {
    ops: Ops,
    /// The folded parameters.
    params: Buffer<f32>,
    net: Net,
    memory: Memory,
    /// Images of a pass, fewer where memory is short.
    images: usize,
}

/// What a [`CudaClassifier`] finds for some images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classified {
    /// `[images, classes]`.
    pub logits: Vec<f32>,
    /// Tokens that the multiply and the shift expert of each block ran; empty without experts.
    pub counts: Vec<[u64; 2]>,
}

/// What a pass works on, kept between passes; the networks that are not used stay empty.
#[derive(Debug, Default)]
struct Memory {
    x: Store,
    logits: Store,
    compact: CudaCompact,
    deit: CudaDeit,
    pvt: CudaPvt,
}

impl CudaClassifier {
    /// Carries the parameters of `model` to `device`. Most kernels are made ready by the first pass.
    ///
    /// # Errors
    /// If there is not enough memory, or kernels cannot be compiled.
    pub fn new(device: &Device, model: &Model, params: &[f32]) -> Result<Self> {
        let (ops, params) = (Ops::new(device)?, device.upload(&model.fold(params))?);
        let (net, memory) = (model.net.clone(), Memory::default());
        Ok(Self { ops, params, net, memory, images: IMAGES })
    }

    /// Images that are best given at once.
    pub fn images_at_once(&self) -> usize {
        self.images
    }

    /// Classifies normalised images `x` `[images, height, width, 3]`. Where memory is short, fewer images are run at a time,
    /// from then on.
    ///
    /// # Panics
    /// If `x` is not whole images.
    ///
    /// # Errors
    /// If the device fails, has not enough memory for one image, or no kernel for heads as wide as these.
    pub fn classify(&mut self, images: usize, x: &[f32]) -> Result<Classified> {
        assert!(images > 0 && x.len().is_multiple_of(images), "{} values in {images} images", x.len());
        let (mut all, mut rest, image) = (Classified::default(), x, x.len() / images);
        while !rest.is_empty() {
            let some = self.images.min(rest.len() / image);
            let (now, later) = rest.split_at(some * image);
            match self.pass(some, now) {
                Ok(found) => all.add(found),
                Err(CudaError::OutOfMemory { .. }) if some > 1 => {
                    (self.images, self.memory) = (some / 2, Memory::default());
                    continue;
                }
                Err(problem) => return Err(problem.into()),
            }
            rest = later;
        }
        Ok(all)
    }

    fn pass(&mut self, images: usize, x: &[f32]) -> std::result::Result<Classified, CudaError> {
        let Self { ops, params, net, memory, .. } = self;
        let Memory { x: pixels, logits, compact, deit, pvt } = memory;
        pixels.upload(ops.device(), x)?;
        let mut usages = Vec::new();
        match net {
            Net::Compact(net) => net.on_cuda(ops, params, images, pixels, logits, compact, &mut usages)?,
            Net::Deit(net) => net.on_cuda(ops, params, images, pixels, logits, deit, &mut usages)?,
            Net::Pvt(net) => net.on_cuda(ops, params, images, pixels, logits, pvt, &mut usages)?,
        }
        let counts = usages.iter().map(|Usage { counts, .. }| counts.map(|n| n as u64));
        let has_experts = usages.iter().any(|usage| usage.counts != [0, 0]);
        Ok(Classified { logits: logits.read()?, counts: if has_experts { counts.collect() } else { Vec::new() } })
    }
}

impl Classified {
    fn add(&mut self, other: Self) {
        self.logits.extend(other.logits);
        self.counts.resize(other.counts.len(), [0; 2]);
        for (sum, counts) in self.counts.iter_mut().zip(other.counts) {
            (0..2).for_each(|expert| sum[expert] += counts[expert]);
        }
    }
}

#[cfg(test)]
#[path = "cuda_tests.rs"]
mod tests;
