//! Likeness of an image and its photograph.

use super::{Args, LpipsRange};
use crate::cli::compared::Truth;
use crate::cli::hash;
use anyhow::ensure;
use eval::flip::flip;
use eval::lpips::{ColourRange, Lpips};
use eval::report::data::Scores;
use eval::ssim::SsimKind;
use eval::{psnr, ssim};
use scene::Image;

/// All metrics that are asked for.
pub struct Scorer {
    /// Which SSIM.
    pub ssim: SsimKind,
    lpips: Option<(Lpips, ColourRange, String)>,
    threads: usize,
}

impl Scorer {
    /// The metrics of the command line.
    ///
    /// # Errors
    /// If weights cannot be read.
    pub fn new(args: &Args) -> anyhow::Result<Self> {
        let lpips = match args.lpips.as_slice() {
            [backbone, linear] => {
                let lpips = Lpips::read(backbone, linear)?;
                let range = match args.lpips_range {
                    LpipsRange::Scaled => ColourRange::Scaled,
                    LpipsRange::Gnt => ColourRange::Unscaled,
                };
                let files = [backbone.clone(), linear.clone()];
                // Only what is in the files counts, not where they lie.
                let hashes = files.map(|file| hash::file(&file));
                let [a, b] = hashes;
                Some((lpips, range, hash::json(&[a?, b?])?))
            }
            _ => None,
        };
        Ok(Self { ssim: args.ssim.unwrap_or(SsimKind::Gnt), lpips, threads: args.threads() })
    }

    /// Checks that images of `size`, width and height, are large enough for all metrics.
    ///
    /// # Errors
    /// If they are not, naming metric and least size.
    pub fn check_size(&self, size: [u32; 2]) -> anyhow::Result<()> {
        let lpips = self.lpips.as_ref().map(|(lpips, ..)| (format!("LPIPS on {}", lpips.name()), lpips.min_size()));
        let all = [(format!("SSIM {}", self.ssim), self.ssim.min_size())].into_iter().chain(lpips);
        for (metric, least) in all {
            let [width, height] = size;
            ensure!(
                width.min(height) >= least,
                "expected images of at least {least}x{least} pixels for {metric}, found {width}x{height}"
            );
        }
        Ok(())
    }

    /// Which LPIPS, such as `vgg, colours -1 to 1`.
    pub fn lpips_name(&self) -> Option<String> {
        let (lpips, range, weights) = self.lpips.as_ref()?;
        Some(format!("{}, colours {}, weights {}", lpips.name(), words(*range), &weights[..16]))
    }

    /// What the column holds, or why it is empty.
    pub fn describe_lpips(&self) -> String {
        match &self.lpips {
            None => "Not computed: no weights were given (--lpips BACKBONE LINEAR).".into(),
            Some((lpips, range, _)) => format!(
                "LPIPS 0.1 (Zhang et al. 2018) on {} with the given weights, images in the range {}.",
                lpips.name(),
                words(*range)
            ),
        }
    }

    /// What scores depend on beside image and photograph.
    pub fn fingerprint(&self) -> String {
        format!("{} {}", self.ssim.name(), self.lpips_name().unwrap_or_default())
    }

    /// Scores of an image, whose colours are rounded to 8 bits.
    ///
    /// # Errors
    /// If sizes differ, or the images are too small for a metric.
    pub fn score(&self, image: &Image, truth: &Truth) -> anyhow::Result<Scores> {
        let (reference, mask) = (&truth.image, truth.mask.as_ref());
        let lpips = match &self.lpips {
            None => None,
            Some((lpips, range, _)) => Some(lpips.distance(image, reference, *range, mask, self.threads)?),
        };
        Ok(Scores {
            psnr: psnr(image, reference, mask)?,
            ssim: ssim(image, reference, self.ssim, mask)?,
            lpips,
            flip: flip(image, reference, mask)?,
        })
    }
}

fn words(range: ColourRange) -> &'static str {
    match range {
        ColourRange::Scaled => "-1 to 1",
        ColourRange::Unscaled => "0 to 1, as the GNT evaluation has it",
    }
}
