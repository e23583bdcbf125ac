//! Convolution on a CUDA device, forward: patches as rows, then a product.

use super::{ImageSize, PatchConv};
use crate::cuda::{MoreArgs, Ops, Slice, Store};
use compute::cuda::{Args, Buffer, Launch, Result};

impl Ops {
    /// As [`PatchConv::forward`]: convolves images `x`; `y` is resized and overwritten, and `patches` is memory for the
    /// rows.
    ///
    /// # Panics
    /// If `x` is not as large as `size` says.
    ///
    /// # Errors
    /// If the device fails.
    pub fn patch_conv<'a>(
        &self,
        layer: &PatchConv,
        params: &Buffer<f32>,
        size: ImageSize,
        x: impl Into<Slice<'a>>,
        y: &mut Store,
        patches: &mut Store,
    ) -> Result<()> {
        let (x, (images, height, width)) = (x.into(), size);
        assert_eq!(x.len(), images * height * width * layer.inputs, "values of {images} images of {height}x{width}");
        let (rows, columns) = layer.output_size(height, width);
        let count = images * rows * columns * layer.linear.inputs;
        y.resize(&self.device, images * rows * columns * layer.linear.outputs)?;
        patches.resize(&self.device, count)?;
        let args = Args::new()
            .slice(x)
            .ints([height, width, layer.inputs, layer.kernel, layer.stride, layer.pad, rows, columns])
            .store(patches)
            .value(count as u64);
        // SAFETY: x holds the images (checked), beyond which nothing is read, and there is room for `count` values; the
        // patches are borrowed mutably.
        unsafe { self.module("images/patch_conv.cu")?.launch("images_patches", &Launch::each(count), args)? };
        self.linear(&layer.linear, params, &*patches, y, false, false)
    }
}

#[cfg(test)]
mod tests {
    use crate::Layout;
    use crate::builder::Builder;
    use crate::cuda::Store;
    use crate::cuda::testing::{VALUES, assert_near, ops, parameters, uniform, upload};
    use crate::params::SplitMix;
    use crate::patch_conv::PatchConv;

    #[test]
    fn values_are_those_of_the_cpu() {
        let ops = ops();
        let (mut y, mut patches) = (Store::default(), Store::default());
        for (channels, [kernel, stride, pad], size) in [
            ((3, 5), [3, 1, 1], (2, 6, 7)),
            ((3, 8), [7, 4, 3], (1, 17, 13)),
            ((4, 4), [2, 2, 0], (3, 5, 4)),
            ((2, 3), [1, 1, 0], (1, 1, 1)),
        ] {
            let mut layout = Layout::new();
            let mut b = Builder::new(&mut layout, "");
            let layer = PatchConv::build(&mut b, "conv", channels, kernel, stride, pad);
            let params = parameters(&b.folded, 3, 1.0);
            let x = uniform(&mut SplitMix(4), size.0 * size.1 * size.2 * channels.0, 2.0);
            let mut expected = Vec::new();
            layer.forward(&params, size, &x, &mut expected, &mut Default::default());
            let params = ops.device().upload(&params).unwrap();
            ops.patch_conv(&layer, &params, size, &upload(&ops, &x), &mut y, &mut patches).unwrap();
            assert_near("y", &y.read().unwrap(), &expected, VALUES);
        }
    }
}
