//! Layer normalisation over the channels of each row.

pub mod cuda;
pub mod engine;

use crate::{Init, Layout, Slot};

/// `y = (x − mean) / sqrt(var + eps) · gain + bias` with the biased variance.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// `[width]`.
    pub gain: Slot,
    /// `[width]`.
    pub bias: Slot,
    /// Channels.
    pub width: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct LayerNormTape<B = Vec<f32>> {
    /// Normalised input `[rows, width]`, before gain and bias.
    pub normal: B,
    /// `1 / sqrt(var + eps)`, `[rows]`.
    pub scale: B,
    /// The output `[rows, width]`.
    pub y: B,
}

impl LayerNorm {
    /// Registers `{name}.weight` and `{name}.bias`.
    pub fn new(layout: &mut Layout, name: &str, width: usize, eps: f32) -> Self {
        let gain = layout.add(format!("{name}.weight"), &[width], Init::Ones);
        let bias = layout.add(format!("{name}.bias"), &[width], Init::Zeros);
        Self { gain, bias, width, eps }
    }

    /// Normalises the rows of `x` `[rows, width]`; the output is `tape.y`.
    pub fn forward(&self, params: &[f32], x: &[f32], tape: &mut LayerNormTape) {
        let isa = compute::isa();
        tape.normal.resize(x.len(), 0.0);
        tape.y.resize(x.len(), 0.0);
        tape.scale.resize(x.len() / self.width, 0.0);
        normalise(
            isa,
            x,
            self.gain.of(params),
            self.bias.of(params),
            self.eps,
            &mut tape.normal,
            &mut tape.scale,
            &mut tape.y,
        );
    }

    /// Adds the input's gradient to `dx` `[rows, width]` and the parameters' to `grads`.
    pub fn backward(&self, params: &[f32], tape: &LayerNormTape, dy: &[f32], dx: &mut [f32], grads: &mut [f32]) {
        let (gain_grad, bias_grad) = two_slots(grads, self.gain, self.bias);
        let (isa, gain) = (compute::isa(), self.gain.of(params));
        normalise_backward(isa, &tape.normal, &tape.scale, gain, dy, dx, gain_grad, bias_grad);
    }
}

/// Two neighbouring slots of one vector, the first ending where the second starts.
fn two_slots(flat: &mut [f32], first: Slot, second: Slot) -> (&mut [f32], &mut [f32]) {
    assert_eq!(first.offset + first.len, second.offset, "slots are not neighbours");
    flat[first.offset..second.offset + second.len].split_at_mut(first.len)
}

compute::simd_fn! {
    fn normalise(
        isa: Isa, x: &[f32], gain: &[f32], bias: &[f32], eps: f32, normal: &mut [f32], scale: &mut [f32],
        y: &mut [f32],
    ) {
        let width = gain.len();
        let rows = x.chunks_exact(width).zip(normal.chunks_exact_mut(width)).zip(y.chunks_exact_mut(width)).zip(scale);
        for (((x, normal), y), scale) in rows {
            let mean = sum8(x, |v| v) / width as f32;
            let variance = sum8(x, |v| (v - mean) * (v - mean)) / width as f32;
            *scale = 1.0 / (variance + eps).sqrt();
            for c in 0..width {
                let n = (x[c] - mean) * *scale;
                normal[c] = n;
                y[c] = n * gain[c] + bias[c];
            }
        }
    }
}

compute::simd_fn! {
    fn normalise_backward(
        isa: Isa, normal: &[f32], scale: &[f32], gain: &[f32], dy: &[f32], dx: &mut [f32], gain_grad: &mut [f32],
        bias_grad: &mut [f32],
    ) {
        let width = gain.len();
        let rows = normal.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)).zip(scale);
        for (((normal, dy), dx), scale) in rows {
            let mut sum = [0.0f32; 8];
            let mut dot = [0.0f32; 8];
            for ((n, d), g) in normal.chunks_exact(8).zip(dy.chunks_exact(8)).zip(gain.chunks_exact(8)) {
                for i in 0..8 {
                    let e = d[i] * g[i];
                    sum[i] += e;
                    dot[i] += e * n[i];
                }
            }
            for c in width / 8 * 8..width {
                let e = dy[c] * gain[c];
                sum[c % 8] += e;
                dot[c % 8] += e * normal[c];
            }
            let mean = sum.iter().sum::<f32>() / width as f32;
            let dot = dot.iter().sum::<f32>() / width as f32;
            for c in 0..width {
                gain_grad[c] += dy[c] * normal[c];
                bias_grad[c] += dy[c];
                dx[c] += scale * (dy[c] * gain[c] - mean - normal[c] * dot);
            }
        }
    }
}

/// Sum of `f` over `x` in eight partial sums, which vectorise.
#[inline(always)]
fn sum8(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut parts = [0.0f32; 8];
    let eights = x.chunks_exact(8);
    let rest = eights.remainder();
    for x in eights {
        for i in 0..8 {
            parts[i] += f(x[i]);
        }
    }
    parts.iter_mut().zip(rest).for_each(|(part, x)| *part += f(*x));
    parts.iter().sum()
}
