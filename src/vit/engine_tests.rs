//! The engine against the forward pass of training, which the parity tests compare with timm.

use super::*;
use crate::config::{CompactConfig, DeitConfig, PvtConfig};
use crate::model::{Scratch, Tape};
use compute::Products;
use layers::params::SplitMix;
use layers::{FeedForwardKind, LinearKind, RayAttentionKind};

fn compact() -> CompactConfig {
    CompactConfig { image_size: 16, stem: [8, 24], width: 48, depth: 2, heads: 3, ..CompactConfig::embedded() }
}

fn shift_add(attention: RayAttentionKind) -> CompactConfig {
    let (linears, feed_forward) = (LinearKind::Shift { bits: 4 }, FeedForwardKind::Experts { bits: 4 });
    CompactConfig { attention, linears, feed_forward, ..compact() }
}

fn configs() -> Vec<Config> {
    let deit = |image, distilled| DeitConfig { image, patch: 8, classes: 5, width: 48, depth: 2, heads: 3, distilled };
    let pvt = |image, linear| PvtConfig { image, classes: 7, widths: [8, 16, 40, 64], depths: [1, 2, 1, 1], linear };
    vec![
        Config::Compact(compact()),
        Config::Compact(shift_add(RayAttentionKind::Hamming)),
        Config::Compact(shift_add(RayAttentionKind::LinearAngular { branch: true })),
        Config::Deit(deit((32, 40), false)),
        Config::Deit(deit((24, 24), true)),
        Config::Pvt(pvt((64, 64), false)),
        Config::Pvt(pvt((50, 71), false)),
        Config::Pvt(pvt((64, 64), true)),
    ]
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

/// Bytes round: logits stay near on the whole.
#[test]
fn bytes_are_near() {
    for config in configs() {
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
    let config = Config::Compact(shift_add(RayAttentionKind::Hamming));
    let model = Model::new(config, Products::F32).unwrap();
    let engine = Engine::new(&model, &model.layout.initialise(2));
    let mut scratch = EngineScratch::default();
    assert!(scratch.expert_counts().is_empty());
    for images in 1..=2 {
        engine.classify(&vec![0.1; 16 * 16 * 3], &mut scratch);
        let counts = scratch.expert_counts();
        assert_eq!(counts.len(), 2);
        assert!(counts.iter().all(|c| c[0] + c[1] == 16 * images));
    }
}
