//! The training path against the plain network: values in double precision, gradients by dual numbers.

use super::parameters::Folded;
use super::tokens::{RayChunk, Source};
use super::{Workspace, folding};
use crate::plain::{self, Input, Parameters, Real};
use crate::projection::{Projector, taps, toward};
use crate::{Config, FeatureConfig, Head, Position, Start, encoding, sampling};
use glam::{Mat4, Quat, Vec2, Vec3};
use layers::Layout;
use layers::params::SplitMix;
use num_dual::{Dual64, DualNum};
use scene::{Camera, Image, Ray};

impl Real for Dual64 {
    fn new(value: f64) -> Self {
        Dual64::from_re(value)
    }
    fn value(self) -> f64 {
        self.re
    }
    fn exp(self) -> Self {
        DualNum::exp(&self)
    }
    fn sqrt(self) -> Self {
        DualNum::sqrt(&self)
    }
}

/// A small network and scene in which some samples are seen by all views, some by none.
struct Fixture {
    config: Config,
    layout: Layout,
    net: Folded,
    params: Vec<f32>,
    cameras: Vec<Camera>,
    images: Vec<Image>,
    maps: Vec<Vec<f32>>,
    rays: Vec<Ray>,
    depths: Vec<f32>,
}

const MAP: (usize, usize) = (9, 7);
const SAMPLES: usize = 7;
const VIEWS: usize = 3;
const RANGE: (f32, f32) = (0.8, 9.0);

impl Fixture {
    fn new(start: Start, position: Position, head: Head) -> Self {
        let features =
            FeatureConfig { stem_width: 4, stem_stride: 2, widths: [4, 4, 4], blocks: [1, 1, 1], channels: 5 };
        let config = Config {
            width: 16,
            depth: 3,
            heads: 4,
            mlp_ratio: 2,
            attention_hidden: 3,
            start,
            position,
            head,
            features,
            samples: SAMPLES,
            views: VIEWS,
            ..Config::compact()
        };
        let mut layout = Layout::new();
        let net = Folded::new(&config, &mut layout);
        let mut rng = SplitMix(5);
        // Larger than at the start of training, so that attention is far from uniform; gains stay near 1.
        let mut params = layout.initialise(3);
        for entry in layout.entries() {
            let gain = entry.name.ends_with("norm.weight");
            for p in entry.slot.of_mut(&mut params) {
                *p = if gain { 1.0 + 0.3 * (rng.uniform() - 0.5) } else { *p * 2.0 + 0.1 * (rng.uniform() - 0.5) };
            }
        }
        let camera = |x: f32, turn: f32| Camera {
            width: 33,
            height: 25,
            focal: Vec2::new(30.0, 31.0),
            center: Vec2::new(16.5, 12.5),
            world_from_camera: Mat4::from_rotation_translation(Quat::from_rotation_y(turn), Vec3::new(x, 0.1 * x, 0.0)),
        };
        let cameras = vec![camera(0.4, -0.1), camera(0.7, 0.1), camera(0.2, 1.2)];
        let images = (0..VIEWS)
            .map(|_| Image::new(33, 25, (0..33 * 25 * 3).map(|_| rng.uniform()).collect()).unwrap())
            .collect();
        let maps = (0..VIEWS).map(|_| (0..MAP.0 * MAP.1 * 5).map(|_| rng.uniform() * 2.0 - 1.0).collect()).collect();
        let target = camera(0.0, 0.0);
        let rays: Vec<Ray> =
            [(3.0, 4.0), (16.0, 12.0), (31.0, 20.0)].map(|(x, y)| target.ray(Vec2::new(x, y))).to_vec();
        let mut depths = Vec::new();
        for _ in &rays {
            let mut z = sampling::inverse_depth(RANGE.0, RANGE.1, SAMPLES);
            sampling::jitter(&mut z, || rng.uniform());
            depths.extend(z);
        }
        Self { config, layout, net, params, cameras, images, maps, rays, depths }
    }

    fn chunk(&self) -> RayChunk<'_> {
        RayChunk { rays: &self.rays, depths: &self.depths, depth_range: RANGE }
    }

    /// Runs the training path; returns the workspace, the folded parameters and the projected maps.
    fn run(&self) -> (Workspace, Vec<f32>) {
        let folded = folding::fold(&self.net.folds, &self.params, self.net.layout.len());
        let projected: Vec<Vec<f32>> = self
            .maps
            .iter()
            .map(|map| {
                let mut out = vec![0.0; MAP.0 * MAP.1 * self.config.width];
                self.net.token_features.forward(&folded, map, &mut out, false);
                out
            })
            .collect();
        let sources: Vec<Source> = (0..VIEWS)
            .map(|v| Source {
                projector: Projector::new(&self.cameras[v]),
                image: &self.images[v],
                map_size: MAP,
                map: &projected[v],
            })
            .collect();
        let mut workspace = Workspace::default();
        workspace.forward(&self.config, &self.net, &folded, &sources, self.chunk());
        (workspace, folded)
    }

    fn input<T: Real>(&self) -> Input<T> {
        let f = self.config.features.channels;
        let mut input = Input {
            samples: SAMPLES,
            views: VIEWS,
            ..Config::compact()
            rgb_features: vec![],
            directions: vec![],
            mask: vec![],
            encoding: vec![],
        };
        let real = |v: f32| T::new(f64::from(v));
        for (i, z) in self.depths.iter().enumerate() {
            let ray = self.rays[i / SAMPLES];
            let point = *z * ray.direction + ray.origin;
            for v in 0..VIEWS {
                let p = Projector::new(&self.cameras[v]).project(point, toward(point, ray.origin));
                input.mask.push(p.visible);
                input.directions.extend(p.direction.map(real));
                for (map, channels, size) in [(&self.images[v].data, 3, (33, 25)), (&self.maps[v], f, MAP)] {
                    let taps = taps(p.pixel, (33, 25), size);
                    for c in 0..channels {
                        let value = (0..4).map(|t| taps.weight[t] * map[taps.index[t] as usize * channels + c]).sum();
                        input.rgb_features.push(real(value));
                    }
                }
            }
            let mut encoding = vec![0.0; self.config.position.channels()];
            encoding::sample(self.config.position, point, ray.direction, *z, RANGE, &mut encoding);
            input.encoding.extend(encoding.into_iter().map(real));
        }
        input
    }

    fn parameters<T: Real>(&self, value: impl Fn(usize) -> T) -> Parameters<T> {
        self.layout
            .entries()
            .iter()
            .map(|e| {
                (e.name["net_coarse.".len()..].to_owned(), (0..e.slot.len).map(|i| value(e.slot.offset + i)).collect())
            })
            .collect()
    }
}

fn fixtures() -> Vec<Fixture> {
    vec![
        Fixture::new(Start::Max, Position::World { frequencies: 3 }, Head::Mean),
        Fixture::new(Start::Stats, Position::Ray { frequencies: 4 }, Head::Blend),
    ]
}

#[test]
fn some_samples_are_seen_by_all_views_and_some_by_none() {
    let (workspace, _) = fixtures()[0].run();
    let counts: Vec<f32> = workspace.tokens.mask.chunks_exact(VIEWS).map(|m| m.iter().sum()).collect();
    assert!(counts.contains(&0.0) && counts.iter().any(|c| *c >= 2.0), "{counts:?}");
}

#[test]
fn values_equal_the_plain_network() {
    for f in fixtures() {
        let (workspace, _) = f.run();
        let want = plain::run(&f.config, &f.parameters(|i| f64::from(f.params[i])), &f.input::<f64>());
        for (got, want) in workspace.head.rgb.iter().zip(&want.rgb) {
            assert!((f64::from(*got) - want).abs() < 2e-5, "{:?}: {got} {want}", f.config.head);
        }
        for (got, want) in workspace.ray_weights(&f.net, SAMPLES).iter().zip(&want.weights) {
            assert!((f64::from(*got) - want).abs() < 5e-6, "{:?}: {got} {want}", f.config.head);
        }
    }
}

#[test]
fn gradients_equal_those_of_dual_numbers() {
    for f in fixtures() {
        let (mut workspace, folded) = f.run();
        let mut rng = SplitMix(11);
        let d_rgb: Vec<f32> = (0..9).map(|_| rng.uniform() * 2.0 - 1.0).collect();
        let mut d_maps = vec![vec![0.0; MAP.0 * MAP.1 * f.config.width]; VIEWS];
        let mut folded_grads = vec![0.0; f.net.layout.len()];
        workspace.backward(&f.config, &f.net, &folded, SAMPLES, VIEWS, &d_rgb, None, &mut d_maps, &mut folded_grads);
        for (map, d_map) in f.maps.iter().zip(&d_maps) {
            f.net.token_features.backward(&folded, map, d_map, None, &mut folded_grads);
        }
        let mut grads = vec![0.0; f.layout.len()];
        folding::unfold(&f.net.folds, &f.params, &folded_grads, &mut grads);
        let input = f.input::<Dual64>();
        for entry in f.layout.entries() {
            let range = entry.slot.offset..entry.slot.offset + entry.slot.len;
            let direction: Vec<f64> = range.clone().map(|_| f64::from(rng.uniform()) * 2.0 - 1.0).collect();
            let params = f.parameters(|i| {
                let eps = if range.contains(&i) { direction[i - range.start] } else { 0.0 };
                Dual64::new(f64::from(f.params[i]), eps)
            });
            let out = plain::run(&f.config, &params, &input);
            let want: f64 = out.rgb.iter().zip(&d_rgb).map(|(rgb, d)| rgb.eps * f64::from(*d)).sum();
            let got: f64 = range.clone().zip(&direction).map(|(i, d)| f64::from(grads[i]) * d).sum();
            // The tensor's own size sets the scale: a direction may happen to be nearly flat.
            let scale: f64 = range.map(|i| f64::from(grads[i]).powi(2)).sum::<f64>().sqrt() + 1e-4;
            assert!((got - want).abs() < 2e-3 * scale, "{} of {:?}: {got} {want}", entry.name, f.config.head);
        }
    }
}

#[test]
fn a_gradient_on_the_ray_logits_is_added() {
    let f = &fixtures()[1];
    let (mut workspace, folded) = f.run();
    let d_logits: Vec<f32> = (0..workspace.head.ray_weights.len()).map(|i| (i % 5) as f32 - 2.0).collect();
    let mut d_maps = vec![vec![0.0; MAP.0 * MAP.1 * f.config.width]; VIEWS];
    let mut folded_grads = vec![0.0; f.net.layout.len()];
    workspace.backward(
        &f.config,
        &f.net,
        &folded,
        SAMPLES,
        VIEWS,
        &[0.0; 9],
        Some(&d_logits),
        &mut d_maps,
        &mut folded_grads,
    );
    // d loss / d W = Σ_t d_logit · y_t, where y is the last normalisation's output: recomputed by finite differences
    // of Σ d_logit · log-weight, whose gradient in the logits differs from it by a multiple of the weights only.
    let ray = f.net.blend.unwrap().ray.weight;
    let weight_sum: Vec<f32> = d_logits.chunks_exact(SAMPLES).map(|d| d.iter().sum()).collect();
    let loss = |params: &[f32]| {
        let moved = Fixture {
            params: params.to_vec(),
            ..Fixture::new(Start::Stats, Position::Ray { frequencies: 4 }, Head::Blend)
        };
        let (w, _) = moved.run();
        let log: f64 = w.head.ray_weights.iter().zip(&d_logits).map(|(w, d)| f64::from(w.ln() * d)).sum();
        log
    };
    let entry = f.layout.find("net_coarse.blend.ray.weight").unwrap();
    let mut grads = vec![0.0; f.layout.len()];
    folding::unfold(&f.net.folds, &f.params, &folded_grads, &mut grads);
    let got = grads[entry.slot.offset + 2];
    let step = 1e-2;
    let mut moved = f.params.clone();
    moved[entry.slot.offset + 2] += step;
    let up = loss(&moved);
    moved[entry.slot.offset + 2] -= 2.0 * step;
    let down = loss(&moved);
    // log-softmax subtracts Σd · softmax; put that part back.
    let normal_part: f32 = {
        let mut extra = vec![0.0; f.net.layout.len()];
        let d: Vec<f32> =
            workspace.head.ray_weights.iter().enumerate().map(|(i, w)| w * weight_sum[i / SAMPLES]).collect();
        let (mut w2, folded) = f.run();
        w2.backward(&f.config, &f.net, &folded, SAMPLES, VIEWS, &[0.0; 9], Some(&d), &mut d_maps, &mut extra);
        ray.of(&extra)[2]
    };
    let want = (up - down) / f64::from(2.0 * step) + f64::from(normal_part);
    assert!((f64::from(got) - want).abs() < 2e-3 * (1.0 + want.abs()), "{got} {want}");
}
