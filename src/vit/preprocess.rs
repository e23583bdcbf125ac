//! From a picture of any size to the pixels that a model takes, as it was trained.

use scene::Image;
use serde::{Deserialize, Serialize};

/// How pictures become input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Subtracted from red, green and blue, which are 0 to 1.
    pub mean: [f32; 3],
    /// Divides what is left.
    pub std: [f32; 3],
    /// Part of the shorter side, after resizing, that the centre crop keeps.
    pub crop: f32,
    /// How pictures are resized.
    pub interpolation: Interpolation,
}

/// Kernels of resizing, stretched where a picture shrinks, as in PIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// A triangle.
    Bilinear,
    /// Cubic pieces with a slope of −1/2 at distance 1.
    Bicubic,
}

impl Preprocess {
    /// Means and deviations of CIFAR-10; whole pictures.
    pub fn cifar() -> Self {
        Self {
            mean: [0.4914, 0.4822, 0.4465],
            std: [0.2470, 0.2435, 0.2616],
            crop: 1.0,
            interpolation: Interpolation::Bicubic,
        }
    }

    /// What timm does for DeiT and PVTv2: ImageNet's means and deviations, nine tenths of the shorter side.
    pub fn imagenet() -> Self {
        Self {
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            crop: 0.9,
            interpolation: Interpolation::Bicubic,
        }
    }

    /// Checks every number, as a file may hold any.
    ///
    /// # Errors
    /// The first that is out of range, in words.
    pub fn check(&self) -> Result<(), String> {
        let numbers = [("mean", self.mean, -10.0..=10.0), ("std", self.std, 1e-4..=10.0)];
        let parts = numbers.into_iter().flat_map(|(name, values, range)| values.map(|v| (name, v, range.clone())));
        match parts.chain([("crop", self.crop, 0.05..=1.0)]).find(|(_, v, range)| !range.contains(v)) {
            Some((name, v, range)) => Err(format!("{name}: expected {} to {}, found {v}", range.start(), range.end())),
            None => Ok(()),
        }
    }

    /// Resizes the shorter side of `image` and cuts out the centre, `height` by `width` pixels of 8 bits.
    pub fn fit(&self, image: &Image, (height, width): (usize, usize)) -> Vec<u8> {
        let (w, h) = (image.width as usize, image.height as usize);
        if (h, w) == (height, width) {
            return image.to_rgb8();
        }
        let (tall, wide) = (height as f32 / self.crop, width as f32 / self.crop);
        let scale = (tall / h as f32).max(wide / w as f32);
        let resized = |n: usize, least: usize| ((n as f32 * scale).round() as usize).max(least);
        let (new_h, new_w) = (resized(h, height), resized(w, width));
        let data = resize(&image.data, 3, (h, w), (new_h, new_w), self.interpolation);
        let (top, left) = ((new_h - height) / 2, (new_w - width) / 2);
        let mut out = Vec::with_capacity(height * width * 3);
        for row in data.chunks_exact(new_w * 3).skip(top).take(height) {
            out.extend(row[left * 3..][..width * 3].iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8));
        }
        out
    }

    /// The value of each of 256 brightnesses of a channel as the network sees it.
    pub fn table(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|c| std::array::from_fn(|v| (v as f32 / 255.0 - self.mean[c]) / self.std[c]))
    }

    /// Appends pixels of 8 bits as the network sees them.
    pub fn normalise(&self, pixels: &[u8], out: &mut Vec<f32>) {
        let table = self.table();
        out.extend(pixels.iter().enumerate().map(|(i, v)| table[i % 3][usize::from(*v)]));
    }
}

/// Resizes `[height, width, channels]`, both directions one after the other.
pub fn resize(
    data: &[f32],
    channels: usize,
    (height, width): (usize, usize),
    (new_height, new_width): (usize, usize),
    interpolation: Interpolation,
) -> Vec<f32> {
    let across = Kernel::new(width, new_width, interpolation);
    let mut wide = vec![0.0; height * new_width * channels];
    for (row, out) in data.chunks_exact(width * channels).zip(wide.chunks_exact_mut(new_width * channels)) {
        for ((first, weights), out) in across.taps.iter().zip(out.chunks_exact_mut(channels)) {
            for (pixel, weight) in row[first * channels..].chunks_exact(channels).zip(weights) {
                out.iter_mut().zip(pixel).for_each(|(o, v)| *o += weight * v);
            }
        }
    }
    let down = Kernel::new(height, new_height, interpolation);
    let line = new_width * channels;
    let mut out = vec![0.0; new_height * line];
    for ((first, weights), out) in down.taps.iter().zip(out.chunks_exact_mut(line)) {
        for (row, weight) in wide[first * line..].chunks_exact(line).zip(weights) {
            out.iter_mut().zip(row).for_each(|(o, v)| *o += weight * v);
        }
    }
    out
}

/// For every new place the first old one that it reads, and the weights of those from there on.
struct Kernel {
    taps: Vec<(usize, Vec<f32>)>,
}

impl Kernel {
    fn new(old: usize, new: usize, interpolation: Interpolation) -> Self {
        let scale = old as f64 / new as f64;
        let stretch = scale.max(1.0);
        let reach = stretch * if interpolation == Interpolation::Bilinear { 1.0 } else { 2.0 };
        let taps = (0..new).map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - reach + 0.5).floor().max(0.0) as usize;
            let last = ((centre + reach + 0.5).floor() as usize).min(old);
            let weights: Vec<f64> =
                (first..last).map(|x| interpolation.weight((x as f64 + 0.5 - centre) / stretch)).collect();
            let sum: f64 = weights.iter().sum();
            (first, weights.into_iter().map(|w| (w / sum) as f32).collect())
        });
        Self { taps: taps.collect() }
    }
}

impl Interpolation {
    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Bicubic => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resizing_keeps_constants_and_ramps() {
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            for (old, new) in [((7, 5), (13, 9)), ((40, 31), (8, 6)), ((1, 1), (4, 4))] {
                let flat = resize(&vec![0.25; old.0 * old.1 * 3], 3, old, new, interpolation);
                assert!(flat.iter().all(|v| (v - 0.25).abs() < 1e-6));
            }
            let ramp: Vec<f32> = (0..64 * 3).map(|i| (i / 3) as f32).collect();
            let half = resize(&ramp, 3, (1, 64), (1, 32), interpolation);
            assert!((half[16 * 3] - 32.5).abs() < 1e-4, "{}", half[16 * 3]);
        }
    }

    #[test]
    fn pictures_of_any_size_fit() {
        let preprocess = Preprocess { crop: 0.9, ..Preprocess::cifar() };
        for (width, height) in [(1, 1), (3, 200), (200, 3), (31, 33), (32, 32)] {
            let image = Image::new(width, height, vec![0.6; (width * height * 3) as usize]).unwrap();
            let pixels = preprocess.fit(&image, (32, 32));
            assert_eq!(pixels.len(), 32 * 32 * 3);
            assert!(pixels.iter().all(|v| *v == 153));
        }
    }
}
