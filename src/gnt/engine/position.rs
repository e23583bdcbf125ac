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

    /// Replaces the states `q` `[samples, C]`; `encoding` is that of [`encode`].
    pub fn apply(&self, isa: Isa, encoding: &[f32], q: &mut [f32], shared: &mut SharedScratch) {
        let c = self.width;
        let SharedScratch { normal, bytes, .. } = shared;
        let samples = q.len() / c;
        let channels = self.sample.inputs();
        let (of_sample, of_ray) = encoding.split_at(samples * channels);
        self.state.apply(isa, samples, (q, c, Sign::Signed), bytes, (normal, c), Epilogue::Store);
        product(isa, samples, of_sample, channels, &self.sample, normal, c, Epilogue::Add);
        let mut constant = vec![0.0; c];
        for (row, e) in self.ray.chunks_exact(c).zip(of_ray) {
            constant.iter_mut().zip(row).for_each(|(sum, w)| *sum += e * w);
        }
        for row in normal.chunks_exact_mut(c) {
            row.iter_mut().zip(&constant).for_each(|(v, k)| *v = (*v + k).max(0.0));
        }
        self.fc2.apply(isa, samples, (normal, c, Sign::NonNegative), bytes, (q, c), Epilogue::Store);
    }
}

/// Writes the encodings of a ray's samples `[samples, sample channels]`, and after them what is constant along the ray.
pub fn encode(position: Position, ray: &Ray, depths: &[f32], depth_range: (f32, f32), out: &mut Vec<f32>) {
    let (all, sample) = (position.channels(), position.sample_channels());
    out.resize(depths.len() * sample + all, 0.0);
    let (samples, whole) = out.split_at_mut(depths.len() * sample);
    for (z, out) in depths.iter().zip(samples.chunks_exact_mut(sample)) {
        match position {
            Position::World { frequencies } => {
                encoding::frequencies(&(*z * ray.direction + ray.origin).to_array(), frequencies, out);
            }
            Position::Ray { .. } => encoding::sample(position, ray.origin, ray.direction, *z, depth_range, out),
        }
    }
    // The part that is constant along the ray comes last.
    if all > sample {
        encoding::sample(position, ray.origin, ray.direction, depths[0], depth_range, whole);
        whole.copy_within(sample.., 0);
    }
}
