//! Forward and backward pass in training.

use super::{Choice, GridMlp};
use crate::feed_forward::experts::{Balance, MULTIPLY, Noise, RoutedRows, SHIFT, Usage};
use crate::gelu::{gelu, gelu_backward};
use crate::layer_norm::LayerNormTape;
use crate::linear::{Linear, relu, relu_backward};

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct GridMlpTape {
    norm: LayerNormTape,
    /// Hidden values as the first layer left them, clipped where they are.
    hidden: Vec<f32>,
    /// After the convolution.
    mixed: Vec<f32>,
    activated: Vec<f32>,
    /// Where there is a choice: what the router found, the rows of each expert, and what the second layers made of them.
    routing: RoutedRows,
    rows: [Vec<u32>; 2],
    output: Vec<f32>,
    gathered: Gathered,
}

impl GridMlpTape {
    /// The tokens that `expert` ran, ascending; empty without a choice.
    pub fn rows(&self, expert: usize) -> &[u32] {
        &self.rows[expert]
    }

    /// How far each token's logit of the multiply expert lies above that of the shift expert, without noise; empty without a
    /// choice.
    pub fn margins(&self) -> impl Iterator<Item = f32> {
        self.routing.margins()
    }
}

/// Buffers of the backward pass, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct GridMlpScratch {
    d_activated: Vec<f32>,
    d_hidden: Vec<f32>,
    d_norm: Vec<f32>,
    d_output: Vec<f32>,
    d_logits: Vec<f32>,
    gathered: Gathered,
}

impl GridMlp {
    /// Adds the part's output to `x` `[images, tokens, width]`; `grid` is height and width of the tokens where there is a
    /// convolution. With `noise`, a router chooses on perturbed logits, as in training.
    pub fn forward(
        &self,
        params: &[f32],
        grid: (usize, usize),
        x: &mut [f32],
        noise: Option<Noise>,
        tape: &mut GridMlpTape,
    ) {
        let isa = compute::isa();
        let GridMlpTape { norm, hidden, mixed, activated, routing, rows, output, gathered } = tape;
        self.norm.forward(params, x, norm);
        let len = x.len() / self.fc1.inputs * self.hidden();
        hidden.resize(len, 0.0);
        activated.resize(len, 0.0);
        match &self.choice {
            None => self.fc1.forward(params, &norm.y, hidden, false),
            Some(choice) => {
                routing.run(&choice.router, params, &norm.y, noise);
                let [multiply, shift] = &mut *rows;
                routing.list([multiply, shift]);
                self.first(choice).forward(params, rows, &norm.y, hidden, gathered);
            }
        }
        if self.clips {
            relu(isa, hidden);
        }
        match &self.local {
            Some(local) => {
                mixed.resize(len, 0.0);
                local.forward(params, grid, hidden, mixed);
                gelu(isa, mixed, activated);
            }
            None => gelu(isa, hidden, activated),
        }
        let Some(choice) = &self.choice else { return self.fc2.forward(params, activated, x, true) };
        output.resize(x.len(), 0.0);
        self.second(choice).forward(params, rows, activated, output, gathered);
        let width = self.norm.width;
        for (expert, row) in by_expert(rows) {
            let gate = routing.gates[row][expert];
            let out = &output[row * width..][..width];
            x[row * width..][..width].iter_mut().zip(out).for_each(|(x, y)| *x += gate * y);
        }
    }

    /// Turns the gradient of the output into that of the input, in place in `dx`; `balance` adds the gradients of the
    /// balance losses of these tokens.
    pub fn backward(
        &self,
        params: &[f32],
        grid: (usize, usize),
        tape: &GridMlpTape,
        dx: &mut [f32],
        scratch: &mut GridMlpScratch,
        grads: &mut [f32],
        balance: Option<Balance>,
    ) {
        let isa = compute::isa();
        let GridMlpScratch { d_activated, d_hidden, d_norm, d_output, d_logits, gathered } = scratch;
        let width = self.norm.width;
        d_activated.resize(tape.hidden.len(), 0.0);
        d_norm.resize(dx.len(), 0.0);
        match &self.choice {
            None => self.fc2.backward(params, &tape.activated, dx, Some((d_activated, false)), grads),
            Some(choice) => {
                d_output.resize(dx.len(), 0.0);
                d_logits.clear();
                d_logits.resize(dx.len() / width * 2, 0.0);
                for (expert, row) in by_expert(&tape.rows) {
                    let (dy, gate) = (&dx[row * width..][..width], tape.routing.gates[row][expert]);
                    let d_gate = dy.iter().zip(&tape.output[row * width..]).map(|(d, y)| d * y).sum();
                    tape.routing.add_gate_gradient(row, expert, d_gate, d_logits);
                    d_output[row * width..].iter_mut().zip(dy).for_each(|(o, d)| *o = gate * d);
                }
                let second = self.second(choice);
                second.backward(params, &tape.rows, (&tape.activated, d_output, d_activated), gathered, grads);
            }
        }
        if let Some(local) = &self.local {
            gelu_backward(isa, &tape.mixed, d_activated);
            d_hidden.resize(tape.hidden.len(), 0.0);
            local.backward(params, grid, &tape.hidden, d_activated, d_hidden, grads);
        } else {
            gelu_backward(isa, &tape.hidden, d_activated);
            d_hidden.clone_from(d_activated);
        }
        if self.clips {
            relu_backward(isa, &tape.hidden, d_hidden);
        }
        match &self.choice {
            None => self.fc1.backward(params, &tape.norm.y, d_hidden, Some((d_norm, false)), grads),
            Some(choice) => {
                let first = self.first(choice);
                first.backward(params, &tape.rows, (&tape.norm.y, d_hidden, d_norm), gathered, grads);
                if let Some(balance) = balance {
                    balance.add_gradient(&tape.routing, d_logits);
                }
                choice.router.backward(params, &tape.norm.y, d_logits, Some((d_norm, true)), grads);
            }
        }
        self.norm.backward(params, &tape.norm, d_norm, dx, grads);
    }

    /// What the router did in the forward pass that left `tape`; zeros without a choice.
    pub fn usage(&self, tape: &GridMlpTape) -> Usage {
        let counts = [0, 1].map(|expert| tape.rows[expert].len());
        self.choice.map_or(Usage::default(), |_| Usage::new(&tape.routing, counts))
    }

    fn first(&self, choice: &Choice) -> Either {
        Either([self.fc1, choice.fc1])
    }

    fn second(&self, choice: &Choice) -> Either {
        Either([self.fc2, choice.fc2])
    }
}

/// Every token with the expert that it runs in.
fn by_expert(rows: &[Vec<u32>; 2]) -> impl Iterator<Item = (usize, usize)> {
    [MULTIPLY, SHIFT].into_iter().flat_map(|expert| rows[expert].iter().map(move |row| (expert, *row as usize)))
}

/// Two layers of the same sizes, of which every row takes one.
struct Either([Linear; 2]);

/// Buffers for the rows of one of them.
#[derive(Clone, Debug, Default)]
struct Gathered {
    x: Vec<f32>,
    y: Vec<f32>,
    dx: Vec<f32>,
}

impl Either {
    /// `y[row] = x[row] · W + b` with the layer in whose list the row is.
    fn forward(&self, params: &[f32], rows: &[Vec<u32>; 2], x: &[f32], y: &mut [f32], gathered: &mut Gathered) {
        for (layer, rows) in self.0.iter().zip(rows).filter(|(_, rows)| !rows.is_empty()) {
            gather(rows, x, layer.inputs, &mut gathered.x);
            gathered.y.resize(rows.len() * layer.outputs, 0.0);
            layer.forward(params, &gathered.x, &mut gathered.y, false);
            scatter(rows, &gathered.y, layer.outputs, y);
        }
    }

    /// Adds the parameters' gradients and overwrites that of the input, `dx`.
    fn backward(
        &self,
        params: &[f32],
        rows: &[Vec<u32>; 2],
        (x, dy, dx): (&[f32], &[f32], &mut [f32]),
        gathered: &mut Gathered,
        grads: &mut [f32],
    ) {
        for (layer, rows) in self.0.iter().zip(rows).filter(|(_, rows)| !rows.is_empty()) {
            gather(rows, x, layer.inputs, &mut gathered.x);
            gather(rows, dy, layer.outputs, &mut gathered.y);
            gathered.dx.resize(gathered.x.len(), 0.0);
            layer.backward(params, &gathered.x, &gathered.y, Some((&mut gathered.dx, false)), grads);
            scatter(rows, &gathered.dx, layer.inputs, dx);
        }
    }
}

/// Copies some rows of `x`, which are `width` wide, to `out`.
pub(super) fn gather(rows: &[u32], x: &[f32], width: usize, out: &mut Vec<f32>) {
    out.clear();
    rows.iter().for_each(|row| out.extend_from_slice(&x[*row as usize * width..][..width]));
}

/// Copies gathered rows back to their places.
pub(super) fn scatter(rows: &[u32], gathered: &[f32], width: usize, out: &mut [f32]) {
    for (row, values) in rows.iter().zip(gathered.chunks_exact(width)) {
        out[*row as usize * width..][..width].copy_from_slice(values);
    }
}
