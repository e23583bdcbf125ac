//! Prepared source views, kept from frame to frame.

use crate::cuda::{CudaEngine, CudaSource};
use crate::engine::{Engine, PreparedSource};
use crate::{Error, Result};
use compute::parallel;
use scene::{Image, Scene};
use std::collections::HashMap;
use std::sync::Arc;

/// Prepared source views by their number in the scene.
#[derive(Debug)]
pub struct Kept<T> {
    views: HashMap<usize, T>,
    /// Views in the order in which they were last used, for eviction.
    recent: Vec<usize>,
}

/// Prepared sources that are kept beyond those of the frame at hand, in bytes.
const KEEP_BYTES: u64 = 512 << 20;

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

    /// Shows `each` those of `ids` with their numbers.
    pub(super) fn for_each(&mut self, ids: &[usize], mut each: impl FnMut(usize, &mut T)) {
        ids.iter().for_each(|id| each(*id, self.views.get_mut(id).expect("prepared before")));
    }

    pub(super) fn get(&self, ids: &[usize]) -> Vec<&T> {
        ids.iter().map(|id| &self.views[id]).collect()
    }
}

impl Kept<PreparedSource> {
    /// Runs the feature network on those of `ids` that are not there yet, one view a thread; tells how many those were.
    pub(super) fn prepare(&mut self, engine: &Engine, scene: &Scene, ids: &[usize], threads: usize) -> Result<usize> {
        let missing = self.use_now(ids);
        let count = missing.len();
        let mut made: Vec<(usize, Result<Option<PreparedSource>>)> =
            missing.into_iter().map(|id| (id, Ok(None))).collect();
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
                self.views.insert(id, source);
            }
        }
        self.evict(ids.len(), |source| source.bytes() as u64);
        Ok(count)
    }
}

impl Kept<CudaSource> {
    /// The same on a device: photographs are read by all cores, then prepared one after the other.
    pub(super) fn prepare(
        &mut self,
        engine: &mut CudaEngine,
        scene: &Scene,
        ids: &[usize],
        threads: usize,
    ) -> Result<usize> {
        let missing = self.use_now(ids);
        let mut images: Vec<Option<scene::Result<Image>>> = missing.iter().map(|_| None).collect();
        parallel::for_each(&mut images, threads, |i, out| *out = Some(scene.views[missing[i]].load_image()));
        for (id, image) in missing.iter().zip(images.into_iter().flatten()) {
            let source = engine.prepare(&scene.views[*id].camera, &image?)?;
            self.views.insert(*id, source);
        }
        self.evict(ids.len(), CudaSource::bytes);
        Ok(missing.len())
    }
}
