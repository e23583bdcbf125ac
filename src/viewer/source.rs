//! Where frames come from: the interface between the viewer, which knows cameras and pictures, and whatever renders them.
//!
//! A **shot** is what is wanted: a camera, what may be used, how well. It is opened, then its coarse grid, which guides the
//! samples, is made part by part, then its pixels: every few of them first, then those between. Several shots are open at once (the one that is looked at, the frame of a path), so each call
//! names its shot.

use scene::{Camera, Frame};

/// Tells, from any thread, whether a piece of work is no longer wanted. Asked between any two rays.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// How well a shot is rendered, as places in the lists of [`Choices`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Which of the models.
    pub model: usize,
    /// Which of the samples.
    pub samples: usize,
    /// Source views; 0 for the model's own number.
    pub views: usize,
}

/// What a source can be asked for.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Names of the models.
    pub models: Vec<String>,
    /// Ways to place samples, in words such as `auto` or `48`.
    pub samples: Vec<String>,
    /// Where frames are computed, for the read-out.
    pub device: String,
}

/// A picture that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Shot {
    /// The camera, at the size of the picture.
    pub camera: Camera,
    /// The view whose photograph the picture reproduces, if any: it is then no source.
    pub truth: Option<usize>,
    /// Views that must not be sources.
    pub excluded: Vec<usize>,
    /// How well.
    pub quality: Quality,
}

impl Shot {
    /// The frame of a path that this is, under a name.
    pub fn frame(&self, name: &str) -> Frame {
        Frame { name: name.to_owned(), camera: self.camera, truth: self.truth, excluded: self.excluded.clone() }
    }
}

/// Names a shot among those that are open.
pub type ShotId = u64;

/// A shot that is ready to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// Its source views, nearest first.
    pub sources: Vec<usize>,
    /// Pixels from one point of the coarse grid to the next; the last of a row or column is the picture's last pixel.
    pub cell: u32,
    /// Whether pixels that no source view sees fade, once the picture is complete.
    pub fades: bool,
}

/// A rectangle of pixels, perhaps of some of them only, or of points of the coarse grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Left column.
    pub x: u32,
    /// Top row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Only places whose column and row are multiples of this; at least 1.
    pub every: u32,
    /// Of these not those whose column and row are both multiples of this; 0 leaves out none.
    pub but: u32,
}

impl Part {
    /// All places of a rectangle.
    pub fn all(x: u32, y: u32, width: u32, height: u32) -> Self {
        Self { x, y, width, height, every: 1, but: 0 }
    }

    /// Its places, row by row.
    pub fn places(self) -> impl Iterator<Item = (u32, u32)> {
        let Self { x, y, width, height, every, but } = self;
        let multiples =
            move |from: u32, length: u32| (from.next_multiple_of(every)..from + length).step_by(every as usize);
        let places = multiples(y, height).flat_map(move |y| multiples(x, width).map(move |x| (x, y)));
        places.filter(move |(x, y)| but == 0 || !(x.is_multiple_of(but) && y.is_multiple_of(but)))
    }
}

/// Columns and rows of the coarse grid of a picture of `size`.
pub fn grid_size(size: (u32, u32), cell: u32) -> (u32, u32) {
    let lines = |length: u32| length.saturating_sub(1).div_ceil(cell) + 1;
    (lines(size.0), lines(size.1))
}

/// What is known of a pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Texel {
    /// Colour, not clipped.
    pub rgb: [f32; 3],
    /// Depth along the optical axis, in scene units.
    pub depth: f32,
    /// How sure the depth is, from 0 to 1.
    pub confidence: f32,
    /// The view of the scene that gave most of the colour, if that is known.
    pub view: Option<usize>,
    /// Share of the work that multiply experts did, if there are any.
    pub multiplied: Option<f32>,
}

/// Pixels that are made, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// Where they belong.
    pub part: Part,
    /// One for each place.
    pub texels: Vec<Texel>,
}

/// Makes pictures of a scene. It lives on a thread of its own; every call may take as long as its part does, and gives up
/// within a ray when `stop` says so.
pub trait FrameSource: Send {
    /// Gets ready for a shot; none if `stop` came first.
    ///
    /// # Errors
    /// In words, if the shot cannot be made.
    fn open(&mut self, id: ShotId, shot: &Shot, stop: Stop) -> Result<Option<Opened>, String>;

    /// Points of the coarse grid, by which the samples of pixels are placed; none if `stop` came first.
    ///
    /// # Errors
    /// In words, if they cannot be made.
    fn guide(&mut self, id: ShotId, part: Part, stop: Stop) -> Result<Option<Patch>, String>;

    /// Pixels, after all of the coarse grid; none if `stop` came first.
    ///
    /// # Errors
    /// In words, if they cannot be made.
    fn pixels(&mut self, id: ShotId, part: Part, stop: Stop) -> Result<Option<Patch>, String>;

    /// Forgets a shot.
    fn close(&mut self, id: ShotId);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_reach_the_last_pixel() {
        assert_eq!(grid_size((504, 378), 4), (127, 96));
        assert_eq!(grid_size((1, 5), 4), (1, 2));
        assert_eq!(grid_size((6, 9), 4), (3, 3));
    }

    #[test]
    fn parts_have_all_places_or_some() {
        let part = Part::all(2, 1, 2, 2);
        assert_eq!(part.places().collect::<Vec<_>>(), [(2, 1), (3, 1), (2, 2), (3, 2)]);
        let every = Part { every: 2, but: 4, ..Part::all(3, 3, 5, 2) };
        assert_eq!(every.places().collect::<Vec<_>>(), [(6, 4)]);
        assert_eq!(Part { every: 4, ..Part::all(5, 5, 2, 2) }.places().count(), 0);
    }
}
