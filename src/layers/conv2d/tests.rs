//! A convolution written out in f64, and its transposes by definition, against the matrix products.

use super::*;
use crate::params::SplitMix;

fn reflect(i: isize, n: usize) -> usize {
    let m = n as isize - 1;
    if i < 0 {
        (-i) as usize
    } else if i > m {
        (2 * m - i) as usize
    } else {
        i as usize
    }
}

fn random(rng: &mut SplitMix, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.uniform() * 2.0 - 1.0).collect()
}

/// Calls `f(output index, image index, weight index)` for every product of the convolution.
fn each_product(conv: &Conv2d, h: usize, w: usize, mut f: impl FnMut(usize, usize, usize)) {
    let (ci, co, k) = (conv.in_channels, conv.out_channels, conv.kernel);
    let (oh, ow) = ((h + 2 * conv.pad - k) / conv.stride + 1, (w + 2 * conv.pad - k) / conv.stride + 1);
    for (y, x, o, i) in (0..oh * ow * co * ci).map(|n| (n / (ow * co * ci), n / (co * ci) % ow, n / ci % co, n % ci)) {
        for (ky, kx) in (0..k * k).map(|t| (t / k, t % k)) {
            let sy = reflect((y * conv.stride + ky) as isize - conv.pad as isize, h);
            let sx = reflect((x * conv.stride + kx) as isize - conv.pad as isize, w);
            f((y * ow + x) * co + o, (sy * w + sx) * ci + i, ((o * ci + i) * k + ky) * k + kx);
        }
    }
}

fn assert_close(name: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (n, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*f) - e).abs() < 2e-5 * scale, "{name}[{n}]: {f} and {e}");
    }
}

fn check(kernel: usize, stride: usize, ci: usize, co: usize, h: usize, w: usize, scratch: &mut ConvScratch) {
    let name = format!("{kernel}x{kernel}/{stride} {ci}->{co} over {h}x{w}");
    let mut layout = Layout::new();
    layout.add("before", &[5], Init::Zeros);
    let conv = Conv2d::new(&mut layout, "c", ci, co, kernel, stride, true);
    let mut rng = SplitMix((kernel * 31 + stride * 7 + h * w) as u64);
    let params = random(&mut rng, layout.len());
    let weights = conv.prepare(&params, true);
    let image = random(&mut rng, h * w * ci);
    let (oh, ow) = conv.output_size(h, w);
    let d_output = random(&mut rng, oh * ow * co);

    let weight = conv.weight.of(&params);
    let bias = conv.bias.unwrap();
    let mut y = vec![0.0f64; oh * ow * co];
    y.iter_mut().enumerate().for_each(|(n, v)| *v = f64::from(bias.of(&params)[n % co]));
    // Gradients accumulate: they start from one.
    let (mut d_image, mut d_params) = (vec![0.0f64; image.len()], vec![1.0f64; params.len()]);
    d_params[..5].fill(1.0);
    each_product(&conv, h, w, |o, i, k| {
        y[o] += f64::from(image[i]) * f64::from(weight[k]);
        d_image[i] += f64::from(d_output[o]) * f64::from(weight[k]);
        d_params[conv.weight.offset + k] += f64::from(d_output[o]) * f64::from(image[i]);
    });
    d_output.iter().enumerate().for_each(|(n, d)| d_params[bias.offset + n % co] += f64::from(*d));

    let (mut output, mut dx, mut grads) = (Vec::new(), Vec::new(), vec![1.0; params.len()]);
    conv.forward(&weights, &image, h, w, &mut output, scratch);
    assert_close(&name, &output, &y);
    conv.backward(&weights, &image, h, w, &d_output, Some(&mut dx), &mut grads, scratch);
    assert_close(&format!("{name}: d_image"), &dx, &d_image);
    assert_close(&format!("{name}: d_params"), &grads, &d_params);
    let mut weights_only = vec![1.0; params.len()];
    conv.backward(&conv.prepare(&params, false), &image, h, w, &d_output, None, &mut weights_only, scratch);
    assert_eq!(grads, weights_only, "{name}");
}

#[test]
fn matches_the_definition_forward_and_backward() {
    let scratch = &mut ConvScratch::default();
    for (h, w) in [(2, 2), (3, 2), (5, 7), (8, 9), (17, 13), (6, 31)] {
        for stride in [1, 2, 3] {
            check(3, stride, 5, 7, h, w, scratch);
            check(1, stride, 3, 17, h, w, scratch);
        }
    }
    for (h, w) in [(4, 4), (5, 9), (11, 14), (16, 21)] {
        check(7, 2, 3, 6, h, w, scratch);
        check(7, 1, 2, 5, h, w, scratch);
    }
}

#[test]
fn matches_the_definition_over_several_chunks() {
    let scratch = &mut ConvScratch::default();
    check(3, 1, 24, 33, 47, 61, scratch);
    check(3, 2, 33, 24, 91, 63, scratch);
    check(7, 2, 3, 33, 95, 101, scratch);
}

/// Left-over values of an earlier, broken image must not leak into the next one.
#[test]
fn forgets_a_previous_nan() {
    let scratch = &mut ConvScratch::default();
    let mut layout = Layout::new();
    let conv = Conv2d::new(&mut layout, "c", 2, 3, 3, 2, false);
    let weights = conv.prepare(&layout.initialise(1), true);
    let (mut y, mut grads) = (Vec::new(), vec![0.0; layout.len()]);
    conv.forward(&weights, &[f32::NAN; 9 * 9 * 2], 9, 9, &mut y, scratch);
    conv.backward(&weights, &[f32::NAN; 9 * 9 * 2], 9, 9, &y.clone(), Some(&mut y), &mut grads, scratch);
    for (h, w) in [(9, 9), (8, 8), (7, 10)] {
        check(3, 2, 2, 3, h, w, scratch);
    }
}

#[test]
#[should_panic(expected = "reflect padding 3 over 3x8")]
fn refuses_an_image_smaller_than_its_padding() {
    Conv2d::new(&mut Layout::new(), "c", 1, 1, 7, 1, false).output_size(3, 8);
}
