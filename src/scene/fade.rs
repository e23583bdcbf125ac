//! Pixels that no photograph sees fade to a background.

use crate::coverage;
use crate::{Camera, Image, Result, Scene, View};

/// What pixels fade to.
#[derive(Clone, Copy, Debug)]
pub struct Fade {
    background: Option<[f32; 3]>,
}

impl Fade {
    /// To the photographs' background if the first one's border has a single colour, as those of objects on white have;
    /// else to the mean colour of what is seen of a frame, which stands out less than black, or of the first photograph
    /// where frames `join` and must have one background.
    ///
    /// # Errors
    /// If the first photograph cannot be read.
    pub fn of(scene: &Scene, join: bool) -> Result<Self> {
        let Some(image) = scene.views.first().map(View::load_image).transpose()? else {
            return Ok(Self { background: None });
        };
        let pixels = image.data.as_chunks::<3>().0;
        let whole = || join.then(|| mean(pixels, &vec![1.0; pixels.len()]));
        Ok(Self { background: border(&image).or_else(whole) })
    }

    /// Fades the pixels that none of `sources` sees at their depth.
    ///
    /// # Shapes
    /// - `rgb`: `[height, width, 3]` of every `stride`-th pixel of `target`; `depth`: `[height, width]`
    pub fn apply(self, rgb: &mut [f32], target: &Camera, depth: &[f32], stride: u32, sources: &[Camera]) {
        let weights = coverage::weights(target, depth, stride, sources);
        let background = self.background.unwrap_or_else(|| mean(rgb.as_chunks::<3>().0, &weights));
        for (pixel, weight) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(weights) {
            for (value, background) in pixel.iter_mut().zip(background) {
                *value = background + (*value - background) * weight;
            }
        }
    }
}

/// The mean colour by weights; black if all are 0.
fn mean(pixels: &[[f32; 3]], weights: &[f32]) -> [f32; 3] {
    let total = weights.iter().sum::<f32>().max(f32::MIN_POSITIVE);
    [0, 1, 2].map(|i| pixels.iter().zip(weights).map(|(pixel, weight)| pixel[i] * weight).sum::<f32>() / total)
}

/// The colour of an image's border, if it is the same nearly everywhere.
fn border(image: &Image) -> Option<[f32; 3]> {
    let (width, height) = (image.width, image.height);
    let sides =
        (0..width).flat_map(|x| [(x, 0), (x, height - 1)]).chain((0..height).flat_map(|y| [(0, y), (width - 1, y)]));
    let pixels: Vec<[f32; 3]> = sides.map(|(x, y)| image.pixel(x, y)).collect();
    let middle = [0, 1, 2].map(|i| {
        let mut values: Vec<f32> = pixels.iter().map(|pixel| pixel[i]).collect();
        values.sort_by(f32::total_cmp);
        values[values.len() / 2]
    });
    let same = |pixel: &&[f32; 3]| pixel.iter().zip(middle).all(|(a, b)| (a - b).abs() < 0.05);
    (pixels.iter().filter(same).count() * 10 > pixels.len() * 9).then_some(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_background() {
        let target = crate::testing::camera(glam::Vec3::ZERO);
        let pixels = (target.width * target.height) as usize;
        let (mut rgb, depth) = ([0.25, 0.5, 0.75].repeat(pixels), vec![4.0; pixels]);
        let before = rgb.clone();
        Fade { background: None }.apply(&mut rgb, &target, &depth, 1, &[target]);
        assert!(rgb.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-6));
        Fade { background: Some([1.0, 0.0, 1.0]) }.apply(&mut rgb, &target, &depth, 1, &[]);
        assert_eq!(rgb[..3], [1.0, 0.0, 1.0]);
    }

    #[test]
    fn borders_of_one_colour_are_told() {
        let mut image = Image::black(9, 7);
        image.data.fill(1.0);
        image.data[3 * (3 * 9 + 4)] = 0.2;
        assert_eq!(border(&image), Some([1.0; 3]));
        // A thing that reaches the border at one place does not count.
        image.data[3 * 4] = 0.0;
        assert_eq!(border(&image), Some([1.0; 3]));
        for (i, value) in image.data.iter_mut().enumerate() {
            *value = (i % 7) as f32 / 7.0;
        }
        assert_eq!(border(&image), None);
    }
}
