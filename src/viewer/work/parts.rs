//! The parts of a shot, in the order in which they are made.

use crate::source::{Opened, Part, Patch, Shot, Texel, grid_size};
use scene::Camera;
use scene::fade::Fade;
use std::collections::VecDeque;

/// Pixels are made in passes: every so many in x and y, then those between.
pub const PASSES: [u32; 3] = [4, 2, 1];
/// Sides of a part, in points of the coarse grid, and in pixels that are made of it in a pass.
const GUIDE: u32 = 12;
const PIXELS: u32 = 24;

/// How good a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Photographs projected through depth maps.
    Proxy,
    /// The network at every fourth pixel.
    Coarse,
    /// The network at every second pixel.
    Half,
    /// The network at every pixel.
    Full,
}

/// What a part is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// Points of the coarse grid, which guide the samples.
    Guide,
    /// Pixels of the picture.
    Picture,
}

/// What is still to be made of a shot.
#[derive(Clone, Debug)]
pub struct Parts {
    left: VecDeque<(Of, Part)>,
}

impl Parts {
    /// All parts of a shot, each pass from its middle outwards: `middle` is where one looks, from 0 to 1 in x and y.
    pub fn of(shot: &Shot, opened: &Opened, middle: [f64; 2]) -> Self {
        let size = (shot.camera.width, shot.camera.height);
        let guide = outwards(grid_size(size, opened.cell), GUIDE, middle).into_iter().map(|part| (Of::Guide, part));
        let pass = |(i, every): (usize, &u32)| {
            let (every, but) = (*every, if i == 0 { 0 } else { PASSES[i - 1] });
            let parts = outwards(size, PIXELS * every, middle).into_iter().map(move |part| Part { every, but, ..part });
            // At an edge there may be none between those that are made.
            parts.filter(|part| part.places().next().is_some()).map(|part| (Of::Picture, part))
        };
        Self { left: guide.chain(PASSES.iter().enumerate().flat_map(pass)).collect() }
    }

    /// The next part; none if all are made.
    pub fn next(&self) -> Option<(Of, Part)> {
        self.left.front().copied()
    }

    /// Sorts what is left anew, each pass from another middle outwards.
    pub fn attend(&mut self, shot: &Shot, middle: [f64; 2]) {
        let size = [f64::from(shot.camera.width), f64::from(shot.camera.height)];
        let of_picture = |(of, _): &(Of, Part)| *of == Of::Picture;
        let first = self.left.iter().position(of_picture).unwrap_or(self.left.len());
        let left = self.left.make_contiguous();
        let pass = |part: &Part| std::cmp::Reverse(part.every);
        left[first..].sort_by(|(_, a), (_, b)| {
            pass(a).cmp(&pass(b)).then(away(a, size, middle).total_cmp(&away(b, size, middle)))
        });
    }

    /// The next part is made.
    pub fn made(&mut self) {
        self.left.pop_front();
    }
}

/// A picture cut into parts, those nearest to `middle` first.
fn outwards((width, height): (u32, u32), side: u32, middle: [f64; 2]) -> Vec<Part> {
    let cut = |length: u32| (0..length).step_by(side as usize).map(move |at| (at, side.min(length - at)));
    let parts = cut(height).flat_map(|(y, height)| cut(width).map(move |(x, width)| Part::all(x, y, width, height)));
    let mut parts: Vec<Part> = parts.collect();
    let size = [f64::from(width), f64::from(height)];
    parts.sort_by(|a, b| away(a, size, middle).total_cmp(&away(b, size, middle)));
    parts
}

/// Squared distance of a part from the middle of attention.
fn away(part: &Part, size: [f64; 2], middle: [f64; 2]) -> f64 {
    let x = f64::from(part.x) + 0.5 * f64::from(part.width) - middle[0] * size[0];
    let y = f64::from(part.y) + 0.5 * f64::from(part.height) - middle[1] * size[1];
    x * x + y * y
}

/// What is known of a picture so far.
#[derive(Clone, Debug)]
pub struct Canvas {
    /// Width and height.
    pub size: (u32, u32),
    /// `[height, width]`; none where nothing is known yet.
    pub texels: Vec<Option<Texel>>,
    /// Number of texels that are known.
    pub known: usize,
    /// The same of those whose column and row are multiples of one of [`PASSES`].
    known_of: [usize; PASSES.len()],
}

impl Canvas {
    /// Nothing is known yet.
    pub fn new(size: (u32, u32)) -> Self {
        let texels = vec![None; size.0 as usize * size.1 as usize];
        Self { size, texels, known: 0, known_of: [0; PASSES.len()] }
    }

    /// Puts in a patch.
    ///
    /// # Panics
    /// If it reaches beyond the picture.
    pub fn put(&mut self, patch: &Patch) {
        for ((x, y), texel) in patch.part.places().zip(&patch.texels) {
            let at = y as usize * self.size.0 as usize + x as usize;
            if self.texels[at].replace(*texel).is_none() {
                self.known += 1;
                for (known, every) in self.known_of.iter_mut().zip(PASSES) {
                    *known += usize::from(x.is_multiple_of(every) && y.is_multiple_of(every));
                }
            }
        }
    }

    /// Fades what none of `sources` sees, if everything is known.
    pub fn fade(&mut self, fade: Fade, camera: &Camera, sources: &[Camera]) {
        let known: Vec<&mut Texel> = self.texels.iter_mut().flatten().collect();
        if known.len() < self.size.0 as usize * self.size.1 as usize {
            return;
        }
        let mut rgb: Vec<f32> = known.iter().flat_map(|texel| texel.rgb).collect();
        let depth: Vec<f32> = known.iter().map(|texel| texel.depth).collect();
        fade.apply(&mut rgb, camera, &depth, 1, sources);
        known.into_iter().zip(rgb.as_chunks::<3>().0).for_each(|(texel, rgb)| texel.rgb = *rgb);
    }

    /// Which part of every `PASSES[pass]`-th texel is known, from 0 to 1.
    pub fn part_of(&self, pass: usize) -> f64 {
        let count = |length: u32| length.div_ceil(PASSES[pass]) as usize;
        self.known_of[pass] as f64 / (count(self.size.0) * count(self.size.1)).max(1) as f64
    }

    /// The level of a picture of which this is known of the network's pixels.
    pub fn level(&self) -> Level {
        let levels = [Level::Coarse, Level::Half, Level::Full];
        let reached = levels.into_iter().enumerate().take_while(|(pass, _)| self.part_of(*pass) >= 1.0).last();
        reached.map_or(Level::Proxy, |(_, level)| level)
    }

    /// Whether everything is known.
    pub fn is_whole(&self) -> bool {
        self.known == self.texels.len()
    }

    /// What is known of a place.
    pub fn at(&self, x: u32, y: u32) -> Option<&Texel> {
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

    #[test]
    fn parts_cover_the_picture_once_from_the_middle_outwards() {
        for size in [(1, 1), (24, 24), (100, 61), (7, 300)] {
            let parts = outwards(size, 24, [0.5, 0.5]);
            let mut canvas = Canvas::new(size);
            for part in &parts {
                canvas.put(&Patch { part: *part, texels: vec![Texel::default(); part.places().count()] });
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
    fn the_guide_comes_first_then_pixels_each_once_from_pass_to_pass() {
        let camera = |width, height| scene::Camera {
            width,
            height,
            focal: glam::Vec2::ONE,
            center: glam::Vec2::ONE,
            world_from_camera: glam::Mat4::IDENTITY,
        };
        for (width, height) in [(50, 30), (1, 1), (3, 97), (4, 5), (201, 2)] {
            let shot =
                Shot { camera: camera(width, height), truth: None, excluded: Vec::new(), quality: Default::default() };
            let opened = Opened { sources: vec![0], cell: 4, fades: false };
            let mut parts = Parts::of(&shot, &opened, [0.5; 2]);
            let (mut order, mut levels, mut made) = (Vec::new(), Vec::new(), 0);
            let mut canvas = Canvas::new((width, height));
            while let Some((of, part)) = parts.next() {
                order.push(of);
                if of == Of::Picture {
                    let texels = vec![Texel::default(); part.places().count()];
                    assert!(!texels.is_empty());
                    made += texels.len();
                    canvas.put(&Patch { part, texels });
                    levels.push(canvas.level());
                }
                parts.made();
            }
            assert!(order.is_sorted() && order[0] == Of::Guide);
            assert!(levels.is_sorted() && canvas.is_whole() && canvas.level() == Level::Full);
            assert_eq!(made, (width * height) as usize, "no pixel is made twice");
        }
    }
}
