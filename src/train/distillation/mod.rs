//! Distillation: a pupil learns its teacher's features, states and colours beside the photographs' colours.

pub(crate) mod lesson;

use gnt::Model;
use gnt::features::Prepared;
use gnt::network::NetworkOn;
use gnt::network::sources::SourceMap;
use scene::Image;
use serde::{Deserialize, Serialize};

/// Weights of the parts of the distillation loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distillation {
    /// Squared distance of the tokens, relative to their mean square; counts only where features are trained.
    pub features: f32,
    /// Squared distance of the states after each attention and each feed-forward part, relative to their mean square,
    /// averaged over these places.
    pub states: f32,
    /// Mean squared distance of the colours.
    pub colour: f32,
    /// Cross entropy of the weights of the samples along the ray.
    pub weights: f32,
}

/// A trained network that does not change.
#[derive(Debug)]
pub struct Teacher {
    model: Model,
    params: Vec<f32>,
    folded: Vec<f32>,
    prepared: Prepared,
}

impl Teacher {
    /// A teacher with the parameters `params` of `model`.
    pub fn new(model: Model, params: &[f32]) -> Self {
        let (folded, prepared) = (model.fold(params), model.features.prepare(params));
        Self { model, params: params.to_vec(), folded, prepared }
    }

    /// The teacher's network.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The teacher's parameters, and the same folded.
    pub(crate) fn values(&self) -> (&[f32], &[f32]) {
        (&self.params, &self.folded)
    }

    /// The teacher's network on the CPU.
    pub(crate) fn network(&self) -> NetworkOn<'_> {
        NetworkOn::cpu(&self.model, &self.folded)
    }

    /// What the teacher reads of a source view.
    pub fn map(&self, image: &Image) -> SourceMap {
        let (h, w) = (image.height as usize, image.width as usize);
        let features = self.model.features.forward(&self.prepared, &image.data, h, w);
        let mut map = SourceMap::default();
        map.forward(&self.model.net, &self.folded, image, (features.width, features.height), &features.data);
        map
    }
}

#[cfg(test)]
mod tests;
