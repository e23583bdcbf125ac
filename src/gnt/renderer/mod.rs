//! Whole frames: source views chosen, prepared once and kept, rays handed to all cores a tile at a time, or to a device.

mod expert_shares;
mod kept;
mod on_cpu;
mod on_cuda;
mod profile;
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
pub use on_cpu::render_rays;
pub use on_cuda::{render_rays_on_cuda, stage_cycles};
use scene::{Camera, Frame, Image, Scene};
use std::time::Instant;
use surfaces::Surfaces;
pub use tiles::{Pixel, Tiled};

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
        let started = Instant::now();
        let (sources, prepared) = self.prepare(frame, settings)?;
        let seconds_features = started.elapsed().as_secs_f64();
        let camera = &self.place(&frame.camera, &sources);
        let rendered = match &mut self.backend {
            Backend::Cpu(engine, kept) => render_rays(engine, &kept.get(&sources), camera, settings, progress),
            Backend::Cuda(engine, kept) => {
                render_rays_on_cuda(engine, &kept.get(&sources), camera, settings, &progress)?
            }
        };
        let seconds_rays = started.elapsed().as_secs_f64() - seconds_features;
        Ok(Rendered { sources, prepared, seconds_features, seconds_rays, ..rendered })
    }

    /// Prepares the frame's sources, so that [`Renderer::render`] need not: tells the seconds it took and how many sources
    /// were not there yet.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn prepare_sources(&mut self, frame: &Frame, settings: &Settings) -> Result<(f64, usize)> {
        let started = Instant::now();
        let (_, prepared) = self.prepare(frame, settings)?;
        Ok((started.elapsed().as_secs_f64(), prepared))
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

    /// Checks what is asked for, chooses the frame's sources and prepares those that are not there yet; tells the sources
    /// and how many were prepared.
    fn prepare(&mut self, frame: &Frame, settings: &Settings) -> Result<(Vec<usize>, usize)> {
        settings.validate()?;
        frame.camera.validate(&frame.name)?;
        let candidates = scene::paths::source_candidates(&self.scene, frame);
        let sources = scene::nearest_sources(&self.scene, &frame.camera, &candidates, settings.views)?;
        let prepared = self.prepare_views(&sources, settings.threads)?;
        if self.config().visibility {
            self.find_surfaces(&sources, &candidates, settings, &|| false)?;
        }
        Ok((sources, prepared))
    }
}
