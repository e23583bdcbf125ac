use super::*;
use crate::Layout;
use crate::cuda::testing::*;
use crate::feed_forward::mlp;
use crate::layer_norm::LayerNorm;
use crate::params::SplitMix;
use crate::testing::linear_with_slots;

#[test]
fn forward_and_backward_are_those_of_the_cpu() {
    let ops = ops();
    // One tape and scratch for all sizes, as between steps.
    let (mut tape, mut scratch) = (CudaMlpTape::default(), CudaMlpScratch::default());
    for (rows, width, hidden) in [(65, 48, 192), (1, 16, 64), (31, 32, 128), (33, 48, 50), (400, 16, 64)] {
        let mut layout = Layout::new();
        let norm = LayerNorm::new(&mut layout, "norm", width, 1e-6);
        let (fc1, first) = linear_with_slots(&mut layout, "fc1", width, hidden);
        let (fc2, second) = linear_with_slots(&mut layout, "fc2", hidden, width);
        let layer = Mlp { norm, fc1, fc2, original: [first, second] };
        let params = parameters(&layout, 5, 1.0);
        let (mut x, mut dx) = (states(rows, width, 6), uniform(&mut SplitMix(8), rows * width, 1.0));
        let mut grads = vec![0.0; layout.len()];
        let device = ops.device();
        let (params_d, mut grads_d) = (device.upload(&params).unwrap(), device.upload(&grads).unwrap());
        let [mut x_d, mut dx_d] = [&x, &dx].map(|v| upload(&ops, v));

        let mut cpu = mlp::MlpTape::default();
        layer.forward(&params, &mut x, &mut cpu);
        layer.backward(&params, &cpu, &mut dx, &mut Default::default(), &mut grads);
        ops.mlp(&layer, &params_d, &mut x_d, &mut tape).unwrap();
        assert_near("x", &x_d.read().unwrap(), &x, VALUES);
        ops.mlp_backward(&layer, &params_d, &tape, &mut dx_d, &mut scratch, &mut grads_d).unwrap();
        assert_near("dx", &dx_d.read().unwrap(), &dx, GRADIENTS);
        assert_gradients(&layout, &grads_d.read().unwrap(), &grads);
    }
}
