//! Training on the CPU, on the thread that calls; sharing work between threads is the caller's business.

use super::Executor;
use crate::feed_forward::experts::{Balance, Noise, Usage};
use crate::feed_forward::{FeedForward, FeedForwardScratch, FeedForwardTape};
use crate::layer_norm::{LayerNorm, LayerNormTape};
use crate::linear::{Linear, relu, relu_backward};
use crate::ray_attention::{RayAttention, RayAttentionScratch, RayAttentionTape};
use crate::view_attention::{SharedTokens, ViewAttention, ViewAttentionScratch, ViewAttentionTape};
use std::convert::Infallible;

/// The CPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

type Done = Result<(), Infallible>;

impl Executor for Cpu {
    type Error = Infallible;
    type Values = Vec<f32>;
    type Flat = [f32];
    type ViewAttentionTape = ViewAttentionTape;
    type ViewAttentionScratch = ViewAttentionScratch;
    type RayAttentionTape = RayAttentionTape;
    type RayAttentionScratch = RayAttentionScratch;
    type FeedForwardTape = FeedForwardTape;
    type FeedForwardScratch = FeedForwardScratch;

    fn len(values: &Vec<f32>) -> usize {
        values.len()
    }

    fn resize(&self, values: &mut Vec<f32>, len: usize) -> Done {
        values.resize(len, 0.0);
        Ok(())
    }

    fn copy(&self, from: &Vec<f32>, to: &mut Vec<f32>) -> Done {
        to.clone_from(from);
        Ok(())
    }

    fn add(&self, from: &Vec<f32>, to: &mut Vec<f32>) -> Done {
        to.iter_mut().zip(from).for_each(|(t, f)| *t += f);
        Ok(())
    }

    fn zeros(&self, to: &mut Vec<f32>, len: usize) -> Done {
        to.clear();
        to.resize(len, 0.0);
        Ok(())
    }

    fn relu_backward(&self, y: &Vec<f32>, dy: &mut Vec<f32>) -> Done {
        relu_backward(compute::isa(), y, dy);
        Ok(())
    }

    fn linear(
        &self,
        layer: &Linear,
        params: &[f32],
        x: &Vec<f32>,
        y: &mut Vec<f32>,
        accumulate: bool,
        clip: bool,
    ) -> Done {
        layer.forward(params, x, y, accumulate);
        if clip {
            relu(compute::isa(), y);
        }
        Ok(())
    }

    fn linear_backward(
        &self,
        layer: &Linear,
        params: &[f32],
        x: &Vec<f32>,
        dy: &Vec<f32>,
        dx: Option<(&mut Vec<f32>, bool)>,
        grads: &mut [f32],
    ) -> Done {
        layer.backward(params, x, dy, dx.map(|(dx, accumulate)| (&mut dx[..], accumulate)), grads);
        Ok(())
    }

    fn layer_norm(&self, layer: &LayerNorm, params: &[f32], x: &Vec<f32>, tape: &mut LayerNormTape) -> Done {
        layer.forward(params, x, tape);
        Ok(())
    }

    fn layer_norm_backward(
        &self,
        layer: &LayerNorm,
        params: &[f32],
        tape: &LayerNormTape,
        dy: &Vec<f32>,
        dx: &mut Vec<f32>,
        grads: &mut [f32],
    ) -> Done {
        layer.backward(params, tape, dy, dx, grads);
        Ok(())
    }

    fn view_attention(
        &self,
        layer: &ViewAttention,
        params: &[f32],
        tokens: &SharedTokens<Vec<f32>>,
        q: &mut Vec<f32>,
        tape: &mut ViewAttentionTape,
        scratch: &mut ViewAttentionScratch,
    ) -> Done {
        layer.forward(params, tokens.view(), q, tape, scratch);
        Ok(())
    }

    fn view_attention_backward(
        &self,
        layer: &ViewAttention,
        params: &[f32],
        tokens: &mut SharedTokens<Vec<f32>>,
        tape: &ViewAttentionTape,
        dq: &mut Vec<f32>,
        scratch: &mut ViewAttentionScratch,
        grads: &mut [f32],
    ) -> Done {
        let (views, d_tokens, d_keys) = tokens.split();
        layer.backward(params, views, tape, dq, d_tokens, d_keys, scratch, grads);
        Ok(())
    }

    fn ray_attention(
        &self,
        layer: &RayAttention,
        params: &[f32],
        samples: usize,
        x: &mut Vec<f32>,
        tape: &mut RayAttentionTape,
    ) -> Done {
        layer.forward(params, samples, x, tape);
        Ok(())
    }

    fn ray_attention_backward(
        &self,
        layer: &RayAttention,
        params: &[f32],
        samples: usize,
        tape: &RayAttentionTape,
        dx: &mut Vec<f32>,
        scratch: &mut RayAttentionScratch,
        grads: &mut [f32],
    ) -> Done {
        layer.backward(params, samples, tape, dx, scratch, grads);
        Ok(())
    }

    fn ray_attention_first_rows(
        &self,
        layer: &RayAttention,
        _: &[f32],
        tape: &RayAttentionTape,
        rays: usize,
        samples: usize,
        weights: &mut Vec<f32>,
    ) -> Done {
        *weights = layer.first_rows(tape, samples, rays);
        Ok(())
    }

    fn feed_forward(
        &self,
        layer: &FeedForward,
        params: &[f32],
        x: &mut Vec<f32>,
        noise: Option<Noise>,
        tape: &mut FeedForwardTape,
    ) -> Done {
        layer.forward(params, x, noise, tape);
        Ok(())
    }

    fn feed_forward_backward(
        &self,
        layer: &FeedForward,
        params: &[f32],
        tape: &FeedForwardTape,
        dx: &mut Vec<f32>,
        scratch: &mut FeedForwardScratch,
        grads: &mut [f32],
        balance: Option<Balance>,
    ) -> Done {
        layer.backward(params, tape, dx, scratch, grads, balance);
        Ok(())
    }

    fn usage(layer: &FeedForward, tape: &FeedForwardTape) -> Usage {
        match layer {
            FeedForward::Mlp(_) => Usage::default(),
            FeedForward::Experts(_) => tape.experts.usage(),
        }
    }
}
