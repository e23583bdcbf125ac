//! Training of linear-angular attention on a CUDA device.

use super::{LinearAngularAttention, TAPS};
use crate::Slot;
use crate::cuda::{Footprint, Footprints, MoreArgs, Ops, Slice, SliceMut, Store, warps};
use crate::layer_norm::cuda::CudaLayerNormTape;
use compute::cuda::{Args, Buffer, Launch, Result};
use std::f32::consts::FRAC_1_PI;

/// What the backward pass needs from the forward pass; as [`super::LinearAngularAttentionTape`], without the codes, which
/// are the signs of the projections.
#[derive(Debug, Default)]
pub struct CudaLinearAngularTape {
    norm: CudaLayerNormTape,
    qkv: Store,
    sums: Store,
    unit: Store,
    scale: Store,
    mixed: Store,
}

/// Buffers of the backward pass, shared by all blocks.
#[derive(Debug, Default)]
pub struct CudaLinearAngularScratch {
    d_mixed: Store,
    d_z: Store,
    d_sums: Store,
    d_qkv: Store,
    d_norm: Store,
    d_filter: Store,
}

/// The file of the kernels.
const KERNELS: &str = "training/linear_angular.cu";

/// Sizes of one attention.
#[derive(Clone, Copy)]
struct Sizes {
    rays: usize,
    samples: usize,
    heads: usize,
    /// Channels of a head.
    d: usize,
}

impl Sizes {
    fn new(layer: &LinearAngularAttention, samples: usize, values: usize) -> Self {
        let (c, heads) = (layer.out.inputs, layer.heads);
        assert!(samples > 0 && values.is_multiple_of(samples * c), "{values} values, rays of {samples} x {c}");
        Self { rays: values / (samples * c), samples, heads, d: c / heads }
    }

    /// Heads of all rows.
    fn items(&self) -> usize {
        self.rays * self.samples * self.heads
    }

    /// Entries of `sums`.
    fn squares(&self) -> usize {
        self.rays * self.heads * self.d * self.d
    }

    fn ints(&self) -> [usize; 3] {
        [self.samples, self.heads, self.d]
    }
}

/// The address of the filter, or null.
fn filter_address(filter: Option<Slot>, params: &Buffer<f32>) -> u64 {
    filter.map_or(0, |filter| Slice::of(params, filter).address())
}

impl LinearAngularAttention {
    /// What tape and scratch hold. The sums of a head are shared by the samples of a ray; each is counted as if it had
    /// one eighth of them, as rays of eight samples have.
    pub fn cuda_footprints(&self) -> Footprints {
        let (c, heads) = (self.out.inputs, self.heads);
        let sums = (c * c / heads).div_ceil(8);
        Footprints {
            tape: self.norm.cuda_footprint() + Footprint::sample(5 * c + heads + sums),
            scratch: Footprint::sample(6 * c + sums + heads * TAPS),
        }
    }
}

impl Ops {
    /// As [`LinearAngularAttention::forward`].
    ///
    /// # Panics
    /// If `x` is not whole rays.
    ///
    /// # Errors
    /// If the device fails or lacks memory.
    pub(crate) fn linear_angular(
        &self,
        layer: &LinearAngularAttention,
        params: &Buffer<f32>,
        samples: usize,
        x: SliceMut,
        tape: &mut CudaLinearAngularTape,
    ) -> Result<()> {
        let sizes = Sizes::new(layer, samples, x.len());
        self.layer_norm(&layer.norm, params, x.slice(), &mut tape.norm)?;
        tape.qkv.resize(&self.device, 3 * x.len())?;
        tape.sums.resize(&self.device, sizes.squares())?;
        tape.unit.resize(&self.device, x.len())?;
        tape.scale.resize(&self.device, sizes.items())?;
        tape.mixed.resize(&self.device, x.len())?;
        if x.is_empty() {
            return Ok(());
        }
        self.linear(&layer.qkv, params, &tape.norm.y, &mut tape.qkv, false, false)?;
        let c = layer.out.inputs;
        self.linear_angular_sums(sizes, &tape.qkv, 1, (&tape.qkv, 3 * c, 2 * c), 1.0, &tape.sums)?;
        let args = Args::new().store(&tape.qkv).store(&tape.sums).value(filter_address(layer.filter, params));
        let args = args.ints(sizes.ints()).int(sizes.items());
        let args = args.store(&tape.unit).store(&tape.scale).store(&tape.mixed);
        // SAFETY: the tape's parts were just made for these sizes; the filter has nine taps a head.
        unsafe { self.module(KERNELS)?.launch("linear_angular_rows", &warps(sizes.items()), args)? };
        self.linear(&layer.out, params, &tape.mixed, x, true, false)
    }

    /// `to = scale · Σ code ⊗ right` for each head of each ray; codes are those of part `part` of `qkv`, and a row of
    /// `right` begins every so many numbers, at an offset.
    fn linear_angular_sums(
        &self,
        sizes: Sizes,
        qkv: &Store,
        part: usize,
        (right, stride, offset): (&Store, usize, usize),
        scale: f32,
        to: &Store,
    ) -> Result<()> {
        let args = Args::new().store(qkv).int(part).store(right).ints([stride, offset]).float(scale);
        let launch = Launch::new(sizes.rays * sizes.heads, 256);
        // SAFETY: `qkv` and `right` have a row for each sample of the rays, `to` a square for each head of each ray.
        unsafe { self.module(KERNELS)?.launch("linear_angular_sums", &launch, args.ints(sizes.ints()).store(to)) }
    }

    /// As [`LinearAngularAttention::backward`].
    ///
    /// # Panics
    /// If the sizes differ from the forward pass.
    ///
    /// # Errors
    /// If the device fails or lacks memory.
    pub(crate) fn linear_angular_backward(
        &self,
        layer: &LinearAngularAttention,
        params: &Buffer<f32>,
        samples: usize,
        tape: &CudaLinearAngularTape,
        dx: SliceMut,
        scratch: &mut CudaLinearAngularScratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        assert_eq!(dx.len(), tape.mixed.len(), "gradient and forward pass differ in size");
        if dx.is_empty() {
            return Ok(());
        }
        let (sizes, c) = (Sizes::new(layer, samples, dx.len()), layer.out.inputs);
        let CudaLinearAngularScratch { d_mixed, d_z, d_sums, d_qkv, d_norm, d_filter } = scratch;
        d_mixed.resize(&self.device, dx.len())?;
        d_z.resize(&self.device, dx.len())?;
        d_norm.resize(&self.device, dx.len())?;
        d_sums.resize(&self.device, sizes.squares())?;
        d_qkv.resize(&self.device, tape.qkv.len())?;
        self.linear_backward(&layer.out, params, &tape.mixed, dx.slice(), Some((d_mixed.slice_mut(), false)), grads)?;
        let (module, launch) = (self.module(KERNELS)?, warps(sizes.items()));
        let args = Args::new().store(&tape.unit).store(&tape.scale).store(d_mixed);
        let args = args.ints(sizes.ints()).int(sizes.items()).store(d_z);
        // SAFETY: tape and scratch have these sizes.
        unsafe { module.launch("linear_angular_length_backward", &launch, args)? };
        self.linear_angular_sums(sizes, &tape.qkv, 0, (d_z, c, 0), FRAC_1_PI, d_sums)?;
        let args = Args::new().store(&tape.qkv).store(&tape.sums).store(d_sums).store(d_z).store(d_mixed);
        let args = args.value(filter_address(layer.filter, params)).ints(sizes.ints()).int(sizes.items());
        // SAFETY: as above; each item writes its own channels of its own row.
        unsafe { module.launch("linear_angular_backward", &launch, args.store(d_qkv))? };
        if let Some(filter) = layer.filter {
            d_filter.resize(&self.device, sizes.rays * sizes.heads * TAPS)?;
            let args = Args::new().store(&tape.qkv).store(d_mixed).ints(sizes.ints()).store(d_filter);
            // SAFETY: as above; each ray writes its own taps.
            unsafe { module.launch("linear_angular_filter_backward", &Launch::new(sizes.rays, 128), args)? };
            self.column_sums(&*d_filter, SliceMut::of(grads, filter))?;
        }
        self.linear_backward(&layer.qkv, params, &tape.norm.y, &*d_qkv, Some((d_norm.slice_mut(), false)), grads)?;
        self.layer_norm_backward(&layer.norm, params, &tape.norm, &*d_norm, dx, grads)
    }

    /// As [`LinearAngularAttention::first_row`] of every ray, to `weights` `[rays, samples]`.
    ///
    /// # Panics
    /// If the sizes differ from the forward pass.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn linear_angular_first_rows(
        &self,
        layer: &LinearAngularAttention,
        samples: usize,
        tape: &CudaLinearAngularTape,
        weights: SliceMut,
    ) -> Result<()> {
        let sizes = Sizes::new(layer, samples, tape.mixed.len());
        assert_eq!(weights.len(), sizes.rays * samples, "weights of {} rays of {samples} samples", sizes.rays);
        if weights.is_empty() {
            return Ok(());
        }
        let args = Args::new().store(&tape.qkv).ints(sizes.ints()).int(sizes.rays).value(weights.address());
        // SAFETY: the tape has these sizes, and the weights one value a row.
        unsafe { self.module(KERNELS)?.launch("linear_angular_first_rows", &warps(sizes.rays), args) }
    }
}

#[cfg(test)]
#[path = "cuda_tests.rs"]
mod tests;
