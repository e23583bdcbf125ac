//! Depthwise convolution on a CUDA device, forward.

use super::Depthwise;
use crate::cuda::{MoreArgs, Ops, Slice, SliceMut};
use compute::cuda::{Args, Buffer, Launch, Result};

impl Ops {
    /// As [`Depthwise::forward`]: convolves grids `x` of `height` by `width` tokens to `y`, both `[images, height, width,
    /// channels]`.
    ///
    /// # Panics
    /// If the shapes disagree.
    ///
    /// # Errors
    /// If the device fails.
    pub fn depthwise<'a, 'b>(
        &self,
        layer: &Depthwise,
        params: &Buffer<f32>,
        (height, width): (usize, usize),
        x: impl Into<Slice<'a>>,
        y: impl Into<SliceMut<'b>>,
    ) -> Result<()> {
        let (x, y) = (x.into(), y.into());
        assert!(x.len().is_multiple_of(height * width * layer.channels), "{} values in whole grids", x.len());
        assert_eq!(x.len(), y.len(), "values of a depthwise convolution");
        let args = Args::new()
            .slice(x)
            .slice(Slice::of(params, layer.weight))
            .slice(Slice::of(params, layer.bias))
            .ints([height, width, layer.channels, usize::from(layer.residual)])
            .value(y.address())
            .value(y.len() as u64);
        // SAFETY: x and y are whole grids of one length, and a token beyond a grid is not read; y is borrowed mutably.
        unsafe { self.module("images/depthwise.cu")?.launch("images_depthwise", &Launch::each(y.len()), args) }
    }
}

#[cfg(test)]
mod tests {
    use crate::Layout;
    use crate::builder::Builder;
    use crate::cuda::testing::{VALUES, assert_near, ops, parameters, uniform, upload};
    use crate::depthwise::Depthwise;
    use crate::params::SplitMix;

    #[test]
    fn values_are_those_of_the_cpu() {
        let ops = ops();
        for (residual, (height, width), images, channels) in
            [(true, (5, 7), 2, 3), (false, (1, 1), 3, 33), (true, (1, 4), 1, 8), (false, (8, 8), 2, 16)]
        {
            let mut layout = Layout::new();
            let mut b = Builder::new(&mut layout, "");
            let layer = Depthwise::build(&mut b, "local", channels, residual);
            let params = parameters(&b.folded, 3, 1.0);
            let x = uniform(&mut SplitMix(4), images * height * width * channels, 2.0);
            let mut expected = vec![0.0; x.len()];
            layer.forward(&params, (height, width), &x, &mut expected);
            let (device, mut y) = (upload(&ops, &x), upload(&ops, &x));
            let params = ops.device().upload(&params).unwrap();
            ops.depthwise(&layer, &params, (height, width), &device, &mut y).unwrap();
            assert_near("y", &y.read().unwrap(), &expected, VALUES);
        }
    }
}
