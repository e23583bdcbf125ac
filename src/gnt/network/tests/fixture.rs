//! A small network and scene for comparing the training path with the plain network.

use crate::folded::Folded;
use crate::network::sources::{MapGrads, RayChunk, Source, SourceMap, sources};
use crate::network::{Cpu, NetworkOn, RouterTraining, Seeds, Workspace};
use crate::plain::{Input, Output, Parameters, Real};
use crate::projection::{Projection, Projector, taps, toward};
use crate::surface::{CLEARANCE, HIDDEN, SurfaceMap};
use crate::{Config, FeatureConfig, Head, Position, Start, encoding, plain, sampling};
use glam::{Mat4, Quat, Vec2, Vec3};
use layers::Layout;
use layers::folding::{fold, unfold};
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

pub const MAP: (usize, usize) = (9, 7);
pub const IMAGE: (usize, usize) = (33, 25);
pub const SAMPLES: usize = 7;
pub const VIEWS: usize = 3;
pub const RAYS: usize = 3;
const RANGE: (f32, f32) = (0.8, 9.0);

/// A network of GNT's kinds.
pub fn config(start: Start, position: Position, head: Head) -> Config {
    let features = FeatureConfig { stem_width: 4, stem_stride: 2, widths: [4, 4, 4], blocks: [1, 1, 1], channels: 5 };
    Config {
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
    }
}

/// A small network and scene in which some samples are seen by all views, some by none.
#[derive(Clone)]
pub struct Fixture {
    pub config: Config,
    pub layout: Layout,
    pub net: Folded,
    pub params: Vec<f32>,
    /// Cameras and photographs of the source views.
    pub views: Vec<(Camera, Image)>,
    pub maps: Vec<Vec<f32>>,
    /// Where the views' own rays end; of the second view it is not known.
    pub surfaces: Vec<Option<SurfaceMap>>,
    rays: Vec<Ray>,
    pub depths: Vec<f32>,
}

/// A forward pass and what its backward pass needs.
pub struct Pass {
    pub workspace: Workspace,
    pub folded: Vec<f32>,
    maps: Vec<SourceMap>,
}

impl Fixture {
    pub fn new(config: Config) -> Self {
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
        let cameras = [camera(0.4, -0.1), camera(0.7, 0.1), camera(0.2, 1.2)];
        let views = cameras
            .into_iter()
            .map(|camera| (camera, Image::new(33, 25, (0..33 * 25 * 3).map(|_| rng.uniform()).collect()).unwrap()))
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
        let surfaces = (0..VIEWS)
            .map(|v| {
                (v != 1).then(|| {
                    let cells = (0..5 * 4).map(|_| [0.1 + 0.5 * rng.uniform(), 0.02 + 0.1 * rng.uniform()]).collect();
                    SurfaceMap::new((5, 4), 8, cells)
                })
            })
            .collect();
        Self { config, layout, net, params, views, maps, surfaces, rays, depths }
    }

    /// The same network with the first `views` views and `samples` samples a ray.
    pub fn with_size(mut self, views: usize, samples: usize) -> Self {
        self.views.truncate(views);
        self.maps.truncate(views);
        self.surfaces.truncate(views);
        let mut rng = SplitMix(samples as u64);
        self.depths.clear();
        for _ in &self.rays {
            let mut z = sampling::inverse_depth(RANGE.0, RANGE.1, samples);
            sampling::jitter(&mut z, || rng.uniform());
            self.depths.extend(z);
        }
        self
    }

    /// The network on the CPU.
    pub fn network<'a>(&'a self, folded: &'a [f32]) -> NetworkOn<'a> {
        NetworkOn { executor: &Cpu, config: &self.config, net: &self.net, params: folded }
    }

    pub fn chunk(&self) -> RayChunk<'_> {
        RayChunk { rays: &self.rays, depths: &self.depths, depth_range: RANGE }
    }

    /// Runs the training path.
    pub fn run(&self) -> Pass {
        self.run_with(RouterTraining::default(), false)
    }

    /// Runs the training path with experts routed as told, and with its states recorded where asked.
    pub fn run_with(&self, routers: RouterTraining, record: bool) -> Pass {
        let folded = fold(&self.net.folds, &self.params, self.net.layout.len());
        let mut maps = vec![SourceMap::default(); self.maps.len()];
        for (((made, features), (_, image)), surface) in
            maps.iter_mut().zip(&self.maps).zip(&self.views).zip(&self.surfaces)
        {
            made.forward(&self.net, &folded, image, MAP, features);
            made.surface.clone_from(surface);
        }
        let mut workspace = Workspace::default();
        (workspace.trunk.routers, workspace.trunk.record) = (routers, record);
        let Ok(()) = workspace.forward(self.network(&folded), &sources(&self.views, &maps), self.chunk());
        Pass { workspace, folded, maps }
    }

    /// Weights of the samples after `pass`.
    pub fn ray_weights(&self, pass: &Pass) -> Vec<f32> {
        let mut weights = Vec::new();
        let Ok(()) = pass.workspace.ray_weights(self.network(&pass.folded), &mut weights);
        weights
    }

    /// Gradients of the parameters after `pass`.
    pub fn gradients(&self, pass: &mut Pass, d_rgb: &[f32], d_ray_logits: Option<&Vec<f32>>) -> Vec<f32> {
        let d_rgb = d_rgb.to_vec();
        let seeds = Seeds { ray_logits: d_ray_logits, ..Seeds::of_colours(&d_rgb) };
        let (folded_grads, _) = self.gradients_from(pass, seeds);
        let mut grads = vec![0.0; self.layout.len()];
        unfold(&self.net.folds, &self.params, &folded_grads, &mut grads);
        grads
    }

    /// Gradients of the folded parameters and of the feature maps after `pass`.
    pub fn gradients_from(&self, pass: &mut Pass, seeds: Seeds) -> (Vec<f32>, Vec<Vec<f32>>) {
        let mut d_maps = MapGrads::default();
        let read: Vec<Source> = sources(&self.views, &pass.maps);
        d_maps.reset(&read);
        let mut grads = vec![0.0; self.net.layout.len()];
        let network = self.network(&pass.folded);
        let Ok(()) = pass.workspace.backward(network, seeds, Some(&mut d_maps), &mut grads);
        let MapGrads { mut maps, keys } = d_maps;
        let mut d_features = Vec::new();
        for (v, (map, features)) in pass.maps.iter_mut().zip(&self.maps).enumerate() {
            let mut d = vec![0.0; features.len()];
            map.backward(&self.net, &pass.folded, features, (&mut maps[v], &keys[v]), &mut d, &mut grads);
            d_features.push(d);
        }
        (grads, d_features)
    }

    /// Runs the plain network; parameter number `i` is `value(i)`.
    pub fn plain<T: Real>(&self, value: impl Fn(usize) -> T) -> Output<T> {
        let named = self.layout.entries().iter().map(|e| {
            let name = e.name.strip_prefix("net_coarse.").expect("a parameter of the transformer");
            (name.to_owned(), (0..e.slot.len).map(|i| value(e.slot.offset + i)).collect())
        });
        plain::run(&self.config, &named.collect::<Parameters<T>>(), &self.input())
    }

    fn input<T: Real>(&self) -> Input<T> {
        let mut input = Input {
            samples: SAMPLES,
            views: VIEWS,
            rgb_features: vec![],
            key_rgb_features: vec![],
            directions: vec![],
            mask: vec![],
            encoding: vec![],
        };
        let real = |v: f32| T::new(f64::from(v));
        for (i, z) in self.depths.iter().enumerate() {
            let ray = self.rays[i / SAMPLES];
            let point = *z * ray.direction + ray.origin;
            let project = |v: usize| {
                let mut p = Projector::new(&self.views[v].0).project(point, toward(point, ray.origin));
                if self.config.visibility {
                    let known = self.surfaces[v].as_ref().map(|map| map.clearance(p.pixel, p.z));
                    p.direction[CLEARANCE] = known.unwrap_or(0.0);
                }
                p
            };
            let hidden = |p: &Projection| self.config.visibility && p.direction[CLEARANCE] < HIDDEN;
            let all_hidden = (0..VIEWS).map(project).filter(|p| p.visible).all(|p| hidden(&p));
            for v in 0..VIEWS {
                let p = project(v);
                input.mask.push(p.visible && (all_hidden || !hidden(&p)));
                input.directions.extend(p.direction.map(real));
                input.rgb_features.extend(self.rgb_features(v, p.pixel).map(real));
                if self.net.reads_keys {
                    // The map's pixel with the greatest share in the sample, and that pixel's place in the photograph.
                    let near = taps(p.pixel, IMAGE, MAP);
                    let first = |a: &usize, b: &usize| near.weight[*a].total_cmp(&near.weight[*b]).then(b.cmp(a));
                    let index = near.index[(0..4).max_by(first).expect("four taps")] as usize;
                    let place = Vec2::new((index % MAP.0) as f32, (index / MAP.0) as f32);
                    let scale =
                        Vec2::new((IMAGE.0 - 1) as f32 / (MAP.0 - 1) as f32, (IMAGE.1 - 1) as f32 / (MAP.1 - 1) as f32);
                    input.key_rgb_features.extend(self.rgb_features(v, place * scale).map(real));
                }
            }
            let mut encoding = vec![0.0; self.config.position.channels()];
            encoding::sample(self.config.position, point, ray.direction, *z, RANGE, &mut encoding);
            input.encoding.extend(encoding.into_iter().map(real));
        }
        input
    }

    /// Colour and features of view `v` at a pixel of its photograph.
    fn rgb_features(&self, v: usize, pixel: Vec2) -> impl Iterator<Item = f32> {
        let maps = [(&self.views[v].1.data, 3, IMAGE), (&self.maps[v], self.config.features.channels, MAP)];
        maps.into_iter().flat_map(move |(map, channels, size)| {
            let taps = taps(pixel, IMAGE, size);
            (0..channels)
                .map(move |c| (0..4).map(|t| taps.weight[t] * map[taps.index[t] as usize * channels + c]).sum())
        })
    }
}
