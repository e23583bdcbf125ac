//! Training of view attention by subtraction on a CUDA device.

use super::SubtractionAttention;
use crate::cuda::{Epilogue, Footprint, Footprints, Matrix, MatrixMut, MoreArgs, Ops, Slice, SliceMut, Store};
use crate::layer_norm::cuda::CudaLayerNormTape;
use crate::linear::cuda::weight_and_bias;
use crate::view_attention::cuda_tokens::CudaViewTokens;
use compute::cuda::{Args, Buffer, Launch, Result};

/// The file of the kernels.
const KERNELS: &str = "training/view_attention.cu";

/// What the backward pass needs from the forward pass; as [`super::train::SubtractionAttentionTape`].
#[derive(Debug, Default)]
pub struct CudaSubtractionAttentionTape {
    norm: CudaLayerNormTape,
    direction: Store,
    mixed: Store,
    hidden: Store,
    weights: Store,
    blended: Store,
}

/// Buffers of both passes, shared by all blocks.
#[derive(Debug, Default)]
pub struct CudaSubtractionAttentionScratch {
    query: Store,
    d_blended: Store,
    d_logits: Store,
    d_hidden: Store,
    d_mixed: Store,
    d_direction: Store,
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
}

impl Sizes {
    fn new(layer: &SubtractionAttention, tokens: &CudaViewTokens) -> Self {
        let (c, h) = (layer.out.inputs, layer.query.outputs);
        Self { samples: tokens.samples, views: tokens.views, pairs: tokens.pairs(), c, h }
    }

    /// What kernels of one thread a channel of a sample take.
    fn of_samples(&self) -> [usize; 4] {
        [self.samples, self.views, self.c, self.h]
    }
}

/// The rows of `mix` that meet the tokens, and those that meet the directions.
fn halves(weight: Slice, c: usize, h: usize) -> [Matrix; 2] {
    let (upper, lower) = (weight.part(0..c * (c + h)), weight.part(c * (c + h)..(c + h) * (c + h)));
    [Matrix::new(upper, c, c + h), Matrix::new(lower, h, c + h)]
}

impl SubtractionAttention {
    /// What tape and scratch hold.
    pub fn cuda_footprints(&self) -> Footprints {
        let (c, h) = (self.out.inputs, self.query.outputs);
        let pair = 2 * c + 3 * h;
        Footprints {
            tape: self.norm.cuda_footprint() + Footprint { sample: c, pair },
            scratch: Footprint { sample: 2 * c + h, pair },
        }
    }
}

impl Ops {
    /// As [`SubtractionAttention::forward`]: adds the block's output to `q` `[samples, C]`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn subtraction_attention(
        &self,
        layer: &SubtractionAttention,
        params: &Buffer<f32>,
        tokens: &CudaViewTokens,
        q: &mut Store,
        tape: &mut CudaSubtractionAttentionTape,
        scratch: &mut CudaSubtractionAttentionScratch,
    ) -> Result<()> {
        let (sizes, device) = (Sizes::new(layer, tokens), &self.device);
        let Sizes { samples, views, pairs, c, h } = sizes;
        self.layer_norm(&layer.norm, params, &*q, &mut tape.norm)?;
        scratch.query.resize(device, samples * h)?;
        self.linear(&layer.query, params, &tape.norm.y, &mut scratch.query, false, false)?;
        self.hidden_direction(&layer.direction, params, tokens, &mut tape.direction)?;
        tape.mixed.resize(device, pairs * (c + h))?;
        tape.hidden.resize(device, pairs * h)?;
        tape.weights.resize(device, pairs * c)?;
        tape.blended.resize(device, samples * c)?;

        // Tokens and directions are not joined in memory: each meets its own rows of the weights.
        let (weight, bias) = weight_and_bias(&layer.mix, params);
        let [upper, lower] = halves(weight, c, h);
        let how = Epilogue { bias: Some(bias), ..Epilogue::default() };
        let (from, to) = (Matrix::new(&tokens.tokens, pairs, c), MatrixMut::new(&mut tape.mixed, pairs, c + h));
        self.product(from, upper, to, how)?;
        let (from, to) = (Matrix::new(&tape.direction, pairs, h), MatrixMut::new(&mut tape.mixed, pairs, c + h));
        self.product(from, lower, to, Epilogue::add())?;

        let args = Args::new().store(&tape.mixed).store(&scratch.query).store(&tape.hidden).ints([pairs, views, c, h]);
        let logits = Slice::of(params, layer.logits.weight);
        let attend = Args::new().store(&tape.mixed).store(&tape.hidden).slice(logits).store(&tokens.mask);
        let attend = attend.store(&tape.weights).store(&tape.blended).ints(sizes.of_samples());
        // SAFETY: the tape's parts were just made for these sizes; the query has h values a sample, the layer is h → c.
        unsafe {
            self.module(KERNELS)?.launch("views_hidden", &Launch::each(pairs * h), args)?;
            self.module(KERNELS)?.launch("views_attend", &Launch::each(samples * c), attend)?;
        }
        self.linear(&layer.out, params, &tape.blended, q, true, false)
    }

    /// As [`SubtractionAttention::backward`]: turns the gradient of the output into that of the input, in place in `dq`
    /// `[samples, C]`, and adds the tokens' gradient to `tokens.d_tokens`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn subtraction_attention_backward(
        &self,
        layer: &SubtractionAttention,
        params: &Buffer<f32>,
        tokens: &mut CudaViewTokens,
        tape: &CudaSubtractionAttentionTape,
        dq: &mut Store,
        scratch: &mut CudaSubtractionAttentionScratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (sizes, device) = (Sizes::new(layer, tokens), &self.device);
        let Sizes { samples, views: _, pairs, c, h } = sizes;
        let s = scratch;
        s.d_blended.resize(device, samples * c)?;
        s.d_logits.resize(device, pairs * c)?;
        s.d_hidden.resize(device, pairs * h)?;
        s.d_mixed.resize(device, pairs * (c + h))?;
        s.d_direction.resize(device, pairs * h)?;
        s.d_norm.resize(device, samples * c)?;
        s.query.resize(device, samples * h)?;
        let dx = Some((s.d_blended.slice_mut(), false));
        self.linear_backward(&layer.out, params, &tape.blended, &*dq, dx, grads)?;
        let args = Args::new().store(&tape.weights).store(&tape.mixed).store(&tape.blended).store(&s.d_blended);
        let args = args.store(&tokens.mask).store(&s.d_mixed).store(&s.d_logits).ints(sizes.of_samples());
        // SAFETY: the tape has these sizes, and the scratch was just made for them.
        unsafe { self.module(KERNELS)?.launch("views_attend_backward", &Launch::each(samples * c), args)? };
        let dx = Some((s.d_hidden.slice_mut(), false));
        self.linear_backward(&layer.logits, params, &tape.hidden, &s.d_logits, dx, grads)?;
        // The query reaches every view of its sample with the sign −1.
        let args = Args::new().store(&tape.hidden).store(&s.d_hidden).store(&s.d_mixed).store(&s.query);
        // SAFETY: as above; the query's gradient has h values a sample.
        unsafe {
            let args = args.ints(sizes.of_samples());
            self.module(KERNELS)?.launch("views_hidden_backward", &Launch::each(samples * h), args)?
        };
        let dx = Some((s.d_norm.slice_mut(), false));
        self.linear_backward(&layer.query, params, &tape.norm.y, &s.query, dx, grads)?;
        self.layer_norm_backward(&layer.norm, params, &tape.norm, &s.d_norm, dq, grads)?;

        let d_mixed = Matrix::new(&s.d_mixed, pairs, c + h);
        let (split, end) = (c * (c + h), (c + h) * (c + h));
        for (x, width, range) in [(&tokens.tokens, c, 0..split), (&tape.direction, h, split..end)] {
            let to = MatrixMut::new(SliceMut::of(grads, layer.mix.weight).part(range), width, c + h);
            self.product(Matrix::new(x, pairs, width).t(), d_mixed, to, Epilogue::add())?;
        }
        self.column_sums(&s.d_mixed, SliceMut::of(grads, layer.mix.bias.expect("the mix layer has a bias")))?;
        let [upper, lower] = halves(Slice::of(params, layer.mix.weight), c, h);
        self.product(d_mixed, upper.t(), MatrixMut::new(&mut tokens.d_tokens, pairs, c), Epilogue::add())?;
        self.product(d_mixed, lower.t(), MatrixMut::new(&mut s.d_direction, pairs, h), Epilogue::default())?;
        self.relu_backward(&tape.direction, &mut s.d_direction)?;
        self.linear_backward(&layer.direction, params, &tokens.directions, &s.d_direction, None, grads)
    }
}
