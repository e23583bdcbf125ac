use super::super::LinearAngularAttentionTape;
use super::*;
use crate::Layout;
use crate::cuda::testing::*;
use crate::params::SplitMix;
use crate::testing::{built, shape};

/// Width, heads, samples and rays: heads of 8, 8, 16, 5, 48 and 80 channels, rays shorter than the filter and longer than
/// a warp.
const CASES: [[usize; 4]; 7] =
    [[16, 2, 7, 3], [32, 4, 33, 2], [48, 3, 1, 5], [40, 8, 31, 1], [48, 1, 33, 2], [80, 1, 4, 1], [48, 8, 70, 1]];

fn attention(width: usize, heads: usize, branch: bool) -> (LinearAngularAttention, Layout) {
    built(|b| {
        let norm = b.norm("norm", width, 1e-6);
        LinearAngularAttention::build(b, "ray", norm, &shape(width, heads, 1), branch)
    })
}

#[test]
fn forward_and_backward_are_those_of_the_cpu() {
    let ops = ops();
    // One tape and scratch for all sizes, as between steps.
    let (mut tape, mut scratch) = (CudaLinearAngularTape::default(), CudaLinearAngularScratch::default());
    for ([width, heads, samples, rays], branch) in CASES.iter().flat_map(|case| [true, false].map(|b| (*case, b))) {
        let (layer, layout) = attention(width, heads, branch);
        let params = parameters(&layout, 5, 2.0);
        let x = states(rays * samples, width, 6);
        let dx = uniform(&mut SplitMix(8), x.len(), 1.0);
        let (mut cpu, mut y, mut dy) = (LinearAngularAttentionTape::default(), x.clone(), dx.clone());
        let mut grads = vec![0.0; layout.len()];
        layer.forward(&params, samples, &mut y, &mut cpu);
        layer.backward(&params, samples, &cpu, &mut dy, &mut Default::default(), &mut grads);
        let first: Vec<f32> = (0..rays).flat_map(|ray| layer.first_row(&cpu, samples, ray)).collect();

        let params_d = ops.device().upload(&params).unwrap();
        let mut grads_d = ops.device().zeros(params.len()).unwrap();
        let (mut x_d, mut dx_d, mut first_d) = (upload(&ops, &x), upload(&ops, &dx), upload(&ops, &first));
        ops.linear_angular(&layer, &params_d, samples, x_d.slice_mut(), &mut tape).unwrap();
        ops.linear_angular_first_rows(&layer, samples, &tape, first_d.slice_mut()).unwrap();
        ops.linear_angular_backward(&layer, &params_d, samples, &tape, dx_d.slice_mut(), &mut scratch, &mut grads_d)
            .unwrap();
        assert_near("x", &x_d.read().unwrap(), &y, VALUES);
        assert_near("first rows", &first_d.read().unwrap(), &first, GRADIENTS);
        assert_near("dx", &dx_d.read().unwrap(), &dy, GRADIENTS);
        assert_gradients(&layout, &grads_d.read().unwrap(), &grads);
    }
}
