//! `cargo test --test codes`: the tests of what the benchmark of this folder compares, which has no test harness.

mod fidelity;
mod ksh;

use fidelity::{channel_means, fidelity, sign_codes};
use ksh::*;
use layers::params::SplitMix;

/// `n` rows around `clusters` centres of size about 1 a channel, shifted by `offset`.
fn clustered(n: usize, width: usize, clusters: usize, noise: f32, offset: f32, seed: u64) -> Vec<f32> {
    let mut centre_rng = SplitMix(77);
    // Four uniform numbers summed are close enough to a normal one.
    let normal = |rng: &mut SplitMix| ((0..4).map(|_| rng.uniform()).sum::<f32>() - 2.0) * 3f32.sqrt();
    let centres: Vec<f32> = (0..clusters * width).map(|_| normal(&mut centre_rng)).collect();
    let mut rng = SplitMix(seed);
    let mut rows = Vec::with_capacity(n * width);
    for _ in 0..n {
        let centre = rng.below(clusters);
        rows.extend(centres[centre * width..][..width].iter().map(|c| offset + c + noise * normal(&mut rng)));
    }
    rows
}

fn codes(ksh: &Ksh, rows: &[f32]) -> Vec<u16> {
    rows.chunks_exact(ksh.width).map(|r| ksh.encode(r)).collect()
}

/// With as many neighbours as a cluster has rows, the target says for all pairs of a cluster that they are alike.
#[test]
fn codes_agree_inside_clusters() {
    let rows = clustered(301, 16, 6, 0.1, 0.0, 1);
    let ksh = Ksh::fit(&rows, 16, 3, KshOptions { neighbours: 50, ..KshOptions::default() }).unwrap();
    let codes = codes(&ksh, &rows);
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for (i, a) in rows.chunks_exact(16).enumerate() {
        for (j, b) in rows.chunks_exact(16).enumerate().take(i) {
            let distance: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
            let hamming = f64::from((codes[i] ^ codes[j]).count_ones());
            // Rows of one cluster are about 16 · 2 · 0.01 apart, rows of two about 16 · 2.
            if distance < 2.0 { near.push(hamming) } else { far.push(hamming) }
        }
    }
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    assert!(mean(&near) < 0.25 * mean(&far), "Hamming distances {} and {}", mean(&near), mean(&far));
}

/// A code depends on its row and on the fit, not on what else is encoded, and the fit on the seed alone.
#[test]
fn fits_repeat_and_ignore_company() {
    let rows = clustered(65, 5, 4, 0.3, 0.2, 5);
    let options = KshOptions { steps: 7, bits: 9, rows: 33, ..KshOptions::default() };
    let ksh = Ksh::fit(&rows, 5, 1, options).unwrap();
    assert_eq!(ksh, Ksh::fit(&rows, 5, 1, options).unwrap());
    assert_ne!(ksh.anchors, Ksh::fit(&rows, 5, 2, options).unwrap().anchors);
    assert!(codes(&ksh, &rows).iter().all(|c| *c < 1 << 9));
    assert_eq!(ksh.anchors.len(), 25 * 5);
}

#[test]
fn steps_follow_the_slope_of_the_loss() {
    let rows: Vec<f64> = clustered(99, 8, 5, 0.4, 0.0, 2).into_iter().map(f64::from).collect();
    let mut rng = SplitMix(4);
    let m = 8;
    let phi: Vec<f64> = (0..99 * m).map(|_| f64::from(rng.uniform()) - 0.5).collect();
    let target = Target::new(&rows, 8, 10, 16);
    let options = KshOptions::default();
    let start: Vec<f64> = (0..m).map(|_| f64::from(rng.uniform()) - 0.5).collect();
    let soft = |a: &[f64]| -> f64 {
        let y: Vec<f64> = phi.chunks_exact(m).map(|row| (0.5 * dot(row, a)).tanh()).collect();
        target.loss(&y)
    };
    assert!(soft(&descend(&phi, &target, &start, &options)) < soft(&start));
    // The slope that a single plain step follows is the derivative of the loss.
    let step = KshOptions { steps: 1, momentum: 0.0, rate: 1.0, ..options };
    let moved = descend(&phi, &target, &start, &step);
    for i in 0..m {
        let at = |h: f64| {
            let mut a = start.clone();
            a[i] += h;
            soft(&a)
        };
        let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!(
            (start[i] - moved[i] - slope).abs() < 1e-7 * slope.abs().max(1.0),
            "{} and {slope}",
            start[i] - moved[i]
        );
    }
    // The leading direction is not below a random one in what it is made for.
    let gain = |a: &[f64]| {
        let y: Vec<f64> = phi.chunks_exact(m).map(|row| dot(row, a)).collect();
        dot(&target.times(&y), &y) / dot(a, a)
    };
    let leading = leading_direction(&phi, m, &target, &mut rng);
    assert!(gain(&leading) >= gain(&start), "{} and {}", gain(&leading), gain(&start));
}

/// Steps that overshoot must not cost the start: the row with the lower loss of its signs is kept.
#[test]
fn a_bit_is_never_worse_than_its_start() {
    let rows: Vec<f64> = clustered(65, 8, 5, 0.4, 0.0, 6).into_iter().map(f64::from).collect();
    let target = Target::new(&rows, 8, 10, 16);
    for rate in [5e-4, 0.1, 10.0, 1e6] {
        let options = KshOptions { rate, ..KshOptions::default() };
        for seed in 0..5 {
            let start = leading_direction(&rows, 8, &target, &mut SplitMix(seed));
            let kept = fit_bit(&rows, 8, &target, &options, &mut SplitMix(seed));
            let loss = |a: &[f64]| target.loss(&signs(&rows, a));
            assert!(loss(&kept) <= loss(&start), "rate {rate}, seed {seed}: {} and {}", loss(&kept), loss(&start));
            assert!(kept == start || loss(&kept) < loss(&start), "rate {rate}, seed {seed}");
        }
    }
}

#[test]
fn odd_inputs() {
    let options = KshOptions::default();
    assert_eq!(Ksh::fit(&[], 4, 0, options), Err(NotFit::Rows { len: 0, width: 4 }));
    assert_eq!(Ksh::fit(&[1.0; 5], 4, 0, options), Err(NotFit::Rows { len: 5, width: 4 }));
    assert_eq!(Ksh::fit(&[1.0; 5], 0, 0, options), Err(NotFit::Rows { len: 5, width: 0 }));
    let text = Ksh::fit(&[1.0, f32::INFINITY], 1, 0, options).unwrap_err().to_string();
    assert_eq!(text, "row 1, column 0: expected a finite number, found inf");
    for bad in
        [KshOptions { bits: 17, ..options }, KshOptions { anchors: 0, ..options }, KshOptions { rows: 0, ..options }]
    {
        assert_eq!(Ksh::fit(&[1.0; 4], 4, 0, bad), Err(NotFit::Options(bad)));
    }
    // One row, equal rows and huge values have codes; a NaN has the empty one.
    let one = Ksh::fit(&[3.0; 4], 4, 0, options).unwrap();
    assert_eq!(one.encode(&[3.0; 4]), 0);
    let same = Ksh::fit(&[1.0; 33], 1, 0, options).unwrap();
    assert_eq!(same.encode(&[1.0]), same.encode(&[1.0]));
    let huge = Ksh::fit(&[f32::MAX, -f32::MAX, 0.0, 1.0, 2.0], 1, 0, options).unwrap();
    assert_ne!(huge.encode(&[f32::MAX]), huge.encode(&[-f32::MAX]));
    assert_eq!(huge.encode(&[f32::NAN]), 0);
}

#[test]
fn fidelity_by_hand() {
    // Rows of ±1 are their own codes: the scores are the logits.
    let rows = [1.0, 1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0];
    let codes = sign_codes(&rows, &[0.0; 3]);
    assert_eq!(codes, [7, 5, 4, 0]);
    let exact = fidelity(&rows, &rows, 3, &codes, &codes, 3);
    assert!((exact.correlation - 1.0).abs() < 1e-12 && exact.distance < 1e-12, "{exact:?}");
    assert!(exact.distance_uniform > 0.3, "{exact:?}");
    // Codes that say nothing: no correlation, and uniform rows are as good as any.
    let none = fidelity(&rows, &rows, 3, &[0u16; 4], &[0u16; 4], 16);
    assert_eq!(none.correlation, 0.0);
    assert_eq!(none.distance, none.distance_uniform);
    // Codes that say the opposite.
    let opposite: Vec<u64> = codes.iter().map(|c| c ^ 7).collect();
    assert!((fidelity(&rows, &rows, 3, &codes, &opposite, 3).correlation + 1.0).abs() < 1e-12);
    assert_eq!(fidelity::<u64>(&[], &rows, 3, &[], &codes, 3).distance, 0.0);
    assert_eq!(channel_means(&rows, 3), [0.0, -0.5, 0.5]);
    assert_eq!(channel_means(&[], 2), [0.0, 0.0]);
}

/// Signs and KSH side by side on rows that lie in clusters, centred and with a shift that all rows share.
#[test]
fn signs_and_ksh_follow_dot_products() {
    for offset in [0.0, 1.0] {
        let (q, k) = (clustered(151, 16, 8, 0.4, offset, 1), clustered(193, 16, 8, 0.4, offset, 2));
        let fit_on: Vec<f32> = q.iter().chain(&k).copied().collect();
        let ksh = Ksh::fit(&fit_on, 16, 3, KshOptions::default()).unwrap();
        let means = channel_means(&fit_on, 16);
        let scaled: Vec<f32> = q.iter().map(|v| v * 0.25).collect();
        let compare = |a: &[u64], b: &[u64]| fidelity(&scaled, &k, 16, a, b, 16);
        let wide = |rows: &[f32]| codes(&ksh, rows).into_iter().map(u64::from).collect::<Vec<_>>();
        let by_zero = compare(&sign_codes(&q, &[0.0; 16]), &sign_codes(&k, &[0.0; 16]));
        let by_mean = compare(&sign_codes(&q, &means), &sign_codes(&k, &means));
        let by_ksh = compare(&wide(&q), &wide(&k));
        for (what, f) in [("zero", by_zero), ("mean", by_mean), ("ksh", by_ksh)] {
            assert!(f.correlation > 0.4, "{what}, offset {offset}: {f:?}");
            assert!(f.distance < 0.9 * f.distance_uniform, "{what}, offset {offset}: {f:?}");
        }
    }
}
