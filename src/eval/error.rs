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
        /// What is named.
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
pub(crate) mod testing {
    use crate::Mask;
    use safetensors::SafeTensors;
    use scene::Image;
    use std::collections::HashMap;

    /// Two images that differ everywhere, without symmetry.
    pub fn patterns(width: u32, height: u32) -> [Image; 2] {
        let a = image(width, height, |x, y, c| ((x * x + 3 * y + c) % 7) as f32 / 6.0);
        let b = image(width, height, |x, y, c| ((x + 2 * y * y + c) % 5) as f32 / 4.0);
        [a, b]
    }

    /// Prediction, reference and one number of the `metric.*` fixture.
    pub fn fixture(number: &str) -> (Image, Image, f64) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/loaders.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let image = |name: &str| {
            let tensor = tensors.tensor(name).unwrap();
            let data = tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            Image::new(tensor.shape()[1] as u32, tensor.shape()[0] as u32, data).unwrap()
        };
        let value = tensors.tensor(number).unwrap();
        let value = match value.dtype() {
            safetensors::Dtype::F64 => f64::from_le_bytes(value.data().try_into().unwrap()),
            _ => f64::from(f32::from_le_bytes(value.data().try_into().unwrap())),
        };
        (image("metric.pred"), image("metric.gt"), value)
    }

    /// One pair of images of the `metrics.safetensors` fixture, with what other programs say about it.
    pub struct Metrics {
        pub name: &'static str,
        pub image: Image,
        pub reference: Image,
        pub mask: Mask,
        /// `[height, width]`.
        pub flip_map: Vec<f32>,
        numbers: HashMap<String, f64>,
    }

    impl Metrics {
        pub fn number(&self, name: &str) -> f64 {
            self.numbers[name]
        }
    }

    /// The pairs of the `metrics.safetensors` fixture; `metrics.py` beside it says what they show.
    pub fn metrics() -> Vec<Metrics> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/metrics.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let pair = |name: &'static str| {
            let tensor = |part: &str| tensors.tensor(&format!("{name}.{part}")).unwrap();
            let image = |part: &str| {
                let tensor = tensor(part);
                let data = tensor.data().iter().map(|value| f32::from(*value) / 255.0).collect();
                Image::new(tensor.shape()[1] as u32, tensor.shape()[0] as u32, data).unwrap()
            };
            let (image, reference, mask) = (image("image"), image("reference"), tensor("mask"));
            let mask = mask.data().iter().map(|flag| *flag != 0).collect();
            let mask = Mask::new(image.width, image.height, mask).unwrap();
            let floats = tensor("flip_map").data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            let numbers = tensors.iter().filter_map(|(full, tensor)| {
                let part = full.strip_prefix(name)?.strip_prefix('.')?;
                let value = <[u8; 8]>::try_from(tensor.data()).ok().filter(|_| tensor.shape().is_empty())?;
                Some((part.to_owned(), f64::from_le_bytes(value)))
            });
            Metrics { name, image, reference, mask, flip_map: floats, numbers: numbers.collect() }
        };
        ["picture", "extremes", "strip"].map(pair).into()
    }

    /// An image with a value for every `(x, y, channel)`.
    pub fn image(width: u32, height: u32, value: impl Fn(u32, u32, u32) -> f32) -> Image {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let data = pixels.flat_map(|(x, y)| [value(x, y, 0), value(x, y, 1), value(x, y, 2)]).collect();
        Image::new(width, height, data).unwrap()
    }
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
