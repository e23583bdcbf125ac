//! The rays of a frame on a CUDA device: in chunks on two streams, so that one computes while the host reads the other.

use super::{ExpertShares, Rendered, Settings, Stop, tiles};
use crate::cuda::{CudaEngine, CudaSource, RayBatch, Rays, Want};
use crate::guided::{Guide, Guided};
use crate::stage::Stage;
use crate::{Error, FeedForwardKind, Result, sampling};
use compute::cuda::CudaError;
use compute::parallel;
use glam::Vec2;
use scene::{Camera, Image, Ray};

/// Fewest rays of a launch before a lack of memory is final.
const FEWEST: usize = 64;

/// Casts every `settings.stride`-th ray of `camera`; `progress` is told the number of rays just done.
///
/// # Errors
/// If the device fails, or its memory does not suffice for the smallest chunk.
pub fn render_rays_on_cuda(
    engine: &mut CudaEngine,
    sources: &[&CudaSource],
    camera: &Camera,
    settings: &Settings,
    progress: &dyn Fn(usize),
) -> Result<Rendered> {
    let rendered = render_unless(engine, sources, camera, settings, progress, &|| false)?;
    Ok(rendered.expect("nothing stops it"))
}

/// As [`render_rays_on_cuda`]; none if `stop` came first, which is asked for between chunks of rays.
///
/// # Errors
/// As [`render_rays_on_cuda`].
pub(super) fn render_unless(
    engine: &mut CudaEngine,
    sources: &[&CudaSource],
    camera: &Camera,
    settings: &Settings,
    progress: &dyn Fn(usize),
    stop: Stop,
) -> Result<Option<Rendered>> {
    let chunk = engine.most_rays();
    let mut caster = Caster { engine, sources, camera, settings, stop, chunk };
    let result = caster.frame(progress);
    if result.is_err() {
        engine.abandon();
    }
    result
}

/// Casts the coarse rays of the whole picture of `camera` and nothing else.
///
/// # Errors
/// As [`render_rays_on_cuda`].
pub(super) fn look_ahead(
    engine: &mut CudaEngine,
    sources: &[&CudaSource],
    camera: &Camera,
    settings: &Settings,
    how: Guided,
) -> Result<Guide> {
    let settings = &Settings { guided: None, stride: 1, ..*settings };
    let chunk = engine.most_rays();
    let result = Caster { engine, sources, camera, settings, stop: &|| false, chunk }.look_ahead(how);
    if result.is_err() {
        engine.abandon();
    }
    result
}

/// Clock cycles of the stages, by [`Stage`], in a frame as [`render_rays_on_cuda`] casts it.
///
/// # Errors
/// As [`render_rays_on_cuda`].
pub fn stage_cycles(
    engine: &mut CudaEngine,
    sources: &[&CudaSource],
    camera: &Camera,
    settings: &Settings,
) -> Result<[u64; Stage::ALL.len()]> {
    // What was counted before is not this frame's.
    engine.stage_cycles()?;
    let before = engine.counting();
    engine.set_counting(true);
    let result = render_rays_on_cuda(engine, sources, camera, settings, &|_| {});
    engine.set_counting(before);
    result?;
    engine.stage_cycles()
}

/// How the rays of a frame are cast.
struct Caster<'a> {
    engine: &'a mut CudaEngine,
    sources: &'a [&'a CudaSource],
    camera: &'a Camera,
    settings: &'a Settings,
    stop: Stop<'a>,
    /// Rays of a launch; fewer after a lack of memory.
    chunk: usize,
}

/// Rays whose results are not fetched yet.
struct Chunk {
    stream: usize,
    first: usize,
    rays: Vec<Ray>,
    /// Depths of their samples, `[rays, samples]`; none where all rays have the same.
    depths: Option<Vec<f32>>,
}

impl Caster<'_> {
    /// All rays, in one pass or two.
    fn frame(&mut self, progress: &dyn Fn(usize)) -> Result<Option<Rendered>> {
        let (sources, settings, camera) = (self.sources, self.settings, self.camera);
        let (width, height) = settings.size(camera);
        let count = width as usize * height as usize;
        let ray = |i: usize| {
            let (x, y) = (i as u32 % width, i as u32 / width);
            camera.ray(Vec2::new((x * settings.stride) as f32, (y * settings.stride) as f32))
        };
        let (near, far) = settings.depth_range;
        let coarse = sampling::inverse_depth(near, far, settings.samples);
        let guide = settings.guided.map(|how| self.look_ahead(how)).transpose()?;
        let (experts, depth) = {
            let config = self.engine.config();
            (matches!(config.mlp, FeedForwardKind::Experts { .. }), config.depth)
        };
        let routing = settings.routing && experts;
        let mut frame = Frame {
            rgb: vec![0.0; 3 * count],
            depth: vec![0.0; count],
            range: vec![0.0; count],
            confidence: vec![0.0; if settings.confidence { count } else { 0 }],
            depth_range: (near, far),
            shares: routing.then(|| ExpertShares::new(depth, count)),
            samples: settings.samples + settings.importance,
        };
        let mut first = 0;
        let mut running: Option<Chunk> = None;
        let mut stream = 0;
        // After a stop nothing more is started, and what runs is fetched.
        while first < count && !(self.stop)() || running.is_some() {
            let mut next = None;
            if first < count && !(self.stop)() {
                let rays: Vec<Ray> = (first..(first + self.chunk).min(count)).map(ray).collect();
                let guided = guide.as_ref().map(|guide| guided_depths(guide, first, rays.len(), width, settings));
                let depths = guided.as_deref().unwrap_or(&coarse);
                let job = Rays { rays: &rays, depths, samples: settings.samples, depth_range: (near, far) };
                let two = settings.importance > 0;
                let cycles = self.engine.counting();
                let weights = two || settings.confidence;
                let want = Want { weights, cycles, routing: routing && !two, states: false };
                match self.engine.start(stream, sources, job, want) {
                    Ok(()) => {
                        next = Some(Chunk { stream, first, rays, depths: guided });
                        first += next.as_ref().map_or(0, |c| c.rays.len());
                        stream = 1 - stream;
                    }
                    // What the other stream holds is fetched first, then fewer rays are tried.
                    Err(error) => self.make_smaller(error)?,
                }
            }
            if let Some(mut done) = running.take() {
                let mut batch = self.engine.finish(done.stream)?;
                if settings.importance > 0 {
                    batch = self.refine(&mut done, &coarse, &batch, routing)?;
                }
                progress(done.rays.len());
                frame.put(&done, &coarse, &batch);
            }
            running = next;
        }
        let Frame { rgb, depth, range, confidence, shares, .. } = frame;
        let image = Image { width, height, data: rgb };
        let rendered = Rendered { confidence, ..Rendered::new(image, depth, range, shares) };
        Ok((first == count && !(self.stop)()).then_some(rendered))
    }

    /// Halves the chunks after a lack of memory; gives other errors back, and that of the smallest chunk.
    fn make_smaller(&mut self, error: Error) -> Result<()> {
        if !matches!(error, Error::Cuda(CudaError::OutOfMemory { .. })) || self.chunk <= FEWEST {
            return Err(error);
        }
        self.engine.release_features();
        self.chunk /= 2;
        Ok(())
    }

    /// Casts the coarse rays that guide the samples of all others.
    fn look_ahead(&mut self, how: Guided) -> Result<Guide> {
        let (camera, settings) = (self.camera, self.settings);
        let mut guide = Guide::new(how, (camera.width, camera.height), settings.stride, settings.depth_range);
        let depths = guide.coarse_depths();
        let mut first = 0;
        while first < guide.rays() && !(self.stop)() {
            let last = (first + self.chunk).min(guide.rays());
            let ray = |i: usize| {
                let (x, y) = guide.pixel(i);
                camera.ray(Vec2::new(x as f32, y as f32))
            };
            let rays: Vec<Ray> = (first..last).map(ray).collect();
            let job = Rays { rays: &rays, depths: &depths, samples: how.coarse, depth_range: settings.depth_range };
            let want = Want { weights: true, cycles: self.engine.counting(), ..Want::default() };
            match self.engine.render(self.sources, job, want) {
                Ok(batch) => {
                    guide.weights[first * how.coarse..last * how.coarse].copy_from_slice(&batch.weights);
                    first = last;
                }
                Err(error) => self.make_smaller(error)?,
            }
        }
        Ok(guide)
    }

    /// The second pass: samples where the first found something.
    fn refine(&mut self, chunk: &mut Chunk, coarse: &[f32], batch: &RayBatch, routing: bool) -> Result<RayBatch> {
        let settings = self.settings;
        let samples = settings.samples + settings.importance;
        let positions = sampling::linspace(settings.importance);
        let mut depths = vec![0.0; chunk.rays.len() * samples];
        let mut rows: Vec<(&mut [f32], &[f32])> =
            depths.chunks_exact_mut(samples).zip(batch.weights.chunks_exact(settings.samples)).collect();
        parallel::for_each(&mut rows, settings.threads, |_, (row, weights)| {
            row.copy_from_slice(&sampling::refine_inverse_depth(coarse, weights, &positions));
        });
        let rays = Rays { rays: &chunk.rays, depths: &depths, samples, depth_range: settings.depth_range };
        let want = Want { weights: settings.confidence, cycles: self.engine.counting(), routing, ..Want::default() };
        self.engine.start(chunk.stream, self.sources, rays, want)?;
        chunk.depths = Some(depths);
        self.engine.finish(chunk.stream)
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

/// What a frame is put together in.
struct Frame {
    rgb: Vec<f32>,
    depth: Vec<f32>,
    range: Vec<f32>,
    /// Empty where it is not wanted.
    confidence: Vec<f32>,
    depth_range: (f32, f32),
    shares: Option<ExpertShares>,
    /// Of the last pass.
    samples: usize,
}

impl Frame {
    /// `depths` are those of the samples of all rays, where the chunk has none.
    fn put(&mut self, chunk: &Chunk, depths: &[f32], batch: &RayBatch) {
        let count = chunk.rays.len();
        self.rgb[3 * chunk.first..][..3 * count].copy_from_slice(&batch.rgb);
        self.depth[chunk.first..][..count].copy_from_slice(&batch.depth);
        for ((range, z), ray) in self.range[chunk.first..].iter_mut().zip(&batch.depth).zip(&chunk.rays) {
            *range = z * ray.direction.length();
        }
        if !self.confidence.is_empty() {
            let rows = self.confidence[chunk.first..].iter_mut().zip(batch.weights.chunks_exact(self.samples));
            for (i, (place, weights)) in rows.enumerate() {
                let depths = chunk.depths.as_ref().map_or(depths, |own| &own[i * self.samples..][..self.samples]);
                *place = tiles::confidence(depths, weights, self.depth_range);
            }
        }
        if let Some(shares) = &mut self.shares {
            shares.put(chunk.first, self.samples, batch);
        }
    }
}
