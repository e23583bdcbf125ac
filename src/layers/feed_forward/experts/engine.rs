//! The mixture of experts in the CPU engine: rows are listed by expert, and each expert runs on its own.

use super::{Experts, SHIFT, choose, gate};
use crate::feed_forward::mlp::engine::two_layers;
use crate::layer_norm::engine::Norm;
use crate::linear::engine::{Matrix, Precision};
use crate::linear::{Linear, LinearKind};
use compute::Isa;
use compute::ops::product::Epilogue;
use compute::ops::product8::{Rows8, Sign, product8, quantise_rows};

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

/// A router, as it is read.
#[derive(Clone, Debug)]
pub(crate) struct PackedRouter {
    /// `[C, 2]`; C is a multiple of 8.
    weight: Vec<f32>,
    bias: [f32; 2],
}

/// The rows of each expert, ascending, with their gates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    pub rows: [Vec<u32>; 2],
    pub gates: [Vec<f32>; 2],
}

impl PackedRouter {
    /// Copies a layer of the folded network.
    pub fn new(router: &Linear, folded: &[f32]) -> Self {
        let bias = router.bias.map_or(&[0.0, 0.0][..], |b| b.of(folded));
        Self { weight: router.weight.of(folded).to_vec(), bias: [bias[0], bias[1]] }
    }

    /// Lists the rows of `x` `[rows, C]` by expert.
    pub fn route(&self, isa: Isa, x: &[f32], c: usize, routes: &mut Routes) {
        routes.rows.iter_mut().for_each(Vec::clear);
        routes.gates.iter_mut().for_each(Vec::clear);
        for (row, x) in x.chunks_exact(c).enumerate() {
            let sums = router_logits(isa, x, &self.weight);
            let logits = [sums[0] + self.bias[0], sums[1] + self.bias[1]];
            let e = choose(logits);
            routes.rows[e].push(row as u32);
            routes.gates[e].push(gate(logits)[e]);
        }
    }
}

/// Adds the rows of each expert to those of feed-forward part number `part` of the network.
pub(crate) fn count_rows(counts: &mut Vec<[u64; 2]>, part: usize, routes: &Routes) {
    if counts.len() <= part {
        counts.resize(part + 1, [0; 2]);
    }
    for (count, rows) in counts[part].iter_mut().zip(&routes.rows) {
        *count += rows.len() as u64;
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
    /// Rows that were routed to the multiply and to the shift expert so far, by feed-forward part of the network. Empty
    /// where there are no experts.
    pub counts: Vec<[u64; 2]>,
}

/// Rows that are routed together: those of a ray, so that each matrix is decoded once a ray and expert.
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

    /// Adds the part's output to `q` `[rows, C]` and counts the rows of each expert.
    pub fn apply(&self, isa: Isa, q: &mut [f32], buffers: &mut ExpertsBuffers) {
        let c = self.width;
        for q in q.chunks_mut(ROUTED * c) {
            buffers.normal.resize(q.len(), 0.0);
            self.norm.apply(isa, q, c, &mut buffers.normal);
            self.router.route(isa, &buffers.normal, c, &mut buffers.routes);
            count_rows(&mut buffers.counts, self.part, &buffers.routes);
            for (e, layers) in self.experts.iter().enumerate() {
                buffers.expert(isa, e, layers, c);
                buffers.scatter(e, q, c);
            }
        }
    }

    /// Runs each expert on all of `x` `[rows, C]`, taken as normalised, and tells the seconds that each took.
    pub fn time(&self, isa: Isa, x: &[f32], buffers: &mut ExpertsBuffers) -> [f64; 2] {
        let c = self.width;
        buffers.normal.clear();
        buffers.normal.extend_from_slice(x);
        let all: Vec<u32> = (0..(x.len() / c) as u32).collect();
        let mut seconds = [0.0; 2];
        for (e, layers) in self.experts.iter().enumerate() {
            buffers.routes.rows[e].clone_from(&all);
            let started = std::time::Instant::now();
            buffers.expert(isa, e, layers, c);
            seconds[e] = started.elapsed().as_secs_f64();
        }
        seconds
    }
}

impl ExpertsBuffers {
    /// The output of expert `e` on its rows, in `out`, row after row.
    fn expert(&mut self, isa: Isa, e: usize, layers: &[Matrix; 2], c: usize) {
        let Self { normal, wide, gathered, out, bytes, routes, .. } = self;
        let rows = &routes.rows;
        let count = rows[e].len();
        out.resize(out.len().max(count * c), 0.0);
        if let [Matrix::Bytes(fc1), fc2] = layers {
            // Rows are gathered while they are made bytes.
            let width = fc1.outputs();
            wide.resize(wide.len().max(count * width), 0.0);
            quantise_rows(isa, &rows[e], normal, c, c, Sign::Signed, bytes);
            product8(isa, bytes, fc1, wide, width, Epilogue::Relu);
            fc2.apply(isa, count, (wide, width, Sign::NonNegative), bytes, (out, c), Epilogue::Store);
        } else {
            gathered.clear();
            for row in &rows[e] {
                gathered.extend_from_slice(&normal[*row as usize * c..][..c]);
            }
            two_layers(isa, layers, (gathered, c), wide, bytes, (out, c), Epilogue::Store);
        }
    }

    fn scatter(&self, e: usize, q: &mut [f32], c: usize) {
        for ((row, gate), out) in self.routes.rows[e].iter().zip(&self.routes.gates[e]).zip(self.out.chunks_exact(c)) {
            let q = &mut q[*row as usize * c..][..c];
            q.iter_mut().zip(out).for_each(|(q, o)| *q += gate * o);
        }
    }
}

compute::simd_fn! {
    /// `x · W` with `W` of `[C, 2]`; `C` is a multiple of 8.
    fn router_logits(isa: Isa, x: &[f32], weight: &[f32]) -> [f32; 2] {
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
