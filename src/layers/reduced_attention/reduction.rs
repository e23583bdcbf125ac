//! What makes fewer tokens of a grid: a convolution whose kernel is its stride, or means over 7 by 7 parts, a layer of 1 by 1
//! pixels and a GELU; a normalisation follows both convolutions.

use crate::builder::Builder;
use crate::gelu::{gelu, gelu_backward};
use crate::layer_norm::{LayerNorm, LayerNormTape};
use crate::patch_conv::{ImageSize, PatchConv, PatchConvScratch};

/// Side of the grid that pooling makes.
pub const POOLED: usize = 7;

/// Added to the variances of reduced tokens: PyTorch's default, which timm leaves there, unlike in the other
/// normalisations of a PVTv2.
const REDUCED_EPS: f32 = 1e-5;

/// How a grid of tokens is reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Not at all.
    None,
    /// By a convolution over this many tokens in each direction.
    Convolved(usize),
    /// By means over 7 by 7 parts.
    Pooled,
}

/// The layers of a [`Reduction`].
#[derive(Clone, Copy, Debug)]
pub struct Shrink {
    /// Whether means are taken before and a GELU after.
    pub(super) pooled: bool,
    pub(super) conv: PatchConv,
    pub(super) norm: LayerNorm,
}

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct ShrinkTape {
    means: Vec<f32>,
    convolved: Vec<f32>,
    norm: LayerNormTape,
    activated: Vec<f32>,
}

/// Buffers of both passes, for one thread.
#[derive(Clone, Debug, Default)]
pub struct ShrinkScratch {
    conv: PatchConvScratch,
    d_convolved: Vec<f32>,
    d_norm: Vec<f32>,
    d_input: Vec<f32>,
}

impl Shrink {
    /// Registers `{name}.sr` and `{name}.norm`, where there is a reduction.
    pub fn build(b: &mut Builder, name: &str, c: usize, reduction: Reduction) -> Option<Self> {
        let kernel = match reduction {
            Reduction::None => return None,
            Reduction::Convolved(size) => size,
            Reduction::Pooled => 1,
        };
        let conv = PatchConv::build(b, &format!("{name}.sr"), (c, c), kernel, kernel, 0);
        let norm = b.norm(&format!("{name}.norm"), c, REDUCED_EPS);
        Some(Self { pooled: reduction == Reduction::Pooled, conv, norm })
    }

    /// Reduces `x` `[images, height, width, C]`; returns `[images, fewer tokens, C]`.
    pub fn forward<'a>(
        &self,
        params: &[f32],
        size: ImageSize,
        x: &[f32],
        tape: &'a mut ShrinkTape,
        scratch: &mut ShrinkScratch,
    ) -> &'a [f32] {
        let ShrinkTape { means, convolved, norm, activated } = tape;
        if !self.pooled {
            self.conv.forward(params, size, x, convolved, &mut scratch.conv);
            self.norm.forward(params, convolved, norm);
            return &norm.y;
        }
        pool(size, self.norm.width, x, means);
        self.conv.forward(params, (size.0, POOLED, POOLED), means, convolved, &mut scratch.conv);
        self.norm.forward(params, convolved, norm);
        activated.resize(norm.y.len(), 0.0);
        gelu(compute::isa(), &norm.y, activated);
        activated
    }

    /// What [`Shrink::forward`] returned.
    pub fn output<'a>(&self, tape: &'a ShrinkTape) -> &'a [f32] {
        if self.pooled { &tape.activated } else { &tape.norm.y }
    }

    /// Adds the parameters' gradients to `grads` and the input's to `dx`, given those of the output, which `d_output`
    /// loses; `x` is the input again.
    pub fn backward(
        &self,
        params: &[f32],
        size: ImageSize,
        (x, d_output, dx): (&[f32], &mut [f32], &mut [f32]),
        tape: &ShrinkTape,
        scratch: &mut ShrinkScratch,
        grads: &mut [f32],
    ) {
        let ShrinkScratch { conv, d_convolved, d_norm, d_input } = scratch;
        if self.pooled {
            gelu_backward(compute::isa(), &tape.norm.y, d_output);
        }
        d_norm.clear();
        d_norm.extend_from_slice(d_output);
        d_convolved.clear();
        d_convolved.resize(d_norm.len(), 0.0);
        self.norm.backward(params, &tape.norm, d_norm, d_convolved, grads);
        if self.pooled {
            let means = (size.0, POOLED, POOLED);
            self.conv.backward(params, means, &tape.means, d_convolved, Some(d_input), conv, grads);
            pool_backward(size, self.norm.width, d_input, dx);
        } else {
            self.conv.backward(params, size, x, d_convolved, Some(d_input), conv, grads);
            dx.iter_mut().zip(&*d_input).for_each(|(dx, d)| *dx += d);
        }
    }
}

/// Means over 7 by 7 parts that cover the grid, as PyTorch's adaptive pooling has them.
pub(super) fn pool(size: ImageSize, c: usize, x: &[f32], out: &mut Vec<f32>) {
    out.clear();
    out.resize(size.0 * POOLED * POOLED * c, 0.0);
    each_part(size, |part, scale, token| {
        let from = &x[token * c..][..c];
        out[part * c..][..c].iter_mut().zip(from).for_each(|(o, v)| *o += scale * v);
    });
}

/// Adds the gradient of the input of [`pool`] to `dx`.
fn pool_backward(size: ImageSize, c: usize, d_out: &[f32], dx: &mut [f32]) {
    each_part(size, |part, scale, token| {
        let from = &d_out[part * c..][..c];
        dx[token * c..][..c].iter_mut().zip(from).for_each(|(o, v)| *o += scale * v);
    });
}

/// Calls with every part, the share of each of its tokens in its mean, and the token.
fn each_part((images, height, width): ImageSize, mut call: impl FnMut(usize, f32, usize)) {
    let part = |i: usize, n: usize| i * n / POOLED..((i + 1) * n).div_ceil(POOLED);
    for i in 0..images * POOLED * POOLED {
        let (image, row, column) = (i / (POOLED * POOLED), i / POOLED % POOLED, i % POOLED);
        let (rows, columns) = (part(row, height), part(column, width));
        let scale = 1.0 / (rows.len() * columns.len()) as f32;
        for (y, x) in rows.flat_map(|y| columns.clone().map(move |x| (y, x))) {
            call(i, scale, (image * height + y) * width + x);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn pooling_covers_the_grid() {
        let x: Vec<f32> = (0..9 * 14).map(|i| i as f32).collect();
        let mut out = Vec::new();
        super::pool((1, 9, 14), 1, &x, &mut out);
        // Rows 0 and 1, columns 0 and 1; then rows 7 and 8, columns 12 and 13.
        assert_eq!((out[0], out[48]), ((0. + 1. + 14. + 15.) / 4., (110. + 111. + 124. + 125.) / 4.));
    }
}
