//! The reference is a plain double-precision pass over the tokens, in the experts that the layer chose for them.

use super::*;
use crate::Layout;
use crate::feed_forward::experts::{Balance, gate};
use crate::params::SplitMix;
use crate::testing::{assert_gradient, built, close, gelu, layer_norm, linear, parameters, uniform, wide};

const GRID: (usize, usize) = (3, 4);
const TOKENS: usize = 2 * GRID.0 * GRID.1;
const WIDTH: usize = 8;
const HIDDEN: usize = 12;

fn layer(kind: FeedForwardKind, local: bool, clips: bool) -> (GridMlp, Layout) {
    built(|b| {
        let norm = b.norm("m.norm", WIDTH, 1e-5);
        GridMlp::build(b, "m", norm, GridMlpShape { hidden: HIDDEN, local, clips, kind })
    })
}

/// 3 by 3 neighbours of every token in its image, beyond which are zeros.
fn convolve(layer: &Depthwise, params: &[f64], x: &[f64]) -> Vec<f64> {
    let (height, width) = GRID;
    let (weight, bias) = (&params[layer.weight.offset..], &params[layer.bias.offset..]);
    let mut y = Vec::new();
    for (token, channel) in (0..TOKENS).flat_map(|token| (0..HIDDEN).map(move |c| (token, c))) {
        let (image, row, column) = (token / (height * width), token / width % height, token % width);
        let mut sum = bias[channel];
        for tap in 0..9 {
            let (r, c) = (row + tap / 3, column + tap % 3);
            if (1..=height).contains(&r) && (1..=width).contains(&c) {
                let other = (image * height + r - 1) * width + c - 1;
                sum += weight[tap * HIDDEN + channel] * x[other * HIDDEN + channel];
            }
        }
        y.push(sum);
    }
    y
}

/// The part's output; `experts` are those of the tokens, where there is a choice.
fn reference(layer: &GridMlp, params: &[f64], x: &[f64], experts: &[usize]) -> Vec<f64> {
    let normal = layer_norm(&layer.norm, params, x);
    let mix = |own: &Linear, other: Option<&Linear>, x: &[f64]| -> Vec<f64> {
        let both = [linear(own, params, x), other.map_or(Vec::new(), |other| linear(other, params, x))];
        let row = |token: usize| &both[experts.get(token).copied().unwrap_or(0)][token * own.outputs..][..own.outputs];
        (0..TOKENS).flat_map(|token| row(token).to_vec()).collect()
    };
    let choice = layer.choice.as_ref();
    let mut hidden = mix(&layer.fc1, choice.map(|c| &c.fc1), &normal);
    if layer.clips {
        hidden.iter_mut().for_each(|h| *h = h.max(0.0));
    }
    if let Some(local) = &layer.local {
        hidden = convolve(local, params, &hidden);
    }
    let activated: Vec<f64> = hidden.iter().map(|h| gelu(*h)).collect();
    let output = mix(&layer.fc2, choice.map(|c| &c.fc2), &activated);
    let gates: Vec<f64> = match choice {
        None => vec![1.0; TOKENS],
        Some(choice) => {
            let logits = linear(&choice.router, params, &normal);
            let of = |(token, expert): (usize, &usize)| {
                let away = logits[token * 2 + 1 - expert] - logits[token * 2 + expert];
                1.0 / (1.0 + away.exp())
            };
            experts.iter().enumerate().map(of).collect()
        }
    };
    x.iter().zip(&output).enumerate().map(|(i, (x, y))| x + gates[i / WIDTH] * y).collect()
}

#[test]
fn output_and_gradients_are_those_of_a_plain_pass() {
    let kinds = [FeedForwardKind::Dense, FeedForwardKind::Experts { bits: 4 }];
    let shapes = [(false, false), (true, false), (true, true)];
    for (kind, (local, clips)) in kinds.into_iter().flat_map(|kind| shapes.map(|shape| (kind, shape))) {
        let (layer, names) = layer(kind, local, clips);
        let params = parameters(&names, 11, 1.0);
        let mut rng = SplitMix(3);
        let (x, weights) = (uniform(&mut rng, TOKENS * WIDTH, 1.0), uniform(&mut rng, TOKENS * WIDTH, 1.0));
        let (mut tape, mut y) = (GridMlpTape::default(), x.clone());
        layer.forward(&params, GRID, &mut y, None, &mut tape);
        let mut experts = vec![0; if layer.choice.is_some() { TOKENS } else { 0 }];
        tape.rows(1).iter().for_each(|row| experts[*row as usize] = 1);
        if layer.choice.is_some() {
            assert!(tape.rows(0).len() > 2 && tape.rows(1).len() > 2, "choose another seed");
            assert_eq!(layer.usage(&tape).counts, [tape.rows(0).len(), tape.rows(1).len()]);
        }
        close("y", &y, &reference(&layer, &wide(&params), &wide(&x), &experts), 1e-5);
        let (mut dx, mut grads) = (weights.clone(), vec![0.0; params.len()]);
        layer.backward(&params, GRID, &tape, &mut dx, &mut GridMlpScratch::default(), &mut grads, None);
        let loss = |params: &[f64], x: &[f64]| {
            let y = reference(&layer, params, x, &experts);
            y.iter().zip(&weights).map(|(y, w)| y * f64::from(*w)).sum::<f64>()
        };
        assert_gradient("dx", &dx, &wide(&x), 1e-4, |x| loss(&wide(&params), x));
        assert_gradient("params", &grads, &wide(&params), 1e-4, |params| loss(params, &wide(&x)));
    }
}

#[test]
fn balance_moves_the_router_alone() {
    let (layer, names) = layer(FeedForwardKind::Experts { bits: 4 }, false, false);
    let params = parameters(&names, 11, 1.0);
    let mut x = uniform(&mut SplitMix(3), TOKENS * WIDTH, 1.0);
    let mut tape = GridMlpTape::default();
    layer.forward(&params, GRID, &mut x, None, &mut tape);
    let (mut dx, mut grads) = (vec![0.0; x.len()], vec![0.0; params.len()]);
    let balance = Some(Balance { alpha: [0.9, 0.1], weight: 1.0 });
    layer.backward(&params, GRID, &tape, &mut dx, &mut GridMlpScratch::default(), &mut grads, balance);
    let choice = layer.choice.unwrap();
    let bias = choice.router.bias.unwrap().of(&grads).to_vec();
    // A slow multiply expert is to get fewer tokens, so its logit falls.
    assert!(bias[0] > 0.0 && (bias[0] + bias[1]).abs() < 1e-5, "{bias:?}");
    for untouched in [layer.fc1, layer.fc2, choice.fc1, choice.fc2] {
        assert!(untouched.weight.of(&grads).iter().all(|g| *g == 0.0));
    }
}

/// What starts from a dense part is that part, whichever expert a token takes, up to the router's probability.
#[test]
fn experts_start_as_the_part_that_they_replace() {
    let mut layout = Layout::new();
    let mut b = crate::Builder::new(&mut layout, "");
    let shape = |kind| GridMlpShape { hidden: HIDDEN, local: true, clips: false, kind };
    let norm = b.norm("m.norm", WIDTH, 1e-5);
    let new = GridMlp::build(&mut b, "m", norm, shape(FeedForwardKind::Experts { bits: 5 }));
    let (folds, len) = (b.folds, b.folded.len());
    let mut old_layout = Layout::new();
    let mut b = crate::Builder::new(&mut old_layout, "");
    let norm = b.norm("m.norm", WIDTH, 1e-5);
    let old = GridMlp::build(&mut b, "m", norm, shape(FeedForwardKind::Dense));
    let (old_folds, old_len) = (b.folds, b.folded.len());
    let old_params = parameters(&old_layout, 4, 1.0);
    let mut params = layout.initialise(9);
    for entry in old_layout.entries() {
        let to = layout.find(&entry.name).expect("the multiply expert keeps the names");
        to.slot.of_mut(&mut params).copy_from_slice(entry.slot.of(&old_params));
    }
    new.start(&mut params, &old);
    let x = uniform(&mut SplitMix(3), TOKENS * WIDTH, 1.0);
    let (mut wanted, mut found, mut tape) = (x.clone(), x.clone(), GridMlpTape::default());
    old.forward(&crate::folding::fold(&old_folds, &old_params, old_len), GRID, &mut wanted, None, &mut tape);
    let folded = crate::folding::fold(&folds, &params, len);
    new.forward(&folded, GRID, &mut found, None, &mut tape);
    let choice = new.choice.unwrap();
    let router = choice.router.bias.unwrap();
    assert_eq!((router.of(&folded), gate([0.0; 2])), (&[0.0; 2][..], [0.5; 2]));
    assert_eq!(choice.original[0][0].of(&params), old.original[0][0].of(&old_params));
    // Shifts round, and gates are near a half.
    let length = |a: &[f32]| a.iter().map(|v| v * v).sum::<f32>().sqrt();
    let made: Vec<f32> = wanted.iter().zip(&x).map(|(y, x)| y - x).collect();
    let off: Vec<f32> = wanted.iter().zip(&found).map(|(a, b)| a - b).collect();
    assert!(length(&off) < 0.35 * length(&made), "{} {}", length(&off), length(&made));
}
