//! The device against the CPU: every stage of the network on the same rays.

use super::{CudaEngine, CudaSource, Precision, RayBatch, Rays, Want};
use crate::engine::{self, Engine, PreparedSource, RayOutput, RayScratch};
use crate::network::Workspace;
use crate::network::key_map::KeyMap;
use crate::network::tokens::{RayChunk, Source};
use crate::projection::Projector;
use crate::{Model, Result};
use scene::{Camera, Image, Ray};
use std::sync::Arc;
use tensor::cuda::Device;

/// What the comparison runs on.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The network.
    pub model: &'a Model,
    /// Its parameters.
    pub params: &'a [f32],
    /// Source views.
    pub sources: &'a [(Camera, Image)],
    /// Rays.
    pub rays: &'a [Ray],
    /// Depths of the samples `[samples]`, the same for all rays.
    pub depths: &'a [f32],
    /// Near and far bound.
    pub depth_range: (f32, f32),
}

/// Largest difference of one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Name, such as `block 1 view`.
    pub stage: String,
    /// Largest absolute difference; infinite if a value is not a number.
    pub error: f32,
    /// Largest absolute value of the reference, at least 1.
    pub largest: f32,
    /// Largest absolute difference of each ray; of a source's map, of the whole.
    pub rays: Vec<f32>,
}

impl Difference {
    /// Compares the values of as many `rays`.
    pub fn new(stage: impl Into<String>, got: &[f32], want: &[f32], rays: usize) -> Self {
        assert_eq!((got.len(), want.len() % rays), (want.len(), 0), "values of a stage, and of {rays} rays");
        let off = |(a, b): (&f32, &f32)| if a.is_finite() { (a - b).abs() } else { f32::INFINITY };
        let worst = |(got, want): (&[f32], &[f32])| got.iter().zip(want).map(off).fold(0.0, f32::max);
        let part = (want.len() / rays).max(1);
        let rays: Vec<f32> = got.chunks(part).zip(want.chunks(part)).map(worst).collect();
        Self {
            stage: stage.into(),
            error: rays.iter().copied().fold(0.0, f32::max),
            largest: want.iter().fold(1.0, |m, v| m.max(v.abs())),
            rays,
        }
    }

    /// The part of the rays whose difference is at most `bound`, as in [`Difference::relative`].
    pub fn share_within(&self, bound: f32) -> f32 {
        let within = self.rays.iter().filter(|error| **error <= bound * self.largest).count();
        within as f32 / self.rays.len().max(1) as f32
    }

    /// The difference as a part of the largest value.
    pub fn relative(&self) -> f32 {
        self.error / self.largest
    }
}

/// What the CPU finds in f32.
#[derive(Debug)]
pub struct Reference {
    /// After the first token layer, one a source.
    maps: Vec<Vec<f32>>,
    /// After the view blocks and the ray blocks, in turn.
    states: Vec<Vec<f32>>,
    /// Colours, depths and weights.
    pub batch: RayBatch,
}

impl Reference {
    /// Runs the CPU's engine, and its training path for the states, with `threads` threads for the sources.
    ///
    /// # Errors
    /// If a source view is too small for the feature network.
    pub fn new(setup: Setup) -> Result<Self> {
        let Setup { model, params, sources, rays, depths, depth_range } = setup;
        let engine = Engine::with_precision(model.clone(), params, engine::Precision::F32);
        let prepared: Vec<PreparedSource> = sources
            .iter()
            .map(|(camera, image)| engine.prepare(camera, Arc::new(image.clone())))
            .collect::<Result<_>>()?;
        let views: Vec<&PreparedSource> = prepared.iter().collect();
        let (mut scratch, mut out, mut batch) = (RayScratch::default(), RayOutput::default(), RayBatch::default());
        for ray in rays {
            engine.render_ray(&views, ray, depths, depth_range, &mut scratch, &mut out);
            batch.rgb.extend(out.rgb);
            batch.depth.push(depths.iter().zip(&out.weights).map(|(z, w)| z * w).sum());
            batch.weights.extend(&out.weights);
        }
        let folded = model.fold(params);
        let mut keys = vec![KeyMap::default(); sources.len()];
        for (keys, p) in keys.iter_mut().zip(&prepared) {
            keys.forward(&model.net, &folded, p.image(), p.map_size(), p.map());
        }
        let cameras = sources.iter().map(|(camera, _)| camera);
        let trained: Vec<Source> = prepared
            .iter()
            .zip(cameras)
            .zip(&keys)
            .map(|((p, camera), keys)| Source {
                projector: Projector::new(camera),
                image: p.image(),
                map_size: p.map_size(),
                map: p.map(),
                keys: &keys.tokens,
            })
            .collect();
        let all: Vec<f32> = rays.iter().flat_map(|_| depths.iter().copied()).collect();
        let mut workspace = Workspace::default();
        workspace.trunk.record = true;
        let chunk = RayChunk { rays, depths: &all, depth_range };
        workspace.forward(&model.config, &model.net, &folded, &trained, chunk);
        // Of the four states that a block leaves, the second and the last.
        let states = workspace.trunk.states.iter().skip(1).step_by(2).cloned().collect();
        Ok(Self { maps: prepared.iter().map(|p| p.map().to_vec()).collect(), states, batch })
    }

    /// Compares the device in f32 with this, stage by stage: maps, states, weights, depths, colours.
    ///
    /// # Errors
    /// If the device cannot run the network.
    pub fn compare(&self, device: &Device, setup: Setup) -> Result<Vec<Difference>> {
        let (got, maps) = run(device, setup, Precision::F32)?;
        let mut all: Vec<Difference> = maps
            .iter()
            .zip(&self.maps)
            .enumerate()
            .map(|(i, (got, want))| Difference::new(format!("source {i}"), got, want, 1))
            .collect();
        let rays = setup.rays.len();
        let stage = rays * setup.depths.len() * setup.model.config.width;
        for (i, want) in self.states.iter().enumerate() {
            // The device has the start and three states a block: view, position, ray.
            let number = 1 + 3 * (i / 2) + 2 * (i % 2);
            let name = format!("block {} {}", i / 2, ["view", "ray"][i % 2]);
            all.push(Difference::new(name, &got.states[number * stage..][..stage], want, rays));
        }
        all.push(Difference::new("weights", &got.weights, &self.batch.weights, rays));
        all.push(Difference::new("depth", &got.depth, &self.batch.depth, rays));
        all.push(Difference::new("colour", &got.rgb, &self.batch.rgb, rays));
        Ok(all)
    }

    /// PSNR of the device's colours at a precision against this.
    ///
    /// # Errors
    /// If the device cannot run the network.
    pub fn psnr(&self, device: &Device, setup: Setup, precision: Precision) -> Result<f64> {
        let (got, _) = run(device, setup, precision)?;
        let squares: f64 = got.rgb.iter().zip(&self.batch.rgb).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        Ok(-10.0 * (squares / got.rgb.len() as f64 + 1e-12).log10())
    }
}

/// The rays on the device, and in f32 the sources' maps.
fn run(device: &Device, setup: Setup, precision: Precision) -> Result<(RayBatch, Vec<Vec<f32>>)> {
    let mut engine = CudaEngine::new(device.clone(), setup.model, setup.params, precision)?;
    let sources: Vec<CudaSource> =
        setup.sources.iter().map(|(camera, image)| engine.prepare(camera, image)).collect::<Result<_>>()?;
    let maps = sources.iter().map(CudaSource::read_map).collect::<Result<_>>()?;
    let sources: Vec<&CudaSource> = sources.iter().collect();
    let samples = setup.depths.len();
    let rays = Rays { rays: setup.rays, depths: setup.depths, samples, depth_range: setup.depth_range };
    let exact = precision == Precision::F32;
    let batch = engine.render(&sources, rays, Want { weights: exact, states: exact, cycles: true, routing: true })?;
    Ok((batch, maps))
}
