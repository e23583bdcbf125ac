//! The fused engine: one ray at a time on one thread, forward only, everything it touches in that core's cache.
//!
//! Nothing of size `[samples, views, C]` is stored but the tokens of the one ray at hand; the view attention runs over a
//! few samples at a time. Rows of views that do not see a sample are left out, which changes nothing: their weight is 0.

pub mod linear;
pub mod weights;

mod along;
mod direction;
#[cfg(test)]
mod every_config_tests;
mod latency;
mod mlp;
mod ray;
mod rows;
#[cfg(test)]
mod tests;
mod view;

use crate::features::FeatureMap;
use crate::network::tokens::colour;
use crate::projection::{Projector, taps};
use crate::{Config, Model};
use glam::Vec2;
pub use linear::Precision;
pub use ray::{RayOutput, RayScratch, Stage};
use scene::{Camera, Image};
use std::sync::Arc;
use tensor::Level;
use tensor::ops::hamming::{pack_signs, words};
use tensor::ops::product::{Epilogue, product};
use tensor::ops::product8::{Rows8, Sign};
use view::View;
use weights::Weights;

/// A network ready to render.
#[derive(Clone, Debug)]
pub struct Engine {
    model: Model,
    weights: Weights,
    features: crate::features::Prepared,
    level: Level,
    precision: Precision,
}

/// A source view ready to be looked up: it does not depend on the target, so it is made once a scene.
#[derive(Clone, Debug)]
pub struct PreparedSource {
    projector: Projector,
    image: Arc<Image>,
    map_size: (usize, usize),
    /// `[pixels, C]`.
    map: Vec<f32>,
    /// Codes of the keys of all blocks, `[pixels, key words]`; empty where no block reads them.
    keys: Vec<u64>,
}

impl PreparedSource {
    /// Moves the view to where `camera` stands; nothing else of it depends on that.
    pub fn place(&mut self, camera: &Camera) {
        self.projector = Projector::new(camera);
    }
}

/// Pixels of a feature map whose keys are made together.
const KEY_ROWS: usize = 64;

impl Engine {
    /// Folds and packs the parameters of `model`; products are computed as [`Precision::fastest`] says.
    pub fn new(model: Model, params: &[f32]) -> Self {
        let precision = Precision::fastest(&model.config, tensor::level());
        Self::with_precision(model, params, precision)
    }

    /// The same with products computed as `precision` says.
    pub fn with_precision(model: Model, params: &[f32], precision: Precision) -> Self {
        let folded = model.fold(params);
        let weights = Weights::new(precision, &model, &folded);
        let features = model.features.prepare_inference(params);
        Self { model, weights, features, level: tensor::level(), precision }
    }

    /// The same engine restricted to the instructions of `level`.
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level.min(tensor::level());
        self
    }

    /// Instructions in use.
    pub fn level(&self) -> Level {
        self.level
    }

    /// How products are computed.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The network's configuration.
    pub fn config(&self) -> &Config {
        &self.model.config
    }

    /// Runs the feature network on a source view and applies the first token layer to its map.
    ///
    /// # Errors
    /// If the image is too small for the feature network.
    pub fn prepare(&self, camera: &Camera, image: Arc<Image>) -> crate::Result<PreparedSource> {
        let (h, w) = (image.height as usize, image.width as usize);
        self.model.features.check_size(h, w)?;
        let map = self.model.features.forward(&self.features, &image.data, h, w);
        Ok(self.prepare_with_map(camera, image, &map))
    }

    fn prepare_with_map(&self, camera: &Camera, image: Arc<Image>, map: &FeatureMap) -> PreparedSource {
        let (c, pixels) = (self.model.config.width, map.width * map.height);
        let mut projected = vec![0.0; pixels * c];
        product(self.level, pixels, &map.data, map.channels, &self.weights.map, &mut projected, c, Epilogue::Store);
        let keys = self.key_codes(&image, (map.width, map.height), &projected);
        PreparedSource {
            projector: Projector::new(camera),
            image,
            map_size: (map.width, map.height),
            map: projected,
            keys,
        }
    }

    /// Words of the key codes of all blocks; 0 where keys are not codes.
    fn key_words(&self) -> usize {
        let blocks = self.weights.blocks.iter().filter(|b| matches!(b.view, View::Hamming(_))).count();
        blocks * words(self.model.config.width)
    }

    /// Codes of the keys of all blocks at the pixels of a feature map, from the tokens there.
    fn key_codes(&self, image: &Image, size: (usize, usize), projected: &[f32]) -> Vec<u64> {
        let (c, key_words, level) = (self.model.config.width, self.key_words(), self.level);
        let word = words(c);
        let mut keys = vec![0; if key_words > 0 { size.0 * size.1 * key_words } else { 0 }];
        let image_size = (image.width as usize, image.height as usize);
        let (mut hidden, mut tokens, mut key, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), Rows8::default());
        let mut codes = Vec::new();
        for (chunk, keys) in keys.chunks_mut((KEY_ROWS * key_words).max(1)).enumerate() {
            let rows = keys.len() / key_words;
            hidden.clear();
            for at in chunk * KEY_ROWS..chunk * KEY_ROWS + rows {
                let pixel = Vec2::new((at % size.0) as f32, (at / size.0) as f32);
                let mut rgb = [0.0; 3];
                colour(image, &taps(pixel, size, image_size), &mut rgb);
                let map = &projected[at * c..][..c];
                let [r, g, b, bias] = std::array::from_fn(|i| &self.weights.colour[i * c..][..c]);
                hidden.extend(
                    (0..c).map(|i| (map[i] + rgb[0] * r[i] + rgb[1] * g[i] + rgb[2] * b[i] + bias[i]).max(0.0)),
                );
            }
            tokens.resize(rows * c, 0.0);
            key.resize(rows * c, 0.0);
            codes.resize(rows * word, 0);
            product(level, rows, &hidden, c, &self.weights.token, &mut tokens, c, Epilogue::Store);
            for (i, block) in self.weights.blocks.iter().enumerate() {
                let View::Hamming(view) = &block.view else { continue };
                view.key.apply(level, rows, (&tokens, c, Sign::Signed), &mut bytes, (&mut key, c), Epilogue::Store);
                pack_signs(level, rows, &key, c, c, &mut codes);
                for (row, code) in codes.chunks_exact(word).enumerate() {
                    keys[row * key_words + i * word..][..word].copy_from_slice(code);
                }
            }
        }
        keys
    }
}

impl PreparedSource {
    /// The photograph.
    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// Width and height of the feature map.
    pub(crate) fn map_size(&self) -> (usize, usize) {
        self.map_size
    }

    /// The map after the first token layer `[pixels, C]`.
    pub(crate) fn map(&self) -> &[f32] {
        &self.map
    }
}

impl PreparedSource {
    /// Bytes held: image and feature map.
    pub fn bytes(&self) -> usize {
        4 * (self.map.len() + self.image.data.len()) + 8 * self.keys.len()
    }

    #[inline(always)]
    fn size(&self) -> (usize, usize) {
        (self.image.width as usize, self.image.height as usize)
    }

    #[inline(always)]
    fn colour(&self, pixel: Vec2) -> [f32; 3] {
        let mut out = [0.0; 3];
        colour(&self.image, &taps(pixel, self.size(), self.size()), &mut out);
        out
    }
}
