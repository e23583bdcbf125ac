//! The engine against the forward pass of training, which the parity tests compare with timm.

use super::*;
use crate::config::{CompactConfig, DeitConfig, Kinds, PvtConfig};
use crate::model::{Scratch, Tape};
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

fn configs() -> Vec<Config> {
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

/// The training pass's logits, those of the engine, and the greatest magnitude of the former.
fn both(config: Config, precision: Precision, isa: Isa) -> (Vec<f32>, Vec<f32>, f32) {
    let model = Model::new(config, Products::F32).unwrap();
    let mut rng = SplitMix(5);
    let params: Vec<f32> = model.layout.initialise(2).into_iter().map(|p| p + 0.05 * (rng.uniform() - 0.5)).collect();
    let (height, width) = config.image_size();
    let x: Vec<f32> = (0..2 * height * width * 3).map(|_| 2.0 * rng.uniform() - 1.0).collect();
    let (mut tape, mut scratch) = (Tape::default(), Scratch::default());
    model.forward(&model.fold(&params), 2, &x, None, &mut tape, &mut scratch);
    let wanted = model.logits(&tape).to_vec();
    let engine = Engine::with_precision(&model, &params, precision).with_isa(isa);
    let mut scratch = EngineScratch::default();
    let found = x.chunks_exact(x.len() / 2).flat_map(|x| engine.classify(x, &mut scratch).to_vec()).collect();
    let largest = wanted.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    (wanted, found, largest)
}

#[test]
fn f32_is_the_training_pass_with_every_instruction_set() {
    for config in configs() {
        for isa in Isa::available() {
            let (wanted, found, largest) = both(config, Precision::F32, isa);
            assert_eq!(wanted.len(), found.len());
            for (a, b) in wanted.iter().zip(&found) {
                assert!((a - b).abs() <= 1e-4 * largest, "{isa} {config:?}: {a} {b}");
            }
        }
    }
}

/// Bytes round: logits stay near on the whole. Networks of few random tokens are compared without codes and experts, of which
/// one that turns moves the logits more than all rounding.
#[test]
fn bytes_are_near() {
    let smooth = |config: Config| match config {
        Config::Compact(_) => config,
        _ if config.has_shifts() => {
            let (linears, feed_forward) = (LinearKind::Shift { bits: 4 }, FeedForwardKind::Shift { bits: 4 });
            config.with_kinds(Kinds { attention: RayAttentionKind::Softmax, linears, feed_forward })
        }
        _ => config,
    };
    for config in configs().into_iter().map(smooth) {
        for precision in [Precision::Mixed, Precision::Int8] {
            for isa in Isa::available() {
                let (wanted, found, _) = both(config, precision, isa);
                let off: f32 = wanted.iter().zip(&found).map(|(a, b)| (a - b) * (a - b)).sum();
                let all: f32 = wanted.iter().map(|a| a * a).sum();
                assert!(off.sqrt() <= 0.1 * all.sqrt(), "{isa} {precision:?} {config:?}: {wanted:?} {found:?}");
            }
        }
    }
}

#[test]
fn rows_of_experts_are_counted() {
    for config in configs().into_iter().filter(|config| config.has_shifts()) {
        let model = Model::new(config, Products::F32).unwrap();
        let engine = Engine::new(&model, &model.layout.initialise(2));
        let (height, width) = config.image_size();
        let mut scratch = EngineScratch::default();
        assert!(scratch.expert_counts().is_empty());
        let mut first = Vec::new();
        for images in 1..=2 {
            engine.classify(&vec![0.1; height * width * 3], &mut scratch);
            let counts: Vec<u64> = scratch.expert_counts().iter().map(|c| c[0] + c[1]).collect();
            if images == 1 {
                first = counts.clone();
            }
            assert!(!counts.is_empty() && counts.iter().zip(&first).all(|(n, one)| *n == images * one && *one > 0));
        }
    }
}
