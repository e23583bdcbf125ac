//! View attention on binary codes.

use super::kernels::{Kernels, MoreArgs, warps};
use super::subtract::hidden_direction;
use super::tokens::CudaTokens;
use layers::cuda::{Epilogue, LayerNormTape, Matrix, MatrixMut, Store, View, ViewMut};
use layers::hamming_view_attention::HammingViewAttention;
use tensor::cuda::{Args, Buffer, Launch, Result};

/// What the backward pass needs from the forward pass; as
/// [`layers::hamming_view_attention::HammingViewAttentionTape`], without the codes, which are the signs of the
/// projections.
#[derive(Debug, Default)]
pub(super) struct HammingTape {
    norm: LayerNormTape,
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
pub(super) struct HammingScratch {
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
    fn new(layer: &HammingViewAttention, tokens: &CudaTokens) -> Self {
        let (c, h, heads) = (layer.out.inputs, layer.direction.outputs, layer.heads);
        // The kernels give each lane two heads.
        assert!(heads <= 64, "at most 64 heads, found {heads}");
        let (samples, views, pairs) = (tokens.count(), tokens.views, tokens.pairs());
        Self { samples, views, pairs, c, h, heads, d: c / heads, width: c + h }
    }

    fn ints(&self) -> [usize; 5] {
        [self.samples, self.views, self.c, self.heads, self.h]
    }

    fn blend_of<'a>(&self, blended: &'a Store, head: usize) -> Matrix<'a> {
        let view = blended.view();
        Matrix::strided(view.slice(head * self.width..view.len()), self.samples, self.width, self.heads * self.width)
    }

    fn blend_of_mut<'a>(&self, blended: &'a mut Store, head: usize) -> MatrixMut<'a> {
        let len = blended.len();
        let view = blended.view_mut().slice(head * self.width..len);
        MatrixMut::strided(view, self.samples, self.width, self.heads * self.width)
    }

    /// The channels of `head` in `rows` rows of C.
    fn channels_of<'a>(&self, view: View<'a>, head: usize, rows: usize) -> Matrix<'a> {
        Matrix::strided(view.slice(head * self.d..view.len()), rows, self.d, self.c)
    }

    fn channels_of_mut<'a>(&self, view: ViewMut<'a>, head: usize, rows: usize) -> MatrixMut<'a> {
        let len = view.len();
        MatrixMut::strided(view.slice(head * self.d..len), rows, self.d, self.c)
    }
}

/// Adds the layer's output to `q` `[T, C]`.
pub(super) fn forward(
    kernels: &Kernels,
    layer: &HammingViewAttention,
    params: &Buffer<f32>,
    tokens: &CudaTokens,
    q: &mut Store,
    tape: &mut HammingTape,
) -> Result<()> {
    let (sizes, ops, device) = (Sizes::new(layer, tokens), &kernels.ops, kernels.device());
    let Sizes { samples, pairs, c, heads, width, .. } = sizes;
    assert_eq!(tokens.keys.len(), pairs * c, "key tokens of {pairs} pairs");
    ops.layer_norm(&layer.norm, params, &*q, &mut tape.norm)?;
    tape.query.resize(device, samples * c)?;
    tape.key.resize(device, pairs * c)?;
    tape.scores.resize(device, pairs * heads)?;
    tape.weights.resize(device, pairs * heads)?;
    tape.blended.resize(device, samples * heads * width)?;
    tape.mixed.resize(device, samples * c)?;
    ops.linear(&layer.query, params, &tape.norm.y, &mut tape.query, false, false)?;
    ops.linear(&layer.key, params, &tokens.keys, &mut tape.key, false, false)?;
    hidden_direction(kernels, &layer.direction, params, tokens, &mut tape.direction)?;
    let (bias, tau) = (View::of(params, layer.bias.weight), View::of(params, layer.tau));
    let args = Args::new().store(&tape.query).store(&tape.key).store(&tape.direction).view(bias).view(tau);
    let args = args.store(&tokens.mask).store(&tape.scores).store(&tape.weights).ints(sizes.ints());
    let blend = Args::new().store(&tape.weights).store(&tokens.tokens).store(&tape.direction).store(&tape.blended);
    // SAFETY: the tape's parts were just made for these sizes; `bias` is h → heads and `tau` has a value a head.
    unsafe {
        kernels.hamming_views.launch("hamming_views_weigh", &warps(samples), args)?;
        let launch = Launch::each(samples * width);
        kernels.hamming_views.launch("hamming_views_blend", &launch, blend.ints(sizes.ints()))?;
    }
    for head in 0..heads {
        let value = sizes.channels_of(View::of(params, layer.value.weight), head, width);
        let to = sizes.channels_of_mut(tape.mixed.view_mut(), head, samples);
        ops.product(sizes.blend_of(&tape.blended, head), value, to, Epilogue::default())?;
    }
    ops.linear(&layer.out, params, &tape.mixed, q, true, false)
}

/// Turns the gradient of the output into that of the input, in place in `dq` `[T, C]`, and adds the gradients of tokens
/// and key tokens.
pub(super) fn backward(
    kernels: &Kernels,
    layer: &HammingViewAttention,
    params: &Buffer<f32>,
    tokens: &mut CudaTokens,
    tape: &HammingTape,
    dq: &mut Store,
    scratch: &mut HammingScratch,
    grads: &mut Buffer<f32>,
) -> Result<()> {
    let (sizes, ops, device) = (Sizes::new(layer, tokens), &kernels.ops, kernels.device());
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
    ops.linear_backward(&layer.out, params, &tape.mixed, &*dq, Some((s.d_mixed.view_mut(), false)), grads)?;
    for head in 0..heads {
        let d_mixed = sizes.channels_of(s.d_mixed.view(), head, samples);
        let d_value = sizes.channels_of_mut(ViewMut::of(grads, layer.value.weight), head, width);
        ops.product(sizes.blend_of(&tape.blended, head).t(), d_mixed, d_value, Epilogue::add())?;
        let value = sizes.channels_of(View::of(params, layer.value.weight), head, width);
        ops.product(d_mixed, value.t(), sizes.blend_of_mut(&mut s.d_blended, head), Epilogue::default())?;
    }
    let args = Args::new().store(&tape.weights).store(&tape.scores).store(&tokens.tokens).store(&tape.direction);
    let args = args.store(&s.d_blended).store(&tokens.mask).store(&tokens.d_tokens).store(&s.d_direction);
    let args = args.store(&s.d_logits).store(&s.d_tau).ints(sizes.ints());
    let tau = View::of(params, layer.tau);
    let codes = Args::new().store(&tape.query).store(&tape.key).view(tau).store(&s.d_logits);
    let codes = codes.store(&s.d_query).store(&s.d_key).ints([samples, views, c, heads]);
    // SAFETY: the tape has these sizes, the scratch was just made for them, and d_tokens has the size of the tokens.
    unsafe {
        kernels.hamming_views.launch("hamming_views_blend_backward", &warps(samples), args)?;
        kernels.hamming_views.launch("hamming_views_codes_backward", &Launch::each(samples * c), codes)?;
    }
    ops.column_sums(&s.d_tau, ViewMut::of(grads, layer.tau))?;
    let d_keys = Some((tokens.d_keys.view_mut(), true));
    ops.linear_backward(&layer.key, params, &tokens.keys, &s.d_key, d_keys, grads)?;
    let dx = Some((s.d_norm.view_mut(), false));
    ops.linear_backward(&layer.query, params, &tape.norm.y, &s.d_query, dx, grads)?;
    ops.layer_norm_backward(&layer.norm, params, &tape.norm, &s.d_norm, dq, grads)?;
    let dx = Some((s.d_direction.view_mut(), true));
    ops.linear_backward(&layer.bias, params, &tape.direction, &s.d_logits, dx, grads)?;
    ops.relu_backward(&tape.direction, &mut s.d_direction)?;
    ops.linear_backward(&layer.direction, params, &tokens.directions, &s.d_direction, None, grads)
}
