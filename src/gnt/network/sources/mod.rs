//! What the training path reads: rays with their samples, and source views with their feature maps.

mod cuda;
mod map;

pub(crate) use cuda::TrainingSource;
pub use cuda::{CudaMapGrads, CudaSources};
pub use map::SourceMap;

use crate::projection::Projector;
use crate::surface::Visibility;
use scene::{Camera, Image, Ray};

/// A few rays with their samples.
#[derive(Clone, Copy, Debug)]
pub struct RayChunk<'a> {
    /// The rays.
    pub rays: &'a [Ray],
    /// Depths `[rays, samples]`, increasing along each ray.
    pub depths: &'a [f32],
    /// Near and far bound of the scene.
    pub depth_range: (f32, f32),
}

impl RayChunk<'_> {
    /// Samples a ray.
    pub fn samples(&self) -> usize {
        self.depths.len() / self.rays.len()
    }
}

/// One source view as the network reads it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its camera.
    pub projector: Projector,
    /// Its photograph.
    pub image: &'a Image,
    /// Size of the feature map, `(width, height)`.
    pub map_size: (usize, usize),
    /// Feature map times `rgbfeat_fc.0`, `[height, width, C]`: bilinear sampling is linear, so the product is made once
    /// a pixel instead of once a sample.
    pub map: &'a [f32],
    /// Tokens at the pixels of the feature map `[height, width, C]`; empty where no layer reads them.
    pub keys: &'a [f32],
    /// What is known of the surface that it sees.
    pub visibility: Visibility<'a>,
}

/// The source views of cameras and photographs, each with its map.
pub fn sources<'a>(views: &'a [(Camera, Image)], maps: impl IntoIterator<Item = &'a SourceMap>) -> Vec<Source<'a>> {
    views.iter().zip(maps).map(|((camera, image), map)| map.source(camera, image)).collect()
}

/// Gradients of the sources' maps, one vector a view.
#[derive(Clone, Debug, Default)]
pub struct MapGrads {
    /// Of [`Source::map`].
    pub maps: Vec<Vec<f32>>,
    /// Of [`Source::keys`].
    pub keys: Vec<Vec<f32>>,
}

impl MapGrads {
    /// Makes all gradients 0, of the maps that `sources` have.
    pub fn reset(&mut self, sources: &[Source]) {
        let clear = |out: &mut Vec<Vec<f32>>, len: &dyn Fn(&Source) -> usize| {
            out.resize_with(sources.len(), Vec::new);
            for (out, source) in out.iter_mut().zip(sources) {
                out.clear();
                out.resize(len(source), 0.0);
            }
        };
        clear(&mut self.maps, &|s| s.map.len());
        clear(&mut self.keys, &|s| s.keys.len());
    }
}
