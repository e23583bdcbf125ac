//! Feed-forward parts: two products, or a router and two experts of which each row takes one.

use super::linear::{Matrix, Norm, Precision, normed};
use super::ray::GROUP;
use crate::network::parameters::MlpLayer;
use crate::{Config, MlpKind};
use layers::experts::{choose, gate};
use tensor::Level;
use tensor::ops::product::Epilogue;
use tensor::ops::product8::{Rows8, Sign, product8, quantise_rows};

/// Weights of a feed-forward part.
#[derive(Clone, Debug)]
pub enum Mlp {
    /// `fc2(relu(fc1(norm(x))))`.
    Single {
        /// The normalisation.
        norm: Norm,
        /// `C → wide → C`.
        layers: Box<[Matrix; 2]>,
    },
    /// The multiply and the shift expert.
    Experts {
        /// The normalisation.
        norm: Norm,
        /// `[C, 2]` and bias.
        router: (Vec<f32>, [f32; 2]),
        /// `C → wide → C` each.
        experts: Box<[[Matrix; 2]; 2]>,
    },
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct MlpScratch {
    normal: Vec<f32>,
    wide: Vec<f32>,
    gathered: Vec<f32>,
    out: Vec<f32>,
    bytes: Rows8,
    gates: [Vec<f32>; 2],
    rows: [Vec<u32>; 2],
    /// Rows that were routed to the multiply and to the shift expert so far, by feed-forward part: view and ray part of
    /// block 0, of block 1, and so on. Empty where there are no experts.
    pub counts: Vec<[u64; 2]>,
}

impl Mlp {
    /// Packs a layer of the folded network.
    pub fn new(precision: Precision, config: &Config, layer: &MlpLayer, folded: &[f32]) -> Self {
        match layer {
            MlpLayer::Single(ff) => {
                let shift = matches!(config.mlp, MlpKind::Shift { .. });
                let (norm, fc1) = normed(precision, shift, &ff.norm, &ff.fc1, folded);
                Self::Single { norm, layers: Box::new([fc1, Matrix::of(precision, shift, &ff.fc2, folded)]) }
            }
            MlpLayer::Experts(e) => {
                let bias = e.router.bias.map_or(&[0.0, 0.0][..], |b| b.of(folded));
                let expert = |i: usize| {
                    let shift = i == layers::experts::SHIFT;
                    [e.experts[i].fc1, e.experts[i].fc2].map(|l| Matrix::of(precision, shift, &l, folded))
                };
                Self::Experts {
                    norm: Norm::apart(&e.norm, folded),
                    router: (e.router.weight.of(folded).to_vec(), [bias[0], bias[1]]),
                    experts: Box::new([expert(0), expert(1)]),
                }
            }
        }
    }

    /// Adds the part's output to `q` `[rows, c]`; routed rows are counted for part `number` of the network.
    pub fn apply(&self, level: Level, number: usize, q: &mut [f32], c: usize, scratch: &mut MlpScratch) {
        match self {
            Self::Single { norm, layers } => {
                for q in q.chunks_mut(GROUP * c) {
                    scratch.normal.resize(q.len(), 0.0);
                    norm.apply(level, q, c, &mut scratch.normal);
                    let MlpScratch { normal, wide, bytes, .. } = scratch;
                    two_layers(level, layers, (normal, c), wide, bytes, (q, c), Epilogue::Add);
                }
            }
            Self::Experts { norm, router, experts } => {
                if scratch.counts.len() <= number {
                    scratch.counts.resize(number + 1, [0; 2]);
                }
                for q in q.chunks_mut(ROUTED * c) {
                    scratch.normal.resize(q.len(), 0.0);
                    norm.apply(level, q, c, &mut scratch.normal);
                    scratch.route(router, c);
                    for (count, rows) in scratch.counts[number].iter_mut().zip(&scratch.rows) {
                        *count += rows.len() as u64;
                    }
                    for (e, layers) in experts.iter().enumerate() {
                        scratch.expert(level, e, layers, c);
                        scratch.scatter(e, q, c);
                    }
                }
            }
        }
    }

    /// Runs each expert on all of `x` `[rows, c]`, taken as normalised, and tells the seconds that each took.
    pub fn time_experts(&self, level: Level, x: &[f32], c: usize, scratch: &mut MlpScratch) -> Option<[f64; 2]> {
        let Self::Experts { experts, .. } = self else { return None };
        scratch.normal.clear();
        scratch.normal.extend_from_slice(x);
        let all: Vec<u32> = (0..(x.len() / c) as u32).collect();
        let mut seconds = [0.0; 2];
        for (e, layers) in experts.iter().enumerate() {
            scratch.rows[e].clone_from(&all);
            let started = std::time::Instant::now();
            scratch.expert(level, e, layers, c);
            seconds[e] = started.elapsed().as_secs_f64();
        }
        Some(seconds)
    }
}

/// Rows that are routed together: those of a ray, so that each matrix is decoded once a ray and expert.
const ROUTED: usize = 192;

impl MlpScratch {
    /// Lists the rows of each expert, with their gates.
    fn route(&mut self, (weight, bias): &(Vec<f32>, [f32; 2]), c: usize) {
        self.rows.iter_mut().for_each(Vec::clear);
        self.gates.iter_mut().for_each(Vec::clear);
        for (row, x) in self.normal.chunks_exact(c).enumerate() {
            let sums = router_logits(x, weight);
            let logits = [sums[0] + bias[0], sums[1] + bias[1]];
            let e = choose(logits);
            self.rows[e].push(row as u32);
            self.gates[e].push(gate(logits)[e]);
        }
    }

    /// The output of expert `e` on its rows, in `out`, row after row.
    fn expert(&mut self, level: Level, e: usize, layers: &[Matrix; 2], c: usize) {
        let Self { normal, wide, gathered, out, bytes, rows, .. } = self;
        let count = rows[e].len();
        out.resize(out.len().max(count * c), 0.0);
        if let [Matrix::Bytes(fc1), fc2] = layers {
            // Rows are gathered while they are made bytes.
            let width = fc1.outputs();
            wide.resize(wide.len().max(count * width), 0.0);
            quantise_rows(level, &rows[e], normal, c, c, Sign::Signed, bytes);
            product8(level, bytes, fc1, wide, width, Epilogue::Relu);
            fc2.apply(level, count, (wide, width, Sign::NonNegative), bytes, (out, c), Epilogue::Store);
        } else {
            gathered.clear();
            for row in &rows[e] {
                gathered.extend_from_slice(&normal[*row as usize * c..][..c]);
            }
            two_layers(level, layers, (gathered, c), wide, bytes, (out, c), Epilogue::Store);
        }
    }

    fn scatter(&self, e: usize, q: &mut [f32], c: usize) {
        for ((row, gate), out) in self.rows[e].iter().zip(&self.gates[e]).zip(self.out.chunks_exact(c)) {
            let q = &mut q[*row as usize * c..][..c];
            q.iter_mut().zip(out).for_each(|(q, o)| *q += gate * o);
        }
    }
}

fn two_layers(
    level: Level,
    [fc1, fc2]: &[Matrix; 2],
    (x, c): (&[f32], usize),
    wide: &mut Vec<f32>,
    bytes: &mut Rows8,
    y: (&mut [f32], usize),
    epilogue: Epilogue,
) {
    let (rows, width) = (x.len() / c, fc1.outputs());
    wide.resize(wide.len().max(rows * width), 0.0);
    fc1.apply(level, rows, (x, c, Sign::Signed), bytes, (wide, width), Epilogue::Relu);
    fc2.apply(level, rows, (wide, width, Sign::NonNegative), bytes, y, epilogue);
}

tensor::simd_fn! {
    /// `x · W` with `W` of `[C, 2]`; `C` is a multiple of 8.
    fn router_logits(x: &[f32], weight: &[f32]) -> [f32; 2] {
        let mut parts = [0.0f32; 16];
        for (x, w) in x.chunks_exact(8).zip(weight.chunks_exact(16)) {
            for i in 0..8 {
                parts[2 * i] += x[i] * w[2 * i];
                parts[2 * i + 1] += x[i] * w[2 * i + 1];
            }
        }
        [parts.iter().step_by(2).sum(), parts.iter().skip(1).step_by(2).sum()]
    }
}
