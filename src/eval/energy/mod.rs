//! Modelled energy and time of a network on an Eyeriss-like accelerator: the simulator behind ShiftAddViT's figures
//! (arXiv 2306.06446), built again from its equations.
//!
//! The machine has a memory (DRAM), a global buffer of 65536 values, a network on the chip and processing elements with
//! registers, at 250 MHz. Every layer is cut into tiles; [`tiling`] counts what each cut moves at every level and keeps
//! the best one. Energies of operations are those of a 45 nm process (Horowitz, ISSCC 2014), energies of movement those
//! of Eyeriss (Chen et al., ISCA 2016), in units of one 16-bit register access at 3.7 pJ.
//!
//! # What the figures leave out
//! They compare variants under the paper's own assumptions and are no measurement:
//! - Only matrix products and convolutions cost anything. Softmax, norms, activations, encodings, table look-ups,
//!   element-wise sums and products, and sampling of feature maps are free; so is what the caller leaves out of its list,
//!   which in the paper's figures is the feature network and the router.
//! - Dense values have 32 bits, data of a shift layer 10: the mean of 16-bit activations and 5-bit weights; time is 3.2
//!   times shorter for them. Most of what shifts save is this.
//! - Additions of attention find their operands in the processing elements: memory, buffer and network are free. Their
//!   energy is that of the tiling that suits them, their time that of the dense product: only so do the paper's relative
//!   savings come out (taken literally the ShiftAdd-GNT takes 945 s instead of 533 s).
//! - The same dense network in 8-bit integers ([`Op::Multiply8`]: memories hold twice as many values, and there are four
//!   times as many processing elements) needs about half of what shifts and additions need.

mod layer;
pub mod network;
pub mod tiling;

#[cfg(test)]
mod tests;

pub use layer::Layer;
pub use layers::operations::Op;

use crate::{Error, Result};
use std::collections::HashMap;
use std::iter::Sum;
use std::ops::{Add, Mul};

/// Where energy goes, in joules.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energy {
    /// The operations themselves.
    pub compute: f64,
    /// Traffic of the memory.
    pub dram: f64,
    /// Traffic of the global buffer.
    pub buffer: f64,
    /// Traffic of the network on the chip.
    pub network: f64,
    /// Accesses to registers.
    pub registers: f64,
}

impl Energy {
    /// The sum of all places, in joules.
    pub fn total(&self) -> f64 {
        self.compute + self.dram + self.buffer + self.network + self.registers
    }
}

/// Energy and time of some work.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Energy, in joules.
    pub energy: Energy,
    /// In seconds, layers one after the other.
    pub seconds: f64,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (a, b) = (self.energy, other.energy);
        let energy = Energy {
            compute: a.compute + b.compute,
            dram: a.dram + b.dram,
            buffer: a.buffer + b.buffer,
            network: a.network + b.network,
            registers: a.registers + b.registers,
        };
        Self { energy, seconds: self.seconds + other.seconds }
    }
}

impl Mul<f64> for Cost {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        let e = self.energy;
        let energy = Energy {
            compute: e.compute * times,
            dram: e.dram * times,
            buffer: e.buffer * times,
            network: e.network * times,
            registers: e.registers * times,
        };
        Self { energy, seconds: self.seconds * times }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

/// The accelerator; remembers the shapes that it has tiled.
#[derive(Clone, Debug, Default)]
pub struct Accelerator {
    known: HashMap<Layer, Cost>,
}

impl Accelerator {
    /// Cost of one run of `layer`.
    ///
    /// # Errors
    /// [`Error::Tiling`] if a size is 0 or no tiling fits the machine, as for convolutions with kernels of 12 columns
    /// and more.
    pub fn cost(&mut self, layer: &Layer) -> Result<Cost> {
        if let Some(cost) = self.known.get(layer) {
            return Ok(*cost);
        }
        let none = || Error::Tiling(*layer);
        let mut cost = tiling::best(layer).ok_or_else(none)?.cost(layer);
        if layer.op == Op::Add {
            let dense = Layer { op: Op::Multiply, ..*layer };
            cost.seconds = tiling::best(&dense).ok_or_else(none)?.cost(&dense).seconds;
        }
        self.known.insert(*layer, cost);
        Ok(cost)
    }

    /// Cost of layers that each run the given number of times, which may be a mean.
    ///
    /// # Errors
    /// As [`Accelerator::cost`].
    pub fn total(&mut self, work: impl IntoIterator<Item = (f64, Layer)>) -> Result<Cost> {
        work.into_iter().map(|(times, layer)| Ok(self.cost(&layer)? * times)).sum()
    }
}
