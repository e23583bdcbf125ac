//! Stages against the official PyTorch code, gradients against differences, and sizes at the edge of what is allowed.

use super::*;
use crate::testing::{feature_weights, fixture};
use layers::params::SplitMix;

fn random(seed: u64, n: usize) -> Vec<f32> {
    let mut rng = SplitMix(seed);
    (0..n).map(|_| rng.uniform() * 2.0 - 1.0).collect()
}

fn network(config: &FeatureConfig) -> (FeatureNet, Layout) {
    let mut layout = Layout::new();
    (FeatureNet::new(config, &mut layout), layout)
}

fn official() -> (FeatureNet, Layout, Vec<f32>) {
    let (net, layout) = network(&crate::Config::official(1).features);
    let weights = feature_weights();
    let mut params = vec![f32::NAN; layout.len()];
    for entry in layout.entries() {
        let (shape, values) = &weights[entry.name.strip_prefix("feature_net.").unwrap()];
        assert_eq!(shape, &entry.shape, "{}", entry.name);
        entry.slot.of_mut(&mut params).copy_from_slice(values);
    }
    (net, layout, params)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The optimiser state of official checkpoints counts parameters in this order.
#[test]
fn registers_in_the_official_order() {
    let (_, layout, _) = official();
    assert_eq!((layout.entries().len(), layout.len()), (108, 8_877_056));
    let names: Vec<&str> = layout.entries().iter().map(|e| e.name.strip_prefix("feature_net.").unwrap()).collect();
    let start = "conv1.weight bn1.weight bn1.bias layer1.0.conv1.weight layer1.0.bn1.weight layer1.0.bn1.bias \
                 layer1.0.conv2.weight layer1.0.bn2.weight layer1.0.bn2.bias layer1.0.downsample.0.weight \
                 layer1.0.downsample.1.weight layer1.0.downsample.1.bias layer1.1.conv1.weight";
    assert_eq!(names[..13], start.split_whitespace().collect::<Vec<_>>());
    let end = "layer3.5.bn2.bias upconv3.conv.conv.weight upconv3.conv.conv.bias upconv3.conv.bn.weight \
               upconv3.conv.bn.bias iconv3.conv.weight iconv3.conv.bias iconv3.bn.weight iconv3.bn.bias \
               upconv2.conv.conv.weight upconv2.conv.conv.bias upconv2.conv.bn.weight upconv2.conv.bn.bias \
               iconv2.conv.weight iconv2.conv.bias iconv2.bn.weight iconv2.bn.bias out_conv.weight out_conv.bias";
    assert_eq!(names[89..], end.split_whitespace().collect::<Vec<_>>());
}

/// Differences seen between versions of PyTorch reach 9e-5 on the map; in the encoder normalisation over 12 pixels
/// amplifies rounding.
fn check_stages(file: &str, image: &[f32], height: usize, width: usize, index: usize, tape: &mut Tape) {
    let (net, _, params) = official();
    let reference = fixture(file);
    let weights = net.prepare(&params);
    let map = net.forward_train(&weights, image, height, width, tape);
    assert_eq!((map.height, map.width), net.output_size(height, width));
    assert_eq!(map, net.forward(&net.prepare_inference(&params), image, height, width), "inference differs");
    let names = ["bn1", "layer1", "layer2", "layer3", "upconv3", "iconv3", "upconv2", "iconv2", "out_conv", "coarse"];
    for name in names {
        let (shape, values) = &reference[&format!("feat.{name}")];
        let (channels, pixels) = (shape[1], shape[2] * shape[3]);
        let values = &values[index * channels * pixels..][..channels * pixels];
        let (found, tolerance) = match name {
            "out_conv" | "coarse" => (&map.data[..], 5e-4),
            _ => (net.stage_output(tape, name), 2e-3),
        };
        assert_eq!(found.len(), values.len(), "{file} {name}");
        for (i, found) in found.iter().enumerate() {
            let value = values[i % channels * pixels + i / channels];
            // The fixture holds the stem before its activation.
            let value = if name == "bn1" { value.max(0.0) } else { value };
            assert!((found - value).abs() <= tolerance, "{file} {name}[{i}]: {found}, reference {value}");
        }
    }
}

#[test]
fn every_stage_matches_the_official_code() {
    // One tape for all sizes: what an earlier image left must not matter.
    let mut tape = Tape::default();
    let odd = fixture("small_feat_odd");
    let image: Vec<f32> = (0..52 * 70 * 3).map(|i| odd["in.image"].1[i % 3 * 52 * 70 + i / 3]).collect();
    check_stages("small_feat_odd", &image, 52, 70, 0, &mut tape);
    let images = &fixture("small_io")["in.src_rgbs"].1;
    for (i, image) in images.chunks_exact(48 * 64 * 3).enumerate() {
        check_stages("small_io", image, 48, 64, i, &mut tape);
    }
}

/// The derivative along a direction equals the difference quotient along it, for each parameter on its own and for all
/// together.
///
/// The direction is cut to the tensor's own scale; ReLU kinks and f32 rounding leave about a part in a hundred.
#[test]
fn gradients_match_differences() {
    let config = FeatureConfig { stem_width: 5, stem_stride: 2, widths: [6, 9, 7], blocks: [2, 1, 2], channels: 4 };
    for (config, height, width) in [(config, 45, 38), (FeatureConfig { stem_stride: 1, ..config }, 27, 22)] {
        let (net, layout) = network(&config);
        let mut params = layout.initialise(5);
        // Gains and offsets away from one and zero, where mistakes would hide.
        params.iter_mut().zip(random(6, layout.len())).for_each(|(p, r)| *p += 0.1 * r);
        let image: Vec<f32> = random(7, height * width * 3).iter().map(|v| 0.5 + 0.5 * v).collect();
        let (h, w) = net.output_size(height, width);
        let d_map = random(8, h * w * config.channels);
        let (mut tape, mut grads) = (Tape::default(), vec![0.0; layout.len()]);
        let weights = net.prepare(&params);
        net.forward_train(&weights, &image, height, width, &mut tape);
        net.backward(&weights, &mut tape, &d_map, &mut grads);
        let quotient = |direction: &[f32], step: f32| {
            let at = |t: f32| {
                let moved: Vec<f32> = params.iter().zip(direction).map(|(p, d)| p + t * d).collect();
                dot(&net.forward(&net.prepare_inference(&moved), &image, height, width).data, &d_map)
            };
            (at(step) - at(-step)) / (2.0 * f64::from(step))
        };
        for entry in layout.entries() {
            let own = entry.slot.of(&grads);
            let norm = dot(own, own).sqrt();
            let feeds_norm = entry.name.ends_with("conv.bias") && !entry.name.contains("out_conv");
            if feeds_norm {
                // The normalisation takes the bias out again.
                assert!(norm < 1e-3, "{}: {norm}", entry.name);
                continue;
            }
            // Along its own gradient the derivative is the gradient's length.
            let mut direction = vec![0.0; params.len()];
            entry.slot.of_mut(&mut direction).iter_mut().zip(own).for_each(|(d, g)| *d = (f64::from(*g) / norm) as f32);
            let found = quotient(&direction, 4e-4);
            assert!((found - norm).abs() < 0.02 * norm, "{} at {height}x{width}: {found} and {norm}", entry.name);
        }
        // A second pass over the same tape adds the same again.
        let once = grads.clone();
        net.backward(&weights, &mut tape, &d_map, &mut grads);
        assert!(once.iter().zip(&grads).all(|(a, b)| (2.0 * a - b).abs() <= 1e-3 + 1e-5 * a.abs()));
    }
}

#[test]
fn works_at_the_smallest_size_and_refuses_less() {
    for stem_stride in [1, 2] {
        let config = FeatureConfig { stem_width: 3, stem_stride, widths: [4, 5, 6], blocks: [1, 1, 1], channels: 3 };
        let (net, layout) = network(&config);
        let weights = net.prepare(&layout.initialise(3));
        let smallest = net.min_size();
        for (height, width) in [(smallest, smallest), (smallest, 3 * smallest + 1), (smallest + 1, smallest)] {
            net.check_size(height, width).unwrap();
            let mut tape = Tape::default();
            let map = net.forward_train(&weights, &random(4, height * width * 3), height, width, &mut tape);
            assert_eq!((map.height, map.width), net.output_size(height, width));
            assert_eq!(map.data.len(), map.height * map.width * 3);
            let mut grads = vec![0.0; layout.len()];
            net.backward(&weights, &mut tape, &map.data, &mut grads);
            assert!(map.data.iter().chain(&grads).all(|v| v.is_finite()));
        }
        let error = net.check_size(smallest, smallest - 1).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "source image: expected at least {smallest} pixels on each side, found {}x{smallest}",
                smallest - 1
            )
        );
    }
}

/// Flat and very bright photographs stay finite, forward and backward.
#[test]
fn extreme_images_stay_finite() {
    let config = crate::Config::compact().features;
    let (net, layout) = network(&config);
    let weights = net.prepare(&layout.initialise(9));
    let mut tape = Tape::default();
    for value in [0.0, 1.0, 1e6, -1e6] {
        let mut image = vec![value; 33 * 41 * 3];
        for outlier in [value, value + 1e3] {
            image[500] = outlier;
            let map = net.forward_train(&weights, &image, 33, 41, &mut tape);
            let mut grads = vec![0.0; layout.len()];
            net.backward(&weights, &mut tape, &vec![1.0; map.data.len()], &mut grads);
            assert!(map.data.iter().chain(&grads).all(|v| v.is_finite()), "{value} with {outlier}");
        }
    }
}

/// `cargo test --release -p gnt -- --ignored --nocapture feature_speed`: one thread, forward and backward.
#[test]
#[ignore = "measures time"]
fn feature_speed() {
    for (name, config, height, width) in [
        ("compact", crate::Config::compact().features, 240, 320),
        ("official", crate::Config::official(1).features, 378, 504),
    ] {
        let (net, layout) = network(&config);
        let params = layout.initialise(1);
        let image = random(2, height * width * 3);
        let (mut tape, mut grads) = (Tape::default(), vec![0.0; layout.len()]);
        let mut best = [f64::INFINITY; 4];
        let mut time = |slot: usize, start: std::time::Instant| {
            best[slot] = best[slot].min(start.elapsed().as_secs_f64() * 1e3);
        };
        for _ in 0..if name == "compact" { 100 } else { 5 } {
            let start = std::time::Instant::now();
            let weights = net.prepare(&params);
            time(0, start);
            let start = std::time::Instant::now();
            let map = net.forward(&weights, &image, height, width);
            time(1, start);
            let start = std::time::Instant::now();
            net.forward_train(&weights, &image, height, width, &mut tape);
            time(2, start);
            let start = std::time::Instant::now();
            net.backward(&weights, &mut tape, &map.data, &mut grads);
            time(3, start);
        }
        let [prepare, forward, train, backward] = best;
        println!(
            "features/{name}/{width}x{height}: prepare {prepare:.1}, forward {forward:.1}, keeping {train:.1}, backward {backward:.1} ms"
        );
    }
}
