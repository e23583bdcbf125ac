//! Instance normalisation: every channel of one image has mean 0 and variance 1 before gain and offset.

use crate::activation::Activation;
use crate::params::{Init, Layout, Slot};

/// Added to the variance, as in PyTorch.
pub const EPSILON: f64 = 1e-5;

/// Pixels that are summed in f32 before the sum moves to f64.
const BLOCK: usize = 64;

/// Normalisation over the pixels of one image with a gain and an offset per channel and no running statistics.
#[derive(Clone, Copy, Debug)]
pub struct InstanceNorm {
    weight: Slot,
    bias: Slot,
}

/// Gain and offset of an [`InstanceNorm`], one per channel.
#[derive(Clone, Debug, Default)]
pub struct NormWeights {
    gain: Vec<f32>,
    offset: Vec<f32>,
}

/// Statistics of one image, one value per channel.
#[derive(Clone, Debug, Default)]
pub struct NormStats {
    mean: Vec<f32>,
    /// `1 / sqrt(variance + EPSILON)`.
    inverse_deviation: Vec<f32>,
}

impl InstanceNorm {
    /// Registers `{name}.weight` (ones) and `{name}.bias` (zeros).
    pub fn new(layout: &mut Layout, name: &str, channels: usize) -> Self {
        Self {
            weight: layout.add(format!("{name}.weight"), &[channels], Init::Ones),
            bias: layout.add(format!("{name}.bias"), &[channels], Init::Zeros),
        }
    }

    /// Place of the gain, one value per channel.
    pub fn gain(&self) -> Slot {
        self.weight
    }

    /// Place of the offset, one value per channel.
    pub fn offset(&self) -> Slot {
        self.bias
    }

    /// Copies gain and offset out of the flat vector.
    pub fn prepare(&self, params: &[f32]) -> NormWeights {
        NormWeights { gain: self.weight.of(params).to_vec(), offset: self.bias.of(params).to_vec() }
    }

    /// Normalises one image and applies `activation`; with `residual` that is added before the activation.
    ///
    /// # Shapes
    /// - `image`, `residual`: `[pixels, channels]`
    /// - `output`: the same, resized and overwritten
    pub fn forward(
        &self,
        weights: &NormWeights,
        image: &[f32],
        residual: Option<&[f32]>,
        activation: Activation,
        output: &mut Vec<f32>,
        stats: &mut NormStats,
    ) {
        let channels = self.weight.len;
        stats.measure(image, channels);
        let scale: Vec<f32> = weights.gain.iter().zip(&stats.inverse_deviation).map(|(g, d)| g * d).collect();
        let shift: Vec<f32> = weights.offset.iter().zip(&stats.mean).zip(&scale).map(|((o, m), s)| o - m * s).collect();
        output.resize(image.len(), 0.0);
        let pixels = output.chunks_exact_mut(channels).zip(image.chunks_exact(channels));
        match residual {
            Some(residual) => {
                assert_eq!(residual.len(), image.len(), "residual and image differ in length");
                for ((y, x), r) in pixels.zip(residual.chunks_exact(channels)) {
                    for ((((y, x), s), t), r) in y.iter_mut().zip(x).zip(&scale).zip(&shift).zip(r) {
                        *y = x * s + t + r;
                    }
                    activation.apply(y);
                }
            }
            None => {
                for (y, x) in pixels {
                    for (((y, x), s), t) in y.iter_mut().zip(x).zip(&scale).zip(&shift) {
                        *y = x * s + t;
                    }
                    activation.apply(y);
                }
            }
        }
    }

    /// Turns the gradient of the normalised image (before any activation) into that of the image, in place, and adds
    /// the gradients of gain and offset to `grads` (flat, the layout of the parameters).
    ///
    /// # Shapes
    /// - `image`, `gradient`: `[pixels, channels]`; `image` and `stats` as in and from the forward pass
    pub fn backward(
        &self,
        weights: &NormWeights,
        stats: &NormStats,
        image: &[f32],
        gradient: &mut [f32],
        grads: &mut [f32],
    ) {
        let channels = self.weight.len;
        assert_eq!(image.len(), gradient.len(), "image and gradient differ in length");
        let (mut sum, mut product) = (vec![0.0f64; channels], vec![0.0f64; channels]);
        let (mut block_sum, mut block_product) = (vec![0.0f32; channels], vec![0.0f32; channels]);
        for (x, d) in image.chunks(BLOCK * channels).zip(gradient.chunks(BLOCK * channels)) {
            for (x, d) in x.chunks_exact(channels).zip(d.chunks_exact(channels)) {
                let sums = block_sum.iter_mut().zip(&mut block_product);
                for (((s, p), (x, m)), d) in sums.zip(x.iter().zip(&stats.mean)).zip(d) {
                    *s += d;
                    *p += d * (x - m);
                }
            }
            drain(&mut block_sum, &mut sum);
            drain(&mut block_product, &mut product);
        }
        let count = (image.len() / channels) as f64;
        // d_image = scale * (d - mean(d) - normalised * mean(d * normalised)), as one product per pixel and channel.
        let (mut scale, mut slope, mut level) =
            (vec![0.0f32; channels], vec![0.0f32; channels], vec![0.0f32; channels]);
        for c in 0..channels {
            let inverse = f64::from(stats.inverse_deviation[c]);
            let d_gain = product[c] * inverse;
            self.weight.of_mut(grads)[c] += d_gain as f32;
            self.bias.of_mut(grads)[c] += sum[c] as f32;
            let factor = f64::from(weights.gain[c]) * inverse;
            scale[c] = factor as f32;
            slope[c] = (-factor * d_gain * inverse / count) as f32;
            level[c] = (-factor * sum[c] / count) as f32;
        }
        for (d, x) in gradient.chunks_exact_mut(channels).zip(image.chunks_exact(channels)) {
            let affine = scale.iter().zip(&slope).zip(&level);
            for ((d, (x, m)), ((a, b), c)) in d.iter_mut().zip(x.iter().zip(&stats.mean)).zip(affine) {
                *d = *d * a + (x - m) * b + c;
            }
        }
    }
}

impl NormStats {
    /// One pass over the image. Sums are taken relative to the mean of the first block: a block that holds a fraction
    /// `f` of the pixels cannot lie more than `sqrt(1 / f)` deviations off the mean, which bounds the cancellation.
    fn measure(&mut self, image: &[f32], channels: usize) {
        let count = image.len() / channels;
        assert!(count > 0 && count * channels == image.len(), "{} values in {channels} channels", image.len());
        let mut block_sum = vec![0.0f32; channels];
        let first = &image[..count.min(BLOCK) * channels];
        for x in first.chunks_exact(channels) {
            block_sum.iter_mut().zip(x).for_each(|(s, x)| *s += x);
        }
        let base: Vec<f32> = block_sum.iter().map(|s| s / count.min(BLOCK) as f32).collect();
        block_sum.fill(0.0);
        let mut block_square = block_sum.clone();
        let (mut sum, mut square) = (vec![0.0f64; channels], vec![0.0f64; channels]);
        for block in image.chunks(BLOCK * channels) {
            for x in block.chunks_exact(channels) {
                let sums = block_sum.iter_mut().zip(&mut block_square);
                for (((s, q), x), b) in sums.zip(x).zip(&base) {
                    let d = x - b;
                    *s += d;
                    *q += d * d;
                }
            }
            drain(&mut block_sum, &mut sum);
            drain(&mut block_square, &mut square);
        }
        self.mean.clear();
        self.inverse_deviation.clear();
        for ((s, q), b) in sum.iter().zip(&square).zip(&base) {
            let mean = s / count as f64;
            let variance = q / count as f64 - mean * mean;
            // A NaN must stay one: `max` would turn it into a flat channel.
            let variance = if variance < 0.0 { 0.0 } else { variance };
            self.mean.push((f64::from(*b) + mean) as f32);
            self.inverse_deviation.push((1.0 / (variance + EPSILON).sqrt()) as f32);
        }
    }
}

/// Moves the f32 sums of a block to the f64 totals.
fn drain(block: &mut [f32], total: &mut [f64]) {
    for (b, t) in block.iter_mut().zip(total) {
        *t += f64::from(*b);
        *b = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::SplitMix;

    fn reference(x: &[f64], gain: &[f64], offset: &[f64]) -> Vec<f64> {
        let c = gain.len();
        let n = (x.len() / c) as f64;
        let mut y = vec![0.0; x.len()];
        for k in 0..c {
            let mean = x.iter().skip(k).step_by(c).sum::<f64>() / n;
            let variance = x.iter().skip(k).step_by(c).map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            for i in (k..x.len()).step_by(c) {
                y[i] = (x[i] - mean) / (variance + EPSILON).sqrt() * gain[k] + offset[k];
            }
        }
        y
    }

    fn wide(v: &[f32]) -> Vec<f64> {
        v.iter().copied().map(f64::from).collect()
    }

    fn close(name: &str, found: &[f32], expected: &[f64], tolerance: f64) {
        for (i, (f, e)) in found.iter().zip(expected).enumerate() {
            assert!((f64::from(*f) - e).abs() <= tolerance, "{name}[{i}]: {f} and {e}");
        }
    }

    #[test]
    fn matches_the_definition_and_its_differences() {
        for (pixels, channels) in [(1, 3), (2, 1), (7, 5), (131, 9), (1000, 33)] {
            let mut layout = Layout::new();
            layout.add("before", &[3], Init::Zeros);
            let norm = InstanceNorm::new(&mut layout, "n", channels);
            let mut rng = SplitMix(pixels as u64);
            let mut random = |n: usize| (0..n).map(|_| rng.uniform() * 2.0 - 1.0).collect::<Vec<f32>>();
            let params = random(layout.len());
            let (x, residual, d) = (random(pixels * channels), random(pixels * channels), random(pixels * channels));
            let weights = norm.prepare(&params);
            let (mut y, mut stats) = (Vec::new(), NormStats::default());
            norm.forward(&weights, &x, Some(&residual), Activation::Relu, &mut y, &mut stats);
            let (gain, offset) = (wide(&weights.gain), wide(&weights.offset));
            let plain = reference(&wide(&x), &gain, &offset);
            let expected: Vec<f64> = plain.iter().zip(&residual).map(|(y, r)| (y + f64::from(*r)).max(0.0)).collect();
            close("forward", &y, &expected, 2e-4 / (pixels as f64).sqrt());

            let loss = |x: &[f64], g: &[f64], o: &[f64]| -> f64 {
                reference(x, g, o).iter().zip(&d).map(|(y, d)| y * f64::from(*d)).sum()
            };
            let slope = |v: &[f64], loss: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
                let step = 1e-6;
                let mut v = v.to_vec();
                (0..v.len().min(60))
                    .map(|i| {
                        let keep = v[i];
                        v[i] = keep + step;
                        let up = loss(&v);
                        v[i] = keep - step;
                        let down = loss(&v);
                        v[i] = keep;
                        (up - down) / (2.0 * step)
                    })
                    .collect()
            };
            let (mut dx, mut grads) = (d.clone(), vec![0.0; params.len()]);
            norm.backward(&weights, &stats, &x, &mut dx, &mut grads);
            // Two pixels nearly alike make the derivative steep; f32 then holds fewer digits.
            close("d_image", &dx, &slope(&wide(&x), &|x| loss(x, &gain, &offset)), 1e-3);
            close("d_gain", norm.weight.of(&grads), &slope(&gain, &|g| loss(&wide(&x), g, &offset)), 1e-3);
            close("d_offset", norm.bias.of(&grads), &slope(&offset, &|o| loss(&wide(&x), &gain, o)), 1e-3);
            assert_eq!(grads[..3], [0.0; 3]);
        }
    }

    /// A large mean and a first block unlike the rest must not cost the variance its digits.
    #[test]
    fn survives_large_means_and_outlying_starts() {
        let mut layout = Layout::new();
        let norm = InstanceNorm::new(&mut layout, "n", 1);
        let weights = norm.prepare(&[1.0, 0.0]);
        for (start, mean) in [(0.0f32, 1000.0f32), (-5000.0, 0.0), (1e4, 1e4)] {
            let x: Vec<f32> =
                (0..5000).map(|i| if i < 64 { start } else { mean } + (i * 37 % 101) as f32 / 64.0).collect();
            let (mut y, mut stats) = (Vec::new(), NormStats::default());
            norm.forward(&weights, &x, None, Activation::Identity, &mut y, &mut stats);
            close("outlying start", &y, &reference(&wide(&x), &[1.0], &[0.0]), 3e-3);
        }
    }

    #[test]
    fn a_flat_channel_becomes_its_offset_and_nan_stays() {
        let mut layout = Layout::new();
        let norm = InstanceNorm::new(&mut layout, "n", 2);
        let weights = norm.prepare(&[2.0, 1.0, 0.25, 0.0]);
        let (mut y, mut stats) = (Vec::new(), NormStats::default());
        let x: Vec<f32> = (0..200).map(|i| if i == 101 { f32::NAN } else { 0.7 }).collect();
        norm.forward(&weights, &x, None, Activation::Relu, &mut y, &mut stats);
        assert!(y.chunks(2).all(|p| (p[0] - 0.25).abs() < 1e-4 && p[1].is_nan()));
    }
}
