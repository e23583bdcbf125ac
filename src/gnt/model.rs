//! A whole network: configuration, parameter layout, feature network and transformer.

use crate::checkpoint::MAX_FILE_BYTES;
use crate::features::FeatureNet;
use crate::folded::Folded;
use crate::{Config, Error, Result};
use layers::Layout;
use layers::folding::{fold, unfold};

/// Most weights of a network: as many as a model file holds in f32, with room for their names.
pub const MAX_PARAMETERS: usize = (MAX_FILE_BYTES / 4) as usize - (1 << 20);

/// The structure of a network; its parameters are a flat vector in [`Model::layout`].
#[derive(Clone, Debug)]
pub struct Model {
    /// Sizes and variants.
    pub config: Config,
    /// Names and places of all parameters: the transformer's, then the feature network's.
    pub layout: Layout,
    /// The feature network.
    pub features: FeatureNet,
    /// The transformer, folded.
    pub net: Folded,
}

impl Model {
    /// Builds the structure of `config`.
    ///
    /// # Errors
    /// [`Error::Config`] if a size is out of range, or the weights would not fit in a model file.
    pub fn new(config: Config) -> Result<Self> {
        config.validate()?;
        let mut layout = Layout::new();
        let net = Folded::new(&config, &mut layout);
        let features = FeatureNet::new(&config.features, &mut layout).reading_doubled(config.doubled);
        if layout.len() > MAX_PARAMETERS {
            let found = layout.len();
            return Err(Error::Config(format!("expected at most {MAX_PARAMETERS} weights, found sizes for {found}")));
        }
        Ok(Self { config, layout, features, net })
    }

    /// The folded transformer of `params`.
    pub fn fold(&self, params: &[f32]) -> Vec<f32> {
        fold(&self.net.folds, params, self.net.layout.len())
    }

    /// Adds the parameters' gradients, given those of the folded transformer.
    pub fn unfold(&self, params: &[f32], folded_grads: &[f32], grads: &mut [f32]) {
        unfold(&self.net.folds, params, folded_grads, grads);
    }
}
