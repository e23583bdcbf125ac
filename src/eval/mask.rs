//! Which pixels of a comparison count.

use crate::{Error, Result};
use scene::Image;

/// The pixels that a comparison counts.
///
/// Figures average over these pixels only. Filters and windows still read all pixels: a pixel that does not count can
/// weigh on neighbours that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: u32,
    height: u32,
    counts: Vec<bool>,
    num_counted: usize,
}

impl Mask {
    /// Wraps `[height, width]` flags; true means that the pixel counts.
    ///
    /// # Errors
    /// [`Error::Shape`] if the length does not match. A mask in which nothing counts is an error only where it is used.
    pub fn new(width: u32, height: u32, counts: Vec<bool>) -> Result<Self> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels != counts.len() as u64 {
            return Err(Error::Shape {
                what: "mask",
                expected: format!("{pixels} flags for {width}x{height} pixels"),
                found: counts.len().to_string(),
            });
        }
        let num_counted = counts.iter().filter(|counts| **counts).count();
        Ok(Self { width, height, counts, num_counted })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `[height, width]`; true means that the pixel counts.
    pub fn counts(&self) -> &[bool] {
        &self.counts
    }

    /// Number of pixels that count.
    pub fn num_counted(&self) -> usize {
        self.num_counted
    }

    /// Part of the pixels that count, from 0 to 1; 0 for a mask without pixels.
    pub fn share(&self) -> f64 {
        self.num_counted as f64 / self.counts.len().max(1) as f64
    }

    /// Pixels of the image that count.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is a mask of another size than the image or one in which nothing counts.
    pub(crate) fn check(mask: Option<&Self>, image: &Image) -> Result<usize> {
        let Some(mask) = mask else { return Ok(image.data.len() / 3) };
        if (mask.width, mask.height) != (image.width, image.height) {
            return Err(Error::Shape {
                what: "mask",
                expected: format!("{}x{} like the image", image.width, image.height),
                found: format!("{}x{}", mask.width, mask.height),
            });
        }
        match mask.num_counted {
            0 => Err(Error::Shape {
                what: "mask",
                expected: "at least one pixel that counts".into(),
                found: "none".into(),
            }),
            counted => Ok(counted),
        }
    }

    /// Whether the pixel at an index of `[height, width]` counts; all do without a mask.
    #[inline]
    pub(crate) fn admits(mask: Option<&Self>, pixel: usize) -> bool {
        mask.is_none_or(|mask| mask.counts[pixel])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::{SsimKind, flip, psnr, ssim};

    #[test]
    fn holds_what_it_was_given() {
        let flags: Vec<bool> = (0..33).map(|i| i % 11 == 0).collect();
        let mask = Mask::new(11, 3, flags.clone()).unwrap();
        assert_eq!((mask.width(), mask.height(), mask.counts(), mask.num_counted()), (11, 3, flags.as_slice(), 3));
        assert!((mask.share() - 1.0 / 11.0).abs() < 1e-15);
        assert_eq!(Mask::new(0, 7, vec![]).unwrap().share(), 0.0);
        for (width, height, expected) in [(5, 3, "15 flags for 5x3 pixels, found 14"), (u32::MAX, u32::MAX, "found 14")]
        {
            let error = Mask::new(width, height, vec![true; 14]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn unusable_masks_are_refused() {
        let image = Image::black(13, 17);
        for (mask, expected) in [
            (Mask::new(17, 13, vec![true; 221]).unwrap(), "mask: expected 13x17 like the image, found 17x13"),
            (Mask::new(13, 17, vec![false; 221]).unwrap(), "mask: expected at least one pixel that counts, found none"),
        ] {
            let mask = Some(&mask);
            for error in [
                psnr(&image, &image, mask).unwrap_err(),
                ssim(&image, &image, SsimKind::Gnt, mask).unwrap_err(),
                ssim(&image, &image, SsimKind::Uniform, mask).unwrap_err(),
                flip(&image, &image, mask).unwrap_err(),
            ] {
                assert_eq!(error.to_string(), expected);
            }
        }
    }

    /// A mask in which everything counts is as good as none.
    #[test]
    fn full_mask_changes_nothing() {
        let [a, b] = testing::patterns(31, 15);
        let full = Mask::new(31, 15, vec![true; 465]).unwrap();
        assert_eq!(psnr(&a, &b, Some(&full)), psnr(&a, &b, None));
        assert_eq!(flip(&a, &b, Some(&full)), flip(&a, &b, None));
        for kind in SsimKind::ALL {
            assert_eq!(ssim(&a, &b, kind, Some(&full)), ssim(&a, &b, kind, None), "{kind}");
        }
    }
}
