//! The whole network against the CPU, on the emulated device.

use super::layer_tests::{assert_close, random};
use super::*;
use crate::config::FeatureConfig;
use crate::features::Tape;
use layers::Layout;

/// Of the map's largest value: rounding differs, and normalisations over the few pixels of the last stage amplify it.
const MAP_TOLERANCE: f32 = 1e-4;
/// Of each tensor's largest gradient; a ReLU that rounding opens or shuts is within it.
const GRADIENT_TOLERANCE: f32 = 1e-3;

struct Case {
    net: FeatureNet,
    layout: Layout,
    params: Vec<f32>,
    cuda: CudaFeatures,
}

impl Case {
    fn new(config: &FeatureConfig, memory: u64) -> Self {
        let mut layout = Layout::new();
        layout.add("before", &[11], layers::Init::Ones);
        let net = FeatureNet::new(config, &mut layout);
        layout.add("behind", &[7], layers::Init::Ones);
        let mut params = layout.initialise(5);
        // Gains and offsets away from one and zero, where mistakes would hide.
        params.iter_mut().zip(random(6, layout.len())).for_each(|(p, r)| *p += 0.1 * r);
        let mut cuda = CudaFeatures::new(&kernels_host::device_with_memory(memory), &net).unwrap();
        cuda.set_params(&params).unwrap();
        Self { net, layout, params, cuda }
    }

    fn image(&self, height: usize, width: usize) -> Vec<f32> {
        random(7, height * width * 3).iter().map(|v| 0.5 + 0.5 * v).collect()
    }
}

fn small(stem_stride: usize) -> FeatureConfig {
    FeatureConfig { stem_width: 4, stem_stride, widths: [6, 4, 8], blocks: [2, 1, 2], channels: 5 }
}

fn one(height: usize, width: usize) -> ImageSize {
    ImageSize { images: 1, height, width }
}

fn used(cuda: &CudaFeatures) -> u64 {
    let device = cuda.device();
    device.info().memory - device.0.free_memory().unwrap()
}

#[test]
fn maps_match_the_cpu() {
    for (stem_stride, sizes) in [(1, [(9, 9), (33, 47), (10, 27)]), (2, [(17, 17), (33, 47), (65, 41)])] {
        let mut case = Case::new(&small(stem_stride), 1 << 28);
        let weights = case.net.prepare_inference(&case.params);
        for (height, width) in sizes {
            let image = case.image(height, width);
            let expected = case.net.forward(&weights, &image, height, width);
            let on_device = case.cuda.device().upload(&image).unwrap();
            let map = case.cuda.forward(&on_device, one(height, width)).unwrap();
            assert_eq!((map.height, map.width, map.channels), (expected.height, expected.width, expected.channels));
            let found = map.data.read().unwrap();
            assert_close(&format!("{height}x{width}"), &found, &expected.data, MAP_TOLERANCE);
            case.cuda.recycle(map);
            let kept = case.cuda.forward_train(&on_device, one(height, width), &mut CudaTape::default()).unwrap();
            assert_eq!(kept.data.read().unwrap(), found, "the map does not depend on what is kept");
        }
    }
}

#[test]
fn gradients_match_the_cpu() {
    for (stem_stride, sizes) in [(2, [(33, 47), (65, 41)]), (1, [(21, 30), (9, 13)])] {
        let mut case = Case::new(&small(stem_stride), 1 << 28);
        let weights = case.net.prepare(&case.params);
        // One tape for both sizes: what an earlier image left must not matter.
        let (mut tape, mut cpu_tape) = (CudaTape::default(), Tape::default());
        for (height, width) in sizes {
            let image = case.image(height, width);
            let map = case.net.forward_train(&weights, &image, height, width, &mut cpu_tape);
            let d_map = random(8, map.data.len());
            let mut expected = vec![0.0; case.layout.len()];
            case.net.backward(&weights, &mut cpu_tape, &d_map, &mut expected);
            let device = case.cuda.device().clone();
            let on_device = device.upload(&image).unwrap();
            let found = case.cuda.forward_train(&on_device, one(height, width), &mut tape).unwrap();
            assert_eq!(found.data.len(), map.data.len());
            let d_map = device.upload(&d_map).unwrap();
            let mut grads = device.zeros(case.layout.len()).unwrap();
            case.cuda.backward(&tape, &d_map, &mut grads).unwrap();
            let once = grads.read().unwrap();
            for entry in case.layout.entries() {
                let (found, expected) = (entry.slot.of(&once), entry.slot.of(&expected));
                let name = format!("{} at {height}x{width}", entry.name);
                if entry.name.ends_with("conv.bias") && !entry.name.contains("out_conv") {
                    // The normalisation takes the bias out again: nothing but rounding is left on either side.
                    assert!(found.iter().chain(expected).all(|g| g.abs() < 1e-3), "{name}: {found:?}, {expected:?}");
                    continue;
                }
                assert_close(&name, found, expected, GRADIENT_TOLERANCE);
                assert_eq!(entry.name.starts_with("feature_net."), found.iter().any(|g| *g != 0.0), "{name}");
            }
            // A second pass over the same tape adds the same again, bit for bit.
            case.cuda.backward(&tape, &d_map, &mut grads).unwrap();
            let mut other = device.zeros(case.layout.len()).unwrap();
            case.cuda.backward(&tape, &d_map, &mut other).unwrap();
            assert_eq!(other.read().unwrap(), once);
            let twice = grads.read().unwrap();
            assert!(once.iter().zip(&twice).all(|(a, b)| (2.0 * a - b).abs() <= 1e-3 + 1e-5 * a.abs()));
        }
    }
}

/// A network that reads images at twice their size, forward and backward.
#[test]
fn doubled_images_match_the_cpu() {
    let (height, width) = (17, 22);
    let mut case = Case::new(&small(1), 1 << 28);
    case.net = case.net.clone().reading_doubled(true);
    case.cuda = CudaFeatures::new(case.cuda.device(), &case.net).unwrap();
    case.cuda.set_params(&case.params).unwrap();
    let weights = case.net.prepare(&case.params);
    let image = case.image(height, width);
    let mut tape = Tape::default();
    let expected = case.net.forward_train(&weights, &image, height, width, &mut tape);
    assert_eq!((expected.height, expected.width), case.net.output_size(height, width));
    let mut doubled = Vec::new();
    layers::upsample::upsample2(&image, height, width, 3, &mut doubled);
    let plain = case.net.clone().reading_doubled(false).forward(&weights, &doubled, 2 * height, 2 * width);
    assert_eq!((&expected.data, expected.width), (&plain.data, plain.width));
    assert_eq!(case.net.forward(&weights, &image, height, width).data, plain.data);
    let mut grads = vec![0.0; case.layout.len()];
    case.net.backward(&weights, &mut tape, &expected.data, &mut grads);
    let device = case.cuda.device().clone();
    let on_device = device.upload(&image).unwrap();
    let map = case.cuda.forward(&on_device, one(height, width)).unwrap();
    assert_close("map", &map.data.read().unwrap(), &expected.data, MAP_TOLERANCE);
    let mut tape = CudaTape::default();
    case.cuda.forward_train(&on_device, one(height, width), &mut tape).unwrap();
    let mut found = device.zeros(case.layout.len()).unwrap();
    case.cuda.backward(&tape, &device.upload(&expected.data).unwrap(), &mut found).unwrap();
    let found = found.read().unwrap();
    let counts = |name: &str| !name.ends_with("conv.bias") || name.contains("out_conv");
    for entry in case.layout.entries().iter().filter(|entry| counts(&entry.name)) {
        assert_close(&entry.name, entry.slot.of(&found), entry.slot.of(&grads), GRADIENT_TOLERANCE);
    }
    // Large ones are read as they are.
    assert!(case.net.doubles(512, 512) && !case.net.doubles(512, 513));
}

/// Images in one pass are images in passes of their own, and their gradients the sum of those.
#[test]
fn several_images_are_each_as_one() {
    for (stem_stride, (height, width)) in [(2, (33, 47)), (1, (10, 27))] {
        let mut case = Case::new(&small(stem_stride), 1 << 28);
        let device = case.cuda.device().clone();
        let images: Vec<Vec<f32>> = (0..3).map(|i| random(20 + i, height * width * 3)).collect();
        let mut tape = CudaTape::default();
        let (mut maps, mut d_maps, mut expected) = (Vec::new(), Vec::new(), vec![0.0; case.layout.len()]);
        for (i, image) in images.iter().enumerate() {
            let on_device = device.upload(image).unwrap();
            let map = case.cuda.forward_train(&on_device, one(height, width), &mut tape).unwrap();
            let d_map = random(30 + i as u64, map.data.len());
            let mut grads = device.zeros(case.layout.len()).unwrap();
            case.cuda.backward(&tape, &device.upload(&d_map).unwrap(), &mut grads).unwrap();
            expected.iter_mut().zip(grads.read().unwrap()).for_each(|(e, g)| *e += g);
            maps.extend(map.data.read().unwrap());
            d_maps.extend(d_map);
        }
        let size = ImageSize { images: 3, ..one(height, width) };
        let on_device = device.upload(&images.concat()).unwrap();
        let map = case.cuda.forward_train(&on_device, size, &mut tape).unwrap();
        assert_eq!(map.data.read().unwrap(), maps);
        assert_eq!(case.cuda.forward(&on_device, size).unwrap().data.read().unwrap(), maps);
        let mut grads = device.zeros(case.layout.len()).unwrap();
        case.cuda.backward(&tape, &device.upload(&d_maps).unwrap(), &mut grads).unwrap();
        let found = grads.read().unwrap();
        // The normalisation takes a bias out again, unless it is that of the last convolution.
        let counts = |name: &str| !name.ends_with("conv.bias") || name.contains("out_conv");
        for entry in case.layout.entries().iter().filter(|entry| counts(&entry.name)) {
            assert_close(&entry.name, entry.slot.of(&found), entry.slot.of(&expected), 1e-4);
        }
    }
}

/// Widths of one, two and more tiles, and parameters that change between passes.
#[test]
fn follows_changed_parameters() {
    let config =
        FeatureConfig { stem_width: 16, stem_stride: 2, widths: [16, 33, 68], blocks: [1, 1, 1], channels: 16 };
    let mut case = Case::new(&config, 1 << 28);
    let (height, width) = (31, 45);
    let image = case.image(height, width);
    let device = case.cuda.device().clone();
    let on_device = device.upload(&image).unwrap();
    let mut tape = CudaTape::default();
    for step in 0..2u8 {
        if step == 1 {
            case.params.iter_mut().zip(random(9, case.layout.len())).for_each(|(p, r)| *p += 0.1 * r);
            let own = case.cuda.slot().of(&case.params).to_vec();
            case.cuda.change_params(|params| params.write(&own)).unwrap();
        }
        let weights = case.net.prepare(&case.params);
        let mut cpu_tape = Tape::default();
        let map = case.net.forward_train(&weights, &image, height, width, &mut cpu_tape);
        let mut expected = vec![0.0; case.layout.len()];
        case.net.backward(&weights, &mut cpu_tape, &map.data, &mut expected);
        let found = case.cuda.forward_train(&on_device, one(height, width), &mut tape).unwrap();
        assert_close(&format!("map of step {step}"), &found.data.read().unwrap(), &map.data, MAP_TOLERANCE);
        let d_map = device.upload(&map.data).unwrap();
        let mut grads = device.zeros(case.layout.len()).unwrap();
        case.cuda.backward(&tape, &d_map, &mut grads).unwrap();
        let grads = grads.read().unwrap();
        for entry in case.layout.entries().iter().filter(|e| !e.name.ends_with("conv.conv.bias")) {
            if entry.name.starts_with("feature_net.iconv") && entry.name.ends_with("conv.bias") {
                continue;
            }
            let name = format!("{} of step {step}", entry.name);
            assert_close(&name, entry.slot.of(&grads), entry.slot.of(&expected), GRADIENT_TOLERANCE);
        }
    }
}

/// Once warm, neither direction allocates anything.
#[test]
fn memory_is_kept_and_reused() {
    let mut case = Case::new(&small(2), 1 << 28);
    let (height, width) = (33, 41);
    let device = case.cuda.device().clone();
    let image = device.upload(&case.image(height, width)).unwrap();
    let mut grads = device.zeros(case.layout.len()).unwrap();
    let before = used(&case.cuda);
    let map = case.cuda.forward(&image, one(height, width)).unwrap();
    case.cuda.recycle(map);
    let warm = used(&case.cuda);
    let map = case.cuda.forward(&image, one(height, width)).unwrap();
    assert_eq!(used(&case.cuda), warm);
    let d_map = device.upload(&map.data.read().unwrap()).unwrap();
    case.cuda.recycle(map);
    let mut tape = CudaTape::default();
    let mut steady = 0;
    for step in 0..4 {
        let map = case.cuda.forward_train(&image, one(height, width), &mut tape).unwrap();
        case.cuda.backward(&tape, &d_map, &mut grads).unwrap();
        case.cuda.recycle(map);
        match step {
            0 => {}
            1 => steady = used(&case.cuda),
            _ => assert_eq!(used(&case.cuda), steady, "step {step}"),
        }
    }
    drop(tape);
    case.cuda.release_memory();
    // What stays are the weights as they are packed, and lists of them.
    let left = used(&case.cuda);
    let packed: usize = case.cuda.backward_weights.iter().map(|b| 4 * b.len()).sum();
    assert!(left - before - 4 * d_map.len() as u64 - (packed as u64) < 8192, "{left} bytes, {before} before");
    let mut tape = CudaTape::default();
    let map = case.cuda.forward_train(&image, one(height, width), &mut tape).unwrap();
    case.cuda.backward(&tape, &d_map, &mut grads).unwrap();
    drop((map, tape));
    case.cuda.release_memory();
    assert_eq!(used(&case.cuda), left);
}

#[test]
fn bad_input_is_told() {
    let mut case = Case::new(&small(2), 1 << 22);
    let device = case.cuda.device().clone();
    let image = device.upload(&case.image(17, 17)).unwrap();
    let error = case.cuda.forward(&image, one(17, 16)).unwrap_err().to_string();
    assert_eq!(error, "source image: expected at least 17 pixels on each side, found 16x17");
    let error = case.cuda.forward(&image, one(18, 17)).unwrap_err().to_string();
    assert_eq!(error, "source images: expected 918 values for 1 of 17x18 pixels, found 867");
    let free = device.0.free_memory().unwrap() as usize;
    let hog = device.zeros::<f32>(free / 4 - 4096).unwrap();
    let large = case.cuda.forward_train(&image, one(17, 17), &mut CudaTape::default()).unwrap_err();
    assert!(matches!(large, Error::Cuda(compute::cuda::CudaError::OutOfMemory { .. })), "{large}");
    drop(hog);
    case.cuda.forward(&image, one(17, 17)).unwrap();
}

/// `cargo test --release -p gnt -- --ignored official_size`: a minute of emulation.
#[test]
#[ignore = "takes a minute"]
fn official_size_matches_the_cpu_and_stays_small() {
    let mut case = Case::new(&crate::Config::official(1).features, 1500 << 20);
    let (height, width) = (756, 1008);
    let image = case.image(height, width);
    let on_device = case.cuda.device().upload(&image).unwrap();
    let map = case.cuda.forward(&on_device, one(height, width)).unwrap();
    // The pool gives nothing back, so this is the most there was.
    println!("{} MiB", used(&case.cuda) >> 20);
    let expected = case.net.forward(&case.net.prepare_inference(&case.params), &image, height, width);
    assert_close("map", &map.data.read().unwrap(), &expected.data, MAP_TOLERANCE);
}
