//! Statistics of a small network on real batches, and codes made from them.

use crate::data::Dataset;
use crate::reparam::{Piece, convert};
use crate::testing::{config, dataset, network, slot, stats, watch};
use gnt::Model;

/// The dense network, and the same with one piece replaced.
fn pair(data: &Dataset, piece: Piece) -> ((Model, Vec<f32>), (Model, Vec<f32>)) {
    let (dense, params) = network(config(), 5);
    let start = convert(&dense, &params, piece.apply(dense.config, 4), &stats(&dense, &params, data), 1).unwrap();
    ((dense, params), start)
}

/// Mean, mean square and part above zero of channels `first .. first + c` of rows that are `stride` apart.
fn channels(x: &[f32], stride: usize, first: usize, c: usize) -> Vec<[f64; 3]> {
    let rows = x.len() / stride;
    (first..first + c)
        .map(|i| {
            let mut sums = [0.0; 3];
            for x in x.iter().skip(i).step_by(stride).map(|x| f64::from(*x)) {
                [x, x * x, f64::from(u8::from(x > 0.0))].iter().zip(&mut sums).for_each(|(x, s)| *s += x);
            }
            sums.map(|s| s / rows as f64)
        })
        .collect()
}

/// Single precision in the sums of some thousand rows.
const ROUNDING: f64 = 1e-4;

fn assert_codes(what: &str, channels: &[[f64; 3]], centred: bool) {
    for (i, [mean, square, above]) in channels.iter().enumerate() {
        assert!((square - 1.0).abs() < ROUNDING, "{what} {i}: mean square {square}");
        if centred {
            assert!(mean.abs() < ROUNDING, "{what} {i}: mean {mean}");
            // A centred channel cannot be all on one side; how evenly its bits fall depends on its skew.
            assert!((0.1..=0.9).contains(above), "{what} {i}: {above} of the bits are set");
        }
    }
    let set = channels.iter().map(|c| c[2]).sum::<f64>() / channels.len() as f64;
    assert!((0.35..=0.65).contains(&set), "{what}: {set} of all bits are set");
}

/// Queries have unit mean square, keys zero mean and unit deviation: in the first block, whose input is the same before
/// and after.
#[test]
fn codes_along_the_ray_start_balanced() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let (_, (model, params)) = pair(&data, Piece::Ray);
    let (c, mut qkv) = (model.config.width, Vec::new());
    watch(&model, &params, &data, |seen| qkv.extend_from_slice(&seen.workspace.trunk.blocks[0].ray.hamming.qkv));
    assert_codes("query", &channels(&qkv, 3 * c, 0, c), false);
    assert_codes("key", &channels(&qkv, 3 * c, c, c), true);
}

/// The same across views, where the keys are those that the converted network reads, of the views that see the sample.
#[test]
fn codes_across_views_start_balanced() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let (_, (model, params)) = pair(&data, Piece::View);
    let (c, mut query, mut key, mut unseen) = (model.config.width, Vec::new(), Vec::new(), 0);
    watch(&model, &params, &data, |seen| {
        let tape = &seen.workspace.trunk.blocks[0].view.hamming;
        query.extend_from_slice(&tape.query);
        for (row, mask) in tape.key.chunks_exact(c).zip(&seen.workspace.tokens.shared.mask) {
            if *mask != 0.0 {
                key.extend_from_slice(row);
            } else {
                unseen += 1;
            }
        }
    });
    assert!(unseen > 100, "{unseen}: some pairs should be hidden");
    assert_codes("query", &channels(&query, c, 0, c), false);
    assert_codes("key", &channels(&key, c, 0, c), true);
}

/// The factor is the least-squares one: what is left is smaller than the logits, and has nothing of the scores in it.
#[test]
fn the_factor_of_the_scores_fits_the_dense_logits() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let ((dense, dense_params), (model, params)) = pair(&data, Piece::Ray);
    let (c, heads, samples) = (model.config.width, model.config.heads, model.config.samples);
    let d = c / heads;
    let (mut logits, mut codes) = (Vec::new(), Vec::new());
    watch(&dense, &dense_params, &data, |seen| {
        logits.extend_from_slice(&seen.workspace.trunk.blocks[0].ray.softmax.qkv)
    });
    watch(&model, &params, &data, |seen| codes.extend_from_slice(&seen.workspace.trunk.blocks[0].ray.hamming.qkv));
    codes.iter_mut().for_each(|x| *x = if *x > 0.0 { 1.0 } else { -1.0 });
    let tau = slot(&model, "view_selftrans.0.attn.tau").of(&params);
    for head in 0..heads {
        // Sums of logit², residual² and residual · score, all without their means over the keys.
        let (mut before, mut after, mut common) = (0.0, 0.0, 0.0);
        for (x, b) in logits.chunks_exact(samples * 3 * c).zip(codes.chunks_exact(samples * 3 * c)) {
            for query in 0..samples {
                let products = |x: &[f32]| -> Vec<f64> {
                    let at = |sample: usize, part: usize| &x[(sample * 3 + part) * c + head * d..][..d];
                    let dot =
                        |key| at(query, 0).iter().zip(at(key, 1)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    let mut row: Vec<f64> = (0..samples).map(dot).collect();
                    let mean = row.iter().sum::<f64>() / samples as f64;
                    row.iter_mut().for_each(|x| *x -= mean);
                    row
                };
                for (logit, score) in products(x).into_iter().zip(products(b)) {
                    let left = logit - f64::from(tau[head]) * score;
                    before += logit * logit;
                    after += left * left;
                    common += left * score;
                }
            }
        }
        assert!(tau[head] > 0.0 && after < 0.9 * before, "head {head}: {after} of {before} left with {}", tau[head]);
        assert!(common.abs() < 1e-3 * before.sqrt(), "head {head}: {common} of the scores left");
    }
}

/// A network that has nothing left to replace still runs through, and gives empty statistics.
#[test]
fn parts_that_are_codes_already_have_no_statistics() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let (model, params) = network(config().shift_add(), 5);
    for stats in stats(&model, &params, &data) {
        for channels in [&stats.ray.query, &stats.ray.key, &stats.view.query, &stats.view.key] {
            assert!(channels.mean.is_empty() && channels.deviation.is_empty());
        }
        assert!(stats.ray.tau.is_empty());
    }
}
