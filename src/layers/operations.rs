//! The words in which layers say what they compute: steps, the operations that a step counts and the matrix product that
//! it is. From them follow the counts that are reported and the modelled energy.
//!
//! All numbers are for one ray whose samples are seen by all source views. Softmax, norms, activations, encodings and
//! residual sums are not counted.

use crate::linear::LinearKind;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::iter::Sum;
use std::ops::Add;

/// What one step of an inner product is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Multiplication of 32-bit floats.
    Multiply,
    /// Multiplication of 8-bit integers. No layer says so of itself: it is asked what dense layers would cost so.
    Multiply8,
    /// Shift of a 32-bit integer: product with a signed power of two.
    Shift,
    /// Addition of 32-bit floats, where a code of one bit selects what is added.
    Add,
}

/// How many rows a ray has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaySize {
    /// Samples, S.
    pub samples: u64,
    /// Source views, V, all of which see all samples.
    pub views: u64,
}

impl RaySize {
    /// Of this many samples and views.
    pub fn new(samples: usize, views: usize) -> Self {
        Self { samples: samples as u64, views: views as u64 }
    }

    /// Pairs of a sample and a view that sees it.
    pub fn pairs(self) -> u64 {
        self.samples * self.views
    }
}

/// Operations for one ray, for all samples and source views, and the bytes of the weights that they use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ops {
    /// Products of two numbers.
    pub multiplies: u64,
    /// Products with a power of two.
    pub shifts: u64,
    /// Sums of two numbers; one for each product and shift that is summed up, and one for each bit of a code that is
    /// compared with another.
    pub additions: u64,
    /// Weights of a softmax that are read from a table.
    pub lookups: u64,
    /// Matrices alone, without biases and norms.
    pub weight_bytes: u64,
}

impl Add for Ops {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            multiplies: self.multiplies + other.multiplies,
            shifts: self.shifts + other.shifts,
            additions: self.additions + other.additions,
            lookups: self.lookups + other.lookups,
            weight_bytes: self.weight_bytes + other.weight_bytes,
        }
    }
}

impl Sum for Ops {
    fn sum<I: Iterator<Item = Self>>(ops: I) -> Self {
        ops.fold(Self::default(), Add::add)
    }
}

/// A part of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Tokens from colours and features.
    Tokens,
    /// State of the samples before the first block.
    Start,
    /// Attention over views: what is computed for each sample and view.
    ViewAttention,
    /// Attention over views: queries, outputs, and what else is applied once a sample.
    ViewLinear,
    /// Feed-forward part of the view blocks.
    ViewFeedForward,
    /// Position layers.
    Position,
    /// Attention along the ray: queries, keys, values and outputs.
    RayLinear,
    /// Attention along the ray: scores and their use.
    RayAttention,
    /// Feed-forward part of the ray blocks.
    RayFeedForward,
    /// Colour.
    Head,
}

impl Part {
    /// All parts, in the order in which a ray meets them.
    pub const ALL: [Self; 10] = [
        Self::Tokens,
        Self::Start,
        Self::ViewAttention,
        Self::ViewLinear,
        Self::ViewFeedForward,
        Self::Position,
        Self::RayLinear,
        Self::RayAttention,
        Self::RayFeedForward,
        Self::Head,
    ];

    /// Words for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Start => "start",
            Self::ViewAttention => "view attention",
            Self::ViewLinear => "view linear",
            Self::ViewFeedForward => "view feed-forward",
            Self::Position => "position",
            Self::RayLinear => "ray linear",
            Self::RayAttention => "ray attention",
            Self::RayFeedForward => "ray feed-forward",
            Self::Head => "head",
        }
    }
}

/// A product `[rows, inputs] x [inputs, outputs]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// The mean share of its rows that run.
    pub share: f64,
    /// What a step of its inner products is.
    pub op: Op,
    /// For one ray.
    pub rows: u64,
    /// Channels.
    pub inputs: u64,
    /// Channels.
    pub outputs: u64,
}

/// Operations of one part and, where the energy model knows it, the product that they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The part of the network that it belongs to.
    pub part: Part,
    /// For one ray.
    pub ops: Ops,
    /// None for what the energy model has free of charge.
    pub product: Option<Product>,
}

impl Step {
    /// The same for a share of the rows; all weights are kept.
    pub fn shared(self, share: f64) -> Self {
        let part = |n: u64| (n as f64 * share).round() as u64;
        let Ops { multiplies, shifts, additions, lookups, weight_bytes } = self.ops;
        let ops = Ops {
            multiplies: part(multiplies),
            shifts: part(shifts),
            additions: part(additions),
            lookups: part(lookups),
            weight_bytes,
        };
        Self { ops, product: self.product.map(|p| Product { share: p.share * share, ..p }), ..self }
    }
}

/// A product without weights of its own.
pub fn product(part: Part, op: Op, rows: u64, inputs: u64, outputs: u64) -> Step {
    let additions = rows * inputs * outputs;
    let (multiplies, shifts) = match op {
        Op::Multiply | Op::Multiply8 => (additions, 0),
        Op::Shift => (0, additions),
        Op::Add => (0, 0),
    };
    let ops = Ops { multiplies, shifts, additions, ..Ops::default() };
    Step { part, ops, product: (additions > 0).then_some(Product { share: 1.0, op, rows, inputs, outputs }) }
}

/// A linear layer; with no rows, one that is not applied to rays, of which the weights alone count.
pub fn linear(part: Part, kind: LinearKind, rows: u64, inputs: u64, outputs: u64) -> Step {
    let op = match kind {
        LinearKind::Dense => Op::Multiply,
        LinearKind::Shift { .. } => Op::Shift,
    };
    let mut step = product(part, op, rows, inputs, outputs);
    step.ops.weight_bytes = matrix_bytes(kind, inputs, outputs);
    step
}

/// Bytes of a matrix: 4 for a float; 4 bits for a shift and 1 byte for the power of two of its column, or 5 bits.
pub fn matrix_bytes(kind: LinearKind, inputs: u64, outputs: u64) -> u64 {
    match kind {
        LinearKind::Dense => 4 * inputs * outputs,
        LinearKind::Shift { bits: 4 } => (inputs * outputs).div_ceil(2) + outputs,
        LinearKind::Shift { bits } => (u64::from(bits) * inputs * outputs).div_ceil(8),
    }
}

/// Scores of codes of `bits` bits against `keys` others, and the weights that they stand for: one addition a bit, one
/// look-up a score.
pub fn scores(part: Part, rows: u64, bits: u64, keys: u64) -> Step {
    let mut step = product(part, Op::Add, rows, bits, keys);
    step.ops.lookups = rows * keys;
    step
}

/// Products that are summed up and are no matrix product.
pub fn elementwise(part: Part, multiplies: u64) -> Step {
    Step { part, ops: Ops { multiplies, additions: multiplies, ..Ops::default() }, product: None }
}

/// Operations of every part of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table([Ops; Part::ALL.len()]);

impl Table {
    /// Sums steps by part.
    pub fn of(steps: &[Step]) -> Self {
        Self(Part::ALL.map(|part| steps.iter().filter(|step| step.part == part).map(|step| step.ops).sum()))
    }

    /// Parts and their operations, in the order of [`Part::ALL`].
    pub fn rows(&self) -> impl Iterator<Item = (Part, Ops)> {
        Part::ALL.into_iter().zip(self.0)
    }

    /// Operations of one part.
    pub fn part(&self, part: Part) -> Ops {
        self.0[part as usize]
    }

    /// All of them.
    pub fn total(&self) -> Ops {
        self.0.into_iter().sum()
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Part::ALL.len() + 1))?;
        for (part, ops) in self.rows() {
            map.serialize_entry(&part, &ops)?;
        }
        map.serialize_entry("total", &self.total())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_matrices_fill_whole_bytes() {
        assert_eq!(matrix_bytes(LinearKind::Dense, 3, 5), 60);
        assert_eq!(matrix_bytes(LinearKind::Shift { bits: 4 }, 3, 5), 8 + 5);
        assert_eq!(matrix_bytes(LinearKind::Shift { bits: 5 }, 3, 5), 10);
        assert_eq!(matrix_bytes(LinearKind::Shift { bits: 4 }, 0, 1), 1);
    }

    #[test]
    fn parts_stand_in_their_order() {
        assert!(Part::ALL.iter().enumerate().all(|(i, part)| *part as usize == i));
        let steps = [elementwise(Part::Head, 3), linear(Part::Tokens, LinearKind::Dense, 2, 3, 5)];
        let table = Table::of(&steps);
        assert_eq!(table.part(Part::Head), Ops { multiplies: 3, additions: 3, ..Ops::default() });
        assert_eq!(table.total(), Ops { multiplies: 33, additions: 33, weight_bytes: 60, ..Ops::default() });
    }

    #[test]
    fn a_share_of_the_rows_keeps_all_weights() {
        let whole = linear(Part::Head, LinearKind::Shift { bits: 4 }, 8, 3, 5);
        let part = whole.shared(0.25);
        assert_eq!((part.ops.shifts, part.ops.weight_bytes), (30, whole.ops.weight_bytes));
        assert_eq!(part.product.unwrap().share, 0.25);
        assert_eq!(linear(Part::Head, LinearKind::Dense, 0, 3, 5).product, None);
    }
}
