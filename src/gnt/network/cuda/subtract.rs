//! View attention by subtraction.

use super::kernels::{Kernels, MoreArgs, weight_and_bias};
use super::tokens::CudaTokens;
use layers::cuda::{Epilogue, LayerNormTape, Matrix, MatrixMut, Store, View, ViewMut};
use layers::linear::Linear;
use layers::view_attention::ViewAttention;
use tensor::cuda::{Args, Buffer, Launch, Result};

/// What the backward pass needs from the forward pass; as [`layers::view_attention::ViewAttentionTape`].
#[derive(Debug, Default)]
pub(super) struct SubtractTape {
    norm: LayerNormTape,
    direction: Store,
    mixed: Store,
    hidden: Store,
    weights: Store,
    blended: Store,
}

/// Buffers of both passes, shared by all blocks.
#[derive(Debug, Default)]
pub(super) struct SubtractScratch {
    query: Store,
    d_blended: Store,
    d_logits: Store,
    d_hidden: Store,
    d_mixed: Store,
    d_direction: Store,
    d_norm: Store,
}

/// `out = relu(direction · W + b)`, `[pairs, H]`.
pub(super) fn hidden_direction(
    kernels: &Kernels,
    layer: &Linear,
    params: &Buffer<f32>,
    tokens: &CudaTokens,
    out: &mut Store,
) -> Result<()> {
    let (pairs, hidden) = (tokens.pairs(), layer.outputs);
    out.resize(kernels.device(), pairs * hidden)?;
    let (weight, bias) = weight_and_bias(layer, params);
    let args = Args::new().store(&tokens.directions).view(weight).view(bias).store(out).ints([pairs, hidden]);
    // SAFETY: four values a pair, and a layer of 4 → hidden.
    unsafe { kernels.view_attention.launch("views_direction", &Launch::each(pairs * hidden), args) }
}

/// Sizes of a layer on a chunk.
#[derive(Clone, Copy)]
struct Sizes {
    samples: usize,
    views: usize,
    pairs: usize,
    c: usize,
    h: usize,
}

impl Sizes {
    fn new(layer: &ViewAttention, tokens: &CudaTokens) -> Self {
        let (c, h) = (layer.out.inputs, layer.query.outputs);
        Self { samples: tokens.count(), views: tokens.views, pairs: tokens.pairs(), c, h }
    }

    /// What kernels of one thread a channel of a sample take.
    fn of_samples(&self) -> [usize; 4] {
        [self.samples, self.views, self.c, self.h]
    }
}

/// Adds the layer's output to `q` `[T, C]`.
pub(super) fn forward(
    kernels: &Kernels,
    layer: &ViewAttention,
    params: &Buffer<f32>,
    tokens: &CudaTokens,
    q: &mut Store,
    tape: &mut SubtractTape,
    scratch: &mut SubtractScratch,
) -> Result<()> {
    let (sizes, ops, device) = (Sizes::new(layer, tokens), &kernels.ops, kernels.device());
    let Sizes { samples, views, pairs, c, h } = sizes;
    ops.layer_norm(&layer.norm, params, &*q, &mut tape.norm)?;
    scratch.query.resize(device, samples * h)?;
    ops.linear(&layer.query, params, &tape.norm.y, &mut scratch.query, false, false)?;
    hidden_direction(kernels, &layer.direction, params, tokens, &mut tape.direction)?;
    tape.mixed.resize(device, pairs * (c + h))?;
    tape.hidden.resize(device, pairs * h)?;
    tape.weights.resize(device, pairs * c)?;
    tape.blended.resize(device, samples * c)?;

    // Tokens and directions are not joined in memory: each meets its own rows of the weights.
    let (weight, bias) = weight_and_bias(&layer.mix, params);
    let [upper, lower] = halves(weight, c, h);
    let how = Epilogue { bias: Some(bias), ..Epilogue::default() };
    let (from, to) = (Matrix::new(&tokens.tokens, pairs, c), MatrixMut::new(&mut tape.mixed, pairs, c + h));
    ops.product(from, upper, to, how)?;
    let (from, to) = (Matrix::new(&tape.direction, pairs, h), MatrixMut::new(&mut tape.mixed, pairs, c + h));
    ops.product(from, lower, to, Epilogue::add())?;

    let args = Args::new().store(&tape.mixed).store(&scratch.query).store(&tape.hidden).ints([pairs, views, c, h]);
    let logits = View::of(params, layer.logits.weight);
    let attend = Args::new().store(&tape.mixed).store(&tape.hidden).view(logits).store(&tokens.mask);
    let attend = attend.store(&tape.weights).store(&tape.blended).ints(sizes.of_samples());
    // SAFETY: the tape's parts were just made for these sizes; the query has h values a sample, the layer is h → c.
    unsafe {
        kernels.view_attention.launch("views_hidden", &Launch::each(pairs * h), args)?;
        kernels.view_attention.launch("views_attend", &Launch::each(samples * c), attend)?;
    }
    ops.linear(&layer.out, params, &tape.blended, q, true, false)
}

/// The rows of `mix` that meet the tokens, and those that meet the directions.
fn halves(weight: View, c: usize, h: usize) -> [Matrix; 2] {
    let (upper, lower) = (weight.slice(0..c * (c + h)), weight.slice(c * (c + h)..(c + h) * (c + h)));
    [Matrix::new(upper, c, c + h), Matrix::new(lower, h, c + h)]
}

/// Turns the gradient of the output into that of the input, in place in `dq` `[T, C]`, and adds the tokens' gradient.
pub(super) fn backward(
    kernels: &Kernels,
    layer: &ViewAttention,
    params: &Buffer<f32>,
    tokens: &mut CudaTokens,
    tape: &SubtractTape,
    dq: &mut Store,
    scratch: &mut SubtractScratch,
    grads: &mut Buffer<f32>,
) -> Result<()> {
    let (sizes, ops, device) = (Sizes::new(layer, tokens), &kernels.ops, kernels.device());
    let Sizes { samples, views: _, pairs, c, h } = sizes;
    let s = scratch;
    s.d_blended.resize(device, samples * c)?;
    s.d_logits.resize(device, pairs * c)?;
    s.d_hidden.resize(device, pairs * h)?;
    s.d_mixed.resize(device, pairs * (c + h))?;
    s.d_direction.resize(device, pairs * h)?;
    s.d_norm.resize(device, samples * c)?;
    s.query.resize(device, samples * h)?;
    let dx = Some((s.d_blended.view_mut(), false));
    ops.linear_backward(&layer.out, params, &tape.blended, &*dq, dx, grads)?;
    let args = Args::new().store(&tape.weights).store(&tape.mixed).store(&tape.blended).store(&s.d_blended);
    let args = args.store(&tokens.mask).store(&s.d_mixed).store(&s.d_logits).ints(sizes.of_samples());
    // SAFETY: the tape has these sizes, and the scratch was just made for them.
    unsafe { kernels.view_attention.launch("views_attend_backward", &Launch::each(samples * c), args)? };
    let dx = Some((s.d_hidden.view_mut(), false));
    ops.linear_backward(&layer.logits, params, &tape.hidden, &s.d_logits, dx, grads)?;
    // The query reaches every view of its sample with the sign -1.
    let args = Args::new().store(&tape.hidden).store(&s.d_hidden).store(&s.d_mixed).store(&s.query);
    // SAFETY: as above; the query's gradient has h values a sample.
    unsafe {
        let args = args.ints(sizes.of_samples());
        kernels.view_attention.launch("views_hidden_backward", &Launch::each(samples * h), args)?
    };
    let dx = Some((s.d_norm.view_mut(), false));
    ops.linear_backward(&layer.query, params, &tape.norm.y, &s.query, dx, grads)?;
    ops.layer_norm_backward(&layer.norm, params, &tape.norm, &s.d_norm, dq, grads)?;

    let d_mixed = Matrix::new(&s.d_mixed, pairs, c + h);
    let (split, end) = (c * (c + h), (c + h) * (c + h));
    for (x, width, range) in [(&tokens.tokens, c, 0..split), (&tape.direction, h, split..end)] {
        let to = MatrixMut::new(ViewMut::of(grads, layer.mix.weight).slice(range), width, c + h);
        ops.product(Matrix::new(x, pairs, width).t(), d_mixed, to, Epilogue::add())?;
    }
    ops.column_sums(&s.d_mixed, ViewMut::of(grads, layer.mix.bias.expect("the mix layer has a bias")))?;
    let [upper, lower] = halves(View::of(params, layer.mix.weight), c, h);
    ops.product(d_mixed, upper.t(), MatrixMut::new(&mut tokens.d_tokens, pairs, c), Epilogue::add())?;
    ops.product(d_mixed, lower.t(), MatrixMut::new(&mut s.d_direction, pairs, h), Epilogue::default())?;
    ops.relu_backward(&tape.direction, &mut s.d_direction)?;
    ops.linear_backward(&layer.direction, params, &tokens.directions, &s.d_direction, None, grads)
}
