//! The engine against the forward pass of training, which the parity tests compare with timm.

use super::*;
use crate::config::Kinds;
use crate::testing::{Case, configs};
use layers::{FeedForwardKind, LinearKind, RayAttentionKind};

/// The training pass's logits, those of the engine, and the greatest magnitude of the former.
fn both(config: Config, precision: Precision, isa: Isa) -> (Vec<f32>, Vec<f32>, f32) {
    let case = Case::new(config, 2);
    let engine = Engine::with_precision(&case.model, &case.params, precision).with_isa(isa);
    let mut scratch = EngineScratch::default();
    let images = case.x.chunks_exact(case.x.len() / 2);
    let found = images.flat_map(|x| engine.classify(x, &mut scratch).to_vec()).collect();
    let largest = case.largest();
    (case.logits, found, largest)
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
        let model = Model::new(config, compute::Products::F32).unwrap();
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
