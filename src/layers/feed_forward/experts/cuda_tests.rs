use super::*;
use crate::Layout;
use crate::cuda::testing::*;
use crate::feed_forward::experts;
use crate::layer_norm::LayerNorm;
use crate::params::SplitMix;
use crate::testing::linear_with_slots;

const ALPHA: [f32; 2] = [0.6, 0.4];
/// Importance and load are sums of f32 gates and of probabilities from f32 logits.
const USAGE: f64 = 1e-5;

fn block(layout: &mut Layout, width: usize, hidden: [usize; 2]) -> Experts {
    let norm = LayerNorm::new(layout, "norm", width, 1e-5);
    let (router, original_router) = linear_with_slots(layout, "router", width, 2);
    let experts = [0, 1].map(|e| {
        let (fc1, first) = linear_with_slots(layout, &format!("{e}.fc1"), width, hidden[e]);
        let (fc2, second) = linear_with_slots(layout, &format!("{e}.fc2"), hidden[e], width);
        Expert { fc1, fc2, original: [first, second] }
    });
    Experts { norm, router, experts, original_router }
}

fn assert_usage(found: &Usage, expected: &Usage) {
    assert_eq!(found.counts, expected.counts);
    for e in 0..2 {
        for (f, e) in [(found.importance[e], expected.importance[e]), (found.load[e], expected.load[e])] {
            assert!((f - e).abs() <= USAGE * (1.0 + e.abs()), "{found:?} and {expected:?}");
        }
    }
}

/// A pass of both on rows of `width`, with a bias on the router.
fn check(
    ops: &Ops,
    rows: usize,
    width: usize,
    bias: [f32; 2],
    noise: Option<Noise>,
    balance: Option<Balance>,
    (tape, scratch): &mut (CudaExpertsTape, CudaExpertsScratch),
) -> [usize; 2] {
    let mut layout = Layout::new();
    let layer = block(&mut layout, width, [2 * width, width + 3]);
    let mut params = parameters(&layout, 5, 1.0);
    layer.router.bias.unwrap().of_mut(&mut params).copy_from_slice(&bias);
    let (mut x, mut dx) = (states(rows, width, 6), uniform(&mut SplitMix(8), rows * width, 1.0));
    let mut grads = vec![0.0; layout.len()];
    let device = ops.device();
    let (params_d, mut grads_d) = (device.upload(&params).unwrap(), device.upload(&grads).unwrap());
    let [mut x_d, mut dx_d] = [&x, &dx].map(|v| upload(ops, v));

    let mut cpu = experts::ExpertsTape::default();
    layer.forward(&params, &mut x, noise, &mut cpu);
    layer.backward(&params, &cpu, &mut dx, &mut Default::default(), &mut grads, balance);
    ops.experts(&layer, &params_d, &mut x_d, noise, tape).unwrap();
    let order: Vec<i32> = cpu.rows(0).iter().chain(cpu.rows(1)).map(|row| *row as i32).collect();
    assert_eq!(tape.order().unwrap(), order);
    assert_eq!(tape.counts(), cpu.counts());
    assert_usage(&tape.usage(), &cpu.usage());
    assert_near("x", &x_d.read().unwrap(), &x, VALUES);
    ops.experts_backward(&layer, &params_d, tape, &mut dx_d, scratch, &mut grads_d, balance).unwrap();
    assert_near("dx", &dx_d.read().unwrap(), &dx, GRADIENTS);
    assert_gradients(&layout, &grads_d.read().unwrap(), &grads);
    tape.counts()
}

#[test]
fn forward_and_backward_are_those_of_the_cpu() {
    let ops = ops();
    let mut memory = Default::default();
    for (rows, width) in [(65, 48), (1, 16), (31, 32), (33, 48), (600, 16)] {
        for noise in [None, Some(Noise::new(5, 3))] {
            for balance in [None, Some(Balance { alpha: ALPHA, weight: 0.3 })] {
                let counts = check(&ops, rows, width, [0.1, -0.1], noise, balance, &mut memory);
                assert!(rows < 30 || counts.iter().all(|c| *c > rows / 10), "one-sided: {counts:?}");
            }
        }
    }
}

#[test]
fn all_rows_may_go_one_way() {
    let ops = ops();
    let mut memory = Default::default();
    let balance = Some(Balance { alpha: ALPHA, weight: 0.3 });
    assert_eq!(check(&ops, 33, 16, [80.0, -80.0], None, balance, &mut memory), [33, 0]);
    assert_eq!(check(&ops, 31, 16, [-80.0, 80.0], Some(Noise::new(1, 2)), balance, &mut memory), [0, 31]);
}

#[test]
fn equal_logits_and_empty_batches() {
    let ops = ops();
    let mut layout = Layout::new();
    let layer = block(&mut layout, 16, [16, 16]);
    let params = ops.device().upload(&vec![0.0; layout.len()]).unwrap();
    let mut grads = ops.device().zeros(layout.len()).unwrap();
    let (mut tape, mut scratch) = Default::default();
    for rows in [31, 0] {
        let mut x = upload(&ops, &states(rows, 16, 3));
        ops.experts(&layer, &params, &mut x, None, &mut tape).unwrap();
        // The cheaper one.
        assert_eq!((tape.counts(), tape.losses(&[0.5, 0.5])), ([0, rows], (0.0, 0.0)));
        ops.experts_backward(&layer, &params, &tape, &mut x, &mut scratch, &mut grads, None).unwrap();
    }
}

#[test]
fn many_blocks_are_sorted_in_order() {
    let ops = ops();
    // More blocks than the one that scans them has threads.
    let (rows, width) = (256 * 256 + 33, 8);
    let mut layout = Layout::new();
    let layer = block(&mut layout, width, [8, 8]);
    let params = parameters(&layout, 5, 1.0);
    let mut x = uniform(&mut SplitMix(6), rows * width, 2.0);
    let mut x_d = upload(&ops, &x);
    let (mut cpu, mut tape) = (experts::ExpertsTape::default(), CudaExpertsTape::default());
    layer.forward(&params, &mut x, Some(Noise::new(9, 9)), &mut cpu);
    ops.experts(&layer, &ops.device().upload(&params).unwrap(), &mut x_d, Some(Noise::new(9, 9)), &mut tape).unwrap();
    let order: Vec<i32> = cpu.rows(0).iter().chain(cpu.rows(1)).map(|row| *row as i32).collect();
    assert!(cpu.counts().iter().all(|c| *c > rows / 10), "one-sided: {:?}", cpu.counts());
    assert_eq!(tape.order().unwrap(), order);
    assert_usage(&tape.usage(), &cpu.usage());
}

#[test]
fn order_of_threads_does_not_matter() {
    let ops = ops();
    let mut layout = Layout::new();
    let layer = block(&mut layout, 16, [16, 16]);
    let params = ops.device().upload(&parameters(&layout, 5, 1.0)).unwrap();
    let (x, dx) = (states(300, 16, 6), uniform(&mut SplitMix(8), 300 * 16, 1.0));
    let mut all = Vec::new();
    in_each_schedule(|_| {
        let (mut tape, mut scratch) = Default::default();
        let (mut x, mut dx) = (upload(&ops, &x), upload(&ops, &dx));
        let mut grads = ops.device().zeros(layout.len()).unwrap();
        ops.experts(&layer, &params, &mut x, Some(Noise::new(2, 2)), &mut tape).unwrap();
        let balance = Some(Balance { alpha: ALPHA, weight: 0.3 });
        ops.experts_backward(&layer, &params, &tape, &mut dx, &mut scratch, &mut grads, balance).unwrap();
        all.push([x.read().unwrap(), dx.read().unwrap(), grads.read().unwrap()]);
    });
    assert!(all.iter().all(|f| *f == all[0]), "a sum depends on the order of threads");
}
