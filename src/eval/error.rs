//! What can go wrong while images are compared and costs are modelled.

use crate::energy::Layer;
use scene::Image;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of the evaluation crate; each message names the thing, what was expected and what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An image or mask without pixels, with another number of values than its size asks for, unlike its reference in
    /// size or too small.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// Which image, or the mask.
        what: &'static str,
        /// Size or number of values.
        expected: String,
        /// Size or number of values.
        found: String,
    },
    /// A name that stands for nothing.
    #[error("{what}: expected {expected}, found {found:?}")]
    Name {
        /// What the name is of.
        what: &'static str,
        /// The names that there are.
        expected: &'static str,
        /// The name that was given.
        found: String,
    },
    /// Weights of LPIPS that cannot be read or are not those of its networks; names file and tensor.
    #[error("{0}")]
    Weights(String),
    /// A layer of the energy model with a size of 0, or one that the accelerator cannot run.
    #[error("{0}: expected sizes above 0 and a tiling that fits the accelerator, found none")]
    Tiling(Layer),
}

/// Checks that both images are whole, not empty and of one size.
///
/// # Errors
/// [`Error::Shape`].
pub(crate) fn check(image: &Image, reference: &Image) -> Result<()> {
    for (what, image) in [("reference image", reference), ("image", image)] {
        let (w, h) = (image.width, image.height);
        let values = u128::from(w) * u128::from(h) * 3;
        if values == 0 {
            return Err(Error::Shape { what, expected: "at least one pixel".into(), found: format!("{w}x{h}") });
        }
        if values != image.data.len() as u128 {
            let expected = format!("{values} values for {w}x{h} pixels");
            return Err(Error::Shape { what, expected, found: image.data.len().to_string() });
        }
    }
    if (image.width, image.height) != (reference.width, reference.height) {
        return Err(Error::Shape {
            what: "image",
            expected: format!("{}x{} like the reference", reference.width, reference.height),
            found: format!("{}x{}", image.width, image.height),
        });
    }
    Ok(())
}

/// A colour clipped to `[0, 1]`; NaN counts as 0, as in [`Image::to_rgb8`].
#[inline]
pub(crate) fn clipped(value: f32) -> f64 {
    f64::from(value.clamp(0.0, 1.0).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SsimKind, flip, psnr, ssim};

    #[test]
    fn shapes_are_checked() {
        let good = Image::black(5, 3);
        let mut short = good.clone();
        short.data.pop();
        for (image, reference, wanted) in [
            (&Image::black(3, 5), &good, "expected 5x3 like the reference, found 3x5"),
            (&good, &Image::black(5, 4), "expected 5x4 like the reference, found 5x3"),
            (&good, &short, "reference image: expected 45 values for 5x3 pixels, found 44"),
            (&Image::black(0, 7), &Image::black(0, 7), "expected at least one pixel, found 0x7"),
            // A size whose product does not fit 32 bits.
            (&good, &Image { width: u32::MAX, height: u32::MAX, data: vec![] }, "found 0"),
        ] {
            let expect = |error: Error| assert!(error.to_string().contains(wanted), "{error}");
            expect(psnr(image, reference, None).unwrap_err());
            expect(flip(image, reference, None).unwrap_err());
            SsimKind::ALL.iter().for_each(|kind| expect(ssim(image, reference, *kind, None).unwrap_err()));
        }
    }

    #[test]
    fn colours_are_clipped() {
        let values = [f32::NAN, f32::NEG_INFINITY, -0.0, 0.25, 1.0, 7.0, f32::INFINITY];
        assert_eq!(values.map(clipped), [0.0, 0.0, 0.0, 0.25, 1.0, 1.0, 1.0]);
    }
}
