//! Attention to fewer tokens on a CUDA device, forward.

use super::ReducedAttention;
use super::reduction::{POOLED, Shrink};
use crate::cuda::{MoreArgs, Ops, Slice, SliceMut, Store, warps};
use crate::layer_norm::cuda::CudaLayerNormTape;
use crate::patch_conv::ImageSize;
use compute::cuda::{Args, Buffer, CudaError, Launch, Result};

/// The file of the kernel.
const KERNELS: &str = "images/reduced_attention.cu";
/// Most channels of a head.
pub(crate) const CHANNELS: usize = 128;

/// Memory of a pass, kept between passes.
#[derive(Debug, Default)]
pub struct CudaReducedAttention {
    norm: CudaLayerNormTape,
    means: Store,
    patches: Store,
    convolved: Store,
    shrunk: CudaLayerNormTape,
    activated: Store,
    q: Store,
    kv: Store,
    mixed: Store,
}

impl Ops {
    /// As [`ReducedAttention::forward`]: adds the attention's output to `x` `[images, height, width, C]`.
    ///
    /// # Panics
    /// If the sizes disagree.
    ///
    /// # Errors
    /// [`CudaError::Kernels`] for heads of more than 128 channels, and if the device fails.
    pub fn reduced_attention<'a>(
        &self,
        layer: &ReducedAttention,
        params: &Buffer<f32>,
        size: ImageSize,
        x: impl Into<SliceMut<'a>>,
        memory: &mut CudaReducedAttention,
    ) -> Result<()> {
        let (x, width) = (x.into(), layer.norm.width);
        let (images, tokens) = (size.0, size.1 * size.2);
        assert_eq!(x.len(), images * tokens * width, "states of {images} images of {tokens} tokens");
        if width / layer.heads > CHANNELS {
            let problem = format!("heads of at most {CHANNELS} channels expected, found {}", width / layer.heads);
            return Err(CudaError::Kernels { label: KERNELS.into(), problem });
        }
        if images == 0 {
            return Ok(());
        }
        let CudaReducedAttention { norm, means, patches, convolved, shrunk, activated, q, kv, mixed } = memory;
        self.layer_norm(&layer.norm, params, x.slice(), norm)?;
        let source = match &layer.shrink {
            None => norm.y.slice(),
            Some(Shrink { pooled, conv, norm: after }) => {
                if *pooled {
                    self.means(size, width, POOLED, &norm.y, means)?;
                    self.patch_conv(conv, params, (images, POOLED, POOLED), &*means, convolved, patches)?;
                } else {
                    self.patch_conv(conv, params, size, &norm.y, convolved, patches)?;
                }
                self.layer_norm(after, params, &*convolved, shrunk)?;
                if *pooled {
                    activated.resize(&self.device, shrunk.y.len())?;
                    self.gelu(&shrunk.y, &mut *activated)?;
                    activated.slice()
                } else {
                    shrunk.y.slice()
                }
            }
        };
        q.resize(&self.device, x.len())?;
        mixed.resize(&self.device, x.len())?;
        kv.resize(&self.device, 2 * source.len())?;
        self.linear(&layer.q, params, &norm.y, &mut *q, false, false)?;
        self.linear(&layer.kv, params, source, &mut *kv, false, false)?;
        let keys = source.len() / width / images;
        let args = Args::new()
            .store(q)
            .store(kv)
            .value(layer.codes.map_or(0u64, |codes| Slice::of(params, codes.tau).address()))
            .ints([images, tokens, keys, layer.heads, width])
            .store(mixed);
        // SAFETY: queries and outputs have a row a token, kv one a key, all just made; `tau` has one value a head, and a
        // head no more channels than the kernel has room for (checked); `mixed` is borrowed mutably.
        unsafe {
            let launch = warps(images * tokens * layer.heads);
            self.module(KERNELS)?.launch("images_reduced_attention", &launch, args)?;
        }
        self.linear(&layer.proj, params, &*mixed, x, true, false)
    }

    /// Means over `parts` by `parts` parts that cover the grids `x` `[images, height, width, channels]`, to `y`, which is
    /// resized.
    ///
    /// # Panics
    /// If the sizes disagree.
    ///
    /// # Errors
    /// If the device fails.
    pub fn means<'a>(
        &self,
        (images, height, width): ImageSize,
        channels: usize,
        parts: usize,
        x: impl Into<Slice<'a>>,
        y: &mut Store,
    ) -> Result<()> {
        let x = x.into();
        assert_eq!(x.len(), images * height * width * channels, "values of {images} grids of {height}x{width}");
        y.resize(&self.device, images * parts * parts * channels)?;
        let args = Args::new().slice(x).ints([height, width, channels, parts]).store(y).value(y.len() as u64);
        // SAFETY: x holds the grids (checked), of which each part is a piece; y is borrowed mutably.
        unsafe { self.module("images/pooling.cu")?.launch("images_means", &Launch::each(y.len()), args) }
    }
}

#[cfg(test)]
mod tests {
    use crate::builder::Builder;
    use crate::cuda::testing::{VALUES, assert_near, in_each_schedule, ops, parameters, states, upload};
    use crate::reduced_attention::{ReducedAttention, ReducedAttentionShape, Reduction};
    use crate::{Layout, LinearKind};

    #[test]
    fn values_are_those_of_the_cpu() {
        let ops = ops();
        let mut memory = Default::default();
        for (reduction, (width, heads), size) in [
            (Reduction::None, (24, 3), (2, 3, 4)),
            (Reduction::Convolved(2), (32, 1), (2, 4, 6)),
            (Reduction::Pooled, (40, 1), (1, 9, 14)),
            (Reduction::Pooled, (33, 3), (2, 1, 1)),
        ] {
            for codes in [false, true] {
                let mut layout = Layout::new();
                let mut b = Builder::new(&mut layout, "");
                let norm = b.norm("norm", width, 1e-6);
                let shape = ReducedAttentionShape { heads, reduction, linears: LinearKind::Dense, codes };
                let layer = ReducedAttention::build(&mut b, "attn", norm, shape);
                let params = parameters(&b.folded, 3, 1.0);
                let x = states(size.0 * size.1 * size.2, width, 5);
                let mut expected = x.clone();
                layer.forward(&params, size, &mut expected, &mut Default::default(), &mut Default::default());
                let params = ops.device().upload(&params).unwrap();
                in_each_schedule(|_| {
                    let mut y = upload(&ops, &x);
                    ops.reduced_attention(&layer, &params, size, &mut y, &mut memory).unwrap();
                    assert_near(&format!("{reduction:?}, codes {codes}"), &y.read().unwrap(), &expected, VALUES);
                });
            }
        }
    }

    #[test]
    fn heads_that_are_too_wide_are_refused() {
        let ops = ops();
        let mut layout = Layout::new();
        let mut b = Builder::new(&mut layout, "");
        let norm = b.norm("norm", 136, 1e-6);
        let shape =
            ReducedAttentionShape { heads: 1, reduction: Reduction::None, linears: LinearKind::Dense, codes: false };
        let layer = ReducedAttention::build(&mut b, "attn", norm, shape);
        let params = ops.device().upload(&parameters(&b.folded, 3, 1.0)).unwrap();
        let mut x = upload(&ops, &states(2, 136, 5));
        let problem = ops.reduced_attention(&layer, &params, (1, 1, 2), &mut x, &mut Default::default()).unwrap_err();
        assert!(problem.to_string().contains("at most 128 channels expected, found 136"), "{problem}");
    }
}
