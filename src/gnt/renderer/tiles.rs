//! Parts of a frame on demand, given up at once when nobody wants them any more: what a viewer asks for.
//!
//! A frame is opened, then the rays of its coarse grid are cast in any order and portions, then any of its pixels. All of
//! them together are the frame that [`Renderer::render`] makes.

use super::expert_shares;
use super::together;
use super::{Backend, Prepared, Renderer, Settings};
use crate::cuda::{CudaEngine, CudaSource, Rays, Want};
use crate::engine::{Engine, PreparedSource, RayOutput, RayScratch};
use crate::guided::{Guide, Guided};
use crate::{Error, FeedForwardKind, Result, sampling};
use compute::parallel;
use glam::Vec2;
use scene::{Frame, Ray};

/// Rays that a thread takes at a time.
const PORTION: usize = 16;

/// Pixels from one ray of the coarse grid to the next where samples are not guided.
const CELL: u32 = Guided::AUTO.cell;

/// Tells, from any thread and between a few rays, whether the work is no longer wanted.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// What a ray gives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pixel {
    /// Colour, not clipped.
    pub rgb: [f32; 3],
    /// Depth along the optical axis (z), in scene units.
    pub depth: f32,
    /// How sharply the samples' weights tell the depth: 1 where one sample has all of them, 0 where they are spread over
    /// inverse depth as evenly spaced samples are.
    pub confidence: f32,
    /// The source view that gave most of the colour; none where the network does not tell, or on CUDA.
    pub view: Option<usize>,
    /// Share of the ray's rows that went to the multiply experts; none without experts.
    pub multiplied: Option<f32>,
}

/// A frame that is made in parts.
#[derive(Clone, Debug)]
pub struct Tiled {
    frame: Frame,
    settings: Settings,
    sources: Vec<usize>,
    /// Views that may be sources.
    candidates: Vec<usize>,
    guide: Guide,
}

impl Tiled {
    /// Its source views, nearest first.
    pub fn sources(&self) -> &[usize] {
        &self.sources
    }

    /// Number of rays of the coarse grid; row by row.
    pub fn coarse_rays(&self) -> usize {
        self.guide.rays()
    }

    /// Pixels from one coarse ray to the next.
    pub fn cell(&self) -> u32 {
        self.settings.guided.map_or(CELL, |guided| guided.cell)
    }

    fn ray(&self, camera: &scene::Camera, (x, y): (u32, u32)) -> Ray {
        camera.ray(Vec2::new(x as f32, y as f32))
    }
}

/// Rays that are cast together.
struct Portion<'a> {
    rays: &'a [Ray],
    /// `[samples]` for all rays, or `[rays, samples]`.
    depths: &'a [f32],
    samples: usize,
    settings: &'a Settings,
    /// Which view of the scene each source is.
    sources: &'a [usize],
}

impl Portion<'_> {
    fn depths(&self, i: usize) -> &[f32] {
        if self.depths.len() == self.samples { self.depths } else { &self.depths[i * self.samples..][..self.samples] }
    }
}

impl Renderer {
    /// Chooses the frame's sources and prepares those that are not there yet; none if `stop` came first. `settings` must
    /// have a stride of 1 and no second pass.
    ///
    /// # Errors
    /// As [`Renderer::render`]; [`Error::Input`] for other settings.
    pub fn open_tiles(&mut self, frame: &Frame, settings: &Settings, stop: Stop) -> Result<Option<Tiled>> {
        settings.validate()?;
        if settings.stride != 1 || settings.importance != 0 {
            let (stride, importance) = (settings.stride, settings.importance);
            return Err(Error::Input(format!(
                "tiles: expected a stride of 1 and no second pass, found {stride} and {importance} samples"
            )));
        }
        let Some(Prepared { sources, candidates, .. }) = self.prepare_unless(frame, settings, stop)? else {
            return Ok(None);
        };
        let how = settings.guided.unwrap_or(Guided { cell: CELL, coarse: 2 });
        let size = (frame.camera.width, frame.camera.height);
        let guide = Guide::new(how, size, 1, settings.depth_range);
        Ok(Some(Tiled { frame: frame.clone(), settings: *settings, sources, candidates, guide }))
    }

    /// Casts rays of the coarse grid, by their numbers; none if `stop` came first. Guided samples are placed by what they
    /// find.
    ///
    /// # Errors
    /// If a photograph cannot be read, or the device fails.
    ///
    /// # Panics
    /// If there is no ray of a number.
    pub fn coarse_tile(&mut self, tiled: &mut Tiled, numbers: &[usize], stop: Stop) -> Result<Option<Vec<Pixel>>> {
        let Settings { guided, samples, depth_range: (near, far), .. } = tiled.settings;
        let samples = guided.map_or(samples, |guided| guided.coarse);
        let depths = sampling::inverse_depth(near, far, samples);
        let pixels: Vec<(u32, u32)> = numbers.iter().map(|i| tiled.guide.pixel(*i)).collect();
        let mut weights = vec![0.0; numbers.len() * samples];
        let done = self.cast(tiled, &pixels, &depths, samples, &mut weights, stop)?;
        if let (Some(how), Some(_)) = (guided, &done) {
            for (i, weights) in numbers.iter().zip(weights.chunks_exact(samples)) {
                tiled.guide.weights[i * how.coarse..][..how.coarse].copy_from_slice(weights);
            }
        }
        Ok(done)
    }

    /// Casts the rays of pixels; none if `stop` came first. Where samples are guided, all rays of the coarse grid must have
    /// been cast before.
    ///
    /// # Errors
    /// As [`Renderer::coarse_tile`].
    pub fn tile(&mut self, tiled: &Tiled, pixels: &[(u32, u32)], stop: Stop) -> Result<Option<Vec<Pixel>>> {
        let Settings { guided, samples, depth_range: (near, far), .. } = tiled.settings;
        let mut depths = Vec::new();
        if guided.is_some() {
            let mut density = Vec::new();
            pixels.iter().for_each(|pixel| tiled.guide.depths(*pixel, samples, &mut density, &mut depths));
        } else {
            depths = sampling::inverse_depth(near, far, samples);
        }
        let mut weights = vec![0.0; pixels.len() * samples];
        self.cast(tiled, pixels, &depths, samples, &mut weights, stop)
    }

    /// Casts the rays of pixels of the whole picture; `weights` `[pixels, samples]` are those of their samples.
    fn cast(
        &mut self,
        tiled: &Tiled,
        pixels: &[(u32, u32)],
        depths: &[f32],
        samples: usize,
        weights: &mut [f32],
        stop: Stop,
    ) -> Result<Option<Vec<Pixel>>> {
        if stop() {
            return Ok(None);
        }
        let sources = &tiled.sources;
        if self.ready(sources, &tiled.candidates, &tiled.settings, stop)?.is_none() {
            return Ok(None);
        }
        let camera = self.place(&tiled.frame.camera, sources);
        let rays: Vec<Ray> = pixels.iter().map(|pixel| tiled.ray(&camera, *pixel)).collect();
        let portion = Portion { rays: &rays, depths, samples, settings: &tiled.settings, sources };
        match &mut self.backend {
            Backend::Cpu(engine, kept) => Ok(on_cpu(engine, &kept.get(sources), &portion, weights, stop)),
            Backend::Cuda(engine, kept) => on_cuda(engine, &kept.get(sources), &portion, weights).map(Some),
        }
    }
}

/// On the processor, on all threads; `stop` is asked before every few rays.
fn on_cpu(
    engine: &Engine,
    sources: &[&PreparedSource],
    portion: &Portion,
    weights: &mut [f32],
    stop: Stop,
) -> Option<Vec<Pixel>> {
    let experts = matches!(engine.config().mlp, FeedForwardKind::Experts { .. });
    let Portion { rays, samples, settings, .. } = *portion;
    let mut out = vec![Pixel::default(); rays.len()];
    let mut few: Vec<(&mut [Pixel], &mut [f32])> =
        out.chunks_mut(PORTION).zip(weights.chunks_mut(PORTION * samples)).collect();
    let scratch = || (RayScratch::default(), Vec::<RayOutput>::new(), Vec::new(), Vec::new());
    parallel::for_each_with(
        &mut few,
        settings.threads,
        scratch,
        |(ray, out, parts, depths), first, (pixels, weights)| {
            let count = together(samples);
            let some = pixels.chunks_mut(count).zip(weights.chunks_mut(count * samples)).enumerate();
            for (i, (pixels, weights)) in some {
                if stop() {
                    return;
                }
                let at = first * PORTION + i * count;
                let rays = &rays[at..][..pixels.len()];
                depths.clear();
                (at..at + rays.len()).for_each(|at| depths.extend_from_slice(portion.depths(at)));
                out.resize_with(out.len().max(rays.len()), RayOutput::default);
                let out = &mut out[..rays.len()];
                engine.render_few(sources, rays, depths, settings.depth_range, ray, out);
                let of_rays = out.iter().zip(depths.chunks(samples)).zip(weights.chunks_mut(samples));
                for (pixel, ((ray, depths), weights)) in pixels.iter_mut().zip(of_rays) {
                    weights.copy_from_slice(&ray.weights);
                    let multiplied = experts.then(|| expert_shares::add(parts, &ray.routed));
                    let most = ray.shares.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
                    *pixel = Pixel {
                        view: most.map(|(source, _)| portion.sources[source]),
                        multiplied,
                        ..told(ray.rgb, depths, weights, settings.depth_range)
                    };
                }
            }
        },
    );
    (!stop()).then_some(out)
}

/// On a device, all at once.
fn on_cuda(
    engine: &mut CudaEngine,
    sources: &[&CudaSource],
    portion: &Portion,
    weights: &mut [f32],
) -> Result<Vec<Pixel>> {
    let Portion { rays, depths, samples, settings, .. } = *portion;
    let experts = matches!(engine.config().mlp, FeedForwardKind::Experts { .. });
    let parts = 2 * engine.config().depth;
    let most = engine.most_rays().max(1);
    let mut out = Vec::with_capacity(rays.len());
    for (chunk, some) in rays.chunks(most).enumerate() {
        let first = chunk * most;
        let own = depths.len() > samples;
        let depths = if own { &depths[first * samples..][..some.len() * samples] } else { depths };
        let job = Rays { rays: some, depths, samples, depth_range: settings.depth_range };
        let want = Want { weights: true, routing: experts, ..Want::default() };
        let batch = engine.render(sources, job, want).inspect_err(|_| engine.abandon())?;
        weights[first * samples..][..some.len() * samples].copy_from_slice(&batch.weights);
        for (i, (rgb, weights)) in batch.rgb.as_chunks::<3>().0.iter().zip(batch.weights.chunks(samples)).enumerate() {
            let depths = if own { &depths[i * samples..][..samples] } else { depths };
            let multiplied = batch.multiplied.get(i).map(|rows| *rows as f32 / (samples * parts) as f32);
            out.push(Pixel { multiplied, ..told(*rgb, depths, weights, settings.depth_range) });
        }
    }
    Ok(out)
}

/// What colour and weights tell of a pixel.
fn told(rgb: [f32; 3], depths: &[f32], weights: &[f32], depth_range: (f32, f32)) -> Pixel {
    let depth = depths.iter().zip(weights).map(|(z, w)| z * w).sum();
    let confidence = confidence(depths, weights, depth_range);
    Pixel { rgb, depth, confidence, view: None, multiplied: None }
}

/// [`Pixel::confidence`] of a ray's samples.
pub(super) fn confidence(depths: &[f32], weights: &[f32], (near, far): (f32, f32)) -> f32 {
    /// Standard deviation of a uniform distribution over one unit.
    const UNIFORM: f32 = 0.288_675;
    let mean: f32 = depths.iter().zip(weights).map(|(z, w)| w / z).sum();
    let square: f32 = depths.iter().zip(weights).map(|(z, w)| w * (1.0 / z - mean).powi(2)).sum();
    let spread = square.max(0.0).sqrt() / (UNIFORM * (1.0 / near - 1.0 / far));
    (1.0 - spread).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, FeatureConfig, Model};
    use scene::{LoadOptions, PathKind, Scene};
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const DEPTH_RANGE: (f32, f32) = (1.2, 40.0);

    fn renderer(device: bool) -> (Renderer, Frame) {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenes/still-life"));
        let scene: Scene = scene::formats::load(root, &LoadOptions::default()).unwrap();
        let mut frame = scene::paths::frames(&scene, &PathKind::Test, Some(1)).unwrap().remove(0);
        frame.camera = frame.camera.resized(23, 17);
        let features =
            FeatureConfig { stem_width: 4, stem_stride: 2, widths: [6, 4, 8], blocks: [1, 2, 1], channels: 5 };
        // Surface maps of whole photographs would take minutes in the emulation.
        let config = Config { features, depth: 1, visibility: !device, ..Config::compact() };
        let model = Model::new(config.shift_add()).unwrap();
        let params: Vec<f32> = model.layout.initialise(7).iter().map(|p| p * 1.5).collect();
        let backend: Backend = if device {
            let precision = crate::cuda::CudaPrecision::F32;
            CudaEngine::new(kernels_host::device(), &model, &params, precision).unwrap().into()
        } else {
            Engine::new(model, &params).into()
        };
        (Renderer::new(backend, scene), frame)
    }

    fn settings(guided: Option<Guided>) -> Settings {
        let (samples, threads) = (7, 2);
        Settings {
            samples,
            guided,
            importance: 0,
            views: 3,
            threads,
            stride: 1,
            depth_range: DEPTH_RANGE,
            routing: true,
            confidence: true,
        }
    }

    /// In any portions and order, the parts are the frame.
    fn check(device: bool) {
        let (mut renderer, frame) = renderer(device);
        for guided in [None, Some(Guided { cell: 3, coarse: 9 })] {
            let settings = settings(guided);
            let whole = renderer.render(&frame, &settings, &|_| {}).unwrap();
            let mut tiled = renderer.open_tiles(&frame, &settings, &|| false).unwrap().unwrap();
            assert_eq!(tiled.sources(), whole.sources);
            let (even, odd): (Vec<usize>, Vec<usize>) = (0..tiled.coarse_rays()).partition(|i| i % 2 == 0);
            for numbers in [odd, even] {
                let coarse = renderer.coarse_tile(&mut tiled, &numbers, &|| false).unwrap().unwrap();
                assert_eq!(coarse.len(), numbers.len());
            }
            let pixels: Vec<(u32, u32)> = (3..17).rev().flat_map(|y| (1..23).map(move |x| (x, y))).collect();
            let part = renderer.tile(&tiled, &pixels, &|| false).unwrap().unwrap();
            for ((x, y), pixel) in pixels.iter().zip(&part) {
                let at = (y * 23 + x) as usize;
                assert_eq!(pixel.rgb, whole.image.pixel(*x, *y), "pixel {x}, {y}");
                assert!((pixel.depth - whole.depth[at]).abs() < 1e-4 * whole.depth[at]);
                assert!((pixel.confidence - whole.confidence[at]).abs() < 1e-4);
                assert_eq!(pixel.multiplied, Some(whole.routing.as_ref().unwrap().multiplied[at]));
                assert_eq!(pixel.view.is_some(), !device);
                assert!(pixel.view.is_none_or(|view| whole.sources.contains(&view)));
                assert!((0.0..=1.0).contains(&pixel.confidence));
            }
        }
    }

    #[test]
    fn parts_make_up_the_frame() {
        check(false);
    }

    #[test]
    fn parts_make_up_the_frame_in_the_emulation_of_cuda() {
        check(true);
    }

    #[test]
    fn nothing_is_given_after_a_stop() {
        let (mut renderer, frame) = renderer(false);
        let settings = settings(None);
        assert!(renderer.open_tiles(&frame, &settings, &|| true).unwrap().is_none());
        let tiled = renderer.open_tiles(&frame, &settings, &|| false).unwrap().unwrap();
        let pixels = [(0, 0); 400];
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) >= 30;
        assert!(renderer.tile(&tiled, &pixels, &stop).unwrap().is_none());
        // Two threads stop at the next ray that each would cast; the end is asked for once more.
        let asked = asked.into_inner();
        assert!((31..40 + 400 / PORTION).contains(&asked), "asked {asked} times");
        let bad = Settings { stride: 2, ..settings };
        assert!(renderer.open_tiles(&frame, &bad, &|| false).unwrap_err().to_string().contains("stride"));
    }

    #[test]
    fn confidence_is_one_for_a_point_and_none_for_even_weights() {
        let depths = sampling::inverse_depth(1.0, 10.0, 33);
        let mut weights = vec![0.0; 33];
        weights[20] = 1.0;
        let point = told([0.0; 3], &depths, &weights, (1.0, 10.0));
        assert!((point.confidence - 1.0).abs() < 1e-3 && (point.depth - depths[20]).abs() < 1e-4);
        let even = told([0.0; 3], &depths, &[1.0 / 33.0; 33], (1.0, 10.0));
        assert!(even.confidence < 0.05, "{}", even.confidence);
    }
}
