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

/// A thread's own memory.
#[derive(Default)]
struct Scratch {
    ray: RayScratch,
    out: RayOutput,
    depths: Vec<f32>,
    density: Vec<f32>,
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
            self.engine.render_ray(self.sources, &ray, &depths, depth_range, &mut scratch.ray, &mut scratch.out);
            weights.copy_from_slice(&scratch.out.weights);
        });
        guide.weights = weights;
        guide
    }

    /// Ray of pixel `(x, y)` of the image.
    fn ray(&self, x: u32, y: u32) -> Ray {
        let stride = self.settings.stride;
        self.camera.ray(Vec2::new((x * stride) as f32, (y * stride) as f32))
    }

    /// Casts the ray of pixel `(x, y)`; tells its depth and its confidence, which is 0 where it is not wanted. `scratch.out`
    /// is that of the last pass, and the scratch memory counts its rows alone.
    fn cast(&self, (x, y): (u32, u32), scratch: &mut Scratch) -> (f32, f32) {
        let Scratch { ray: rows, out, depths, density } = scratch;
        let ray = self.ray(x, y);
        let Settings { depth_range, confidence, .. } = *self.settings;
        let mut pass = |depths: &[f32], out: &mut RayOutput| -> (f32, f32) {
            rows.clear_routed();
            self.engine.render_ray(self.sources, &ray, depths, depth_range, rows, out);
            let depth = depths.iter().zip(&out.weights).map(|(z, w)| z * w).sum();
            (depth, if confidence { tiles::confidence(depths, &out.weights, depth_range) } else { 0.0 })
        };
        if let Some(guide) = &self.guide {
            depths.clear();
            let stride = self.settings.stride;
            guide.depths((x * stride, y * stride), self.settings.samples, density, depths);
            return pass(depths, out);
        }
        let found = pass(&self.coarse, out);
        if self.settings.importance == 0 {
            return found;
        }
        let fine = sampling::refine_inverse_depth(&self.coarse, &out.weights, &self.positions);
        pass(&fine, out)
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
        for i in 0..tile.depth.len() {
            let (x, y) = ((tile.first + i) as u32 % width, (tile.first + i) as u32 / width);
            let (z, confidence) = caster.cast((x, y), scratch);
            tile.rgb[3 * i..3 * i + 3].copy_from_slice(&scratch.out.rgb);
            tile.depth[i] = z;
            tile.range[i] = z * caster.ray(x, y).direction.length();
            if let Some(place) = tile.confidence.get_mut(i) {
                *place = confidence;
            }
            if let Some(share) = tile.multiplied.get_mut(i) {
                *share = expert_shares::add(&mut tile.parts, scratch.ray.routed());
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
    // The first ray makes the buffers.
    caster.cast((width / 2, height / 2), &mut scratch);
    scratch.ray.timing = Some(Default::default());
    for i in 0..u64::from(width) * u64::from(height) {
        caster.cast(spread(i, width, height), &mut scratch);
        if started.elapsed().as_secs_f64() > PROFILE_SECONDS {
            break;
        }
    }
    scratch.ray.timing.unwrap_or_default()
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
