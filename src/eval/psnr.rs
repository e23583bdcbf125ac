//! Peak signal-to-noise ratio.

use crate::Result;
use crate::error::{check, clipped};
use scene::Image;

/// Added to the mean squared error, as in the GNT evaluation: equal images have 60 dB instead of infinitely many.
const FLOOR: f64 = 1e-6;

/// Peak signal-to-noise ratio in dB, `-10·log10(mse + 1e-6)`, where the mean squared error is over all pixels and
/// channels of both images clipped to `[0, 1]`.
///
/// The values are taken as they are; to measure what a file holds, round to 8 bits first.
///
/// # Errors
/// [`crate::Error::Shape`] if the images are empty or differ in size.
pub fn psnr(image: &Image, reference: &Image) -> Result<f64> {
    check(image, reference)?;
    let square = |(a, b): (&f32, &f32)| (clipped(*a) - clipped(*b)).powi(2);
    let sum: f64 = image.data.iter().zip(&reference.data).map(square).sum();
    Ok(-10.0 * (sum / image.data.len() as f64 + FLOOR).log10())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::testing;

    #[test]
    fn known_differences() {
        let of =
            |a: f32, b: f32| psnr(&testing::image(31, 1, |_, _, _| a), &testing::image(31, 1, |_, _, _| b)).unwrap();
        assert!((of(0.3, 0.3) - 60.0).abs() < 1e-9);
        assert!((of(0.5, 0.4) - 20.0).abs() < 1e-3);
        assert!(of(0.0, 1.0).abs() < 1e-4);
        assert_eq!(of(1.0, 9.0), of(1.0, 1.0), "clipped before the comparison");
        assert_eq!(of(f32::NAN, 0.5), of(0.0, 0.5));
    }

    #[test]
    fn agrees_with_the_reference() {
        let (image, truth, expected) = testing::fixture("metric.psnr");
        let found = psnr(&image, &truth).unwrap();
        assert!((found - expected).abs() < 1e-4, "expected {expected}, found {found}");
    }
}
