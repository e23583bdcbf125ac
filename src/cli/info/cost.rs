//! Operations and bytes, summed by the part of the network that they belong to.

use super::steps::Step;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::iter::Sum;
use std::ops::Add;

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

/// A kind of layer.
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

    /// All of them.
    pub fn total(&self) -> Ops {
        self.0.into_iter().sum()
    }

    /// Lines of columns: millions of operations, bytes of weights. Parts that the network lacks are left out.
    pub fn words(&self, lines: &mut Vec<String>) {
        let [a, b, c, d, e] = ["multiplies", "shifts", "additions", "look-ups", "weight bytes"];
        lines.push(format!("{:18} {a:>10} {b:>9} {c:>9} {d:>9} {e:>13}", ""));
        let rows = self.rows().filter(|(_, ops)| *ops != Ops::default()).map(|(part, ops)| (part.name(), ops));
        for (name, ops) in rows.chain([("total", self.total())]) {
            let Ops { multiplies, shifts, additions, lookups, weight_bytes } = ops;
            let [a, b, c, d] = [multiplies, shifts, additions, lookups].map(|n| n as f64 / 1e6);
            lines.push(format!("{name:18} {a:10.3} {b:9.3} {c:9.3} {d:9.3} {weight_bytes:13}"));
        }
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
