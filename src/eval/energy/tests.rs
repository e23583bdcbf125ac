//! Known results of the simulator.
//!
//! The shapes are those that give the figures: NeRF's network runs on 65536 evaluations at a time (its default chunk),
//! GNT on 1024 rays at a time, an attention on all its heads and tokens as one batch.

use super::*;

/// Pixels of 378x504, which is LLFF at a quarter of its size with every second row and column.
const RAYS: f64 = 378.0 * 504.0;
const SAMPLES: u64 = 192;
const VIEWS: u64 = 10;
const DEPTH: f64 = 4.0;
/// Rays at a time.
const CHUNK: u64 = 1024;

/// Operations of GNT's convertible parts.
#[derive(Clone, Copy)]
struct Variant {
    /// The operation of all other layers.
    dense: Op,
    scores: Op,
    values: Op,
    linears: Op,
    feed_forward: Op,
}

const DENSE: Variant = Variant {
    dense: Op::Multiply,
    scores: Op::Multiply,
    values: Op::Multiply,
    linears: Op::Multiply,
    feed_forward: Op::Multiply,
};
const ADD: Variant = Variant { scores: Op::Add, values: Op::Add, ..DENSE };
const ATTENTION: Variant = Variant { linears: Op::Shift, ..ADD };
const SHIFT_ADD: Variant = Variant { feed_forward: Op::Shift, ..ATTENTION };

/// Layers of the official GNT for one chunk.
fn gnt(variant: Variant) -> Vec<(f64, Layer)> {
    let Variant { dense, scores, values, linears, feed_forward } = variant;
    let (samples, tokens, heads) = (CHUNK * SAMPLES, CHUNK * SAMPLES * VIEWS, CHUNK * SAMPLES * 4);
    vec![
        (1.0, Layer::product(dense, tokens, 35, 64)),
        (1.0, Layer::product(dense, tokens, 64, 64)),
        // View attention: keys and values, direction, logits; queries and outputs.
        (2.0 * DEPTH, Layer::product(linears, tokens, 64, 64)),
        (DEPTH, Layer::product(dense, tokens, 4, 8)),
        (2.0 * DEPTH, Layer::product(dense, tokens, 8, 64)),
        (DEPTH, Layer::product(dense, tokens, 64, 8)),
        (2.0 * DEPTH, Layer::product(linears, samples, 64, 64)),
        // Every second block has a position layer.
        (DEPTH / 2.0, Layer::product(dense, samples, 190, 64)),
        (DEPTH / 2.0, Layer::product(dense, samples, 64, 64)),
        // Ray attention.
        (4.0 * DEPTH, Layer::product(linears, samples, 64, 64)),
        (DEPTH, Layer::product(scores, heads, 16, SAMPLES)),
        (DEPTH, Layer::product(values, heads, SAMPLES, 16)),
        // Feed-forward parts of both.
        (2.0 * DEPTH, Layer::product(feed_forward, samples, 64, 256)),
        (2.0 * DEPTH, Layer::product(feed_forward, samples, 256, 64)),
        (1.0, Layer::product(dense, CHUNK, 64, 3)),
    ]
}

fn image(variant: Variant) -> Cost {
    Accelerator::default().total(gnt(variant)).unwrap() * (RAYS / CHUNK as f64)
}

fn assert_near(what: &str, found: f64, expected: f64, tolerance: f64) {
    let off = found / expected - 1.0;
    assert!(off.abs() < tolerance, "{what}: expected {expected}, found {found}, {:.3} % off", 100.0 * off);
}

/// Figures are given to four or five digits.
const DIGITS: f64 = 5e-4;

#[test]
fn nerf() {
    const EVALUATIONS: u64 = 65536;
    let dense = |inputs, outputs| Layer::product(Op::Multiply, EVALUATIONS, inputs, outputs);
    // Eight layers of 256 with the position joined again before the sixth; density, feature, direction, colour.
    let layers = [
        (1.0, dense(63, 256)),
        (6.0, dense(256, 256)),
        (1.0, dense(319, 256)),
        (1.0, dense(256, 1)),
        (1.0, dense(256, 256)),
        (1.0, dense(283, 128)),
        (1.0, dense(128, 3)),
    ];
    let chunks = RAYS * SAMPLES as f64 / EVALUATIONS as f64;
    let cost = Accelerator::default().total(layers).unwrap() * chunks;
    assert_near("seconds", cost.seconds, 683.58, 1e-5);
    assert_near("joules", cost.energy.total(), 1064.96, 1e-5);
}

#[test]
fn gnt_and_its_variants() {
    let only_scores = Variant { values: Op::Multiply, ..ADD };
    for (name, variant, joules, seconds) in [
        ("dense", DENSE, 1856.3, 1073.4),
        ("additions in both products", ADD, 1702.0, 1073.0),
        ("additions in scores", only_scores, 1780.0, 1073.0),
        ("shifts in the attentions", ATTENTION, 1157.0, 739.0),
        ("shifts in the feed-forward parts too", SHIFT_ADD, 845.5, 532.6),
    ] {
        let cost = image(variant);
        assert_near(name, cost.energy.total(), joules, DIGITS);
        assert_near(name, cost.seconds, seconds, 6e-4);
    }
}

/// The paper's own percentages, 50.4 and 54.3.
#[test]
fn savings_of_the_paper() {
    let (dense, ours) = (image(DENSE), image(SHIFT_ADD));
    let time = 100.0 * (1.0 - ours.seconds / dense.seconds);
    let energy = 100.0 * (1.0 - ours.energy.total() / dense.energy.total());
    assert!((time - 50.4).abs() < 0.05, "{time}");
    assert!((54.2..54.55).contains(&energy), "{energy}");
}

/// How the original batches attention in this mode is not known; one batch of all heads is 0.2 % off.
#[test]
fn gnt_in_8_bits() {
    let op = Op::Multiply8;
    let cost = image(Variant { dense: op, scores: op, values: op, linears: op, feed_forward: op });
    assert_near("joules", cost.energy.total(), 436.5, 5e-3);
    assert_near("seconds", cost.seconds, 301.0, 1e-3);
}

/// Time of the additions' own tilings, which the model does not charge.
#[test]
fn additions_taken_literally_are_slow() {
    let literal: f64 = gnt(SHIFT_ADD)
        .into_iter()
        .map(|(times, layer)| times * tiling::best(&layer).unwrap().cost(&layer).seconds)
        .sum();
    assert_near("seconds", literal * RAYS / CHUNK as f64, 944.6, DIGITS);
}

/// Blocks, patch embedding and head of DeiT-T.
fn deit_tiny(op: Op) -> [Vec<(f64, Layer)>; 3] {
    let (tokens, heads) = (197, 3);
    let blocks = vec![
        (12.0, Layer::product(op, tokens, 192, 3 * 192)),
        (12.0, Layer::product(op, heads * tokens, 64, tokens)),
        (12.0, Layer::product(op, heads * tokens, tokens, 64)),
        (12.0, Layer::product(op, tokens, 192, 192)),
        (12.0, Layer::product(op, tokens, 192, 4 * 192)),
        (12.0, Layer::product(op, tokens, 4 * 192, 192)),
    ];
    let patches = vec![(1.0, Layer::product(op, 196, 16 * 16 * 3, 192))];
    [blocks, patches, vec![(1.0, Layer::product(op, 1, 192, 1000))]]
}

#[test]
fn deit_in_millijoules() {
    let mut accelerator = Accelerator::default();
    let mut millijoules = |layers: Vec<_>| 1e3 * accelerator.total(layers).unwrap().energy.total();
    let [blocks, patches, head] = deit_tiny(Op::Multiply).map(&mut millijoules);
    assert_near("blocks", blocks, 65.89, DIGITS);
    assert_near("head", head, 0.087, 5e-3);
    assert_near("all", blocks + patches + head, 67.17, DIGITS);
    let small: f64 = deit_tiny(Op::Multiply8).map(&mut millijoules).iter().sum();
    assert_near("8 bits", small, 12.3, 5e-3);
}

/// As in the original, where such layers have to be written as linear ones.
#[test]
fn what_does_not_fit_is_an_error() {
    let mut accelerator = Accelerator::default();
    let patches = Layer {
        kernel: [16; 2],
        stride: 16,
        input: [224; 2],
        output: [14; 2],
        ..Layer::product(Op::Multiply, 1, 3, 192)
    };
    let message = accelerator.cost(&patches).unwrap_err().to_string();
    assert!(message.contains("224x224 to 14x14 by 16x16 step 16"), "{message}");
    for empty in [Layer::product(Op::Add, 0, 3, 4), Layer { stride: 0, ..Layer::product(Op::Shift, 1, 3, 4) }] {
        assert_eq!(accelerator.cost(&empty), Err(Error::Tiling(empty)));
    }
    let usual = Layer { kernel: [3; 2], stride: 1, input: [33, 31], output: [33, 31], ..patches };
    assert!(accelerator.cost(&usual).unwrap().seconds > 0.0);
}

#[test]
fn costs_add_up() {
    let mut accelerator = Accelerator::default();
    // A single product can be cut in one way only.
    let layer = Layer::product(Op::Multiply, 1, 1, 1);
    let cost = accelerator.cost(&layer).unwrap();
    assert_eq!(cost.seconds, 4e-9);
    // One product; three values from memory; two through the buffer; three on the network, one of them a sum; input, sum
    // and weight in registers. A datum is twice 16 bits.
    let picojoules = [3.7, 3.0 * 400.0, 2.0 * 44.4, 2.0 * 14.8 + 7.4, 7.4 + 7.4 + 14.8];
    let Energy { compute, dram, buffer, network, registers } = cost.energy;
    for (found, expected) in [compute, dram, buffer, network, registers].into_iter().zip(picojoules) {
        assert_near("part", found, expected * 1e-12, 1e-12);
    }
    assert_near("all", cost.energy.total(), picojoules.iter().sum::<f64>() * 1e-12, 1e-12);
    let total = accelerator.total([(1.5, layer), (0.0, layer), (2.0, layer)]).unwrap();
    assert_near("energy", total.energy.total(), 3.5 * cost.energy.total(), 1e-12);
    assert_near("seconds", total.seconds, 3.5 * cost.seconds, 1e-12);
    assert_eq!(accelerator.total([]).unwrap(), Cost::default());
}

/// A whole network takes far less than a second, also at the largest sizes that are accepted.
#[test]
fn large_and_prime_sizes_are_tiled() {
    let mut accelerator = Accelerator::default();
    for layer in [
        Layer::product(Op::Multiply, 1024 * 4096 * 256, 512, 8192),
        Layer::product(Op::Add, 1024 * 64 * 4093, 4093, 4093),
        Layer::product(Op::Shift, 1_000_003, 1009, 31),
    ] {
        let cost = accelerator.cost(&layer).unwrap();
        assert!(cost.energy.total().is_finite() && cost.seconds > 0.0, "{layer}: {cost:?}");
    }
}
