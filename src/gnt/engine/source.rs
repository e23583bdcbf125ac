//! Source views as the engine reads them.

use super::photograph::Photograph;
use super::weights::Weights;
use crate::features::FeatureMap;
use crate::projection::{Projector, colour, taps};
use crate::surface::{SurfaceMap, Visibility};
use compute::Isa;
use compute::ops::gather::Map8;
use compute::ops::product::{Epilogue, product};
use glam::Vec2;
use layers::view_attention::engine::ViewAttentionBuffers;
use scene::{Camera, Image};
use std::sync::Arc;

/// A source view ready to be looked up: it does not depend on the target, so it is made once a scene. It is for engines of the
/// network and the precision that it was made by.
#[derive(Clone, Debug)]
pub struct PreparedSource {
    pub(super) projector: Projector,
    pub(super) photograph: Photograph,
    pub(super) map_size: (usize, usize),
    pub(super) map: Map,
    /// Codes of the keys of all blocks, `[pixels, key words]`; empty where no block reads them.
    pub(super) keys: Vec<u64>,
    /// Where the view's own rays end, once that is known.
    pub surface: Option<Arc<SurfaceMap>>,
}

/// A feature map after the first token layer, `[pixels, C]`.
#[derive(Clone, Debug)]
pub(super) enum Map {
    Exact(Vec<f32>),
    Bytes(Map8),
}

impl Map {
    /// Asks for what a look-up will read, so that it is at hand a little later. Exact maps are not asked for: a pixel of theirs
    /// is several parts of memory, which the processor asks for well itself.
    #[inline(always)]
    pub fn prefetch(&self, index: [u32; 4]) {
        if let Self::Bytes(map) = self {
            map.prefetch(index);
        }
    }
}

/// The feature maps of all sources of a ray, which are alike.
pub(super) enum FeatureMaps<'a> {
    Exact(Vec<&'a [f32]>),
    Bytes(Vec<&'a Map8>),
}

impl<'a> FeatureMaps<'a> {
    /// Those of `sources` as an engine asks for them that reads bytes or not.
    pub fn of(sources: &[&'a PreparedSource], reads_bytes: bool) -> Self {
        let (mut exact, mut bytes) = (Vec::new(), Vec::new());
        for source in sources {
            match &source.map {
                Map::Exact(map) => exact.push(map.as_slice()),
                Map::Bytes(map) => bytes.push(map),
            }
        }
        let others = if reads_bytes { exact.len() } else { bytes.len() };
        assert!(others == 0, "{others} sources that an engine of another precision has prepared");
        if reads_bytes { Self::Bytes(bytes) } else { Self::Exact(exact) }
    }
}

impl PreparedSource {
    /// Applies the first token layer to the feature map of `image`, and makes the codes of the keys.
    pub(super) fn new(isa: Isa, weights: &Weights, camera: &Camera, image: Arc<Image>, map: &FeatureMap) -> Self {
        let (c, map_size) = (weights.width(), (map.width, map.height));
        let pixels = map.width * map.height;
        let mut projected = vec![0.0; pixels * c];
        product(isa, pixels, &map.data, map.channels, &weights.map, &mut projected, c, Epilogue::Store);
        let keys = key_codes(isa, weights, &image, map_size, &projected);
        let bytes = weights.look_ups.is_bytes();
        let photograph = Photograph::new(image, bytes);
        let map = if bytes { Map::Bytes(Map8::new(isa, &projected, c)) } else { Map::Exact(projected) };
        Self { projector: Projector::new(camera), photograph, map_size, map, keys, surface: None }
    }

    /// Moves the view to where `camera` stands; nothing else of it depends on that.
    pub fn place(&mut self, camera: &Camera) {
        self.projector = Projector::new(camera);
    }

    /// Width and height of the feature map.
    pub fn map_size(&self) -> (usize, usize) {
        self.map_size
    }

    /// The photograph as it is looked up.
    #[cfg(test)]
    pub fn image(&self) -> Arc<Image> {
        self.photograph.to_image()
    }

    /// The map after the first token layer, `[pixels, C]`, as it is looked up.
    #[cfg(test)]
    pub fn map(&self) -> Vec<f32> {
        match &self.map {
            Map::Exact(map) => map.clone(),
            Map::Bytes(map) => map.to_f32(),
        }
    }

    /// Bytes held: image, feature map and codes.
    pub fn bytes(&self) -> usize {
        let surface = self.surface.as_ref().map_or(0, |surface| surface.cells().len());
        let map = match &self.map {
            Map::Exact(map) => 4 * map.len(),
            Map::Bytes(map) => map.bytes(),
        };
        map + self.photograph.bytes() + 8 * (self.keys.len() + surface)
    }

    /// What is known of the surface that the view sees, for a network that asks for it.
    #[inline(always)]
    pub(super) fn visibility(&self) -> Visibility<'_> {
        self.surface.as_deref().map_or(Visibility::Unknown, Visibility::Known)
    }
}

/// Pixels of a feature map whose keys are made together.
const KEY_ROWS: usize = 64;

/// Codes of the keys of all blocks at the pixels of a feature map of `size` (width, height), from the tokens there.
fn key_codes(isa: Isa, weights: &Weights, image: &Image, size: (usize, usize), projected: &[f32]) -> Vec<u64> {
    let (c, key_words) = (weights.width(), weights.key_words());
    let mut keys = vec![0; size.0 * size.1 * key_words];
    let image_size = (image.width as usize, image.height as usize);
    let (mut hidden, mut tokens, mut buffers) = (Vec::new(), Vec::new(), ViewAttentionBuffers::default());
    for (chunk, keys) in keys.chunks_mut((KEY_ROWS * key_words).max(1)).enumerate() {
        let rows = keys.len() / key_words;
        hidden.clear();
        for at in chunk * KEY_ROWS..chunk * KEY_ROWS + rows {
            let pixel = Vec2::new((at % size.0) as f32, (at / size.0) as f32);
            let mut rgb = [0.0; 3];
            colour(image, &taps(pixel, size, image_size), &mut rgb);
            let map = &projected[at * c..][..c];
            let [r, g, b, bias] = std::array::from_fn(|i| &weights.colour[i * c..][..c]);
            hidden.extend((0..c).map(|i| (map[i] + rgb[0] * r[i] + rgb[1] * g[i] + rgb[2] * b[i] + bias[i]).max(0.0)));
        }
        tokens.resize(rows * c, 0.0);
        product(isa, rows, &hidden, c, &weights.token, &mut tokens, c, Epilogue::Store);
        for block in &weights.blocks {
            block.view.key_codes(isa, &tokens, &mut buffers, keys);
        }
    }
    keys
}
