//! Two-dimensional convolution with reflect padding, channels last, one image at a time.

mod planes;
mod product;
#[cfg(test)]
mod tests;

use crate::params::{Init, Layout, Slot};
use planes::Geometry;
use product::{Matrix, product};

/// Values of output that one pass of matrix products works on, so that it stays in the second-level cache.
const CHUNK: usize = 32 * 1024;

/// A square convolution whose weight is stored as `[out_channels, in_channels, kernel, kernel]`.
///
/// Padding reflects without repeating the edge pixel, as PyTorch's `padding_mode="reflect"`.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d {
    weight: Slot,
    bias: Option<Slot>,
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
}

/// Weights of a [`Conv2d`] in the order in which the matrix products read them.
#[derive(Clone, Debug, Default)]
pub struct ConvWeights {
    /// `[ky, kx, in, out]`.
    forward: Vec<f32>,
    /// For every row phase, column phase and kernel row of that phase: `[kx descending, out, in]`. Empty where no
    /// gradient of the input is wanted.
    backward: Vec<f32>,
    bias: Vec<f32>,
}

/// Buffers that convolutions share; they grow to the largest layer and are kept between calls.
#[derive(Clone, Debug, Default)]
pub struct ConvScratch {
    planes: Vec<f32>,
    chunk: Vec<f32>,
    spaced: Vec<f32>,
    d_planes: Vec<f32>,
    d_weight: Vec<f32>,
}

impl Conv2d {
    /// Registers `{name}.weight` and, with `bias`, `{name}.bias`. Padding is `kernel / 2`, stride any positive number.
    pub fn new(
        layout: &mut Layout,
        name: &str,
        in_channels: usize,
        out_channels: usize,
        kernel: usize,
        stride: usize,
        bias: bool,
    ) -> Self {
        assert!(kernel % 2 == 1 && stride > 0, "convolution {name}: kernel {kernel}, stride {stride}");
        let init = Init::fan_in(in_channels * kernel * kernel);
        Self {
            weight: layout.add(format!("{name}.weight"), &[out_channels, in_channels, kernel, kernel], init),
            bias: bias.then(|| layout.add(format!("{name}.bias"), &[out_channels], init)),
            in_channels,
            out_channels,
            kernel,
            stride,
            pad: kernel / 2,
        }
    }

    /// Channels of the output.
    pub fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// Channels of the input.
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// Place of the weight `[out_channels, in_channels, kernel, kernel]`.
    pub fn weight(&self) -> Slot {
        self.weight
    }

    /// Place of the bias `[out_channels]`, if there is one.
    pub fn bias(&self) -> Option<Slot> {
        self.bias
    }

    /// Width and height of the kernel, an odd number; the padding is half of it, rounded down.
    pub fn kernel(&self) -> usize {
        self.kernel
    }

    /// Distance of output pixels in the input.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Smallest height and width of an input: reflection needs one pixel more than the padding.
    pub fn min_size(&self) -> usize {
        self.pad + 1
    }

    /// Height and width of the output.
    pub fn output_size(&self, height: usize, width: usize) -> (usize, usize) {
        let g = self.geometry(height, width);
        (g.out_height, g.out_width)
    }

    /// Reorders the weights out of the flat vector; `backward` also prepares for the gradient of the input.
    pub fn prepare(&self, params: &[f32], backward: bool) -> ConvWeights {
        let (ci, co, k, s) = (self.in_channels, self.out_channels, self.kernel, self.stride);
        let weight = self.weight.of(params);
        let at = |o: usize, i: usize, y: usize, x: usize| weight[((o * ci + i) * k + y) * k + x];
        let mut forward = Vec::with_capacity(weight.len());
        for tap in 0..k * k {
            for i in 0..ci {
                forward.extend((0..co).map(|o| at(o, i, tap / k, tap % k)));
            }
        }
        let mut reordered = Vec::with_capacity(if backward { weight.len() } else { 0 });
        for (py, px) in (0..s * s).filter(|_| backward).map(|p| (p / s, p % s)) {
            for y in (py..k).step_by(s) {
                for x in (px..k).step_by(s).rev() {
                    for o in 0..co {
                        reordered.extend((0..ci).map(|i| at(o, i, y, x)));
                    }
                }
            }
        }
        let bias = self.bias.map_or(Vec::new(), |b| b.of(params).to_vec());
        ConvWeights { forward, backward: reordered, bias }
    }

    /// Convolves one image.
    ///
    /// # Shapes
    /// - `image`: `[height, width, in_channels]`, both sizes at least [`Conv2d::min_size`]
    /// - `output`: `[out_height, out_width, out_channels]`, see [`Conv2d::output_size`]; resized and overwritten
    pub fn forward(
        &self,
        weights: &ConvWeights,
        image: &[f32],
        height: usize,
        width: usize,
        output: &mut Vec<f32>,
        scratch: &mut ConvScratch,
    ) {
        let g = self.geometry(height, width);
        assert_eq!(image.len(), height * width * self.in_channels, "convolution input of {height}x{width}");
        let co = self.out_channels;
        output.resize(g.out_height * g.out_width * co, 0.0);
        let planes = if g.is_pointwise() {
            image
        } else {
            g.gather(image, &mut scratch.planes);
            &scratch.planes
        };
        let rows = self.rows_per_chunk(&g);
        for first in (0..g.out_height).step_by(rows) {
            let count = rows.min(g.out_height - first);
            let target = &mut output[first * g.out_width * co..(first + count) * g.out_width * co];
            if g.cols == g.out_width {
                self.product_rows(&g, weights, planes, first, count, target);
                if !weights.bias.is_empty() {
                    target
                        .chunks_exact_mut(co)
                        .for_each(|p| p.iter_mut().zip(&weights.bias).for_each(|(y, b)| *y += b));
                }
                continue;
            }
            scratch.chunk.resize(count * g.cols * co, 0.0);
            self.product_rows(&g, weights, planes, first, count, &mut scratch.chunk);
            let spaced = scratch.chunk.chunks_exact(g.cols * co);
            for (row, spaced) in target.chunks_exact_mut(g.out_width * co).zip(spaced) {
                row.copy_from_slice(&spaced[..g.out_width * co]);
                if !weights.bias.is_empty() {
                    row.chunks_exact_mut(co).for_each(|p| p.iter_mut().zip(&weights.bias).for_each(|(y, b)| *y += b));
                }
            }
        }
    }

    /// Output rows `first..first + count`, spaced by `cols`, without bias.
    fn product_rows(&self, g: &Geometry, w: &ConvWeights, planes: &[f32], first: usize, count: usize, out: &mut [f32]) {
        let (co, k) = (self.out_channels, self.kernel);
        let pixels = (count - 1) * g.cols + g.out_width;
        let depth = k * self.in_channels;
        for y in 0..k {
            let start = (y % g.stride) * g.plane_len() + (y / g.stride + first) * g.row_len();
            let patches = Matrix { data: &planes[start..], row: g.stride * self.in_channels, col: 1 };
            let weight = Matrix { data: &w.forward[y * depth * co..(y + 1) * depth * co], row: co, col: 1 };
            product(out, co, [pixels, co, depth], patches, weight, y > 0);
        }
    }

    /// Adds the gradients of weight and bias to `grads` (flat, the layout of the parameters) and writes the gradient
    /// of the image.
    ///
    /// # Shapes
    /// - `image`: as in [`Conv2d::forward`]
    /// - `d_output`: `[out_height, out_width, out_channels]`
    /// - `d_image`: `[height, width, in_channels]`, resized and overwritten; needs weights prepared for it
    pub fn backward(
        &self,
        weights: &ConvWeights,
        image: &[f32],
        height: usize,
        width: usize,
        d_output: &[f32],
        d_image: Option<&mut Vec<f32>>,
        grads: &mut [f32],
        scratch: &mut ConvScratch,
    ) {
        let g = self.geometry(height, width);
        let co = self.out_channels;
        assert_eq!(image.len(), height * width * self.in_channels, "convolution input of {height}x{width}");
        assert_eq!(d_output.len(), g.out_height * g.out_width * co, "convolution gradient over {height}x{width}");
        if let Some(bias) = self.bias {
            let bias = bias.of_mut(grads);
            d_output.chunks_exact(co).for_each(|d| bias.iter_mut().zip(d).for_each(|(b, d)| *b += d));
        }
        // Gradient in the spacing of the planes: zeros in the unused columns, above, below and before the first pixel
        // stand for the taps that fall outside.
        let lead = g.reach() * (g.cols + 1);
        let spaced = if lead == 0 && g.cols == g.out_width && g.rows == g.out_height {
            d_output
        } else {
            let buffer = &mut scratch.spaced;
            buffer.clear();
            buffer.resize((lead + g.rows * g.cols) * co, 0.0);
            let rows = buffer[lead * co..].chunks_exact_mut(g.cols * co);
            for (row, d) in rows.zip(d_output.chunks_exact(g.out_width * co)) {
                row[..g.out_width * co].copy_from_slice(d);
            }
            buffer
        };
        let planes = if g.is_pointwise() {
            image
        } else {
            g.gather(image, &mut scratch.planes);
            &scratch.planes
        };
        self.weight_gradient(&g, planes, &spaced[lead * co..], &mut scratch.d_weight, self.weight.of_mut(grads));
        let Some(d_image) = d_image else { return };
        d_image.resize(image.len(), 0.0);
        if g.is_pointwise() {
            self.image_gradient(&g, weights, spaced, d_image);
        } else {
            scratch.d_planes.resize(g.planes() * g.plane_len(), 0.0);
            self.image_gradient(&g, weights, spaced, &mut scratch.d_planes);
            g.fold(&scratch.d_planes, d_image);
        }
    }

    /// `patches^T x gradient`, accumulated in the order of the products and then added in the order of the parameters.
    fn weight_gradient(&self, g: &Geometry, planes: &[f32], spaced: &[f32], sum: &mut Vec<f32>, grads: &mut [f32]) {
        let (ci, co, k) = (self.in_channels, self.out_channels, self.kernel);
        let depth = k * ci;
        sum.resize(k * depth * co, 0.0);
        let rows = self.rows_per_chunk(g);
        for first in (0..g.out_height).step_by(rows) {
            let count = rows.min(g.out_height - first);
            let pixels = (count - 1) * g.cols + g.out_width;
            let gradient = Matrix { data: &spaced[first * g.cols * co..], row: co, col: 1 };
            for y in 0..k {
                let start = (y % g.stride) * g.plane_len() + (y / g.stride + first) * g.row_len();
                let patches = Matrix { data: &planes[start..], row: 1, col: g.stride * ci };
                let target = &mut sum[y * depth * co..(y + 1) * depth * co];
                product(target, co, [depth, co, pixels], patches, gradient, first > 0);
            }
        }
        for o in 0..co {
            for i in 0..ci {
                let target = &mut grads[(o * ci + i) * k * k..(o * ci + i + 1) * k * k];
                target.iter_mut().enumerate().for_each(|(tap, t)| *t += sum[(tap * ci + i) * co + o]);
            }
        }
    }

    /// Gradient of the planes: a convolution of the spaced gradient with the mirrored kernel, one row and column phase
    /// at a time.
    fn image_gradient(&self, g: &Geometry, weights: &ConvWeights, spaced: &[f32], d_planes: &mut [f32]) {
        let (ci, co, s) = (self.in_channels, self.out_channels, self.stride);
        assert_eq!(weights.backward.len(), weights.forward.len(), "convolution weights are not prepared for training");
        let (lead, pixels) = (g.reach() * (g.cols + 1), g.rows * g.cols);
        let chunk = (CHUNK / (s * ci)).max(1);
        for first in (0..pixels).step_by(chunk) {
            let count = chunk.min(pixels - first);
            let mut weight_start = 0;
            for (py, px) in (0..g.planes() * s).map(|p| (p / s, p % s)) {
                let taps = g.taps(px);
                let target = &mut d_planes[py * g.plane_len() + first * s * ci..][..count * s * ci];
                if taps == 0 {
                    target.chunks_exact_mut(s * ci).for_each(|p| p[px * ci..(px + 1) * ci].fill(0.0));
                    continue;
                }
                for y in (py..self.kernel).step_by(s) {
                    let start = lead + first - (y / s) * g.cols - (taps - 1);
                    let gradient = Matrix { data: &spaced[start * co..], row: co, col: 1 };
                    let size = taps * co * ci;
                    let weight = Matrix { data: &weights.backward[weight_start..weight_start + size], row: ci, col: 1 };
                    product(&mut target[px * ci..], s * ci, [count, ci, taps * co], gradient, weight, y > py);
                    weight_start += size;
                }
            }
        }
    }

    fn geometry(&self, height: usize, width: usize) -> Geometry {
        Geometry::new(height, width, self.in_channels, self.kernel, self.stride, self.pad)
    }

    fn rows_per_chunk(&self, g: &Geometry) -> usize {
        (CHUNK / (g.cols * self.out_channels.max(self.in_channels * self.stride))).max(1)
    }
}
