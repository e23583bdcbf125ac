//! The operations of a classifier for one image, from its sizes: what is reported as its cost and what energy is modelled
//! from. To the words of `layers::operations`, an image is a ray and its tokens are samples.

use crate::Config;
use crate::config::{CompactConfig, DeitConfig, Kinds, PvtConfig};
use crate::pvt::{HEADS, RATIOS, REDUCTIONS, kinds};
use layers::operations::{Op, Part, RaySize, Step, elementwise, linear, product, scores};
use layers::reduced_attention::POOLED;
use layers::{BlockShape, LinearKind, Names, RayAttentionKind};

/// Taps of a kernel of 3 by 3 pixels.
const TAPS: u64 = 9;

/// The steps of one image. `shift_shares` are the shares of the tokens that routers send to the experts of shifts, one a
/// block; networks without experts do not look at them, and missing ones are a half.
pub fn of_image(config: &Config, shift_shares: &[f64]) -> Vec<Step> {
    match config {
        Config::Compact(config) => compact(config, shift_shares),
        Config::Deit(config) => deit(config, shift_shares),
        Config::Pvt(config) => pvt(config, shift_shares),
    }
}

/// The dense network of the same sizes.
pub fn dense(config: &Config) -> Config {
    config.with_kinds(Kinds::default())
}

fn of_dense(part: Part, rows: u64, inputs: u64, outputs: u64) -> Step {
    linear(part, LinearKind::Dense, rows, inputs, outputs)
}

fn compact(config: &CompactConfig, shift_shares: &[f64]) -> Vec<Step> {
    let [first, second] = config.stem.map(|n| n as u64);
    let [side, width, classes] = [config.image_size, config.width, config.classes].map(|n| n as u64);
    let (half, tokens) = (side * side / 4, (config.grid() * config.grid()) as u64);
    let mut steps = vec![
        of_dense(Part::Tokens, side * side, 3 * TAPS, first),
        of_dense(Part::Tokens, half, first * TAPS, second),
        of_dense(Part::Tokens, half, second * TAPS, second),
        of_dense(Part::Tokens, tokens, 4 * second, width),
    ];
    let (shape, ray) = (config.block_shape(), RaySize { samples: tokens, views: 1 });
    for block in 0..config.depth {
        steps.push(elementwise(Part::RayAttention, tokens * width * TAPS));
        steps.extend(config.attention.operations(&shape, ray));
        let share = shift_shares.get(block).copied().unwrap_or(0.5);
        steps.extend(config.feed_forward.operations(&shape, ray, Part::RayFeedForward, share));
    }
    steps.extend([
        of_dense(Part::Head, tokens, width, 1),
        elementwise(Part::Head, tokens * width),
        of_dense(Part::Head, 1, width, classes),
    ]);
    steps
}

fn deit(config: &DeitConfig, shift_shares: &[f64]) -> Vec<Step> {
    let DeitConfig { patch, classes, width, depth, distilled, .. } = *config;
    let (rows, columns) = config.grid();
    let extra = 1 + u64::from(distilled);
    let patches = (rows * columns) as u64;
    let (shape, ray) = (config.block_shape(), RaySize { samples: patches + extra, views: 1 });
    let mut steps = vec![of_dense(Part::Tokens, patches, (3 * patch * patch) as u64, width as u64)];
    for block in 0..depth {
        let share = shift_shares.get(block).copied().unwrap_or(0.5);
        steps.extend(config.attention.operations(&shape, ray));
        steps.extend(config.feed_forward.operations(&shape, ray, Part::RayFeedForward, share));
    }
    steps.push(of_dense(Part::Head, extra, width as u64, classes as u64));
    steps
}

fn pvt(config: &PvtConfig, shift_shares: &[f64]) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut size, mut inputs) = ([config.image.0, config.image.1].map(|n| n as u64), 3);
    let mut shares = shift_shares.iter().copied();
    for s in 0..4 {
        let (stride, taps) = if s == 0 { (4, 49) } else { (2, TAPS) };
        size = size.map(|n| n.div_ceil(stride));
        let (width, tokens) = (config.widths[s], size[0] * size[1]);
        let (attention, linears) = kinds(config, s);
        steps.push(of_dense(Part::Tokens, tokens, inputs * taps, width as u64));
        inputs = width as u64;
        let shape = BlockShape {
            width,
            heads: HEADS[s],
            attention_hidden: 0,
            mlp_ratio: RATIOS[s],
            linears,
            names: Names::Paired,
        };
        let ray = RaySize { samples: tokens, views: 1 };
        for _ in 0..config.depths[s] {
            match attention {
                RayAttentionKind::LinearAngular { .. } => steps.extend(attention.operations(&shape, ray)),
                kind => steps.extend(reduced(config, s, size, &shape, kind == RayAttentionKind::Hamming)),
            }
            steps.push(elementwise(Part::RayFeedForward, tokens * (RATIOS[s] * width) as u64 * TAPS));
            let share = shares.next().unwrap_or(0.5);
            steps.extend(config.feed_forward.operations(&shape, ray, Part::RayFeedForward, share));
        }
    }
    steps.push(of_dense(Part::Head, 1, inputs, config.classes as u64));
    steps
}

/// Attention to the reduced tokens of a grid of `size`.
fn reduced(config: &PvtConfig, stage: usize, size: [u64; 2], shape: &BlockShape, codes: bool) -> Vec<Step> {
    let (c, tokens, heads) = (shape.width as u64, size[0] * size[1], shape.heads as u64);
    let reduction = REDUCTIONS[stage] as u64;
    // Tokens that are looked at, and the inputs of the layer that makes them.
    let (keys, shrink) = match (config.linear, reduction) {
        (true, _) => ((POOLED * POOLED) as u64, Some(c)),
        (false, 1) => (tokens, None),
        (false, n) => ((size[0] / n) * (size[1] / n), Some(n * n * c)),
    };
    let projection = |rows, outputs| linear(Part::RayLinear, shape.linears, rows, c, outputs);
    let mut steps = vec![projection(tokens, c), projection(keys, 2 * c), projection(tokens, c)];
    steps.extend(shrink.map(|inputs| of_dense(Part::RayLinear, keys, inputs, c)));
    steps.push(match codes {
        true => scores(Part::RayAttention, heads * tokens, c / heads, keys),
        false => product(Part::RayAttention, Op::Multiply, heads * tokens, c / heads, keys),
    });
    // The engine weighs values by their keys, with codes too.
    steps.push(product(Part::RayAttention, Op::Multiply, heads * tokens, keys, c / heads));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use layers::FeedForwardKind;
    use layers::operations::Table;

    fn multiplies(config: Config) -> f64 {
        Table::of(&of_image(&config, &[])).total().multiplies as f64 / 1e9
    }

    /// Published: 1.3 and 4.6 billion for DeiT-T and DeiT-S (arXiv 2012.12877, table 5), 0.6, 2.1 and 4.0 for PVTv2-B0,
    /// B1 and B2, 3.9 for B2-Li (arXiv 2106.13797, table 1).
    #[test]
    fn counts_are_those_that_are_published() {
        let deit = |width, heads| {
            let Kinds { attention, linears, feed_forward } = Kinds::default();
            Config::Deit(DeitConfig {
                image: (224, 224),
                patch: 16,
                classes: 1000,
                width,
                depth: 12,
                heads,
                distilled: false,
                attention,
                linears,
                feed_forward,
            })
        };
        let pvt = |widths, depths, linear| {
            let Kinds { attention, linears, feed_forward } = Kinds::default();
            let image = (224, 224);
            Config::Pvt(PvtConfig { image, classes: 1000, widths, depths, linear, attention, linears, feed_forward })
        };
        for (config, published) in [
            (deit(192, 3), 1.3),
            (deit(384, 6), 4.6),
            (pvt([32, 64, 160, 256], [2, 2, 2, 2], false), 0.6),
            (pvt([64, 128, 320, 512], [2, 2, 2, 2], false), 2.1),
            (pvt([64, 128, 320, 512], [3, 4, 6, 3], false), 4.0),
            (pvt([64, 128, 320, 512], [3, 4, 6, 3], true), 3.9),
        ] {
            let found = multiplies(config);
            assert!((found - published).abs() <= 0.06, "{found} {published} {config:?}");
        }
    }

    #[test]
    fn shifts_take_the_place_of_products() {
        let plain = CompactConfig::embedded();
        let shifted = CompactConfig {
            attention: RayAttentionKind::Hamming,
            linears: LinearKind::Shift { bits: 4 },
            feed_forward: FeedForwardKind::Experts { bits: 4 },
            ..plain
        };
        let [before, after] = [plain, shifted].map(|config| Table::of(&of_image(&Config::Compact(config), &[0.5; 4])));
        let (before, after) = (before.total(), after.total());
        assert!(after.shifts > 30_000_000 && after.multiplies + after.shifts < before.multiplies);
        assert_eq!(dense(&Config::Compact(shifted)), Config::Compact(plain));
    }
}
