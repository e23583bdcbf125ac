//! Forward and backward pass of the mixture of experts in training.

use super::balance::{Balance, Usage};
use super::router::{Noise, RoutedRows};
use super::{Expert, Experts};
use crate::layer_norm::LayerNormTape;
use crate::linear::{relu, relu_backward};

/// The rows of one expert, gathered.
#[derive(Clone, Debug, Default)]
struct Share {
    /// Their places in the block's input, ascending.
    rows: Vec<u32>,
    /// `[rows, width]`.
    input: Vec<f32>,
    /// `[rows, hidden]`, after the ReLU.
    hidden: Vec<f32>,
    /// `[rows, width]`, not yet scaled by the gate.
    output: Vec<f32>,
}

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct ExpertsTape {
    norm: LayerNormTape,
    routing: RoutedRows,
    shares: [Share; 2],
}

impl ExpertsTape {
    /// Number of rows that each expert ran.
    pub fn counts(&self) -> [usize; 2] {
        [0, 1].map(|e| self.shares[e].rows.len())
    }

    /// The rows that `expert` ran, ascending.
    pub fn rows(&self, expert: usize) -> &[u32] {
        &self.shares[expert].rows
    }

    /// How far each row's logit of the multiply expert lies above that of the shift expert, without noise.
    pub fn margins(&self) -> impl Iterator<Item = f32> {
        self.routing.margins()
    }

    /// What the balance losses are made of; usages of several passes can be added.
    pub fn usage(&self) -> Usage {
        Usage::new(&self.routing, self.counts())
    }

    /// Importance and load loss of these rows, unweighted, for the latency shares `alpha`.
    pub fn losses(&self, alpha: &[f32; 2]) -> (f32, f32) {
        self.usage().losses(alpha)
    }
}

/// Buffers of the backward pass, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct ExpertsScratch {
    pub(super) d_output: Vec<f32>,
    pub(super) d_hidden: Vec<f32>,
    pub(super) d_input: Vec<f32>,
    pub(super) d_norm: Vec<f32>,
    pub(super) d_logits: Vec<f32>,
}

impl Experts {
    /// Adds the block's output to `x` `[rows, width]`.
    ///
    /// With `noise`, as in training, the choice is made on perturbed logits; without, it depends on `x` alone. The gate
    /// that scales the expert's output is free of noise in both.
    pub fn forward(&self, params: &[f32], x: &mut [f32], noise: Option<Noise>, tape: &mut ExpertsTape) {
        let width = self.norm.width;
        assert_eq!(x.len() % width, 0, "{} values are not rows of {width}", x.len());
        self.norm.forward(params, x, &mut tape.norm);
        tape.routing.run(&self.router, params, &tape.norm.y, noise);
        let [multiply, shift] = &mut tape.shares;
        tape.routing.list([&mut multiply.rows, &mut shift.rows]);
        for (i, (expert, share)) in self.experts.iter().zip(&mut tape.shares).enumerate() {
            expert.forward(params, &tape.norm.y, share);
            for (output, row) in share.output.chunks_exact(width).zip(&share.rows) {
                let p = tape.routing.gates[*row as usize][i];
                at_row(x, *row, width).iter_mut().zip(output).for_each(|(x, y)| *x += p * y);
            }
        }
    }

    /// Turns the gradient of the output into that of the input, in place in `dx` `[rows, width]`, and adds the
    /// parameters' gradients to `grads`; `balance` adds those of the balance losses of these rows.
    ///
    /// The choice itself is not differentiated: the router learns through the gate and through the balance losses.
    pub fn backward(
        &self,
        params: &[f32],
        tape: &ExpertsTape,
        dx: &mut [f32],
        scratch: &mut ExpertsScratch,
        grads: &mut [f32],
        balance: Option<Balance>,
    ) {
        let width = self.norm.width;
        let routing = &tape.routing;
        assert_eq!(dx.len(), tape.norm.y.len(), "gradient and forward pass differ in size");
        // Every row has one expert, which overwrites its part of this.
        scratch.d_norm.resize(dx.len(), 0.0);
        scratch.d_logits.clear();
        scratch.d_logits.resize(routing.gates.len() * 2, 0.0);
        for (i, (expert, share)) in self.experts.iter().zip(&tape.shares).enumerate() {
            scratch.d_output.clear();
            for (output, row) in share.output.chunks_exact(width).zip(&share.rows) {
                let (dy, gates) = (&dx[*row as usize * width..][..width], routing.gates[*row as usize]);
                let d_gate: f32 = dy.iter().zip(output).map(|(d, y)| d * y).sum();
                routing.add_gate_gradient(*row as usize, i, d_gate, &mut scratch.d_logits);
                scratch.d_output.extend(dy.iter().map(|d| d * gates[i]));
            }
            expert.backward(params, share, scratch, grads);
            for (d_input, row) in scratch.d_input.chunks_exact(width).zip(&share.rows) {
                at_row(&mut scratch.d_norm, *row, width).copy_from_slice(d_input);
            }
        }
        if let Some(balance) = balance {
            balance.add_gradient(routing, &mut scratch.d_logits);
        }
        let d_norm = Some((&mut scratch.d_norm[..], true));
        self.router.backward(params, &tape.norm.y, &scratch.d_logits, d_norm, grads);
        self.norm.backward(params, &tape.norm, &scratch.d_norm, dx, grads);
    }
}

impl Expert {
    /// Gathers the rows of `share` from `input` `[rows, width]` and runs them.
    fn forward(&self, params: &[f32], input: &[f32], share: &mut Share) {
        let width = self.fc1.inputs;
        share.input.clear();
        for row in &share.rows {
            share.input.extend_from_slice(&input[*row as usize * width..][..width]);
        }
        share.hidden.resize(share.rows.len() * self.fc1.outputs, 0.0);
        share.output.resize(share.rows.len() * width, 0.0);
        if share.rows.is_empty() {
            return;
        }
        self.fc1.forward(params, &share.input, &mut share.hidden, false);
        relu(compute::isa(), &mut share.hidden);
        self.fc2.forward(params, &share.hidden, &mut share.output, false);
    }

    /// From `scratch.d_output` to `scratch.d_input`, both gathered.
    fn backward(&self, params: &[f32], share: &Share, scratch: &mut ExpertsScratch, grads: &mut [f32]) {
        scratch.d_hidden.resize(share.hidden.len(), 0.0);
        scratch.d_input.resize(share.input.len(), 0.0);
        if share.rows.is_empty() {
            return;
        }
        self.fc2.backward(params, &share.hidden, &scratch.d_output, Some((&mut scratch.d_hidden, false)), grads);
        relu_backward(compute::isa(), &share.hidden, &mut scratch.d_hidden);
        self.fc1.backward(params, &share.input, &scratch.d_hidden, Some((&mut scratch.d_input, false)), grads);
    }
}

fn at_row(x: &mut [f32], row: u32, width: usize) -> &mut [f32] {
    &mut x[row as usize * width..][..width]
}
