//! The mixture of experts in the CPU engine: rows are listed by expert, and each expert runs on its own.

use super::{Experts, MULTIPLY, SHIFT, choose};
use crate::feed_forward::mlp::engine::two_layers;
use crate::layer_norm::engine::Norm;
use crate::linear::engine::{Matrix, Precision};
use crate::linear::{Linear, LinearKind};
use compute::Isa;
use compute::ops::product::Epilogue;
use compute::ops::product8::{Rows8, Sign, product8, product8_routed, quantise, quantise_rows};

/// A router with the multiply and the shift expert, packed.
#[derive(Clone, Debug)]
pub struct PackedExperts {
    norm: Norm,
    router: PackedRouter,
    /// `C → hidden → C` each.
    experts: Box<[[Matrix; 2]; 2]>,
    width: usize,
    /// Feed-forward parts of the network before this one.
    part: usize,
}

/// A router, as it is read: the choice and its gate depend on the difference of the two logits alone.
#[derive(Clone, Debug)]
pub(crate) struct PackedRouter {
    /// Weights of the multiply expert's logit minus those of the shift expert's `[C]`; C is a multiple of 8.
    weight: Vec<f32>,
    bias: f32,
}

/// The rows of each expert, ascending, with their gates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    pub rows: [Vec<u32>; 2],
    pub gates: [Vec<f32>; 2],
    /// How far each row's logit of the multiply expert lies above that of the shift expert, and the gate of its choice.
    margins: Vec<f32>,
    chosen: Vec<f32>,
}

impl PackedRouter {
    /// Copies a layer of the folded network.
    pub fn new(router: &Linear, folded: &[f32]) -> Self {
        let difference = |pair: &[f32]| (f64::from(pair[MULTIPLY]) - f64::from(pair[SHIFT])) as f32;
        let weight: Vec<f32> = router.weight.of(folded).chunks_exact(2).map(difference).collect();
        assert!(weight.len().is_multiple_of(8), "a router of {} channels", weight.len());
        Self { weight, bias: router.bias.map_or(0.0, |b| difference(b.of(folded))) }
    }

    /// Lists the rows of `x` `[rows, C]` by expert.
    pub fn route(&self, isa: Isa, x: &[f32], c: usize, routes: &mut Routes) {
        let Routes { rows, gates, margins, chosen } = routes;
        let count = x.len() / c;
        margins.resize(count, 0.0);
        chosen.resize(count, 0.0);
        weigh(isa, x, &self.weight, self.bias, margins, chosen);
        rows.iter_mut().for_each(|rows| rows.resize(count, 0));
        gates.iter_mut().for_each(|gates| gates.resize(count, 0.0));
        let mut found = [0; 2];
        for (row, (margin, gate)) in margins.iter().zip(chosen).enumerate() {
            // Without a jump, which would be guessed wrong for many rows.
            let e = choose([*margin, 0.0]);
            rows[e][found[e]] = row as u32;
            gates[e][found[e]] = *gate;
            found[e] += 1;
        }
        for e in [MULTIPLY, SHIFT] {
            rows[e].truncate(found[e]);
            gates[e].truncate(found[e]);
        }
    }
}

/// Adds the rows of each expert to those of feed-forward part number `part`, `[parts, rays]`, of `rays` rays or images with
/// `samples` rows each; `from` is the row that the routes count from.
pub(crate) fn count_rows(
    counts: &mut Vec<[u64; 2]>,
    part: usize,
    (rays, samples): (usize, usize),
    from: usize,
    routes: &Routes,
) {
    let first = part * rays;
    counts.resize(counts.len().max(first + rays), [0; 2]);
    for (e, rows) in routes.rows.iter().enumerate() {
        let (mut ray, mut end) = (first, samples);
        for row in rows {
            while from + *row as usize >= end {
                (ray, end) = (ray + 1, end + samples);
            }
            counts[ray][e] += 1;
        }
    }
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct ExpertsBuffers {
    normal: Vec<f32>,
    wide: Vec<f32>,
    gathered: Vec<f32>,
    out: Vec<f32>,
    bytes: Rows8,
    routes: Routes,
    /// Rows that were routed to the multiply and to the shift expert so far, by feed-forward part of the network and ray,
    /// `[parts, rays]`; to be cleared before another number of rays. Empty where there are no experts.
    pub counts: Vec<[u64; 2]>,
}

/// Most rows that are routed together, so that a matrix is decoded for many of them.
const ROUTED: usize = 192;

impl PackedExperts {
    /// Packs a layer of the folded network; `kind` is that of the shift expert, `part` counts the feed-forward parts
    /// before it.
    pub fn new(precision: Precision, kind: LinearKind, layer: &Experts, folded: &[f32], part: usize) -> Self {
        let expert = |i: usize| {
            let kind = if i == SHIFT { kind } else { LinearKind::Dense };
            [layer.experts[i].fc1, layer.experts[i].fc2].map(|l| Matrix::of(precision, kind, &l, folded))
        };
        Self {
            norm: Norm::apart(&layer.norm, folded),
            router: PackedRouter::new(&layer.router, folded),
            experts: Box::new([expert(0), expert(1)]),
            width: layer.norm.width,
            part,
        }
    }

    /// Adds the part's output to `q` `[rays, samples, C]` and counts the rows of each expert.
    pub fn apply(&self, isa: Isa, q: &mut [f32], rays: usize, buffers: &mut ExpertsBuffers) {
        let (c, samples) = (self.width, q.len() / self.width / rays);
        for (chunk, q) in q.chunks_mut(ROUTED * c).enumerate() {
            buffers.normal.resize(q.len(), 0.0);
            self.norm.apply(isa, q, c, &mut buffers.normal);
            self.router.route(isa, &buffers.normal, c, &mut buffers.routes);
            count_rows(&mut buffers.counts, self.part, (rays, samples), chunk * ROUTED, &buffers.routes);
            for (e, layers) in self.experts.iter().enumerate() {
                if !buffers.routes.rows[e].is_empty() {
                    buffers.expert(isa, e, layers, q, c);
                }
            }
        }
    }

    /// Runs each expert on all of `x` `[rows, C]`, taken as normalised, and tells the seconds that each took.
    pub fn time(&self, isa: Isa, x: &[f32], buffers: &mut ExpertsBuffers) -> [f64; 2] {
        let c = self.width;
        buffers.normal.clear();
        buffers.normal.extend_from_slice(x);
        let rows = x.len() / c;
        let mut sums = vec![0.0; x.len()];
        let mut seconds = [0.0; 2];
        for (e, layers) in self.experts.iter().enumerate() {
            buffers.routes.rows[e] = (0..rows as u32).collect();
            buffers.routes.gates[e] = vec![1.0; rows];
            let started = std::time::Instant::now();
            buffers.expert(isa, e, layers, &mut sums, c);
            seconds[e] = started.elapsed().as_secs_f64();
        }
        seconds
    }
}

impl ExpertsBuffers {
    /// Adds the output of expert `e` on its rows, times their gates, to those rows of `q` `[rows, C]`.
    fn expert(&mut self, isa: Isa, e: usize, layers: &[Matrix; 2], q: &mut [f32], c: usize) {
        let Self { normal, wide, gathered, out, bytes, routes, .. } = self;
        let (rows, gates) = (&routes.rows[e], &routes.gates[e]);
        if let [Matrix::Bytes(fc1), Matrix::Bytes(fc2)] = layers {
            // Rows are gathered while they are made bytes, and scattered where they are summed.
            let width = fc1.outputs();
            wide.resize(wide.len().max(rows.len() * width), 0.0);
            quantise_rows(isa, rows, normal, c, c, Sign::Signed, bytes);
            product8(isa, bytes, fc1, wide, width, Epilogue::Relu);
            quantise(isa, rows.len(), wide, width, width, Sign::NonNegative, bytes);
            product8_routed(isa, bytes, fc2, (rows, gates), q, c);
            return;
        }
        out.resize(out.len().max(rows.len() * c), 0.0);
        gathered.clear();
        for row in rows {
            gathered.extend_from_slice(&normal[*row as usize * c..][..c]);
        }
        two_layers(isa, layers, (gathered, c), wide, bytes, (out, c), Epilogue::Store);
        for ((row, gate), out) in rows.iter().zip(gates).zip(out.chunks_exact(c)) {
            let q = &mut q[*row as usize * c..][..c];
            q.iter_mut().zip(out).for_each(|(q, o)| *q += gate * o);
        }
    }
}

compute::simd_fn! {
    /// Margins `x · w + b` of the rows of `x`, and the gate of the expert that each chooses: the softmax of two logits that far
    /// apart, at the larger. Sums have one order whatever the
    /// instructions, so that equal rows are routed alike with every set.
    fn weigh(isa: Isa, x: &[f32], weight: &[f32], bias: f32, margins: &mut [f32], gates: &mut [f32]) {
        for (x, margin) in x.chunks_exact(weight.len()).zip(&mut *margins) {
            let mut parts = [0.0f32; 8];
            for (x, w) in x.as_chunks::<8>().0.iter().zip(weight.as_chunks::<8>().0) {
                for i in 0..8 {
                    parts[i] += x[i] * w[i];
                }
            }
            let [a, b, c, d, e, f, g, h] = parts;
            *margin = ((a + e) + (c + g)) + ((b + f) + (d + h)) + bias;
        }
        for (gate, margin) in gates.iter_mut().zip(margins) {
            *gate = 1.0 / (1.0 + compute::math::exp(-margin.abs()));
        }
    }
}
