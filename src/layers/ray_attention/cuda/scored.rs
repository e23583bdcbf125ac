//! Training of the attentions along the ray whose weights are a softmax of scores, on a CUDA device: scores are products
//! of queries and keys, or of their signs.
//!
//! The `[samples, samples]` weights never lie in memory. The forward pass keeps the largest logit and the inverse of the
//! sum of each softmax, from which the backward pass computes the weights again.

use crate::Slot;
use crate::cuda::{Footprint, Footprints, Ops, Slice, SliceMut, Store};
use crate::layer_norm::LayerNorm;
use crate::layer_norm::cuda::CudaLayerNormTape;
use crate::linear::Linear;
use compute::cuda::{Args, Buffer, CudaError, Launch, Result};

/// The file of the kernels.
const KERNELS: &str = "training/ray_attention.cu";

/// What the backward pass needs from the forward pass, of either kind.
#[derive(Debug, Default)]
pub struct CudaScoredAttentionTape {
    norm: CudaLayerNormTape,
    /// Queries, keys and values `[rows, 3·width]`; before the signs are taken, where there are codes.
    qkv: Store,
    /// Largest logit and inverse sum of the softmax, `[rows, heads, 2]`.
    stats: Store,
    /// Attention output before the last projection, `[rows, width]`.
    mixed: Store,
}

/// Memory of the backward pass, shared by all blocks.
#[derive(Debug, Default)]
pub struct CudaScoredAttentionScratch {
    d_mixed: Store,
    d_qkv: Store,
    d_norm: Store,
    /// Products of the output and its gradient, `[rows, heads]`.
    dots: Store,
    /// Parts of the gradient of `tau`, `[blocks, heads]`.
    d_tau: Store,
}

/// A softmax or a Hamming attention along the ray, as the kernels see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoredAttention<'a> {
    pub norm: &'a LayerNorm,
    pub qkv: &'a Linear,
    /// `[heads]`: factor on the scores of codes. Without it the scores are products of the queries and keys themselves.
    pub tau: Option<Slot>,
    pub out: &'a Linear,
    pub heads: usize,
}

impl ScoredAttention<'_> {
    /// What tape and scratch hold.
    pub fn cuda_footprints(&self) -> Footprints {
        let (width, heads) = (self.out.inputs, self.heads);
        Footprints {
            tape: self.norm.cuda_footprint() + Footprint::sample(4 * width + 2 * heads),
            scratch: Footprint::sample(5 * width + heads),
        }
    }
}

/// Sizes of one attention.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    rays: usize,
    samples: usize,
    heads: usize,
    /// Channels of a head.
    channels: usize,
    /// Channels of a head with the zeros that the kernel adds.
    padded: usize,
}

impl Sizes {
    fn new(layer: &ScoredAttention, samples: usize, values: usize) -> Result<Self> {
        let (width, heads) = (layer.out.inputs, layer.heads);
        assert!(samples > 0 && values.is_multiple_of(samples * width), "{values} values, rays of {samples} x {width}");
        let channels = width / heads;
        assert_eq!(channels * heads, width, "{heads} heads of {channels} channels");
        if channels > 128 {
            let problem = format!("heads of at most 128 channels expected, found {channels}");
            return Err(CudaError::Kernels { label: "training/ray_attention.cu".into(), problem });
        }
        let padded = channels.next_power_of_two().max(8);
        Ok(Self { rays: values / (samples * width), samples, heads, channels, padded })
    }

    fn rows(&self) -> usize {
        self.rays * self.samples
    }

    /// Threads that share a row of a head.
    fn lanes(&self) -> usize {
        self.padded.div_ceil(32)
    }

    /// Threads of a block.
    fn threads(&self) -> usize {
        (self.samples * self.lanes()).next_multiple_of(32).min(128)
    }

    /// Blocks along a ray.
    fn tiles(&self) -> usize {
        self.samples.div_ceil(self.threads() / self.lanes())
    }

    fn launch(&self) -> Launch {
        Launch::new(self.rays * self.heads * self.tiles(), self.threads() as u32)
    }

    fn kernel(&self, pass: &str, tau: Option<Slot>) -> String {
        format!("training_{}_{pass}_{}", if tau.is_some() { "hamming" } else { "attention" }, self.padded)
    }

    fn args(&self, params: &Buffer<f32>, tau: Option<Slot>, qkv: &Store) -> Args {
        Args::new()
            .buffer(qkv.buffer())
            .value(tau.map_or(0u64, |tau| Slice::of(params, tau).address()))
            .int(self.samples)
            .int(self.heads)
            .int(self.channels)
    }
}

impl Ops {
    /// Adds the attention's output to `x` `[rays, samples, width]`.
    ///
    /// # Panics
    /// If `x` is not whole rays.
    ///
    /// # Errors
    /// [`CudaError::Kernels`] for heads of more than 128 channels, and if the device fails.
    pub(crate) fn scored_attention(
        &self,
        layer: ScoredAttention,
        params: &Buffer<f32>,
        samples: usize,
        x: SliceMut,
        tape: &mut CudaScoredAttentionTape,
    ) -> Result<()> {
        let sizes = Sizes::new(&layer, samples, x.len())?;
        self.layer_norm(layer.norm, params, x.slice(), &mut tape.norm)?;
        tape.qkv.resize(&self.device, 3 * x.len())?;
        tape.mixed.resize(&self.device, x.len())?;
        tape.stats.resize(&self.device, sizes.rows() * sizes.heads * 2)?;
        if x.is_empty() {
            return Ok(());
        }
        self.linear(layer.qkv, params, &tape.norm.y, &mut tape.qkv, false, false)?;
        let args = sizes.args(params, layer.tau, &tape.qkv).buffer(tape.mixed.buffer()).buffer(tape.stats.buffer());
        // SAFETY: the tape's parts were just made for these sizes, and `tau` has one value a head.
        unsafe { self.module(KERNELS)?.launch(&sizes.kernel("forward", layer.tau), &sizes.launch(), args)? };
        self.linear(layer.out, params, &tape.mixed, x, true, false)
    }

    /// Turns the gradient of [`Ops::scored_attention`]'s output into that of its input, in place in `dx`
    /// `[rays, samples, width]`. Gradients pass the signs of codes by the straight-through rule of [`crate::codes`].
    ///
    /// # Panics
    /// If the sizes differ from the forward pass.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn scored_attention_backward(
        &self,
        layer: ScoredAttention,
        params: &Buffer<f32>,
        samples: usize,
        tape: &CudaScoredAttentionTape,
        dx: SliceMut,
        scratch: &mut CudaScoredAttentionScratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        assert_eq!(dx.len(), tape.mixed.len(), "gradient and forward pass differ in size");
        let sizes = Sizes::new(&layer, samples, dx.len())?;
        assert_eq!(tape.stats.len(), sizes.rows() * sizes.heads * 2, "heads differ from the forward pass");
        if dx.is_empty() {
            return Ok(());
        }
        let CudaScoredAttentionScratch { d_mixed, d_qkv, d_norm, dots, d_tau } = scratch;
        d_mixed.resize(&self.device, dx.len())?;
        d_qkv.resize(&self.device, tape.qkv.len())?;
        dots.resize(&self.device, sizes.rows() * sizes.heads)?;
        self.linear_backward(layer.out, params, &tape.mixed, dx.slice(), Some((d_mixed.slice_mut(), false)), grads)?;

        d_tau.resize(&self.device, if layer.tau.is_some() { sizes.rays * sizes.tiles() * sizes.heads } else { 1 })?;
        let args = || {
            let args = sizes.args(params, layer.tau, &tape.qkv).buffer(tape.stats.buffer());
            args.buffer(d_mixed.buffer()).buffer(dots.buffer()).buffer(d_qkv.buffer())
        };
        // SAFETY: tape and scratch have these sizes (checked or just made); the first pass writes the products that the
        // second reads, and they write different thirds of d_qkv; `d_tau` has one value a block.
        unsafe {
            let queries = args().buffer(tape.mixed.buffer()).buffer(d_tau.buffer());
            self.module(KERNELS)?.launch(&sizes.kernel("queries", layer.tau), &sizes.launch(), queries)?;
            self.module(KERNELS)?.launch(&sizes.kernel("others", layer.tau), &sizes.launch(), args())?;
        }
        if let Some(tau) = layer.tau {
            self.column_sums(&*d_tau, SliceMut::of(grads, tau))?;
        }
        d_norm.resize(&self.device, dx.len())?;
        self.linear_backward(layer.qkv, params, &tape.norm.y, &*d_qkv, Some((d_norm.slice_mut(), false)), grads)?;
        self.layer_norm_backward(layer.norm, params, &tape.norm, &*d_norm, dx, grads)
    }

    /// Writes the head-averaged attention of the first sample of each ray to `weights` `[rays, samples]`.
    ///
    /// # Panics
    /// If the sizes differ from the forward pass.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn scored_attention_first_rows(
        &self,
        layer: ScoredAttention,
        params: &Buffer<f32>,
        samples: usize,
        tape: &CudaScoredAttentionTape,
        weights: SliceMut,
    ) -> Result<()> {
        let sizes = Sizes::new(&layer, samples, tape.mixed.len())?;
        assert_eq!(weights.len(), sizes.rows(), "weights of {} rays of {samples} samples", sizes.rays);
        if weights.is_empty() {
            return Ok(());
        }
        let args = sizes.args(params, layer.tau, &tape.qkv).buffer(tape.stats.buffer()).value(weights.address());
        // SAFETY: the tape has these sizes (checked), and the weights one value a row.
        unsafe { self.module(KERNELS)?.launch("training_attention_first_rows", &Launch::new(sizes.rays, 64), args) }
    }
}

#[cfg(test)]
#[path = "scored_tests.rs"]
mod tests;
