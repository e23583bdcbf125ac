//! The mixture of two experts on a CUDA device, forward and backward.
//!
//! Rows are sorted by their expert, so that each expert runs on a contiguous part of them. The number of rows of each is
//! read back once a forward pass, since sizes of products must be known here.

use super::{Balance, Expert, Experts, MULTIPLY, Noise, Usage};
use crate::cuda::{BLOCK, Footprint, Footprints, Ops, Slice, SliceMut, Store, warps};
use crate::layer_norm::cuda::CudaLayerNormTape;
use crate::linear::Linear;
use compute::cuda::{Args, Buffer, CudaError, Launch, Result};
use std::ops::Range;

/// The file of the kernels.
const KERNELS: &str = "training/experts.cu";

/// What a router decides for the rows of a forward pass.
#[derive(Debug, Default)]
pub(crate) struct CudaRouting {
    /// Logits without noise `[rows, 2]`.
    logits: Store,
    /// Logits that the choice was made on `[rows, 2]`.
    noisy: Store,
    /// Softmax of `logits`, `[rows, 2]`.
    gates: Store,
    /// Numbers of the rows, those of each expert together and ascending `[rows]`.
    pub order: Store<i32>,
    /// Sums of each block of rows: bits of five doubles.
    sums: Store<u64>,
    /// Rows of the first expert in the blocks before.
    starts: Store<i32>,
    usage: Usage,
}

impl CudaRouting {
    /// The rows of an expert in the sorted order.
    pub fn share(&self, expert: usize) -> Range<usize> {
        let [first, second] = self.usage.counts;
        if expert == MULTIPLY { 0..first } else { first..first + second }
    }

    /// What the balance losses are made of; usages of several passes can be added.
    pub fn usage(&self) -> Usage {
        self.usage
    }
}

/// What the backward pass needs from the forward pass.
#[derive(Debug, Default)]
pub struct CudaExpertsTape {
    norm: CudaLayerNormTape,
    routing: CudaRouting,
    /// Normalised rows in the sorted order `[rows, width]`.
    input: Store,
    /// Of each expert, `[its rows, its hidden]`, after the ReLU.
    hidden: [Store; 2],
    /// Not yet scaled by the gate, in this order `[rows, width]`.
    output: Store,
}

impl CudaExpertsTape {
    /// Number of rows that each expert ran.
    pub fn counts(&self) -> [usize; 2] {
        self.usage().counts
    }

    /// What the balance losses are made of; usages of several passes can be added.
    pub fn usage(&self) -> Usage {
        self.routing.usage()
    }

    /// Importance and load loss of these rows, unweighted, for the latency shares `alpha`.
    pub fn losses(&self, alpha: &[f32; 2]) -> (f32, f32) {
        self.usage().losses(alpha)
    }

    /// Numbers of the rows, those of the first expert before those of the second, both ascending.
    ///
    /// # Errors
    /// If the device fails.
    pub fn order(&self) -> Result<Vec<i32>> {
        self.routing.order.read()
    }
}

/// Memory of the backward pass, shared by all blocks.
#[derive(Debug, Default)]
pub struct CudaExpertsScratch {
    d_output: Store,
    d_hidden: Store,
    d_input: Store,
    d_norm: Store,
    d_logits: Store,
}

impl Experts {
    /// What tape and scratch hold.
    pub fn cuda_footprints(&self) -> Footprints {
        let (width, hidden) = (self.norm.width, self.experts[0].fc1.outputs.max(self.experts[1].fc1.outputs));
        Footprints {
            // Of each row two logits, two noisy ones, two gates, its number and a share of the sums beside the states.
            tape: self.norm.cuda_footprint() + Footprint::sample(2 * width + hidden + 8),
            scratch: Footprint::sample(3 * width + hidden + 2),
        }
    }
}

/// Doubles that a block of rows sums up: importance, load and the rows of the first expert.
pub(crate) const SUMS: usize = 5;

impl Ops {
    /// Adds the block's output to `x` `[rows, width]`.
    ///
    /// With `noise`, as in training, the choice is made on perturbed logits: the noise is that which the CPU draws for
    /// the same rows. Waits for the device to learn how many rows each expert has.
    ///
    /// # Panics
    /// If `x` is not whole rows.
    ///
    /// # Errors
    /// If the device fails.
    pub fn experts<'a>(
        &self,
        layer: &Experts,
        params: &Buffer<f32>,
        x: impl Into<SliceMut<'a>>,
        noise: Option<Noise>,
        tape: &mut CudaExpertsTape,
    ) -> Result<()> {
        let (x, width) = (x.into(), layer.norm.width);
        let rows = x.len() / width;
        self.layer_norm(&layer.norm, params, x.slice(), &mut tape.norm)?;
        tape.input.resize(&self.device, x.len())?;
        tape.output.resize(&self.device, x.len())?;
        self.route(&layer.router, params, tape.norm.y.slice(), noise, &mut tape.routing)?;
        if rows == 0 {
            return Ok(());
        }
        self.gather_rows(tape.norm.y.slice(), &tape.routing.order, width, tape.input.slice_mut())?;
        for (i, expert) in layer.experts.iter().enumerate() {
            let Range { start, end } = tape.routing.share(i);
            tape.hidden[i].resize(&self.device, (end - start) * expert.fc1.outputs)?;
            if start == end {
                continue;
            }
            let at = start * width..end * width;
            let input = tape.input.slice().part(at.clone());
            self.linear(&expert.fc1, params, input, &mut tape.hidden[i], false, true)?;
            self.linear(&expert.fc2, params, &tape.hidden[i], tape.output.slice_mut().part(at), false, false)?;
        }
        self.add_gated(&tape.routing, &tape.output, x)
    }

    /// Adds to each row of `x` `[rows, width]` its row of `output`, which is in the sorted order, times its gate.
    pub(crate) fn add_gated(&self, routing: &CudaRouting, output: &Store, x: SliceMut) -> Result<()> {
        let rows = routing.order.len();
        assert_eq!(output.len(), x.len(), "outputs of experts and states");
        if rows == 0 {
            return Ok(());
        }
        let args = Args::new()
            .buffer(output.buffer())
            .buffer(routing.order.buffer())
            .buffer(routing.gates.buffer())
            .int(routing.usage.counts[MULTIPLY])
            .int(rows)
            .int(x.len() / rows)
            .value(x.address());
        // SAFETY: all have `rows` rows, and `order` is a permutation of them; x is borrowed mutably.
        unsafe { self.module(KERNELS)?.launch("training_experts_add", &warps(rows), args) }
    }

    /// Has `router` choose the expert of each row of `x` `[rows, width]`. Waits for the device to learn how many rows each
    /// expert has.
    pub(crate) fn route(
        &self,
        router: &Linear,
        params: &Buffer<f32>,
        x: Slice,
        noise: Option<Noise>,
        routing: &mut CudaRouting,
    ) -> Result<()> {
        assert_eq!(router.outputs, 2, "a router of two experts");
        let rows = x.len() / router.inputs;
        let CudaRouting { logits, noisy, gates, order, sums, starts, usage } = routing;
        *usage = Usage::default();
        order.resize(&self.device, rows)?;
        for store in [&mut *logits, &mut *noisy, &mut *gates] {
            store.resize(&self.device, 2 * rows)?;
        }
        if rows == 0 {
            return Ok(());
        }
        self.linear(router, params, x, &mut *logits, false, false)?;
        let blocks = rows.div_ceil(BLOCK);
        // The whole sums follow those of the blocks.
        sums.resize(&self.device, (blocks + 1) * SUMS)?;
        starts.resize(&self.device, blocks)?;
        let launch = Launch::new(blocks, BLOCK as u32);
        let args = Args::new()
            .buffer(logits.buffer())
            .int(rows)
            .int(usize::from(noise.is_some()))
            .value(noise.map_or(0, |n| n.state()))
            .buffer(noisy.buffer())
            .buffer(gates.buffer())
            .buffer(sums.buffer());
        // SAFETY: two values a row in each array, five doubles a block.
        unsafe { self.module(KERNELS)?.launch("training_experts_route", &launch, args)? };
        let args = Args::new().buffer(sums.buffer()).int(blocks).buffer(starts.buffer());
        // SAFETY: the sums of `blocks` blocks and room for the whole; one start a block.
        unsafe { self.module(KERNELS)?.launch("training_experts_scan", &Launch::new(1, BLOCK as u32), args)? };
        let args = Args::new()
            .buffer(noisy.buffer())
            .int(rows)
            .buffer(sums.buffer())
            .buffer(starts.buffer())
            .buffer(order.buffer());
        // SAFETY: as above; every row gets one place below `rows`.
        unsafe { self.module(KERNELS)?.launch("training_experts_place", &launch, args)? };
        let mut totals = [0; SUMS];
        sums.buffer().read_on(0, blocks * SUMS, &mut totals)?;
        let [p0, p1, q0, q1, first] = totals.map(f64::from_bits);
        let is_count = (0.0..=rows as f64).contains(&first) && first.fract() == 0.0;
        if !is_count {
            let problem = format!("expected 0 to {rows} rows of the first expert, found {first}");
            return Err(CudaError::Driver { what: "routing rows to experts".into(), problem });
        }
        let first = first as usize;
        *usage = Usage { importance: [p0, p1], load: [q0, q1], counts: [first, rows - first] };
        Ok(())
    }

    /// Turns the gradient of the output into that of the input, in place in `dx` `[rows, width]`, and adds the
    /// parameters' gradients to `grads`; `balance` adds those of the balance losses of these rows.
    ///
    /// The choice itself is not differentiated: the router learns through the gate and through the balance losses.
    ///
    /// # Panics
    /// If the sizes differ from the forward pass.
    ///
    /// # Errors
    /// If the device fails.
    pub fn experts_backward<'a>(
        &self,
        layer: &Experts,
        params: &Buffer<f32>,
        tape: &CudaExpertsTape,
        dx: impl Into<SliceMut<'a>>,
        scratch: &mut CudaExpertsScratch,
        grads: &mut Buffer<f32>,
        balance: Option<Balance>,
    ) -> Result<()> {
        let (dx, width) = (dx.into(), layer.norm.width);
        assert_eq!(dx.len(), tape.norm.y.len(), "gradient and forward pass differ in size");
        let rows = dx.len() / width;
        if rows == 0 {
            return Ok(());
        }
        let CudaExpertsScratch { d_output, d_hidden, d_input, d_norm, d_logits } = scratch;
        d_output.resize(&self.device, dx.len())?;
        d_input.resize(&self.device, dx.len())?;
        d_norm.resize(&self.device, dx.len())?;
        d_logits.resize(&self.device, 2 * rows)?;
        let args = Args::new()
            .buffer(tape.output.buffer())
            .buffer(tape.routing.order.buffer())
            .buffer(tape.routing.gates.buffer())
            .int(tape.routing.usage.counts[MULTIPLY])
            .int(rows)
            .int(width)
            .value(dx.address())
            .buffer(d_output.buffer())
            .buffer(d_logits.buffer());
        // SAFETY: all have `rows` rows, and `order` is a permutation of them; the scratch is borrowed mutably.
        unsafe { self.module(KERNELS)?.launch("training_experts_add_backward", &warps(rows), args)? };
        for (i, expert) in layer.experts.iter().enumerate() {
            let Range { start, end } = tape.routing.share(i);
            if start < end {
                let at = start * width..end * width;
                let (input, dy) = (tape.input.slice().part(at.clone()), d_output.slice().part(at.clone()));
                let d_input = d_input.slice_mut().part(at);
                self.expert_backward(expert, params, input, &tape.hidden[i], dy, d_hidden, d_input, grads)?;
            }
        }
        self.scatter_rows(d_input.slice(), &tape.routing.order, width, d_norm.slice_mut())?;
        if let Some(balance) = balance {
            let (importance, load) = balance.slopes(&tape.usage());
            let args = Args::new()
                .buffer(tape.routing.logits.buffer())
                .buffer(tape.routing.noisy.buffer())
                .buffer(tape.routing.gates.buffer())
                .int(rows)
                .float((importance[0] - importance[1]) as f32)
                .float(load[0] as f32)
                .float(load[1] as f32)
                .buffer(d_logits.buffer());
            // SAFETY: two values a row in each array.
            unsafe { self.module(KERNELS)?.launch("training_experts_balance", &Launch::each(rows), args)? };
        }
        let d_norm_view = Some((d_norm.slice_mut(), true));
        self.linear_backward(&layer.router, params, &tape.norm.y, &*d_logits, d_norm_view, grads)?;
        self.layer_norm_backward(&layer.norm, params, &tape.norm, &*d_norm, dx, grads)
    }

    /// From the gradient `dy` of an expert's output to that of its input.
    fn expert_backward(
        &self,
        expert: &Expert,
        params: &Buffer<f32>,
        input: Slice,
        hidden: &Store,
        dy: Slice,
        d_hidden: &mut Store,
        d_input: SliceMut,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        d_hidden.resize(&self.device, hidden.len())?;
        self.linear_backward(&expert.fc2, params, hidden, dy, Some((d_hidden.slice_mut(), false)), grads)?;
        self.relu_backward(hidden, &mut *d_hidden)?;
        self.linear_backward(&expert.fc1, params, input, &*d_hidden, Some((d_input, false)), grads)
    }
}

#[cfg(test)]
#[path = "cuda_tests.rs"]
mod tests;
