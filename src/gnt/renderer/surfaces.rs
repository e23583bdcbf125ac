//! Where the rays of source views end: found by the network itself, once for each view, and kept.

use super::tiles::Stop;
use super::{Backend, Renderer, Settings, on_cpu, on_cuda};
use crate::Result;
use crate::guided::Guided;
use crate::surface::SurfaceMap;
use scene::Camera;
use std::sync::Arc;

/// Fewest pixels between the rays of a surface map, and the most rays of its longer side. Every fourth pixel and 48 samples
/// take three times as long and gain 0.02 dB.
const CELL: u32 = 6;
const SIDE: u32 = 128;
/// Samples of a ray.
const SAMPLES: usize = 32;
/// Maps that are kept; more only if a frame has as many sources.
const MOST: usize = 256;

/// Surface maps; of one view there are several where frames may use other photographs.
#[derive(Debug, Default)]
pub(super) struct Surfaces {
    found: Vec<Found>,
    /// Counts frames, to know what was used last.
    frame: u64,
}

#[derive(Debug)]
struct Found {
    /// Number in the scene of the view whose map it is.
    view: usize,
    map: Arc<SurfaceMap>,
    /// The views that it was found from, those that they were chosen from, and how many were asked for.
    sources: Vec<usize>,
    candidates: Arc<[usize]>,
    views: usize,
    range: (f32, f32),
    /// Frame that used it last.
    used: u64,
}

impl Surfaces {
    /// Keeps at most `most` maps: those that were used last, and all of the present frame.
    fn forget(&mut self, most: usize) {
        while self.found.len() > most {
            let old = self.found.iter().enumerate().filter(|(_, f)| f.used < self.frame);
            let Some((oldest, _)) = old.min_by_key(|(_, f)| (f.used, f.view)) else { break };
            self.found.remove(oldest);
        }
    }
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
        let mut maps = Vec::with_capacity(sources.len());
        for &id in sources {
            if stop() {
                return Ok(false);
            }
            let at = match self.serving(id, &candidates, settings)? {
                Some(at) => at,
                None => {
                    let found = self.find_surface(id, &candidates, settings)?;
                    self.surfaces.found.push(found);
                    self.surfaces.found.len() - 1
                }
            };
            let found = &mut self.surfaces.found[at];
            found.used = self.surfaces.frame;
            maps.push(found.map.clone());
        }
        // Finding one may have cost another's place.
        self.prepare_views(sources, settings.threads)?;
        for (&id, map) in sources.iter().zip(maps) {
            self.set_surface(id, Some(map))?;
        }
        self.surfaces.forget(MOST.max(sources.len()));
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

    /// Where the map of view `id` is kept, if it is there as a frame with these `candidates` would find it: a photograph that
    /// is not to be a source must have had no part in it, and what is rendered must not depend on what was rendered before.
    fn serving(&mut self, id: usize, candidates: &Arc<[usize]>, settings: &Settings) -> Result<Option<usize>> {
        let fits = |f: &Found| (f.view, f.views, f.range) == (id, settings.views, settings.depth_range);
        let place = |which: &dyn Fn(&Found) -> bool| self.surfaces.found.iter().position(|f| fits(f) && which(f));
        if let Some(at) = place(&|f| f.candidates == *candidates) {
            return Ok(Some(at));
        }
        if place(&|_| true).is_none() {
            return Ok(None);
        }
        let sources = self.surface_sources(id, candidates, settings)?;
        let at = place(&|f| f.sources == sources);
        if let Some(at) = at {
            self.surfaces.found[at].candidates = candidates.clone();
        }
        Ok(at)
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
        Ok(Found { view: id, map, sources, candidates, views, range, used: self.surfaces.frame })
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
