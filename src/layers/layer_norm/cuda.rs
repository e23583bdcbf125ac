//! Training of layer normalisation on a CUDA device, a warp a row.

use super::{LayerNorm, LayerNormTape};
use crate::cuda::{Epilogue, Footprint, Ops, Slice, SliceMut, Store, WARPS, warps};
use compute::cuda::{Args, Buffer, Launch, Result};

/// What the backward pass needs from the forward pass, on the device.
pub type CudaLayerNormTape = LayerNormTape<Store>;

impl LayerNorm {
    /// What [`CudaLayerNormTape`] holds.
    pub fn cuda_footprint(&self) -> Footprint {
        Footprint::sample(2 * self.width + 1)
    }
}

/// Fewest rows that are worth a block of their own in the backward pass.
const SHORTEST_PART: usize = 64;

impl Ops {
    /// Normalises the rows of `x` `[rows, width]`; the output is `tape.y`.
    ///
    /// # Panics
    /// If `x` is not whole rows.
    ///
    /// # Errors
    /// If the device fails.
    pub fn layer_norm<'a>(
        &self,
        layer: &LayerNorm,
        params: &Buffer<f32>,
        x: impl Into<Slice<'a>>,
        tape: &mut CudaLayerNormTape,
    ) -> Result<()> {
        let x = x.into();
        assert_eq!(x.len() % layer.width, 0, "{} values are not rows of {}", x.len(), layer.width);
        let rows = x.len() / layer.width;
        tape.normal.resize(&self.device, x.len())?;
        tape.scale.resize(&self.device, rows)?;
        tape.y.resize(&self.device, x.len())?;
        if rows == 0 {
            return Ok(());
        }
        let args = Args::new()
            .value(x.address())
            .value(Slice::of(params, layer.gain).address())
            .value(Slice::of(params, layer.bias).address())
            .float(layer.eps)
            .int(rows)
            .int(layer.width)
            .buffer(tape.normal.buffer())
            .buffer(tape.scale.buffer())
            .buffer(tape.y.buffer());
        // SAFETY: x and the tape's parts have `rows` rows, gain and bias `width` values; the tape is borrowed mutably.
        unsafe { self.layer_norm.launch("training_layer_norm", &warps(rows), args) }
    }

    /// Adds the input's gradient to `dx` `[rows, width]` and the parameters' to `grads`.
    ///
    /// # Panics
    /// If the sizes differ from the forward pass.
    ///
    /// # Errors
    /// If the device fails.
    pub fn layer_norm_backward<'a, 'b>(
        &self,
        layer: &LayerNorm,
        params: &Buffer<f32>,
        tape: &CudaLayerNormTape,
        dy: impl Into<Slice<'a>>,
        dx: impl Into<SliceMut<'b>>,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (dy, dx, width) = (dy.into(), dx.into(), layer.width);
        assert_eq!((dy.len(), dx.len()), (tape.y.len(), tape.y.len()), "gradients and forward pass differ in size");
        let rows = dy.len() / width;
        if rows == 0 {
            return Ok(());
        }
        let blocks = rows.div_ceil(SHORTEST_PART).min(self.wanted_blocks());
        let mut scratch = self.partial.lock().expect("no launch panics");
        let partial = scratch.resize(&self.device, blocks * 2 * width)?.slice().address();
        let args = Args::new()
            .buffer(tape.normal.buffer())
            .buffer(tape.scale.buffer())
            .value(Slice::of(params, layer.gain).address())
            .value(dy.address())
            .int(rows)
            .int(width)
            .value(dx.address())
            .value(partial);
        let launch = Launch::new(blocks, 32 * WARPS as u32).shared(WARPS * 2 * width * size_of::<f32>());
        // SAFETY: the tape, dy and dx have `rows` rows and gain `width` values; each block writes its own two rows of
        // partial sums; dx is borrowed mutably.
        unsafe { self.layer_norm.launch("training_layer_norm_backward", &launch, args)? };
        // Gain and bias are neighbours in the vector, as are their partial sums.
        assert_eq!(layer.gain.offset + width, layer.bias.offset, "gain and bias are not neighbours");
        let slots = SliceMut::from(grads).part(layer.gain.offset..layer.gain.offset + 2 * width);
        self.reduce(partial, blocks, 1, 2 * width, slots, 2 * width, Epilogue::add())
    }
}

#[cfg(test)]
#[path = "cuda_tests.rs"]
mod tests;
