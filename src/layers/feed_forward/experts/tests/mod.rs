//! The block against a plain implementation in double precision that runs each row by itself.

pub(super) mod plain;

use super::*;
use crate::params::SplitMix;
use crate::testing::linear_with_slots;
use crate::{Layout, Slot};
use plain::{Plain, plain_row, wide};

const WIDTH: usize = 16;
const HIDDEN: usize = 24;
const ALPHA: [f32; 2] = [0.6, 0.4];

struct Fixture {
    layout: Layout,
    block: Experts,
    params: Vec<f32>,
    x: Vec<f32>,
}

impl Fixture {
    fn new(rows: usize, seed: u64) -> Self {
        let mut layout = Layout::new();
        let norm = LayerNorm::new(&mut layout, "norm", WIDTH, 1e-5);
        let (router, original_router) = linear_with_slots(&mut layout, "router", WIDTH, 2);
        let experts = ["multiply", "shift"].map(|name| {
            let (fc1, first) = linear_with_slots(&mut layout, &format!("{name}.fc1"), WIDTH, HIDDEN);
            let (fc2, second) = linear_with_slots(&mut layout, &format!("{name}.fc2"), HIDDEN, WIDTH);
            Expert { fc1, fc2, original: [first, second] }
        });
        let block = Experts { norm, router, experts, original_router };
        let mut params = layout.initialise(seed);
        let mut rng = SplitMix(seed + 1);
        // Away from the start of training: norms that scale and shift.
        for p in &mut params[..2 * WIDTH] {
            *p += rng.uniform() - 0.5;
        }
        let x = (0..rows * WIDTH).map(|_| rng.uniform() * 4.0 - 2.0).collect();
        Self { layout, block, params, x }
    }

    fn set_router_bias(&mut self, bias: [f32; 2]) {
        self.block.router.bias.unwrap().of_mut(&mut self.params).copy_from_slice(&bias);
    }

    fn run(&self, noise: Option<Noise>) -> (Vec<f32>, ExpertsTape) {
        let (mut y, mut tape) = (self.x.clone(), ExpertsTape::default());
        self.block.forward(&self.params, &mut y, noise, &mut tape);
        (y, tape)
    }

    fn backward(&self, tape: &ExpertsTape, dy: &[f32], balance: Option<Balance>) -> (Vec<f32>, Vec<f32>) {
        let (mut dx, mut grads) = (dy.to_vec(), vec![0.0; self.layout.len()]);
        // Dirty, as after a larger chunk.
        let mut scratch = ExpertsScratch { d_norm: vec![9.0; 7], d_input: vec![9.0; 999], ..Default::default() };
        scratch.d_output.resize(31, 9.0);
        scratch.d_logits.resize(200, 9.0);
        self.block.backward(&self.params, tape, &mut dx, &mut scratch, &mut grads, balance);
        (dx, grads)
    }

    fn norm_of(&self, slot: Slot, grads: &[f32]) -> f32 {
        slot.of(grads).iter().map(|g| g * g).sum::<f32>().sqrt()
    }
}

fn choices(tape: &ExpertsTape) -> Vec<usize> {
    let mut choices = vec![9; tape.counts().iter().sum()];
    for e in [MULTIPLY, SHIFT] {
        tape.rows(e).iter().for_each(|row| choices[*row as usize] = e);
    }
    choices
}

#[test]
fn dispatch_equals_the_formula_row_by_row() {
    for (rows, noise) in [(1, None), (31, None), (33, Some(Noise::new(5, 0)))] {
        let f = Fixture::new(rows, 11);
        let (y, tape) = f.run(noise);
        let choices = choices(&tape);
        let (params, x) = (wide(&f.params), wide(&f.x));
        let mut noise = noise;
        let mut counts = [0; 2];
        for (row, x) in x.chunks_exact(WIDTH).enumerate() {
            let (want, logits, _) = plain_row(&f.block, &params, x, choices[row]);
            let [a, b] = noise.as_mut().map_or([0.0; 2], Noise::next_pair).map(f64::from);
            assert_eq!(choices[row], if logits[0] + a > logits[1] + b { MULTIPLY } else { SHIFT }, "row {row}");
            counts[choices[row]] += 1;
            for (got, want) in y[row * WIDTH..].iter().zip(want) {
                assert!((f64::from(*got) - want).abs() < 2e-6, "row {row}: {got}, expected {want}");
            }
        }
        assert_eq!(tape.counts(), counts);
        assert!(rows == 1 || counts.iter().all(|c| *c > 3), "both experts are to be used: {counts:?}");
    }
}

#[test]
fn order_of_rows_carries_no_meaning() {
    let mut f = Fixture::new(33, 2);
    let (y, tape) = f.run(None);
    // 5 and 33 have no common divisor.
    let place = |row: usize| row * 5 % 33;
    let original = f.x.clone();
    for row in 0..33 {
        f.x[row * WIDTH..][..WIDTH].copy_from_slice(&original[place(row) * WIDTH..][..WIDTH]);
    }
    let (moved, moved_tape) = f.run(None);
    assert_eq!(tape.counts(), moved_tape.counts());
    for row in 0..33 {
        for (a, b) in moved[row * WIDTH..][..WIDTH].iter().zip(&y[place(row) * WIDTH..]) {
            // Edges of the product kernels may round otherwise.
            assert!((a - b).abs() < 1e-6, "row {row}: {a} and {b}");
        }
    }
}

#[test]
fn one_expert_may_get_all_rows_or_none() {
    for (bias, counts) in [([1e4, 0.0], [31, 0]), ([0.0, 1e4], [0, 31])] {
        let mut f = Fixture::new(31, 3);
        f.set_router_bias(bias);
        let (y, tape) = f.run(Some(Noise::new(1, 0)));
        assert_eq!(tape.counts(), counts);
        let used = if counts[MULTIPLY] > 0 { MULTIPLY } else { SHIFT };
        let (params, x) = (wide(&f.params), wide(&f.x));
        for (row, x) in x.chunks_exact(WIDTH).enumerate() {
            let expert = plain_row(&f.block, &params, x, used).0;
            assert!(y[row * WIDTH..].iter().zip(expert).all(|(a, b)| (f64::from(*a) - b).abs() < 2e-6), "row {row}");
        }
        let balance = Some(Balance { alpha: ALPHA, weight: 0.01 });
        let (dx, grads) = f.backward(&tape, &vec![1.0; y.len()], balance);
        assert!(dx.iter().chain(&grads).all(|g| g.is_finite()));
        let idle = &f.block.experts[1 - used];
        assert!([idle.fc1, idle.fc2].iter().all(|l| f.norm_of(l.weight, &grads) == 0.0));
        assert!(f.norm_of(f.block.experts[used].fc1.weight, &grads) > 0.1);
        assert_eq!(tape.losses(&ALPHA), (2.0, 2.0));
    }
    let f = Fixture::new(0, 3);
    let (y, tape) = f.run(Some(Noise::new(1, 0)));
    let (dx, grads) = f.backward(&tape, &[], Some(Balance { alpha: ALPHA, weight: 0.01 }));
    assert!(y.is_empty() && dx.is_empty() && grads.iter().all(|g| *g == 0.0));
    assert_eq!((tape.counts(), tape.losses(&ALPHA)), ([0, 0], (0.0, 0.0)));
}

/// A tape that ran a large chunk gives the same for a small one as a new tape.
#[test]
fn a_tape_can_be_used_again() {
    let (large, small) = (Fixture::new(33, 4), Fixture::new(5, 6));
    let (want, fresh) = small.run(Some(Noise::new(2, 0)));
    let (_, mut tape) = large.run(None);
    let mut y = small.x.clone();
    small.block.forward(&small.params, &mut y, Some(Noise::new(2, 0)), &mut tape);
    assert_eq!((y, tape.usage()), (want, fresh.usage()));
    let dy = vec![0.5; small.x.len()];
    assert_eq!(small.backward(&tape, &dy, None), small.backward(&fresh, &dy, None));
}

#[test]
fn router_learns_from_the_task_alone() {
    let f = Fixture::new(31, 8);
    let (y, tape) = f.run(None);
    let (_, grads) = f.backward(&tape, &y, None);
    assert!(f.norm_of(f.block.router.weight, &grads) > 0.01);
    assert!(f.norm_of(f.block.router.bias.unwrap(), &grads) > 0.01);
}

#[test]
fn noise_acts_in_training_only_and_repeats() {
    let f = Fixture::new(257, 9);
    let (quiet, noisy) = (f.run(None), f.run(Some(Noise::new(4, 1))));
    let again = (f.run(None), f.run(Some(Noise::new(4, 1))));
    assert_eq!((&quiet.0, quiet.1.usage()), (&again.0.0, again.0.1.usage()));
    assert_eq!((&noisy.0, noisy.1.usage()), (&again.1.0, again.1.1.usage()));
    assert_ne!(choices(&quiet.1), choices(&noisy.1));
    assert_ne!(choices(&noisy.1), choices(&f.run(Some(Noise::new(5, 1))).1));
    // The gate never sees the noise: rows that kept their expert kept their output.
    assert_eq!(quiet.1.usage().importance, noisy.1.usage().importance);
    let (a, b) = (choices(&quiet.1), choices(&noisy.1));
    let kept: Vec<usize> = (0..257).filter(|row| a[*row] == b[*row]).collect();
    assert!(kept.len() > 100 && kept.len() < 257, "{}", kept.len());
    for row in kept {
        let part = row * WIDTH..(row + 1) * WIDTH;
        assert!(quiet.0[part.clone()].iter().zip(&noisy.0[part]).all(|(a, b)| (a - b).abs() < 1e-6), "row {row}");
    }
}

#[test]
fn gradients_agree_with_differences() {
    const STEP: f64 = 1e-5;
    let balance = Balance { alpha: ALPHA, weight: 0.75 };
    for (rows, noise, balance) in [
        (1, None, Some(balance)),
        (1, Some(Noise::new(3, 0)), Some(balance)),
        (31, None, None),
        (31, Some(Noise::new(6, 2)), Some(balance)),
    ] {
        let f = Fixture::new(rows, 21);
        let (_, tape) = f.run(noise);
        let mut rng = SplitMix(77);
        let dy: Vec<f32> = (0..f.x.len()).map(|_| rng.uniform() * 2.0 - 1.0).collect();
        let (dx, grads) = f.backward(&tape, &dy, balance);
        let mut draws = noise;
        let plain = Plain {
            block: &f.block,
            choices: choices(&tape),
            noise: (0..rows).map(|_| draws.as_mut().map_or([0.0; 2], Noise::next_pair).map(f64::from)).collect(),
            dy: wide(&dy),
            weight: balance.map_or(0.0, |b| f64::from(b.weight)),
        };
        let (mut params, mut x) = (wide(&f.params), wide(&f.x));
        let (importance, load) = tape.losses(&ALPHA);
        let (_, want_importance, want_load) = plain.loss(&params, &x);
        assert!((f64::from(importance) - want_importance).abs() < 1e-6, "{importance}, expected {want_importance}");
        assert!((f64::from(load) - want_load).abs() < 2e-6, "{load}, expected {want_load}");
        let check = |got: f32, up: f64, down: f64, what: &str| {
            let want = (up - down) / (2.0 * STEP);
            // Single precision over sums of 31 rows and 24 channels.
            assert!((f64::from(got) - want).abs() < 1e-5 * (1.0 + want.abs()), "{what}: {got}, expected {want}");
        };
        for entry in f.layout.entries() {
            for i in entry.slot.offset..entry.slot.offset + entry.slot.len {
                let at = params[i];
                params[i] = at + STEP;
                let up = plain.loss(&params, &x).0;
                params[i] = at - STEP;
                check(grads[i], up, plain.loss(&params, &x).0, &entry.name);
                params[i] = at;
            }
        }
        for i in 0..x.len() {
            let at = x[i];
            x[i] = at + STEP;
            let up = plain.loss(&params, &x).0;
            x[i] = at - STEP;
            check(dx[i], up, plain.loss(&params, &x).0, "x");
            x[i] = at;
        }
    }
}

/// With no task, a router that starts on the dear expert comes to the split at which both take equally long.
#[test]
fn balance_alone_leads_to_the_split_by_latency() {
    let mut f = Fixture::new(257, 12);
    f.set_router_bias([1.0, -1.0]);
    let balance = Some(Balance { alpha: ALPHA, weight: 1.0 });
    let start = f.run(None).1.usage();
    assert!(start.share(MULTIPLY) > 0.9, "{start:?}");
    let router = &f.block.router;
    for step in 0..600 {
        let (y, tape) = f.run(Some(Noise::new(1, step)));
        let (_, grads) = f.backward(&tape, &vec![0.0; y.len()], balance);
        for slot in [router.weight, router.bias.unwrap()] {
            slot.of_mut(&mut f.params).iter_mut().zip(slot.of(&grads)).for_each(|(p, g)| *p -= 0.3 * g);
        }
    }
    let mut usage = Usage::default();
    (0..31).for_each(|s| usage.add(&f.run(Some(Noise::new(2, s))).1.usage()));
    let (importance, load) = usage.losses(&ALPHA);
    assert!(importance < 2e-3 && load < 2e-3, "{importance}, {load}");
    assert!((usage.share(MULTIPLY) - 0.4).abs() < 0.03, "{usage:?}");
}
