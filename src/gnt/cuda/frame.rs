//! Whole frames on a device: chunks of rays on two streams, so that one computes while the host reads the other.

use super::{CudaEngine, CudaSource, RayBatch, Rays, Want};
use crate::engine::Stage;
use crate::guided::{Guide, Guided};
use crate::renderer::{Rendered, Routing, Settings};
use crate::{Error, MlpKind, Result, sampling};
use glam::Vec2;
use scene::{Camera, Image, Ray};
use tensor::cuda::CudaError;
use tensor::parallel;

/// Most rays of a launch: enough to fill any device many times over.
pub(super) const CHUNK: usize = 32 * 1024;
/// Fewest rays of a launch before a lack of memory is final.
const FEWEST: usize = 64;

impl CudaEngine {
    /// Casts every `settings.stride`-th ray of `camera`; `progress` is told the number of rays just done.
    ///
    /// # Errors
    /// If the device fails, or its memory does not suffice for the smallest chunk.
    pub fn render_frame(
        &mut self,
        sources: &[&CudaSource],
        camera: &Camera,
        settings: &Settings,
        progress: &dyn Fn(usize),
    ) -> Result<Rendered> {
        let result = self.chunks(sources, camera, settings, progress);
        if result.is_err() {
            self.abandon();
        }
        result
    }

    /// Clock cycles of the stages, by [`Stage`], in a frame as [`CudaEngine::render_frame`] casts it.
    ///
    /// # Errors
    /// As [`CudaEngine::render_frame`].
    pub fn profile(
        &mut self,
        sources: &[&CudaSource],
        camera: &Camera,
        settings: &Settings,
    ) -> Result<[u64; Stage::ALL.len()]> {
        // What was counted before is not this frame's.
        self.stage_cycles()?;
        let before = std::mem::replace(&mut self.counting, true);
        let result = self.render_frame(sources, camera, settings, &|_| {});
        self.counting = before;
        result?;
        self.stage_cycles()
    }

    fn chunks(
        &mut self,
        sources: &[&CudaSource],
        camera: &Camera,
        settings: &Settings,
        progress: &dyn Fn(usize),
    ) -> Result<Rendered> {
        let (width, height) = (camera.width.div_ceil(settings.stride), camera.height.div_ceil(settings.stride));
        let count = width as usize * height as usize;
        let ray = |i: usize| {
            let (x, y) = (i as u32 % width, i as u32 / width);
            camera.ray(Vec2::new((x * settings.stride) as f32, (y * settings.stride) as f32))
        };
        let (near, far) = settings.depth_range;
        let coarse = sampling::inverse_depth(near, far, settings.samples);
        let mut chunk = self.chunk;
        let guide = match settings.guided {
            Some(how) => Some(self.look_ahead(sources, camera, settings, how, &mut chunk)?),
            None => None,
        };
        let experts = matches!(self.config.mlp, MlpKind::Experts { .. });
        let routing = settings.routing && experts;
        let mut frame = Frame {
            rgb: vec![0.0; 3 * count],
            depth: vec![0.0; count],
            range: vec![0.0; count],
            routing: routing.then(|| Routing::new(self.config.depth, count)),
            samples: settings.samples + settings.importance,
        };
        let mut first = 0;
        let mut running: Option<Chunk> = None;
        let mut stream = 0;
        while first < count || running.is_some() {
            let mut next = None;
            if first < count {
                let rays: Vec<Ray> = (first..(first + chunk).min(count)).map(ray).collect();
                let guided = guide.as_ref().map(|guide| guided_depths(guide, first, rays.len(), width, settings));
                let depths = guided.as_deref().unwrap_or(&coarse);
                let job = Rays { rays: &rays, depths, samples: settings.samples, depth_range: (near, far) };
                let two = settings.importance > 0;
                let want = Want { weights: two, cycles: self.counting, routing: routing && !two, states: false };
                match self.start(stream, sources, job, want) {
                    Ok(()) => {
                        next = Some(Chunk { stream, first, rays });
                        first += next.as_ref().map_or(0, |c| c.rays.len());
                        stream = 1 - stream;
                    }
                    // What the other stream holds is fetched first, then fewer rays are tried.
                    Err(error) if is_lack_of_memory(&error) && chunk > FEWEST => {
                        self.features.release_memory();
                        chunk /= 2;
                    }
                    Err(error) => return Err(error),
                }
            }
            if let Some(done) = running.take() {
                let mut batch = self.finish(done.stream)?;
                if settings.importance > 0 {
                    let want = Want { cycles: self.counting, routing, ..Want::default() };
                    batch = self.refine(sources, &done, &coarse, &batch, settings, want)?;
                }
                progress(done.rays.len());
                frame.put(&done, &batch);
            }
            running = next;
        }
        let Frame { rgb, depth, range, routing, .. } = frame;
        Ok(Rendered::new(Image { width, height, data: rgb }, depth, range, routing))
    }

    /// Casts the coarse rays that guide the samples of all others, `chunk` at a time, or fewer where memory is short.
    fn look_ahead(
        &mut self,
        sources: &[&CudaSource],
        camera: &Camera,
        settings: &Settings,
        how: Guided,
        chunk: &mut usize,
    ) -> Result<Guide> {
        let mut guide = Guide::new(how, (camera.width, camera.height), settings.stride, settings.depth_range);
        let depths = guide.coarse_depths();
        let mut first = 0;
        while first < guide.rays() {
            let last = (first + *chunk).min(guide.rays());
            let ray = |i: usize| {
                let (x, y) = guide.pixel(i);
                camera.ray(Vec2::new(x as f32, y as f32))
            };
            let rays: Vec<Ray> = (first..last).map(ray).collect();
            let job = Rays { rays: &rays, depths: &depths, samples: how.coarse, depth_range: settings.depth_range };
            let want = Want { weights: true, cycles: self.counting, ..Want::default() };
            match self.render(sources, job, want) {
                Ok(batch) => {
                    guide.weights[first * how.coarse..last * how.coarse].copy_from_slice(&batch.weights);
                    first = last;
                }
                Err(error) if is_lack_of_memory(&error) && *chunk > FEWEST => {
                    self.features.release_memory();
                    *chunk /= 2;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(guide)
    }

    /// The second pass: samples where the first found something.
    fn refine(
        &mut self,
        sources: &[&CudaSource],
        chunk: &Chunk,
        coarse: &[f32],
        batch: &RayBatch,
        settings: &Settings,
        want: Want,
    ) -> Result<RayBatch> {
        let samples = settings.samples + settings.importance;
        let positions = sampling::linspace(settings.importance);
        let mut depths = vec![0.0; chunk.rays.len() * samples];
        let mut rows: Vec<(&mut [f32], &[f32])> =
            depths.chunks_exact_mut(samples).zip(batch.weights.chunks_exact(settings.samples)).collect();
        parallel::for_each(&mut rows, settings.threads, |_, (row, weights)| {
            row.copy_from_slice(&sampling::refine_inverse_depth(coarse, weights, &positions));
        });
        let rays = Rays { rays: &chunk.rays, depths: &depths, samples, depth_range: settings.depth_range };
        self.start(chunk.stream, sources, rays, want)?;
        self.finish(chunk.stream)
    }
}

/// Depths of the samples of `count` rays from number `first` on, in an image `width` pixels wide: `[count, samples]`.
fn guided_depths(guide: &Guide, first: usize, count: usize, width: u32, settings: &Settings) -> Vec<f32> {
    let mut depths = vec![0.0; count * settings.samples];
    let mut rows: Vec<&mut [f32]> = depths.chunks_exact_mut(settings.samples).collect();
    parallel::for_each_with(
        &mut rows,
        settings.threads,
        Default::default,
        |(density, out): &mut (Vec<f32>, Vec<f32>), i, row| {
            let (at, stride) = ((first + i) as u32, settings.stride);
            out.clear();
            guide.depths((at % width * stride, at / width * stride), settings.samples, density, out);
            row.copy_from_slice(out);
        },
    );
    depths
}

fn is_lack_of_memory(error: &Error) -> bool {
    matches!(error, Error::Cuda(CudaError::OutOfMemory { .. }))
}

struct Chunk {
    stream: usize,
    first: usize,
    rays: Vec<Ray>,
}

struct Frame {
    rgb: Vec<f32>,
    depth: Vec<f32>,
    range: Vec<f32>,
    routing: Option<Routing>,
    /// Of the last pass.
    samples: usize,
}

impl Frame {
    fn put(&mut self, chunk: &Chunk, batch: &RayBatch) {
        let count = chunk.rays.len();
        self.rgb[3 * chunk.first..][..3 * count].copy_from_slice(&batch.rgb);
        self.depth[chunk.first..][..count].copy_from_slice(&batch.depth);
        for ((range, z), ray) in self.range[chunk.first..].iter_mut().zip(&batch.depth).zip(&chunk.rays) {
            *range = z * ray.direction.length();
        }
        if let Some(routing) = &mut self.routing {
            routing.put(chunk.first, self.samples, batch);
        }
    }
}
