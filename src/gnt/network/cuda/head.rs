//! From the samples' states to the colours of rays.

use super::kernels::{Kernels, MoreArgs, warps};
use super::tokens::CudaTokens;
use crate::network::parameters::{BlendLayers, Folded};
use layers::cuda::{LayerNormTape, Store, View};
use tensor::cuda::{Args, Buffer, Launch, Result};

/// Output of the head and what its backward pass needs; `T` samples of `R` rays, `V` views.
#[derive(Debug, Default)]
pub struct CudaHead {
    norm: LayerNormTape,
    /// Weights of the samples of each ray `[R, S]`; sum to 1.
    pub ray_weights: Store,
    /// Weights of the views at each sample `[T, V]`; sum to 1.
    pub view_weights: Store,
    /// Colours of the rays `[R, 3]`.
    pub rgb: Store,
    blended: Store,
    hidden: Store,
    pooled: Store,
    state: Store,
    d_norm: Store,
    d_pooled: Store,
    d_ray_logits: Store,
    d_view_logits: Store,
    d_hidden: Store,
    d_state: Store,
}

impl CudaHead {
    /// Reads the colour of each ray from the states `q` `[R, S, C]`.
    pub(super) fn forward(
        &mut self,
        kernels: &Kernels,
        net: &Folded,
        params: &Buffer<f32>,
        tokens: &CudaTokens,
        q: &Store,
    ) -> Result<()> {
        let (c, ops, device) = (net.norm.width, &kernels.ops, kernels.device());
        let (rays, samples, count) = (tokens.rays, tokens.samples, tokens.count());
        ops.layer_norm(&net.norm, params, q, &mut self.norm)?;
        self.ray_weights.resize(device, count)?;
        self.pooled.resize(device, rays * c)?;
        self.rgb.resize(device, rays * 3)?;
        match &net.blend {
            None => {
                let args = Args::new().store(&self.ray_weights).ints([count, samples]);
                // SAFETY: the weights were just made for `count` samples.
                unsafe { kernels.head.launch("head_equal_weights", &Launch::each(count), args)? };
            }
            Some(blend) => {
                ops.linear(&blend.ray, params, &self.norm.y, &mut self.ray_weights, false, false)?;
                let args = Args::new().store(&self.ray_weights).ints([rays, samples]);
                // SAFETY: as above.
                unsafe { kernels.head.launch("head_ray_weights", &warps(rays), args)? };
                self.view_forward(kernels, blend, params, tokens)?;
            }
        }
        let args = Args::new().store(&self.ray_weights).store(&self.norm.y).store(&self.pooled);
        // SAFETY: a weight and c channels a sample, c channels a ray.
        unsafe {
            let args = args.ints([rays, samples, c]);
            kernels.head.launch("head_pool", &Launch::each(rays * c), args)?
        };
        ops.linear(&net.rgb, params, &self.pooled, &mut self.rgb, false, false)?;
        if net.blend.is_some() {
            let args = Args::new().store(&self.ray_weights).store(&self.blended).store(&self.rgb);
            // SAFETY: a weight and a colour a sample, a colour a ray.
            unsafe { kernels.head.launch("head_colour", &warps(rays), args.ints([rays, samples]))? };
        }
        Ok(())
    }

    fn view_forward(
        &mut self,
        kernels: &Kernels,
        blend: &BlendLayers,
        params: &Buffer<f32>,
        tokens: &CudaTokens,
    ) -> Result<()> {
        let (k, ops, device) = (blend.token.outputs, &kernels.ops, kernels.device());
        let (count, views, pairs) = (tokens.count(), tokens.views, tokens.pairs());
        self.hidden.resize(device, pairs * k)?;
        self.state.resize(device, count * k)?;
        self.view_weights.resize(device, pairs)?;
        self.blended.resize(device, count * 3)?;
        ops.linear(&blend.token, params, &tokens.tokens, &mut self.hidden, false, false)?;
        ops.linear(&blend.state, params, &self.norm.y, &mut self.state, false, false)?;
        let [direction, view] = [blend.direction.weight, blend.view.weight].map(|slot| View::of(params, slot));
        let args = Args::new().store(&self.hidden).store(&self.state).store(&tokens.directions).view(direction);
        let args = args.view(view).store(&tokens.mask).store(&tokens.colours);
        let args = args.store(&self.view_weights).store(&self.blended).ints([count, views, k]);
        // SAFETY: all were just made, or have the sizes of these tokens; the layers are 4 → k and k → 1.
        unsafe { kernels.head.launch("head_views", &warps(count), args) }
    }

    /// Takes the gradient of the colours, `d_rgb` `[R, 3]`, back to the states `dq` `[R, S, C]` (overwritten), the
    /// tokens and the parameters; `d_ray_logits` `[R, S]` is added to the gradient of the samples' logits, which
    /// [`crate::Head::Mean`] lacks.
    pub(super) fn backward(
        &mut self,
        kernels: &Kernels,
        net: &Folded,
        params: &Buffer<f32>,
        tokens: &mut CudaTokens,
        d_rgb: View,
        d_ray_logits: Option<View>,
        dq: &mut Store,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (c, ops, device) = (net.norm.width, &kernels.ops, kernels.device());
        let (rays, samples, count) = (tokens.rays, tokens.samples, tokens.count());
        assert_eq!(d_rgb.len(), rays * 3, "gradient of {rays} colours");
        self.d_pooled.resize(device, rays * c)?;
        self.d_norm.resize(device, count * c)?;
        ops.linear_backward(&net.rgb, params, &self.pooled, d_rgb, Some((self.d_pooled.view_mut(), false)), grads)?;
        let args = Args::new().store(&self.ray_weights).store(&self.d_pooled).store(&self.d_norm);
        // SAFETY: as head_pool in the forward pass.
        unsafe {
            let args = args.ints([samples, c, count]);
            kernels.head.launch("head_pool_backward", &Launch::each(count * c), args)?
        };
        if let Some(blend) = &net.blend {
            self.d_ray_logits.resize(device, count)?;
            if let Some(extra) = d_ray_logits {
                assert_eq!(extra.len(), count, "gradient of {count} logits");
            }
            let from = Args::new().store(&self.blended).view(d_rgb).store(&self.norm.y).store(&self.d_pooled);
            let from = from.store(&self.d_ray_logits).ints([count, samples, c]);
            let through = Args::new().store(&self.ray_weights).value(d_ray_logits.map_or(0, |d| d.address()));
            let through = through.store(&self.d_ray_logits).ints([rays, samples]);
            // SAFETY: a value a sample, a colour a ray, c channels each; a null pointer means no further gradient.
            unsafe {
                kernels.head.launch("head_weights_backward", &warps(count), from)?;
                kernels.head.launch("head_ray_weights_backward", &warps(rays), through)?;
            }
            let dx = Some((self.d_norm.view_mut(), true));
            ops.linear_backward(&blend.ray, params, &self.norm.y, &self.d_ray_logits, dx, grads)?;
            self.view_backward(kernels, blend, params, tokens, d_rgb, grads)?;
        }
        ops.fill(0.0, &mut *dq.resize(device, count * c)?)?;
        ops.layer_norm_backward(&net.norm, params, &self.norm, &self.d_norm, dq, grads)
    }

    fn view_backward(
        &mut self,
        kernels: &Kernels,
        blend: &BlendLayers,
        params: &Buffer<f32>,
        tokens: &mut CudaTokens,
        d_rgb: View,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (k, ops, device) = (blend.token.outputs, &kernels.ops, kernels.device());
        let (count, pairs) = (tokens.count(), tokens.pairs());
        self.d_view_logits.resize(device, pairs)?;
        self.d_hidden.resize(device, pairs * k)?;
        self.d_state.resize(device, count * k)?;
        let args = Args::new().store(&self.ray_weights).view(d_rgb).store(&self.blended).store(&tokens.colours);
        let args = args.store(&self.view_weights).store(&tokens.mask).store(&self.hidden);
        let args = args.view(View::of(params, blend.view.weight)).store(&self.d_view_logits);
        let args = args.store(&self.d_hidden).store(&self.d_state);
        // SAFETY: all are of the forward pass on these tokens, or were just made for them.
        unsafe {
            let args = args.ints([count, tokens.samples, tokens.views, k]);
            kernels.head.launch("head_views_backward", &warps(count), args)?
        };
        // The kernel has already taken the gradient to the hidden layer: here it is the weights' turn alone.
        ops.linear_backward(&blend.view, params, &self.hidden, &self.d_view_logits, None, grads)?;
        let dx = Some((tokens.d_tokens.view_mut(), true));
        ops.linear_backward(&blend.token, params, &tokens.tokens, &self.d_hidden, dx, grads)?;
        ops.linear_backward(&blend.direction, params, &tokens.directions, &self.d_hidden, None, grads)?;
        let dx = Some((self.d_norm.view_mut(), true));
        ops.linear_backward(&blend.state, params, &self.norm.y, &self.d_state, dx, grads)
    }
}
