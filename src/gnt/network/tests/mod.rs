//! The training path against the plain network: values in double precision, gradients by dual numbers.

pub(super) mod fixture;

use crate::{Axes, Config, FeedForwardKind, Head, LinearKind, Position, RayAttentionKind, Start, ViewAttentionKind};
use fixture::{Fixture, RAYS, SAMPLES, VIEWS, config};
use layers::params::SplitMix;
use num_dual::Dual64;
use std::collections::HashMap;

/// Rounding of single precision may turn a decision that is nearer than this to going the other way.
const MARGIN: f64 = 1e-5;

fn official() -> Config {
    config(Start::Max, Position::World { frequencies: 3 }, Head::Mean)
}

fn compact() -> Config {
    config(Start::Stats, Position::Ray { frequencies: 4 }, Head::Blend)
}

fn with_visibility() -> Config {
    Config { axes: Axes::Target, visibility: true, ..compact() }
}

/// Every kind by itself and all together.
fn fixtures() -> Vec<(&'static str, Fixture)> {
    let linear_angular = |branch| RayAttentionKind::LinearAngular { branch };
    [
        ("official", official()),
        ("compact", compact()),
        ("visibility", with_visibility()),
        ("visibility, shift and add", with_visibility().shift_add()),
        ("Hamming attention across views", Config { view_attention: ViewAttentionKind::Hamming, ..compact() }),
        ("Hamming attention along the ray", Config { ray_attention: RayAttentionKind::Hamming, ..compact() }),
        ("linear-angular", Config { ray_attention: linear_angular(false), ..compact() }),
        ("linear-angular with its filter", Config { ray_attention: linear_angular(true), ..official() }),
        ("shifts of 4 bits", Config { linears: LinearKind::Shift { bits: 4 }, ..compact() }),
        ("shifts of 5 bits", Config { linears: LinearKind::Shift { bits: 5 }, ..official() }),
        ("feed-forward of shifts of 4 bits", Config { mlp: FeedForwardKind::Shift { bits: 4 }, ..official() }),
        ("feed-forward of shifts of 5 bits", Config { mlp: FeedForwardKind::Shift { bits: 5 }, ..compact() }),
        ("experts", Config { mlp: FeedForwardKind::Experts { bits: 4 }, ..compact() }),
        ("all, compact", compact().shift_add()),
        ("all, official", official().shift_add()),
        (
            "all, of 5 bits, linear-angular",
            Config {
                ray_attention: linear_angular(true),
                linears: LinearKind::Shift { bits: 5 },
                mlp: FeedForwardKind::Experts { bits: 5 },
                ..compact().shift_add()
            },
        ),
    ]
    .into_iter()
    .map(|(name, config)| (name, Fixture::new(config)))
    .collect()
}

#[test]
fn some_samples_are_seen_by_all_views_and_some_by_none() {
    let pass = fixtures()[0].1.run();
    let counts: Vec<f32> = pass.workspace.tokens.shared.mask.chunks_exact(VIEWS).map(|m| m.iter().sum()).collect();
    assert!(counts.contains(&0.0) && counts.iter().any(|c| *c >= 2.0), "{counts:?}");
}

#[test]
fn values_equal_the_plain_network() {
    for (name, f) in fixtures() {
        let pass = f.run();
        let trunk = &pass.workspace.trunk;
        let want = f.plain(|i| f64::from(f.params[i]));
        assert!(want.margin > MARGIN, "{name}: choose another seed, a decision is as close as {}", want.margin);
        for (got, want) in trunk.head.rgb.iter().zip(&want.rgb) {
            assert!((f64::from(*got) - want).abs() < 2e-5, "{name}: {got} {want}");
        }
        let weights = f.ray_weights(&pass);
        assert_eq!(weights.len(), want.weights.len(), "{name}");
        for (got, want) in weights.iter().zip(&want.weights) {
            assert!((f64::from(*got) - want).abs() < 5e-6, "{name}: {got} {want}");
        }
        let counts = trunk.usage(&f.net).counts;
        let experts = matches!(f.config.mlp, FeedForwardKind::Experts { .. });
        let rows = if experts { 2 * f.config.depth * RAYS * SAMPLES } else { 0 };
        assert_eq!(counts[0] + counts[1], rows, "{name}");
        assert!(rows == 0 || counts.iter().all(|c| *c > 0), "{name}: every expert has work, {counts:?}");
    }
}

/// `net_coarse.view_crosstrans.0.attn.tau` without the number of its block.
fn without_block(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').enumerate().filter(|(i, _)| *i != 2).map(|(_, part)| part).collect();
    parts.join(".")
}

#[test]
fn gradients_equal_those_of_dual_numbers() {
    for (name, f) in fixtures() {
        let mut rng = SplitMix(11);
        let d_rgb: Vec<f32> = (0..3 * RAYS).map(|_| rng.uniform() * 2.0 - 1.0).collect();
        let grads = f.gradients(&mut f.run(), &d_rgb, None);
        let mut sizes = HashMap::new();
        for entry in f.layout.entries() {
            let range = entry.slot.offset..entry.slot.offset + entry.slot.len;
            let direction: Vec<f64> = range.clone().map(|_| f64::from(rng.uniform()) * 2.0 - 1.0).collect();
            let out = f.plain(|i| {
                let eps = if range.contains(&i) { direction[i - range.start] } else { 0.0 };
                Dual64::new(f64::from(f.params[i]), eps)
            });
            let want: f64 = out.rgb.iter().zip(&d_rgb).map(|(rgb, d)| rgb.eps * f64::from(*d)).sum();
            let got: f64 = range.clone().zip(&direction).map(|(i, d)| f64::from(grads[i]) * d).sum();
            // The tensor's own size sets the scale: a direction may happen to be nearly flat.
            let size = range.map(|i| f64::from(grads[i]).powi(2)).sum::<f64>().sqrt();
            assert!((got - want).abs() < 2e-3 * (size + 1e-4), "{name}, {}: {got} {want}", entry.name);
            let largest = sizes.entry(without_block(&entry.name)).or_insert(0.0f64);
            *largest = largest.max(size);
        }
        // The bias of the view logits cancels in the softmax; everything else moves the colours in some block.
        sizes.retain(|name, size| *size < 1e-4 && !name.ends_with("attn_fc.2.bias"));
        assert!(sizes.is_empty(), "{name}: nothing was compared of {sizes:?}");
    }
}

#[test]
fn a_gradient_on_the_ray_logits_is_added() {
    let f = Fixture::new(compact());
    let mut pass = f.run();
    let ray_weights = pass.workspace.trunk.head.ray_weights.clone();
    let d_logits: Vec<f32> = (0..ray_weights.len()).map(|i| (i % 5) as f32 - 2.0).collect();
    let grads = f.gradients(&mut pass, &[0.0; 3 * RAYS], Some(&d_logits));
    // d loss / d W = Σ_t d_logit · y_t, where y is the last normalisation's output: recomputed by finite differences
    // of Σ d_logit · log-weight, whose gradient in the logits differs from it by a multiple of the weights only.
    let weight = f.layout.find("net_coarse.blend.ray.weight").unwrap().slot.offset + 2;
    let loss = |step: f32| -> f64 {
        let mut moved = f.clone();
        moved.params[weight] += step;
        let weights = moved.run().workspace.trunk.head.ray_weights;
        weights.iter().zip(&d_logits).map(|(w, d)| f64::from(w.ln() * d)).sum()
    };
    let step = 1e-2;
    let difference = (loss(step) - loss(-step)) / f64::from(2.0 * step);
    // log-softmax subtracts Σd · softmax; put that part back.
    let sums: Vec<f32> = d_logits.chunks_exact(SAMPLES).map(|d| d.iter().sum()).collect();
    let d: Vec<f32> = ray_weights.iter().enumerate().map(|(i, w)| w * sums[i / SAMPLES]).collect();
    let want = difference + f64::from(f.gradients(&mut pass, &[0.0; 3 * RAYS], Some(&d))[weight]);
    let got = f64::from(grads[weight]);
    assert!((got - want).abs() < 2e-3 * (1.0 + want.abs()), "{got} {want}");
}
