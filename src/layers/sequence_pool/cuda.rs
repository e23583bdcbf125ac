//! Sequence pooling on a CUDA device, forward.

use super::SequencePool;
use crate::cuda::{MoreArgs, Ops, Slice, Store};
use compute::cuda::{Args, Buffer, Launch, Result};

impl Ops {
    /// As [`SequencePool::forward`]: pools `x` `[images, tokens, width]` to `y` `[images, width]`, which is resized, as are
    /// the tokens' `scores` `[images, tokens]`.
    ///
    /// # Panics
    /// If `x` is not whole images.
    ///
    /// # Errors
    /// If the device fails.
    pub fn sequence_pool<'a>(
        &self,
        layer: &SequencePool,
        params: &Buffer<f32>,
        tokens: usize,
        x: impl Into<Slice<'a>>,
        scores: &mut Store,
        y: &mut Store,
    ) -> Result<()> {
        let (x, width) = (x.into(), layer.score.inputs);
        assert!(x.len().is_multiple_of(tokens * width), "{} values in images of {tokens} tokens", x.len());
        scores.resize(&self.device, x.len() / width)?;
        y.resize(&self.device, x.len() / tokens)?;
        self.linear(&layer.score, params, x, &mut *scores, false, false)?;
        let args = Args::new().slice(x).store(scores).ints([tokens, width]).store(y).value(y.len() as u64);
        // SAFETY: x holds whole images (checked), with a score a token; y is borrowed mutably.
        unsafe { self.module("images/pooling.cu")?.launch("images_weighted_means", &Launch::each(y.len()), args) }
    }
}

#[cfg(test)]
mod tests {
    use crate::Layout;
    use crate::builder::Builder;
    use crate::cuda::Store;
    use crate::cuda::testing::{VALUES, assert_near, ops, parameters, uniform, upload};
    use crate::params::SplitMix;
    use crate::sequence_pool::SequencePool;

    #[test]
    fn values_are_those_of_the_cpu() {
        let ops = ops();
        let (mut scores, mut y) = (Store::default(), Store::default());
        for (images, tokens, width) in [(2, 9, 5), (1, 1, 1), (3, 64, 33)] {
            let mut layout = Layout::new();
            let mut b = Builder::new(&mut layout, "");
            let layer = SequencePool::build(&mut b, "pool", width);
            let params = parameters(&b.folded, 3, 1.0);
            let x = uniform(&mut SplitMix(4), images * tokens * width, 2.0);
            let (mut weights, mut expected) = (Vec::new(), Vec::new());
            layer.forward(&params, tokens, &x, &mut weights, &mut expected);
            let params = ops.device().upload(&params).unwrap();
            ops.sequence_pool(&layer, &params, tokens, &upload(&ops, &x), &mut scores, &mut y).unwrap();
            assert_near("y", &y.read().unwrap(), &expected, VALUES);
        }
    }
}
