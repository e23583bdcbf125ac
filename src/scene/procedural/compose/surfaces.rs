//! Materials of what surrounds a world: walls, grounds and skies.

use crate::procedural::Material;
use crate::procedural::palette::srgb;
use crate::procedural::recipes::Builder;
use crate::procedural::texture::Pattern;
use glam::Vec3;

/// A texture of `feature` pixels on a large surface at `distance`.
pub(super) fn large(b: &mut Builder, distance: f32) -> u32 {
    let pixel = distance * b.spread;
    let feature = pixel * b.rng.log_range(6.0, 120.0);
    let plain = b.rng.chance(0.3);
    let mut texture = if plain {
        // Plain walls are common, and hard: nothing to match.
        let pattern = if b.rng.chance(0.5) { Pattern::Flat } else { Pattern::Clouds { octaves: 3, gain: 0.5 } };
        let mut t = b.palette.with_pattern(&mut b.rng, pattern, feature * 2.0, pixel);
        t.grain = t.grain.min(0.08);
        t
    } else {
        b.palette.texture(&mut b.rng, feature, pixel)
    };
    // Walls and grounds are rarely as gaudy as things.
    let dull = b.rng.range(0.0, 0.8);
    for colour in &mut texture.colours {
        *colour = colour.lerp(Vec3::splat(colour.dot(Vec3::new(0.3, 0.6, 0.1))), dull);
    }
    if plain { b.finish_plain(texture, pixel) } else { b.finish(texture, pixel) }
}

/// The painted sky of a dome.
pub(super) fn sky(b: &mut Builder) -> u32 {
    let rng = &mut b.rng;
    let dusk = rng.chance(0.2);
    let zenith = if dusk { Vec3::new(0.10, 0.12, 0.25) } else { Vec3::new(0.12, 0.26, 0.6) } * rng.range(0.7, 1.5);
    let horizon = if dusk { Vec3::new(0.8, 0.45, 0.25) } else { Vec3::new(0.6, 0.68, 0.78) };
    let green = srgb(rng.pick(&[[70, 96, 50], [96, 110, 66], [120, 104, 80], [60, 76, 60], [130, 126, 120]]));
    let clouds = rng.range(0.1, 0.85);
    let pattern = Pattern::Sky { hills: rng.count(1, 4) as u32, clouds };
    let mut texture = b.palette.with_pattern(rng, pattern, 1.0, 1.0);
    texture.frequency = Vec3::ONE;
    texture.grain = 0.0;
    texture.colours = [zenith, green, green * 0.35, horizon];
    b.push(Material {
        texture,
        specular: 0.0,
        shininess: 1.0,
        mirror: 0.0,
        emissive: true,
        bump: 0.0,
        bump_frequency: 1.0,
    })
}
