//! The head on a CUDA device.

use super::{HeadExecutor, HeadTape};
use crate::folded::{BlendLayers, Folded};
use crate::network::cuda::Kernels;
use crate::network::tokens::Tokens;
use compute::cuda::{Args, Buffer, Launch, Result};
use layers::cuda::{Footprint, MoreArgs, Slice, Store, warps};

/// What [`HeadTape`] holds on the device for each sample; what it holds for whole rays is left out.
pub(in crate::network) fn footprint(net: &Folded) -> Footprint {
    let c = net.norm.width;
    let always = net.norm.cuda_footprint() + Footprint::sample(c + 1);
    match &net.blend {
        None => always,
        Some(blend) => {
            let k = blend.token.outputs;
            always + Footprint { sample: 2 * k + 4, pair: 2 * k + 2 }
        }
    }
}

impl HeadExecutor for Kernels {
    fn weigh_samples(&self, samples: usize, learned: bool, weights: &mut Store) -> Result<()> {
        let (count, args) = (weights.len(), Args::new().store(weights));
        // SAFETY: weights of `count` samples, which are whole rays.
        unsafe {
            if learned {
                let rays = count / samples;
                self.head.launch("head_ray_weights", &warps(rays), args.ints([rays, samples]))
            } else {
                self.head.launch("head_equal_weights", &Launch::each(count), args.ints([count, samples]))
            }
        }
    }

    fn blend_views(
        &self,
        layers: &BlendLayers,
        params: &Buffer<f32>,
        tokens: &Tokens<Self>,
        head: &mut HeadTape<Store>,
    ) -> Result<()> {
        let shared = &tokens.shared;
        let [direction, view] = [layers.direction.weight, layers.view.weight].map(|slot| Slice::of(params, slot));
        let args = Args::new().store(&head.hidden).store(&head.state).store(&shared.directions).slice(direction);
        let args = args.slice(view).store(&shared.mask).store(&tokens.colours);
        let args = args.store(&head.view_weights).store(&head.blended);
        let args = args.ints([shared.samples, shared.views, layers.token.outputs]);
        // SAFETY: all were just made, or have the sizes of these tokens; the layers are 4 → k and k → 1.
        unsafe { self.head.launch("head_views", &warps(shared.samples), args) }
    }

    fn pool(&self, samples: usize, head: &mut HeadTape<Store>) -> Result<()> {
        let (rays, channels) = (head.ray_weights.len() / samples, head.norm.y.len() / head.ray_weights.len());
        let args = Args::new().store(&head.ray_weights).store(&head.norm.y).store(&head.pooled);
        // SAFETY: a weight and `channels` values a sample, `channels` values a ray.
        unsafe {
            let launch = Launch::each(rays * channels);
            self.head.launch("head_pool", &launch, args.ints([rays, samples, channels]))
        }
    }

    fn add_colours(&self, samples: usize, head: &mut HeadTape<Store>) -> Result<()> {
        let rays = head.ray_weights.len() / samples;
        let args = Args::new().store(&head.ray_weights).store(&head.blended).store(&head.rgb);
        // SAFETY: a weight and a colour a sample, a colour a ray.
        unsafe { self.head.launch("head_colour", &warps(rays), args.ints([rays, samples])) }
    }

    fn pool_backward(&self, samples: usize, head: &mut HeadTape<Store>) -> Result<()> {
        let (count, channels) = (head.ray_weights.len(), head.d_norm.len() / head.ray_weights.len());
        let args = Args::new().store(&head.ray_weights).store(&head.d_pooled).store(&head.d_norm);
        // SAFETY: as `head_pool` in the forward pass.
        unsafe {
            let launch = Launch::each(count * channels);
            self.head.launch("head_pool_backward", &launch, args.ints([samples, channels, count]))
        }
    }

    fn ray_logits_backward(
        &self,
        samples: usize,
        d_rgb: &Store,
        extra: Option<&Store>,
        head: &mut HeadTape<Store>,
    ) -> Result<()> {
        let (count, channels) = (head.ray_weights.len(), head.norm.y.len() / head.ray_weights.len());
        let rays = count / samples;
        let from = Args::new().store(&head.blended).store(d_rgb).store(&head.norm.y).store(&head.d_pooled);
        let from = from.store(&head.d_ray_logits).ints([count, samples, channels]);
        let through = Args::new().store(&head.ray_weights).value(extra.map_or(0, |d| d.slice().address()));
        let through = through.store(&head.d_ray_logits).ints([rays, samples]);
        // SAFETY: a value a sample, a colour a ray, `channels` values each; a null pointer means no further gradient.
        unsafe {
            self.head.launch("head_weights_backward", &warps(count), from)?;
            self.head.launch("head_ray_weights_backward", &warps(rays), through)
        }
    }

    fn blend_views_backward(
        &self,
        layers: &BlendLayers,
        params: &Buffer<f32>,
        tokens: &Tokens<Self>,
        d_rgb: &Store,
        head: &mut HeadTape<Store>,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let shared = &tokens.shared;
        let args = Args::new().store(&head.ray_weights).store(d_rgb).store(&head.blended).store(&tokens.colours);
        let args = args.store(&head.view_weights).store(&shared.mask).store(&head.hidden);
        let args = args.slice(Slice::of(params, layers.view.weight)).store(&head.d_view_logits);
        let args = args.store(&head.d_hidden).store(&head.d_state);
        let args = args.ints([shared.samples, tokens.samples, shared.views, layers.token.outputs]);
        // SAFETY: all are of the forward pass on these tokens, or were just made for them.
        unsafe { self.head.launch("head_views_backward", &warps(shared.samples), args)? };
        // The kernel has already taken the gradient to the hidden layer: here it is the weights' turn alone.
        self.ops.linear_backward(&layers.view, params, &head.hidden, &head.d_view_logits, None, grads)
    }
}
