//! Distillation: a pupil learns its teacher's features, states and colours beside the photographs' colours.

use gnt::Model;
use gnt::features::Prepared;
use gnt::network::key_map::KeyMap;
use gnt::network::tokens::{RayChunk, Source};
use gnt::network::{Shape, Workspace};
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

    /// What the teacher reads of a source view: its feature map after the first token layer, `[pixels, C]`, and the
    /// tokens at its pixels, `[pixels, C]`, empty where no layer reads them.
    pub fn maps(&self, image: &Image) -> (Vec<f32>, Vec<f32>) {
        let Self { model, folded, .. } = self;
        let (h, w) = (image.height as usize, image.width as usize);
        let map = model.features.forward(&self.prepared, &image.data, h, w);
        let mut projected = vec![0.0; map.width * map.height * model.config.width];
        model.net.token_features.forward(folded, &map.data, &mut projected, false);
        let mut keys = KeyMap::default();
        if model.net.reads_keys {
            keys.forward(&model.net, folded, image, (map.width, map.height), &projected);
        }
        (projected, keys.tokens)
    }
}

/// Who teaches a step.
#[derive(Clone, Copy, Debug)]
pub struct Pupil<'a> {
    /// The teacher, where there is one.
    pub teacher: Option<&'a Teacher>,
    /// The sources with the teacher's own feature maps; none where pupil and teacher share their tokens.
    pub taught: Option<&'a [Source<'a>]>,
}

/// Buffers of a thread's lessons.
#[derive(Debug, Default)]
pub struct Lesson {
    teacher: Workspace,
    /// Gradients of the pupil's recorded states.
    pub d_states: Vec<Vec<f32>>,
    /// Gradient of the pupil's tokens, where they are taught.
    pub d_tokens: Vec<f32>,
}

impl Lesson {
    /// Runs the teacher on the rays that `pupil` has just run, adds to the gradients of its colours and sample logits
    /// (`d_out`), leaves those of its states and tokens in `self`, and returns the loss.
    ///
    /// `share` is the part of the step's rays that the chunk holds.
    pub fn learn(
        &mut self,
        Pupil { teacher, taught }: Pupil,
        pupil: &Workspace,
        chunk: RayChunk,
        shape: Shape,
        how: Distillation,
        share: f32,
        (d_rgb, d_logits): (&mut Vec<f32>, &mut Vec<f32>),
    ) -> f64 {
        let Some(teacher) = teacher else { return 0.0 };
        let (config, net, folded) = (&teacher.model.config, &teacher.model.net, &teacher.folded);
        self.teacher.trunk.record = true;
        let mut loss = 0.0;
        match taught {
            Some(sources) => {
                self.teacher.forward(config, net, folded, sources, chunk);
                self.d_tokens.resize(pupil.tokens.tokens.len(), 0.0);
                let (own, wanted) = (&pupil.tokens.tokens, &self.teacher.tokens.tokens);
                loss += relative_distance(own, wanted, how.features * share, &mut self.d_tokens);
            }
            None => self.teacher.trunk.forward(config, net, folded, shape, &pupil.tokens, &pupil.encoding),
        }
        let (own, wanted) = (&pupil.trunk, &self.teacher.trunk);
        let places = own.states.len();
        self.d_states.resize_with(places, Vec::new);
        for ((own, wanted), d) in own.states.iter().zip(&wanted.states).zip(&mut self.d_states) {
            d.resize(own.len(), 0.0);
            loss += relative_distance(own, wanted, how.states * share / places as f32, d);
        }
        let scale = how.colour * share / own.head.rgb.len() as f32;
        for ((d, own), wanted) in d_rgb.iter_mut().zip(&own.head.rgb).zip(&wanted.head.rgb) {
            *d += 2.0 * scale * (own - wanted);
            loss += f64::from(scale * (own - wanted) * (own - wanted));
        }
        let (own, wanted) = (&own.head.ray_weights, &wanted.head.ray_weights);
        d_logits.resize(own.len(), 0.0);
        let scale = how.weights * share / chunk.rays.len() as f32;
        for ((d, own), wanted) in d_logits.iter_mut().zip(own).zip(wanted) {
            *d += scale * (own - wanted);
            loss -= f64::from(scale * wanted * own.max(1e-12).ln());
        }
        loss
    }
}

/// `weight · mean((own − wanted)²) / mean(wanted²)`; writes its gradient.
fn relative_distance(own: &[f32], wanted: &[f32], weight: f32, d: &mut [f32]) -> f64 {
    let mean_square: f32 = wanted.iter().map(|w| w * w).sum::<f32>() / wanted.len().max(1) as f32;
    let scale = weight / (mean_square.max(1e-6) * own.len().max(1) as f32);
    let mut sum = 0.0f64;
    for ((d, own), wanted) in d.iter_mut().zip(own).zip(wanted) {
        *d = 2.0 * scale * (own - wanted);
        sum += f64::from((own - wanted) * (own - wanted));
    }
    sum * f64::from(scale)
}

#[cfg(test)]
#[path = "distillation_tests.rs"]
mod tests;
