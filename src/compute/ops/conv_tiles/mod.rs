//! Convolutions of 3 by 3 pixels in training, straight on tiles of bf16: no patches are copied.
//!
//! An image with a border of zeros is one long list of pixels. A tile of the left factor is 16 pixels of it that lie side
//! by side, and for every tap of the kernel the same pixels a little further on. For the gradient of the weights, the list
//! lies transposed, so that pixels are the depth of the product.

#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Sizes of a 3x3 convolution with stride 1 and a border of one zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Number of images.
    pub images: usize,
    /// Rows of each.
    pub height: usize,
    /// Columns of each.
    pub width: usize,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
}

impl ConvShape {
    /// Whether the functions of this module can be used: the processor has products of bf16, and sizes fill tiles.
    pub fn fits(&self) -> bool {
        crate::isa().has_bf16()
            && self.width.is_multiple_of(16)
            && self.inputs.is_multiple_of(32)
            && self.outputs.is_multiple_of(32)
    }

    #[cfg(target_arch = "x86_64")]
    fn check(&self, x: usize, y: usize, weight: usize) {
        assert!(self.fits(), "{self:?} does not fill tiles");
        let pixels = self.images * self.height * self.width;
        let found = [x, y, weight];
        assert_eq!(found, [pixels * self.inputs, pixels * self.outputs, 9 * self.inputs * self.outputs], "{self:?}");
    }
}

/// `y = bias + weight ∗ x`.
///
/// # Shapes
/// - `x`: `[images, height, width, inputs]`, `y`: `[images, height, width, outputs]`
/// - `weight`: `[3, 3, inputs, outputs]`, `bias`: `[outputs]`
///
/// # Panics
/// If sizes disagree or do not [fit](ConvShape::fits).
pub fn forward(shape: &ConvShape, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        shape.check(x.len(), y.len(), weight.len());
        assert_eq!(bias.len(), shape.outputs, "bias");
        x86::forward(shape, x, weight, Some(bias), y);
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("no products of bf16: {shape:?} {} {} {} {}", x.len(), weight.len(), bias.len(), y.len());
}

/// The gradient of [`forward`]'s input, which overwrites `dx`; shapes as there.
///
/// # Panics
/// As [`forward`].
pub fn input_gradient(shape: &ConvShape, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        shape.check(dx.len(), dy.len(), weight.len());
        x86::input_gradient(shape, dy, weight, dx);
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("no products of bf16: {shape:?} {} {} {}", dy.len(), weight.len(), dx.len());
}

/// Adds the gradient of [`forward`]'s weight to `dw`; shapes as there.
///
/// # Panics
/// As [`forward`].
pub fn weight_gradient(shape: &ConvShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        shape.check(x.len(), dy.len(), dw.len());
        x86::weight_gradient(shape, x, dy, dw);
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("no products of bf16: {shape:?} {} {} {}", x.len(), dy.len(), dw.len());
}
