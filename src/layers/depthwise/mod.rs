//! Depthwise convolution over a grid of tokens: each channel looks at its 3 by 3 neighbours, beyond the grid are zeros.

pub mod cuda;
#[cfg(test)]
mod tests;

use crate::builder::Builder;
use crate::folding::Fold;
use crate::{Init, Slot};

/// Pixels of the kernel.
const TAPS: usize = 9;

/// `y = x + weight ∗ x + bias`, or without the `x` itself.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise {
    /// `[9, channels]`.
    pub weight: Slot,
    /// `[channels]`.
    pub bias: Slot,
    /// Channels.
    pub channels: usize,
    /// Whether the input is added.
    pub residual: bool,
}

impl Depthwise {
    /// Registers `{name}.weight` `[channels, 1, 3, 3]` and `{name}.bias` and folds them.
    pub fn build(b: &mut Builder, name: &str, channels: usize, residual: bool) -> Self {
        let from = b.param(&format!("{name}.weight"), &[channels, 1, 3, 3], Init::fan_in(TAPS));
        let weight = b.folded.add(format!("{name}.weight"), &[TAPS, channels], Init::fan_in(TAPS));
        b.folds.push(Fold::Taps { from, outputs: channels, inputs: 1, taps: TAPS, to: weight });
        let bias = b.copy(&format!("{name}.bias"), &[channels], Init::Zeros);
        Self { weight, bias, channels, residual }
    }

    /// Convolves grids of `height` by `width` tokens.
    ///
    /// # Shapes
    /// - `x`, `y`: `[images, height, width, channels]`; `y` is overwritten
    pub fn forward(&self, params: &[f32], (height, width): (usize, usize), x: &[f32], y: &mut [f32]) {
        let isa = compute::isa();
        let (weight, bias, c) = (self.weight.of(params), self.bias.of(params), self.channels);
        for (x, y) in x.chunks_exact(height * width * c).zip(y.chunks_exact_mut(height * width * c)) {
            for at in 0..height * width {
                let out = &mut y[at * c..][..c];
                out.copy_from_slice(bias);
                if self.residual {
                    add(isa, &x[at * c..][..c], out);
                }
                for (tap, other) in reached(at, height, width) {
                    add_product(isa, &weight[tap * c..][..c], &x[other * c..][..c], out);
                }
            }
        }
    }

    /// Adds the parameters' gradients to `grads` and overwrites the input's, `dx`; shapes as in [`Depthwise::forward`].
    pub fn backward(
        &self,
        params: &[f32],
        (height, width): (usize, usize),
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        grads: &mut [f32],
    ) {
        let isa = compute::isa();
        let (weight, c) = (self.weight.of(params), self.channels);
        if self.residual {
            dx.copy_from_slice(dy);
        } else {
            dx.fill(0.0);
        }
        crate::linear::add_column_sums(isa, dy, self.bias.of_mut(grads));
        let d_weight = self.weight.of_mut(grads);
        let grid = height * width * c;
        for ((x, dy), dx) in x.chunks_exact(grid).zip(dy.chunks_exact(grid)).zip(dx.chunks_exact_mut(grid)) {
            for at in 0..height * width {
                let d = &dy[at * c..][..c];
                for (tap, other) in reached(at, height, width) {
                    add_product(isa, &weight[tap * c..][..c], d, &mut dx[other * c..][..c]);
                    add_product(isa, &x[other * c..][..c], d, &mut d_weight[tap * c..][..c]);
                }
            }
        }
    }
}

/// Taps that stay inside the grid around token `at`, each with the token that it reads.
fn reached(at: usize, height: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
    let (y, x) = (at / width, at % width);
    (0..TAPS).filter_map(move |tap| {
        let (yy, xx) = (y + tap / 3, x + tap % 3);
        let inside = (1..=height).contains(&yy) && (1..=width).contains(&xx);
        inside.then(|| (tap, (yy - 1) * width + xx - 1))
    })
}

compute::simd_fn! {
    fn add(isa: Isa, x: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
    }
}

compute::simd_fn! {
    fn add_product(isa: Isa, a: &[f32], b: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y += a * b);
    }
}
