//! One source view of a training step: its feature map, forward and backward.

use crate::step::add;
use gnt::Model;
use gnt::features::{FeatureMap, Prepared, Tape};
use gnt::network::key_map::{KeyMap, MapGrads};
use gnt::network::parameters::Folded;
use gnt::network::tokens::Source;
use gnt::projection::Projector;
use scene::{Camera, Image};

/// One source view's way through the feature network.
#[derive(Debug, Default)]
pub struct ViewPass {
    /// Activations of the feature network.
    pub tape: Tape,
    map: Option<FeatureMap>,
    projected: Vec<f32>,
    keys: KeyMap,
    /// The teacher's projected map and keys, where features are taught.
    pub taught: (Vec<f32>, Vec<f32>),
    /// Gradient of the feature map.
    pub d_map: Vec<f32>,
    /// Gradients of the folded parameters before the tokens.
    pub d_folded: Vec<f32>,
}

impl ViewPass {
    /// Runs the feature network and what follows it once a view.
    pub fn forward(&mut self, model: &Model, prepared: &Prepared, folded: &[f32], image: &Image) {
        let (h, w) = (image.height as usize, image.width as usize);
        let map = model.features.forward_train(prepared, &image.data, h, w, &mut self.tape);
        self.projected.resize(map.width * map.height * model.config.width, 0.0);
        model.net.token_features.forward(folded, &map.data, &mut self.projected, false);
        if model.net.reads_keys {
            self.keys.forward(&model.net, folded, image, (map.width, map.height), &self.projected);
        }
        self.map = Some(map);
    }

    /// The view as the network reads it, with its own feature map or the teacher's.
    pub fn source<'a>(&'a self, camera: &Camera, image: &'a Image, taught: bool) -> Source<'a> {
        Source {
            projector: Projector::new(camera),
            image,
            map_size: self.map.as_ref().map_or((1, 1), |m| (m.width, m.height)),
            map: if taught { &self.taught.0 } else { &self.projected },
            keys: if taught { &self.taught.1 } else { &self.keys.tokens },
        }
    }

    /// Sums the shards' gradients of view `v` and takes them back to the feature map and the token layers.
    pub fn map_backward(&mut self, net: &Folded, folded: &[f32], v: usize, shards: &[&MapGrads]) {
        let sum = |of: &dyn Fn(&MapGrads) -> &Vec<f32>| {
            let mut sum = of(shards[0]).clone();
            shards[1..].iter().for_each(|s| add(&mut sum, of(s)));
            sum
        };
        let map = self.map.as_ref().expect("the forward pass made it");
        let mut d_projected = sum(&|s| &s.maps[v]);
        self.d_map.resize(map.data.len(), 0.0);
        self.d_folded.clear();
        self.d_folded.resize(net.layout.len(), 0.0);
        if net.reads_keys {
            let d_keys = sum(&|s| &s.keys[v]);
            self.keys.backward(net, folded, &d_keys, &mut d_projected, &mut self.d_folded);
        }
        let d_map = Some((&mut self.d_map[..], false));
        net.token_features.backward(folded, &map.data, &d_projected, d_map, &mut self.d_folded);
    }
}
