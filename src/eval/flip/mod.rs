//! LDR-FLIP: how much a viewer sees when a picture and its reference alternate on a screen.
//!
//! After Andersson et al. 2020, "FLIP: A Difference Evaluator for Alternating Images", with the released code's later
//! corrections: the filters' sums are normalised after they are cut off, positive and negative weights each by
//! themselves, and the border's pixels go on outside the image.

mod colour;
mod filters;

use crate::error::{check, clipped};
use crate::{Mask, Result};
use filters::Plane;
use scene::Image;

/// Pixels that a degree of the visual field covers: a screen 0.7 m wide with 3840 pixels, seen from 0.7 m.
pub const PIXELS_PER_DEGREE: f64 = 3840.0 * std::f64::consts::PI / 180.0;

/// Exponent on colour differences.
const COLOUR_EXPONENT: f32 = 0.7;
/// Colour differences up to this part of the largest one take [`COLOUR_SHARE`] of the scale.
const COLOUR_KNEE: f32 = 0.4;
const COLOUR_SHARE: f32 = 0.95;
/// Exponent on feature differences.
const FEATURE_EXPONENT: f32 = 0.5;

/// One sentence for reports.
pub const DESCRIPTION: &str = "LDR-FLIP of Andersson et al. 2020 with the released code's corrections, at 67.02 pixels \
                               per degree (a screen 0.7 m wide with 3840 pixels, seen from 0.7 m): mean of the error map.";

/// Mean of [`flip_map`] over the pixels that count: 0 for equal images, at most 1. The order of the images is
/// indifferent.
///
/// # Errors
/// [`crate::Error::Shape`] if the images are empty or differ in size, or if the mask has another size or lets nothing
/// count.
pub fn flip(image: &Image, reference: &Image, mask: Option<&Mask>) -> Result<f64> {
    check(image, reference)?;
    let counted = Mask::check(mask, image)?;
    let map = flip_map(image, reference)?;
    let values = map.iter().enumerate().filter(|(pixel, _)| Mask::admits(mask, *pixel));
    Ok(values.map(|(_, value)| f64::from(*value)).sum::<f64>() / counted as f64)
}

/// Visible difference of every pixel, `[height, width]`, from 0 to 1.
///
/// Both images are sRGB, clipped to `[0, 1]`, and seen at [`PIXELS_PER_DEGREE`].
///
/// # Errors
/// [`crate::Error::Shape`] if the images are empty or differ in size.
pub fn flip_map(image: &Image, reference: &Image) -> Result<Vec<f32>> {
    check(image, reference)?;
    let [image, reference] = [image, reference].map(|image| Seen::new(image, PIXELS_PER_DEGREE));
    let largest = colour::hyab(colour::hunt_lab([0.0, 1.0, 0.0]), colour::hunt_lab([0.0, 0.0, 1.0]));
    let largest = largest.powf(COLOUR_EXPONENT);
    let pixel = |at: usize| {
        let colour = colour::hyab(image.colours[at], reference.colours[at]).powf(COLOUR_EXPONENT);
        let edges = (image.edges[at] - reference.edges[at]).abs();
        let points = (image.points[at] - reference.points[at]).abs();
        let features = (edges.max(points) * std::f32::consts::FRAC_1_SQRT_2).powf(FEATURE_EXPONENT);
        spread(colour, largest).powf(1.0 - features)
    };
    Ok((0..image.colours.len()).map(pixel).collect())
}

/// Maps colour differences from 0 to `largest` to 0 to 1, most of the scale for the smaller ones.
fn spread(difference: f32, largest: f32) -> f32 {
    let knee = COLOUR_KNEE * largest;
    if difference < knee {
        difference * COLOUR_SHARE / knee
    } else {
        COLOUR_SHARE + (difference - knee) / (largest - knee) * (1.0 - COLOUR_SHARE)
    }
}

/// What the eye makes of one image.
struct Seen {
    /// Blurred by contrast sensitivity, in Hunt-adjusted CIELab.
    colours: Vec<[f32; 3]>,
    /// Strength of edges, at most √2.
    edges: Vec<f32>,
    /// Strength of points, at most √2.
    points: Vec<f32>,
}

impl Seen {
    fn new(image: &Image, pixels_per_degree: f64) -> Self {
        let width = image.width as usize;
        let mut channels = [const { Vec::new() }; 3].map(|_: Vec<f32>| Vec::with_capacity(image.data.len() / 3));
        for pixel in image.data.as_chunks::<3>().0 {
            let colour = colour::ycxcz(pixel.map(|value| colour::linear(clipped(value) as f32)));
            channels.iter_mut().zip(colour).for_each(|(channel, value)| channel.push(value));
        }
        let channels = channels.map(|data| Plane::new(width, data));

        let filters = filters::contrast_sensitivity(pixels_per_degree);
        let [y, cx, cz]: [Plane; 3] = std::array::from_fn(|i| channels[i].blurred(&filters[i]));
        let seen = |((y, cx), cz): ((&f32, &f32), &f32)| {
            colour::hunt_lab(colour::rgb([*y, *cx, *cz]).map(|value| value.clamp(0.0, 1.0)))
        };
        let colours = y.data.iter().zip(&cx.data).zip(&cz.data).map(seen).collect();

        // Features are those of the sharp picture: blurred ones would be lost.
        let [luminance, ..] = channels;
        let luminance = Plane::new(width, luminance.data.iter().map(|y| (y + 16.0) / 116.0).collect());
        let [gaussian, edge, point] = filters::features(pixels_per_degree);
        let across = luminance.along_x(&gaussian);
        let strength = |detector: &[f32]| -> Vec<f32> {
            let (dx, dy) = (luminance.along_x(detector).along_y(&gaussian), across.along_y(detector));
            dx.data.iter().zip(&dy.data).map(|(dx, dy)| (dx * dx + dy * dy).sqrt()).collect()
        };
        Self { colours, edges: strength(&edge), points: strength(&point) }
    }
}

#[cfg(test)]
mod tests;
