//! Procedural scenes: seeded worlds of textured shapes, rendered by a small ray tracer and written in the LLFF layout or any other that is read.
//!
//! They train the networks without any photograph of a scene: what has to transfer is how views of one surface relate, so worlds
//! vary in texture, depth complexity and light rather than imitate any place. World axes: x right, y down, z forward.

mod album;
mod bvh;
mod capture;
mod compose;
mod layouts;
mod llff;
mod noise;
mod palette;
mod pixels;
mod points;
mod recipes;
mod rig;
mod rng;
mod sdf;
mod shape;
mod showcase;
mod swatch;
#[cfg(test)]
mod tests;
mod texture;
mod tracer;

pub use album::Album;
pub use capture::Capture;
pub use llff::{WriteOptions, is_complete, write_llff, write_llff_with};
pub use pixels::{render, render_with_threads};
pub use rig::{Rig, RigKind, cameras};

use bvh::Bvh;
use capture::Imperfections;
use glam::{Mat4, Vec3};
use texture::Texture;

/// How a surface looks.
#[derive(Clone, Debug)]
struct Material {
    texture: Texture,
    /// Strength and exponent of the highlight.
    specular: f32,
    shininess: f32,
    /// Share of light that is mirrored at a right angle; grows towards grazing angles.
    mirror: f32,
    /// Colour as seen, without light.
    emissive: bool,
    /// Tilts the normal by noise: strength, and bumps per world unit.
    bump: f32,
    bump_frequency: f32,
}

/// The one light that casts shadows.
#[derive(Clone, Copy, Debug)]
enum Light {
    /// Unit direction towards the light.
    Distant { towards: Vec3 },
    /// Position, and the distance at which it has its nominal strength.
    Near { at: Vec3, reach: f32 },
}

/// All light of a world.
#[derive(Clone, Debug)]
struct Lighting {
    key: Light,
    key_colour: Vec3,
    /// Size of the light, as the tangent of its half angle; 0 gives hard shadows.
    key_size: f32,
    /// Light without a shadow from this unit direction.
    fill: Vec3,
    fill_colour: Vec3,
    /// Ambient light from above and from below.
    above: Vec3,
    below: Vec3,
    /// Factor on the linear colour before the tone curve.
    exposure: f32,
}

/// What every ray hits in the end.
#[derive(Clone, Debug)]
enum Enclosure {
    /// The inside of a box; materials of -x, +x, -y (ceiling), +y (floor), -z, +z.
    Room { min: Vec3, max: Vec3, materials: [u32; 6] },
    /// A ball about the origin, and the ground at height `ground` (y points down).
    Dome { radius: f32, sky: u32, ground: f32, ground_material: u32 },
}

/// Where cameras belong.
#[derive(Clone, Copy, Debug)]
struct Stage {
    kind: RigKind,
    /// Pose of the middle of a forward rig.
    world_from_rig: Mat4,
    /// Point that an orbit looks at.
    centre: Vec3,
    /// Orbit: distance from the centre. Forward: distance of the nearest content, which bounds the baselines.
    distance: f32,
    /// Forward: distance of the content to converge to.
    focus: f32,
    /// Horizontal field of view.
    fov_rad: f32,
    /// Orbit: elevation above the horizon, and half the azimuth that is swept.
    elevation_rad: f32,
    sweep_rad: f32,
    /// Neighbouring views of a forward rig are this share of `distance` apart; random if absent.
    spacing: Option<f32>,
}

/// A world: shapes, surfaces, light and the place for cameras, all from a seed.
#[derive(Clone, Debug)]
pub struct World {
    bvh: Bvh,
    materials: Vec<Material>,
    enclosure: Enclosure,
    lighting: Lighting,
    stage: Stage,
    /// What its photographs have that computed pictures lack, if they are to look like photographs.
    imperfections: Option<Imperfections>,
}

/// What a random world follows from.
#[derive(Clone, Copy, Debug)]
pub struct WorldOptions<'a> {
    /// Equal seeds give equal worlds.
    pub seed: u64,
    /// The kind of capture that it is composed for.
    pub kind: RigKind,
    /// How its pictures are taken, and whether it is composed like the places that people take pictures of.
    pub capture: Capture,
    /// Photographic textures for most of its surfaces; without them all are procedural.
    pub album: Option<&'a Album>,
}

impl World {
    /// A random world with room for cameras of `kind`.
    pub fn random(seed: u64, kind: RigKind) -> Self {
        Self::compose(&WorldOptions { seed, kind, capture: Capture::Ideal, album: None })
    }

    /// A random world. Shapes, cameras and light do not depend on the album.
    pub fn compose(options: &WorldOptions) -> Self {
        compose::random(options)
    }

    /// A still life composed by hand, for demonstrations.
    pub fn showcase() -> Self {
        showcase::world()
    }

    /// Number of shapes, without the enclosure.
    pub fn num_objects(&self) -> usize {
        self.bvh.objects.len()
    }
}
