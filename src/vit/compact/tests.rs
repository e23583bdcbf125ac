use super::{CompactScratch, CompactTape};
use crate::config::CompactConfig;
use crate::model::Net;
use crate::{Config, Model};
use compute::Products;
use layers::params::SplitMix;

fn small() -> CompactConfig {
    CompactConfig {
        image_size: 8,
        classes: 3,
        stem: [8, 16],
        width: 16,
        depth: 2,
        heads: 2,
        ..CompactConfig::embedded()
    }
}

/// Every parameter's gradient against differences of the loss.
#[test]
fn gradients_are_those_of_differences() {
    let model = Model::new(Config::Compact(small()), Products::F32).unwrap();
    let Net::Compact(net) = &model.net else { panic!() };
    let mut rng = SplitMix(4);
    let params: Vec<f32> = model.layout.initialise(3).into_iter().map(|p| p + 0.1 * (rng.uniform() - 0.5)).collect();
    let images = 3;
    let x: Vec<f32> = (0..images * 8 * 8 * 3).map(|_| 2.0 * rng.uniform() - 1.0).collect();
    let d_logits: Vec<f32> = (0..images * 3).map(|_| 2.0 * rng.uniform() - 1.0).collect();
    let (mut tape, mut scratch) = (CompactTape::default(), CompactScratch::default());
    let mut value = |params: &[f32]| {
        net.forward(&model.fold(params), images, &x, None, &mut tape, &mut scratch);
        tape.logits.iter().zip(&d_logits).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum::<f64>()
    };
    let checked: Vec<usize> = model
        .layout
        .entries()
        .iter()
        .flat_map(|e| {
            let slot = e.slot;
            (0..4.min(slot.len)).map(move |i| slot.offset + i * (slot.len / 4).max(1) % slot.len)
        })
        .collect();
    let differences: Vec<f64> = checked
        .iter()
        .map(|i| {
            let at = |step: f32, value: &mut dyn FnMut(&[f32]) -> f64| {
                let mut p = params.clone();
                p[*i] += step;
                value(&p)
            };
            (at(2e-3, &mut value) - at(-2e-3, &mut value)) / 4e-3
        })
        .collect();
    value(&params);
    let folded = model.fold(&params);
    net.forward(&folded, images, &x, None, &mut tape, &mut scratch);
    let mut folded_grads = vec![0.0; folded.len()];
    net.backward(&folded, &x, &tape, &d_logits, None, &mut scratch, &mut folded_grads);
    let mut grads = vec![0.0; params.len()];
    model.unfold(&params, &folded_grads, &mut grads);
    let (mut wrong, mut scale) = (0, 0.0f64);
    for (i, want) in checked.iter().zip(&differences) {
        scale = scale.max(want.abs());
        // A ReLU or a maximum may turn between the two points of a difference.
        wrong += usize::from((f64::from(grads[*i]) - want).abs() > 0.02 * want.abs() + 5e-3);
    }
    assert!(wrong * 20 <= checked.len() && scale > 0.1, "{wrong} of {} differ, largest {scale}", checked.len());
}

/// What is done to one image does not depend on the others.
#[test]
fn images_do_not_see_one_another() {
    let model = Model::new(Config::Compact(small()), Products::F32).unwrap();
    let Net::Compact(net) = &model.net else { panic!() };
    let folded = model.fold(&model.layout.initialise(3));
    let mut rng = SplitMix(8);
    let x: Vec<f32> = (0..2 * 8 * 8 * 3).map(|_| 2.0 * rng.uniform() - 1.0).collect();
    let (mut tape, mut scratch) = (CompactTape::default(), CompactScratch::default());
    net.forward(&folded, 2, &x, None, &mut tape, &mut scratch);
    let both = tape.logits.clone();
    net.forward(&folded, 1, &x[8 * 8 * 3..], None, &mut tape, &mut scratch);
    for (a, b) in both[3..].iter().zip(&tape.logits) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}
