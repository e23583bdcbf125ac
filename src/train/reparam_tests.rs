//! Starts of reparameterised networks against the dense network that they come from.

use super::*;
use crate::calibration::Seen;
use crate::testing::{assert_close, colours, config, dataset, network, slot, stats, watch};
use gnt::network::{NetworkOn, RouterTraining, Workspace};
use gnt::{FeatureConfig, Head};

/// Colours are sums of some hundred products, made in another order.
const ROUNDING: f32 = 2e-5;

#[test]
fn the_same_network_stays_as_it_is() {
    let linear_angular = Config { ray_attention: RayAttentionKind::LinearAngular { branch: true }, ..config() };
    let shifts = Piece::Shift.apply(Piece::MlpShift.apply(config(), 5), 5);
    for config in [config(), config().shift_add(), linear_angular, shifts] {
        let (model, params) = network(config, 5);
        let (same, copy) = convert(&model, &params, config, &[], 9).unwrap();
        assert_eq!(same.config, config);
        assert_eq!(copy, params, "{config:?}");
    }
}

#[test]
fn other_outlines_are_refused() {
    let (model, params) = network(config(), 5);
    let features = FeatureConfig { channels: 5, ..config().features };
    for to in [
        Config { width: 32, ..config() },
        Config { depth: 1, ..config() },
        Config { heads: 4, ..config() },
        Config { mlp_ratio: 3, ..config() },
        Config { head: Head::Mean, ..config() },
        Config { samples: 13, ..config() },
        Config { features, ..config() },
    ] {
        let message = convert(&model, &params, to, &[], 1).unwrap_err().to_string();
        assert!(message.contains("expected the outline") && message.contains(&format!("{to:?}")), "{message}");
    }
}

#[test]
fn pieces_are_not_turned_back() {
    let to = |pieces: &[Piece]| pieces.iter().fold(config(), |config, piece| piece.apply(config, 4));
    for (pieces, back, word) in [
        (&[Piece::Ray][..], &[][..], "the ray attention"),
        (&[Piece::Ray], &[Piece::RayLinear], "the ray attention"),
        (&[Piece::RayLinear, Piece::View], &[Piece::Ray, Piece::View], "the ray attention"),
        (&[Piece::View], &[Piece::Ray], "the view attention"),
        (&[Piece::Shift], &[Piece::Experts], "the shift layers"),
        (&[Piece::MlpShift], &[], "the feed-forward shifts"),
        (&[Piece::Experts], &[], "the experts"),
        (&[Piece::Experts], &[Piece::MlpShift], "the experts"),
    ] {
        let (model, params) = network(to(pieces), 5);
        let message = convert(&model, &params, to(back), &[], 1).unwrap_err().to_string();
        assert!(message.contains(&format!("{word} of the model cannot be turned back")), "{message}");
    }
}

/// Whatever means the same in both networks is copied.
#[test]
fn what_no_piece_replaces_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let (dense, params) = network(config(), 5);
    let stats = stats(&dense, &params, &data);
    let (model, start) = convert(&dense, &params, config().shift_add(), &stats, 1).unwrap();
    let changed = ["q_fc.weight", "q_fc.bias", "k_fc.weight", "k_fc.bias", "tau", "head_fc.weight"];
    let (mut kept, mut total) = (0, 0);
    for entry in model.layout.entries() {
        total += 1;
        let (path, view) = (entry.name.as_str(), entry.name.contains("view_crosstrans"));
        let part = changed.iter().any(|part| path.ends_with(&format!("attn.{part}")));
        let moved = view && (path.ends_with("v_fc.weight") || path.ends_with("out_fc.bias"));
        let expert = [".mult.", ".shift.", ".router."].iter().any(|part| path.contains(part));
        if !(part || moved || expert) {
            let old = dense.layout.find(path).unwrap_or_else(|| panic!("{path} is new"));
            assert_eq!(entry.slot.of(&start), old.slot.of(&params), "{path}");
            kept += 1;
        }
    }
    // Changed in each block: five parts of the ray's attention, eight of the views', and ten of each of two mixtures.
    assert_eq!(total - kept, 2 * (5 + 8 + 2 * 10));
}

/// With both experts' probability at a half their doubled output is the dense part's, whichever of them runs.
#[test]
fn experts_start_as_the_dense_part() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let (dense, mut params) = network(config(), 5);
    // Weights that are powers of two already, so that the shift expert is not rounded.
    for name in ["view_crosstrans", "view_selftrans"] {
        for (i, part) in [(0, "fc1"), (0, "fc2"), (1, "fc1"), (1, "fc2")] {
            let slot = slot(&dense, &format!("{name}.{i}.ff.{part}.weight"));
            let inputs = if part == "fc1" { 16 } else { 32 };
            let exact = slot.of(&params).to_vec();
            layers::shift::quantise(&exact, inputs, 4, slot.of_mut(&mut params));
        }
    }
    let (model, mut start) = convert(&dense, &params, Piece::Experts.apply(config(), 4), &[], 1).unwrap();
    for name in ["view_crosstrans.0", "view_crosstrans.1", "view_selftrans.0", "view_selftrans.1"] {
        let router = slot(&model, &format!("{name}.router.weight")).of_mut(&mut start);
        assert!(router.iter().any(|w| *w != 0.0), "a router of zeros could not learn from states that differ");
        router.fill(0.0);
    }
    let folded = model.fold(&start);
    let (mut got, mut counts) = (Vec::new(), [0; 2]);
    watch(&model, &start, &data, |Seen { sources, chunk, .. }| {
        // Noise sends the rows of equal logits to either expert.
        let mut workspace = Workspace::default();
        workspace.trunk.routers = RouterTraining::new(3, None);
        let Ok(()) = workspace.forward(NetworkOn::cpu(&model, &folded), sources, chunk);
        got.extend_from_slice(&workspace.trunk.head.rgb);
        let usage = workspace.trunk.usage(&model.net);
        counts.iter_mut().zip(usage.counts).for_each(|(sum, n)| *sum += n);
        assert!(usage.importance[0] == usage.importance[1], "{usage:?}");
    });
    assert!(counts[0] > 5000 && counts[1] > 5000, "{counts:?}");
    let want = colours(&dense, &params, &data);
    assert_close("colours by both experts", &got, &want, ROUNDING);
    assert_close("colours by the shift expert", &colours(&model, &start, &data), &want, ROUNDING);
}

/// `v_fc` is `[Wv·Wk | P]`, and the constant of the encoded direction has gone through `out_fc` into its bias.
#[test]
fn values_across_views_join_their_matrices() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let (dense, params) = network(config(), 5);
    let stats = stats(&dense, &params, &data);
    let (model, start) = convert(&dense, &params, Piece::View.apply(config(), 4), &stats, 1).unwrap();
    let (c, h) = (16, config().attention_hidden);
    for block in 0..2 {
        let old = |part: &str| slot(&dense, &format!("view_crosstrans.{block}.attn.{part}")).of(&params);
        let new = |part: &str| slot(&model, &format!("view_crosstrans.{block}.attn.{part}")).of(&start);
        let (v, k, position) = (old("v_fc.weight"), old("k_fc.weight"), old("pos_fc.2.weight"));
        let mut value = Vec::new();
        for row in 0..c {
            value.extend((0..c).map(|column| (0..c).map(|i| v[row * c + i] * k[i * c + column]).sum::<f32>()));
            value.extend_from_slice(&position[row * h..][..h]);
        }
        assert_close("v_fc", new("v_fc.weight"), &value, ROUNDING);
        let (out, constant) = (old("out_fc.weight"), old("pos_fc.2.bias"));
        let bias: Vec<f32> = (0..c)
            .map(|row| old("out_fc.bias")[row] + (0..c).map(|i| out[row * c + i] * constant[i]).sum::<f32>())
            .collect();
        assert_close("out_fc.bias", new("out_fc.bias"), &bias, ROUNDING);
    }
}

/// Where all views weigh the same, both attentions are the same function.
#[test]
fn equal_weights_across_views_give_the_dense_colours() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let (dense, mut params) = network(config(), 5);
    for block in 0..2 {
        slot(&dense, &format!("view_crosstrans.{block}.attn.attn_fc.2.weight")).of_mut(&mut params).fill(0.0);
    }
    let stats = stats(&dense, &params, &data);
    let (model, mut start) = convert(&dense, &params, Piece::View.apply(config(), 4), &stats, 1).unwrap();
    let unequal = colours(&model, &start, &data);
    for block in 0..2 {
        slot(&model, &format!("view_crosstrans.{block}.attn.tau")).of_mut(&mut start).fill(0.0);
    }
    let want = colours(&dense, &params, &data);
    assert_close("colours", &colours(&model, &start, &data), &want, ROUNDING);
    assert!(unequal.iter().zip(&want).any(|(a, b)| (a - b).abs() > 1e-3), "codes should make a difference");
}

#[test]
fn the_filter_starts_without_effect() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let (dense, params) = network(config(), 5);
    let stats = stats(&dense, &params, &data);
    let [with, without] = [true, false].map(|branch| {
        let to = Config { ray_attention: RayAttentionKind::LinearAngular { branch }, ..config() };
        let (model, start) = convert(&dense, &params, to, &stats, 1).unwrap();
        colours(&model, &start, &data)
    });
    assert_eq!(with, without);
}
