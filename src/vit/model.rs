//! A whole classifier: configuration, parameter layout and network.

use crate::compact::{Compact, CompactScratch, CompactTape};
use crate::deit::{Deit, DeitScratch, DeitTape};
use crate::pvt::{Pvt, PvtScratch, PvtTape};
use crate::{Config, Error, Result};
use compute::Products;
use layers::Layout;
use layers::feed_forward::experts::Balance;
use layers::folding::{Fold, fold, unfold};

/// Most weights of a model: 1 GiB in f32.
pub const MAX_PARAMETERS: usize = 1 << 28;

/// The structure of a classifier; its parameters are a flat vector in [`Model::layout`].
#[derive(Clone, Debug)]
pub struct Model {
    /// Sizes and variants.
    pub config: Config,
    /// Names and places of all parameters.
    pub layout: Layout,
    /// Names and places of the folded parameters.
    pub folded: Layout,
    /// How they come from the parameters.
    pub folds: Vec<Fold>,
    /// The network, which reads the folded parameters.
    pub net: Net,
}

/// The network of a [`Config`].
#[expect(clippy::large_enum_variant, reason = "one a model: places in a vector, not weights")]
#[derive(Clone, Debug)]
pub enum Net {
    /// [`Config::Compact`].
    Compact(Compact),
    /// [`Config::Deit`].
    Deit(Deit),
    /// [`Config::Pvt`].
    Pvt(Pvt),
}

impl Model {
    /// Builds the structure of `config`; training computes its products as `products` says.
    ///
    /// # Errors
    /// [`Error::Config`] if a size is out of range, or there would be more than [`MAX_PARAMETERS`] weights.
    pub fn new(config: Config, products: Products) -> Result<Self> {
        config.validate()?;
        let mut layout = Layout::new();
        let (net, folded, folds) = match &config {
            Config::Compact(config) => {
                let (net, folded, folds) = Compact::build(config, &mut layout, products);
                (Net::Compact(net), folded, folds)
            }
            Config::Deit(config) => {
                let (net, folded, folds) = Deit::build(config, &mut layout, products);
                (Net::Deit(net), folded, folds)
            }
            Config::Pvt(config) => {
                let (net, folded, folds) = Pvt::build(config, &mut layout, products);
                (Net::Pvt(net), folded, folds)
            }
        };
        if layout.len() > MAX_PARAMETERS {
            let found = layout.len();
            return Err(Error::Config(format!("expected at most {MAX_PARAMETERS} weights, found sizes for {found}")));
        }
        Ok(Self { config, layout, folded, folds, net })
    }

    /// The folded form of `params`.
    pub fn fold(&self, params: &[f32]) -> Vec<f32> {
        fold(&self.folds, params, self.folded.len())
    }

    /// Adds the parameters' gradients, given those of the folded form.
    pub fn unfold(&self, params: &[f32], folded_grads: &[f32], grads: &mut [f32]) {
        unfold(&self.folds, params, folded_grads, grads);
    }
}

/// What a backward pass needs of the forward pass; the networks that are not used stay empty.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    /// Of [`Net::Compact`].
    pub compact: CompactTape,
    /// Of [`Net::Deit`].
    pub deit: DeitTape,
    /// Of [`Net::Pvt`].
    pub pvt: PvtTape,
}

/// Buffers of both passes, for one thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    compact: CompactScratch,
    deit: DeitScratch,
    pvt: PvtScratch,
}

impl Model {
    /// The logits of the forward pass that left `tape`, `[images, classes]`.
    pub fn logits<'a>(&self, tape: &'a Tape) -> &'a [f32] {
        match &self.net {
            Net::Compact(_) => &tape.compact.logits,
            Net::Deit(_) => &tape.deit.logits,
            Net::Pvt(_) => &tape.pvt.logits,
        }
    }

    /// Classifies `images` normalised images `x` `[images, height, width, 3]`; the logits are in the tape. With `seed`,
    /// routers choose on noisy logits, as in training.
    pub fn forward(
        &self,
        folded: &[f32],
        images: usize,
        x: &[f32],
        seed: Option<u64>,
        tape: &mut Tape,
        scratch: &mut Scratch,
    ) {
        match &self.net {
            Net::Compact(net) => net.forward(folded, images, x, seed, &mut tape.compact, &mut scratch.compact),
            Net::Deit(net) => net.forward(folded, images, x, seed, &mut tape.deit, &mut scratch.deit),
            Net::Pvt(net) => net.forward(folded, images, x, seed, &mut tape.pvt, &mut scratch.pvt),
        }
    }

    /// Adds the gradients of the folded parameters to `grads`, given those of the logits; `x` are the images again.
    pub fn backward(
        &self,
        folded: &[f32],
        x: &[f32],
        tape: &Tape,
        d_logits: &[f32],
        balance: Option<Balance>,
        scratch: &mut Scratch,
        grads: &mut [f32],
    ) {
        match &self.net {
            Net::Compact(net) => {
                net.backward(folded, x, &tape.compact, d_logits, balance, &mut scratch.compact, grads);
            }
            Net::Deit(net) => net.backward(folded, x, &tape.deit, d_logits, balance, &mut scratch.deit, grads),
            Net::Pvt(net) => net.backward(folded, x, &tape.pvt, d_logits, balance, &mut scratch.pvt, grads),
        }
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
