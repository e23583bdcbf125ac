//! Classifiers ready to run on a CPU: weights packed for the kernels, one image at a time on one thread, so that all that
//! an image touches stays in that core's cache.

use crate::compact::engine::{CompactBuffers, PackedCompact};
use crate::deit::engine::{DeitBuffers, PackedDeit};
use crate::model::Net;
use crate::pvt::engine::{PackedPvt, PvtBuffers};
use crate::{Config, Model};
use compute::Isa;
pub use layers::linear::engine::Precision;

/// A classifier ready to run.
#[derive(Clone, Debug)]
pub struct Engine {
    folded: Vec<f32>,
    net: PackedNet,
    isa: Isa,
    precision: Precision,
}

#[expect(clippy::large_enum_variant, reason = "one an engine")]
#[derive(Clone, Debug)]
enum PackedNet {
    Compact(PackedCompact),
    Deit(PackedDeit),
    Pvt(PackedPvt),
}

/// Buffers of a thread; those of networks that are not used stay empty.
#[derive(Clone, Debug, Default)]
pub struct EngineScratch {
    compact: CompactBuffers,
    deit: DeitBuffers,
    pvt: PvtBuffers,
    logits: Vec<f32>,
}

impl EngineScratch {
    /// Tokens that the multiply and the shift expert of each block have run with these buffers; empty without experts.
    pub fn expert_counts(&self) -> &[[u64; 2]] {
        let all = [&self.compact.feed_forward.experts.counts, &self.deit.mlp.counts, &self.pvt.mlp.counts];
        all.into_iter().find(|counts| !counts.is_empty()).map_or(&[], Vec::as_slice)
    }
}

impl Engine {
    /// Packs the parameters of `model`; products are computed as [`Precision::fastest`] says.
    pub fn new(model: &Model, params: &[f32]) -> Self {
        Self::with_precision(model, params, Precision::fastest(model.config.has_shifts(), compute::isa()))
    }

    /// The same with products computed as `precision` says.
    pub fn with_precision(model: &Model, params: &[f32], precision: Precision) -> Self {
        let folded = model.fold(params);
        let net = match (&model.net, &model.config) {
            (Net::Compact(net), Config::Compact(config)) => {
                PackedNet::Compact(PackedCompact::new(precision, config, net, &folded))
            }
            (Net::Deit(net), Config::Deit(config)) => PackedNet::Deit(PackedDeit::new(precision, config, net, &folded)),
            (Net::Pvt(net), Config::Pvt(config)) => PackedNet::Pvt(PackedPvt::new(precision, config, net, &folded)),
            _ => unreachable!("a network has its own configuration"),
        };
        Self { folded, net, isa: compute::isa(), precision }
    }

    /// The same engine, whose kernels run with the instructions of `isa` and no others.
    pub fn with_isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// How products are computed.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Logits of the classes of one normalised image `x` `[height, width, 3]`.
    pub fn classify<'a>(&self, x: &[f32], scratch: &'a mut EngineScratch) -> &'a [f32] {
        let EngineScratch { compact, deit, pvt, logits } = scratch;
        match &self.net {
            PackedNet::Compact(net) => net.apply(self.isa, &self.folded, x, logits, compact),
            PackedNet::Deit(net) => net.apply(self.isa, &self.folded, x, logits, deit),
            PackedNet::Pvt(net) => net.apply(self.isa, &self.folded, x, logits, pvt),
        }
        logits
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
