//! Whole frames: source views chosen, prepared once and kept, rays handed to all cores a tile at a time, or to a device.

use crate::cuda::{CudaEngine, CudaSource};
use crate::engine::{Engine, PreparedSource, RayOutput, RayScratch};
use crate::{Error, Result, sampling};
use glam::Vec2;
use scene::{Camera, Frame, Image, Scene};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tensor::parallel;

/// How a frame is rendered.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Samples a ray.
    pub samples: usize,
    /// Samples of a second pass, placed where the first found something; 0 for none.
    pub importance: usize,
    /// Source views; fewer are used if the scene has not so many.
    pub views: usize,
    /// Threads.
    pub threads: usize,
    /// Every how many pixels of the full grid a ray is cast (GNT's `render_stride`).
    pub stride: u32,
    /// Near and far bound.
    pub depth_range: (f32, f32),
}

impl Settings {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Input`] naming what is wrong.
    pub fn validate(&self) -> Result<()> {
        let fail = |problem: String| Err(Error::Input(problem));
        let (near, far) = self.depth_range;
        if !(near > 0.0 && near < far && far.is_finite()) {
            return fail(format!("depth range: expected 0 < near < far, found {near} and {far}"));
        }
        if self.samples < 2 {
            return fail(format!("samples: expected at least 2, found {}", self.samples));
        }
        if self.importance > 0 && self.samples < 4 {
            return fail(format!("samples: a second pass needs at least 4 in the first, found {}", self.samples));
        }
        if self.views == 0 || self.threads == 0 || self.stride == 0 {
            return fail("expected at least one source view, one thread and a stride of 1".into());
        }
        Ok(())
    }
}

/// A rendered frame.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Colours, not clipped.
    pub image: Image,
    /// Depth along the optical axis (z), in scene units, `[height, width]`.
    pub depth: Vec<f32>,
    /// Distance from the camera centre along the ray.
    pub range: Vec<f32>,
    /// Views used as sources, nearest first.
    pub sources: Vec<usize>,
    /// Seconds spent on features of sources that were not there yet.
    pub seconds_features: f64,
    /// Seconds spent on rays.
    pub seconds_rays: f64,
    /// Rays cast.
    pub rays: usize,
}

/// A scene and a network, ready to render frame after frame.
#[derive(Debug)]
pub struct Renderer {
    backend: Backend,
    scene: Scene,
}

/// Where frames are made.
#[derive(Debug)]
pub enum Backend {
    /// On the processor.
    Cpu(Box<Engine>, Kept<PreparedSource>),
    /// On a CUDA device.
    Cuda(Box<CudaEngine>, Kept<CudaSource>),
}

impl From<Engine> for Backend {
    fn from(engine: Engine) -> Self {
        Self::Cpu(Box::new(engine), Kept::default())
    }
}

impl From<CudaEngine> for Backend {
    fn from(engine: CudaEngine) -> Self {
        Self::Cuda(Box::new(engine), Kept::default())
    }
}

/// Prepared source views by their number in the scene.
#[derive(Debug)]
pub struct Kept<T> {
    views: HashMap<usize, T>,
    /// Views in the order in which they were last used, for eviction.
    recent: Vec<usize>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { views: HashMap::new(), recent: Vec::new() }
    }
}

impl<T> Kept<T> {
    /// Notes that `ids` are used; tells which of them are missing.
    fn use_now(&mut self, ids: &[usize]) -> Vec<usize> {
        self.recent.retain(|id| !ids.contains(id));
        self.recent.extend_from_slice(ids);
        ids.iter().copied().filter(|id| !self.views.contains_key(id)).collect()
    }

    /// Drops the views that were not used for longest, so that memory does not grow with the number of views in the
    /// scene; those of the frame at hand stay.
    fn evict(&mut self, in_use: usize, bytes: impl Fn(&T) -> u64) {
        while self.recent.len() > in_use && self.views.values().map(&bytes).sum::<u64>() > KEEP_BYTES {
            let oldest = self.recent.remove(0);
            self.views.remove(&oldest);
        }
    }

    fn get(&self, ids: &[usize]) -> Vec<&T> {
        ids.iter().map(|id| &self.views[id]).collect()
    }
}

/// Pixels of a tile: neighbours read neighbouring pixels of the sources, and tiles are many enough for all cores.
const TILE: usize = 64;
/// Prepared sources that are kept beyond those of the frame at hand, in bytes.
const KEEP_BYTES: u64 = 256 << 20;

impl Renderer {
    /// A renderer of `scene`.
    pub fn new(backend: impl Into<Backend>, scene: Scene) -> Self {
        Self { backend: backend.into(), scene }
    }

    /// The scene.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Renders a frame; `progress` is told the number of rays just done, from any thread.
    ///
    /// # Errors
    /// If settings are out of range, no view can be a source, a photograph cannot be read, or the device fails.
    pub fn render(
        &mut self,
        frame: &Frame,
        settings: &Settings,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Rendered> {
        settings.validate()?;
        frame.camera.validate(&frame.name)?;
        let candidates = scene::paths::source_candidates(&self.scene, frame);
        let sources = scene::nearest_sources(&self.scene, &frame.camera, &candidates, settings.views)?;
        let (scene, camera) = (&self.scene, &frame.camera);
        let started = Instant::now();
        let (seconds_features, mut rendered);
        match &mut self.backend {
            Backend::Cpu(engine, kept) => {
                prepare_on_cpu(engine, scene, kept, &sources, settings.threads)?;
                seconds_features = started.elapsed().as_secs_f64();
                rendered = render_rays(engine, &kept.get(&sources), camera, settings, progress);
            }
            Backend::Cuda(engine, kept) => {
                prepare_on_device(engine, scene, kept, &sources, settings.threads)?;
                seconds_features = started.elapsed().as_secs_f64();
                rendered = engine.render_frame(&kept.get(&sources), camera, settings, &progress)?;
            }
        }
        rendered.seconds_rays = started.elapsed().as_secs_f64() - seconds_features;
        rendered.seconds_features = seconds_features;
        rendered.sources = sources;
        Ok(rendered)
    }
}

/// Runs the feature network on those of `ids` that are not there yet, one view a thread.
fn prepare_on_cpu(
    engine: &Engine,
    scene: &Scene,
    kept: &mut Kept<PreparedSource>,
    ids: &[usize],
    threads: usize,
) -> Result<()> {
    let missing = kept.use_now(ids);
    let mut made: Vec<(usize, Result<Option<PreparedSource>>)> = missing.into_iter().map(|id| (id, Ok(None))).collect();
    parallel::for_each(&mut made, threads, |_, (id, out)| {
        let view = &scene.views[*id];
        *out = view
            .load_image()
            .map_err(Error::from)
            .and_then(|image| engine.prepare(&view.camera, Arc::new(image)))
            .map(Some);
    });
    for (id, source) in made {
        if let Some(source) = source? {
            kept.views.insert(id, source);
        }
    }
    kept.evict(ids.len(), |source| source.bytes() as u64);
    Ok(())
}

/// The same on a device: photographs are read by all cores, then prepared one after the other.
fn prepare_on_device(
    engine: &mut CudaEngine,
    scene: &Scene,
    kept: &mut Kept<CudaSource>,
    ids: &[usize],
    threads: usize,
) -> Result<()> {
    let missing = kept.use_now(ids);
    let mut images: Vec<Option<scene::Result<Image>>> = missing.iter().map(|_| None).collect();
    parallel::for_each(&mut images, threads, |i, out| *out = Some(scene.views[missing[i]].load_image()));
    for (id, image) in missing.iter().zip(images.into_iter().flatten()) {
        let source = engine.prepare(&scene.views[*id].camera, &image?)?;
        kept.views.insert(*id, source);
    }
    kept.evict(ids.len(), CudaSource::bytes);
    Ok(())
}

/// One tile's share of a frame.
struct Tile<'a> {
    first: usize,
    rgb: &'a mut [f32],
    depth: &'a mut [f32],
    range: &'a mut [f32],
}

/// Casts every `settings.stride`-th ray of `camera`.
pub fn render_rays(
    engine: &Engine,
    sources: &[&PreparedSource],
    camera: &Camera,
    settings: &Settings,
    progress: &(dyn Fn(usize) + Sync),
) -> Rendered {
    let (width, height) = (camera.width.div_ceil(settings.stride), camera.height.div_ceil(settings.stride));
    let rays = width as usize * height as usize;
    let mut image = Image::black(width, height);
    let (mut depth, mut range) = (vec![0.0; rays], vec![0.0; rays]);
    let (near, far) = settings.depth_range;
    let coarse = sampling::inverse_depth(near, far, settings.samples);
    let positions = sampling::linspace(settings.importance);
    let mut tiles: Vec<Tile> = image
        .data
        .chunks_mut(3 * TILE)
        .zip(depth.chunks_mut(TILE))
        .zip(range.chunks_mut(TILE))
        .enumerate()
        .map(|(i, ((rgb, depth), range))| Tile { first: i * TILE, rgb, depth, range })
        .collect();
    parallel::for_each_with(
        &mut tiles,
        settings.threads,
        || (RayScratch::default(), RayOutput::default()),
        |(scratch, out), _, tile| {
            for i in 0..tile.depth.len() {
                let (x, y) = ((tile.first + i) as u32 % width, (tile.first + i) as u32 / width);
                let ray = camera.ray(Vec2::new((x * settings.stride) as f32, (y * settings.stride) as f32));
                engine.render_ray(sources, &ray, &coarse, settings.depth_range, scratch, out);
                let mean = |depths: &[f32], out: &RayOutput| depths.iter().zip(&out.weights).map(|(z, w)| z * w).sum();
                let mut z: f32 = mean(&coarse, out);
                if settings.importance > 0 {
                    let fine = sampling::refine_inverse_depth(&coarse, &out.weights, &positions);
                    engine.render_ray(sources, &ray, &fine, settings.depth_range, scratch, out);
                    z = mean(&fine, out);
                }
                tile.rgb[3 * i..3 * i + 3].copy_from_slice(&out.rgb);
                tile.depth[i] = z;
                tile.range[i] = z * ray.direction.length();
            }
            progress(tile.depth.len());
        },
    );
    drop(tiles);
    Rendered { image, depth, range, sources: Vec::new(), seconds_features: 0.0, seconds_rays: 0.0, rays }
}
