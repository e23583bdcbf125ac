//! Whole frames: source views chosen, prepared once and kept, rays handed to all cores a tile at a time, or to a device.

mod expert_shares;
mod kept;
mod on_cpu;
mod on_cuda;
mod profile;
mod samples;
mod surfaces;
#[cfg(test)]
mod tests;
mod tiles;

use crate::cuda::{CudaEngine, CudaSource};
use crate::engine::{Engine, PreparedSource};
use crate::guided::Guided;
use crate::{Config, Error, Result};
pub use expert_shares::ExpertShares;
pub use kept::Kept;
pub use on_cpu::{render_rays, together};
pub use on_cuda::{render_rays_on_cuda, stage_cycles};
pub use samples::Samples;
use scene::{Camera, FAR_EVAL, Frame, Image, Scene};
use std::time::Instant;
use surfaces::Surfaces;
pub use tiles::{Pixel, Stop, Tiled};

/// How a frame is rendered.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Samples a ray.
    pub samples: usize,
    /// Whether they lie where a coarse grid of rays found something, instead of evenly over the depth range.
    pub guided: Option<Guided>,
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
    /// Whether [`Rendered::routing`] is wanted.
    pub routing: bool,
    /// Whether [`Rendered::confidence`] is wanted.
    pub confidence: bool,
}

impl Settings {
    /// For whole frames of `scene` by a network of this configuration: with the source views that the network asks for, in
    /// one pass, every pixel, on all threads.
    pub fn new(scene: &Scene, config: &Config, samples: Samples) -> Self {
        let (samples, guided) = samples.of(config, 1, 0);
        Self {
            samples,
            guided,
            importance: 0,
            views: config.views,
            threads: compute::parallel::available(),
            stride: 1,
            depth_range: scene.depth_range(FAR_EVAL).into(),
            routing: false,
            confidence: false,
        }
    }

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
        if let Some(Guided { cell, coarse }) = self.guided {
            if cell == 0 || coarse < 2 {
                return fail(format!(
                    "guided samples: expected a cell of 1 and 2 coarse samples at least, found {cell} and {coarse}"
                ));
            }
            if self.importance > 0 {
                return fail(
                    "expected either guided samples or a second pass of importance samples, found both".into(),
                );
            }
        }
        if self.importance > 0 && self.samples < 4 {
            return fail(format!("samples: a second pass needs at least 4 in the first, found {}", self.samples));
        }
        if self.views == 0 || self.threads == 0 || self.stride == 0 {
            return fail("expected at least one source view, one thread and a stride of 1".into());
        }
        Ok(())
    }

    /// Width and height of the image that `camera` gives.
    pub fn size(&self, camera: &Camera) -> (u32, u32) {
        (camera.width.div_ceil(self.stride), camera.height.div_ceil(self.stride))
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
    /// How sharply the samples' weights tell the depth, `[height, width]`, as [`Pixel::confidence`]; empty if not asked for.
    pub confidence: Vec<f32>,
    /// Views used as sources, nearest first.
    pub sources: Vec<usize>,
    /// Sources among them that were not there yet.
    pub prepared: usize,
    /// Seconds spent on reading those, on their features and on surface maps that were missing.
    pub seconds_features: f64,
    /// Seconds spent on rays.
    pub seconds_rays: f64,
    /// Rays cast.
    pub rays: usize,
    /// Where the routers sent the rows; none without experts, or if not asked for.
    pub routing: Option<ExpertShares>,
}

impl Rendered {
    /// A frame whose sources and times are not filled in yet.
    pub(crate) fn new(image: Image, depth: Vec<f32>, range: Vec<f32>, routing: Option<ExpertShares>) -> Self {
        let rays = depth.len();
        Self {
            image,
            depth,
            range,
            confidence: Vec::new(),
            sources: Vec::new(),
            prepared: 0,
            seconds_features: 0.0,
            seconds_rays: 0.0,
            rays,
            routing,
        }
    }
}

/// A scene and a network, ready to render frame after frame.
#[derive(Debug)]
pub struct Renderer {
    backend: Backend,
    scene: Scene,
    surfaces: Surfaces,
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

impl Renderer {
    /// A renderer of `scene`.
    pub fn new(backend: impl Into<Backend>, scene: Scene) -> Self {
        Self { backend: backend.into(), scene, surfaces: Surfaces::default() }
    }

    /// Turns to another scene; what was prepared of the one before is dropped.
    pub fn set_scene(&mut self, scene: Scene) {
        match &mut self.backend {
            Backend::Cpu(_, kept) => *kept = Kept::default(),
            Backend::Cuda(_, kept) => *kept = Kept::default(),
        }
        (self.scene, self.surfaces) = (scene, Surfaces::default());
    }

    /// The scene.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// The network's configuration.
    pub fn config(&self) -> &Config {
        match &self.backend {
            Backend::Cpu(engine, _) => engine.config(),
            Backend::Cuda(engine, _) => engine.config(),
        }
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
        Ok(self.render_unless(frame, settings, progress, &|| false)?.expect("nothing stops it"))
    }

    /// As [`Renderer::render`]; none if `stop` came first, which is noticed within a fraction of a second.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn render_unless(
        &mut self,
        frame: &Frame,
        settings: &Settings,
        progress: &(dyn Fn(usize) + Sync),
        stop: Stop,
    ) -> Result<Option<Rendered>> {
        let started = Instant::now();
        let Some(Prepared { sources, count, .. }) = self.prepare_unless(frame, settings, stop)? else {
            return Ok(None);
        };
        let seconds_features = started.elapsed().as_secs_f64();
        let camera = &self.place(&frame.camera, &sources);
        let rendered = match &mut self.backend {
            Backend::Cpu(engine, kept) => {
                on_cpu::render_unless(engine, &kept.get(&sources), camera, settings, progress, stop)
            }
            Backend::Cuda(engine, kept) => {
                on_cuda::render_unless(engine, &kept.get(&sources), camera, settings, &progress, stop)?
            }
        };
        let seconds_rays = started.elapsed().as_secs_f64() - seconds_features;
        let filled = |rendered| Rendered { sources, prepared: count, seconds_features, seconds_rays, ..rendered };
        Ok(rendered.map(filled))
    }

    /// Prepares the frame's sources, so that [`Renderer::render`] need not: tells the seconds it took and how many sources
    /// were not there yet.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn prepare_sources(&mut self, frame: &Frame, settings: &Settings) -> Result<(f64, usize)> {
        let started = Instant::now();
        let Prepared { count, .. } = self.prepare(frame, settings)?;
        Ok((started.elapsed().as_secs_f64(), count))
    }

    /// Puts prepared sources into the frame in which the network looks at the scene from `camera`; returns the camera there.
    fn place(&mut self, camera: &Camera, sources: &[usize]) -> Camera {
        let axes = self.config().axes;
        let views = &self.scene.views;
        let placed = |id: usize| axes.place(camera, &views[id].camera);
        match &mut self.backend {
            Backend::Cpu(_, kept) => kept.for_each(sources, |id, source| source.place(&placed(id))),
            Backend::Cuda(_, kept) => kept.for_each(sources, |id, source| source.place(&placed(id))),
        }
        axes.place(camera, camera)
    }

    /// Prepares those of the views that are not there yet; tells how many those were.
    fn prepare_views(&mut self, views: &[usize], threads: usize) -> Result<usize> {
        match &mut self.backend {
            Backend::Cpu(engine, kept) => kept.prepare(engine, &self.scene, views, threads),
            Backend::Cuda(engine, kept) => kept.prepare(engine, &self.scene, views, threads),
        }
    }

    /// Checks what is asked for, chooses the frame's sources and prepares those that are not there yet.
    fn prepare(&mut self, frame: &Frame, settings: &Settings) -> Result<Prepared> {
        Ok(self.prepare_unless(frame, settings, &|| false)?.expect("nothing stops it"))
    }

    /// As [`Renderer::prepare`]; none if `stop` came first.
    fn prepare_unless(&mut self, frame: &Frame, settings: &Settings, stop: Stop) -> Result<Option<Prepared>> {
        settings.validate()?;
        frame.camera.validate(&frame.name)?;
        let candidates = scene::paths::source_candidates(&self.scene, frame);
        let sources = scene::nearest_sources(&self.scene, &frame.camera, &candidates, settings.views)?;
        let ready = self.ready(&sources, &candidates, settings, stop)?;
        Ok(ready.map(|count| Prepared { sources, candidates, count }))
    }

    /// Has sources and what is known of their surfaces ready, which other frames may have changed; tells how many sources
    /// were not there yet, or nothing if `stop` came first.
    fn ready(
        &mut self,
        sources: &[usize],
        candidates: &[usize],
        settings: &Settings,
        stop: Stop,
    ) -> Result<Option<usize>> {
        let mut count = 0;
        // A few at a time: a source takes longer than anyone wants to wait for. Those before are named with them, so that
        // none of them gives way to the next.
        for first in (0..sources.len()).step_by(settings.threads) {
            if stop() {
                return Ok(None);
            }
            let last = sources.len().min(first + settings.threads);
            count += self.prepare_views(&sources[..last], settings.threads)?;
        }
        let found = !self.config().visibility || self.find_surfaces(sources, candidates, settings, stop)?;
        Ok(found.then_some(count))
    }
}

/// The sources of a frame, ready to be looked up.
struct Prepared {
    /// Nearest first.
    sources: Vec<usize>,
    /// What they were chosen from.
    candidates: Vec<usize>,
    /// Those among the sources that were not there yet.
    count: usize,
}
