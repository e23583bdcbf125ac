//! One source view of a training step: its feature map, forward and backward.

use super::add;
use gnt::Model;
use gnt::features::{FeatureMap, Prepared, Tape};
use gnt::folded::Folded;
use gnt::network::sources::{MapGrads, SourceMap};
use gnt::surface::SurfaceMap;
use scene::Image;

/// One source view's way through the feature network.
#[derive(Debug, Default)]
pub struct ViewPass {
    /// Activations of the feature network.
    pub tape: Tape,
    features: Option<FeatureMap>,
    /// What the network reads of the view.
    pub own: SourceMap,
    /// What the teacher reads of it, where features are taught.
    pub taught: SourceMap,
    /// Gradient of the feature map.
    pub d_map: Vec<f32>,
    /// Gradients of the folded parameters before the tokens.
    pub d_folded: Vec<f32>,
}

impl ViewPass {
    /// Runs the feature network and what follows it once a view; `surface` is what is told of where its rays end.
    pub fn forward(
        &mut self,
        model: &Model,
        prepared: &Prepared,
        folded: &[f32],
        image: &Image,
        surface: Option<&SurfaceMap>,
    ) {
        let (h, w) = (image.height as usize, image.width as usize);
        let map = model.features.forward_train(prepared, &image.data, h, w, &mut self.tape);
        self.own.forward(&model.net, folded, image, (map.width, map.height), &map.data);
        self.own.surface = surface.cloned();
        self.features = Some(map);
    }

    /// Sums the shards' gradients of view `v` and takes them back to the feature map and the token layers.
    pub fn map_backward(&mut self, net: &Folded, folded: &[f32], v: usize, shards: &[&MapGrads]) {
        let sum = |of: &dyn Fn(&MapGrads) -> &Vec<f32>| {
            let mut sum = of(shards[0]).clone();
            shards[1..].iter().for_each(|s| add(&mut sum, of(s)));
            sum
        };
        let features = &self.features.as_ref().expect("the forward pass made it").data;
        let (mut d_projected, d_keys) = (sum(&|s| &s.maps[v]), sum(&|s| &s.keys[v]));
        self.d_map.resize(features.len(), 0.0);
        self.d_folded.clear();
        self.d_folded.resize(net.layout.len(), 0.0);
        let d_maps = (&mut d_projected[..], &d_keys[..]);
        self.own.backward(net, folded, features, d_maps, &mut self.d_map, &mut self.d_folded);
    }
}
