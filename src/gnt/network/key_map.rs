//! What belongs to a source view's feature map while training: the tokens that keys are made of, and gradients.

use super::parameters::Folded;
use super::tokens::{Source, colour};
use crate::projection::taps;
use glam::Vec2;
use layers::linear::{relu, relu_backward};
use scene::Image;

/// Gradients of the sources' maps, one vector a view.
#[derive(Clone, Debug, Default)]
pub struct MapGrads {
    /// Of [`Source::map`].
    pub maps: Vec<Vec<f32>>,
    /// Of [`Source::keys`].
    pub keys: Vec<Vec<f32>>,
}

impl MapGrads {
    /// Zeros for `sources`.
    pub fn reset(&mut self, sources: &[Source]) {
        let clear = |out: &mut Vec<Vec<f32>>, len: &dyn Fn(&Source) -> usize| {
            out.resize_with(sources.len(), Vec::new);
            for (out, source) in out.iter_mut().zip(sources) {
                out.clear();
                out.resize(len(source), 0.0);
            }
        };
        clear(&mut self.maps, &|s| s.map.len());
        clear(&mut self.keys, &|s| s.keys.len());
    }
}

/// Tokens at the pixels of a feature map, from which keys are made once a source view: the token layers on the map and
/// on the photograph's colour at each of its pixels.
#[derive(Clone, Debug, Default)]
pub struct KeyMap {
    /// `[height, width, C]`.
    pub tokens: Vec<f32>,
    colours: Vec<f32>,
    hidden: Vec<f32>,
    d_hidden: Vec<f32>,
}

impl KeyMap {
    /// Computes the tokens; `map` is [`Source::map`] of a map of `size` (width, height).
    pub fn forward(&mut self, net: &Folded, folded: &[f32], image: &Image, size: (usize, usize), map: &[f32]) {
        let image_size = (image.width as usize, image.height as usize);
        self.colours.resize(size.0 * size.1 * 3, 0.0);
        for (i, out) in self.colours.chunks_exact_mut(3).enumerate() {
            let pixel = Vec2::new((i % size.0) as f32, (i / size.0) as f32);
            colour(image, &taps(pixel, size, image_size), out);
        }
        self.hidden.clear();
        self.hidden.extend_from_slice(map);
        net.token_colour.forward(folded, &self.colours, &mut self.hidden, true);
        relu(&mut self.hidden);
        self.tokens.resize(map.len(), 0.0);
        net.token_fc2.forward(folded, &self.hidden, &mut self.tokens, false);
    }

    /// Takes the gradient of the tokens back to the parameters and adds it to that of the map.
    pub fn backward(&mut self, net: &Folded, folded: &[f32], d_tokens: &[f32], d_map: &mut [f32], grads: &mut [f32]) {
        self.d_hidden.resize(self.hidden.len(), 0.0);
        net.token_fc2.backward(folded, &self.hidden, d_tokens, Some((&mut self.d_hidden, false)), grads);
        relu_backward(&self.hidden, &mut self.d_hidden);
        net.token_colour.backward(folded, &self.colours, &self.d_hidden, None, grads);
        d_map.iter_mut().zip(&self.d_hidden).for_each(|(d, h)| *d += h);
    }
}
