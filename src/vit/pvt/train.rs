//! Forward and backward pass of PVTv2.

use super::look::{LookScratch, LookTape};
use super::{Pvt, mean};
use layers::feed_forward::experts::{Balance, Noise, Usage};
use layers::grid_mlp::{GridMlpScratch, GridMlpTape};
use layers::layer_norm::LayerNormTape;
use layers::patch_conv::{ImageSize, PatchConvScratch};

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct PvtTape {
    images: usize,
    pub(super) stages: Vec<StageTape>,
    /// Tokens of the stage at work `[images, tokens, C]`.
    states: Vec<f32>,
    /// Means over the tokens of an image, `[images, C]`.
    pooled: Vec<f32>,
    /// The tokens after every block, `[images, tokens, C]`, for whoever puts an empty list here before the pass.
    pub after_blocks: Option<Vec<Vec<f32>>>,
    /// `[images, classes]`.
    pub logits: Vec<f32>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct StageTape {
    embedded: Vec<f32>,
    patch_norm: LayerNormTape,
    pub blocks: Vec<(LookTape, GridMlpTape)>,
    norm: LayerNormTape,
}

impl PvtTape {
    /// What the feed-forward parts left, in order.
    pub fn mlps(&self) -> impl Iterator<Item = &GridMlpTape> {
        self.stages.iter().flat_map(|stage| stage.blocks.iter().map(|(_, mlp)| mlp))
    }
}

/// Buffers of both passes, for one thread.
#[derive(Clone, Debug, Default)]
pub struct PvtScratch {
    conv: PatchConvScratch,
    look: LookScratch,
    mlp: GridMlpScratch,
    d_norm: Vec<f32>,
    d_states: Vec<f32>,
    d_embedded: Vec<f32>,
}

impl Pvt {
    /// Classifies `images` images `x` `[images, height, width, 3]`; the logits are in the tape. With `seed`, routers choose
    /// on noisy logits, as in training.
    pub fn forward(
        &self,
        params: &[f32],
        images: usize,
        x: &[f32],
        seed: Option<u64>,
        tape: &mut PvtTape,
        scratch: &mut PvtScratch,
    ) {
        let PvtTape { stages, states, pooled, after_blocks, logits, .. } = tape;
        tape.images = images;
        stages.resize_with(self.stages.len(), StageTape::default);
        let (mut size, mut block) = ((images, self.image.0, self.image.1), 0);
        for (i, stage) in self.stages.iter().enumerate() {
            let (before, kept) = stages.split_at_mut(i);
            let kept = &mut kept[0];
            let input = before.last().map_or(x, |before| &before.norm.y);
            stage.patches.forward(params, size, input, &mut kept.embedded, &mut scratch.conv);
            (size.1, size.2) = stage.patches.output_size(size.1, size.2);
            stage.patch_norm.forward(params, &kept.embedded, &mut kept.patch_norm);
            states.clone_from(&kept.patch_norm.y);
            kept.blocks.resize_with(stage.blocks.len(), Default::default);
            for ((look, mlp), kept) in stage.blocks.iter().zip(&mut kept.blocks) {
                look.forward(params, size, states, &mut kept.0, &mut scratch.look);
                let noise = seed.map(|seed| Noise::new(seed, block));
                mlp.forward(params, (size.1, size.2), states, noise, &mut kept.1);
                after_blocks.iter_mut().for_each(|list| list.push(states.clone()));
                block += 1;
            }
            stage.norm.forward(params, states, &mut kept.norm);
        }
        let c = self.head.inputs;
        pooled.clear();
        pooled.resize(images * c, 0.0);
        let last = &stages[stages.len() - 1].norm.y;
        for (image, pooled) in last.chunks_exact(last.len() / images).zip(pooled.chunks_exact_mut(c)) {
            mean(image, pooled);
        }
        logits.resize(images * self.head.outputs, 0.0);
        self.head.forward(params, pooled, logits, false);
    }

    /// Adds the gradients of the folded parameters to `grads`, given those of the logits; `x` are the pixels again.
    pub fn backward(
        &self,
        params: &[f32],
        x: &[f32],
        tape: &PvtTape,
        d_logits: &[f32],
        balance: Option<Balance>,
        scratch: &mut PvtScratch,
        grads: &mut [f32],
    ) {
        let PvtScratch { conv, look, mlp, d_norm, d_states, d_embedded } = scratch;
        let (c, images) = (self.head.inputs, tape.images);
        let mut d_pooled = vec![0.0; tape.pooled.len()];
        self.head.backward(params, &tape.pooled, d_logits, Some((&mut d_pooled, false)), grads);
        let tokens = tape.stages[tape.stages.len() - 1].norm.y.len() / c / images;
        d_norm.clear();
        for d in d_pooled.chunks_exact(c) {
            (0..tokens).for_each(|_| d_norm.extend(d.iter().map(|d| d / tokens as f32)));
        }
        let sizes = self.sizes(images);
        for (i, (stage, kept)) in self.stages.iter().zip(&tape.stages).enumerate().rev() {
            let [before, size] = [sizes[i], sizes[i + 1]];
            d_states.clear();
            d_states.resize(d_norm.len(), 0.0);
            stage.norm.backward(params, &kept.norm, d_norm, d_states, grads);
            for ((layer, feed_forward), kept) in stage.blocks.iter().zip(&kept.blocks).rev() {
                feed_forward.backward(params, (size.1, size.2), &kept.1, d_states, mlp, grads, balance);
                layer.backward(params, size, &kept.0, d_states, look, grads);
            }
            d_embedded.clear();
            d_embedded.resize(d_states.len(), 0.0);
            stage.patch_norm.backward(params, &kept.patch_norm, d_states, d_embedded, grads);
            let input = i.checked_sub(1).map_or(x, |before| &tape.stages[before].norm.y);
            stage.patches.backward(params, before, input, d_embedded, (i > 0).then_some(&mut *d_norm), conv, grads);
        }
    }

    /// Sizes of the images and of the grids of tokens after each stage.
    fn sizes(&self, images: usize) -> Vec<ImageSize> {
        let mut sizes = vec![(images, self.image.0, self.image.1)];
        for stage in &self.stages {
            let (_, height, width) = sizes[sizes.len() - 1];
            let (height, width) = stage.patches.output_size(height, width);
            sizes.push((images, height, width));
        }
        sizes
    }

    /// What the routers did in the forward pass that left `tape`, one entry a block.
    pub fn usage<'a>(&'a self, tape: &'a PvtTape) -> impl Iterator<Item = Usage> + 'a {
        let pairs = self.stages.iter().zip(&tape.stages);
        pairs.flat_map(|(stage, kept)| stage.blocks.iter().zip(&kept.blocks).map(|((_, mlp), kept)| mlp.usage(&kept.1)))
    }
}
