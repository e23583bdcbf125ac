//! Photographs as the engine looks them up.

use crate::projection::{self, Taps};
use scene::Image;
use std::sync::Arc;

/// The colours of a source view.
#[derive(Clone, Debug)]
pub(super) enum Photograph {
    /// As they were read.
    Exact(Arc<Image>),
    /// In 16 bits a channel.
    Words(Words),
}

/// Colours in words of 16 bits, which a look-up reads a pixel at a time, in two thirds of the memory.
#[derive(Clone, Debug)]
pub(super) struct Words {
    width: u32,
    height: u32,
    /// Red, green, blue and the constant 1 in steps of [`STEP`] from [`LEAST`], `[height, width]`.
    pixels: Vec<[u16; 4]>,
}

/// The colour that the word 0 stands for. A sharpened photograph leaves 0 to 1; what lies beyond −0.5 and 1.5 is cut off.
const LEAST: f32 = -0.5;
/// Colour from word to word.
const STEP: f32 = 2.0 / 65535.0;

impl Words {
    fn new(image: &Image) -> Self {
        // What is not a number becomes the word 0, as dark as can be.
        let word = |value: f32| ((value - LEAST) / STEP).round() as u16;
        let pixels = image.data.as_chunks::<3>().0.iter().map(|[r, g, b]| [*r, *g, *b, 1.0].map(word));
        Self { width: image.width, height: image.height, pixels: pixels.collect() }
    }
}

impl Photograph {
    /// The photograph, in words where `words`.
    pub fn new(image: Arc<Image>, words: bool) -> Self {
        if words { Self::Words(Words::new(&image)) } else { Self::Exact(image) }
    }

    /// Width and height in pixels.
    #[inline(always)]
    pub fn size(&self) -> (usize, usize) {
        let (width, height) = match self {
            Self::Exact(image) => (image.width, image.height),
            Self::Words(words) => (words.width, words.height),
        };
        (width as usize, height as usize)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Exact(image) => 4 * image.data.len(),
            Self::Words(words) => 8 * words.pixels.len(),
        }
    }

    /// The sum of `weight` times the colours at the pixels `index`, which are `y · width + x`.
    #[inline(always)]
    pub fn colour(&self, index: [u32; 4], weight: [f32; 4]) -> [f32; 3] {
        match self {
            Self::Exact(image) => {
                let mut out = [0.0; 3];
                projection::colour(image, &Taps { index, weight }, &mut out);
                out
            }
            Self::Words(words) => {
                let mut sum = [0.0; 4];
                for (index, weight) in index.iter().zip(weight) {
                    let pixel = words.pixels[*index as usize];
                    for i in 0..4 {
                        sum[i] += weight * f32::from(pixel[i]);
                    }
                }
                // The last is what all weights together make of the word that stands for 1.
                let start = LEAST / (1.0 - LEAST) * STEP * sum[3];
                [0, 1, 2].map(|i| STEP * sum[i] + start)
            }
        }
    }

    /// Asks for what a look-up will read, so that it is at hand a little later.
    #[inline(always)]
    pub fn prefetch(&self, index: [u32; 4]) {
        for index in [index[0], index[2]] {
            match self {
                Self::Exact(image) => compute::simd::prefetch(&image.data, 3 * index as usize),
                Self::Words(words) => compute::simd::prefetch(&words.pixels, index as usize),
            }
        }
    }

    /// The photograph as pictures are.
    #[cfg(test)]
    pub fn to_image(&self) -> Arc<Image> {
        match self {
            Self::Exact(image) => image.clone(),
            Self::Words(words) => {
                let colour = |word: u16| f32::from(word) * STEP + LEAST;
                let data = words.pixels.iter().flat_map(|[r, g, b, _]| [*r, *g, *b].map(colour)).collect();
                Arc::new(Image { width: words.width, height: words.height, data })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_exact_to_their_step() {
        let values = [0.0, 1.0, 0.25, -0.4, 1.4, 0.5, 0.125, 0.75, 0.6, 0.1, 0.2, 0.3];
        let image = Arc::new(Image::new(2, 2, values.to_vec()).unwrap());
        let (exact, words) = (Photograph::new(image.clone(), false), Photograph::new(image.clone(), true));
        assert_eq!((exact.size(), words.size(), exact.bytes(), words.bytes()), ((2, 2), (2, 2), 48, 32));
        for weight in [[1.0, 0.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4], [0.5, 0.0, 0.25, 0.0], [0.0; 4]] {
            let of = |photograph: &Photograph| photograph.colour([0, 1, 2, 3], weight);
            for (got, want) in of(&words).into_iter().zip(of(&exact)) {
                assert!((got - want).abs() < 0.51 * STEP + 1e-6, "{weight:?}: {got}, expected {want}");
            }
        }
        let back = words.to_image();
        assert!(back.data.iter().zip(&image.data).all(|(a, b)| (a - b).abs() < 0.51 * STEP));
        assert_eq!(exact.to_image(), image);
        // Far out colours are cut off.
        let far = Photograph::new(Arc::new(Image::new(1, 1, vec![-3.0, 9.0, f32::NAN]).unwrap()), true);
        assert_eq!(far.to_image().data, [-0.5, 1.5, -0.5]);
    }
}
