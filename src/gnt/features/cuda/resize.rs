//! Launches of what changes the size of maps.

use super::Kernels;
use super::pool::View;
use crate::Result;
use compute::cuda::{Args, Buffer, Launch};

/// Distance of output pixels in the source, of `n` pixels.
fn scale(n: usize) -> f32 {
    (n as f32 - 1.0) / (2.0 * n as f32 - 1.0)
}

/// Appends the sizes of an upsampling, after checking them.
fn upsampling(args: Args, small: View, large: View) -> Args {
    small.expect("image to upsample", small.size(small.channels));
    large.expect("upsampled image", [small.images, 2 * small.height, 2 * small.width, small.channels]);
    let args = args.int(small.height).int(small.width).int(small.channels);
    args.float(scale(small.height)).float(scale(small.width))
}

/// Appends the sizes of a joining, after checking them.
fn joining(args: Args, up: View, skip: View, joined: View) -> Args {
    assert!(skip.height <= up.height && skip.width <= up.width, "{skip:?} must fit into {up:?}");
    up.expect("decoder map", up.size(up.channels));
    skip.expect("encoder map", [up.images, skip.height, skip.width, skip.channels]);
    joined.expect("joined map", up.size(up.channels + skip.channels));
    let args = args.int(up.height).int(up.width).int(up.channels);
    args.int(skip.height).int(skip.width).int(skip.channels)
}

/// One thread a value of an image.
fn each(map: View) -> Launch {
    Launch::each(map.pixels() * map.channels).grid(1, map.images)
}

impl Kernels {
    /// Doubles height and width, corners aligned.
    pub fn upsample(&self, image: View, output: View) -> Result<()> {
        let args = upsampling(Args::new().buffer(image.data).buffer(output.data), image, output);
        // SAFETY: the maps are as large as checked; each thread writes a value of its own.
        Ok(unsafe { self.resize.launch("features_upsample", &each(output), args) }?)
    }

    /// The transpose of [`Kernels::upsample`].
    pub fn upsample_back(&self, d_output: View, d_image: View) -> Result<()> {
        let args = upsampling(Args::new().buffer(d_output.data).buffer(d_image.data), d_image, d_output);
        // SAFETY: as above.
        Ok(unsafe { self.resize.launch("features_upsample_back", &each(d_image), args) }?)
    }

    /// Joins the channels of two maps, `skip` centred in zeros.
    pub fn join(&self, up: View, skip: View, joined: View) -> Result<()> {
        let args = joining(Args::new().buffer(up.data).buffer(skip.data).buffer(joined.data), up, skip, joined);
        // SAFETY: the maps are as large as checked; each thread writes a value of its own.
        Ok(unsafe { self.resize.launch("features_join", &each(joined), args) }?)
    }

    /// The transpose of [`Kernels::join`].
    pub fn split(&self, d_joined: View, d_up: View, d_skip: View) -> Result<()> {
        let args = Args::new().buffer(d_joined.data).buffer(d_up.data).buffer(d_skip.data);
        let args = joining(args, d_up, d_skip, d_joined);
        // SAFETY: as above; all values of both targets are written, since `d_skip` lies inside.
        Ok(unsafe { self.resize.launch("features_split", &each(d_joined), args) }?)
    }

    /// Copies the first `to.len()` values from `from`, an address on the device where there are as many.
    pub fn copy(&self, from: u64, to: &Buffer<f32>, count: usize) -> Result<()> {
        assert!(count <= to.len(), "{count} values into {}", to.len());
        let args = Args::new().value(from).buffer(to).int(count);
        // SAFETY: both have as many values, and the target is a buffer of its own.
        Ok(unsafe { self.resize.launch("features_copy", &Launch::each(count), args) }?)
    }
}
