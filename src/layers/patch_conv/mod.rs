//! Convolution with a border of zeros, any kernel and stride: patches of the image times a matrix.
//!
//! Patch embeddings of vision transformers are such convolutions, and so are the stems before them. Those of 3 by 3 pixels
//! run straight on tiles where the processor has them ([`compute::ops::conv_tiles`]); all others copy patches.

pub mod cuda;
pub mod engine;
#[cfg(test)]
mod tests;

use crate::Init;
use crate::builder::Builder;
use crate::folding::Fold;
use crate::linear::{Linear, add_column_sums};
use compute::Products;
use compute::ops::conv_tiles::{self, ConvShape};

/// A convolution `[images, height, width, inputs] → [images, rows, columns, outputs]`, channels last.
#[derive(Clone, Copy, Debug)]
pub struct PatchConv {
    /// `kernel · kernel · inputs → outputs`.
    pub linear: Linear,
    /// Input channels.
    pub inputs: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Distance of output pixels in the input.
    pub stride: usize,
    /// Zeros around the image.
    pub pad: usize,
}

/// Buffers of both passes, shared by all convolutions of a thread.
#[derive(Clone, Debug, Default)]
pub struct PatchConvScratch {
    patches: Vec<f32>,
    d_patches: Vec<f32>,
}

/// Number of images and their height and width.
pub type ImageSize = (usize, usize, usize);

impl PatchConv {
    /// Registers `{name}.weight` `[outputs, inputs, kernel, kernel]` and `{name}.bias` and folds them.
    pub fn build(
        b: &mut Builder,
        name: &str,
        (inputs, outputs): (usize, usize),
        kernel: usize,
        stride: usize,
        pad: usize,
    ) -> Self {
        assert!(kernel > 0 && stride > 0 && pad < kernel, "{name}: kernel {kernel}, stride {stride}, pad {pad}");
        let taps = kernel * kernel;
        let init = Init::fan_in(inputs * taps);
        let weight = b.param(&format!("{name}.weight"), &[outputs, inputs, kernel, kernel], init);
        let bias = b.param(&format!("{name}.bias"), &[outputs], Init::Zeros);
        let mut linear = Linear::new(&mut b.folded, name, taps * inputs, outputs, true);
        linear.products = b.products;
        b.folds.push(Fold::Taps { from: weight, outputs, inputs, taps, to: linear.weight });
        let to = linear.bias.expect("made with a bias");
        b.folds.push(Fold::bias(bias, crate::folding::Place::start(to, outputs)));
        Self { linear, inputs, kernel, stride, pad }
    }

    /// Height and width of the output.
    pub fn output_size(&self, height: usize, width: usize) -> (usize, usize) {
        let size = |n: usize| (n + 2 * self.pad).saturating_sub(self.kernel) / self.stride + 1;
        (size(height), size(width))
    }

    /// Its sizes, where it can run straight on tiles.
    fn on_tiles(&self, (images, height, width): ImageSize) -> Option<ConvShape> {
        let shape = ConvShape { images, height, width, inputs: self.inputs, outputs: self.linear.outputs };
        let plain = (self.kernel, self.stride, self.pad) == (3, 1, 1);
        Some(shape).filter(|shape| plain && self.linear.products == Products::Bf16 && shape.fits())
    }

    /// Convolves images `x`; `y` is resized and overwritten.
    pub fn forward(
        &self,
        params: &[f32],
        size: ImageSize,
        x: &[f32],
        y: &mut Vec<f32>,
        scratch: &mut PatchConvScratch,
    ) {
        let (rows, columns) = self.output_size(size.1, size.2);
        y.resize(size.0 * rows * columns * self.linear.outputs, 0.0);
        if let Some(shape) = self.on_tiles(size) {
            let bias = self.linear.bias.expect("made with a bias").of(params);
            return conv_tiles::forward(&shape, x, self.linear.weight.of(params), bias, y);
        }
        self.copy_patches(size, x, &mut scratch.patches);
        self.linear.forward(params, &scratch.patches, y, false);
    }

    /// Adds the parameters' gradients to `grads` and, if asked, overwrites the input's, `dx`, which is resized.
    pub fn backward(
        &self,
        params: &[f32],
        size: ImageSize,
        x: &[f32],
        dy: &[f32],
        dx: Option<&mut Vec<f32>>,
        scratch: &mut PatchConvScratch,
        grads: &mut [f32],
    ) {
        if let Some(shape) = self.on_tiles(size) {
            conv_tiles::weight_gradient(&shape, x, dy, self.linear.weight.of_mut(grads));
            let bias = self.linear.bias.expect("made with a bias");
            add_column_sums(compute::isa(), dy, bias.of_mut(grads));
            if let Some(dx) = dx {
                dx.resize(x.len(), 0.0);
                conv_tiles::input_gradient(&shape, dy, self.linear.weight.of(params), dx);
            }
            return;
        }
        self.copy_patches(size, x, &mut scratch.patches);
        let Some(dx) = dx else {
            return self.linear.backward(params, &scratch.patches, dy, None, grads);
        };
        scratch.d_patches.resize(scratch.patches.len(), 0.0);
        self.linear.backward(params, &scratch.patches, dy, Some((&mut scratch.d_patches, false)), grads);
        dx.clear();
        dx.resize(x.len(), 0.0);
        let isa = compute::isa();
        self.each_run(size, |patch, image, len| {
            add_run(isa, &scratch.d_patches[patch..patch + len], &mut dx[image..image + len]);
        });
    }

    /// Fills `patches` `[images · rows · columns, kernel · kernel · inputs]`.
    pub fn copy_patches(&self, size: ImageSize, x: &[f32], patches: &mut Vec<f32>) {
        let (rows, columns) = self.output_size(size.1, size.2);
        patches.clear();
        patches.resize(size.0 * rows * columns * self.linear.inputs, 0.0);
        self.each_run(size, |patch, image, len| patches[patch..patch + len].copy_from_slice(&x[image..image + len]));
    }

    /// Calls with the places and the length of every run of values that a patch and the image share.
    fn each_run(&self, (images, height, width): ImageSize, mut call: impl FnMut(usize, usize, usize)) {
        let (rows, columns) = self.output_size(height, width);
        for (i, (image, row)) in (0..images).flat_map(|i| (0..rows).map(move |r| (i, r))).enumerate() {
            let (patches, pixels) = (i * columns * self.linear.inputs, image * height * width * self.inputs);
            self.each_run_of_row((height, width), row, |patch, at, len| call(patches + patch, pixels + at, len));
        }
    }

    /// The same for one row of output pixels of one image; places are counted from the row's first patch and the image's
    /// first value.
    fn each_run_of_row(&self, (height, width): (usize, usize), row: usize, mut call: impl FnMut(usize, usize, usize)) {
        let (k, c) = (self.kernel, self.inputs);
        for column in 0..self.output_size(height, width).1 {
            // First and last pixel of the patch's rows that lie inside the image.
            let left = column * self.stride;
            let (first, last) = (left.max(self.pad), (left + k).min(width + self.pad));
            for y in 0..k {
                let at = row * self.stride + y;
                if (self.pad..height + self.pad).contains(&at) && first < last {
                    let from = ((at - self.pad) * width + first - self.pad) * c;
                    call((column * k * k + y * k + first - left) * c, from, (last - first) * c);
                }
            }
        }
    }
}

compute::simd_fn! {
    fn add_run(isa: Isa, x: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
    }
}
