//! Images and reference figures for the tests of this crate.

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
