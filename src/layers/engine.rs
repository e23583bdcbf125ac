//! What the packed layers of the CPU engine share. A packed layer runs forward only, on one ray at a time, or some, and on one
//! thread, and all that it touches stays in that core's cache.

use compute::ops::product8::Rows8;

/// Rows of (sample, view) pairs, or samples, that go through a chain of products together: their intermediates stay
/// in the first two cache levels.
pub const GROUP: usize = 60;

/// Buffers that the layers of a ray use one after the other; nothing in them outlives a layer.
#[derive(Clone, Debug, Default)]
pub struct SharedScratch {
    /// The normalised states `[samples, C]`.
    pub normal: Vec<f32>,
    /// `[samples, 4·C]`.
    pub wide: Vec<f32>,
    /// Activations as bytes.
    pub bytes: Rows8,
}

impl SharedScratch {
    /// Makes room for a ray of `samples` samples of `width` channels.
    pub fn fit(&mut self, samples: usize, width: usize) {
        self.normal.resize(samples * width, 0.0);
        self.wide.resize(samples * 4 * width, 0.0);
    }
}
