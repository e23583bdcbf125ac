//! Peak signal-to-noise ratio.

use crate::error::{check, clipped};
use crate::{Mask, Result};
use scene::Image;
use scene::image::{self, EVAL_FLOOR};

/// Peak signal-to-noise ratio in dB, `-10·log10(mse + 1e-6)`, where the mean squared error is over all pixels that
/// count and all channels of both images clipped to `[0, 1]`.
///
/// The values are taken as they are; to measure what a file holds, round to 8 bits first.
///
/// # Errors
/// [`crate::Error::Shape`] if the images are empty or differ in size, or if the mask has another size or lets nothing
/// count.
pub fn psnr(image: &Image, reference: &Image, mask: Option<&Mask>) -> Result<f64> {
    check(image, reference)?;
    let counted = Mask::check(mask, image)?;
    let square = |(a, b): (&f32, &f32)| (clipped(*a) - clipped(*b)).powi(2);
    let pixels = image.data.as_chunks::<3>().0.iter().zip(reference.data.as_chunks::<3>().0).enumerate();
    let sum: f64 = pixels
        .filter(|(pixel, _)| Mask::admits(mask, *pixel))
        .map(|(_, (a, b))| a.iter().zip(b).map(square).sum::<f64>())
        .sum();
    Ok(image::psnr(sum / (3 * counted) as f64, EVAL_FLOOR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Metrics};

    #[test]
    fn known_differences() {
        let of = |a: f32, b: f32| {
            psnr(&testing::image(31, 1, |_, _, _| a), &testing::image(31, 1, |_, _, _| b), None).unwrap()
        };
        assert!((of(0.3, 0.3) - 60.0).abs() < 1e-9);
        assert!((of(0.5, 0.4) - 20.0).abs() < 1e-3);
        assert!(of(0.0, 1.0).abs() < 1e-4);
        assert_eq!(of(1.0, 9.0), of(1.0, 1.0), "clipped before the comparison");
        assert_eq!(of(f32::NAN, 0.5), of(0.0, 0.5));
    }

    /// Only the pixel that counts is read.
    #[test]
    fn one_counted_pixel() {
        let image = testing::image(31, 3, |x, y, _| if (x, y) == (7, 1) { 0.5 } else { 1.0 });
        let reference = testing::image(31, 3, |x, y, _| if (x, y) == (7, 1) { 0.4 } else { 0.0 });
        let mask = Mask::new(31, 3, (0..93).map(|i| i == 31 + 7).collect()).unwrap();
        assert!((psnr(&image, &reference, Some(&mask)).unwrap() - 20.0).abs() < 1e-3);
    }

    #[test]
    fn agrees_with_the_reference() {
        let (image, truth, expected) = testing::fixture("metric.psnr");
        let found = psnr(&image, &truth, None).unwrap();
        assert!((found - expected).abs() < 1e-4, "expected {expected}, found {found}");
    }

    /// Seven digits: both sides compute in 64 bits, from the same 8-bit colours rounded to 32-bit fractions.
    #[test]
    fn agrees_with_numpy() {
        for pair in testing::metrics() {
            let Metrics { name, image, reference, mask, .. } = &pair;
            for (mask, number) in [(None, "psnr"), (Some(mask), "psnr_masked")] {
                let (expected, found) = (pair.number(number), psnr(image, reference, mask).unwrap());
                assert!((found - expected).abs() < 1e-5, "{name} {number}: expected {expected}, found {found}");
            }
        }
    }
}
