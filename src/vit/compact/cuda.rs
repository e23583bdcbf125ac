//! The compact transformer on a CUDA device, forward.

use super::Compact;
use super::stem::Stem;
use compute::cuda::{Buffer, Result};
use layers::cuda::{Ops, Store};
use layers::feed_forward::cuda::CudaFeedForwardTape;
use layers::feed_forward::experts::Usage;
use layers::layer_norm::cuda::CudaLayerNormTape;
use layers::ray_attention::cuda::CudaRayAttentionTape;

/// What a pass works on, kept between passes.
#[derive(Debug, Default)]
pub struct CudaCompact {
    patches: Store,
    a: Store,
    b: Store,
    norms: [CudaLayerNormTape; 3],
    attention: CudaRayAttentionTape,
    feed_forward: CudaFeedForwardTape,
    scores: Store,
    pooled: Store,
}

impl Compact {
    /// As [`Compact::forward`]: classifies images `x` `[images, side, side, 3]`; `logits` `[images, classes]` is resized. What
    /// the routers did is added to `usages`, an entry a block.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn on_cuda(
        &self,
        ops: &Ops,
        params: &Buffer<f32>,
        images: usize,
        x: &Store,
        logits: &mut Store,
        memory: &mut CudaCompact,
        usages: &mut Vec<Usage>,
    ) -> Result<()> {
        let CudaCompact { patches, a, b, norms, attention, feed_forward, scores, pooled } = memory;
        let Stem { first, first_norm, second, second_norm, third, third_norm, tokens, .. } = &self.stem;
        let (side, grid) = (self.image_side(), self.grid);
        let (full, half) = ((images, side, side), (images, side / 2, side / 2));
        let [norm, norm2, norm3] = norms;
        ops.patch_conv(first, params, full, x, a, patches)?;
        ops.max_pool(full, first.linear.outputs, &*a, b)?;
        ops.layer_norm(first_norm, params, &*b, norm)?;
        ops.relu(&mut norm.y)?;
        ops.patch_conv(second, params, half, &norm.y, a, patches)?;
        ops.layer_norm(second_norm, params, &*a, norm2)?;
        ops.relu(&mut norm2.y)?;
        ops.patch_conv(third, params, half, &norm2.y, a, patches)?;
        ops.layer_norm(third_norm, params, &*a, norm3)?;
        ops.relu(&mut norm3.y)?;
        ops.axpy(1.0, &norm3.y, &mut norm2.y)?;
        ops.patch_conv(tokens, params, half, &norm2.y, a, patches)?;
        // From here on `b` are the tokens' states.
        ops.tokens(params, &[], self.position, self.head.inputs, &*a, b)?;
        for block in &self.blocks {
            a.resize(ops.device(), b.len())?;
            ops.depthwise(&block.local, params, (grid, grid), &*b, &mut *a)?;
            std::mem::swap(a, b);
            ops.ray_attention(&block.attention, params, self.tokens(), b, attention)?;
            ops.feed_forward(&block.feed_forward, params, b, None, feed_forward)?;
            usages.push(block.feed_forward.cuda_usage(feed_forward));
        }
        ops.layer_norm(&self.norm, params, &*b, norm)?;
        ops.sequence_pool(&self.pool, params, self.tokens(), &norm.y, scores, pooled)?;
        logits.resize(ops.device(), images * self.classes())?;
        ops.linear(&self.head, params, &*pooled, logits, false, false)
    }
}
