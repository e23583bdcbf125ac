//! Frequency encodings.

use crate::config::Position;
use glam::Vec3;

/// `[x, sin(2⁰x), cos(2⁰x), …, sin(2ⁿ⁻¹x), cos(2ⁿ⁻¹x)]` of each component of `x`, frequency by frequency; no factor π.
///
/// The library sine is used on purpose: at depth 40 the highest of ten octaves reaches 2·10⁴ rad, where fast
/// approximations without full range reduction are wrong.
pub fn frequencies(x: &[f32], octaves: usize, out: &mut [f32]) {
    let n = x.len();
    out[..n].copy_from_slice(x);
    for k in 0..octaves {
        let scale = (1u32 << k) as f32;
        let at = n + 2 * n * k;
        for (i, x) in x.iter().enumerate() {
            let (sin, cos) = (x * scale).sin_cos();
            out[at + i] = sin;
            out[at + n + i] = cos;
        }
    }
}

/// The encoding of one sample, `position.channels()` values.
///
/// - `direction`: the ray's, of any length
/// - `depth_range`: `(near, far)`, used by [`Position::Ray`]
pub fn sample(position: Position, point: Vec3, direction: Vec3, z: f32, depth_range: (f32, f32), out: &mut [f32]) {
    match position {
        Position::World { frequencies: octaves } => {
            let (a, b) = out.split_at_mut(3 + 6 * octaves);
            frequencies(&point.to_array(), octaves, a);
            frequencies(&direction.normalize().to_array(), octaves, b);
        }
        Position::Ray { frequencies: octaves } => {
            frequencies(&[std::f32::consts::PI * nearness(z, depth_range)], octaves, out)
        }
    }
}

/// Normalised inverse depth: 1 at the near bound, 0 at the far bound.
pub fn nearness(z: f32, (near, far): (f32, f32)) -> f32 {
    (1.0 / z - 1.0 / far) / (1.0 / near - 1.0 / far)
}
