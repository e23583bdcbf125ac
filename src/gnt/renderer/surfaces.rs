//! Where the rays of source views end: found by the network itself, once for each view, and kept.

use super::tiles::Stop;
use super::{Backend, Renderer, Settings, on_cpu, on_cuda};
use crate::Result;
use crate::guided::Guided;
use crate::surface::SurfaceMap;
use scene::Camera;
use std::collections::HashMap;
use std::sync::Arc;

/// Fewest pixels between the rays of a surface map, and the most rays of its longer side. Every fourth pixel and 48 samples
/// take three times as long and gain 0.02 dB.
const CELL: u32 = 6;
const SIDE: u32 = 128;
/// Samples of a ray.
const SAMPLES: usize = 32;
/// Maps that are kept; more only if a frame has as many sources.
const MOST: usize = 256;

/// Surface maps by the number of their view in the scene.
#[derive(Debug, Default)]
pub(super) struct Surfaces {
    found: HashMap<usize, Found>,
    /// Counts frames, to know what was used last.
    frame: u64,
}

#[derive(Debug)]
struct Found {
    map: Arc<SurfaceMap>,
    /// The views that it was found from, those that they were chosen from, and how many were asked for.
    sources: Vec<usize>,
    candidates: Arc<[usize]>,
    views: usize,
    range: (f32, f32),
    /// Frame that used it last.
    used: u64,
}

impl Renderer {
    /// Sees to it that the surface maps of `sources`, which are prepared, are those of a frame with these source
    /// `candidates`; finds those that are missing, unless `stop` comes first, and tells whether all are there.
    pub(super) fn find_surfaces(
        &mut self,
        sources: &[usize],
        candidates: &[usize],
        settings: &Settings,
        stop: Stop,
    ) -> Result<bool> {
        self.surfaces.frame += 1;
        let candidates: Arc<[usize]> = candidates.into();
        for &id in sources {
            if stop() {
                return Ok(false);
            }
            if !self.serves(id, &candidates, settings)? {
                let found = self.find_surface(id, &candidates, settings)?;
                self.surfaces.found.insert(id, found);
            }
        }
        // Finding one may have cost another's place.
        self.prepare_views(sources, settings.threads)?;
        for &id in sources {
            let found = self.surfaces.found.get_mut(&id).expect("found above");
            found.used = self.surfaces.frame;
            self.set_surface(id, Some(self.surfaces.found[&id].map.clone()))?;
        }
        let Surfaces { found, frame } = &mut self.surfaces;
        while found.len() > MOST.max(sources.len()) {
            let Some(oldest) = found.iter().filter(|(_, f)| f.used < *frame).min_by_key(|(id, f)| (f.used, **id))
            else {
                break;
            };
            let oldest = *oldest.0;
            found.remove(&oldest);
        }
        Ok(true)
    }

    /// Where the rays of a view end, found from the scene's other source views.
    ///
    /// # Errors
    /// If settings are out of range, a photograph cannot be read, or the device fails.
    pub fn surface_map(&mut self, id: usize, settings: &Settings) -> Result<Arc<SurfaceMap>> {
        settings.validate()?;
        let candidates: Arc<[usize]> = self.scene.source_ids.as_slice().into();
        Ok(self.find_surface(id, &candidates, settings)?.map)
    }

    /// Whether the map of view `id` is there as a frame with these `candidates` would find it: a photograph that is not to
    /// be a source must have had no part in it, and what is rendered must not depend on what was rendered before.
    fn serves(&mut self, id: usize, candidates: &Arc<[usize]>, settings: &Settings) -> Result<bool> {
        let Some(found) = self.surfaces.found.get(&id) else { return Ok(false) };
        if (found.views, found.range) != (settings.views, settings.depth_range) {
            return Ok(false);
        }
        if found.candidates == *candidates {
            return Ok(true);
        }
        let same = found.sources == self.surface_sources(id, candidates, settings)?;
        if same && let Some(found) = self.surfaces.found.get_mut(&id) {
            found.candidates = candidates.clone();
        }
        Ok(same)
    }

    /// The views that the map of view `id` is found from.
    fn surface_sources(&self, id: usize, candidates: &[usize], settings: &Settings) -> Result<Vec<usize>> {
        let others: Vec<usize> = candidates.iter().copied().filter(|other| *other != id).collect();
        if others.is_empty() {
            // There is but one photograph: it is its own source.
            return Ok(vec![id]);
        }
        Ok(scene::nearest_sources(&self.scene, &self.scene.views[id].camera, &others, settings.views)?)
    }

    /// Casts coarse rays from where view `id` was taken, into the other views, as if nothing was known of theirs.
    fn find_surface(&mut self, id: usize, candidates: &Arc<[usize]>, settings: &Settings) -> Result<Found> {
        let camera = self.scene.views[id].camera;
        let sources = self.surface_sources(id, candidates, settings)?;
        self.prepare_views(&sources, settings.threads)?;
        for &source in &sources {
            self.set_surface(source, None)?;
        }
        let placed = self.place(&camera, &sources);
        let how = Guided { cell: cell(&camera), coarse: SAMPLES };
        let guide = match &mut self.backend {
            Backend::Cpu(engine, kept) => on_cpu::look_ahead(engine, &kept.get(&sources), &placed, settings, how),
            Backend::Cuda(engine, kept) => on_cuda::look_ahead(engine, &kept.get(&sources), &placed, settings, how)?,
        };
        let (views, range) = (settings.views, settings.depth_range);
        let (map, candidates) = (Arc::new(guide.surface()), candidates.clone());
        Ok(Found { map, sources, candidates, views, range, used: self.surfaces.frame })
    }

    /// Tells a prepared source where its own rays end.
    fn set_surface(&mut self, id: usize, surface: Option<Arc<SurfaceMap>>) -> Result<()> {
        match &mut self.backend {
            Backend::Cpu(_, kept) => kept.for_each(&[id], |_, source| source.surface = surface.clone()),
            Backend::Cuda(engine, kept) => {
                let mut told = Ok(());
                kept.for_each(&[id], |_, source| told = source.set_surface(engine.device(), surface.as_deref()));
                told?;
            }
        }
        Ok(())
    }
}

/// Pixels between the rays of the surface map of `camera`.
fn cell(camera: &Camera) -> u32 {
    CELL.max(camera.width.max(camera.height).div_ceil(SIDE))
}
