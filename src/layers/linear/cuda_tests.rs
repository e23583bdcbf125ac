use crate::Layout;
use crate::cuda::testing::{
    GRADIENTS, VALUES, assert_gradients, assert_near, ops, parameters, states, uniform, upload,
};
use crate::linear::{Linear, relu};
use crate::params::SplitMix;

#[test]
fn forward_and_backward_are_those_of_the_cpu() {
    let ops = ops();
    for (rows, inputs, outputs, bias) in
        [(1, 16, 48, true), (31, 48, 2, true), (33, 32, 96, false), (65, 4, 8, true), (700, 35, 32, true)]
    {
        let mut layout = Layout::new();
        // In front of the layer, so that its slots are not aligned.
        layout.add("other", &[3], crate::Init::Ones);
        let layer = Linear::new(&mut layout, "linear", inputs, outputs, bias);
        let params = parameters(&layout, 5, 1.0);
        let (x, mut y) = (states(rows, inputs, 6), states(rows, outputs, 7));
        let (dy, mut dx) = (uniform(&mut SplitMix(8), y.len(), 1.0), uniform(&mut SplitMix(9), x.len(), 1.0));
        let mut grads = uniform(&mut SplitMix(10), layout.len(), 1.0);
        let device = ops.device();
        let (params_d, mut grads_d) = (device.upload(&params).unwrap(), device.upload(&grads).unwrap());
        let [x_d, mut y_d, dy_d, mut dx_d] = [&x, &y, &dy, &dx].map(|v| upload(&ops, v));
        for (accumulate, clip) in [(true, false), (false, true)] {
            layer.forward(&params, &x, &mut y, accumulate);
            if clip {
                relu(compute::isa(), &mut y);
            }
            ops.linear(&layer, &params_d, &x_d, &mut y_d, accumulate, clip).unwrap();
            assert_near("y", &y_d.read().unwrap(), &y, VALUES);
            layer.backward(&params, &x, &dy, Some((&mut dx, accumulate)), &mut grads);
            let d = Some((dx_d.slice_mut(), accumulate));
            ops.linear_backward(&layer, &params_d, &x_d, &dy_d, d, &mut grads_d).unwrap();
            assert_near("dx", &dx_d.read().unwrap(), &dx, GRADIENTS);
            assert_gradients(&layout, &grads_d.read().unwrap(), &grads);
        }
        layer.backward(&params, &x, &dy, None, &mut grads);
        ops.linear_backward(&layer, &params_d, &x_d, &dy_d, None, &mut grads_d).unwrap();
        assert_gradients(&layout, &grads_d.read().unwrap(), &grads);
    }
}
