//! The folded network as the ray kernel reads it.

use super::CudaPrecision;
use super::instance::SLOTS;
use crate::folded::{Block, PositionLayer};
use crate::{Config, Error, Model, Result};
use compute::cuda::twin::{Address, Fragments, Pointee, Twin, TwinField, Weights, comment};
use compute::cuda::{Buffer, Device};
use compute::twin;
use layers::ray_kernel::{Order, Packer};

twin! {
    /// Weights of a position layer; matrices are C → C.
    pub(super) struct PositionWeights {
        /// Null where the block has no position layer.
        state: Address<Fragments>,
        /// `[C]`.
        bias: Address<f32>,
        /// Encoding → C, order Rows.
        encoding: Address<Fragments>,
        /// `[ray encoding, C]`.
        ray: Address<f32>,
        out: Address<Fragments>,
        /// `[C]`.
        out_bias: Address<f32>,
    }
}

twin! {
    /// Addresses of a network's weights on a device.
    pub(super) struct NetworkWeights {
        /// `[4, C]`: colour rows and bias of the first token layer.
        colour: Address<f32>,
        /// C → C, order Rows.
        token: Address<Fragments>,
        /// `[C]`.
        token_bias: Address<f32>,
        /// C → C.
        start_mean: Address<Fragments>,
        /// C → C.
        start_variance: Address<Fragments>,
        /// `[C]`.
        start_bias: Address<f32>,
        /// `[depth]`.
        blocks: Address<BlockWeights>,
        /// Gain and bias `[2, C]`.
        norm: Address<f32>,
        /// `[C, 3]` and three biases.
        rgb: Address<f32>,
        /// C → C/2, order Rows.
        blend_token: Address<Fragments>,
        /// `[C/2]`.
        blend_bias: Address<f32>,
        /// `[4, C/2]`.
        blend_direction: Address<f32>,
        /// C → C/2.
        blend_state: Address<Fragments>,
        /// `[C/2]`.
        blend_view: Address<f32>,
        /// `[C]`.
        blend_ray: Address<f32>,
        depth: u64,
    }
}

/// The parts of a block, in the order in which they lie in memory; which structs the slots' are depends on the network.
struct Parts<T> {
    view: T,
    view_ff: T,
    position: T,
    ray: T,
    ray_ff: T,
}

impl<T> Parts<T> {
    fn in_order(self) -> [(&'static str, T); 5] {
        let Self { view, view_ff, position, ray, ray_ff } = self;
        [("view", view), ("view_ff", view_ff), ("position", position), ("ray", ray), ("ray_ff", ray_ff)]
    }
}

/// Stands for the struct in C, whose size depends on the network.
#[derive(Debug)]
pub(super) struct BlockWeights;

impl Pointee for BlockWeights {
    const C: &'static str = "const BlockWeights";
}

impl BlockWeights {
    /// The struct in C.
    pub fn text() -> String {
        let [view, ray, feed_forward] = SLOTS;
        let parts = Parts {
            view: view.weights,
            view_ff: feed_forward.weights,
            position: PositionWeights::NAME,
            ray: ray.weights,
            ray_ff: feed_forward.weights,
        };
        let parts = parts.in_order();
        let members: String = parts.iter().map(|(field, kind)| format!("    {kind} {field};\n")).collect();
        let sizes = parts.map(|(_, kind)| format!("sizeof({kind})")).join(" +\n                  ");
        let doc = comment(0, "A view block, its position layer and a ray block.");
        format!(
            "{doc}struct BlockWeights {{\n{members}}};\nstatic_assert(sizeof(BlockWeights) ==\n              {sizes},\n\
             {:14}\"the parts of a block lie one after the other\");\n",
            ""
        )
    }
}

/// A network on a device.
#[derive(Debug)]
pub(super) struct Network {
    /// What the kernel is given.
    pub weights: NetworkWeights,
    // Held because `weights` points to them.
    _arena: Buffer<u32>,
    _blocks: Buffer<u8>,
}

impl Network {
    /// Packs and uploads the folded parameters of `model`.
    ///
    /// # Errors
    /// If the network has parts without kernels, or memory is short.
    pub fn new(device: &Device, model: &Model, folded: &[f32], precision: CudaPrecision) -> Result<Self> {
        let mut packer = Packer::new(precision, folded);
        let mut weights = network(&mut packer, model);
        let parts: Vec<Box<dyn Weights>> = model
            .net
            .blocks
            .iter()
            .map(|block| pack_block(&mut packer, &model.config, block))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flat_map(|parts| parts.in_order().map(|(_, part)| part))
            .collect();
        let arena = device.upload(packer.arena.words())?;
        // Places in the arena become addresses; null stays null.
        let mut relocate = |address: &mut u64| {
            if *address != 0 {
                *address += arena.address();
            }
        };
        TwinField::each_address(&mut weights, &mut relocate);
        let mut blocks = Vec::new();
        for mut part in parts {
            part.each_address(&mut relocate);
            blocks.extend_from_slice(part.bytes());
        }
        let blocks = device.upload(&blocks)?;
        weights.blocks = Address::at(blocks.address());
        weights.depth = model.config.depth as u64;
        Ok(Self { weights, _arena: arena, _blocks: blocks })
    }
}

fn network(packer: &mut Packer, model: &Model) -> NetworkWeights {
    let (net, c) = (&model.net, model.config.width);
    let mut weights = NetworkWeights {
        colour: packer.with_bias(&net.token_colour),
        token: packer.matrix(Order::Rows, &net.token_fc2),
        token_bias: packer.bias(&net.token_fc2),
        norm: packer.norm(&net.norm),
        rgb: packer.with_bias(&net.rgb),
        ..NetworkWeights::default()
    };
    if let Some(start) = &net.start {
        weights.start_mean = packer.part(Order::Natural, start, (0, c), (0, c));
        weights.start_variance = packer.part(Order::Natural, start, (c, c), (0, c));
        weights.start_bias = packer.bias(start);
    }
    if let Some(blend) = &net.blend {
        weights.blend_token = packer.matrix(Order::Rows, &blend.token);
        weights.blend_bias = packer.bias(&blend.token);
        weights.blend_direction = packer.numbers(blend.direction.weight);
        weights.blend_state = packer.matrix(Order::Natural, &blend.state);
        weights.blend_view = packer.numbers(blend.view.weight);
        weights.blend_ray = packer.numbers(blend.ray.weight);
    }
    weights
}

fn pack_block(packer: &mut Packer, config: &Config, block: &Block) -> Result<Parts<Box<dyn Weights>>> {
    let position =
        block.position.as_ref().map_or_else(PositionWeights::default, |layer| pack_position(packer, config, layer));
    Ok(Parts {
        view: block.view.pack(packer),
        view_ff: block.view_ff.pack(packer),
        position: Box::new(position),
        ray: block.ray.pack(packer).map_err(|problem| Error::Unsupported(format!("CUDA: {problem}")))?,
        ray_ff: block.ray_ff.pack(packer),
    })
}

fn pack_position(packer: &mut Packer, config: &Config, layer: &PositionLayer) -> PositionWeights {
    let (samples, all) = (config.position.sample_channels(), config.position.channels());
    PositionWeights {
        state: packer.matrix(Order::Natural, &layer.state),
        bias: packer.bias(&layer.state),
        encoding: packer.part(Order::Rows, &layer.encoding, (0, samples), (0, config.width)),
        ray: packer.rows(&layer.encoding, (samples, all - samples)),
        out: packer.matrix(Order::Natural, &layer.fc2),
        out_bias: packer.bias(&layer.fc2),
    }
}
