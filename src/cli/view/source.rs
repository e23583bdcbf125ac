//! The renderer as the viewer's source of frames.

use crate::cli::device::{Device, PrecisionArg};
use gnt::Head;
use gnt::renderer::{Pixel, Renderer, Samples, Settings, Tiled};
use scene::Scene;
use std::collections::HashMap;
use viewer::source::{Choices, FrameSource, Opened, Part, Patch, Shot, ShotId, Stop, Texel, grid_size};

/// Samples that can be chosen, as `--samples` takes them.
const SAMPLES: [&str; 5] = ["auto", "4:48+8", "32", "64", "192"];

/// What can be chosen: the built-in models with `model` first.
pub fn choices(model: &str, device: String) -> Choices {
    let others = gnt::builtin::NAMES.iter().filter(|name| **name != model).map(|name| (*name).to_owned());
    let models = std::iter::once(model.to_owned()).chain(others).collect();
    Choices { models, samples: SAMPLES.map(str::to_owned).to_vec(), device }
}

/// Renderers by the number of their model, made when they are first asked for.
pub struct Models {
    names: Vec<String>,
    scene: Scene,
    device: Device,
    precision: PrecisionArg,
    threads: usize,
    renderers: HashMap<usize, Renderer>,
    open: HashMap<ShotId, (usize, Tiled, (u32, u32))>,
}

impl Models {
    /// Of these models, none of them loaded yet.
    pub fn new(names: Vec<String>, scene: Scene, device: Device, precision: PrecisionArg, threads: usize) -> Self {
        let (renderers, open) = (HashMap::new(), HashMap::new());
        Self { names, scene, device, precision, threads, renderers, open }
    }

    /// The renderer of a model.
    fn renderer(&mut self, model: usize) -> anyhow::Result<&mut Renderer> {
        let Self { names, scene, device, precision, threads, renderers, .. } = self;
        let entry = match renderers.entry(model) {
            std::collections::hash_map::Entry::Occupied(entry) => return Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => entry,
        };
        let name = names.get(model).ok_or_else(|| anyhow::anyhow!("there is no model of number {model}"))?;
        let (loaded, params, _) = gnt::builtin::load(name)?;
        let (engine, _) = precision.engine(*device, *threads, loaded, &params)?;
        Ok(entry.insert(Renderer::new(engine, scene.clone())))
    }

    fn begin(&mut self, id: ShotId, shot: &Shot, stop: Stop) -> anyhow::Result<Option<Opened>> {
        let samples = SAMPLES.get(shot.quality.samples).copied().unwrap_or(SAMPLES[0]);
        let samples: Samples = samples.parse()?;
        let threads = self.threads;
        let renderer = self.renderer(shot.quality.model)?;
        let config = renderer.config();
        let mut settings = Settings { threads, routing: true, ..Settings::new(renderer.scene(), config, samples) };
        if shot.quality.views > 0 {
            settings.views = shot.quality.views;
        }
        let Some(tiled) = renderer.open_tiles(&shot.frame("view"), &settings, stop)? else { return Ok(None) };
        // As in `shiftray render`.
        let fades = shot.truth.is_none() && renderer.config().head != Head::Mean;
        let opened = Opened { sources: tiled.sources().to_vec(), cell: tiled.cell(), fades };
        self.open.insert(id, (shot.quality.model, tiled, (shot.camera.width, shot.camera.height)));
        Ok(Some(opened))
    }

    /// Runs `make` with the renderer of a shot and the shot itself.
    fn with<T>(
        &mut self,
        id: ShotId,
        make: impl FnOnce(&mut Renderer, &mut Tiled, (u32, u32)) -> gnt::Result<T>,
    ) -> Result<T, String> {
        let Self { renderers, open, .. } = self;
        let (model, tiled, size) = open.get_mut(&id).ok_or("the shot is not open")?;
        let renderer = renderers.get_mut(model).ok_or("the model is not loaded")?;
        make(renderer, tiled, *size).map_err(|e| e.to_string())
    }
}

/// A patch of pixels that were made.
fn patch(part: Part, pixels: Vec<Pixel>) -> Patch {
    let texel = |pixel: Pixel| {
        let Pixel { rgb, depth, confidence, view, multiplied } = pixel;
        Texel { rgb, depth, confidence, view, multiplied }
    };
    Patch { part, texels: pixels.into_iter().map(texel).collect() }
}

impl FrameSource for Models {
    fn open(&mut self, id: ShotId, shot: &Shot, stop: Stop) -> Result<Option<Opened>, String> {
        self.begin(id, shot, stop).map_err(|e| format!("{e:#}"))
    }

    fn guide(&mut self, id: ShotId, part: Part, stop: Stop) -> Result<Option<Patch>, String> {
        let made = self.with(id, |renderer, tiled, size| {
            let (columns, _) = grid_size(size, tiled.cell());
            let rays: Vec<usize> = part.places().map(|(x, y)| (y * columns + x) as usize).collect();
            renderer.coarse_tile(tiled, &rays, stop)
        })?;
        Ok(made.map(|pixels| patch(part, pixels)))
    }

    fn pixels(&mut self, id: ShotId, part: Part, stop: Stop) -> Result<Option<Patch>, String> {
        let pixels: Vec<(u32, u32)> = part.places().collect();
        let made = self.with(id, |renderer, tiled, _| renderer.tile(tiled, &pixels, stop))?;
        Ok(made.map(|pixels| patch(part, pixels)))
    }

    fn close(&mut self, id: ShotId) {
        self.open.remove(&id);
    }
}
