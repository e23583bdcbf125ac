//! Structural similarity.

use crate::error::{check, clipped};
use crate::{Error, Mask, Result};
use scene::Image;
use std::fmt;
use std::str::FromStr;

/// Half the width of the Gaussian window, which has 11 x 11 pixels.
const GAUSSIAN_RADIUS: usize = 5;
/// Half the width of the uniform window, which has 7 x 7 pixels.
const UNIFORM_RADIUS: usize = 3;
/// Standard deviation of the Gaussian window in pixels.
const SIGMA: f64 = 1.5;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;
/// Means of a, b, a², b² and ab.
const MOMENTS: usize = 5;

/// The ways to compute SSIM that are in use. Their figures for the same images differ in the second or third digit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SsimKind {
    /// The GNT evaluation's: a Gaussian window, zeros outside the image, every pixel counts.
    #[default]
    Gnt,
    /// Wang et al. 2004, as in TensorFlow and in scikit-image with `gaussian_weights=True, sigma=1.5,
    /// use_sample_covariance=False`: the same window, but only where it lies inside the image.
    Gaussian,
    /// scikit-image's default: a uniform window where it lies inside the image, and sample covariances.
    Uniform,
}

impl SsimKind {
    /// All kinds, in the order of their names in messages.
    pub const ALL: [Self; 3] = [Self::Gnt, Self::Gaussian, Self::Uniform];

    /// Name in settings: `gnt`, `gaussian` or `uniform`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gnt => "gnt",
            Self::Gaussian => "gaussian",
            Self::Uniform => "uniform",
        }
    }

    /// One sentence for reports.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Gnt => {
                "SSIM of the GNT evaluation: Gaussian window of 11 x 11 pixels (sigma 1.5), zeros outside the image, \
                 mean over all pixels and channels."
            }
            Self::Gaussian => {
                "SSIM of Wang et al. 2004, as in TensorFlow: Gaussian window of 11 x 11 pixels (sigma 1.5), mean over \
                 the channels and the positions at which the window lies inside the image."
            }
            Self::Uniform => {
                "SSIM of scikit-image's default settings: uniform window of 7 x 7 pixels, sample covariances, mean \
                 over the channels and the positions at which the window lies inside the image."
            }
        }
    }

    /// Least width and height of images.
    pub fn min_size(self) -> u32 {
        let window = self.window();
        if window.margin > 0 { window.weights.len() as u32 } else { 1 }
    }

    fn window(self) -> Window {
        match self {
            Self::Gnt => Window { weights: gaussian(), covariance_scale: 1.0, margin: 0 },
            Self::Gaussian => Window { weights: gaussian(), covariance_scale: 1.0, margin: GAUSSIAN_RADIUS },
            Self::Uniform => {
                let size = 2 * UNIFORM_RADIUS + 1;
                let pixels = (size * size) as f64;
                Window {
                    weights: vec![1.0 / size as f64; size],
                    covariance_scale: pixels / (pixels - 1.0),
                    margin: UNIFORM_RADIUS,
                }
            }
        }
    }
}

impl fmt::Display for SsimKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SsimKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || Error::Name { what: "SSIM", expected: "gnt, gaussian or uniform", found: name.to_owned() };
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(unknown)
    }
}

/// Mean structural similarity over channels and positions of both images clipped to `[0, 1]`; at most 1, which equal
/// images have.
///
/// `C1 = 0.01²` and `C2 = 0.03²`, each channel by itself; [`SsimKind`] names window and positions. With a mask, only
/// the positions whose middle pixel counts; their windows still read all pixels.
///
/// # Errors
/// [`Error::Shape`] if the images are empty or differ in size, if the mask has another size or lets nothing count, or,
/// except for [`SsimKind::Gnt`], if the images are smaller than the window or nothing counts where it fits.
pub fn ssim(image: &Image, reference: &Image, kind: SsimKind, mask: Option<&Mask>) -> Result<f64> {
    check(image, reference)?;
    Mask::check(mask, image)?;
    let (width, height, size) = (image.width as usize, image.height as usize, kind.min_size() as usize);
    let window = kind.window();
    if width.min(height) < size {
        return Err(Error::Shape {
            what: "image",
            expected: format!("at least {size}x{size} pixels for SSIM {kind}"),
            found: format!("{width}x{height}"),
        });
    }
    let positions = Positions { width, height, margin: window.margin, mask };
    let counted: usize = positions.rows().map(|y| positions.in_row(y).count()).sum();
    if counted == 0 {
        return Err(Error::Shape {
            what: "mask",
            expected: format!("at least one pixel that counts {} pixels inside the border", window.margin),
            found: "none".into(),
        });
    }
    let sum: f64 = (0..3).map(|channel| channel_sum([image, reference], channel, &window, &positions)).sum();
    Ok(sum / (3 * counted) as f64)
}

/// A separable window and what is done with its means.
struct Window {
    /// Along one axis, adding up to 1; their number is odd.
    weights: Vec<f64>,
    /// Factor on variances and covariances.
    covariance_scale: f64,
    /// Positions nearer to the border than this do not count.
    margin: usize,
}

/// The positions of the window's middle over which the mean goes.
struct Positions<'a> {
    width: usize,
    height: usize,
    margin: usize,
    mask: Option<&'a Mask>,
}

impl Positions<'_> {
    fn rows(&self) -> std::ops::Range<usize> {
        self.margin..self.height - self.margin
    }

    fn in_row(&self, y: usize) -> impl Iterator<Item = usize> {
        (self.margin..self.width - self.margin).filter(move |x| Mask::admits(self.mask, y * self.width + x))
    }
}

/// One row of every moment; a plain row each, so that the loops over x work on neighbours in memory.
type Moments = [Vec<f64>; MOMENTS];

/// Sum of the similarity over the positions of one channel.
fn channel_sum(images: [&Image; 2], channel: usize, window: &Window, positions: &Positions<'_>) -> f64 {
    let (width, height, size) = (positions.width, positions.height, window.weights.len());
    let radius = size / 2;
    let moments = |width: usize| -> Moments { std::array::from_fn(|_| vec![0.0; width]) };
    // Rows blurred along x, as a ring: the window needs only so many of them at a time. It starts with the rows above
    // the image, which are zeros.
    let mut ring: Vec<Moments> = (0..size).map(|_| moments(width)).collect();
    let (mut line, mut means) = (moments(width + 2 * radius), moments(width));
    let mut sum = 0.0;
    for row in 0..height + radius {
        let blurred = &mut ring[row % size];
        if row < height {
            read(images, row, channel, &mut line.each_mut().map(|line| &mut line[radius..radius + width]));
            for (line, blurred) in line.iter().zip(blurred) {
                blurred.fill(0.0);
                window.weights.iter().enumerate().for_each(|(i, w)| add_scaled(blurred, *w, &line[i..i + width]));
            }
        } else {
            blurred.iter_mut().for_each(|blurred| blurred.fill(0.0));
        }
        let Some(y) = row.checked_sub(radius).filter(|y| positions.rows().contains(y)) else { continue };
        for (moment, means) in means.iter_mut().enumerate() {
            means.fill(0.0);
            for (i, weight) in window.weights.iter().enumerate() {
                add_scaled(means, *weight, &ring[(row + 1 + i) % size][moment]);
            }
        }
        let similarity = |x: usize| similarity(means.each_ref().map(|means| means[x]), window.covariance_scale);
        sum += positions.in_row(y).map(similarity).sum::<f64>();
    }
    sum
}

/// Weights of the Gaussian window along one axis.
fn gaussian() -> Vec<f64> {
    let offsets = (0..=2 * GAUSSIAN_RADIUS).map(|i| i as f64 - GAUSSIAN_RADIUS as f64);
    let raw: Vec<f64> = offsets.map(|x| (-x * x / (2.0 * SIGMA * SIGMA)).exp()).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|w| w / sum).collect()
}

/// Values whose local means are needed, for one row of one channel.
fn read([image, reference]: [&Image; 2], row: usize, channel: usize, out: &mut [&mut [f64]; MOMENTS]) {
    let start = row * out[0].len() * 3 + channel;
    let values = image.data[start..].iter().step_by(3).zip(reference.data[start..].iter().step_by(3));
    for (x, (a, b)) in (0..out[0].len()).zip(values) {
        let (a, b) = (clipped(*a), clipped(*b));
        out.iter_mut().zip([a, b, a * a, b * b, a * b]).for_each(|(out, value)| out[x] = value);
    }
}

fn add_scaled(sum: &mut [f64], weight: f64, values: &[f64]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
}

fn similarity([a, b, aa, bb, ab]: [f64; MOMENTS], scale: f64) -> f64 {
    let (variance_a, variance_b, covariance) = (scale * (aa - a * a), scale * (bb - b * b), scale * (ab - a * b));
    let top = (2.0 * a * b + C1) * (2.0 * covariance + C2);
    top / ((a * a + b * b + C1) * (variance_a + variance_b + C2))
}

#[cfg(test)]
#[path = "ssim_tests.rs"]
mod tests;
