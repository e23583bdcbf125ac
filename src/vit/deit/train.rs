//! Forward and backward pass of DeiT.

use super::Deit;
use layers::feed_forward::experts::{Balance, Noise, Usage};
use layers::grid_mlp::{GridMlpScratch, GridMlpTape};
use layers::layer_norm::LayerNormTape;
use layers::linear::add_column_sums;
use layers::patch_conv::PatchConvScratch;
use layers::ray_attention::{RayAttentionScratch, RayAttentionTape};

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct DeitTape {
    images: usize,
    embedded: Vec<f32>,
    /// Tokens after the last block `[images, tokens, C]`.
    states: Vec<f32>,
    pub(super) blocks: Vec<(RayAttentionTape, GridMlpTape)>,
    /// The tokens after every block, `[images, tokens, C]`, for whoever puts an empty list here before the pass.
    pub after_blocks: Option<Vec<Vec<f32>>>,
    norm: LayerNormTape,
    /// The extra tokens' normalised states, `[images, C]` each.
    pooled: Vec<Vec<f32>>,
    /// `[images, classes]`.
    pub logits: Vec<f32>,
}

impl DeitTape {
    /// What the feed-forward parts left, in order.
    pub fn mlps(&self) -> impl Iterator<Item = &GridMlpTape> {
        self.blocks.iter().map(|(_, mlp)| mlp)
    }
}

/// Buffers of both passes, for one thread.
#[derive(Clone, Debug, Default)]
pub struct DeitScratch {
    conv: PatchConvScratch,
    attention: RayAttentionScratch,
    mlp: GridMlpScratch,
    d_pooled: Vec<f32>,
    d_norm: Vec<f32>,
    d_states: Vec<f32>,
    d_embedded: Vec<f32>,
}

impl Deit {
    /// Tokens of an image, the extra ones included.
    pub(super) fn num_tokens(&self) -> usize {
        self.position.len / self.width
    }

    /// Classifies `images` images `x` `[images, height, width, 3]`; the logits are in the tape. With `seed`, routers choose
    /// on noisy logits, as in training.
    pub fn forward(
        &self,
        params: &[f32],
        images: usize,
        x: &[f32],
        seed: Option<u64>,
        tape: &mut DeitTape,
        scratch: &mut DeitScratch,
    ) {
        let (c, tokens, extra) = (self.width, self.num_tokens(), self.tokens.len());
        tape.images = images;
        let size = (images, self.image.0, self.image.1);
        self.patches.forward(params, size, x, &mut tape.embedded, &mut scratch.conv);
        tape.states.resize(images * tokens * c, 0.0);
        let position = self.position.of(params);
        for (state, embedded) in
            tape.states.chunks_exact_mut(tokens * c).zip(tape.embedded.chunks_exact((tokens - extra) * c))
        {
            for (i, token) in self.tokens.iter().enumerate() {
                state[i * c..][..c].copy_from_slice(token.of(params));
            }
            state[extra * c..].copy_from_slice(embedded);
            state.iter_mut().zip(position).for_each(|(s, p)| *s += p);
        }
        tape.blocks.resize_with(self.blocks.len(), Default::default);
        for (i, ((attention, mlp), kept)) in self.blocks.iter().zip(&mut tape.blocks).enumerate() {
            attention.forward(params, tokens, &mut tape.states, &mut kept.0);
            let noise = seed.map(|seed| Noise::new(seed, i as u64));
            mlp.forward(params, (1, tokens), &mut tape.states, noise, &mut kept.1);
            tape.after_blocks.iter_mut().for_each(|list| list.push(tape.states.clone()));
        }
        self.norm.forward(params, &tape.states, &mut tape.norm);
        tape.pooled.resize_with(extra, Vec::new);
        tape.logits.clear();
        tape.logits.resize(images * self.heads[0].outputs, 0.0);
        for (i, (head, pooled)) in self.heads.iter().zip(&mut tape.pooled).enumerate() {
            pooled.clear();
            tape.norm.y.chunks_exact(tokens * c).for_each(|image| pooled.extend_from_slice(&image[i * c..][..c]));
            head.forward(params, pooled, &mut tape.logits, true);
        }
        let scale = 1.0 / self.heads.len() as f32;
        tape.logits.iter_mut().for_each(|l| *l *= scale);
    }

    /// Adds the gradients of the folded parameters to `grads`, given those of the logits; `x` are the pixels again.
    pub fn backward(
        &self,
        params: &[f32],
        x: &[f32],
        tape: &DeitTape,
        d_logits: &[f32],
        balance: Option<Balance>,
        scratch: &mut DeitScratch,
        grads: &mut [f32],
    ) {
        let (c, tokens, extra) = (self.width, self.num_tokens(), self.tokens.len());
        let DeitScratch { conv, attention, mlp, d_pooled, d_norm, d_states, d_embedded } = scratch;
        let scale = 1.0 / self.heads.len() as f32;
        let d_logits: Vec<f32> = d_logits.iter().map(|d| d * scale).collect();
        d_norm.clear();
        d_norm.resize(tape.states.len(), 0.0);
        for (i, (head, pooled)) in self.heads.iter().zip(&tape.pooled).enumerate() {
            d_pooled.resize(pooled.len(), 0.0);
            head.backward(params, pooled, &d_logits, Some((d_pooled, false)), grads);
            for (image, d) in d_norm.chunks_exact_mut(tokens * c).zip(d_pooled.chunks_exact(c)) {
                image[i * c..][..c].copy_from_slice(d);
            }
        }
        d_states.clear();
        d_states.resize(tape.states.len(), 0.0);
        self.norm.backward(params, &tape.norm, d_norm, d_states, grads);
        for ((layer, feed_forward), kept) in self.blocks.iter().zip(&tape.blocks).rev() {
            feed_forward.backward(params, (1, tokens), &kept.1, d_states, mlp, grads, balance);
            layer.backward(params, tokens, &kept.0, d_states, attention, grads);
        }
        add_column_sums(compute::isa(), d_states, self.position.of_mut(grads));
        d_embedded.clear();
        for image in d_states.chunks_exact(tokens * c) {
            for (i, token) in self.tokens.iter().enumerate() {
                token.of_mut(grads).iter_mut().zip(&image[i * c..]).for_each(|(g, d)| *g += d);
            }
            d_embedded.extend_from_slice(&image[extra * c..]);
        }
        let size = (tape.images, self.image.0, self.image.1);
        self.patches.backward(params, size, x, d_embedded, None, conv, grads);
    }

    /// What the routers did in the forward pass that left `tape`, one entry a block.
    pub fn usage<'a>(&'a self, tape: &'a DeitTape) -> impl Iterator<Item = Usage> + 'a {
        self.blocks.iter().zip(&tape.blocks).map(|((_, mlp), kept)| mlp.usage(&kept.1))
    }

    /// Patches of the first image that `expert` ran in the feed-forward part of a block; none where there are no experts.
    pub fn patches_of<'a>(&'a self, tape: &'a DeitTape, block: usize, expert: usize) -> impl Iterator<Item = u32> + 'a {
        let (tokens, extra) = (self.num_tokens() as u32, self.tokens.len() as u32);
        let rows = tape.blocks[block].1.rows(expert).iter();
        rows.filter(move |row| (extra..tokens).contains(row)).map(move |row| row - extra)
    }

    /// Weights with which the class token looks at the patches in the last block, averaged over heads, of the first image.
    pub fn class_attention(&self, tape: &DeitTape) -> Vec<f32> {
        let (tokens, extra) = (self.num_tokens(), self.tokens.len());
        let (layer, kept) = (&self.blocks[self.blocks.len() - 1].0, &tape.blocks[self.blocks.len() - 1].0);
        layer.first_rows(kept, tokens, 1)[extra..tokens].to_vec()
    }
}
