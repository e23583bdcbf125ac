use super::*;
use crate::Layout;
use crate::cuda::testing::*;
use crate::params::SplitMix;
use crate::{layer_norm, testing};

fn run(ops: &Ops, rows: usize, width: usize) {
    let mut layout = Layout::new();
    let layer = LayerNorm::new(&mut layout, "norm", width, 1e-5);
    let params = parameters(&layout, 5, 1.0);
    let x = states(rows, width, 6);
    let (dy, dx) = (uniform(&mut SplitMix(8), x.len(), 1.0), uniform(&mut SplitMix(9), x.len(), 1.0));
    let grads = uniform(&mut SplitMix(10), layout.len(), 1.0);
    let mut tape = layer_norm::LayerNormTape::default();
    layer.forward(&params, &x, &mut tape);
    let (mut dx_expected, mut grads_expected) = (dx.clone(), grads.clone());
    layer.backward(&params, &tape, &dy, &mut dx_expected, &mut grads_expected);

    let device = ops.device();
    let params = device.upload(&params).unwrap();
    let (x, dy) = (upload(ops, &x), upload(ops, &dy));
    in_each_schedule(|_| {
        let (mut found, mut dx, mut grads) =
            (CudaLayerNormTape::default(), upload(ops, &dx), device.upload(&grads).unwrap());
        ops.layer_norm(&layer, &params, &x, &mut found).unwrap();
        assert_near("normal", &found.normal.read().unwrap(), &tape.normal, VALUES);
        assert_near("scale", &found.scale.read().unwrap(), &tape.scale, VALUES);
        assert_near("y", &found.y.read().unwrap(), &tape.y, VALUES);
        ops.layer_norm_backward(&layer, &params, &found, &dy, &mut dx, &mut grads).unwrap();
        assert_near("dx", &dx.read().unwrap(), &dx_expected, GRADIENTS);
        assert_gradients(&layout, &grads.read().unwrap(), &grads_expected);
    });
}

#[test]
fn forward_and_backward_are_those_of_the_cpu() {
    let ops = ops();
    for (rows, width) in [(1, 16), (31, 32), (33, 48), (65, 32), (300, 16), (7, 200), (9, 12), (4, 5), (6, 37)] {
        run(&ops, rows, width);
    }
}

#[test]
fn any_width_is_normalised() {
    let ops = ops();
    for width in [1, 5, 37] {
        let mut layout = Layout::new();
        let layer = LayerNorm::new(&mut layout, "norm", width, 1e-5);
        let (params, x) = (parameters(&layout, 5, 1.0), states(33, width, 6));
        let expected = testing::layer_norm(&layer, &testing::wide(&params), &testing::wide(&x));
        let mut tape = CudaLayerNormTape::default();
        ops.layer_norm(&layer, &ops.device().upload(&params).unwrap(), &upload(&ops, &x), &mut tape).unwrap();
        let expected: Vec<f32> = expected.iter().map(|v| *v as f32).collect();
        assert_near("y", &tape.y.read().unwrap(), &expected, VALUES);
    }
}

#[test]
fn a_tape_serves_smaller_and_empty_batches() {
    let ops = ops();
    let mut layout = Layout::new();
    let layer = LayerNorm::new(&mut layout, "norm", 16, 1e-5);
    let params = ops.device().upload(&layout.initialise(1)).unwrap();
    let mut tape = CudaLayerNormTape::default();
    for rows in [33, 31, 0, 1] {
        ops.layer_norm(&layer, &params, &upload(&ops, &states(rows, 16, 3)), &mut tape).unwrap();
        assert_eq!((tape.y.read().unwrap().len(), tape.scale.len()), (rows * 16, rows));
    }
}
