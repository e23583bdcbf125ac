//! Pixels from rays: several samples for each pixel, or only where one does not tell its colour.

use super::World;
use super::tracer::Hit;
use crate::{Camera, Image, Lens, Ray, parallel};
use glam::{DVec2, Vec2, Vec3};
use std::ops::Deref;

/// Which pixels get all of their samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    /// All.
    Everywhere,
    /// Those that hold an edge of a shape, shadow or pattern; others have one sample in their middle. Patterns are filtered
    /// to the size of a pixel, so that it is enough.
    AtEdges,
}

/// A camera and, where it has one, the lens before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Eye {
    camera: Camera,
    lens: Option<Lens>,
}

impl From<Camera> for Eye {
    fn from(camera: Camera) -> Self {
        Self { camera, lens: None }
    }
}

impl Deref for Eye {
    type Target = Camera;

    fn deref(&self) -> &Camera {
        &self.camera
    }
}

impl Eye {
    /// The camera behind a lens that sees every pixel of its picture.
    #[cfg(test)]
    pub fn with_lens(camera: Camera, lens: Lens) -> Self {
        Self { camera, lens: Some(lens) }
    }

    /// The ray that is seen at `pixel`; its component along the optical axis is 1.
    fn ray(&self, pixel: Vec2) -> Ray {
        let Some(lens) = &self.lens else { return self.camera.ray(pixel) };
        let seen = (pixel - self.center).as_dvec2() / self.focal.as_dvec2();
        let ray = lens.undistort(seen).unwrap_or(DVec2::ZERO).as_vec2();
        self.camera.ray(self.center + self.focal * ray)
    }
}

/// Renders with all cores; see [`render_with_threads`].
pub fn render(world: &World, camera: &Camera, samples_per_pixel: u32) -> (Image, Vec<f32>) {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    render_with_threads(world, camera, samples_per_pixel, threads)
}

/// Renders a view: its image (sRGB, `[0, 1]`) and the exact z-depth along the optical axis at pixel centres,
/// `[height, width]`. The result does not depend on `threads`.
pub fn render_with_threads(
    world: &World,
    camera: &Camera,
    samples_per_pixel: u32,
    threads: usize,
) -> (Image, Vec<f32>) {
    let (linear, depth) = trace(world, &Eye::from(*camera), samples_per_pixel, Sampling::Everywhere, threads);
    (world.develop_all(camera, &linear), depth)
}

/// Linear colours before exposure, and depths, of all pixels.
pub(super) fn trace(
    world: &World,
    camera: &Eye,
    samples_per_pixel: u32,
    sampling: Sampling,
    threads: usize,
) -> (Vec<Vec3>, Vec<f32>) {
    let (width, height) = (camera.width as usize, camera.height as usize);
    if sampling == Sampling::AtEdges && samples_per_pixel > 1 {
        return at_edges(world, camera, &offsets(samples_per_pixel - 1), threads);
    }
    let offsets = offsets(samples_per_pixel.max(1));
    // Rows are taken one at a time: the cost differs between the top and the bottom of a picture.
    let rows = parallel::map(height, threads, |y| {
        let row = (0..width).map(|x| {
            let ray = camera.ray(Vec2::new(x as f32, y as f32));
            (mean(world, camera, x, y, &offsets), world.distance(ray.origin, ray.direction))
        });
        row.collect::<Vec<(Vec3, f32)>>()
    });
    rows.into_iter().flatten().unzip()
}

/// Places of a pixel's samples from its centre, from -1/2 to 1/2, with the centre as their mean: else few samples would show
/// the picture a tenth of a pixel beside where camera and depth say it is.
pub(super) fn offsets(samples: u32) -> Vec<Vec2> {
    // The R2 sequence (Roberts, 2018): evenly spread for any number of samples.
    // It is the same for every pixel and view, so that penumbras carry no noise that differs between views.
    let place = |s: u32| {
        let r = Vec2::new(0.754_877_7, 0.569_840_3) * s as f32 + 0.5;
        r - r.floor()
    };
    let mean = (0..samples).map(place).sum::<Vec2>() / samples.max(1) as f32;
    // Clamped: more than 50 samples fill the pixel, and a few are moved beyond its edge by a fortieth.
    (0..samples).map(|s| (place(s) - mean).clamp(Vec2::splat(-0.5), Vec2::splat(0.5))).collect()
}

/// Linear radiances beyond this count as this, so that a highlight in one of few samples does not fill its pixel.
const BRIGHTEST: Vec3 = Vec3::splat(4.0);

/// Linear colour of a pixel: the mean over all of its area, half a pixel to each side of its centre.
fn mean(world: &World, camera: &Eye, x: usize, y: usize, offsets: &[Vec2]) -> Vec3 {
    let centre = Vec2::new(x as f32, y as f32);
    let spread = 1.0 / camera.focal.x.abs();
    let mut sum = Vec3::ZERO;
    let samples = offsets.len() as f32;
    for (s, offset) in offsets.iter().enumerate() {
        let ray = camera.ray(centre + *offset);
        let hit = world.hit(ray.origin, ray.direction, 0.0);
        let on_light = Vec2::new((s as f32 + 0.5) / samples, (s as f32 * 0.618_034).fract());
        sum += world.colour(&hit, ray.direction, spread, on_light, 1).min(BRIGHTEST);
    }
    sum / samples
}

/// What the ray through the middle of a pixel finds.
#[derive(Clone, Copy)]
struct Middle {
    depth: f32,
    normal: Vec3,
    /// The object, or the part of the enclosure.
    surface: (Option<usize>, u32),
    colour: Vec3,
    /// The colour about as it is seen, where equal steps look equal.
    look: Vec3,
    /// Whether its surface looks different in a pixel beside it: colours are no guide to those nearby then.
    varied: bool,
}

/// Difference of [`Middle::look`] between neighbours that counts as an edge.
const EDGE: f32 = 0.08;
/// Difference between one sample and the mean of all by which a pixel has its neighbours looked at as well.
const SPREAD: f32 = 0.03;
/// Difference between neighbours on one surface up to which a sample of that surface takes their colour.
const SAME: f32 = 0.05;
/// Cosine between the normals of neighbours on one surface below which there is a crease.
const CREASE: f32 = 0.85;
/// Ratio of depths of neighbours on one surface above which one part of it is before another.
const STEP: f32 = 1.06;
/// Pixels that a thread takes at a time.
const CHUNK: usize = 256;

impl Middle {
    fn new(world: &World, hit: &Hit, colour: Vec3) -> Self {
        let look = look(world, colour);
        Self { depth: hit.t, normal: hit.normal, surface: (hit.object, hit.material), colour, look, varied: false }
    }

    /// Whether both are parts of one surface without a crease or a step between.
    fn continues(&self, other: &Self) -> bool {
        let (near, far) = (self.depth.min(other.depth), self.depth.max(other.depth));
        self.surface == other.surface && self.normal.dot(other.normal) >= CREASE && far <= STEP * near
    }

    /// Whether a sample that hit this shows what is seen here.
    fn shows(&self, hit: &Hit) -> bool {
        let (near, far) = (self.depth.min(hit.t), self.depth.max(hit.t));
        let same = self.surface == (hit.object, hit.material);
        same && !self.varied && self.normal.dot(hit.normal) >= 0.5 * (1.0 + CREASE) && far <= STEP * near
    }
}

/// Square roots of exposed colours, which are close to what is stored of them.
fn look(world: &World, linear: Vec3) -> Vec3 {
    let exposed = (linear * world.exposure()).clamp(Vec3::ZERO, Vec3::ONE);
    Vec3::new(exposed.x.sqrt(), exposed.y.sqrt(), exposed.z.sqrt())
}

/// A picture in the making.
struct Sketch<'a> {
    world: &'a World,
    camera: &'a Eye,
    /// Places of the samples beside the one in the middle.
    offsets: &'a [Vec2],
    width: usize,
    middles: Vec<Middle>,
}

impl Sketch<'_> {
    /// Pixels beside one, inside the picture.
    fn beside(&self, at: usize) -> impl Iterator<Item = usize> + use<> {
        let (width, count) = (self.width, self.middles.len());
        let x = at % width;
        let four = [(x > 0, at.wrapping_sub(1)), (x + 1 < width, at + 1)];
        let more = [(at >= width, at.wrapping_sub(width)), (at + width < count, at + width)];
        four.into_iter().chain(more).filter(|(inside, _)| *inside).map(|(_, next)| next)
    }

    /// Marks what varies and tells which pixels hold an edge.
    fn edges(&mut self) -> Vec<bool> {
        let mut chosen = vec![false; self.middles.len()];
        for at in 0..self.middles.len() {
            let right = (at % self.width + 1 < self.width).then_some(at + 1);
            let below = Some(at + self.width).filter(|next| *next < self.middles.len());
            for next in right.into_iter().chain(below) {
                let (a, b) = (&self.middles[at], &self.middles[next]);
                let difference = (a.look - b.look).abs().max_element();
                let continues = a.continues(b);
                if !continues || difference > EDGE {
                    (chosen[at], chosen[next]) = (true, true);
                }
                if continues && difference > SAME {
                    (self.middles[at].varied, self.middles[next].varied) = (true, true);
                }
            }
        }
        chosen
    }

    /// Linear colour of a pixel that holds an edge, from the one in its middle and the others. Those of a surface that is the same all around take
    /// its colour; what surface they hit is what matters there.
    fn mean(&self, at: usize) -> Vec3 {
        let (world, camera) = (self.world, self.camera);
        let (middle, samples) = (self.middles[at].colour, self.offsets.len() as f32);
        if self.middles[at].varied {
            let others = mean(world, camera, at % self.width, at / self.width, self.offsets);
            return (others * samples + middle) / (samples + 1.0);
        }
        let centre = Vec2::new((at % self.width) as f32, (at / self.width) as f32);
        let spread = 1.0 / camera.focal.x.abs();
        let mut sum = middle;
        for (s, offset) in self.offsets.iter().enumerate() {
            let ray = camera.ray(centre + *offset);
            let hit = world.hit(ray.origin, ray.direction, 0.0);
            let known = std::iter::once(at).chain(self.beside(at)).find(|next| self.middles[*next].shows(&hit));
            sum += known.map_or_else(
                || {
                    let on_light = Vec2::new((s as f32 + 0.5) / samples, (s as f32 * 0.618_034).fract());
                    world.colour(&hit, ray.direction, spread, on_light, 1).min(BRIGHTEST)
                },
                |next| self.middles[next].colour,
            );
        }
        sum / (samples + 1.0)
    }
}

fn at_edges(world: &World, camera: &Eye, offsets: &[Vec2], threads: usize) -> (Vec<Vec3>, Vec<f32>) {
    let (width, height) = (camera.width as usize, camera.height as usize);
    let spread = 1.0 / camera.focal.x.abs();
    let rows = parallel::map(height, threads, |y| {
        let row = (0..width).map(|x| {
            let ray = camera.ray(Vec2::new(x as f32, y as f32));
            let hit = world.hit(ray.origin, ray.direction, 0.0);
            // The middle of the light.
            let colour = world.colour(&hit, ray.direction, spread, Vec2::ZERO, 1).min(BRIGHTEST);
            Middle::new(world, &hit, colour)
        });
        row.collect::<Vec<Middle>>()
    });
    let middles: Vec<Middle> = rows.into_iter().flatten().collect();
    let mut colours: Vec<Vec3> = middles.iter().map(|middle| middle.colour).collect();
    let mut sketch = Sketch { world, camera, offsets, width, middles };
    let mut chosen = sketch.edges();
    let mut open: Vec<usize> = (0..width * height).filter(|at| chosen[*at]).collect();
    // Soft shadows and thin things go on beside the pixels where they show: follow them until there is no difference.
    while !open.is_empty() {
        let chunks: Vec<&[usize]> = open.chunks(CHUNK).collect();
        let means = parallel::map(chunks.len(), threads, |i| {
            chunks[i].iter().map(|at| sketch.mean(*at)).collect::<Vec<Vec3>>()
        });
        let mut next = Vec::new();
        for (at, colour) in open.iter().copied().zip(means.into_iter().flatten()) {
            colours[at] = colour;
            if (look(world, colour) - sketch.middles[at].look).abs().max_element() <= SPREAD {
                continue;
            }
            for beside in sketch.beside(at) {
                if !chosen[beside] {
                    chosen[beside] = true;
                    next.push(beside);
                }
            }
        }
        open = next;
    }
    (colours, sketch.middles.into_iter().map(|middle| middle.depth).collect())
}
