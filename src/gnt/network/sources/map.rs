//! What the network makes of a source view's features before any ray is known, forward and backward.

use super::Source;
use crate::folded::Folded;
use crate::projection::{Projector, colour, taps};
use crate::surface::{SurfaceMap, Visibility};
use glam::Vec2;
use layers::linear::{relu, relu_backward};
use scene::{Camera, Image};

/// The feature map of one source view after the first token layer, and the tokens at its pixels that keys are made of;
/// with what their backward pass needs.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    /// Width and height.
    pub size: (usize, usize),
    /// Features times `rgbfeat_fc.0`, `[height, width, C]`.
    pub projected: Vec<f32>,
    /// The token layers on the map and on the photograph's colour at each of its pixels, `[height, width, C]`; empty where
    /// no layer reads them.
    pub keys: Vec<f32>,
    /// Where the view's own rays end, where that is known and the network asks for it.
    pub surface: Option<SurfaceMap>,
    /// Whether the network asks for it.
    pub asks_visibility: bool,
    colours: Vec<f32>,
    hidden: Vec<f32>,
    d_hidden: Vec<f32>,
}

impl SourceMap {
    /// A map whose features have gone through the first token layer already.
    pub fn new(size: (usize, usize), projected: Vec<f32>) -> Self {
        Self { size, projected, ..Self::default() }
    }

    /// From the features `[height, width, features]` of a map of `size` (width, height).
    pub fn forward(&mut self, net: &Folded, folded: &[f32], image: &Image, size: (usize, usize), features: &[f32]) {
        self.size = size;
        self.asks_visibility = net.visibility;
        self.projected.resize(size.0 * size.1 * net.token_features.outputs, 0.0);
        net.token_features.forward(folded, features, &mut self.projected, false);
        if net.reads_keys {
            self.make_keys(net, folded, image);
        }
    }

    /// Computes the keys, whether some layer reads them or not.
    pub fn make_keys(&mut self, net: &Folded, folded: &[f32], image: &Image) {
        let (size, image_size) = (self.size, (image.width as usize, image.height as usize));
        self.colours.resize(size.0 * size.1 * 3, 0.0);
        for (i, out) in self.colours.chunks_exact_mut(3).enumerate() {
            let pixel = Vec2::new((i % size.0) as f32, (i / size.0) as f32);
            colour(image, &taps(pixel, size, image_size), out);
        }
        self.hidden.clone_from(&self.projected);
        net.token_colour.forward(folded, &self.colours, &mut self.hidden, true);
        relu(compute::isa(), &mut self.hidden);
        self.keys.resize(self.projected.len(), 0.0);
        net.token_fc2.forward(folded, &self.hidden, &mut self.keys, false);
    }

    /// The view as the network reads it.
    pub fn source<'a>(&'a self, camera: &Camera, image: &'a Image) -> Source<'a> {
        let visibility = match &self.surface {
            _ if !self.asks_visibility => Visibility::Unasked,
            None => Visibility::Unknown,
            Some(map) => Visibility::Known(map),
        };
        let projector = Projector::new(camera);
        Source { projector, image, map_size: self.size, map: &self.projected, keys: &self.keys, visibility }
    }

    /// Takes the gradients of the map, `d_projected`, and of the keys, `d_keys`, back to the parameters and to the features,
    /// `d_features`, which is overwritten. Where layers read keys, `d_projected` becomes the sum of both ways to the map.
    pub fn backward(
        &mut self,
        net: &Folded,
        folded: &[f32],
        features: &[f32],
        (d_projected, d_keys): (&mut [f32], &[f32]),
        d_features: &mut [f32],
        grads: &mut [f32],
    ) {
        if net.reads_keys {
            self.d_hidden.resize(self.hidden.len(), 0.0);
            net.token_fc2.backward(folded, &self.hidden, d_keys, Some((&mut self.d_hidden, false)), grads);
            relu_backward(compute::isa(), &self.hidden, &mut self.d_hidden);
            net.token_colour.backward(folded, &self.colours, &self.d_hidden, None, grads);
            d_projected.iter_mut().zip(&self.d_hidden).for_each(|(d, h)| *d += h);
        }
        net.token_features.backward(folded, features, d_projected, Some((d_features, false)), grads);
    }
}
