//! Which experts the rows of a frame went to.

use crate::cuda::RayBatch;
use layers::feed_forward::experts::{MULTIPLY, SHIFT};

/// Where the routers of a frame sent its rows. A row is a sample of a ray in a feed-forward part. With a second pass over
/// importance samples, that pass alone counts: its colours are the picture's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpertShares {
    /// Rows of the multiply and of the shift expert, by feed-forward part: view and ray part of block 0, of block 1, and
    /// so on.
    pub parts: Vec<[u64; 2]>,
    /// Share of a ray's rows, over all parts, that the multiply experts took: `[height, width]`.
    pub multiplied: Vec<f32>,
}

impl ExpertShares {
    /// For as many rays and a network of `depth` blocks; nothing is counted yet.
    pub(crate) fn new(depth: usize, rays: usize) -> Self {
        Self { parts: vec![[0; 2]; 2 * depth], multiplied: vec![0.0; rays] }
    }

    /// Share of all rows that the multiply experts took.
    pub fn share(&self) -> f64 {
        let rows = |expert: usize| self.parts.iter().map(|part| part[expert]).sum::<u64>() as f64;
        rows(MULTIPLY) / (rows(MULTIPLY) + rows(SHIFT))
    }

    /// Puts in a chunk of rays from number `first` on, of `samples` samples each.
    pub(crate) fn put(&mut self, first: usize, samples: usize, batch: &RayBatch) {
        assert_eq!(self.parts.len(), batch.routed.len(), "feed-forward parts of the network and of the launch");
        let rows = (samples * batch.multiplied.len()) as u64;
        for (part, multiplied) in self.parts.iter_mut().zip(&batch.routed) {
            part[MULTIPLY] += multiplied;
            part[SHIFT] += rows - multiplied;
        }
        let all = (samples * self.parts.len()) as u64;
        for (out, multiplied) in self.multiplied[first..].iter_mut().zip(&batch.multiplied) {
            *out = share(u64::from(*multiplied), all);
        }
    }
}

/// Adds the rows of a ray to those of others; tells the share of the multiply experts.
pub(super) fn add(parts: &mut Vec<[u64; 2]>, ray: &[[u64; 2]]) -> f32 {
    parts.resize(parts.len().max(ray.len()), [0; 2]);
    let mut both = [0; 2];
    for (part, rows) in parts.iter_mut().zip(ray) {
        for expert in [MULTIPLY, SHIFT] {
            part[expert] += rows[expert];
            both[expert] += rows[expert];
        }
    }
    share(both[MULTIPLY], both[MULTIPLY] + both[SHIFT])
}

/// Rows of one ray are few enough for f32 to hold them exactly.
fn share(multiplied: u64, all: u64) -> f32 {
    multiplied as f32 / all as f32
}
