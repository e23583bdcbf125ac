//! Training of Hamming view attention on a CUDA device.

use super::HammingViewAttention;
use crate::cuda::{Epilogue, Footprint, Footprints, Matrix, MatrixMut, MoreArgs, Ops, Slice, SliceMut, Store, warps};
use crate::layer_norm::cuda::CudaLayerNormTape;
use crate::view_attention::cuda_tokens::CudaViewTokens;
use compute::cuda::{Args, Buffer, Launch, Result};

/// The file of the kernels.
const KERNELS: &str = "training/hamming_views.cu";

/// What the backward pass needs from the forward pass; as [`super::train::HammingViewAttentionTape`], without the codes,
/// which are the signs of the projections.
#[derive(Debug, Default)]
pub struct CudaHammingViewAttentionTape {
    norm: CudaLayerNormTape,
    query: Store,
    key: Store,
    direction: Store,
    scores: Store,
    weights: Store,
    blended: Store,
    mixed: Store,
}

/// Buffers of the backward pass, shared by all blocks.
#[derive(Debug, Default)]
pub struct CudaHammingViewAttentionScratch {
    d_mixed: Store,
    d_blended: Store,
    d_query: Store,
    d_key: Store,
    d_logits: Store,
    d_direction: Store,
    d_tau: Store,
    d_norm: Store,
}

/// Sizes of a layer on a chunk.
#[derive(Clone, Copy)]
struct Sizes {
    samples: usize,
    views: usize,
    pairs: usize,
    c: usize,
    h: usize,
    heads: usize,
    /// Channels of a head.
    d: usize,
    /// Columns of a head's blend.
    width: usize,
}

impl Sizes {
    fn new(layer: &HammingViewAttention, tokens: &CudaViewTokens) -> Self {
        let (c, h, heads) = (layer.out.inputs, layer.direction.outputs, layer.heads);
        // The kernels give each lane two heads.
        assert!(heads <= 64, "at most 64 heads, found {heads}");
        let (samples, views, pairs) = (tokens.samples, tokens.views, tokens.pairs());
        Self { samples, views, pairs, c, h, heads, d: c / heads, width: c + h }
    }

    fn ints(&self) -> [usize; 5] {
        [self.samples, self.views, self.c, self.heads, self.h]
    }

    fn blend_of<'a>(&self, blended: &'a Store, head: usize) -> Matrix<'a> {
        let all = blended.slice();
        Matrix::strided(all.part(head * self.width..all.len()), self.samples, self.width, self.heads * self.width)
    }

    fn blend_of_mut<'a>(&self, blended: &'a mut Store, head: usize) -> MatrixMut<'a> {
        let len = blended.len();
        let part = blended.slice_mut().part(head * self.width..len);
        MatrixMut::strided(part, self.samples, self.width, self.heads * self.width)
    }

    /// The channels of `head` in `rows` rows of C.
    fn channels_of<'a>(&self, from: Slice<'a>, head: usize, rows: usize) -> Matrix<'a> {
        Matrix::strided(from.part(head * self.d..from.len()), rows, self.d, self.c)
    }

    fn channels_of_mut<'a>(&self, to: SliceMut<'a>, head: usize, rows: usize) -> MatrixMut<'a> {
        let len = to.len();
        MatrixMut::strided(to.part(head * self.d..len), rows, self.d, self.c)
    }
}

impl HammingViewAttention {
    /// What tape and scratch hold.
    pub fn cuda_footprints(&self) -> Footprints {
        let (c, h, heads) = (self.out.inputs, self.direction.outputs, self.heads);
        let blend = heads * (c + h);
        Footprints {
            tape: self.norm.cuda_footprint() + Footprint { sample: 2 * c + blend, pair: c + h + 2 * heads },
            scratch: Footprint { sample: 3 * c + blend + heads, pair: c + h + heads },
        }
    }
}

impl Ops {
    /// As [`HammingViewAttention::forward`]: adds the block's output to `q` `[samples, C]`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn hamming_view_attention(
        &self,
        layer: &HammingViewAttention,
        params: &Buffer<f32>,
        tokens: &CudaViewTokens,
        q: &mut Store,
        tape: &mut CudaHammingViewAttentionTape,
    ) -> Result<()> {
        let (sizes, device) = (Sizes::new(layer, tokens), &self.device);
        let Sizes { samples, pairs, c, heads, width, .. } = sizes;
        assert_eq!(tokens.keys.len(), pairs * c, "key tokens of {pairs} pairs");
        self.layer_norm(&layer.norm, params, &*q, &mut tape.norm)?;
        tape.query.resize(device, samples * c)?;
        tape.key.resize(device, pairs * c)?;
        tape.scores.resize(device, pairs * heads)?;
        tape.weights.resize(device, pairs * heads)?;
        tape.blended.resize(device, samples * heads * width)?;
        tape.mixed.resize(device, samples * c)?;
        self.linear(&layer.query, params, &tape.norm.y, &mut tape.query, false, false)?;
        self.linear(&layer.key, params, &tokens.keys, &mut tape.key, false, false)?;
        self.hidden_direction(&layer.direction, params, tokens, &mut tape.direction)?;
        let (bias, tau) = (Slice::of(params, layer.bias.weight), Slice::of(params, layer.tau));
        let args = Args::new().store(&tape.query).store(&tape.key).store(&tape.direction).slice(bias).slice(tau);
        let args = args.store(&tokens.mask).store(&tape.scores).store(&tape.weights).ints(sizes.ints());
        let blend = Args::new().store(&tape.weights).store(&tokens.tokens).store(&tape.direction).store(&tape.blended);
        // SAFETY: the tape's parts were just made for these sizes; `bias` is h → heads and `tau` has a value a head.
        unsafe {
            self.module(KERNELS)?.launch("hamming_views_weigh", &warps(samples), args)?;
            let launch = Launch::each(samples * width);
            self.module(KERNELS)?.launch("hamming_views_blend", &launch, blend.ints(sizes.ints()))?;
        }
        for head in 0..heads {
            let value = sizes.channels_of(Slice::of(params, layer.value.weight), head, width);
            let to = sizes.channels_of_mut(tape.mixed.slice_mut(), head, samples);
            self.product(sizes.blend_of(&tape.blended, head), value, to, Epilogue::default())?;
        }
        self.linear(&layer.out, params, &tape.mixed, q, true, false)
    }

    /// As [`HammingViewAttention::backward`]: turns the gradient of the output into that of the input, in place in `dq`
    /// `[samples, C]`, and adds the gradients of tokens and keys to `tokens.d_tokens` and `tokens.d_keys`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn hamming_view_attention_backward(
        &self,
        layer: &HammingViewAttention,
        params: &Buffer<f32>,
        tokens: &mut CudaViewTokens,
        tape: &CudaHammingViewAttentionTape,
        dq: &mut Store,
        scratch: &mut CudaHammingViewAttentionScratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (sizes, device) = (Sizes::new(layer, tokens), &self.device);
        let Sizes { samples, views, pairs, c, h, heads, width, .. } = sizes;
        let s = scratch;
        s.d_mixed.resize(device, samples * c)?;
        s.d_blended.resize(device, tape.blended.len())?;
        s.d_query.resize(device, samples * c)?;
        s.d_key.resize(device, pairs * c)?;
        s.d_logits.resize(device, pairs * heads)?;
        s.d_direction.resize(device, pairs * h)?;
        s.d_tau.resize(device, samples * heads)?;
        s.d_norm.resize(device, samples * c)?;
        self.linear_backward(&layer.out, params, &tape.mixed, &*dq, Some((s.d_mixed.slice_mut(), false)), grads)?;
        for head in 0..heads {
            let d_mixed = sizes.channels_of(s.d_mixed.slice(), head, samples);
            let d_value = sizes.channels_of_mut(SliceMut::of(grads, layer.value.weight), head, width);
            self.product(sizes.blend_of(&tape.blended, head).t(), d_mixed, d_value, Epilogue::add())?;
            let value = sizes.channels_of(Slice::of(params, layer.value.weight), head, width);
            self.product(d_mixed, value.t(), sizes.blend_of_mut(&mut s.d_blended, head), Epilogue::default())?;
        }
        let args = Args::new().store(&tape.weights).store(&tape.scores).store(&tokens.tokens).store(&tape.direction);
        let args = args.store(&s.d_blended).store(&tokens.mask).store(&tokens.d_tokens).store(&s.d_direction);
        let args = args.store(&s.d_logits).store(&s.d_tau).ints(sizes.ints());
        let tau = Slice::of(params, layer.tau);
        let codes = Args::new().store(&tape.query).store(&tape.key).slice(tau).store(&s.d_logits);
        let codes = codes.store(&s.d_query).store(&s.d_key).ints([samples, views, c, heads]);
        // SAFETY: the tape has these sizes, the scratch was just made for them, and d_tokens has the size of the tokens.
        unsafe {
            self.module(KERNELS)?.launch("hamming_views_blend_backward", &warps(samples), args)?;
            self.module(KERNELS)?.launch("hamming_views_codes_backward", &Launch::each(samples * c), codes)?;
        }
        self.column_sums(&s.d_tau, SliceMut::of(grads, layer.tau))?;
        let d_keys = Some((tokens.d_keys.slice_mut(), true));
        self.linear_backward(&layer.key, params, &tokens.keys, &s.d_key, d_keys, grads)?;
        let dx = Some((s.d_norm.slice_mut(), false));
        self.linear_backward(&layer.query, params, &tape.norm.y, &s.d_query, dx, grads)?;
        self.layer_norm_backward(&layer.norm, params, &tape.norm, &s.d_norm, dq, grads)?;
        let dx = Some((s.d_direction.slice_mut(), true));
        self.linear_backward(&layer.bias, params, &tape.direction, &s.d_logits, dx, grads)?;
        self.relu_backward(&tape.direction, &mut s.d_direction)?;
        self.linear_backward(&layer.direction, params, &tokens.directions, &s.d_direction, None, grads)
    }
}
