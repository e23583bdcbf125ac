//! A frame as it is written: its colours, depths and what is told of them, of one camera or of two side by side.

use gnt::renderer::Rendered;
use scene::normals::DepthMap;
use scene::{Camera, Image, coverage};

/// Everything that may be written of a frame; all of one size.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Colours, not clipped.
    pub image: Image,
    /// Depth along the optical axis in scene units, `[height, width]`.
    pub depth: Vec<f32>,
    /// Distance along the ray in scene units, `[height, width]`.
    pub range: Vec<f32>,
    /// Normals, if they are asked for.
    pub normals: Option<Image>,
    /// How sharply the samples' weights tell the depth, `[height, width]`, if it is asked for.
    pub confidence: Option<Vec<f32>>,
    /// Number of source views in whose picture a pixel's point lies, `[height, width]`, if it is asked for.
    pub views: Option<Vec<u16>>,
}

/// What is to be told beside colours and depths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// [`Picture::normals`].
    pub normals: bool,
    /// [`Picture::confidence`] and [`Picture::views`].
    pub confidence: bool,
}

impl Picture {
    /// What was rendered of every `stride`-th pixel of `camera` from `sources`.
    ///
    /// # Errors
    /// If the depths do not fit the image.
    pub fn new(
        rendered: Rendered,
        camera: &Camera,
        stride: u32,
        sources: &[Camera],
        told: Told,
    ) -> scene::Result<Self> {
        let Rendered { image, depth, range, confidence, .. } = rendered;
        let map = DepthMap { camera, stride, size: (image.width, image.height), depth: &depth };
        let normals = told.normals.then(|| map.normal_picture()).transpose()?;
        let views = told.confidence.then(|| coverage::num_views(camera, &depth, stride, sources));
        Ok(Self { normals, views, confidence: told.confidence.then_some(confidence), image, depth, range })
    }

    /// Two pictures of one size as one, the other one to the right.
    pub fn beside(self, right: Self) -> Self {
        let width = self.image.width as usize;
        let image = |left: Image, right: Image| Image {
            width: left.width + right.width,
            height: left.height,
            data: joined(&left.data, &right.data, 3 * width),
        };
        let both = |left: Option<Vec<f32>>, right: Option<Vec<f32>>| Some(joined(&left?, &right?, width));
        Self {
            image: image(self.image, right.image),
            depth: joined(&self.depth, &right.depth, width),
            range: joined(&self.range, &right.range, width),
            normals: self.normals.zip(right.normals).map(|(left, right)| image(left, right)),
            confidence: both(self.confidence, right.confidence),
            views: self.views.zip(right.views).map(|(left, right)| joined(&left, &right, width)),
        }
    }
}

/// Rows of `width` values side by side.
fn joined<T: Copy>(left: &[T], right: &[T], width: usize) -> Vec<T> {
    left.chunks(width.max(1)).zip(right.chunks(width.max(1))).flat_map(|(l, r)| [l, r].concat()).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A picture of 5x3 pixels of one gray.
    pub fn picture(level: f32) -> Picture {
        Picture {
            image: Image::new(5, 3, vec![level; 45]).unwrap(),
            depth: vec![2.0; 15],
            range: vec![2.5; 15],
            normals: None,
            confidence: None,
            views: None,
        }
    }

    #[test]
    fn the_right_one_stands_to_the_right() {
        let views = |count| Some(vec![count; 15]);
        let both = Picture { views: views(1), ..picture(0.25) }.beside(Picture { views: views(7), ..picture(0.75) });
        assert_eq!((both.image.width, both.image.height), (10, 3));
        for y in 0..3 {
            assert_eq!((both.image.pixel(4, y), both.image.pixel(5, y)), ([0.25; 3], [0.75; 3]));
            assert_eq!(both.views.as_ref().unwrap()[10 * y as usize + 4..][..2], [1, 7]);
        }
        assert_eq!((both.depth.len(), both.range[29]), (30, 2.5));
        assert!(both.normals.is_none() && both.confidence.is_none());
    }
}
