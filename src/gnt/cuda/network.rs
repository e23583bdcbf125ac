//! The folded network as the ray kernel reads it; the structs are twins of those in `kernels/render/network.cuh`.

use super::Precision;
use super::pack::{Arena, Order};
use crate::network::parameters::{Block, MlpLayer, RayLayer, ViewLayer};
use crate::{Error, Model, Result};
use layers::layer_norm::LayerNorm;
use layers::linear::Linear;
use tensor::cuda::{Buffer, Device, Plain};

/// Addresses of two layers' weights.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Perceptron {
    fc1: u64,
    bias1: u64,
    fc2: u64,
    bias2: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct FeedForward {
    norm: u64,
    parts: [Perceptron; 2],
    router: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct BlockWeights {
    view_norm: u64,
    view_query: u64,
    view_query_bias: u64,
    view_key: u64,
    view_key_bias: u64,
    direction: u64,
    token: u64,
    hidden: u64,
    token_bias: u64,
    logits: u64,
    head_bias: u64,
    view_tau: u64,
    view_out: u64,
    view_out_bias: u64,
    view_ff: FeedForward,
    position_state: u64,
    position_bias: u64,
    position_encoding: u64,
    position_ray: u64,
    position_out: u64,
    position_out_bias: u64,
    ray_norm: u64,
    query: u64,
    key: u64,
    value: u64,
    query_bias: u64,
    key_bias: u64,
    ray_tau: u64,
    ray_out: u64,
    ray_out_bias: u64,
    ray_ff: FeedForward,
}

/// Addresses of a network's weights on a device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkWeights {
    colour: u64,
    token: u64,
    token_bias: u64,
    start_mean: u64,
    start_variance: u64,
    start_bias: u64,
    blocks: u64,
    norm: u64,
    rgb: u64,
    blend_token: u64,
    blend_bias: u64,
    blend_direction: u64,
    blend_state: u64,
    blend_view: u64,
    blend_ray: u64,
    depth: u64,
}

// SAFETY: addresses only, no padding.
unsafe impl Plain for BlockWeights {}
// SAFETY: as above.
unsafe impl Plain for NetworkWeights {}

/// A network on a device.
#[derive(Debug)]
pub struct Network {
    /// What the kernel is given.
    pub weights: NetworkWeights,
    // Held because `weights` points to them.
    _arena: Buffer<u32>,
    _blocks: Buffer<BlockWeights>,
}

impl Network {
    /// Packs and uploads the folded parameters of `model`.
    ///
    /// # Errors
    /// If the network has parts without kernels, or memory is short.
    pub fn new(device: &Device, model: &Model, folded: &[f32], precision: Precision) -> Result<Self> {
        let mut packer = Packer { arena: Arena::new(precision), precision, folded, width: model.config.width };
        let mut weights = packer.network(model);
        let mut blocks: Vec<BlockWeights> =
            model.net.blocks.iter().map(|b| packer.block(model, b)).collect::<Result<_>>()?;
        let arena = device.upload(packer.arena.words())?;
        blocks.iter_mut().for_each(|b| relocate(b, arena.address()));
        relocate(&mut weights, arena.address());
        let blocks = device.upload(&blocks)?;
        weights.blocks = blocks.address();
        weights.depth = model.config.depth as u64;
        Ok(Self { weights, _arena: arena, _blocks: blocks })
    }
}

/// Turns places in the arena into addresses; 0 stays a null pointer.
fn relocate<T: Plain>(weights: &mut T, base: u64) {
    let count = size_of::<T>() / 8;
    // SAFETY: the structs above are nothing but 64-bit words.
    let words = unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(weights).cast::<u64>(), count) };
    words.iter_mut().filter(|w| **w != 0).for_each(|w| *w += base);
}

struct Packer<'a> {
    arena: Arena,
    precision: Precision,
    folded: &'a [f32],
    width: usize,
}

impl Packer<'_> {
    /// Columns `first .. first + outputs` of rows `from ..` of a layer.
    fn part(
        &mut self,
        order: Order,
        layer: &Linear,
        (from, inputs): (usize, usize),
        (first, outputs): (usize, usize),
    ) -> u64 {
        let (weight, columns) = (layer.weight.of(self.folded), layer.outputs);
        self.arena.matrix(order, inputs, outputs, |i, o| weight[(from + i) * columns + first + o])
    }

    fn whole(&mut self, order: Order, layer: &Linear) -> u64 {
        self.part(order, layer, (0, layer.inputs), (0, layer.outputs))
    }

    /// As [`Packer::part`] for a layer that is computed on bytes where the precision says so; `shift` tells whether its
    /// weights are powers of two.
    fn coarse(
        &mut self,
        order: Order,
        layer: &Linear,
        inputs: usize,
        (first, outputs): (usize, usize),
        shift: bool,
    ) -> u64 {
        if !self.precision.on_bytes() {
            return self.part(order, layer, (0, inputs), (first, outputs));
        }
        let (weight, columns) = (layer.weight.of(self.folded), layer.outputs);
        let kind = (shift, shift && self.precision == Precision::Packed);
        self.arena.bytes(order, inputs, outputs, kind, |i, o| weight[i * columns + first + o])
    }

    fn coarse_whole(&mut self, order: Order, layer: &Linear, shift: bool) -> u64 {
        self.coarse(order, layer, layer.inputs, (0, layer.outputs), shift)
    }

    /// A bias, filled up with zeros to a multiple of eight; zeros if the layer has none.
    fn bias(&mut self, layer: &Linear) -> u64 {
        let mut bias = layer.bias.map_or(vec![0.0; layer.outputs], |b| b.of(self.folded).to_vec());
        bias.resize(bias.len().next_multiple_of(8), 0.0);
        self.arena.numbers(&bias)
    }

    fn numbers(&mut self, slot: layers::Slot) -> u64 {
        self.arena.numbers(slot.of(self.folded))
    }

    fn norm(&mut self, norm: &LayerNorm) -> u64 {
        self.arena.numbers(&[norm.gain.of(self.folded), norm.bias.of(self.folded)].concat())
    }

    /// A layer's weights and, after them, its bias.
    fn with_bias(&mut self, layer: &Linear) -> u64 {
        let bias = layer.bias.map_or(vec![0.0; layer.outputs], |b| b.of(self.folded).to_vec());
        self.arena.numbers(&[layer.weight.of(self.folded), &bias].concat())
    }

    fn network(&mut self, model: &Model) -> NetworkWeights {
        let (net, c) = (&model.net, self.width);
        let mut weights = NetworkWeights {
            colour: self.with_bias(&net.token_colour),
            token: self.whole(Order::Rows, &net.token_fc2),
            token_bias: self.bias(&net.token_fc2),
            norm: self.norm(&net.norm),
            rgb: self.with_bias(&net.rgb),
            ..NetworkWeights::default()
        };
        if let Some(start) = &net.start {
            weights.start_mean = self.part(Order::Natural, start, (0, c), (0, c));
            weights.start_variance = self.part(Order::Natural, start, (c, c), (0, c));
            weights.start_bias = self.bias(start);
        }
        if let Some(blend) = &net.blend {
            weights.blend_token = self.whole(Order::Rows, &blend.token);
            weights.blend_bias = self.bias(&blend.token);
            weights.blend_direction = self.numbers(blend.direction.weight);
            weights.blend_state = self.whole(Order::Natural, &blend.state);
            weights.blend_view = self.numbers(blend.view.weight);
            weights.blend_ray = self.numbers(blend.ray.weight);
        }
        weights
    }

    fn block(&mut self, model: &Model, block: &Block) -> Result<BlockWeights> {
        let mut w = BlockWeights::default();
        self.view(&mut w, &block.view);
        w.view_ff = self.feed_forward(&block.view_ff);
        if let Some(position) = &block.position {
            let (samples, all) = (model.config.position.sample_channels(), model.config.position.channels());
            w.position_state = self.whole(Order::Natural, &position.state);
            w.position_bias = self.bias(&position.state);
            w.position_encoding = self.part(Order::Rows, &position.encoding, (0, samples), (0, self.width));
            let of_ray = &position.encoding.weight.of(self.folded)[samples * self.width..all * self.width];
            w.position_ray = self.arena.numbers(of_ray);
            w.position_out = self.whole(Order::Natural, &position.fc2);
            w.position_out_bias = self.bias(&position.fc2);
        }
        self.ray(&mut w, &block.ray)?;
        w.ray_ff = self.feed_forward(&block.ray_ff);
        Ok(w)
    }

    fn view(&mut self, w: &mut BlockWeights, layer: &ViewLayer) {
        let c = self.width;
        match layer {
            ViewLayer::Subtract(view) => {
                let (h, columns) = (view.query.outputs, (0, c + view.query.outputs));
                w.view_norm = self.norm(&view.norm);
                w.view_query = self.whole(Order::Natural, &view.query);
                w.direction = self.with_bias(&view.direction);
                w.token = self.part(Order::Rows, &view.mix, (0, c), columns);
                w.hidden = self.part(Order::Natural, &view.mix, (c, h), columns);
                w.token_bias = self.bias(&view.mix);
                w.logits = self.whole(Order::Natural, &view.logits);
                w.view_out = self.whole(Order::Natural, &view.out);
                w.view_out_bias = self.bias(&view.out);
            }
            ViewLayer::Hamming(view) => {
                let (h, d) = (view.direction.outputs, c / view.heads);
                w.view_norm = self.norm(&view.norm);
                w.view_query = self.coarse_whole(Order::Natural, &view.query, true);
                w.view_query_bias = self.bias(&view.query);
                w.view_key = self.whole(Order::Natural, &view.key);
                w.view_key_bias = self.bias(&view.key);
                w.direction = self.with_bias(&view.direction);
                // Heads one after the other: sizes leave no gap between them.
                for head in 0..view.heads {
                    let at = self.coarse(Order::Rows, &view.value, c, (head * d, d), true);
                    if head == 0 {
                        w.token = at;
                    }
                }
                for head in 0..view.heads {
                    let at = self.part(Order::Natural, &view.value, (c, h), (head * d, d));
                    if head == 0 {
                        w.hidden = at;
                    }
                }
                w.head_bias = self.numbers(view.bias.weight);
                w.view_tau = self.numbers(view.tau);
                w.view_out = self.coarse_whole(Order::Natural, &view.out, true);
                w.view_out_bias = self.bias(&view.out);
            }
        }
    }

    fn ray(&mut self, w: &mut BlockWeights, layer: &RayLayer) -> Result<()> {
        let (norm, qkv, out) = match layer {
            RayLayer::Softmax(l) => (&l.norm, &l.qkv, &l.out),
            RayLayer::Hamming(l) => {
                w.ray_tau = self.numbers(l.tau);
                (&l.norm, &l.qkv, &l.out)
            }
            RayLayer::LinearAngular(_) => {
                return Err(Error::Unsupported("CUDA: linear-angular attention has no kernel".into()));
            }
        };
        let c = self.width;
        let places = [0, 1, 2].map(|i| self.coarse(Order::Natural, qkv, c, (i * c, c), true));
        [w.query, w.key, w.value] = places;
        let bias = qkv.bias.map_or(vec![0.0; 3 * c], |b| b.of(self.folded).to_vec());
        w.query_bias = self.arena.numbers(&bias[..c]);
        w.key_bias = self.arena.numbers(&bias[c..2 * c]);
        w.ray_norm = self.norm(norm);
        w.ray_out = self.coarse_whole(Order::Natural, out, true);
        w.ray_out_bias = self.bias(out);
        Ok(())
    }

    fn feed_forward(&mut self, layer: &MlpLayer) -> FeedForward {
        let mut part = |order: Order, fc1: &Linear, fc2: &Linear, shift: bool| Perceptron {
            fc1: self.coarse_whole(order, fc1, shift),
            bias1: self.bias(fc1),
            fc2: self.coarse_whole(Order::Natural, fc2, shift),
            bias2: self.bias(fc2),
        };
        match layer {
            MlpLayer::Single(ff) => {
                let parts = [part(Order::Natural, &ff.fc1, &ff.fc2, true), Perceptron::default()];
                FeedForward { norm: self.norm(&ff.norm), parts, router: 0 }
            }
            MlpLayer::Experts(e) => {
                // Experts read their rows from memory.
                let [multiply, shift] = e.experts;
                let multiply = part(Order::Rows, &multiply.fc1, &multiply.fc2, false);
                let parts = [multiply, part(Order::Rows, &shift.fc1, &shift.fc2, true)];
                FeedForward { norm: self.norm(&e.norm), parts, router: self.with_bias(&e.router) }
            }
        }
    }
}
