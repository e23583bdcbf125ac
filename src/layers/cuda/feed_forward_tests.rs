use super::*;
use crate::Layout;
use crate::cuda::testing::*;
use crate::feed_forward;
use crate::layer_norm::LayerNorm;
use crate::linear::Linear;
use crate::params::SplitMix;

#[test]
fn forward_and_backward_are_those_of_the_cpu() {
    let ops = ops();
    // One tape and scratch for all sizes, as between steps.
    let (mut tape, mut scratch) = (FeedForwardTape::default(), FeedForwardScratch::default());
    for (rows, width, hidden) in [(65, 48, 192), (1, 16, 64), (31, 32, 128), (33, 48, 50), (400, 16, 64)] {
        let mut layout = Layout::new();
        let layer = FeedForward {
            norm: LayerNorm::new(&mut layout, "norm", width, 1e-6),
            fc1: Linear::new(&mut layout, "fc1", width, hidden, true),
            fc2: Linear::new(&mut layout, "fc2", hidden, width, true),
        };
        let params = parameters(&layout, 5, 1.0);
        let (mut x, mut dx) = (states(rows, width, 6), uniform(&mut SplitMix(8), rows * width, 1.0));
        let mut grads = vec![0.0; layout.len()];
        let device = ops.device();
        let (params_d, mut grads_d) = (device.upload(&params).unwrap(), device.upload(&grads).unwrap());
        let [mut x_d, mut dx_d] = [&x, &dx].map(|v| upload(&ops, v));

        let mut cpu = feed_forward::FeedForwardTape::default();
        layer.forward(&params, &mut x, &mut cpu);
        layer.backward(&params, &cpu, &mut dx, &mut Default::default(), &mut grads);
        ops.feed_forward(&layer, &params_d, &mut x_d, &mut tape).unwrap();
        assert_near("x", &x_d.read().unwrap(), &x, VALUES);
        ops.feed_forward_backward(&layer, &params_d, &tape, &mut dx_d, &mut scratch, &mut grads_d).unwrap();
        assert_near("dx", &dx_d.read().unwrap(), &dx, GRADIENTS);
        assert_gradients(&layout, &grads_d.read().unwrap(), &grads);
    }
}
