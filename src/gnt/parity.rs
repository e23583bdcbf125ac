//! Every stage against the official PyTorch code, with the tolerances of the differences seen between its versions.

use crate::features::Tape;
use crate::network::sources::{MapGrads, RayChunk, SourceMap, sources};
use crate::network::{NetworkOn, Seeds, Workspace};
use crate::projection::{Projector, toward};
use crate::testing::{Fixture, SmallScene, feature_weights, fixture, small_model, small_scene};
use crate::{encoding, sampling};
use glam::{Vec2, Vec3};

fn close(name: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance, "{name}[{i}]: {g}, reference {w}, tolerance {tolerance}");
    }
}

/// HWC to CHW.
fn planar(data: &[f32], channels: usize) -> Vec<f32> {
    let pixels = data.len() / channels;
    (0..data.len()).map(|i| data[i % pixels * channels + i / pixels]).collect()
}

#[test]
fn parameter_counts_are_the_official_ones() {
    for (depth, count) in [(8, 882_691), (4, 444_739), (2, 225_763)] {
        let model = crate::Model::new(crate::Config::official(depth)).unwrap();
        let (net, features): (Vec<_>, Vec<_>) =
            model.layout.entries().iter().partition(|e| e.name.starts_with("net_coarse."));
        assert_eq!(net.iter().map(|e| e.slot.len).sum::<usize>(), count);
        assert_eq!(features.iter().map(|e| e.slot.len).sum::<usize>(), 8_877_056);
        assert_eq!(features.len(), 108);
    }
}

#[test]
fn feature_maps() {
    let (model, params) = small_model();
    let weights = model.features.prepare(&params);
    let scene = small_scene();
    let want = &scene.io["feat.coarse"].1;
    for ((_, image), want) in scene.sources.iter().zip(want.chunks_exact(want.len() / 3)) {
        let map = model.features.forward(&weights, &image.data, image.height as usize, image.width as usize);
        assert_eq!((map.width, map.height, map.channels), (16, 12, 32));
        close("features", &planar(&map.data, 32), want, 5e-4);
    }
    // An odd size exercises the padding of the encoder's maps.
    let odd = fixture("small_feat_odd");
    let (shape, image) = &odd["in.image"];
    let (h, w) = (shape[2], shape[3]);
    let hwc = planar(image, h * w);
    let map = model.features.forward(&weights, &hwc, h, w);
    close("odd features", &planar(&map.data, 32), &odd["feat.out_conv"].1, 5e-4);
    assert_eq!(feature_weights().len(), 108);
}

#[test]
fn rays_and_samples() {
    let SmallScene { io, depth_range: (near, far), .. } = small_scene();
    let camera = crate::testing::camera(&io["in.camera"].1);
    for (i, want) in io["in.ray_d"].1.chunks_exact(3).enumerate() {
        let index = io["in.pixel_index"].1[i] as u32;
        let ray = camera.ray(Vec2::new((index % camera.width) as f32, (index / camera.width) as f32));
        close("direction", &ray.direction.to_array(), want, 1e-6);
    }
    let relative = |name: &str, got: &[f32], want: &[f32]| {
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() <= 3e-6 * w.abs(), "{name}: {g} {w}");
        }
    };
    relative("inverse", &sampling::inverse_depth(near, far, 16), &io["sample.inv_det.z"].1);
    relative("linear", &sampling::linear_depth(near, far, 16), &io["sample.lin_det.z"].1);
    let random = io["sample.inv_jitter.t_rand"].1.chunks_exact(16);
    for (random, want) in random.zip(io["sample.inv_jitter.z"].1.chunks_exact(16)) {
        let mut z = sampling::inverse_depth(near, far, 16);
        let mut numbers = random.iter();
        sampling::jitter(&mut z, || *numbers.next().unwrap());
        relative("jitter", &z, want);
    }
    let (bins, weights) = (&io["pdf.bins"].1, &io["pdf.weights"].1);
    for i in 0..8 {
        let (bins, weights) = (&bins[i * 15..][..15], &weights[i * 14..][..14]);
        let got = sampling::sample_pdf(bins, weights, &io["pdf.rand.u"].1[i * 16..][..16]);
        close("pdf", &got, &io["pdf.rand"].1[i * 16..][..16], 2e-3);
        // The last deterministic sample is extrapolated by rounding and differs between implementations.
        let got = sampling::sample_pdf(bins, weights, &sampling::linspace(16));
        close("pdf det", &got[..15], &io["pdf.det"].1[i * 16..][..15], 2e-3);
    }
}

#[test]
fn projection() {
    let SmallScene { io, sources, rays, .. } = small_scene();
    let mut flips = 0;
    for (i, point) in io["sample.inv_det.pts"].1.chunks_exact(3).enumerate() {
        let point = Vec3::from_slice(point);
        let to_target = toward(point, rays[i / 16].origin);
        for (v, (camera, _)) in sources.iter().enumerate() {
            let p = Projector::new(camera).project(point, to_target);
            let want = &io["proj.pixels"].1[(v * 128 + i) * 2..][..2];
            if want[0].abs() < 500.0 && want[1].abs() < 500.0 {
                close("pixel", &p.pixel.to_array(), want, 1e-2);
            }
            flips += usize::from(f32::from(u8::from(p.visible)) != io["proj.mask"].1[i * 3 + v]);
            close("ray difference", &p.direction, &io["proj.ray_diff"].1[(i * 3 + v) * 4..][..4], 5e-4);
        }
    }
    assert_eq!(flips, 0);
}

#[test]
fn encodings() {
    let SmallScene { io, rays, .. } = small_scene();
    let mut out = [0.0; 63];
    for (point, want) in io["sample.inv_det.pts"].1.chunks_exact(3).zip(io["gnt.posenc_pts"].1.chunks_exact(63)) {
        encoding::frequencies(point, 10, &mut out);
        close("points", &out, want, 1e-6);
    }
    for (ray, want) in rays.iter().zip(io["gnt.posenc_dir"].1.chunks_exact(63)) {
        encoding::frequencies(&ray.direction.normalize().to_array(), 10, &mut out);
        close("directions", &out, want, 1e-4);
    }
}

/// Runs the training path on the small scene at depths `z`, from our feature maps or from the reference's; also gives
/// what its backward pass needs.
fn run(
    scene: &SmallScene,
    z: &[f32],
    reference_maps: bool,
    nudge: f32,
) -> (crate::Model, Vec<f32>, Vec<f32>, Vec<Tape>, Vec<crate::features::FeatureMap>, Workspace) {
    let (model, mut params) = small_model();
    let bias = model.layout.find("feature_net.layer3.0.bn2.bias").expect("official name").slot;
    bias.of_mut(&mut params).iter_mut().for_each(|b| *b += nudge);
    let folded = model.fold(&params);
    let weights = model.features.prepare(&params);
    let mut tapes = vec![Tape::default(); 3];
    let mut maps: Vec<_> = scene
        .sources
        .iter()
        .zip(&mut tapes)
        .map(|((_, image), tape)| {
            model.features.forward_train(&weights, &image.data, image.height as usize, image.width as usize, tape)
        })
        .collect();
    if reference_maps {
        let reference = &scene.io["feat.coarse"].1;
        for (map, reference) in maps.iter_mut().zip(reference.chunks_exact(reference.len() / 3)) {
            map.data = planar(reference, reference.len() / map.channels);
        }
    }
    let source_maps: Vec<SourceMap> = scene
        .sources
        .iter()
        .zip(&maps)
        .map(|((_, image), map)| {
            let mut made = SourceMap::default();
            made.forward(&model.net, &folded, image, (map.width, map.height), &map.data);
            made
        })
        .collect();
    let sources = sources(&scene.sources, &source_maps);
    let mut workspace = Workspace::default();
    let chunk = RayChunk { rays: &scene.rays, depths: z, depth_range: scene.depth_range };
    let Ok(()) = workspace.forward(NetworkOn::cpu(&model, &folded), &sources, chunk);
    (model, params, folded, tapes, maps, workspace)
}

#[test]
fn colours_weights_and_depth_end_to_end() {
    let scene = small_scene();
    let z = &scene.io["sample.inv_det.z"].1;
    let (model, _, folded, .., workspace) = run(&scene, z, false, 0.0);
    close("tokens", &workspace.tokens.shared.tokens, &scene.io["gnt.rgbfeat"].1, 2e-3);
    close("colour", &workspace.trunk.head.rgb, &scene.io["render.coarse.rgb"].1, 2e-3);
    let mut weights = Vec::new();
    let Ok(()) = workspace.ray_weights(NetworkOn::cpu(&model, &folded), &mut weights);
    close("weights", &weights, &scene.io["render.coarse.weights"].1, 1e-4);
    let depth: Vec<f32> = weights
        .chunks_exact(16)
        .zip(z.chunks_exact(16))
        .map(|(w, z)| w.iter().zip(z).map(|(w, z)| w * z).sum())
        .collect();
    close("depth", &depth, &scene.io["render.coarse.depth"].1, 5e-3);
}

fn step(nudge: f32) -> (SmallScene, Fixture, crate::Model, Vec<f32>, Vec<f32>) {
    let scene = small_scene();
    let step = fixture("small_train_step");
    let mut z = Vec::new();
    for random in step["t_rand"].1.chunks_exact(16) {
        let mut ray = sampling::inverse_depth(scene.depth_range.0, scene.depth_range.1, 16);
        let mut numbers = random.iter();
        sampling::jitter(&mut ray, || *numbers.next().unwrap());
        z.extend(ray);
    }
    let (model, params, folded, mut tapes, maps, mut workspace) = run(&scene, &z, true, nudge);
    close("colour", &workspace.trunk.head.rgb, &step["rgb"].1, 2e-3);
    let truth = &scene.io["in.rgb"].1;
    let loss = workspace.trunk.head.rgb.iter().zip(truth).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / 24.0;
    assert!((loss - step["loss"].1[0]).abs() < 1e-3 * loss, "{loss} {:?}", step["loss"].1);
    let d_rgb: Vec<f32> = workspace.trunk.head.rgb.iter().zip(truth).map(|(a, b)| 2.0 * (a - b) / 24.0).collect();
    let mut d_maps = MapGrads {
        maps: maps.iter().map(|m| vec![0.0; m.width * m.height * 64]).collect(),
        keys: vec![Vec::new(); maps.len()],
    };
    let (mut grads, mut folded_grads) = (vec![0.0; model.layout.len()], vec![0.0; model.net.layout.len()]);
    let (network, seeds) = (NetworkOn::cpu(&model, &folded), Seeds::of_colours(&d_rgb));
    let Ok(()) = workspace.backward(network, seeds, Some(&mut d_maps), &mut folded_grads);
    let weights = model.features.prepare(&params);
    for ((map, d_map), tape) in maps.iter().zip(&d_maps.maps).zip(&mut tapes) {
        let mut d_features = vec![0.0; map.data.len()];
        model.net.token_features.backward(&folded, &map.data, d_map, Some((&mut d_features, false)), &mut folded_grads);
        model.features.backward(&weights, tape, &d_features, &mut grads);
    }
    model.unfold(&params, &folded_grads, &mut grads);
    (scene, step, model, params, grads)
}

/// Gradients that are zero but for rounding: the bias of the view logits cancels in the softmax, that of a convolution
/// in the normalisation after it.
fn vanishes(name: &str) -> bool {
    name.ends_with("attn_fc.2.bias") || (name.ends_with("conv.bias") && !name.contains("out_conv"))
}

/// One activation of `layer3.0` lies within rounding of zero in this step and falls on the other side of its ReLU than
/// in the reference's, which changes all gradients before it by up to 4 %. Moving that layer's bias by a hundred
/// thousandth puts it on the same side; then all gradients agree to 1e-4.
const NUDGE: f32 = -9e-6;

#[test]
fn gradients_of_a_training_step() {
    let (_, step, model, _, grads) = step(NUDGE);
    let (mut compared, mut norms) = (0, 0);
    for entry in model.layout.entries().iter().filter(|e| !vanishes(&e.name)) {
        let got = entry.slot.of(&grads);
        if let Some((_, want)) = step.get(&format!("grad.{}", entry.name)) {
            let largest = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            close(&entry.name, got, want, 1e-3 * largest);
            compared += 1;
        }
        if let Some((_, want)) = step.get(&format!("gradnorm.{}", entry.name)) {
            let norm = got.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt() as f32;
            assert!((norm - want[0]).abs() <= 2e-3 * want[0], "norm of {}: {norm}, reference {}", entry.name, want[0]);
            norms += 1;
        }
    }
    // All tensors of the transformer but the two biases that vanish, nine tensors and all norms of the feature network.
    assert_eq!((compared, norms), (78 + 9, 104));
}
