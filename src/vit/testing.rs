//! Small networks of every kind for tests, and what their training pass makes of images.

use crate::config::{CompactConfig, DeitConfig, Kinds, PvtConfig};
use crate::model::{Scratch, Tape};
use crate::{Config, Model};
use compute::Products;
use layers::params::SplitMix;
use layers::{FeedForwardKind, LinearKind, RayAttentionKind};

fn compact() -> CompactConfig {
    CompactConfig { image_size: 16, stem: [8, 24], width: 48, depth: 2, heads: 3, ..CompactConfig::embedded() }
}

/// The same network with codes, shifts and experts.
fn shift_add(config: Config, attention: RayAttentionKind) -> Config {
    let (linears, feed_forward) = (LinearKind::Shift { bits: 4 }, FeedForwardKind::Experts { bits: 4 });
    config.with_kinds(Kinds { attention, linears, feed_forward })
}

/// Every network, dense and with both attentions on codes.
pub fn configs() -> Vec<Config> {
    let Kinds { attention, linears, feed_forward } = Kinds::default();
    let deit = |image, distilled| {
        let (patch, classes, width, depth, heads) = (8, 5, 48, 2, 3);
        DeitConfig { image, patch, classes, width, depth, heads, distilled, attention, linears, feed_forward }
    };
    let pvt = |image, linear| {
        let (classes, widths, depths) = (7, [16, 32, 80, 128], [1, 2, 1, 1]);
        PvtConfig { image, classes, widths, depths, linear, attention, linears, feed_forward }
    };
    // Widths that are no whole registers.
    let narrow = PvtConfig { widths: [8, 16, 40, 64], ..pvt((64, 64), false) };
    let dense = [
        Config::Compact(compact()),
        Config::Deit(deit((32, 40), false)),
        Config::Deit(deit((24, 24), true)),
        Config::Pvt(pvt((64, 64), false)),
        Config::Pvt(pvt((50, 71), false)),
        Config::Pvt(pvt((64, 64), true)),
    ];
    let kinds = [RayAttentionKind::Hamming, RayAttentionKind::LinearAngular { branch: true }];
    let narrow = [Config::Pvt(narrow), shift_add(Config::Pvt(narrow), RayAttentionKind::Hamming)];
    dense.into_iter().flat_map(|c| [c, shift_add(c, kinds[0]), shift_add(c, kinds[1])]).chain(narrow).collect()
}

/// A network with its parameters, images and the logits that the training pass finds for them.
pub struct Case {
    /// The structure.
    pub model: Model,
    /// Its parameters.
    pub params: Vec<f32>,
    /// `[images, height, width, 3]`.
    pub x: Vec<f32>,
    /// `[images, classes]`.
    pub logits: Vec<f32>,
    /// What the pass left.
    pub tape: Tape,
}

impl Case {
    /// `images` random images through the network of `config` with random parameters.
    pub fn new(config: Config, images: usize) -> Self {
        let model = Model::new(config, Products::F32).unwrap();
        let mut rng = SplitMix(5);
        let params: Vec<f32> =
            model.layout.initialise(2).into_iter().map(|p| p + 0.05 * (rng.uniform() - 0.5)).collect();
        let (height, width) = config.image_size();
        let x: Vec<f32> = (0..images * height * width * 3).map(|_| 2.0 * rng.uniform() - 1.0).collect();
        let (mut tape, mut scratch) = (Tape::default(), Scratch::default());
        model.forward(&model.fold(&params), images, &x, None, &mut tape, &mut scratch);
        let logits = model.logits(&tape).to_vec();
        Self { model, params, x, logits, tape }
    }

    /// The greatest magnitude of the logits.
    pub fn largest(&self) -> f32 {
        self.logits.iter().fold(0.0, |m, v| m.max(v.abs()))
    }
}
