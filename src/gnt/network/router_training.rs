//! How routers are trained.

use layers::feed_forward::experts::{Balance, Noise};

/// How routers choose between experts in a pass, and how the choice is balanced.
#[derive(Clone, Copy, Debug, Default)]
pub struct RouterTraining {
    /// Seed of the noise on the routers' logits; without it the choice depends on the state alone.
    pub noise: Option<u64>,
    /// The loss that balances them.
    pub balance: Option<Balance>,
}

impl RouterTraining {
    /// Noise from `seed`, and perhaps a balance loss.
    pub fn new(seed: u64, balance: Option<Balance>) -> Self {
        Self { noise: Some(seed), balance }
    }

    /// The noise of router number `router` of a pass, counted from 1: each has its own.
    pub(super) fn noise_of(&self, router: u64) -> Option<Noise> {
        self.noise.map(|seed| Noise::new(seed, router))
    }
}
