//! Tokens of all samples of a chunk of rays, and the states that samples start from.

use super::kernels::{Input, Kernels, MoreArgs, weight_and_bias};
use super::sources::CudaSources;
use crate::config::Position;
use crate::network::parameters::Folded;
use crate::network::tokens::RayChunk;
use layers::cuda::{Store, View};
use layers::linear::Linear;
use tensor::cuda::{Args, Buffer, Launch, Result};

/// Tokens and what their backward pass needs; `T` samples of all rays, `V` views, `C` channels.
#[derive(Debug, Default)]
pub struct CudaTokens {
    /// Rays, samples a ray, and views.
    pub(super) rays: usize,
    pub(super) samples: usize,
    pub(super) views: usize,
    /// `[rays, 6]`: origin and direction.
    ray_values: Input,
    /// `[T]`.
    depths: Input,
    /// `[T, V]`: 1 where the view sees the sample.
    pub mask: Store,
    /// `[T, V, 4]`.
    pub directions: Store,
    /// Colours of the photographs `[T, V, 3]`.
    pub colours: Store,
    /// `[T, V, C]`.
    pub tokens: Store,
    /// Tokens of the maps' nearest pixels `[T, V, C]`, where some layer reads them.
    pub keys: Store,
    /// Gradients, gathered from all blocks.
    pub(super) d_tokens: Store,
    pub(super) d_keys: Store,
    /// Taps in the maps, `[T, V, 4]`.
    index: Store<i32>,
    weight: Store,
    hidden: Store,
    d_hidden: Store,
}

impl CudaTokens {
    /// Number of samples of all rays.
    pub fn count(&self) -> usize {
        self.rays * self.samples
    }

    /// Number of samples times views.
    pub fn pairs(&self) -> usize {
        self.count() * self.views
    }

    /// The samples' depths `[T]`, as the host gave them.
    pub fn depths(&self) -> &Buffer<f32> {
        self.depths.buffer()
    }

    /// Projects the samples of `chunk` into all source views and computes their tokens.
    ///
    /// # Panics
    /// If there is no ray.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn forward(
        &mut self,
        kernels: &Kernels,
        net: &Folded,
        params: &Buffer<f32>,
        sources: &CudaSources,
        chunk: RayChunk,
    ) -> Result<()> {
        assert!(!chunk.rays.is_empty(), "a chunk without rays");
        (self.rays, self.samples, self.views) = (chunk.rays.len(), chunk.samples(), sources.len());
        let (c, pairs, device) = (net.token_fc2.inputs, self.pairs(), kernels.device());
        let rays: Vec<f32> =
            chunk.rays.iter().flat_map(|r| r.origin.to_array().into_iter().chain(r.direction.to_array())).collect();
        self.ray_values.write(device, &rays)?;
        self.depths.write(device, chunk.depths)?;
        self.mask.resize(device, pairs)?;
        self.directions.resize(device, pairs * 4)?;
        self.colours.resize(device, pairs * 3)?;
        self.index.resize(device, pairs * 4)?;
        self.weight.resize(device, pairs * 4)?;
        self.hidden.resize(device, pairs * c)?;
        self.tokens.resize(device, pairs * c)?;
        let args = Args::new()
            .buffer(self.ray_values.buffer())
            .buffer(self.depths.buffer())
            .buffer(sources.views())
            .buffer(sources.photographs())
            .store(&self.mask)
            .store(&self.directions)
            .store(&self.colours)
            .store(&self.index)
            .store(&self.weight)
            .ints([self.samples, self.views, pairs]);
        // SAFETY: rays and depths were just written for these sizes, the outputs made for `pairs`; the sources' views
        // name their parts of the photographs.
        unsafe { kernels.tokens.launch("tokens_project", &Launch::each(pairs), args)? };
        let (weight, bias) = weight_and_bias(&net.token_colour, params);
        let args = self.taps(Args::new().store(sources.map()));
        let args = args.store(&self.colours).view(weight).view(bias).store(&self.hidden).ints([pairs, c]);
        // SAFETY: taps lie inside the maps, whose rows have c channels, a multiple of 4; hidden has `pairs` rows.
        unsafe { kernels.tokens.launch("tokens_gather", &Launch::each(pairs * c / 4), args)? };
        kernels.ops.linear(&net.token_fc2, params, &self.hidden, &mut self.tokens, false, false)?;
        if net.reads_keys {
            self.keys.resize(device, pairs * c)?;
            let args = self.taps(Args::new().store(sources.keys())).store(&self.keys).ints([pairs, c]);
            // SAFETY: as above; the key tokens lie like the maps.
            unsafe { kernels.tokens.launch("tokens_keys", &Launch::each(pairs * c / 4), args)? };
        }
        Ok(())
    }

    fn taps(&self, args: Args) -> Args {
        args.store(&self.index).store(&self.weight)
    }

    /// Writes the position encoding of the samples, `[T, channels]`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn encode(
        &self,
        kernels: &Kernels,
        position: Position,
        depth_range: (f32, f32),
        out: &mut Store,
    ) -> Result<()> {
        let (count, module) = (self.count(), &kernels.encoding);
        out.resize(kernels.device(), count * position.channels())?;
        let launch = Launch::each(out.len());
        // SAFETY: rays and depths are those of `count` samples, for which `out` was just made.
        unsafe {
            match position {
                Position::World { frequencies } => {
                    let args = Args::new().buffer(self.ray_values.buffer()).buffer(self.depths.buffer()).store(out);
                    module.launch("encoding_world", &launch, args.ints([self.samples, frequencies, count]))
                }
                Position::Ray { frequencies } => {
                    let args = Args::new().buffer(self.depths.buffer()).store(out).int(frequencies);
                    let args = args.float(depth_range.0).float(depth_range.1).int(count);
                    module.launch("encoding_ray", &launch, args)
                }
            }
        }
    }

    /// Starts the gradients of tokens and keys: zeros, or `seed` for the tokens.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn start_gradients(&mut self, kernels: &Kernels, seed: Option<View>) -> Result<()> {
        let device = kernels.device();
        self.d_tokens.resize(device, self.tokens.len())?;
        match seed {
            Some(seed) => kernels.ops.copy(seed, &mut self.d_tokens)?,
            None => kernels.ops.fill(0.0, &mut self.d_tokens)?,
        }
        if !self.keys.is_empty() {
            self.d_keys.resize(device, self.keys.len())?;
            kernels.ops.fill(0.0, &mut self.d_keys)?;
        }
        Ok(())
    }

    /// Takes the gradients to the parameters and adds them to those of the sources' maps.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn backward(
        &mut self,
        kernels: &Kernels,
        net: &Folded,
        params: &Buffer<f32>,
        sources: &mut CudaSources,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (c, pairs, ops) = (net.token_fc2.inputs, self.pairs(), &kernels.ops);
        self.d_hidden.resize(kernels.device(), self.hidden.len())?;
        let dx = Some((self.d_hidden.view_mut(), false));
        ops.linear_backward(&net.token_fc2, params, &self.hidden, &self.d_tokens, dx, grads)?;
        ops.relu_backward(&self.hidden, &mut self.d_hidden)?;
        ops.linear_backward(&net.token_colour, params, &self.colours, &self.d_hidden, None, grads)?;
        let (d_map, d_keys) = sources.gradients();
        let scatter = |kernel: &str, d: &Store, to: &mut Store| {
            let args = self.taps(Args::new().store(d)).store(to).ints([pairs, c]);
            // SAFETY: taps lie inside the maps, whose gradients have rows of c channels as `d` has.
            unsafe { kernels.tokens.launch(kernel, &Launch::each(pairs * c), args) }
        };
        scatter("tokens_scatter", &self.d_hidden, d_map)?;
        if net.reads_keys {
            scatter("tokens_keys_scatter", &self.d_keys, d_keys)?;
        }
        Ok(())
    }
}

/// The states that samples start from, and what their backward pass needs.
#[derive(Debug, Default)]
pub(super) struct StartTape {
    /// For each state channel the view it came from, where the start is a maximum.
    winner: Store<u16>,
    /// `[T, 2C]`: mean and variance, where the start is made of them.
    moments: Store,
    d_moments: Store,
}

impl StartTape {
    /// Writes the states `[T, C]`.
    pub fn forward(
        &mut self,
        kernels: &Kernels,
        layer: Option<&Linear>,
        params: &Buffer<f32>,
        tokens: &CudaTokens,
        q: &mut Store,
    ) -> Result<()> {
        let (device, launch, count) = (kernels.device(), Launch::each(q.len()), tokens.count());
        let sizes = [count, tokens.views, q.len() / count];
        match layer {
            None => {
                self.winner.resize(device, q.len())?;
                let args = Args::new().store(&tokens.tokens).store(q).store(&self.winner).ints(sizes);
                // SAFETY: tokens have these sizes, q and winner a value a channel of a sample.
                unsafe { kernels.start.launch("start_max", &launch, args) }
            }
            Some(layer) => {
                self.moments.resize(device, 2 * q.len())?;
                let args = Args::new().store(&tokens.tokens).store(&tokens.mask).store(&self.moments).ints(sizes);
                // SAFETY: tokens and mask have these sizes, and the moments two values a channel of a sample.
                unsafe { kernels.start.launch("start_moments", &launch, args)? };
                kernels.ops.linear(layer, params, &self.moments, q, false, false)
            }
        }
    }

    /// Adds the gradient of the states, `dq` `[T, C]`, to the tokens' and the parameters'.
    pub fn backward(
        &mut self,
        kernels: &Kernels,
        layer: Option<&Linear>,
        params: &Buffer<f32>,
        tokens: &mut CudaTokens,
        dq: &Store,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (launch, count) = (Launch::each(dq.len()), tokens.count());
        let sizes = [count, tokens.views, dq.len() / count];
        match layer {
            None => {
                let args = Args::new().store(dq).store(&self.winner).store(&tokens.d_tokens).ints(sizes);
                // SAFETY: the winners are views; dq and winner have a value a channel of a sample.
                unsafe { kernels.start.launch("start_max_backward", &launch, args) }
            }
            Some(layer) => {
                self.d_moments.resize(kernels.device(), self.moments.len())?;
                let dx = Some((self.d_moments.view_mut(), false));
                kernels.ops.linear_backward(layer, params, &self.moments, dq, dx, grads)?;
                let args = Args::new().store(&tokens.tokens).store(&tokens.mask).store(&self.moments);
                let args = args.store(&self.d_moments).store(&tokens.d_tokens).ints(sizes);
                // SAFETY: as in the forward pass; gradients have the sizes of what they belong to.
                unsafe { kernels.start.launch("start_moments_backward", &launch, args) }
            }
        }
    }
}
