//! Exponents and signs: what they stand for, one step by hand, and whole runs.

use super::*;
use crate::adam::average_weights;
use crate::run::{MODEL_FILE, Run, RunOptions, STATE_FILE};
use crate::state::State;
use crate::testing::{config, dataset, network, options, plan};
use gnt::checkpoint::{Checkpoint, Storage};
use gnt::{Config, FeedForwardKind, LinearKind, Model};
use layers::shift::quantise;

fn shifts(bits: u8) -> Config {
    Config { linears: LinearKind::Shift { bits }, mlp: FeedForwardKind::Experts { bits }, ..config().shift_add() }
}

fn ps_options() -> RunOptions {
    RunOptions { form: ShiftForm::Ps, balance: Some(([0.6, 0.4], 0.01)), ..options() }
}

fn is_power_of_two(w: f32) -> bool {
    w == 0.0 || (w.is_normal() && w.to_bits() & 0x7F_FFFF == 0)
}

/// Powers of two in every shift weight, which the network's own rounding leaves as they are.
fn assert_rounded(model: &Model, params: &[f32]) {
    let mut weights = 0;
    for ShiftWeight { slot, inputs, bits } in model.net.shift_weights() {
        let own = slot.of(params);
        let mut rounded = vec![0.0; own.len()];
        quantise(own, inputs, bits, &mut rounded);
        assert!(own.iter().all(|w| is_power_of_two(*w)), "{own:?}");
        assert_eq!(own, rounded);
        weights += own.len();
    }
    assert!(weights > 1000, "{weights}");
}

#[test]
fn weights_are_powers_of_two_that_rounding_leaves() {
    for bits in [4, 5] {
        let (model, mut params) = network(shifts(bits), 5);
        // Zeros and extremes, as pruned or badly scaled weights would be.
        let first = model.net.shift_weights().next().unwrap().slot;
        first.of_mut(&mut params)[..7].copy_from_slice(&[0.0, -0.0, 1e-30, -3e8, 1.0, -1e-4, 0.7]);
        let old = params.clone();
        let ps = Ps::new(&model.net, &params);
        assert_eq!(ps.values.len(), Ps::len(&model.net));
        ps.write(&model.net, &mut params);
        assert_rounded(&model, &params);
        let slots: Vec<_> = model.net.shift_weights().map(|w| w.slot).collect();
        for i in 0..params.len() {
            if !slots.iter().any(|s| (s.offset..s.offset + s.len).contains(&i)) {
                assert_eq!(params[i].to_bits(), old[i].to_bits(), "{i} is no shift weight");
            }
        }
        // What they stand for stands for itself.
        let mut again = params.clone();
        Ps::new(&model.net, &params).write(&model.net, &mut again);
        assert_eq!(again, params);
    }
}

/// Two steps of Adam on `ds = dW · W · ln 2` and `dg = dW`, written out in double precision.
#[test]
fn a_step_follows_the_formula() {
    const RATE: f32 = 0.3;
    let (model, mut params) = network(shifts(4), 5);
    let mut ps = Ps::new(&model.net, &params);
    let weights = ps.values.len() / 2;
    let mut plain: Vec<[f64; 3]> = ps.values.iter().map(|v| [f64::from(*v), 0.0, 0.0]).collect();
    for step in 1..=2i32 {
        ps.write(&model.net, &mut params);
        let mut grads: Vec<f32> = (0..params.len()).map(|i| ((i * 37 + 11) % 23) as f32 / 11.0 - 1.0).collect();
        let all = grads.clone();
        let mut next = 0;
        for ShiftWeight { slot, .. } in model.net.shift_weights() {
            for i in slot.offset..slot.offset + slot.len {
                let (d, w) = (f64::from(all[i]), f64::from(params[i]));
                for (value, gradient) in [(next, d * w * std::f64::consts::LN_2), (weights + next, d)] {
                    let [p, m, v] = &mut plain[value];
                    *m = 0.9 * *m + 0.1 * gradient;
                    *v = 0.999 * *v + 0.001 * gradient * gradient;
                    let (m, v) = (*m / (1.0 - 0.9f64.powi(step)), *v / (1.0 - 0.999f64.powi(step)));
                    *p -= f64::from(RATE) * m / (v.sqrt() + 1e-8);
                }
                next += 1;
            }
        }
        ps.update(&model.net, step as u64, RATE, &mut grads);
        for (i, (got, want)) in ps.values.iter().zip(&plain).enumerate() {
            assert!((f64::from(*got) - want[0]).abs() < 1e-4, "step {step}, value {i}: {got}, expected {}", want[0]);
        }
        // The gradients are used up where they were taken, and untouched elsewhere.
        let slots: Vec<_> = model.net.shift_weights().map(|w| w.slot).collect();
        for i in 0..grads.len() {
            let taken = slots.iter().any(|s| (s.offset..s.offset + s.len).contains(&i));
            assert_eq!(grads[i], if taken { 0.0 } else { all[i] }, "{i}");
        }
    }
}

/// After every step the network holds what exponents and signs stand for, the optimiser of the vector has not seen these
/// weights, and the average is that of the powers of two.
#[test]
fn the_vector_follows_exponents_and_signs() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let options =
        RunOptions { schedule: crate::schedule::Schedule { peak: 0.2, ..options().schedule }, ..ps_options() };
    let mut run = Run::start(shifts(4), options, None).unwrap();
    assert_rounded(run.model(), &run.state().params);
    let mut average = run.state().params.clone();
    assert_eq!(run.state().average, average);
    let start = run.state().clone();
    for step in 0..5 {
        run.step(&data, 2).unwrap();
        let state = run.state();
        average_weights(&mut average, &state.params, step, state.options.average_decay);
        let mut written = state.params.clone();
        state.ps.as_ref().unwrap().write(&run.model().net, &mut written);
        assert_eq!(written, state.params);
    }
    let state = run.state();
    assert_eq!(state.average, average);
    assert_rounded(run.model(), &state.params);
    let (old, new) = (start.ps.as_ref().unwrap(), state.ps.as_ref().unwrap());
    let half = new.values.len() / 2;
    assert!(old.values[..half] != new.values[..half] && old.values[half..] != new.values[half..]);
    let mut flipped = 0;
    for ShiftWeight { slot, .. } in run.model().net.shift_weights() {
        assert!(slot.of(&state.adam.first).iter().chain(slot.of(&state.adam.second)).all(|m| *m == 0.0));
        flipped += slot.of(&start.params).iter().zip(slot.of(&state.params)).filter(|(a, b)| a != b).count();
    }
    assert!(flipped > 0, "at this rate some exponents should have moved");

    // The model that is given away holds powers of two as well.
    let file = dir.path().join("packed.safetensors");
    run.checkpoint().write(&file, Storage::Packed).unwrap();
    let exported = Checkpoint::read(&file).unwrap().into_params(&run.model().layout).unwrap();
    assert_rounded(run.model(), &exported);
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(&dir.path().join("data"));
    for bits in [4, 5] {
        let place = |name: &str| dir.path().join(format!("{name}-{bits}"));
        let (whole, parts) = (place("whole"), place("parts"));
        let start = || Run::start(shifts(bits), ps_options(), None).unwrap();
        start().train(&data, &plan(&whole, 6, 2), |_| {}).unwrap();
        start().train(&data, &plan(&parts, 3, 1), |_| {}).unwrap();
        Run::resume(&parts).unwrap().train(&data, &plan(&parts, 6, 2), |_| {}).unwrap();
        for file in [STATE_FILE, MODEL_FILE] {
            let read = |run: &std::path::Path| std::fs::read(run.join(file)).unwrap();
            assert!(read(&whole) == read(&parts), "{file} differs, {bits} bits");
        }
    }
}

#[test]
fn the_loss_goes_down() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let schedule = crate::schedule::Schedule { peak: 1e-2, ..options().schedule };
    let mut run = Run::start(shifts(4), RunOptions { schedule, ..ps_options() }, None).unwrap();
    let depth: Vec<f64> = (0..40).map(|_| run.step(&data, 2).unwrap().0.depth).collect();
    let (early, late): (f64, f64) = (depth[..8].iter().sum(), depth[32..].iter().sum());
    assert!(late < 0.95 * early, "{early} to {late}");
}

#[test]
fn damaged_states_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(STATE_FILE);
    let state = Run::start(shifts(4), ps_options(), None).unwrap().state().clone();
    state.write(&path).unwrap();
    assert_eq!(State::read(&path).unwrap(), state);
    State { ps: None, ..state.clone() }.write(&path).unwrap();
    let message = State::read(&path).unwrap_err().to_string();
    assert!(message.contains(STATE_FILE) && message.contains("ps.values"), "{message}");
    let mut short = state.clone();
    short.ps.as_mut().unwrap().adam.second.pop();
    short.write(&path).unwrap();
    let message = State::read(&path).unwrap_err().to_string();
    let len = Ps::len(&Model::new(shifts(4)).unwrap().net);
    assert!(message.contains(&format!("ps.second: expected {len} values")), "{message}");
}

/// A network without shift layers has nothing to train this way, and trains as it always does.
#[test]
fn without_shift_layers_both_forms_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(&dir.path().join("data"));
    let [q, ps] = [ShiftForm::Q, ShiftForm::Ps].map(|form| {
        let out = dir.path().join(format!("{form:?}"));
        let mut run = Run::start(config(), RunOptions { form, ..options() }, None).unwrap();
        run.train(&data, &plan(&out, 2, 1), |_| {}).unwrap();
        State::read(&out.join(STATE_FILE)).unwrap()
    });
    assert!(ps.ps.unwrap().values.is_empty());
    assert!(q.ps.is_none() && q.params == ps.params);
}
