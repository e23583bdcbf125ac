//! DeiT on a CUDA device, forward.

use super::Deit;
use compute::cuda::{Buffer, Result};
use layers::cuda::{Epilogue, Matrix, MatrixMut, Ops, Slice, Store};
use layers::feed_forward::experts::Usage;
use layers::grid_mlp::cuda::CudaGridMlp;
use layers::layer_norm::cuda::CudaLayerNormTape;
use layers::ray_attention::cuda::CudaRayAttentionTape;

/// What a pass works on, kept between passes.
#[derive(Debug, Default)]
pub struct CudaDeit {
    patches: Store,
    embedded: Store,
    states: Store,
    attention: CudaRayAttentionTape,
    mlp: CudaGridMlp,
    norm: CudaLayerNormTape,
}

impl Deit {
    /// As [`Deit::forward`]: classifies images `x` `[images, height, width, 3]`; `logits` `[images, classes]` is resized. What
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
        memory: &mut CudaDeit,
        usages: &mut Vec<Usage>,
    ) -> Result<()> {
        let CudaDeit { patches, embedded, states, attention, mlp, norm } = memory;
        let (c, tokens) = (self.width, self.num_tokens());
        let size = (images, self.image.0, self.image.1);
        ops.patch_conv(&self.patches, params, size, x, embedded, patches)?;
        ops.tokens(params, &self.tokens, self.position, c, &*embedded, states)?;
        for (look, think) in &self.blocks {
            ops.ray_attention(look, params, tokens, states, attention)?;
            usages.push(ops.grid_mlp(think, params, (1, tokens), &mut *states, mlp)?);
        }
        ops.layer_norm(&self.norm, params, &*states, norm)?;
        let classes = self.heads[0].outputs;
        logits.resize(ops.device(), images * classes)?;
        for (i, head) in self.heads.iter().enumerate() {
            // The extra token's row of each image.
            let first = i * c..(images - 1) * tokens * c + (i + 1) * c;
            let rows = Matrix::strided(norm.y.slice().part(first), images, c, tokens * c);
            let weight = Matrix::new(Slice::of(params, head.weight), c, classes);
            let bias = head.bias.map(|bias| Slice::of(params, bias));
            let how = Epilogue { accumulate: i > 0, bias, ..Epilogue::default() };
            ops.product(rows, weight, MatrixMut::new(&mut *logits, images, classes), how)?;
        }
        ops.scale(1.0 / self.heads.len() as f32, logits)
    }
}
