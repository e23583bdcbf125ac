//! Each kernel against its CPU twin, on the emulated device and under all schedules.

use super::norm::Affine;
use super::pool::{Map, View};
use super::*;
use crate::features::join;
use kernels_host::{Schedule, set_schedule};
use layers::Layout;
use layers::activation::Activation;
use layers::conv2d::ConvScratch;
use layers::instance_norm::{InstanceNorm, NormStats};
use layers::params::SplitMix;
use layers::upsample::{upsample2, upsample2_backward};

/// Of the largest value; both sides sum up to a few thousand products in f32, in different orders.
const TOLERANCE: f32 = 2e-5;

const SCHEDULES: [Schedule; 3] = [Schedule::Forward, Schedule::Reverse, Schedule::Random(5)];

pub(super) fn random(seed: u64, n: usize) -> Vec<f32> {
    let mut rng = SplitMix(seed);
    (0..n).map(|_| rng.uniform() * 2.0 - 1.0).collect()
}

/// Asserts that all values agree to `tolerance` of the largest.
pub(super) fn assert_close(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(0.0f32, |m, e| m.max(e.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * scale, "{name}[{i}]: {f} and {e}, at most {scale}");
    }
}

struct Bench {
    kernels: Kernels,
    pool: Pool,
    device: Device,
}

impl Bench {
    fn new() -> Self {
        let device = kernels_host::device();
        Self { kernels: Kernels::new(&device).unwrap(), pool: Pool::new(&device), device }
    }

    fn map(&mut self, [height, width, channels]: [usize; 3], values: &[f32]) -> Map {
        assert_eq!(values.len(), height * width * channels);
        let mut map = self.pool.map(1, height, width, channels).unwrap();
        map.data.write(values).unwrap();
        map
    }

    /// A map of NaN: what a kernel does not write shows.
    fn blank(&mut self, size: [usize; 3]) -> Map {
        self.map(size, &vec![f32::NAN; size.iter().product()])
    }
}

fn values(view: View) -> Vec<f32> {
    let mut values = vec![0.0; view.len()];
    view.data.read_on(0, 0, &mut values).unwrap();
    values
}

fn check_convolution(bench: &mut Bench, [kernel, stride, ci, co]: [usize; 4], (h, w): (usize, usize)) {
    let name = format!("{kernel}x{kernel}/{stride} {ci}->{co} over {h}x{w}");
    let mut layout = Layout::new();
    layout.add("before", &[5], layers::Init::Zeros);
    let conv = Conv2d::new(&mut layout, "c", ci, co, kernel, stride, true);
    let params = random((kernel * 31 + stride * 7 + h * w) as u64, layout.len());
    let (oh, ow) = conv.output_size(h, w);
    let (image, d_output) = (random(1, h * w * ci), random(2, oh * ow * co));
    let cpu = conv.prepare(&params, true);
    let (mut y, mut dx, mut grads) = (Vec::new(), Vec::new(), vec![1.0; layout.len()]);
    let scratch = &mut ConvScratch::default();
    conv.forward(&cpu, &image, h, w, &mut y, scratch);
    conv.backward(&cpu, &image, h, w, &d_output, Some(&mut dx), &mut grads, scratch);

    let device = bench.device.clone();
    let flat = device.upload(&params).unwrap();
    let mut weights = [Product::Output, Product::Image].map(|p| conv::packed(&device, &conv, p).unwrap());
    for (product, packed) in [Product::Output, Product::Image].into_iter().zip(&mut weights) {
        let jobs = PackJobs::new(&device, product, [(&conv, address(&flat, conv.weight()), &*packed)]).unwrap();
        bench.kernels.pack(&jobs).unwrap();
    }
    let (x, d) = (bench.map([h, w, ci], &image), bench.map([oh, ow, co], &d_output));
    let found = bench.blank([oh, ow, co]);
    let bias = address(&flat, conv.bias().unwrap());
    bench.kernels.convolve(&conv, &weights[0], Some(bias), x.view(), found.view()).unwrap();
    assert_close(&name, &values(found.view()), &y, TOLERANCE);

    let d_image = bench.blank([h, w, ci]);
    bench.kernels.convolve_back(&conv, &weights[1], d.view(), d_image.view(), false).unwrap();
    assert_close(&format!("{name}: d_image"), &values(d_image.view()), &dx, TOLERANCE);
    bench.kernels.convolve_back(&conv, &weights[1], d.view(), d_image.view(), true).unwrap();
    let twice: Vec<f32> = dx.iter().map(|v| 2.0 * v).collect();
    assert_close(&format!("{name}: d_image added"), &values(d_image.view()), &twice, TOLERANCE);

    // Gradients are added: they start from one.
    let found = device.upload(&vec![1.0f32; layout.len()]).unwrap();
    let Bench { kernels, pool, .. } = bench;
    kernels.convolve_back_weight(pool, &conv, x.view(), d.view(), address(&found, conv.weight())).unwrap();
    kernels.bias_back(pool, d.view(), address(&found, conv.bias().unwrap())).unwrap();
    assert_close(&format!("{name}: d_params"), &found.read().unwrap(), &grads, TOLERANCE);
    [x, d, d_image].into_iter().for_each(|m| bench.pool.give_map(Some(m)));
}

/// All kernel sizes and strides, channels below, at and above the tiles, with and without whole vectors, on maps as
/// small as reflection allows.
#[test]
fn convolutions_match_the_cpu() {
    let bench = &mut Bench::new();
    for (schedule, size) in SCHEDULES.into_iter().zip([(2, 3), (9, 14), (17, 5)]) {
        set_schedule(schedule);
        for stride in [1, 2] {
            check_convolution(bench, [3, stride, 6, 31], size);
            check_convolution(bench, [3, stride, 31, 6], size);
            check_convolution(bench, [3, stride, 16, 4], size);
            check_convolution(bench, [1, stride, 33, 64], size);
            check_convolution(bench, [1, stride, 4, 7], size);
        }
    }
    for (schedule, size) in SCHEDULES.into_iter().zip([(4, 5), (11, 14), (12, 7)]) {
        set_schedule(schedule);
        check_convolution(bench, [7, 2, 3, 6], size);
        check_convolution(bench, [7, 1, 3, 65], size);
        check_convolution(bench, [7, 2, 4, 17], size);
    }
    set_schedule(Schedule::Forward);
    // Several tiles of pixels and of both kinds of channels, and several blocks of pixels for the weights.
    check_convolution(bench, [3, 1, 68, 72], (23, 31));
    check_convolution(bench, [3, 2, 24, 40], (47, 33));
    check_convolution(bench, [7, 2, 3, 16], (65, 41));
}

fn check_norm(bench: &mut Bench, size: [usize; 3], activation: Activation, residual: bool, x: &[f32], tolerance: f32) {
    let name = format!("{size:?} {activation:?}, residual: {residual}");
    let (n, channels) = (x.len(), size[2]);
    let mut layout = Layout::new();
    layout.add("before", &[3], layers::Init::Zeros);
    let norm = InstanceNorm::new(&mut layout, "n", channels);
    let params = random(n as u64, layout.len());
    let (r, d) = (random(8, n), random(9, n));
    let cpu = norm.prepare(&params);
    let (mut y, mut stats) = (Vec::new(), NormStats::default());
    norm.forward(&cpu, x, residual.then_some(&r[..]), activation, &mut y, &mut stats);

    let device = bench.device.clone();
    let flat = device.upload(&params).unwrap();
    let affine = Affine { flat: &flat, gain: norm.gain(), offset: norm.offset() };
    let (image, added, gradient) = (bench.map(size, x), bench.map(size, &r), bench.map(size, &d));
    let (output, in_place) = (bench.blank(size), bench.map(size, x));
    let rest = residual.then(|| added.view());
    let Bench { kernels, pool, .. } = bench;
    let found = kernels.normalise(pool, affine, activation, image.view(), rest, output.view()).unwrap();
    assert_close(&name, &values(output.view()), &y, tolerance);
    kernels.normalise(pool, affine, activation, in_place.view(), rest, in_place.view()).unwrap();
    assert_eq!(values(in_place.view()), values(output.view()), "{name}: in place");

    // The slope is taken from the same output on both sides: at a kink rounding would decide.
    let y = values(output.view());
    let (mut dx, mut grads) = (d.clone(), vec![1.0; layout.len()]);
    activation.backward(&y, &mut dx);
    let through = dx.clone();
    norm.backward(&cpu, &stats, x, &mut dx, &mut grads);
    let grads_found = device.upload(&vec![1.0f32; layout.len()]).unwrap();
    let d_affine = Affine { flat: &grads_found, ..affine };
    let d_image = bench.blank(size);
    let kept = (image.view(), &found, output.view());
    let Bench { kernels, pool, .. } = bench;
    kernels.normalise_back(pool, affine, d_affine, activation, kept, gradient.view(), Some(d_image.view())).unwrap();
    assert_close(&format!("{name}: d_image"), &values(d_image.view()), &dx, tolerance);
    assert_close(&format!("{name}: d_params"), &grads_found.read().unwrap(), &grads, tolerance);
    assert_eq!(values(gradient.view()), through, "{name}: gradient of the residual");
    let again = bench.map(size, &d);
    let Bench { kernels, pool, .. } = bench;
    kernels.normalise_back(pool, affine, d_affine, activation, kept, again.view(), None).unwrap();
    assert_eq!(values(again.view()), values(d_image.view()), "{name}: in place");
    let maps = [image, added, gradient, output, in_place, d_image, again];
    maps.into_iter().for_each(|m| bench.pool.give_map(Some(m)));
}

#[test]
fn normalisations_match_the_cpu() {
    let bench = &mut Bench::new();
    let activations = [Activation::Identity, Activation::Relu, Activation::Elu];
    for (schedule, activation) in SCHEDULES.into_iter().zip(activations) {
        set_schedule(schedule);
        // Of two pixels the gradient would cancel to nothing but rounding.
        for size in [[1, 4, 3], [2, 2, 256], [13, 11, 16], [31, 33, 31], [5, 7, 68], [40, 37, 1]] {
            let x = random(size[0] as u64, size.iter().product());
            check_norm(bench, size, activation, size[0] % 2 == 1, &x, TOLERANCE);
        }
    }
    set_schedule(Schedule::Forward);
}

/// A large mean and a first chunk unlike the rest must not cost the variance its digits.
#[test]
fn normalisation_survives_large_means_and_outlying_starts() {
    let bench = &mut Bench::new();
    for (start, mean) in [(0.0f32, 1000.0f32), (-5000.0, 0.0), (1e4, 1e4)] {
        let pixel = |i: usize| if i < 64 { start } else { mean } + (i * 37 % 101) as f32 / 64.0;
        let x: Vec<f32> = (0..5000).map(pixel).collect();
        check_norm(bench, [50, 100, 1], Activation::Identity, false, &x, 1e-3);
    }
}

/// Values that an activation meets with the normalisation's own scale out of the way.
#[test]
fn activations_hold_at_extremes() {
    let bench = &mut Bench::new();
    for activation in [Activation::Relu, Activation::Elu] {
        let x: Vec<f32> = (0..35).map(|i| i as f32).collect();
        let mut residual = vec![1e4, -1e4, 0.0, -1e-6, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        residual.extend(random(3, 28));
        // With gain 0 and offset 0 the output is the activation of the residual.
        let flat = bench.device.zeros(2).unwrap();
        let affine = Affine { flat: &flat, gain: Slot { offset: 0, len: 1 }, offset: Slot { offset: 1, len: 1 } };
        let (image, added, output) =
            (bench.map([5, 7, 1], &x), bench.map([5, 7, 1], &residual), bench.blank([5, 7, 1]));
        let Bench { kernels, pool, .. } = bench;
        kernels.normalise(pool, affine, activation, image.view(), Some(added.view()), output.view()).unwrap();
        let mut expected = residual.clone();
        activation.apply(&mut expected);
        for (i, (f, e)) in values(output.view()).iter().zip(&expected).enumerate() {
            let same = f == e || (f - e).abs() <= 2e-7 * e.abs().max(1.0) || f.is_nan() && e.is_nan();
            assert!(same, "{activation:?} of {}: {f} and {e}", residual[i]);
        }
        let mut d = vec![2.0; 35];
        activation.backward(&values(output.view()), &mut d);
        let gradient = bench.map([5, 7, 1], &[2.0; 35]);
        let (stats, grads, d_image) =
            (bench.device.zeros(2).unwrap(), bench.device.zeros(2).unwrap(), bench.blank([5, 7, 1]));
        let kept = (image.view(), &stats, output.view());
        let d_affine = Affine { flat: &grads, ..affine };
        let Bench { kernels, pool, .. } = bench;
        kernels
            .normalise_back(pool, affine, d_affine, activation, kept, gradient.view(), Some(d_image.view()))
            .unwrap();
        for (i, (f, e)) in values(gradient.view()).iter().zip(&d).enumerate() {
            assert!(f == e || f.is_nan() && e.is_nan(), "{activation:?} slope at {}: {f} and {e}", residual[i]);
        }
    }
}

#[test]
fn upsampling_matches_the_cpu() {
    let bench = &mut Bench::new();
    for (schedule, sizes) in
        SCHEDULES.into_iter().zip([[[1, 1, 1], [1, 7, 3]], [[5, 2, 4], [9, 13, 5]], [[33, 31, 2], [2, 64, 1]]])
    {
        set_schedule(schedule);
        for [h, w, c] in sizes {
            let (x, d) = (random(1, h * w * c), random(2, 4 * h * w * c));
            let (mut y, mut dx) = (Vec::new(), Vec::new());
            upsample2(&x, h, w, c, &mut y);
            upsample2_backward(&d, h, w, c, &mut dx);
            let (small, large) = (bench.map([h, w, c], &x), bench.blank([2 * h, 2 * w, c]));
            bench.kernels.upsample(small.view(), large.view()).unwrap();
            assert_close(&format!("{h}x{w}x{c}"), &values(large.view()), &y, 1e-6);
            let (d_large, d_small) = (bench.map([2 * h, 2 * w, c], &d), bench.blank([h, w, c]));
            bench.kernels.upsample_back(d_large.view(), d_small.view()).unwrap();
            assert_close(&format!("{h}x{w}x{c} back"), &values(d_small.view()), &dx, 2e-6);
        }
    }
    set_schedule(Schedule::Forward);
}

#[test]
fn joining_matches_the_cpu() {
    let bench = &mut Bench::new();
    for [h, w, cu, sh, sw, cs] in [[4, 5, 2, 1, 2, 1], [8, 6, 3, 7, 6, 5], [12, 14, 4, 12, 13, 4], [3, 3, 1, 3, 3, 1]] {
        let shape = |height, width, channels| join::Shape { height, width, channels };
        let (up_shape, skip_shape) = (shape(h, w, cu), shape(sh, sw, cs));
        let (up, skip) = (random(1, h * w * cu), random(2, sh * sw * cs));
        let (mut joined, mut d_up, mut d_skip) = (Vec::new(), Vec::new(), Vec::new());
        join::join(&up, up_shape, &skip, skip_shape, &mut joined);
        let d = random(3, joined.len());
        join::split(&d, up_shape, &mut d_up, skip_shape, &mut d_skip);
        let (a, b, found) = (bench.map([h, w, cu], &up), bench.map([sh, sw, cs], &skip), bench.blank([h, w, cu + cs]));
        bench.kernels.join(a.view(), b.view(), found.view()).unwrap();
        assert_eq!(values(found.view()), joined);
        let (c, a, b) = (bench.map([h, w, cu + cs], &d), bench.blank([h, w, cu]), bench.blank([sh, sw, cs]));
        bench.kernels.split(c.view(), a.view(), b.view()).unwrap();
        assert_eq!((values(a.view()), values(b.view())), (d_up, d_skip));
    }
}
