//! The attention against plain loops in double precision, and its gradients against their differences.

use super::*;
use crate::Layout;
use crate::params::SplitMix;
use crate::testing::{
    Codes, assert_gradient, built, close, layer_norm, linear, parameters, shape, softmax, uniform, wide,
};
use crate::view_attention::ViewTokens;

fn attention(width: usize, heads: usize, hidden: usize) -> (HammingViewAttention, Layout) {
    built(|b| {
        let norm = b.norm("view.norm", width, 1e-6);
        HammingViewAttention::build(b, "view", norm, &shape(width, heads, hidden))
    })
}

/// An attention of its own with its parameters and an input.
#[derive(Clone)]
struct Case {
    layer: HammingViewAttention,
    layout: Layout,
    params: Vec<f32>,
    views: usize,
    q: Vec<f32>,
    tokens: Vec<f32>,
    keys: Vec<f32>,
    directions: Vec<f32>,
    mask: Vec<f32>,
}

impl Case {
    /// Every fourth sample is seen by no view, every other fourth by all.
    fn new(seed: u64, samples: usize, views: usize, width: usize, heads: usize, hidden: usize) -> Self {
        let (layer, layout) = attention(width, heads, hidden);
        let mut params = parameters(&layout, seed, 1.7);
        let mut rng = SplitMix(seed ^ 77);
        let scale = ((width / heads) as f32).sqrt().recip();
        layer.tau.of_mut(&mut params).iter_mut().for_each(|t| *t = (rng.uniform() * 2.0 - 0.5) * scale);
        let pairs = samples * views;
        let mask = (0..pairs).map(|pair| match pair / views % 4 {
            0 => 0.0,
            1 => 1.0,
            _ => f32::from(u8::from(rng.uniform() < 0.6)),
        });
        let mask = mask.collect();
        Self {
            layer,
            layout,
            params,
            views,
            mask,
            q: uniform(&mut rng, samples * width, 2.0),
            tokens: uniform(&mut rng, pairs * width, 1.5),
            keys: uniform(&mut rng, pairs * width, 1.5),
            directions: uniform(&mut rng, pairs * 4, 1.0),
        }
    }

    fn shared(&self) -> ViewTokens<'_> {
        let Self { views, tokens, keys, directions, mask, .. } = self;
        ViewTokens { views: *views, tokens, keys, directions, mask }
    }

    fn forward(&self, tape: &mut HammingViewAttentionTape) -> Vec<f32> {
        let mut q = self.q.clone();
        self.layer.forward(&self.params, self.shared(), &mut q, tape);
        q
    }

    /// Gradients of the state, the tokens and the keys' tokens, each added to nothing, and of the parameters.
    fn backward(&self, dy: &[f32], scratch: &mut HammingViewAttentionScratch) -> [Vec<f32>; 4] {
        let mut tape = HammingViewAttentionTape::default();
        self.forward(&mut tape);
        let zeros = vec![0.0; self.tokens.len()];
        let (mut dq, mut d_tokens, mut d_keys) = (dy.to_vec(), zeros.clone(), zeros);
        let mut grads = vec![0.0; self.layout.len()];
        let shared = self.shared();
        self.layer.backward(&self.params, shared, &tape, &mut dq, &mut d_tokens, &mut d_keys, scratch, &mut grads);
        [dq, d_tokens, d_keys, grads]
    }

    fn numbers(&self) -> Numbers {
        let [params, q, tokens, keys] = [&self.params, &self.q, &self.tokens, &self.keys].map(|x| wide(x));
        Numbers { params, q, tokens, keys }
    }

    /// The case with its source views in the order of `from`.
    fn reordered(&self, from: &[usize]) -> Self {
        let (c, v) = (self.layer.out.inputs, self.views);
        let pick = |x: &[f32], width: usize| {
            let rows = (0..x.len() / width).map(|pair| pair / v * v + from[pair % v]);
            rows.flat_map(|row| x[row * width..][..width].to_vec()).collect::<Vec<f32>>()
        };
        Self {
            tokens: pick(&self.tokens, c),
            keys: pick(&self.keys, c),
            directions: pick(&self.directions, 4),
            mask: pick(&self.mask, 1),
            ..self.clone()
        }
    }
}

/// What is differentiated.
#[derive(Clone)]
struct Numbers {
    params: Vec<f64>,
    q: Vec<f64>,
    tokens: Vec<f64>,
    keys: Vec<f64>,
}

/// Step by step from the formula, with the values projected before they are blended; output and weights.
fn plain(case: &Case, numbers: &Numbers, codes: &mut Codes) -> (Vec<f64>, Vec<f64>) {
    let (layer, v, heads) = (&case.layer, case.views, case.layer.heads);
    let Numbers { params, q, tokens, keys } = numbers;
    let (c, h) = (layer.out.inputs, layer.direction.outputs);
    let query = codes.take(&linear(&layer.query, params, &layer_norm(&layer.norm, params, q)));
    let key = codes.take(&linear(&layer.key, params, keys));
    let mut hidden = linear(&layer.direction, params, &wide(&case.directions));
    hidden.iter_mut().for_each(|x| *x = x.max(0.0));
    let bias = linear(&layer.bias, params, &hidden);
    let rows = tokens.chunks_exact(c).zip(hidden.chunks_exact(h));
    let joined: Vec<f64> = rows.flat_map(|(token, hidden)| [token, hidden].concat()).collect();
    let value = linear(&layer.value, params, &joined);
    let (mut mixed, mut weights) = (vec![0.0; q.len()], vec![0.0; case.mask.len() * heads]);
    for (sample, mask) in case.mask.chunks_exact(v).enumerate() {
        let seen: Vec<usize> = (0..v).filter(|view| mask[*view] != 0.0).map(|view| sample * v + view).collect();
        for head in 0..heads {
            let own = head * (c / heads)..(head + 1) * (c / heads);
            let score = |pair: usize| own.clone().map(|i| query[sample * c + i] * key[pair * c + i]).sum::<f64>();
            let logit = |pair: &usize| params[layer.tau.offset + head] * score(*pair) + bias[pair * heads + head];
            for (pair, w) in seen.iter().zip(softmax(&seen.iter().map(logit).collect::<Vec<f64>>())) {
                weights[pair * heads + head] = w;
            }
            for pair in sample * v..(sample + 1) * v {
                if seen.is_empty() {
                    weights[pair * heads + head] = 1.0 / v as f64;
                }
                own.clone().for_each(|i| mixed[sample * c + i] += weights[pair * heads + head] * value[pair * c + i]);
            }
        }
    }
    let y = linear(&layer.out, params, &mixed).iter().zip(q).map(|(y, q)| y + q).collect();
    (y, weights)
}

/// Two views whose keys are the state's own code and its opposite: scores 8 and −8, weights 3/4 and 1/4.
#[test]
fn opposite_views_by_hand() {
    let (layer, layout) = attention(8, 1, 1);
    let mut params = vec![0.0; layout.len()];
    layer.norm.gain.of_mut(&mut params).fill(1.0);
    for part in [layer.query, layer.key, layer.value, layer.out] {
        (0..8).for_each(|i| part.weight.of_mut(&mut params)[i * 9] = 1.0);
    }
    layer.tau.of_mut(&mut params)[0] = 3f32.ln() / 16.0;
    let q = [1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0];
    let keys: Vec<f32> = q.iter().copied().chain(q.map(|v| -v)).collect();
    let tokens: Vec<f32> = [[4.0; 8], [-8.0; 8]].concat();
    let case = Case {
        layer,
        layout,
        params,
        views: 2,
        q: q.to_vec(),
        tokens,
        keys,
        directions: vec![0.5; 8],
        mask: vec![1.0; 2],
    };
    let mut tape = HammingViewAttentionTape::default();
    let found = case.forward(&mut tape);
    close("weights", &tape.weights, &[0.75, 0.25], 1e-6);
    // 4 · 3/4 − 8 · 1/4 = 1.
    close("output", &found, &q.map(|q| f64::from(q) + 1.0), 1e-5);
}

/// One tape for all sizes, so that what a larger pass leaves behind would be seen.
#[test]
fn equals_the_plain_computation() {
    let mut tape = HammingViewAttentionTape::default();
    for (seed, samples, views, width, heads, hidden) in [
        (1, 33, 3, 16, 4, 3),
        (2, 1, 1, 8, 1, 1),
        (3, 31, 7, 24, 8, 5),
        (4, 5, 10, 64, 4, 8),
        (5, 1, 33, 16, 16, 2),
        (6, 31, 1, 40, 5, 31),
    ] {
        let case = Case::new(seed, samples, views, width, heads, hidden);
        let found = case.forward(&mut tape);
        let mut codes = Codes::default();
        let (y, weights) = plain(&case, &case.numbers(), &mut codes);
        codes.assert_clear();
        close("weights", &tape.weights, &weights, 5e-6);
        close("output", &found, &y, 2e-5);
    }
}

/// The order of source views carries no meaning: weights follow their view, outputs stay.
#[test]
fn ignores_view_order() {
    let case = Case::new(11, 33, 5, 16, 4, 3);
    let (mut tape, mut other) = Default::default();
    let expected = case.forward(&mut tape);
    let from = [3, 0, 4, 1, 2];
    let found = case.reordered(&from).forward(&mut other);
    close("output", &found, &wide(&expected), 2e-6);
    let rows = |sample: usize, view: usize| (sample * 5 + view) * 4..(sample * 5 + view + 1) * 4;
    for (sample, view) in (0..33).flat_map(|sample| (0..5).map(move |view| (sample, view))) {
        close("weights", &other.weights[rows(sample, view)], &wide(&tape.weights[rows(sample, from[view])]), 1e-6);
    }
}

/// Samples are independent of what else is in the batch; a product of one row adds in another order.
#[test]
fn samples_are_independent() {
    let case = Case::new(12, 33, 3, 24, 3, 5);
    let (mut all, mut some) = Default::default();
    let together = case.forward(&mut all);
    for (first, count) in [(0, 1), (1, 31), (32, 1)] {
        let part = |x: &[f32], width: usize| x[first * width..][..count * width].to_vec();
        let alone = Case {
            q: part(&case.q, 24),
            tokens: part(&case.tokens, 3 * 24),
            keys: part(&case.keys, 3 * 24),
            directions: part(&case.directions, 3 * 4),
            mask: part(&case.mask, 3),
            ..case.clone()
        };
        close("output", &alone.forward(&mut some), &wide(&part(&together, 24)), 1e-6);
        close("weights", &some.weights, &wide(&part(&all.weights, 3 * 3)), 1e-6);
    }
}

/// A view that does not see a sample has no weight there, and nothing that it holds has an influence.
#[test]
fn unseen_views_have_no_influence() {
    let case = Case::new(13, 31, 4, 16, 2, 3);
    let mut other = case.clone();
    let partly = |pair: usize| case.mask[pair / 4 * 4..][..4].contains(&1.0);
    let hidden: Vec<usize> = (0..31 * 4).filter(|pair| case.mask[*pair] == 0.0 && partly(*pair)).collect();
    assert!(hidden.len() > 10, "{hidden:?}");
    for (i, pair) in hidden.iter().enumerate() {
        let value = [1e30, -1e30, 0.0][i % 3];
        other.tokens[pair * 16..][..16].fill(value);
        other.keys[pair * 16..][..16].fill(-value);
        other.directions[pair * 4..][..4].fill(value);
    }
    let (mut tape, mut extreme) = Default::default();
    assert_eq!(case.forward(&mut tape), other.forward(&mut extreme));
    assert_eq!(tape.weights, extreme.weights);
    let dy = uniform(&mut SplitMix(13), case.q.len(), 1.0);
    let [found, expected] = [&other, &case].map(|c| c.backward(&dy, &mut Default::default()));
    assert_eq!(found, expected);
    for pair in hidden {
        assert_eq!(tape.weights[pair * 2..][..2], [0.0; 2]);
        assert_eq!(found[1][pair * 16..][..16], [0.0; 16]);
        assert_eq!(found[2][pair * 16..][..16], [0.0; 16]);
    }
}

/// Where no view sees a sample all count the same, whatever their codes; then nothing pulls at the codes.
#[test]
fn a_sample_that_no_view_sees() {
    let mut case = Case::new(14, 7, 3, 16, 4, 3);
    case.mask.fill(0.0);
    let mut tape = HammingViewAttentionTape::default();
    case.forward(&mut tape);
    assert!(tape.weights.iter().all(|w| *w == 1.0 / 3.0), "{:?}", tape.weights);
    let [_, d_tokens, d_keys, grads] = case.backward(&[1.0; 7 * 16], &mut Default::default());
    assert!(d_tokens.iter().all(|d| *d != 0.0) && d_keys.iter().all(|d| *d == 0.0));
    for slot in [case.layer.query.weight, case.layer.key.weight, case.layer.bias.weight, case.layer.tau] {
        assert!(slot.of(&grads).iter().all(|g| *g == 0.0), "{:?}", slot.of(&grads));
    }
    assert!(case.layer.value.weight.of(&grads).iter().any(|g| *g != 0.0));
}

/// Against differences of the straight-through surrogate; gradients of parameters, tokens and keys are added to what is
/// there.
#[test]
fn gradients_equal_differences() {
    let mut scratch = HammingViewAttentionScratch::default();
    for (seed, samples, views, width, heads, hidden) in
        [(31, 7, 3, 16, 4, 3), (32, 3, 1, 8, 2, 1), (33, 6, 5, 24, 8, 5)]
    {
        let case = Case::new(seed, samples, views, width, heads, hidden);
        let dy = uniform(&mut SplitMix(seed), case.q.len(), 1.0);
        let [dq, d_tokens, d_keys, grads] = case.backward(&dy, &mut scratch);
        let start = case.numbers();
        let mut codes = Codes::default();
        plain(&case, &start, &mut codes);
        codes.assert_clear();
        codes.assert_window();
        let loss = |numbers: &Numbers| -> f64 {
            let (y, _) = plain(&case, numbers, &mut codes.frozen());
            y.iter().zip(&dy).map(|(y, d)| y * f64::from(*d)).sum()
        };
        assert_gradient("state", &dq, &start.q, 1e-4, |q| loss(&Numbers { q: q.to_vec(), ..start.clone() }));
        assert_gradient("tokens", &d_tokens, &start.tokens, 1e-4, |tokens| {
            loss(&Numbers { tokens: tokens.to_vec(), ..start.clone() })
        });
        // With one view the weights are 1 whatever the logits are.
        let of_logits = [
            "norm.weight",
            "norm.bias",
            "q_fc.weight",
            "q_fc.bias",
            "k_fc.weight",
            "k_fc.bias",
            "head_fc.weight",
            "tau",
        ];
        if views > 1 {
            assert_gradient("keys", &d_keys, &start.keys, 1e-4, |keys| {
                loss(&Numbers { keys: keys.to_vec(), ..start.clone() })
            });
        }
        for entry in case.layout.entries() {
            let found = entry.slot.of(&grads);
            if views == 1 && of_logits.iter().any(|part| entry.name == format!("view.{part}")) {
                assert!(found.iter().all(|g| g.abs() < 1e-6), "{}: {found:?}", entry.name);
                continue;
            }
            let range = entry.slot.offset..entry.slot.offset + entry.slot.len;
            assert_gradient(&entry.name, found, &start.params[range.clone()], 1e-4, |values| {
                let mut moved = start.clone();
                moved.params[range.clone()].copy_from_slice(values);
                loss(&moved)
            });
        }
    }
}

/// A backward pass adds to the gradients that other blocks left.
#[test]
fn gradients_accumulate() {
    let case = Case::new(15, 9, 3, 16, 4, 3);
    let dy = uniform(&mut SplitMix(15), case.q.len(), 1.0);
    let [_, d_tokens, d_keys, grads] = case.backward(&dy, &mut Default::default());
    let mut tape = HammingViewAttentionTape::default();
    case.forward(&mut tape);
    let mut twice = [d_tokens.clone(), d_keys.clone(), grads.clone()];
    let [d_tokens_twice, d_keys_twice, grads_twice] = &mut twice;
    case.layer.backward(
        &case.params,
        case.shared(),
        &tape,
        &mut dy.clone(),
        d_tokens_twice,
        d_keys_twice,
        &mut Default::default(),
        grads_twice,
    );
    for (twice, once) in twice.iter().zip([&d_tokens, &d_keys, &grads]) {
        let doubled: Vec<f64> = once.iter().map(|g| 2.0 * f64::from(*g)).collect();
        close("gradient", twice, &doubled, 1e-5);
    }
}
