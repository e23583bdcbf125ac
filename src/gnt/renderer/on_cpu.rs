//! The rays of a frame on the processor.

use super::expert_shares::{self, ExpertShares};
use super::{Rendered, Settings, Stop, tiles};
use crate::engine::{Engine, PreparedSource, RayOutput, RayScratch};
use crate::guided::{Guide, Guided};
use crate::stage::Stage;
use crate::{FeedForwardKind, sampling};
use compute::parallel;
use glam::Vec2;
use scene::{Camera, Image, Ray};
use std::time::Instant;

/// Pixels of a tile: neighbours read neighbouring pixels of the sources, and tiles are many enough for all cores.
const TILE: usize = 64;

/// One tile's share of a frame.
struct Tile<'a> {
    first: usize,
    rgb: &'a mut [f32],
    depth: &'a mut [f32],
    range: &'a mut [f32],
    /// Empty where the confidence is not wanted.
    confidence: &'a mut [f32],
    /// Empty where the routing is not wanted.
    multiplied: &'a mut [f32],
    /// Rows of the tile's rays, as [`ExpertShares::parts`].
    parts: Vec<[u64; 2]>,
}

/// How the rays of a frame are cast: in one pass, guided by coarse rays or not, or in two.
struct Caster<'a> {
    engine: &'a Engine,
    sources: &'a [&'a PreparedSource],
    camera: &'a Camera,
    settings: &'a Settings,
    stop: Stop<'a>,
    /// Depths of the first pass.
    coarse: Vec<f32>,
    /// Where the second pass reads the first one's distribution; empty without a second pass.
    positions: Vec<f32>,
    /// What coarse rays found; none without them.
    guide: Option<Guide>,
}

/// As many rays are cast together as have this many samples: enough that the cost of a call is small, few enough to stay in the
/// first two cache levels.
const TOGETHER: usize = 96;

/// How many rays of `samples` samples each are cast together on the processor.
pub fn together(samples: usize) -> usize {
    (TOGETHER / samples).max(1)
}

/// A thread's own memory.
#[derive(Default)]
struct Scratch {
    few: RayScratch,
    rays: Vec<Ray>,
    /// What the last pass found of each ray.
    out: Vec<RayOutput>,
    depths: Vec<f32>,
    density: Vec<f32>,
    /// Depth and confidence of each ray.
    found: Vec<(f32, f32)>,
}

impl<'a> Caster<'a> {
    fn new(
        engine: &'a Engine,
        sources: &'a [&'a PreparedSource],
        camera: &'a Camera,
        settings: &'a Settings,
        stop: Stop<'a>,
    ) -> Self {
        let (near, far) = settings.depth_range;
        let coarse = sampling::inverse_depth(near, far, settings.samples);
        let positions = sampling::linspace(settings.importance);
        let mut caster = Self { engine, sources, camera, settings, stop, coarse, positions, guide: None };
        caster.guide = settings.guided.map(|how| caster.look_ahead(how));
        caster
    }

    /// Casts the coarse rays, or as many as there is time for.
    fn look_ahead(&self, how: Guided) -> Guide {
        let (camera, Settings { stride, depth_range, .. }) = (self.camera, *self.settings);
        let mut guide = Guide::new(how, (camera.width, camera.height), stride, depth_range);
        let mut weights = std::mem::take(&mut guide.weights);
        let depths = guide.coarse_depths();
        let mut rays: Vec<&mut [f32]> = weights.chunks_mut(how.coarse).collect();
        parallel::for_each_with(&mut rays, self.settings.threads, Scratch::default, |scratch, i, weights| {
            if (self.stop)() {
                return;
            }
            let (x, y) = guide.pixel(i);
            let ray = camera.ray(Vec2::new(x as f32, y as f32));
            scratch.out.resize_with(scratch.out.len().max(1), RayOutput::default);
            let out = &mut scratch.out[0];
            self.engine.render_ray(self.sources, &ray, &depths, depth_range, &mut scratch.few, out);
            weights.copy_from_slice(&out.weights);
        });
        guide.weights = weights;
        guide
    }

    /// Samples of a ray in the longest pass.
    fn samples(&self) -> usize {
        self.settings.samples + if self.guide.is_none() { self.settings.importance } else { 0 }
    }

    /// Ray of pixel `(x, y)` of the image.
    fn ray(&self, x: u32, y: u32) -> Ray {
        let stride = self.settings.stride;
        self.camera.ray(Vec2::new((x * stride) as f32, (y * stride) as f32))
    }

    /// Casts the rays of `pixels`, at most as many as [`together`] says, to the start of `scratch.out` and `scratch.found`. The
    /// confidence is 0 where it is not wanted; rows are counted of the last pass alone.
    fn cast(&self, pixels: impl Iterator<Item = (u32, u32)>, scratch: &mut Scratch) {
        let Scratch { few, rays, out, depths, density, found } = scratch;
        let Settings { depth_range, confidence, stride, samples, importance, .. } = *self.settings;
        rays.clear();
        depths.clear();
        for (x, y) in pixels {
            rays.push(self.ray(x, y));
            match &self.guide {
                Some(guide) => guide.depths((x * stride, y * stride), samples, density, depths),
                None => depths.extend_from_slice(&self.coarse),
            }
        }
        out.resize_with(out.len().max(rays.len()), RayOutput::default);
        let out = &mut out[..rays.len()];
        self.engine.render_few(self.sources, rays, depths, depth_range, few, out);
        if self.guide.is_none() && importance > 0 {
            depths.clear();
            for out in &*out {
                depths.extend(sampling::refine_inverse_depth(&self.coarse, &out.weights, &self.positions));
            }
            self.engine.render_few(self.sources, rays, depths, depth_range, few, out);
        }
        found.clear();
        let samples = depths.len() / rays.len().max(1);
        found.extend(out.iter().zip(depths.chunks_exact(samples)).map(|(out, depths)| {
            let depth = depths.iter().zip(&out.weights).map(|(z, w)| z * w).sum();
            (depth, if confidence { tiles::confidence(depths, &out.weights, depth_range) } else { 0.0 })
        }));
    }
}

/// Casts the coarse rays of the whole picture of `camera` and nothing else.
pub(super) fn look_ahead(
    engine: &Engine,
    sources: &[&PreparedSource],
    camera: &Camera,
    settings: &Settings,
    how: Guided,
) -> Guide {
    let settings = Settings { guided: None, stride: 1, ..*settings };
    Caster::new(engine, sources, camera, &settings, &|| false).look_ahead(how)
}

/// Casts every `settings.stride`-th ray of `camera`.
pub fn render_rays(
    engine: &Engine,
    sources: &[&PreparedSource],
    camera: &Camera,
    settings: &Settings,
    progress: &(dyn Fn(usize) + Sync),
) -> Rendered {
    render_unless(engine, sources, camera, settings, progress, &|| false).expect("nothing stops it")
}

/// As [`render_rays`]; none if `stop` came first.
pub(super) fn render_unless(
    engine: &Engine,
    sources: &[&PreparedSource],
    camera: &Camera,
    settings: &Settings,
    progress: &(dyn Fn(usize) + Sync),
    stop: Stop,
) -> Option<Rendered> {
    let (width, height) = settings.size(camera);
    let rays = width as usize * height as usize;
    let mut image = Image::black(width, height);
    let (mut depth, mut range) = (vec![0.0; rays], vec![0.0; rays]);
    let mut confidence = vec![0.0; if settings.confidence { rays } else { 0 }];
    let mut confident = confidence.chunks_mut(TILE);
    let experts = matches!(engine.config().mlp, FeedForwardKind::Experts { .. });
    let mut routing = (settings.routing && experts).then(|| ExpertShares::new(engine.config().depth, rays));
    let mut multiplied = routing.as_mut().map(|routing| routing.multiplied.chunks_mut(TILE));
    let caster = Caster::new(engine, sources, camera, settings, stop);
    let mut tiles: Vec<Tile> = image
        .data
        .chunks_mut(3 * TILE)
        .zip(depth.chunks_mut(TILE))
        .zip(range.chunks_mut(TILE))
        .enumerate()
        .map(|(i, ((rgb, depth), range))| {
            let multiplied = multiplied.as_mut().and_then(Iterator::next).unwrap_or_default();
            let confidence = confident.next().unwrap_or_default();
            Tile { first: i * TILE, rgb, depth, range, confidence, multiplied, parts: Vec::new() }
        })
        .collect();
    parallel::for_each_with(&mut tiles, settings.threads, Scratch::default, |scratch, _, tile| {
        if stop() {
            return;
        }
        let together = together(caster.samples());
        for start in (0..tile.depth.len()).step_by(together) {
            let pixel = |i: usize| ((tile.first + i) as u32 % width, (tile.first + i) as u32 / width);
            let end = (start + together).min(tile.depth.len());
            caster.cast((start..end).map(pixel), scratch);
            for (i, (out, (z, confidence))) in (start..end).zip(scratch.out.iter().zip(&scratch.found)) {
                let (x, y) = pixel(i);
                tile.rgb[3 * i..3 * i + 3].copy_from_slice(&out.rgb);
                tile.depth[i] = *z;
                tile.range[i] = z * caster.ray(x, y).direction.length();
                if let Some(place) = tile.confidence.get_mut(i) {
                    *place = *confidence;
                }
                if let Some(share) = tile.multiplied.get_mut(i) {
                    *share = expert_shares::add(&mut tile.parts, &out.routed);
                }
            }
        }
        progress(tile.depth.len());
    });
    let parts: Vec<Vec<[u64; 2]>> = tiles.into_iter().map(|tile| tile.parts).collect();
    if let Some(routing) = &mut routing {
        for tile in &parts {
            expert_shares::add(&mut routing.parts, tile);
        }
    }
    (!stop()).then(|| Rendered { confidence, ..Rendered::new(image, depth, range, routing) })
}

/// Most seconds of [`stage_seconds`].
const PROFILE_SECONDS: f64 = 0.5;

/// Seconds that some rays, spread over the frame, spend in each [`Stage`] on one thread: all rays, or as many as half a
/// second allows, and one at least.
pub(super) fn stage_seconds(
    engine: &Engine,
    sources: &[&PreparedSource],
    camera: &Camera,
    settings: &Settings,
) -> [f64; Stage::ALL.len()] {
    let caster = Caster::new(engine, sources, camera, settings, &|| false);
    let (width, height) = settings.size(camera);
    let mut scratch = Scratch::default();
    let started = Instant::now();
    // The first rays make the buffers.
    let together = together(caster.samples()) as u64;
    caster.cast((0..together).map(|_| (width / 2, height / 2)), &mut scratch);
    scratch.few.timing = Some(Default::default());
    for i in 0..(u64::from(width) * u64::from(height)).div_ceil(together) {
        // Neighbours, as in a tile.
        let (x, y) = spread(i, width, height);
        caster.cast((0..together as u32).map(|next| ((x + next).min(width - 1), y)), &mut scratch);
        if started.elapsed().as_secs_f64() > PROFILE_SECONDS {
            break;
        }
    }
    scratch.few.timing.unwrap_or_default()
}

/// Pixel number `i` of a sequence whose every beginning is spread evenly over the image: the R2 sequence (M. Roberts, "The
/// unreasonable effectiveness of quasirandom sequences", 2018), made of the powers of the plastic ratio.
pub(super) fn spread(i: u64, width: u32, height: u32) -> (u32, u32) {
    const STEPS: [f64; 2] = [0.754_877_666_246_692_7, 0.569_840_290_998_053_2];
    let at = |step: f64, size: u32| {
        let part = (0.5 + i as f64 * step).fract();
        ((part * f64::from(size)) as u32).min(size - 1)
    };
    (at(STEPS[0], width), at(STEPS[1], height))
}
