//! Source views as the engine reads them.

use super::weights::Weights;
use crate::features::FeatureMap;
use crate::projection::{Projector, colour, taps};
use crate::surface::{SurfaceMap, Visibility};
use compute::Isa;
use compute::ops::product::{Epilogue, product};
use glam::Vec2;
use layers::view_attention::engine::ViewAttentionBuffers;
use scene::{Camera, Image};
use std::sync::Arc;

/// A source view ready to be looked up: it does not depend on the target, so it is made once a scene.
#[derive(Clone, Debug)]
pub struct PreparedSource {
    pub(super) projector: Projector,
    pub(super) image: Arc<Image>,
    pub(super) map_size: (usize, usize),
    /// `[pixels, C]`.
    pub(super) map: Vec<f32>,
    /// Codes of the keys of all blocks, `[pixels, key words]`; empty where no block reads them.
    pub(super) keys: Vec<u64>,
    /// Where the view's own rays end, once that is known.
    pub surface: Option<Arc<SurfaceMap>>,
}

impl PreparedSource {
    /// Applies the first token layer to the feature map of `image`, and makes the codes of the keys.
    pub(super) fn new(isa: Isa, weights: &Weights, camera: &Camera, image: Arc<Image>, map: &FeatureMap) -> Self {
        let (c, map_size) = (weights.width(), (map.width, map.height));
        let pixels = map.width * map.height;
        let mut projected = vec![0.0; pixels * c];
        product(isa, pixels, &map.data, map.channels, &weights.map, &mut projected, c, Epilogue::Store);
        let keys = key_codes(isa, weights, &image, map_size, &projected);
        Self { projector: Projector::new(camera), image, map_size, map: projected, keys, surface: None }
    }

    /// Moves the view to where `camera` stands; nothing else of it depends on that.
    pub fn place(&mut self, camera: &Camera) {
        self.projector = Projector::new(camera);
    }

    /// The photograph.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Width and height of the feature map.
    pub fn map_size(&self) -> (usize, usize) {
        self.map_size
    }

    /// The map after the first token layer `[pixels, C]`.
    pub fn map(&self) -> &[f32] {
        &self.map
    }

    /// Bytes held: image, feature map and codes.
    pub fn bytes(&self) -> usize {
        let surface = self.surface.as_ref().map_or(0, |surface| surface.cells().len());
        4 * (self.map.len() + self.image.data.len()) + 8 * (self.keys.len() + surface)
    }

    /// Width and height of the photograph.
    #[inline(always)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.image.width as usize, self.image.height as usize)
    }

    /// What is known of the surface that the view sees, for a network that asks for it.
    #[inline(always)]
    pub(super) fn visibility(&self) -> Visibility<'_> {
        self.surface.as_deref().map_or(Visibility::Unknown, Visibility::Known)
    }

    /// Colour of the photograph at `pixel`.
    #[inline(always)]
    pub(super) fn colour(&self, pixel: Vec2) -> [f32; 3] {
        let mut out = [0.0; 3];
        colour(&self.image, &taps(pixel, self.size(), self.size()), &mut out);
        out
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
