//! What shapes the result of a classifier's training.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How a gradient moves the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimiser {
    /// Adam with decoupled decay, for all parameters.
    #[default]
    Adam,
    /// Muon for matrices and convolutions, Adam for the rest.
    Muon,
}

impl Optimiser {
    /// All of them, by name.
    pub const NAMES: [(&str, Self); 2] = [("adam", Self::Adam), ("muon", Self::Muon)];
}

/// Options of a run, which its state keeps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifyOptions {
    /// What moves the weights.
    #[serde(default)]
    pub optimiser: Optimiser,
    /// Passes over all pictures.
    pub epochs: u32,
    /// Pictures a step.
    pub batch: u32,
    /// Peak learning rate.
    pub rate: f32,
    /// Weights shrink by this times the rate in every step; gains and biases do not.
    pub decay: f32,
    /// Epochs of warm-up.
    pub warmup: f32,
    /// Part of a target that is spread over all classes.
    pub smoothing: f32,
    /// Pixels by which a crop may lie beside the picture, beyond which it is mirrored.
    pub crop: u32,
    /// Whether every second epoch sees a picture mirrored, a random half of them first.
    pub flip: bool,
    /// Side of the square that is cut out of each picture, in pixels; it may lie partly outside.
    pub cutout: u32,
    /// Most relative change of brightness and of contrast.
    pub colour: f32,
    /// Parameter of the beta distribution that mixes pictures in pairs; 0 mixes none.
    pub mixup: f32,
    /// Decay of the running average of the weights.
    pub average_decay: f32,
    /// Longest gradient.
    pub clip_norm: f32,
    /// Shares of the experts in the latency of a row, and the weight of the balance losses.
    pub balance: Option<([f32; 2], f32)>,
    /// Whether routers are held at the shares of tokens that the latencies ask for, beside the balance losses.
    #[serde(default)]
    pub hold_routers: bool,
    /// Part of a target that comes from the teacher, where there is one.
    pub distillation: f32,
    /// Seed of weights and batches.
    pub seed: u64,
}

impl Default for ClassifyOptions {
    fn default() -> Self {
        Self {
            optimiser: Optimiser::Adam,
            epochs: 30,
            batch: 256,
            rate: 1.5e-3,
            decay: 0.05,
            warmup: 2.0,
            smoothing: 0.1,
            crop: 4,
            flip: true,
            cutout: 8,
            colour: 0.0,
            mixup: 0.0,
            average_decay: 0.998,
            clip_norm: 1.0,
            balance: None,
            hold_routers: false,
            distillation: 0.0,
            seed: 0,
        }
    }
}

impl ClassifyOptions {
    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Run`] naming the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        let [a, b] = self.balance.map_or([0.5; 2], |(alpha, _)| alpha);
        let numbers = [
            ("epochs", self.epochs as f32, 1.0, 100_000.0),
            ("batch", self.batch as f32, 1.0, 65_536.0),
            ("learning rate", self.rate, 0.0, 10.0),
            ("weight decay", self.decay, 0.0, 10.0),
            ("warm-up", self.warmup, 0.0, 100_000.0),
            ("smoothing", self.smoothing, 0.0, 0.99),
            ("crop", self.crop as f32, 0.0, 512.0),
            ("cutout", self.cutout as f32, 0.0, 512.0),
            ("colour", self.colour, 0.0, 0.9),
            ("mixup", self.mixup, 0.0, 10.0),
            ("decay of the average", self.average_decay, 0.0, 1.0),
            ("longest gradient", self.clip_norm, 1e-6, 1e6),
            ("multiply expert's latency share", a, 0.0, 1.0),
            ("shift expert's latency share", b, 0.0, 1.0),
            ("weight of the balance", self.balance.map_or(0.0, |(_, weight)| weight), 0.0, 1e6),
            ("distillation", self.distillation, 0.0, 1.0),
        ];
        match numbers.into_iter().find(|(_, found, least, most)| !(*least..=*most).contains(found)) {
            Some((name, found, least, most)) => {
                Err(Error::Run(format!("{name}: expected {least} to {most}, found {found}")))
            }
            None => Ok(()),
        }
    }
}
