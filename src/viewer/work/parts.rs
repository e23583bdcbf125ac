//! The parts of a shot, in the order in which they are made.

use crate::source::{Opened, Part, Patch, Shot, grid_size};
use std::collections::VecDeque;

/// Sides of a part of the coarse grid, in points of it.
const COARSE: u32 = 12;
/// Sides of a part of the picture, in pixels.
const FINE: u32 = 24;

/// How good a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Photographs projected through depth maps.
    Proxy,
    /// The network on a coarse grid.
    Coarse,
    /// The network at every pixel.
    Full,
}

/// What is still to be made of a shot.
#[derive(Clone, Debug)]
pub struct Parts {
    coarse: VecDeque<Part>,
    fine: VecDeque<Part>,
}

impl Parts {
    /// All parts of a shot, from its middle outwards: `middle` is where one looks, from 0 to 1 in x and y.
    pub fn of(shot: &Shot, opened: &Opened, middle: [f64; 2], with_fine: bool) -> Self {
        let size = (shot.camera.width, shot.camera.height);
        let fine = if with_fine { outwards(size, FINE, middle) } else { VecDeque::new() };
        Self { coarse: outwards(grid_size(size, opened.cell), COARSE, middle), fine }
    }

    /// The next part and its level; none if all are made.
    pub fn next(&self) -> Option<(Level, Part)> {
        let coarse = self.coarse.front().map(|part| (Level::Coarse, *part));
        coarse.or_else(|| self.fine.front().map(|part| (Level::Full, *part)))
    }

    /// The next part is made.
    pub fn made(&mut self) {
        if self.coarse.pop_front().is_none() {
            self.fine.pop_front();
        }
    }
}

/// A picture cut into parts, those nearest to `middle` first.
fn outwards((width, height): (u32, u32), side: u32, middle: [f64; 2]) -> VecDeque<Part> {
    let cut = |length: u32| (0..length).step_by(side as usize).map(move |at| (at, side.min(length - at)));
    let parts = cut(height).flat_map(|(y, height)| cut(width).map(move |(x, width)| Part { x, y, width, height }));
    let mut parts: Vec<Part> = parts.collect();
    let away = |part: &Part| {
        let x = f64::from(part.x) + 0.5 * f64::from(part.width) - middle[0] * f64::from(width);
        let y = f64::from(part.y) + 0.5 * f64::from(part.height) - middle[1] * f64::from(height);
        x * x + y * y
    };
    parts.sort_by(|a, b| away(a).total_cmp(&away(b)));
    parts.into()
}

/// What is known of a picture so far.
#[derive(Clone, Debug)]
pub struct Canvas {
    /// Width and height.
    pub size: (u32, u32),
    /// `[height, width]`; none where nothing is known yet.
    pub texels: Vec<Option<crate::source::Texel>>,
    /// Number of texels that are known.
    pub known: usize,
}

impl Canvas {
    /// Nothing is known yet.
    pub fn new(size: (u32, u32)) -> Self {
        Self { size, texels: vec![None; size.0 as usize * size.1 as usize], known: 0 }
    }

    /// Puts in a patch.
    ///
    /// # Panics
    /// If it reaches beyond the picture.
    pub fn put(&mut self, patch: &Patch) {
        for ((x, y), texel) in patch.part.places().zip(&patch.texels) {
            let at = y as usize * self.size.0 as usize + x as usize;
            self.known += usize::from(self.texels[at].is_none());
            self.texels[at] = Some(*texel);
        }
    }

    /// Whether everything is known.
    pub fn is_whole(&self) -> bool {
        self.known == self.texels.len()
    }

    /// What is known of a place.
    pub fn at(&self, x: u32, y: u32) -> Option<&crate::source::Texel> {
        let inside = x < self.size.0 && y < self.size.1;
        inside.then(|| &self.texels[y as usize * self.size.0 as usize + x as usize])?.as_ref()
    }

    /// The picture, black where nothing is known.
    pub fn image(&self) -> scene::Image {
        let data = self.texels.iter().flat_map(|texel| texel.map_or([0.0; 3], |texel| texel.rgb)).collect();
        scene::Image { width: self.size.0, height: self.size.1, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Texel;

    #[test]
    fn parts_cover_the_picture_once_from_the_middle_outwards() {
        for size in [(1, 1), (24, 24), (100, 61), (7, 300)] {
            let parts = outwards(size, 24, [0.5, 0.5]);
            let mut canvas = Canvas::new(size);
            for part in &parts {
                let texels = vec![Texel::default(); part.len()];
                let before = canvas.known;
                canvas.put(&Patch { part: *part, texels });
                assert_eq!(canvas.known - before, part.len(), "no pixel is made twice");
            }
            assert!(canvas.is_whole());
        }
        let parts = outwards((240, 240), 24, [0.5, 0.5]);
        let away = |part: &Part| (part.x as f64 - 108.0).hypot(part.y as f64 - 108.0);
        assert!(away(&parts[0]) < 20.0 && away(&parts[99]) > 140.0);
        let corner = outwards((240, 240), 24, [0.0, 1.0]);
        assert_eq!((corner[0].x, corner[0].y), (0, 216));
    }

    #[test]
    fn the_coarse_grid_comes_first() {
        let camera = scene::Camera {
            width: 50,
            height: 30,
            focal: glam::Vec2::ONE,
            center: glam::Vec2::ONE,
            world_from_camera: glam::Mat4::IDENTITY,
        };
        let shot = Shot { camera, truth: None, excluded: Vec::new(), quality: Default::default() };
        let opened = Opened { sources: vec![0], cell: 4 };
        let mut parts = Parts::of(&shot, &opened, [0.5; 2], true);
        let mut levels = Vec::new();
        while let Some((level, _)) = parts.next() {
            levels.push(level);
            parts.made();
        }
        assert!(levels.is_sorted() && levels[0] == Level::Coarse && *levels.last().unwrap() == Level::Full);
        assert!(Parts::of(&shot, &opened, [0.5; 2], false).next().is_some_and(|(level, _)| level == Level::Coarse));
    }
}
