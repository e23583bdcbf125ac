//! Sequence pooling (Compact Convolutional Transformers, arXiv 2104.05704): the tokens' mean, weighted by a softmax over
//! the tokens of a learned score.

pub mod cuda;

use crate::builder::Builder;
use crate::linear::Linear;
use crate::softmax::{softmax_rows, softmax_rows_backward};

/// `y = Σ softmax(score(x)) · x` over the tokens of an image.
#[derive(Clone, Copy, Debug)]
pub struct SequencePool {
    /// `width → 1`.
    pub score: Linear,
}

impl SequencePool {
    /// Registers `{name}.weight` `[1, width]` and `{name}.bias`.
    pub fn build(b: &mut Builder, name: &str, width: usize) -> Self {
        Self { score: b.linear(name, width, 1, true) }
    }

    /// Pools `x` `[images, tokens, width]` to `y` `[images, width]`; both outputs are resized.
    ///
    /// `weights` `[images, tokens]` are the tokens' weights, which the backward pass reads.
    pub fn forward(&self, params: &[f32], tokens: usize, x: &[f32], weights: &mut Vec<f32>, y: &mut Vec<f32>) {
        let width = self.score.inputs;
        weights.resize(x.len() / width, 0.0);
        self.score.forward(params, x, weights, false);
        softmax_rows(compute::isa(), weights, tokens);
        y.clear();
        y.resize(x.len() / tokens, 0.0);
        for ((x, weights), y) in
            x.chunks_exact(tokens * width).zip(weights.chunks_exact(tokens)).zip(y.chunks_exact_mut(width))
        {
            for (x, w) in x.chunks_exact(width).zip(weights) {
                y.iter_mut().zip(x).for_each(|(y, x)| *y += w * x);
            }
        }
    }

    /// Overwrites the input's gradient `dx`, which is resized, and adds the parameters' to `grads`.
    pub fn backward(
        &self,
        params: &[f32],
        tokens: usize,
        x: &[f32],
        weights: &[f32],
        dy: &[f32],
        dx: &mut Vec<f32>,
        grads: &mut [f32],
    ) {
        let width = self.score.inputs;
        dx.resize(x.len(), 0.0);
        let mut d_scores = Vec::with_capacity(weights.len());
        for (i, x) in x.chunks_exact(width).enumerate() {
            let dy = &dy[i / tokens * width..][..width];
            dx[i * width..][..width].iter_mut().zip(dy).for_each(|(dx, d)| *dx = weights[i] * d);
            d_scores.push(x.iter().zip(dy).map(|(x, d)| x * d).sum::<f32>());
        }
        softmax_rows_backward(compute::isa(), weights, &mut d_scores, tokens);
        self.score.backward(params, x, &d_scores, Some((dx, true)), grads);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;
    use crate::folding::fold;
    use crate::params::SplitMix;
    use crate::testing::uniform;

    #[test]
    fn gradients_are_those_of_differences() {
        let (images, tokens, width) = (2, 5, 7);
        let mut layout = Layout::new();
        let mut b = Builder::new(&mut layout, "");
        let layer = SequencePool::build(&mut b, "pool", width);
        let (folds, len) = (b.folds, b.folded.len());
        let mut rng = SplitMix(9);
        let params = fold(&folds, &uniform(&mut rng, layout.len(), 1.0), len);
        let x = uniform(&mut rng, images * tokens * width, 1.0);
        let dy = uniform(&mut rng, images * width, 1.0);
        let (mut weights, mut y) = (Vec::new(), Vec::new());
        let mut value = |params: &[f32], x: &[f32]| {
            layer.forward(params, tokens, x, &mut weights, &mut y);
            y.iter().zip(&dy).map(|(y, d)| f64::from(y * d)).sum::<f64>()
        };
        let difference = |f: &mut dyn FnMut(f32) -> f64| (f(1e-2) - f(-1e-2)) / 2e-2;
        let at_x: Vec<f64> = (0..x.len())
            .map(|i| {
                difference(&mut |step| {
                    let mut x = x.clone();
                    x[i] += step;
                    value(&params, &x)
                })
            })
            .collect();
        let at_params: Vec<f64> = (0..len)
            .map(|i| {
                difference(&mut |step| {
                    let mut params = params.clone();
                    params[i] += step;
                    value(&params, &x)
                })
            })
            .collect();
        let (mut dx, mut grads) = (Vec::new(), vec![0.0; len]);
        layer.forward(&params, tokens, &x, &mut weights, &mut y);
        assert!((weights[..tokens].iter().sum::<f32>() - 1.0).abs() < 1e-5);
        layer.backward(&params, tokens, &x, &weights, &dy, &mut dx, &mut grads);
        for (got, want) in dx.iter().zip(&at_x).chain(grads.iter().zip(&at_params)) {
            assert!((f64::from(*got) - want).abs() < 1e-3, "{got} {want}");
        }
    }
}
