use super::*;
use crate::config::{CompactConfig, DeitConfig, Kinds, PvtConfig};
use layers::params::SplitMix;
use layers::{FeedForwardKind, LinearKind, RayAttentionKind};

/// Small networks of every kind whose gradients are those of differences: no codes, no rounded weights.
fn configs() -> Vec<Config> {
    let Kinds { attention, linears, feed_forward } = Kinds::default();
    let compact = CompactConfig {
        image_size: 8,
        classes: 3,
        stem: [8, 16],
        width: 16,
        depth: 2,
        heads: 2,
        ..CompactConfig::embedded()
    };
    let deit = |distilled| DeitConfig {
        image: (8, 12),
        patch: 4,
        classes: 3,
        width: 16,
        depth: 2,
        heads: 2,
        distilled,
        attention,
        linears,
        feed_forward,
    };
    let pvt = |image, linear| PvtConfig {
        image,
        classes: 3,
        widths: [16, 32, 80, 64],
        depths: [2, 1, 1, 1],
        linear,
        attention,
        linears,
        feed_forward,
    };
    vec![
        Config::Compact(compact),
        Config::Deit(deit(false)),
        Config::Deit(deit(true)),
        Config::Pvt(pvt((40, 35), false)),
        Config::Pvt(pvt((64, 64), true)),
    ]
}

/// Every parameter's gradient against differences of the loss.
#[test]
fn gradients_are_those_of_differences() {
    for config in configs() {
        let model = Model::new(config, Products::F32).unwrap();
        let mut rng = SplitMix(4);
        let start = model.layout.initialise(3);
        let params: Vec<f32> = start.into_iter().map(|p| p + 0.1 * (rng.uniform() - 0.5)).collect();
        let (images, (height, width)) = (3, config.image_size());
        let x: Vec<f32> = (0..images * height * width * 3).map(|_| 2.0 * rng.uniform() - 1.0).collect();
        let d_logits: Vec<f32> = (0..images * 3).map(|_| 2.0 * rng.uniform() - 1.0).collect();
        let (mut tape, mut scratch) = (Tape::default(), Scratch::default());
        let mut value = |params: &[f32]| {
            model.forward(&model.fold(params), images, &x, None, &mut tape, &mut scratch);
            model.logits(&tape).iter().zip(&d_logits).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum::<f64>()
        };
        let entries = model.layout.entries().iter();
        let checked: Vec<usize> = entries
            .flat_map(|e| {
                let slot = e.slot;
                (0..4.min(slot.len)).map(move |i| slot.offset + i * (slot.len / 4).max(1) % slot.len)
            })
            .collect();
        let mut moved = params.clone();
        let mut at = |i: usize, step: f32| {
            moved[i] = params[i] + step;
            let found = value(&moved);
            moved[i] = params[i];
            found
        };
        let differences: Vec<f64> = checked.iter().map(|i| (at(*i, 2e-3) - at(*i, -2e-3)) / 4e-3).collect();
        let folded = model.fold(&params);
        model.forward(&folded, images, &x, None, &mut tape, &mut scratch);
        let mut folded_grads = vec![0.0; folded.len()];
        model.backward(&folded, &x, &tape, &d_logits, None, &mut scratch, &mut folded_grads);
        let mut grads = vec![0.0; params.len()];
        model.unfold(&params, &folded_grads, &mut grads);
        let (mut wrong, mut scale) = (0, 0.0f64);
        for (i, want) in checked.iter().zip(&differences) {
            scale = scale.max(want.abs());
            // A ReLU or a maximum may turn between the two points of a difference.
            wrong += usize::from((f64::from(grads[*i]) - want).abs() > 0.02 * want.abs() + 5e-3);
        }
        let count = checked.len();
        assert!(wrong * 20 <= count && scale > 0.1, "{wrong} of {count} differ, largest {scale}: {config:?}");
    }
}

/// A step against the gradient lowers a loss, with codes, shifts and experts too, and routers are told apart.
#[test]
fn steps_against_the_gradient_lower_the_loss() {
    let kinds = [RayAttentionKind::Hamming, RayAttentionKind::LinearAngular { branch: true }].map(|attention| Kinds {
        attention,
        linears: LinearKind::Shift { bits: 4 },
        feed_forward: FeedForwardKind::Experts { bits: 4 },
    });
    for (config, kinds) in configs().into_iter().flat_map(|config| kinds.map(|kinds| (config, kinds))) {
        let config = config.with_kinds(kinds);
        let model = Model::new(config, Products::F32).unwrap();
        let (images, (height, width)) = (2, config.image_size());
        let mut rng = SplitMix(7);
        let x: Vec<f32> = (0..images * height * width * 3).map(|_| 2.0 * rng.uniform() - 1.0).collect();
        let mut params = model.layout.initialise(5);
        let (mut tape, mut scratch) = (Tape::default(), Scratch::default());
        let mut losses = Vec::new();
        for _ in 0..25 {
            let folded = model.fold(&params);
            model.forward(&folded, images, &x, Some(3), &mut tape, &mut scratch);
            let mut d_logits = model.logits(&tape).to_vec();
            let wanted = |i: usize| if i % 4 == 1 { 2.0 } else { -1.0 };
            d_logits.iter_mut().enumerate().for_each(|(i, y)| *y -= wanted(i));
            losses.push(d_logits.iter().map(|d| 0.5 * d * d).sum::<f32>());
            let usage = model.usage(&tape);
            assert!(usage.iter().all(|usage| usage.counts[0] + usage.counts[1] > 0), "{config:?}");
            let (mut folded_grads, mut grads) = (vec![0.0; folded.len()], vec![0.0; params.len()]);
            let balance = Some(Balance { alpha: [0.5; 2], weight: 0.01 });
            model.backward(&folded, &x, &tape, &d_logits, balance, &mut scratch, &mut folded_grads);
            model.unfold(&params, &folded_grads, &mut grads);
            let length = grads.iter().map(|g| g * g).sum::<f32>().sqrt();
            params.iter_mut().zip(&grads).for_each(|(p, g)| *p -= 0.05 * g / length);
        }
        assert!(losses[24] < 0.6 * losses[0], "{config:?}: {losses:?}");
    }
}
