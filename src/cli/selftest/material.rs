//! What checks run on: a small procedural scene and networks.

use glam::Vec2;
use gnt::{Config, Model, ViewAttentionKind, sampling};
use layers::params::SplitMix;
use scene::procedural::{Rig, RigKind, World, cameras, render};
use scene::{Camera, Image, Ray};

/// Size of the sources: odd, so that no tile is full.
const SIZE: (u32, u32) = (65, 49);
/// Source views that checks need.
pub const VIEWS: usize = 10;

/// Source views and a target.
pub struct Material {
    /// Cameras and photographs.
    pub sources: Vec<(Camera, Image)>,
    /// Camera of the target view.
    pub target: Camera,
    /// Its photograph.
    pub photograph: Image,
    /// Its z-depths `[height, width]`.
    pub depth: Vec<f32>,
    /// Near and far bound. The near one is so close to the cameras that no source sees the first samples.
    pub depth_range: (f32, f32),
}

impl Material {
    /// Renders it, with so many source views.
    pub fn new(views: usize) -> Self {
        let (world, seed) = (World::random(7, RigKind::Forward), 7);
        let (width, height) = SIZE;
        let rig = Rig { width, height, views: views + 1, kind: RigKind::Forward, samples_per_pixel: 1 };
        let mut views = cameras(&world, &rig, seed).into_iter().map(|camera| (camera, render(&world, &camera, 1)));
        let (target, (photograph, depth)) = views.next().expect("the rig has a view");
        let sources = views.map(|(camera, (image, _))| (camera, image)).collect();
        let nearest = depth.iter().copied().fold(f32::INFINITY, f32::min);
        let farthest = depth.iter().copied().filter(|z| z.is_finite()).fold(0.0, f32::max);
        Self { sources, target, photograph, depth, depth_range: (0.3 * nearest, 1.5 * farthest.max(2.0 * nearest)) }
    }

    /// Rays all over the target, and some beyond its edges that fewer views see.
    pub fn rays(&self, count: usize) -> Vec<Ray> {
        let (width, height) = (self.target.width as f32, self.target.height as f32);
        let at = |i: usize| {
            let share = (i as f32 + 0.5) / count as f32;
            // Golden-ratio steps in x: no two rays share a column.
            Vec2::new((1.3 * (i as f32 * 0.618_034).fract() - 0.15) * width, (1.2 * share - 0.1) * height)
        };
        (0..count).map(|i| self.target.ray(at(i))).collect()
    }

    /// Depths of `samples` samples.
    pub fn depths(&self, samples: usize) -> Vec<f32> {
        sampling::inverse_depth(self.depth_range.0, self.depth_range.1, samples)
    }
}

/// A network to test.
pub struct Network {
    /// Its name in the table.
    pub name: String,
    /// Its structure.
    pub model: Model,
    /// Its parameters.
    pub params: Vec<f32>,
    /// Whether its colours mean anything.
    pub trained: bool,
}

impl Network {
    /// A network that is in the program.
    ///
    /// # Errors
    /// If the program was built with another one.
    pub fn built_in(name: &str) -> gnt::Result<Self> {
        let (model, params, name) = gnt::builtin::load(name)?;
        Ok(Self { name, model, params, trained: true })
    }

    /// A network of these sizes, all of whose parameters take part: biases start at zero otherwise.
    ///
    /// # Errors
    /// If the sizes are none.
    pub fn random(name: &str, config: Config, seed: u64) -> gnt::Result<Self> {
        let model = Model::new(config)?;
        let mut rng = SplitMix(seed);
        let start = model.layout.initialise(seed ^ 4);
        let params = start.iter().map(|p| p * 1.5 + 0.05 * (rng.uniform() - 0.5)).collect();
        Ok(Self { name: format!("random {name}"), model, params, trained: false })
    }

    /// Whether there are codes of one bit a channel: the sign of a projection that lies within rounding of zero may be
    /// another one on another device, and what follows on that ray too.
    pub fn has_codes(&self) -> bool {
        let config = &self.model.config;
        config.view_attention == ViewAttentionKind::Hamming || config.ray_attention != gnt::RayAttentionKind::Softmax
    }
}

/// The networks in the program, and random ones of the official and the built-in sizes, dense and ShiftAdd; those of the
/// official sizes with fewer blocks where it must be `quick`.
///
/// # Errors
/// If one cannot be made.
pub fn networks(quick: bool) -> gnt::Result<Vec<Network>> {
    let official = Config::official(if quick { 2 } else { 8 });
    let mut all: Vec<Network> =
        gnt::builtin::NAMES.iter().map(|name| Network::built_in(name)).collect::<Result<_, _>>()?;
    for (name, config) in [
        ("official", official),
        ("official ShiftAdd", official.shift_add()),
        ("compact", Config::compact()),
        ("compact ShiftAdd", Config::compact().shift_add()),
    ] {
        all.push(Network::random(name, config, 9)?);
    }
    Ok(all)
}
