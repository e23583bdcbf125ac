//! Launches of convolutions.

use super::Kernels;
use super::pool::{Pool, View};
use crate::Result;
use compute::cuda::twin::{Address, Out};
use compute::cuda::{Args, Buffer, Device, Launch};
use compute::twin;
use layers::conv2d::Conv2d;

/// Depth of a step of the products: rows of packed weights are padded to a multiple of it.
pub(super) const DEPTH: usize = 16;
/// Blocks among which the pixels of a weight's gradient are divided at most, enough for any card. Not a number of the
/// card, so that gradients are the same on all of them.
const SPLIT_BLOCKS: usize = 512;
/// Least pixels of such a block.
const SPLIT_PIXELS: usize = 256;

/// The tile of a block: pixels (or inputs of a patch) by channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tile {
    rows: usize,
    cols: usize,
}

impl Tile {
    fn of(channels: usize) -> Self {
        match channels {
            0..=16 => Self { rows: 128, cols: 16 },
            17..=32 => Self { rows: 128, cols: 32 },
            _ => Self { rows: 64, cols: 64 },
        }
    }

    /// Launch over so many rows and columns.
    fn launch(self, rows: usize, cols: usize, depth: usize) -> Launch {
        Launch::new(rows.div_ceil(self.rows), (self.rows * self.cols / 32) as u32).grid(cols.div_ceil(self.cols), depth)
    }

    fn padded_cols(self, cols: usize) -> usize {
        cols.next_multiple_of(self.cols)
    }

    fn kernel(self, name: &str) -> String {
        format!("{name}_{}", self.cols)
    }
}

/// What a packed weight is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Product {
    /// The convolution.
    Output,
    /// The gradient of its image.
    Image,
}

/// Rows and columns of packed weights.
fn packed_size(conv: &Conv2d, product: Product) -> (usize, usize) {
    let (k, s) = (conv.kernel(), conv.stride());
    match product {
        Product::Output => {
            let rows = (k * k * conv.in_channels()).next_multiple_of(DEPTH);
            (rows, Tile::of(conv.out_channels()).padded_cols(conv.out_channels()))
        }
        Product::Image => {
            // As phase.cuh: the taps from `first` on, `s` apart.
            let taps = |phase: usize| (k - ((phase + k / 2) % s).min(k)).div_ceil(s);
            let phases = (0..s * s).map(|p| taps(p / s) * taps(p % s) * conv.out_channels());
            let rows = phases.map(|depth| depth.next_multiple_of(DEPTH)).sum();
            (rows, Tile::of(conv.in_channels()).padded_cols(conv.in_channels()))
        }
    }
}

twin! {
    /// What is packed: the weight of one convolution.
    pub(crate) struct PackJob {
        /// `[out_channels, in_channels, kernel, kernel]`.
        weights: Address<f32>,
        /// `[depth padded, padded_channels]`.
        packed: Address<Out<f32>>,
        in_channels: i32,
        out_channels: i32,
        kernel: i32,
        stride: i32,
        padded_channels: i32,
        /// Whether for the gradient of the image.
        for_image: i32,
        /// Values of all jobs before this one.
        first: i32,
        /// Fills the struct up.
        unused: i32,
    }
}

/// The weights that are packed together.
#[derive(Debug)]
pub(super) struct PackJobs {
    jobs: Buffer<PackJob>,
    values: usize,
}

impl PackJobs {
    /// Of convolutions with the addresses of their weights on the device and the memory for what is packed.
    pub fn new<'a>(
        device: &Device,
        product: Product,
        weights: impl IntoIterator<Item = (&'a Conv2d, u64, &'a Buffer<f32>)>,
    ) -> Result<Self> {
        let mut values = 0;
        let jobs: Vec<PackJob> = weights
            .into_iter()
            .map(|(conv, weight, packed)| {
                let (rows, cols) = packed_size(conv, product);
                assert_eq!(packed.len(), rows * cols, "packed weights of {conv:?}");
                let size = |n: usize| i32::try_from(n).expect("layers are small");
                let job = PackJob {
                    weights: Address::at(weight),
                    packed: packed.into(),
                    in_channels: size(conv.in_channels()),
                    out_channels: size(conv.out_channels()),
                    kernel: size(conv.kernel()),
                    stride: size(conv.stride()),
                    padded_channels: size(cols),
                    for_image: i32::from(product == Product::Image),
                    first: size(values),
                    unused: 0,
                };
                values += packed.len();
                job
            })
            .collect();
        Ok(Self { jobs: device.upload(&jobs)?, values })
    }
}

/// Memory for packed weights.
pub(super) fn packed(device: &Device, conv: &Conv2d, product: Product) -> Result<Buffer<f32>> {
    assert!((1..=2).contains(&conv.stride()), "stride {}, kernels know 1 and 2", conv.stride());
    let (rows, cols) = packed_size(conv, product);
    Ok(device.zeros(rows * cols)?)
}

impl Kernels {
    /// Packs weights, all in one launch.
    pub fn pack(&self, jobs: &PackJobs) -> Result<()> {
        let args = Args::new().buffer(&jobs.jobs).int(jobs.jobs.len()).int(jobs.values);
        // SAFETY: each job's weight has the size of the layer's slot, and its packed values are those asserted when it was made.
        Ok(unsafe { self.weights.launch("features_pack", &Launch::each(jobs.values), args) }?)
    }

    /// `output = image * packed + bias`.
    pub fn convolve(
        &self,
        conv: &Conv2d,
        packed: &Buffer<f32>,
        bias: Option<u64>,
        image: View,
        output: View,
    ) -> Result<()> {
        let args = Args::new().buffer(image.data).buffer(packed).value(bias.unwrap_or(0)).buffer(output.data);
        let args = sizes(args, conv, packed, Product::Output, image, output);
        let tile = Tile::of(conv.out_channels());
        let launch = tile.launch(output.pixels(), conv.out_channels(), output.images);
        // SAFETY: `sizes` has checked all buffers against the sizes among the arguments; the bias has a value for each
        // channel, and the output is a buffer of its own.
        Ok(unsafe { self.conv.launch(&tile.kernel("features_conv"), &launch, args) }?)
    }

    /// `d_image = ` (or `+=` if `accumulate`) the gradient of the image, from that of the output.
    pub fn convolve_back(
        &self,
        conv: &Conv2d,
        packed: &Buffer<f32>,
        d_output: View,
        d_image: View,
        accumulate: bool,
    ) -> Result<()> {
        let args = Args::new().buffer(d_output.data).buffer(packed).buffer(d_image.data);
        let args = sizes(args, conv, packed, Product::Image, d_image, d_output).int(usize::from(accumulate));
        let tile = Tile::of(conv.in_channels());
        let s = conv.stride();
        let pixels = d_image.height.div_ceil(s) * d_image.width.div_ceil(s);
        let launch = tile.launch(pixels, conv.in_channels(), d_image.images * s * s);
        // SAFETY: as in `convolve`; every pixel is in one phase, and each block writes its own.
        Ok(unsafe { self.conv.launch(&tile.kernel("features_conv_image"), &launch, args) }?)
    }

    /// Adds the gradient of the weight to what lies at `d_weight`, `[out, in, kernel, kernel]`.
    pub fn convolve_back_weight(
        &self,
        pool: &mut Pool,
        conv: &Conv2d,
        image: View,
        d_output: View,
        d_weight: u64,
    ) -> Result<()> {
        let (ci, co, taps) = (conv.in_channels(), conv.out_channels(), conv.kernel() * conv.kernel());
        let (tile, pixels) = (Tile::of(co), d_output.images * d_output.pixels());
        let (rows, cols) = ((taps * ci).next_multiple_of(tile.rows), tile.padded_cols(co));
        let tiles = rows / tile.rows * (cols / tile.cols);
        let splits = (SPLIT_BLOCKS / tiles).clamp(1, pixels.div_ceil(SPLIT_PIXELS));
        let split = pixels.div_ceil(splits).next_multiple_of(DEPTH);
        let splits = pixels.div_ceil(split);
        let partial = pool.take(splits * rows * cols)?;
        let args = Args::new().buffer(image.data).buffer(d_output.data).buffer(&partial);
        let args = sizes(args, conv, &partial, Product::Output, image, d_output).int(image.images).int(split);
        let launch = tile.launch(rows, cols, splits);
        // SAFETY: `sizes` has checked image and gradient; every block writes a tile of its own of `splits` partials.
        unsafe { self.weights.launch(&tile.kernel("features_conv_weights"), &launch, args) }?;
        let args =
            Args::new().buffer(&partial).value(d_weight).int(splits).int(rows).int(cols).int(ci).int(co).int(taps);
        let launch = Launch::each(taps * ci * cols);
        // SAFETY: the partials are those just made; what lies at `d_weight` has the size of the layer's slot.
        unsafe { self.weights.launch("features_conv_weights_sum", &launch, args) }?;
        pool.give(partial);
        Ok(())
    }
}

/// Appends the sizes that kernels of a convolution have in common, after checking them.
fn sizes(args: Args, conv: &Conv2d, weights: &Buffer<f32>, product: Product, image: View, output: View) -> Args {
    let (out_height, out_width) = conv.output_size(image.height, image.width);
    image.expect("image of a convolution", image.size(conv.in_channels()));
    output.expect("output of a convolution", [image.images, out_height, out_width, conv.out_channels()]);
    let (rows, cols) = packed_size(conv, product);
    assert!(weights.len() >= rows * cols, "weights of {conv:?}: {} values, {rows}x{cols} needed", weights.len());
    let args = args.int(image.height).int(image.width).int(conv.in_channels());
    args.int(out_height).int(out_width).int(conv.out_channels()).int(conv.kernel()).int(conv.stride())
}
