//! The reference is a plain double-precision quadratic computation. In it the codes of queries and keys are a given
//! number plus the straight-through slope times the projection's change, so that finite differences of the reference
//! are the gradients which the layer defines.

use super::*;
use crate::Layout;
use crate::codes::WINDOW;
use crate::params::SplitMix;
use crate::testing::{built, shape};
use std::f64::consts::FRAC_1_PI as INV_PI;

const WIDTH: usize = 24;
const HEADS: usize = 3;
const EPS: f32 = 1e-5;

struct Case {
    layer: LinearAngularAttention,
    params: Vec<f32>,
    x: Vec<f32>,
    names: Layout,
}

fn case(branch: bool, rays: usize, samples: usize) -> Case {
    let (layer, names) = built(|b| {
        let norm = b.norm("a.norm", WIDTH, EPS);
        LinearAngularAttention::build(b, "a", norm, &shape(WIDTH, HEADS, 1), branch)
    });
    let mut params = names.initialise(5);
    let mut rng = SplitMix(9);
    let mut random = |n: usize| (0..n).map(|_| rng.uniform() * 2.0 - 1.0).collect::<Vec<_>>();
    // Wide projections put values on both sides of the straight-through window.
    layer.qkv.weight.of_mut(&mut params).iter_mut().for_each(|w| *w *= 2.5);
    for (slot, base) in [(layer.norm.gain, 1.0), (layer.norm.bias, 0.0)] {
        let noise = random(slot.len);
        slot.of_mut(&mut params).iter_mut().zip(noise).for_each(|(p, r)| *p = base + 0.3 * r);
    }
    let x = random(rays * samples * WIDTH);
    Case { layer, params, x, names }
}

/// Projection of every row, in double precision.
fn linear(layer: &Linear, params: &[f64], x: &[f64]) -> Vec<f64> {
    let weight = &params[layer.weight.offset..][..layer.weight.len];
    let bias = layer.bias.map(|b| &params[b.offset..][..b.len]);
    let row = |x: &[f64]| -> Vec<f64> {
        let dot = |o: usize| (0..layer.inputs).map(|i| x[i] * weight[i * layer.outputs + o]).sum::<f64>();
        (0..layer.outputs).map(|o| dot(o) + bias.map_or(0.0, |b| b[o])).collect()
    };
    x.chunks_exact(layer.inputs).flat_map(row).collect()
}

fn projections(layer: &LinearAngularAttention, params: &[f64], x: &[f64]) -> Vec<f64> {
    let norm = &layer.norm;
    let row = |x: &[f64]| -> Vec<f64> {
        let mean = x.iter().sum::<f64>() / WIDTH as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / WIDTH as f64;
        let scale = 1.0 / (variance + f64::from(norm.eps)).sqrt();
        let affine = |c: usize| (x[c] - mean) * scale * params[norm.gain.offset + c] + params[norm.bias.offset + c];
        (0..WIDTH).map(affine).collect()
    };
    let normed: Vec<f64> = x.chunks_exact(WIDTH).flat_map(row).collect();
    linear(&layer.qkv, params, &normed)
}

/// The layer's output; `base` are the projections at which the codes are taken.
fn reference(layer: &LinearAngularAttention, params: &[f64], samples: usize, x: &[f64], base: &[f64]) -> Vec<f64> {
    let d = WIDTH / HEADS;
    let qkv = projections(layer, params, x);
    let code = |row: usize, column: usize| {
        let i = row * 3 * WIDTH + column;
        let slope = if base[i].abs() <= f64::from(WINDOW) { 0.5 } else { 0.0 };
        f64::from(u8::from(base[i] > 0.0)) + slope * (qkv[i] - base[i])
    };
    let value = |row: usize, column: usize| qkv[row * 3 * WIDTH + 2 * WIDTH + column];
    let mut mixed = Vec::new();
    for row in 0..x.len() / WIDTH {
        let first = row / samples * samples;
        for head in 0..HEADS {
            let channels = head * d..(head + 1) * d;
            let mut z: Vec<f64> = channels.clone().map(|c| 0.5 * value(row, c)).collect();
            for other in first..first + samples {
                let common: f64 = channels.clone().map(|c| code(row, c) * code(other, WIDTH + c)).sum();
                z.iter_mut().zip(channels.clone()).for_each(|(z, c)| *z += INV_PI * common * value(other, c));
            }
            let length = (z.iter().map(|z| z * z).sum::<f64>() + f64::from(NORM_EPS)).sqrt();
            for (z, c) in z.iter().zip(channels) {
                let mut o = z / length;
                if let Some(filter) = layer.filter {
                    for tap in 0..TAPS {
                        let sample = (row - first + tap).wrapping_sub(4);
                        if sample < samples {
                            o += params[filter.offset + head * TAPS + tap] * value(first + sample, c);
                        }
                    }
                }
                mixed.push(o);
            }
        }
    }
    linear(&layer.out, params, &mixed).iter().zip(x).map(|(y, x)| x + y).collect()
}

fn double(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// Projections in double precision, none so near to a threshold that rounding could decide a code.
fn clear_projections(case: &Case) -> Vec<f64> {
    let base = projections(&case.layer, &double(&case.params), &double(&case.x));
    for row in base.chunks_exact(3 * WIDTH) {
        for q in &row[..2 * WIDTH] {
            assert!(q.abs().min((q.abs() - f64::from(WINDOW)).abs()) > 1e-5, "projection {q} is at a threshold");
        }
    }
    base
}

#[test]
fn equals_the_quadratic_form() {
    for (branch, rays, samples) in [(false, 3, 33), (true, 3, 33), (true, 2, 1), (true, 5, 3), (true, 1, 31)] {
        let case = case(branch, rays, samples);
        let base = clear_projections(&case);
        let want = reference(&case.layer, &double(&case.params), samples, &double(&case.x), &base);
        let (mut got, mut tape) = (case.x.clone(), LinearAngularAttentionTape::default());
        case.layer.forward(&case.params, samples, &mut got, &mut tape);
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!((f64::from(*got) - want).abs() < 1e-5, "{samples} samples, value {i}: {got} and {want}");
        }
    }
}

#[test]
fn rays_do_not_see_their_neighbours() {
    let case = case(true, 4, 7);
    let ray = 7 * WIDTH;
    let run = |x: &[f32]| {
        let (mut x, mut tape) = (x.to_vec(), LinearAngularAttentionTape::default());
        case.layer.forward(&case.params, 7, &mut x, &mut tape);
        let rows: Vec<f32> = (0..x.len() / ray).flat_map(|r| first_row_of(&tape, 7, WIDTH, HEADS, r)).collect();
        let (mut dx, mut grads) = (x.clone(), vec![0.0; case.params.len()]);
        case.layer.backward(&case.params, 7, &tape, &mut dx, &mut LinearAngularAttentionScratch::default(), &mut grads);
        (x, dx, rows)
    };
    let together = run(&case.x);
    for (r, x) in case.x.chunks_exact(ray).enumerate() {
        let alone = run(x);
        let pairs = [(&together.0, &alone.0, ray), (&together.1, &alone.1, ray), (&together.2, &alone.2, 7)];
        for (all, one, len) in pairs {
            for (a, b) in all[r * len..][..len].iter().zip(one) {
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "ray {r}: {a} and {b}");
            }
        }
    }
    assert!(run(&[]).0.is_empty());
}

/// Derivatives of `Σ u · y` for a fixed random `u`, against central differences of the reference, for every parameter
/// of small groups, some of the large ones, and the input.
#[test]
fn gradients_are_those_of_the_reference() {
    for (branch, rays, samples) in [(true, 2, 11), (false, 1, 5), (true, 3, 1)] {
        let case = case(branch, rays, samples);
        let (layer, base) = (&case.layer, clear_projections(&case));
        let mut rng = SplitMix(3);
        let u: Vec<f32> = case.x.iter().map(|_| rng.uniform() * 2.0 - 1.0).collect();
        let (mut y, mut tape) = (case.x.clone(), LinearAngularAttentionTape::default());
        layer.forward(&case.params, samples, &mut y, &mut tape);
        let (mut dx, mut grads) = (u.clone(), vec![0.0; case.params.len()]);
        layer.backward(
            &case.params,
            samples,
            &tape,
            &mut dx,
            &mut LinearAngularAttentionScratch::default(),
            &mut grads,
        );
        let loss = |params: &[f64], x: &[f64]| -> f64 {
            let y = reference(layer, params, samples, x, &base);
            y.iter().zip(&u).map(|(y, u)| y * f64::from(*u)).sum()
        };
        let (params, x) = (double(&case.params), double(&case.x));
        let check = |what: &str, i: usize, got: f32, want: f64| {
            let tolerance = 2e-4 * want.abs().max(1.0);
            assert!((f64::from(got) - want).abs() < tolerance, "{what} {i}: {got}, by differences {want}");
        };
        const STEP: f64 = 1e-5;
        for entry in case.names.entries() {
            // 71 is prime to the widths, so it meets columns of queries, keys and values alike.
            let stride = if entry.slot.len > 100 { 71 } else { 1 };
            for i in (entry.slot.offset..entry.slot.offset + entry.slot.len).step_by(stride) {
                let at = |step: f64| {
                    let mut moved = params.clone();
                    moved[i] += step;
                    loss(&moved, &x)
                };
                check(&entry.name, i - entry.slot.offset, grads[i], (at(STEP) - at(-STEP)) / (2.0 * STEP));
            }
        }
        for i in (0..x.len()).step_by(7) {
            let at = |step: f64| {
                let mut moved = x.clone();
                moved[i] += step;
                loss(&params, &moved)
            };
            check("x", i, dx[i], (at(STEP) - at(-STEP)) / (2.0 * STEP));
        }
    }
}

/// Values, filter and output have true derivatives: there the codes of the reference are taken anew at every step.
#[test]
fn smooth_parts_have_true_derivatives() {
    let case = case(true, 2, 9);
    let (layer, x) = (&case.layer, double(&case.x));
    clear_projections(&case);
    let (mut y, mut tape) = (case.x.clone(), LinearAngularAttentionTape::default());
    layer.forward(&case.params, 9, &mut y, &mut tape);
    let (mut dx, mut grads) = (y.clone(), vec![0.0; case.params.len()]);
    layer.backward(&case.params, 9, &tape, &mut dx, &mut LinearAngularAttentionScratch::default(), &mut grads);
    let loss = |params: &[f64]| -> f64 {
        let base = projections(layer, params, &x);
        reference(layer, params, 9, &x, &base).iter().map(|y| 0.5 * y * y).sum()
    };
    let qkv_bias = layer.qkv.bias.unwrap().offset;
    let values = (0..WIDTH).map(|c| qkv_bias + 2 * WIDTH + c);
    let weights = (0..WIDTH).map(|c| layer.qkv.weight.offset + c * 3 * WIDTH + 2 * WIDTH + c);
    let filter = layer.filter.unwrap();
    let taps = filter.offset..filter.offset + filter.len;
    let out = (0..WIDTH).map(|c| layer.out.weight.offset + c * WIDTH + (c * 5) % WIDTH);
    for i in values.chain(weights).chain(taps).chain(out) {
        let at = |step: f64| {
            let mut moved = double(&case.params);
            moved[i] += step;
            loss(&moved)
        };
        let want = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!((f64::from(grads[i]) - want).abs() < 2e-4 * want.abs().max(1.0), "{i}: {} and {want}", grads[i]);
    }
}

/// Outside the window a query or key gets no gradient; all of a layer's queries and keys out there leave the projection
/// with gradients of the values only.
#[test]
fn gradients_stop_outside_the_window() {
    let mut case = case(true, 2, 5);
    let bias = case.layer.qkv.bias.unwrap();
    for (i, b) in bias.of_mut(&mut case.params)[..2 * WIDTH].iter_mut().enumerate() {
        *b = if i % 2 == 0 { 50.0 } else { -50.0 };
    }
    let (mut y, mut tape) = (case.x.clone(), LinearAngularAttentionTape::default());
    case.layer.forward(&case.params, 5, &mut y, &mut tape);
    let mut grads = vec![0.0; case.params.len()];
    case.layer.backward(&case.params, 5, &tape, &mut y, &mut LinearAngularAttentionScratch::default(), &mut grads);
    let d_bias = bias.of(&grads);
    assert!(d_bias[..2 * WIDTH].iter().all(|d| *d == 0.0) && d_bias[2 * WIDTH..].iter().all(|d| *d != 0.0));
}

#[test]
fn first_row_by_hand() {
    let mut tape = LinearAngularAttentionTape::default();
    tape.codes = vec![0.0; 3 * 2 * WIDTH];
    // Without a common bit a ray's first sample looks at itself alone.
    assert_eq!(first_row_of(&tape, 3, WIDTH, HEADS, 0), [1.0, 0.0, 0.0]);
    // Head 0 shares 1, 0 and 2 bits with the samples; the other heads stay with themselves.
    tape.codes[..3].fill(1.0);
    tape.codes[WIDTH] = 1.0;
    tape.codes[(2 * 2 + 1) * WIDTH + 1..][..2].fill(1.0);
    let row = first_row_of(&tape, 3, WIDTH, HEADS, 0);
    let sum = 0.5 + 3.0 * FRAC_1_PI;
    let want = [(2.0 + (0.5 + FRAC_1_PI) / sum) / 3.0, 0.0, 2.0 * FRAC_1_PI / sum / 3.0];
    assert!(row.iter().zip(want).all(|(r, w)| (r - w).abs() < 1e-6), "{row:?} and {want:?}");
}

/// A row of zeros has no direction: the output is 0 there and every gradient a number.
#[test]
fn zero_values_stay_zero() {
    let mut case = case(true, 1, 4);
    case.layer.qkv.weight.of_mut(&mut case.params).fill(0.0);
    case.layer.qkv.bias.unwrap().of_mut(&mut case.params).fill(0.0);
    let (mut y, mut tape) = (case.x.clone(), LinearAngularAttentionTape::default());
    case.layer.forward(&case.params, 4, &mut y, &mut tape);
    let bias = case.layer.out.bias.unwrap().of(&case.params);
    for (i, (y, x)) in y.iter().zip(&case.x).enumerate() {
        assert_eq!(*y, x + bias[i % WIDTH]);
    }
    let mut grads = vec![0.0; case.params.len()];
    case.layer.backward(&case.params, 4, &tape, &mut y, &mut LinearAngularAttentionScratch::default(), &mut grads);
    assert!(y.iter().chain(&grads).all(|v| v.is_finite()));
}
