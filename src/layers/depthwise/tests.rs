use super::*;
use crate::Layout;
use crate::folding::fold;
use crate::params::SplitMix;
use crate::testing::uniform;

/// Values at a corner and in the middle against sums by hand, and both gradients against their inner products.
#[test]
fn sums_neighbours_and_is_linear() {
    let (height, width) = (3, 5);
    // Channels that fill no register, one, and two and some more.
    for (residual, channels) in [(false, 7), (true, 7), (true, 16), (false, 37)] {
        let mut layout = Layout::new();
        let mut b = Builder::new(&mut layout, "");
        let layer = Depthwise::build(&mut b, "dw", channels, residual);
        let (folds, len) = (b.folds, b.folded.len());
        let mut rng = SplitMix(5);
        let params = uniform(&mut rng, layout.len(), 1.0);
        let folded = fold(&folds, &params, len);
        let grid = height * width * channels;
        let x = uniform(&mut rng, 2 * grid, 1.0);
        let mut y = vec![9.0; x.len()];
        layer.forward(&folded, (height, width), &x, &mut y);
        let weight = |c: usize, tap: usize| params[c * TAPS + tap];
        let at = |i: usize, y: usize, x: usize, c: usize| i * grid + (y * width + x) * channels + c;
        let own = f32::from(residual);
        for c in 0..channels {
            let bias = params[channels * TAPS + c];
            let corner = bias
                + own * x[at(1, 0, 0, c)]
                + [(4, 0, 0), (5, 0, 1), (7, 1, 0), (8, 1, 1)]
                    .map(|(t, a, b)| weight(c, t) * x[at(1, a, b, c)])
                    .iter()
                    .sum::<f32>();
            assert!((y[at(1, 0, 0, c)] - corner).abs() < 1e-5);
            let middle = bias
                + own * x[at(0, 1, 2, c)]
                + (0..9).map(|t| weight(c, t) * x[at(0, t / 3, 1 + t % 3, c)]).sum::<f32>();
            assert!((y[at(0, 1, 2, c)] - middle).abs() < 1e-5);
        }
        let dy = uniform(&mut rng, x.len(), 1.0);
        let (mut dx, mut grads) = (vec![9.0; x.len()], vec![0.0; len]);
        layer.backward(&folded, (height, width), &x, &dy, &mut dx, &mut grads);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let without_bias = dot(&y, &dy) - dot(layer.bias.of(&folded), layer.bias.of(&grads));
        assert!((without_bias - dot(&x, &dx)).abs() < 1e-3);
        let from_weight = without_bias - f64::from(own) * dot(&x, &dy);
        assert!((from_weight - dot(layer.weight.of(&folded), layer.weight.of(&grads))).abs() < 1e-3);
    }
}
