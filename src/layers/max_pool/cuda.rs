//! Maxima of 2 by 2 pixels on a CUDA device, forward.

use crate::cuda::{MoreArgs, Ops, Slice, Store};
use crate::patch_conv::ImageSize;
use compute::cuda::{Args, Launch, Result};

impl Ops {
    /// As [`super::forward`]: pools images `x` `[images, height, width, channels]` with even sides; `y` is resized and
    /// overwritten.
    ///
    /// # Panics
    /// If the sizes disagree or a side is odd.
    ///
    /// # Errors
    /// If the device fails.
    pub fn max_pool<'a>(
        &self,
        (images, height, width): ImageSize,
        channels: usize,
        x: impl Into<Slice<'a>>,
        y: &mut Store,
    ) -> Result<()> {
        let x = x.into();
        assert!(height.is_multiple_of(2) && width.is_multiple_of(2), "sides to pool: {height}, {width}");
        assert_eq!(x.len(), images * height * width * channels, "values to pool");
        y.resize(&self.device, x.len() / 4)?;
        let args = Args::new().slice(x).ints([width, channels]).store(y).value(y.len() as u64);
        // SAFETY: x holds four values for each of y (checked); y is borrowed mutably.
        unsafe { self.module("images/pooling.cu")?.launch("images_max_pool", &Launch::each(y.len()), args) }
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::Store;
    use crate::cuda::testing::{ops, uniform, upload};
    use crate::params::SplitMix;

    #[test]
    fn values_are_those_of_the_cpu() {
        let (ops, mut y) = (ops(), Store::default());
        for (size, channels) in [((2, 6, 4), 5), ((1, 2, 2), 1), ((3, 2, 10), 33)] {
            let x = uniform(&mut SplitMix(4), size.0 * size.1 * size.2 * channels, 2.0);
            let mut expected = Vec::new();
            crate::max_pool::forward(size, channels, &x, &mut expected);
            ops.max_pool(size, channels, &upload(&ops, &x), &mut y).unwrap();
            assert_eq!(y.read().unwrap(), expected);
        }
    }
}
