//! The products that a network consists of, from its sizes: what operations are counted and energy is modelled from.
//!
//! All numbers are for one ray whose samples are seen by all source views. What is done once a source view, on its feature
//! map, is not a ray's: the feature network, the first layer of the tokens' features, and the key codes of the view
//! attention; their weights are counted. Softmax, norms, activations, encodings and residual sums are not counted.
//!
//! Binary attention is counted by its definition. A processor whose multiplications cost no more than its additions may
//! weight values one by one instead of summing them by score first, and the program's kernels do.

use super::cost::{Ops, Part};
use eval::energy::Op;
use gnt::{Config, Head, MlpKind, RayAttentionKind, Start, ViewAttentionKind, Weights};

/// Operations of one part and, where the energy model knows it, the product that they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Where it belongs.
    pub part: Part,
    /// For one ray.
    pub ops: Ops,
    /// None for what the energy model has free of charge.
    pub product: Option<Product>,
}

/// A product `[rows, inputs] x [inputs, outputs]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// The mean share of its rows that run.
    pub share: f64,
    /// What a step is.
    pub op: Op,
    /// For one ray.
    pub rows: u64,
    /// Channels.
    pub inputs: u64,
    /// Channels.
    pub outputs: u64,
}

/// The dense network of `config`'s sizes as checkpoints describe it.
pub fn plain(config: &Config, samples: usize, views: usize) -> Vec<Step> {
    Network { form: Form::Plain, ..Network::new(&dense(config), samples, views, 0.0) }.steps()
}

/// The dense network of `config`'s sizes as the program runs it, folded.
pub fn before(config: &Config, samples: usize, views: usize) -> Vec<Step> {
    Network::new(&dense(config), samples, views, 0.0).steps()
}

/// The network of `config` as the program runs it. `shift_share` is the part of the samples that routers send to the
/// experts of shifts, from 0 to 1.
pub fn after(config: &Config, samples: usize, views: usize, shift_share: f64) -> Vec<Step> {
    assert!((0.0..=1.0).contains(&shift_share), "share of the shift experts: 0 to 1, found {shift_share}");
    Network::new(config, samples, views, shift_share).steps()
}

fn dense(config: &Config) -> Config {
    Config {
        view_attention: ViewAttentionKind::Subtract,
        ray_attention: RayAttentionKind::Softmax,
        linears: Weights::Dense,
        mlp: MlpKind::Dense,
        ..*config
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Folded,
}

/// Sizes under short names: width C, heads of d channels, attention hidden H, feature channels F, samples S, views V.
struct Network<'a> {
    config: &'a Config,
    form: Form,
    shift_share: f64,
    c: u64,
    heads: u64,
    d: u64,
    h: u64,
    f: u64,
    s: u64,
    v: u64,
}

impl<'a> Network<'a> {
    fn new(config: &'a Config, samples: usize, views: usize, shift_share: f64) -> Self {
        let sizes = [config.width, config.heads, config.attention_hidden, config.features.channels, samples, views];
        let [c, heads, h, f, s, v] = sizes.map(|n| n as u64);
        Self { config, form: Form::Folded, shift_share, c, heads, d: c / heads, h, f, s, v }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = self.tokens();
        if self.config.start == Start::Stats {
            steps.push(linear(Part::Start, Weights::Dense, self.s, 2 * self.c, self.c));
        }
        for block in 0..self.config.depth {
            steps.extend(match self.config.view_attention {
                ViewAttentionKind::Subtract => self.view_subtract(),
                ViewAttentionKind::Hamming => self.view_hamming(),
            });
            steps.extend(self.feed_forward(Part::ViewFeedForward));
            if block % 2 == 0 {
                steps.extend(self.position());
            }
            // Queries, keys, values and outputs.
            steps.extend([linear(Part::RayLinear, self.config.linears, self.s, self.c, self.c); 4]);
            steps.extend(match self.config.ray_attention {
                RayAttentionKind::Softmax => self.ray_softmax(),
                RayAttentionKind::Hamming => self.ray_hamming(),
                RayAttentionKind::LinearAngular { branch } => self.ray_linear_angular(branch),
            });
            steps.extend(self.feed_forward(Part::RayFeedForward));
        }
        steps.extend(self.head());
        steps
    }

    fn tokens(&self) -> Vec<Step> {
        let Self { c, f, s, v, .. } = *self;
        let layer = |rows, inputs| linear(Part::Tokens, Weights::Dense, rows, inputs, c);
        match self.form {
            Form::Plain => vec![layer(s * v, 3 + f), layer(s * v, c)],
            Form::Folded => vec![layer(s * v, 3), layer(0, f), layer(s * v, c)],
        }
    }

    /// Attention by subtraction. Folded, the token and the hidden direction become value and hidden logits in one
    /// product.
    fn view_subtract(&self) -> Vec<Step> {
        let Self { c, h, s, v, .. } = *self;
        let pair = |inputs, outputs| linear(Part::ViewAttention, Weights::Dense, s * v, inputs, outputs);
        let sample = |inputs, outputs| linear(Part::ViewLinear, Weights::Dense, s, inputs, outputs);
        let blend = elementwise(Part::ViewAttention, s * v * c);
        match self.form {
            Form::Plain => {
                let keys_values = [pair(c, c); 2];
                let logits = [pair(4, h), pair(h, c), pair(c, h), pair(h, c)];
                [&keys_values[..], &logits, &[blend, sample(c, c), sample(c, c)]].concat()
            }
            Form::Folded => {
                vec![pair(4, h), pair(c + h, c + h), pair(h, c), blend, sample(c, h), sample(c, c)]
            }
        }
    }

    /// Attention on codes: blending comes before the value projection, which is then applied once a sample, each head
    /// to its own blend of tokens and hidden directions.
    fn view_hamming(&self) -> Vec<Step> {
        let Self { c, heads, d, h, s, v, .. } = *self;
        let pair = |inputs, outputs| linear(Part::ViewAttention, Weights::Dense, s * v, inputs, outputs);
        let layer = |rows, inputs, outputs| linear(Part::ViewLinear, self.config.linears, rows, inputs, outputs);
        let (query, key, out) = (layer(s, c, c), layer(0, c, c), layer(s, c, c));
        let blend = product(Part::ViewAttention, Op::Multiply, heads * s, v, c + h);
        let scores = scores(Part::ViewAttention, heads * s, d, v);
        let mut steps = vec![query, key, out, pair(4, h), pair(h, heads), scores, blend];
        steps.extend((0..heads).map(|_| layer(s, c + h, d)));
        steps
    }

    fn ray_softmax(&self) -> Vec<Step> {
        let Self { heads, d, s, .. } = *self;
        [(d, s), (s, d)].map(|(i, o)| product(Part::RayAttention, Op::Multiply, heads * s, i, o)).into()
    }

    /// Attention on codes: values are summed by their key's score, of which a head has `d + 1`, and every sum is weighted
    /// once.
    fn ray_hamming(&self) -> Vec<Step> {
        let Self { heads, d, s, .. } = *self;
        let sums = product(Part::RayAttention, Op::Add, heads * s, s, d);
        let weighted = product(Part::RayAttention, Op::Multiply, heads * s * d, d + 1, 1);
        vec![scores(Part::RayAttention, heads * s, d, s), sums, weighted]
    }

    /// `codes(K)^T V`, then the codes of the queries with it: masked sums, of which every bit is counted, though only
    /// those that are set need one. Then for each value one product with `1/pi` and about four for the norm.
    fn ray_linear_angular(&self, branch: bool) -> Vec<Step> {
        let Self { c, heads, d, s, .. } = *self;
        let part = Part::RayAttention;
        let mut steps = vec![
            product(part, Op::Add, heads * d, s, d),
            product(part, Op::Add, heads * s, d, d),
            elementwise(part, 5 * s * c),
        ];
        if branch {
            let taps = layers::linear_angular::TAPS as u64;
            let mut filter = product(part, Op::Multiply, s * c, taps, 1);
            filter.ops.weight_bytes = bytes(Weights::Dense, taps, heads);
            steps.push(filter);
        }
        steps
    }

    fn feed_forward(&self, part: Part) -> Vec<Step> {
        let Self { c, s, shift_share, .. } = *self;
        let hidden = c * self.config.mlp_ratio as u64;
        let both = |weights| [linear(part, weights, s, c, hidden), linear(part, weights, s, hidden, c)];
        match self.config.mlp {
            MlpKind::Dense => both(Weights::Dense).into(),
            MlpKind::Shift { bits } => both(Weights::Shift { bits }).into(),
            MlpKind::Experts { bits } => {
                let dense = both(Weights::Dense).map(|step| step.shared(1.0 - shift_share));
                let shift = both(Weights::Shift { bits }).map(|step| step.shared(shift_share));
                // The router, and the product with its probability.
                let gate = [linear(part, Weights::Dense, s, c, 2), elementwise(part, s * c)];
                [gate, dense, shift].concat()
            }
        }
    }

    fn position(&self) -> Vec<Step> {
        let Self { c, s, .. } = *self;
        let [all, sample] = [self.config.position.channels(), self.config.position.sample_channels()].map(|n| n as u64);
        let layer = |rows, inputs| linear(Part::Position, Weights::Dense, rows, inputs, c);
        match self.form {
            Form::Plain => vec![layer(s, c + all), layer(s, c)],
            // Channels that are constant along a ray are multiplied once.
            Form::Folded => vec![layer(s, c), layer(s, sample), layer(1, all - sample), layer(s, c)],
        }
    }

    fn head(&self) -> Vec<Step> {
        let Self { c, s, v, .. } = *self;
        let layer = |rows, inputs, outputs| linear(Part::Head, Weights::Dense, rows, inputs, outputs);
        let mut steps = vec![layer(1, c, 3)];
        if self.config.head == Head::Blend {
            // Hidden layer of width C/2 on token, direction and state, its logits, and two weighted sums.
            let k = c / 2;
            steps.extend([layer(s * v, c, k), layer(s * v, 4, k), layer(s * v, k, 1), layer(s, c, k), layer(s, c, 1)]);
            steps.extend([elementwise(Part::Head, 3 * s * v), elementwise(Part::Head, s * (c + 3))]);
        }
        steps
    }
}

impl Step {
    /// The same for a share of the rows; all weights are kept.
    fn shared(self, share: f64) -> Self {
        let part = |n: u64| (n as f64 * share).round() as u64;
        let Ops { multiplies, shifts, additions, lookups, weight_bytes } = self.ops;
        let ops = Ops {
            multiplies: part(multiplies),
            shifts: part(shifts),
            additions: part(additions),
            lookups: part(lookups),
            weight_bytes,
        };
        Self { ops, product: self.product.map(|p| Product { share: p.share * share, ..p }), ..self }
    }
}

/// A linear layer; with no rows, one that is not applied to rays.
fn linear(part: Part, weights: Weights, rows: u64, inputs: u64, outputs: u64) -> Step {
    let op = match weights {
        Weights::Dense => Op::Multiply,
        Weights::Shift { .. } => Op::Shift,
    };
    let mut step = product(part, op, rows, inputs, outputs);
    step.ops.weight_bytes = bytes(weights, inputs, outputs);
    step
}

/// Bytes of a matrix: 4 for a float; 4 bits for a shift and 1 byte for the power of two of its column, or 5 bits.
fn bytes(weights: Weights, inputs: u64, outputs: u64) -> u64 {
    match weights {
        Weights::Dense => 4 * inputs * outputs,
        Weights::Shift { bits: 4 } => (inputs * outputs).div_ceil(2) + outputs,
        Weights::Shift { bits } => (u64::from(bits) * inputs * outputs).div_ceil(8),
    }
}

/// A product without weights of its own.
fn product(part: Part, op: Op, rows: u64, inputs: u64, outputs: u64) -> Step {
    let additions = rows * inputs * outputs;
    let (multiplies, shifts) = match op {
        Op::Multiply | Op::Multiply8 => (additions, 0),
        Op::Shift => (0, additions),
        Op::Add => (0, 0),
    };
    let ops = Ops { multiplies, shifts, additions, ..Ops::default() };
    Step { part, ops, product: (additions > 0).then_some(Product { share: 1.0, op, rows, inputs, outputs }) }
}

/// Scores of codes of `bits` bits against `keys` others, and the weights that they stand for: one addition a bit, one
/// look-up a score.
fn scores(part: Part, rows: u64, bits: u64, keys: u64) -> Step {
    let mut step = product(part, Op::Add, rows, bits, keys);
    step.ops.lookups = rows * keys;
    step
}

/// Products that are summed up and are no matrix product.
fn elementwise(part: Part, multiplies: u64) -> Step {
    Step { part, ops: Ops { multiplies, additions: multiplies, ..Ops::default() }, product: None }
}

#[cfg(test)]
mod tests;
