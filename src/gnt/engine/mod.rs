//! The fused engine: one ray at a time on one thread, forward only, everything it touches in that core's cache.
//!
//! Nothing of size `[samples, views, C]` is stored but the tokens of the one ray at hand; the view attention runs over a
//! few samples at a time. Rows of views that do not see a sample are left out, which changes nothing: their weight is 0.

pub mod weights;

mod ray;
mod rows;
#[cfg(test)]
mod tests;

use crate::features::FeatureMap;
use crate::network::tokens::colour;
use crate::projection::{Projector, taps};
use crate::{Config, Model};
use glam::Vec2;
pub use ray::{RayOutput, RayScratch, Stage};
use scene::{Camera, Image};
use std::sync::Arc;
use tensor::Level;
use tensor::ops::product::{Epilogue, product};
use weights::Weights;

/// A network ready to render.
#[derive(Clone, Debug)]
pub struct Engine {
    model: Model,
    weights: Weights,
    features: crate::features::Prepared,
    level: Level,
}

/// A source view ready to be looked up: it does not depend on the target, so it is made once a scene.
#[derive(Clone, Debug)]
pub struct PreparedSource {
    projector: Projector,
    image: Arc<Image>,
    map_size: (usize, usize),
    /// `[pixels, C]`.
    map: Vec<f32>,
}

impl Engine {
    /// Folds and packs the parameters of `model`.
    pub fn new(model: Model, params: &[f32]) -> Self {
        let folded = model.fold(params);
        let weights = Weights::new(&model, &folded);
        let features = model.features.prepare_inference(params);
        Self { model, weights, features, level: tensor::level() }
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
        PreparedSource { projector: Projector::new(camera), image, map_size: (map.width, map.height), map: projected }
    }
}

impl PreparedSource {
    /// Bytes held: image and feature map.
    pub fn bytes(&self) -> usize {
        4 * (self.map.len() + self.image.data.len())
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
