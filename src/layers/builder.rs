//! Registers layers twice: as checkpoints name them, and folded, with the steps from one to the other.

use crate::folding::{Fold, Place};
use crate::layer_norm::LayerNorm;
use crate::linear::{Linear, LinearKind};
use crate::{Init, Layout, Slot};
use compute::Products;

/// What the projections of an attention are called in checkpoints, and which of them have biases of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// GNT's: `q_fc`, `k_fc` and `v_fc` `[C, C]` without biases, which queries and keys get where they become codes, and
    /// `out_fc`.
    #[default]
    Separate,
    /// DeiT's: `qkv` `[3C, C]` and `proj`, with biases.
    Fused,
    /// PVTv2's: `q` `[C, C]`, `kv` `[2C, C]` and `proj`, with biases.
    Paired,
}

impl Names {
    /// That of the layer after the attention.
    pub(crate) fn output(self) -> &'static str {
        match self {
            Self::Separate => "out_fc",
            Self::Fused | Self::Paired => "proj",
        }
    }
}

/// Sizes and the kind of linear layers that the parts of a block share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockShape {
    /// Channels of tokens and states, C.
    pub width: usize,
    /// Heads; head `h` owns channels `h·d .. (h+1)·d` of `d = C / heads`.
    pub heads: usize,
    /// Hidden channels of the relative direction and of the small MLP in view attentions, H.
    pub attention_hidden: usize,
    /// Hidden channels of a feed-forward part, as a multiple of C.
    pub mlp_ratio: usize,
    /// Weights of queries, keys, values and outputs.
    pub linears: LinearKind,
    /// What those are called.
    pub names: Names,
}

impl BlockShape {
    /// C, heads, channels of a head, and H, as operation counts have them.
    pub(crate) fn sizes(&self) -> [u64; 4] {
        [self.width, self.heads, self.width / self.heads, self.attention_hidden].map(|n| n as u64)
    }
}

/// A layout of parameters in the making, beside the folded layout that is made from it.
#[derive(Debug)]
pub struct Builder<'a> {
    /// Parameters as checkpoints name them; each name gets `prefix` before it.
    params: &'a mut Layout,
    prefix: &'static str,
    /// How training computes the products of the layers that are registered from here on.
    pub products: Products,
    /// Names and places of the folded values.
    pub folded: Layout,
    /// How they come from the parameters.
    pub folds: Vec<Fold>,
}

impl<'a> Builder<'a> {
    /// Adds to `params`, with `prefix` before each name.
    pub fn new(params: &'a mut Layout, prefix: &'static str) -> Self {
        Self { params, prefix, products: Products::F32, folded: Layout::new(), folds: Vec::new() }
    }

    /// Registers the parameter `name`, which no fold reads yet.
    pub fn param(&mut self, name: &str, shape: &[usize], init: Init) -> Slot {
        self.params.add(format!("{}{name}", self.prefix), shape, init)
    }

    /// `{name}.weight` `[outputs, inputs]`.
    pub fn weight(&mut self, name: &str, outputs: usize, inputs: usize) -> Slot {
        self.param(&format!("{name}.weight"), &[outputs, inputs], Init::fan_in(inputs))
    }

    /// `{name}.bias` `[outputs]` of a layer of `inputs` channels.
    pub fn bias(&mut self, name: &str, outputs: usize, inputs: usize) -> Slot {
        self.param(&format!("{name}.bias"), &[outputs], Init::fan_in(inputs))
    }

    /// Weight `[outputs, inputs]` and bias of a layer that no fold reads yet.
    pub fn weight_and_bias(&mut self, name: &str, inputs: usize, outputs: usize) -> [Slot; 2] {
        [self.weight(name, outputs, inputs), self.bias(name, outputs, inputs)]
    }

    /// A dense linear layer that is folded by transposition alone.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Linear {
        self.linear_of(LinearKind::Dense, name, inputs, outputs, bias)
    }

    /// The same with weights of `kind`.
    pub fn linear_of(&mut self, kind: LinearKind, name: &str, inputs: usize, outputs: usize, bias: bool) -> Linear {
        let weight = self.weight(name, outputs, inputs);
        let bias = bias.then(|| self.bias(name, outputs, inputs));
        self.fold_linear(name, weight, bias, inputs, outputs, kind)
    }

    /// As [`Builder::linear_of`] with a bias, and the places of weight and bias among the parameters.
    pub fn linear_with_parameters(
        &mut self,
        kind: LinearKind,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> (Linear, [Slot; 2]) {
        let [weight, bias] = self.weight_and_bias(name, inputs, outputs);
        (self.fold_linear(name, weight, Some(bias), inputs, outputs, kind), [weight, bias])
    }

    /// The folded layer of a weight `[outputs, inputs]` and a bias that are registered already.
    pub fn fold_linear(
        &mut self,
        name: &str,
        weight: Slot,
        bias: Option<Slot>,
        inputs: usize,
        outputs: usize,
        kind: LinearKind,
    ) -> Linear {
        let mut layer = Linear::new(&mut self.folded, name, inputs, outputs, bias.is_some());
        layer.products = self.products;
        let fold = Fold::transpose(weight, outputs, inputs, Place::start(layer.weight, outputs));
        self.folds.push(fold.of_kind(kind));
        if let (Some(from), Some(to)) = (bias, layer.bias) {
            self.folds.push(Fold::bias(from, Place::start(to, outputs)));
        }
        layer
    }

    /// A parameter that the folded network reads as it is.
    pub fn copy(&mut self, name: &str, shape: &[usize], init: Init) -> Slot {
        self.copy_with_parameter(name, shape, init).1
    }

    /// The same: its places among the parameters and in the folded network.
    pub fn copy_with_parameter(&mut self, name: &str, shape: &[usize], init: Init) -> (Slot, Slot) {
        let from = self.param(name, shape, init);
        let to = self.folded.add(name, shape, init);
        self.folds.push(Fold::bias(from, Place::start(to, to.len)));
        (from, to)
    }

    /// A layer normalisation, `{name}.weight` and `{name}.bias`.
    pub fn norm(&mut self, name: &str, width: usize, eps: f32) -> LayerNorm {
        let gain = self.copy(&format!("{name}.weight"), &[width], Init::Ones);
        let bias = self.copy(&format!("{name}.bias"), &[width], Init::Zeros);
        LayerNorm { gain, bias, width, eps }
    }
}
