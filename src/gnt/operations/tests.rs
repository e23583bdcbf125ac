//! Counts by hand, and against those of the official code.

use super::*;
use layers::operations::{Ops, Table};

fn mega(operations: u64) -> f64 {
    operations as f64 / 1e6
}

fn part(steps: &[Step], part: Part) -> Ops {
    Table::of(steps).part(part)
}

fn total(steps: &[Step]) -> Ops {
    Table::of(steps).total()
}

/// Counts by layer hooks on the official modules, with ten views; rounded to 0.1 there.
#[test]
fn agrees_with_counts_of_the_official_code() {
    for (depth, samples, expected) in [(8, 64, 108.9), (8, 192, 351.7), (4, 64, 56.5), (4, 192, 181.9)] {
        let found = mega(total(&plain(&Config::official(depth), samples, 10)).multiplies);
        assert!((found - expected).abs() < 0.1, "depth {depth}, {samples} samples: expected {expected}, found {found}");
    }
    let steps = plain(&Config::official(8), 192, 10);
    for (name, expected) in [
        (Part::ViewFeedForward, 50.3),
        (Part::ViewLinear, 12.6),
        (Part::Position, 12.5),
        (Part::RayLinear, 25.2),
        (Part::RayFeedForward, 50.3),
        (Part::RayAttention, 37.7),
        (Part::Tokens, 12.2),
    ] {
        let found = mega(part(&steps, name).multiplies);
        assert!((found - expected).abs() < 0.051, "{name:?}: expected {expected}, found {found}");
    }
}

/// The view part loses 41 %, the whole ray at least 18 %; folding queries and features adds to that.
#[test]
fn folding_saves_what_it_promises() {
    let config = Config::official(8);
    let (plain, folded) = (plain(&config, 192, 10), folded(&config, 192, 10));
    let saved = |of: &dyn Fn(&[Step]) -> Ops| 1.0 - of(&folded).multiplies as f64 / of(&plain).multiplies as f64;
    let (view, whole) = (saved(&|s| part(s, Part::ViewAttention)), saved(&total));
    assert!((0.38..0.42).contains(&view), "{view}");
    assert!((0.18..0.25).contains(&whole), "{whole}");
    assert_eq!(part(&folded, Part::RayAttention), part(&plain, Part::RayAttention));
}

/// Matrices of the transformer, counted from the names and shapes of its parameters.
#[test]
fn weights_are_those_of_the_checkpoint() {
    let matrices = |config| {
        let model = crate::Model::new(config).unwrap();
        let is_matrix = |e: &&layers::params::Entry| !e.name.starts_with("feature_net.") && e.shape.len() == 2;
        model.layout.entries().iter().filter(is_matrix).map(|e| e.slot.len as u64).sum::<u64>()
    };
    for config in [Config::official(4), Config::official(1), Config::compact()] {
        assert_eq!(total(&plain(&config, 7, 3)).weight_bytes, 4 * matrices(config));
        let attention = Config { linears: LinearKind::Dense, mlp: FeedForwardKind::Dense, ..config.shift_add() };
        for ray_attention in [RayAttentionKind::Hamming, RayAttentionKind::LinearAngular { branch: true }] {
            let config = Config { ray_attention, ..attention };
            assert_eq!(total(&of_network(&config, 7, 3, &[])).weight_bytes, 4 * matrices(config), "{ray_attention:?}");
        }
    }
}

#[test]
fn one_view_and_two_samples_are_counted_too() {
    let config = Config::compact();
    let folded = folded(&config, 2, 1);
    let start = part(&folded, Part::Start);
    assert!(start.multiplies > 0 && total(&folded).multiplies > start.multiplies);
    let (one, two) = (plain(&config, 33, 1), plain(&config, 33, 2));
    let both = |name| [part(&one, name).multiplies, part(&two, name).multiplies];
    let [a, b] = both(Part::ViewAttention);
    assert_eq!(b, 2 * a);
    let [a, b] = both(Part::ViewLinear);
    assert_eq!(b, a);
}

/// A dense network is its own "before", and sums up as often as it multiplies.
#[test]
fn dense_networks_only_multiply() {
    for config in [Config::official(3), Config::compact()] {
        assert_eq!(of_network(&config, 31, 5, &[]), folded(&config.shift_add(), 31, 5));
        for steps in [plain(&config, 31, 5), folded(&config, 31, 5)] {
            let ops = total(&steps);
            assert_eq!(ops, Ops { additions: ops.multiplies, shifts: 0, lookups: 0, ..ops });
        }
    }
}

/// Every part of a small network by hand.
#[test]
fn shift_add_by_hand() {
    let config = Config { depth: 1, attention_hidden: 3, ..Config::compact().shift_add() };
    let (c, heads, d, h, hidden, s, v) = (32, 2, 16, 3, 64, 31, 5);
    let steps = of_network(&config, s as usize, v as usize, &[0.25; 2]);
    let expect = |name, expected: Ops| assert_eq!(part(&steps, name), expected, "{name:?}");

    let multiplies = s * v * (4 * h + h * heads + heads * (c + h));
    let weight_bytes = 4 * (4 * h + h * heads);
    let additions = multiplies + s * v * c;
    expect(Part::ViewAttention, Ops { multiplies, additions, lookups: s * v * heads, weight_bytes, shifts: 0 });

    let shifts = s * (c * c + (c + h) * c + c * c);
    let weight_bytes = 3 * (c * c / 2 + c) + (c + h) * c / 2 + c;
    expect(Part::ViewLinear, Ops { shifts, additions: shifts, weight_bytes, ..Ops::default() });

    let shifts = 4 * s * c * c;
    expect(Part::RayLinear, Ops { shifts, additions: shifts, weight_bytes: 4 * (c * c / 2 + c), ..Ops::default() });

    let multiplies = s * (d + 1) * c;
    let additions = s * s * c + s * s * c + multiplies;
    expect(Part::RayAttention, Ops { multiplies, additions, lookups: s * s * heads, ..Ops::default() });

    let products = s * 2 * c * hidden;
    let (multiplies, shifts) = (s * c * 2 + s * c + products * 3 / 4, products / 4);
    let weight_bytes = 4 * 2 * c + 4 * 2 * c * hidden + (c * hidden / 2 + hidden) + (c * hidden / 2 + c);
    let expected = Ops { multiplies, shifts, additions: multiplies + shifts, lookups: 0, weight_bytes };
    expect(Part::ViewFeedForward, expected);
    expect(Part::RayFeedForward, expected);

    for name in [Part::Tokens, Part::Start, Part::Position, Part::Head] {
        expect(name, part(&folded(&config, s as usize, v as usize), name));
    }
}

#[test]
fn linear_angular_grows_with_the_samples() {
    let attention = |branch, samples| {
        let ray_attention = RayAttentionKind::LinearAngular { branch };
        let config = Config { depth: 1, ray_attention, ..Config::compact() };
        part(&of_network(&config, samples, 1, &[]), Part::RayAttention)
    };
    let (c, d, heads, s) = (32, 16, 2, 33);
    let (bare, filtered) = (attention(false, 33), attention(true, 33));
    assert_eq!(bare, Ops { multiplies: 5 * s * c, additions: 2 * s * d * c + 5 * s * c, ..Ops::default() });
    assert_eq!(filtered.multiplies - bare.multiplies, 9 * s * c);
    assert_eq!(filtered.weight_bytes, 4 * 9 * heads);
    assert_eq!(attention(true, 66).additions, 2 * filtered.additions);
}

#[test]
fn all_of_one_expert_is_that_expert_and_its_router() {
    let of = |mlp, share| {
        let config = Config { mlp, depth: 1, ..Config::compact() };
        part(&of_network(&config, 33, 7, &[0.0, share]), Part::RayFeedForward)
    };
    let experts = FeedForwardKind::Experts { bits: 5 };
    let (dense, shift) = (of(FeedForwardKind::Dense, 0.5), of(FeedForwardKind::Shift { bits: 5 }, 0.5));
    let gate = 33 * (2 * 32 + 32);
    assert_eq!(of(experts, 0.0).multiplies, dense.multiplies + gate);
    assert_eq!((of(experts, 0.0).shifts, of(experts, 1.0).shifts), (0, shift.shifts));
    assert_eq!(of(experts, 1.0).multiplies, gate);
    assert_eq!(of(experts, 0.5).weight_bytes, dense.weight_bytes + shift.weight_bytes + 4 * 2 * 32);
    assert_eq!(shift.weight_bytes, 2 * 32 * 64 * 5 / 8);
}

/// Each feed-forward part has a share of its own, in the order in which the engine meets them.
#[test]
fn every_part_is_counted_by_its_own_share() {
    let mlp = FeedForwardKind::Experts { bits: 4 };
    let config = Config { mlp, depth: 2, ..Config::compact() };
    let counted = of_network(&config, 33, 7, &[0.0, 1.0, 1.0, 1.0]);
    let products = 33 * 2 * 32 * 64;
    assert_eq!(part(&counted, Part::ViewFeedForward).shifts, products);
    assert_eq!(part(&counted, Part::RayFeedForward).shifts, 2 * products);
    assert_eq!(num_feed_forward_parts(&config), 4);
}

#[test]
#[should_panic(expected = "one a feed-forward part")]
fn shares_of_other_parts_are_refused() {
    of_network(&Config::compact().shift_add(), 31, 5, &[0.5]);
}
