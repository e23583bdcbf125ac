//! Launches of instance normalisations and of sums for biases.

use super::pool::{Pool, View};
use super::{Kernels, address};
use crate::Result;
use compute::cuda::{Args, Buffer, Launch};
use layers::Slot;
use layers::activation::Activation;
use layers::instance_norm::EPSILON;

/// Pixels that a thread of the first stage of a sum adds up.
pub(super) const STRIP: usize = 16;
/// Threads of a block of that stage.
pub(super) const THREADS: usize = 256;

/// How pixels and channels of a map are divided for sums over the pixels, see `kernels/features/columns.cuh`.
#[derive(Clone, Copy, Debug)]
struct Columns {
    /// Maps that have sums of their own.
    images: usize,
    /// Pixels of each.
    pixels: usize,
    channels: usize,
    /// Pixels of a chunk.
    chunk: usize,
    chunks: usize,
    /// Channels of a block.
    group: usize,
}

impl Columns {
    /// For sums over each image.
    fn new(map: View) -> Self {
        Self::over(map.images, map.pixels(), map.channels)
    }

    /// For sums over all images together.
    fn of_all(map: View) -> Self {
        Self::over(1, map.images * map.pixels(), map.channels)
    }

    fn over(images: usize, pixels: usize, channels: usize) -> Self {
        let group = channels.next_power_of_two().min(32);
        let chunk = THREADS / group * STRIP;
        Self { images, pixels, channels, chunk, chunks: pixels.div_ceil(chunk), group }
    }

    fn first_stage(&self) -> Launch {
        let block = [self.group as u32, (THREADS / self.group) as u32, 1];
        Launch { block, ..Launch::new(self.chunks, 1).grid(self.channels.div_ceil(self.group), self.images) }
    }

    /// Of which one launch serves as many images as `images` says.
    fn second_stage(&self, images: usize) -> Launch {
        Launch { block: [32, 32, 1], ..Launch::new(self.channels.div_ceil(32), 1).grid(1, images) }
    }

    fn partial(&self, pool: &mut Pool) -> Result<Buffer<f32>> {
        pool.take(self.images * self.chunks * 2 * self.channels)
    }
}

/// One thread for 4 values of a map, or for one.
fn values(map: View) -> Launch {
    let count = map.pixels() * map.channels;
    Launch::each(if map.channels.is_multiple_of(4) { count / 4 } else { count }).grid(1, map.images)
}

/// Activations by the numbers by which kernels know them.
pub(super) const ACTIVATIONS: [Activation; 3] = [Activation::Identity, Activation::Relu, Activation::Elu];

fn number(activation: Activation) -> usize {
    ACTIVATIONS.iter().position(|a| *a == activation).expect("kernels know all activations")
}

/// Gain and offset, or their gradients, in a flat buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine<'a> {
    pub flat: &'a Buffer<f32>,
    pub gain: Slot,
    pub offset: Slot,
}

impl Kernels {
    /// `output = activation(normalised image · gain + offset + residual)`, each image for itself; returns the statistics, mean
    /// and inverse deviation of each image's channels. `output` may be `image`.
    pub fn normalise(
        &self,
        pool: &mut Pool,
        affine: Affine,
        activation: Activation,
        image: View,
        residual: Option<View>,
        output: View,
    ) -> Result<Buffer<f32>> {
        let columns = Columns::new(image);
        let size = image.size(affine.gain.len);
        image.expect("normalised image", size);
        output.expect("output of a normalisation", size);
        if let Some(residual) = residual {
            residual.expect("residual", size);
        }
        let (partial, stats) = (columns.partial(pool)?, pool.take(2 * columns.images * columns.channels)?);
        let args = Args::new().buffer(image.data).buffer(&partial).int(columns.pixels).int(columns.channels);
        // SAFETY: the image is as large as asserted, the partials as `Columns` has them; each block writes its own.
        unsafe { self.norm.launch("features_norm_moments", &columns.first_stage(), args) }?;
        let args = Args::new().buffer(&partial).buffer(&stats).int(columns.pixels).int(columns.channels);
        let args = args.int(columns.chunks).int(columns.chunk).float(EPSILON as f32);
        // SAFETY: the partials are those just made, and there are two statistics for each image and channel.
        unsafe { self.norm.launch("features_norm_statistics", &columns.second_stage(columns.images), args) }?;
        let args = Args::new().buffer(image.data).buffer(&stats);
        let args = args.value(address(affine.flat, affine.gain)).value(address(affine.flat, affine.offset));
        let args = args.optional(residual.map(|r| r.data)).buffer(output.data);
        let args = args.int(columns.pixels).int(columns.channels).int(number(activation));
        // SAFETY: all maps are as large as asserted, and `address` has checked the parameters. A thread reads only the
        // values that it writes, so output and image may be one.
        unsafe { self.norm.launch("features_norm_apply", &values(image), args) }?;
        pool.give(partial);
        Ok(stats)
    }

    /// The transpose of [`Kernels::normalise`], given the gradient of the output: adds to the gradients of gain and
    /// offset, and writes that of the image to `d_image`, leaving that of the residual in `d_output`; or, without a
    /// `d_image`, writes that of the image to `d_output`. `output` is not read without an activation.
    pub fn normalise_back(
        &self,
        pool: &mut Pool,
        affine: Affine,
        grads: Affine,
        activation: Activation,
        (image, stats, output): (View, &Buffer<f32>, View),
        d_output: View,
        d_image: Option<View>,
    ) -> Result<()> {
        let columns = Columns::new(image);
        let size = image.size(affine.gain.len);
        image.expect("normalised image", size);
        output.expect("output of a normalisation", size);
        d_output.expect("gradient of a normalisation", size);
        if let Some(d_image) = d_image {
            d_image.expect("gradient of a normalised image", size);
        }
        let keep = d_image.is_some();
        let target = d_image.unwrap_or(d_output);
        let (partial, coefficients) = (columns.partial(pool)?, pool.take(3 * columns.images * columns.channels)?);
        let read = |args: Args| args.buffer(output.data).buffer(image.data).buffer(stats);
        let args = read(Args::new().buffer(d_output.data)).buffer(&partial);
        let args = args.int(columns.pixels).int(columns.channels).int(number(activation));
        // SAFETY: all maps are as large as asserted, statistics and partials as their makers have them; each block
        // writes its own partials.
        unsafe { self.norm_back.launch("features_norm_back_sums", &columns.first_stage(), args) }?;
        let args = Args::new().buffer(&partial).buffer(stats).value(address(affine.flat, affine.gain));
        let args = args.buffer(&coefficients);
        let args = args.value(address(grads.flat, grads.gain)).value(address(grads.flat, grads.offset));
        let args = args.int(columns.images).int(columns.pixels).int(columns.channels).int(columns.chunks);
        // SAFETY: the partials are those just made, there are three coefficients for each image and channel, and `address`
        // has checked the parameters.
        unsafe { self.norm_back.launch("features_norm_back_affine", &columns.second_stage(1), args) }?;
        let args = read(Args::new().buffer(d_output.data)).buffer(&coefficients).buffer(target.data);
        let args = args.int(columns.pixels).int(columns.channels).int(number(activation)).int(usize::from(keep));
        // SAFETY: as for the sums. A thread reads only the values that it writes, so both gradients may be one.
        unsafe { self.norm_back.launch("features_norm_back_apply", &values(image), args) }?;
        pool.give(partial);
        pool.give(coefficients);
        Ok(())
    }

    /// Adds the sums over all pixels of `gradient` to what lies at `d_bias`, a value for each channel.
    pub fn bias_back(&self, pool: &mut Pool, gradient: View, d_bias: u64) -> Result<()> {
        let columns = Columns::of_all(gradient);
        gradient.expect("gradient of a bias", gradient.size(gradient.channels));
        let partial = columns.partial(pool)?;
        let args = Args::new().buffer(gradient.data).buffer(&partial).int(columns.pixels).int(columns.channels);
        // SAFETY: the gradient is as large as asserted, the partials as `Columns` has them; each block writes its own.
        unsafe { self.norm_back.launch("features_bias_sums", &columns.first_stage(), args) }?;
        let args = Args::new().buffer(&partial).value(d_bias).int(columns.channels).int(columns.chunks);
        // SAFETY: the partials are those just made; at `d_bias` lies a value for each channel.
        unsafe { self.norm_back.launch("features_bias_add", &columns.second_stage(1), args) }?;
        pool.give(partial);
        Ok(())
    }
}
