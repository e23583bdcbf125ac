//! PVTv2 on a CUDA device, forward.

use super::Pvt;
use super::look::Look;
use compute::cuda::{Buffer, Result};
use layers::cuda::{Ops, Store};
use layers::feed_forward::experts::Usage;
use layers::grid_mlp::cuda::CudaGridMlp;
use layers::layer_norm::cuda::CudaLayerNormTape;
use layers::ray_attention::cuda::CudaRayAttentionTape;
use layers::reduced_attention::cuda::CudaReducedAttention;

/// What a pass works on, kept between passes.
#[derive(Debug, Default)]
pub struct CudaPvt {
    patches: Store,
    embedded: Store,
    states: Store,
    norm: CudaLayerNormTape,
    reduced: CudaReducedAttention,
    all: CudaRayAttentionTape,
    mlp: CudaGridMlp,
    pooled: Store,
}

impl Pvt {
    /// As [`Pvt::forward`]: classifies images `x` `[images, height, width, 3]`; `logits` `[images, classes]` is resized. What
    /// the routers did is added to `usages`, an entry a block.
    ///
    /// # Errors
    /// If there is not enough memory, the device fails, or there is no kernel for heads as wide as these.
    pub fn on_cuda(
        &self,
        ops: &Ops,
        params: &Buffer<f32>,
        images: usize,
        x: &Store,
        logits: &mut Store,
        memory: &mut CudaPvt,
        usages: &mut Vec<Usage>,
    ) -> Result<()> {
        let CudaPvt { patches, embedded, states, norm, reduced, all, mlp, pooled } = memory;
        let mut size = (images, self.image.0, self.image.1);
        for (i, stage) in self.stages.iter().enumerate() {
            let input = if i == 0 { x } else { &norm.y };
            ops.patch_conv(&stage.patches, params, size, input, embedded, patches)?;
            (size.1, size.2) = stage.patches.output_size(size.1, size.2);
            ops.layer_norm(&stage.patch_norm, params, &*embedded, norm)?;
            states.resize(ops.device(), norm.y.len())?;
            ops.copy(&norm.y, &mut *states)?;
            for (look, think) in &stage.blocks {
                match look {
                    Look::Reduced(layer) => ops.reduced_attention(layer, params, size, &mut *states, reduced)?,
                    Look::All(layer) => ops.ray_attention(layer, params, size.1 * size.2, states, all)?,
                }
                usages.push(ops.grid_mlp(think, params, (size.1, size.2), &mut *states, mlp)?);
            }
            ops.layer_norm(&stage.norm, params, &*states, norm)?;
        }
        ops.means(size, self.head.inputs, 1, &norm.y, pooled)?;
        logits.resize(ops.device(), images * self.head.outputs)?;
        ops.linear(&self.head, params, &*pooled, logits, false, false)
    }
}
