//! Light of a world: one source with shadows, a fill, and ambient light.

use crate::procedural::rng::Rng;
use crate::procedural::{Enclosure, Light, Lighting};
use glam::{Mat4, Vec3};

pub(super) fn lighting(rng: &mut Rng, enclosure: &Enclosure, reach: f32) -> Lighting {
    let warm = |rng: &mut Rng, amount: f32| {
        let t = rng.range(-amount, amount);
        Vec3::new(1.0 + t, 1.0, 1.0 - t)
    };
    let from_above = |rng: &mut Rng| {
        let d = rng.direction();
        Vec3::new(d.x, -d.y.abs() - 0.25, d.z - 0.4).normalize_or(Vec3::NEG_Y)
    };
    let near = match enclosure {
        Enclosure::Room { .. } => rng.chance(0.6),
        Enclosure::Dome { .. } => rng.chance(0.1),
    };
    let towards = from_above(rng);
    let key = match enclosure {
        Enclosure::Room { min, max, .. } if near => {
            let share = Vec3::new(rng.range(0.15, 0.85), rng.range(0.05, 0.25), rng.range(0.1, 0.8));
            Light::Near { at: *min + (*max - *min) * share, reach }
        }
        _ => Light::Distant { towards },
    };
    let overcast = rng.unit();
    let ambient = 0.25 + 0.55 * overcast;
    Lighting {
        key,
        key_colour: warm(rng, 0.15) * rng.range(0.6, 1.6),
        key_size: rng.log_range(0.004, 0.08),
        fill: Mat4::from_rotation_y(rng.range(-2.0, 2.0)).transform_vector3(towards),
        fill_colour: warm(rng, 0.2) * rng.range(0.0, 0.35),
        above: warm(rng, 0.12) * ambient,
        below: warm(rng, 0.15) * ambient * rng.range(0.3, 0.8),
        exposure: 1.0,
    }
}
