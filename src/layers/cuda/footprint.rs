//! How much device memory the training of a layer takes.

use std::ops::Add;

/// Numbers of f32 values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Of each sample of a ray.
    pub sample: usize,
    /// Of each pair of a sample and a source view.
    pub pair: usize,
}

/// What a layer holds on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprints {
    /// Kept by every block from its forward to its backward pass.
    pub tape: Footprint,
    /// Needed while a pass runs, and shared by all blocks.
    pub scratch: Footprint,
}

impl Footprint {
    /// Values of samples alone.
    pub fn sample(sample: usize) -> Self {
        Self { sample, pair: 0 }
    }

    /// The larger of two numbers, of samples and of pairs.
    pub fn max(self, other: Self) -> Self {
        Self { sample: self.sample.max(other.sample), pair: self.pair.max(other.pair) }
    }

    /// Bytes of a sample that `views` source views see.
    pub fn bytes(&self, views: usize) -> usize {
        size_of::<f32>() * (self.sample + views * self.pair)
    }
}

impl Add for Footprint {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { sample: self.sample + other.sample, pair: self.pair + other.pair }
    }
}
