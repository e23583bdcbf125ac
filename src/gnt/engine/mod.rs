//! The fused engine: one ray, or some of few samples, at a time on one thread, forward only, everything it touches in that
//! core's cache.
//!
//! Nothing of size `[samples, views, C]` is stored but the tokens of the rays at hand; the view attention runs over a
//! few samples at a time. Rows of views that do not see a sample are left out, which changes nothing: their weight is 0.

mod head;
mod head_kernels;
mod latency;
mod output;
mod photograph;
mod position;
mod project;
mod ray;
mod rows;
mod source;
#[cfg(test)]
mod tests;
mod weights;

use crate::features::Prepared;
use crate::{Config, Model, sharpened};
use compute::Isa;
pub use layers::linear::engine::Precision;
pub use output::RayOutput;
pub use ray::RayScratch;
use scene::{Camera, Image};
pub use source::PreparedSource;
use std::sync::Arc;
use weights::Weights;

/// A network ready to render.
#[derive(Clone, Debug)]
pub struct Engine {
    model: Model,
    weights: Weights,
    features: Prepared,
    isa: Isa,
    precision: Precision,
}

impl Engine {
    /// Folds and packs the parameters of `model`; products are computed as [`Precision::fastest`] says.
    pub fn new(model: Model, params: &[f32]) -> Self {
        let precision = Precision::fastest(model.config.has_shifts(), compute::isa());
        Self::with_precision(model, params, precision)
    }

    /// The same with products computed as `precision` says.
    ///
    /// # Panics
    /// If the processor has no such products.
    pub fn with_precision(model: Model, params: &[f32], precision: Precision) -> Self {
        assert!(precision.runs_on(compute::isa()), "{} with {}", precision.name(), compute::isa());
        let folded = model.fold(params);
        let weights = Weights::new(precision, &model, &folded);
        let features = model.features.prepare_inference(params);
        Self { model, weights, features, isa: compute::isa(), precision }
    }

    /// The same engine, whose kernels run with the instructions of `isa` and no others. The precision stays, and so do the
    /// feature network's matrix products, which are [`compute::matmul`]'s.
    ///
    /// # Panics
    /// If `isa` has no products of the precision.
    pub fn with_isa(mut self, isa: Isa) -> Self {
        assert!(self.precision.runs_on(isa), "{} with {isa}", self.precision.name());
        self.isa = isa;
        self
    }

    /// Instructions in use.
    pub fn isa(&self) -> Isa {
        self.isa
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
        let image = match self.model.config.sharpening {
            0 => image,
            percent => Arc::new(sharpened(&image, percent)),
        };
        let map = self.model.features.forward(&self.features, &image.data, h, w);
        Ok(PreparedSource::new(self.isa, &self.weights, camera, image, &map))
    }
}
