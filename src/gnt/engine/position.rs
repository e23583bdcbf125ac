//! Position layers: state and position encoding become the new state.

use crate::folded::PositionLayer;
use crate::{Position, encoding};
use compute::Isa;
use compute::ops::product::{Epilogue, Packed, product};
use compute::ops::product8::Sign;
use layers::engine::SharedScratch;
use layers::linear::LinearKind;
use layers::linear::engine::{Matrix, Precision};
use scene::Ray;

/// Packed weights.
#[derive(Clone, Debug)]
pub struct PackedPosition {
    /// `C → C`, with the bias.
    state: Matrix,
    /// Encoding of the sample `→ C`.
    sample: Packed,
    /// Encoding of the ray's direction, `[E, C]`; empty where the encoding has no such part.
    ray: Vec<f32>,
    /// `C → C`.
    fc2: Matrix,
    width: usize,
}

impl PackedPosition {
    /// Packs a layer of the folded network.
    pub fn new(precision: Precision, position: Position, layer: &PositionLayer, folded: &[f32]) -> Self {
        let (c, sample) = (layer.state.outputs, position.sample_channels());
        let (of_sample, of_ray) = layer.encoding.weight.of(folded).split_at(sample * c);
        Self {
            state: Matrix::of(precision, LinearKind::Dense, &layer.state, folded),
            sample: Packed::new(of_sample, None, sample, c),
            ray: of_ray.to_vec(),
            fc2: Matrix::of(precision, LinearKind::Dense, &layer.fc2, folded),
            width: c,
        }
    }

    /// Replaces the states `q` `[rays, samples, C]`; `encoding` is that of [`encode`].
    pub fn apply(&self, isa: Isa, encoding: &[f32], rays: usize, q: &mut [f32], shared: &mut SharedScratch) {
        let c = self.width;
        let SharedScratch { normal, bytes, .. } = shared;
        let samples = q.len() / c;
        let channels = self.sample.inputs();
        let (of_sample, of_ray) = encoding.split_at(samples * channels);
        self.state.apply(isa, samples, (q, c, Sign::Signed), bytes, (normal, c), Epilogue::Store);
        product(isa, samples, of_sample, channels, &self.sample, normal, c, Epilogue::Add);
        let mut constant = vec![0.0; c];
        let of_each = self.ray.len() / c;
        for (ray, states) in normal[..samples * c].chunks_exact_mut(samples / rays * c).enumerate() {
            constant.fill(0.0);
            for (row, e) in self.ray.chunks_exact(c).zip(&of_ray[ray * of_each..]) {
                constant.iter_mut().zip(row).for_each(|(sum, w)| *sum += e * w);
            }
            for row in states.chunks_exact_mut(c) {
                row.iter_mut().zip(&constant).for_each(|(v, k)| *v = (*v + k).max(0.0));
            }
        }
        self.fc2.apply(isa, samples, (normal, c, Sign::NonNegative), bytes, (q, c), Epilogue::Store);
    }
}

/// Writes the encodings of the rays' samples `[rays, samples, sample channels]`, and after them what is constant along each ray.
pub fn encode(position: Position, rays: &[Ray], depths: &[f32], depth_range: (f32, f32), out: &mut Vec<f32>) {
    let (all, sample, each) = (position.channels(), position.sample_channels(), depths.len() / rays.len());
    let constant = all - sample;
    // Each ray's whole encoding is written first, then its constant part is moved to the front; the last one needs room for the
    // part that is dropped.
    out.resize(depths.len() * sample + rays.len() * constant + sample, 0.0);
    let (samples, whole) = out.split_at_mut(depths.len() * sample);
    for (i, (z, out)) in depths.iter().zip(samples.chunks_exact_mut(sample)).enumerate() {
        let ray = &rays[i / each];
        match position {
            Position::World { frequencies } => {
                encoding::frequencies(&(*z * ray.direction + ray.origin).to_array(), frequencies, out);
            }
            Position::Ray { .. } => encoding::sample(position, ray.origin, ray.direction, *z, depth_range, out),
        }
    }
    if constant > 0 {
        for (i, ray) in rays.iter().enumerate() {
            let whole = &mut whole[i * constant..][..all];
            encoding::sample(position, ray.origin, ray.direction, depths[i * each], depth_range, whole);
            // The part that is constant along the ray comes last.
            whole.copy_within(sample.., 0);
        }
    }
}
