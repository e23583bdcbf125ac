//! Hashed lattice noise. Octaves finer than a pixel are faded out, since they would alias differently in every view.

use glam::{Mat3, Vec2, Vec3};

/// A well-mixed hash of a lattice point.
pub(super) fn hash(x: i32, y: i32, z: i32, seed: u32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x8da6_b343)
        ^ (y as u32).wrapping_mul(0xd816_3841)
        ^ (z as u32).wrapping_mul(0xcb1a_b31f)
        ^ seed.wrapping_mul(0x9e37_79b9);
    h ^= h >> 15;
    h = h.wrapping_mul(0x2c1b_3c6d);
    h ^= h >> 12;
    h = h.wrapping_mul(0x297a_2d39);
    h ^ (h >> 15)
}

/// Calls a function that is compiled for AVX2 as well, where the processor has it. Hashing a cell's corners is most of a
/// texture's cost and fits one of its registers; without fused products the results are the same to the bit.
macro_rules! vectorised {
    ($body:ident($($argument:ident),*) -> $result:ty [$($name:ident: $kind:ty),*]) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn wide($($name: $kind),*) -> $result {
                $body($($name),*)
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2, as was just asked; the function needs nothing else.
                return unsafe { wide($($argument),*) };
            }
        }
        $body($($argument),*)
    }};
}

/// A hash as a number in `[0, 1)`.
pub(super) fn unit(hash: u32) -> f32 {
    (hash >> 8) as f32 * (1.0 / (1u32 << 24) as f32)
}

/// The next integer below. Without SSE4.1 `f32::floor` is a call, and textures ask for little else.
pub(super) fn floor(x: f32) -> i32 {
    let i = x as i32;
    i.wrapping_sub(i32::from(x < i as f32))
}

/// Value noise in `[-1, 1]` with unit lattice spacing.
pub(super) fn noise(p: Vec3, seed: u32) -> f32 {
    vectorised!(noise_by(p, seed) -> f32 [p: Vec3, seed: u32])
}

/// Numbers in `[0, 1)` at the eight corners of a cell, as [`hash`] has them: x runs fastest, then y, then z.
#[inline(always)]
fn corners((x, y, z): (i32, i32, i32), seed: u32) -> [f32; 8] {
    // As in `hash`, with the multiples of the next lattice point by an addition.
    let along = |at: i32, factor: u32| {
        let low = (at as u32).wrapping_mul(factor);
        [low, low.wrapping_add(factor)]
    };
    let (xs, ys, zs) = (along(x, 0x8da6_b343), along(y, 0xd816_3841), along(z, 0xcb1a_b31f));
    let salt = seed.wrapping_mul(0x9e37_79b9);
    let mut h = [0u32; 8];
    for i in 0..8 {
        h[i] = xs[i & 1] ^ ys[i >> 1 & 1] ^ zs[i >> 2] ^ salt;
    }
    for h in &mut h {
        *h ^= *h >> 15;
        *h = h.wrapping_mul(0x2c1b_3c6d);
        *h ^= *h >> 12;
        *h = h.wrapping_mul(0x297a_2d39);
        *h ^= *h >> 15;
    }
    // 24 bits are no negative number, and signed ones become floats in one instruction.
    h.map(|h| (h >> 8) as i32 as f32 * (1.0 / (1u32 << 24) as f32))
}

#[inline(always)]
fn noise_by(p: Vec3, seed: u32) -> f32 {
    let (x, y, z) = (floor(p.x), floor(p.y), floor(p.z));
    let f = p - Vec3::new(x as f32, y as f32, z as f32);
    let s = f * f * f * (f * (f * 6.0 - Vec3::splat(15.0)) + Vec3::splat(10.0));
    let at = corners((x, y, z), seed);
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let rows: [f32; 4] = std::array::from_fn(|i| mix(at[2 * i], at[2 * i + 1], s.x));
    let (near, far) = (mix(rows[0], rows[1], s.y), mix(rows[2], rows[3], s.y));
    mix(near, far, s.z) * 2.0 - 1.0
}

/// Gradient of [`noise`].
pub(super) fn noise_gradient(p: Vec3, seed: u32) -> Vec3 {
    vectorised!(noise_gradient_by(p, seed) -> Vec3 [p: Vec3, seed: u32])
}

#[inline(always)]
fn noise_gradient_by(p: Vec3, seed: u32) -> Vec3 {
    let (x, y, z) = (floor(p.x), floor(p.y), floor(p.z));
    let f = p - Vec3::new(x as f32, y as f32, z as f32);
    let s = f * f * f * (f * (f * 6.0 - Vec3::splat(15.0)) + Vec3::splat(10.0));
    let slope = 30.0 * f * f * (f * (f - Vec3::splat(2.0)) + Vec3::ONE);
    let at = corners((x, y, z), seed);
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    // Corners in pairs along x: their difference is the slope in x, their mixture goes on in y and z.
    let rows: [(f32, f32); 4] = std::array::from_fn(|i| {
        let (a, b) = (at[2 * i], at[2 * i + 1]);
        (b - a, mix(a, b, s.x))
    });
    let along_x = mix(mix(rows[0].0, rows[1].0, s.y), mix(rows[2].0, rows[3].0, s.y), s.z);
    let along_y = mix(rows[1].1 - rows[0].1, rows[3].1 - rows[2].1, s.z);
    let along_z = mix(rows[2].1, rows[3].1, s.y) - mix(rows[0].1, rows[1].1, s.y);
    Vec3::new(along_x, along_y, along_z) * slope * 2.0
}

/// A rotation between octaves, so that lattice directions do not add up.
const TURN: Mat3 =
    Mat3::from_cols(Vec3::new(0.00, -0.80, -0.60), Vec3::new(0.80, 0.36, -0.48), Vec3::new(0.60, -0.48, 0.64));

/// Sum of `octaves` of noise, each twice as fine and `gain` times as strong; about `[-1, 1]`. `footprint` is the size
/// of a pixel in the units of `p`.
pub(super) fn fbm(p: Vec3, seed: u32, octaves: u32, gain: f32, footprint: f32) -> f32 {
    vectorised!(fbm_by(p, seed, octaves, gain, footprint) -> f32
        [p: Vec3, seed: u32, octaves: u32, gain: f32, footprint: f32])
}

#[inline(always)]
fn fbm_by(p: Vec3, seed: u32, octaves: u32, gain: f32, footprint: f32) -> f32 {
    let (mut p, mut amplitude, mut sum, mut total, mut width) = (p, 1.0, 0.0, 0.0, footprint);
    for octave in 0..octaves {
        total += amplitude * amplitude;
        let visible = ((0.9 - width) * 2.5).clamp(0.0, 1.0);
        if visible > 0.0 {
            sum += amplitude * visible * noise_by(p, seed.wrapping_add(octave));
        }
        p = TURN * p * 2.03 + Vec3::splat(17.3);
        amplitude *= gain;
        width *= 2.03;
    }
    sum / total.sqrt() * 1.4
}

/// Nearest and second nearest cell point of a jittered grid: distance to both, and the nearest cell's hash.
pub(super) fn cells(p: Vec2, seed: u32) -> (f32, f32, u32) {
    let base = Vec2::new(floor(p.x) as f32, floor(p.y) as f32);
    let (mut first, mut second, mut id) = (f32::MAX, f32::MAX, 0);
    for j in -1..=1 {
        for i in -1..=1 {
            let cell = base + Vec2::new(i as f32, j as f32);
            let h = hash(cell.x as i32, cell.y as i32, 0, seed);
            let point = cell + Vec2::new((h & 0xffff) as f32, (h >> 16) as f32) / 65536.0;
            let d = point.distance_squared(p);
            if d < first {
                (second, first, id) = (first, d, h);
            } else if d < second {
                second = d;
            }
        }
    }
    (first.sqrt(), second.sqrt(), id)
}

/// The cell of a line divided at irregular places: its number and the distance to its nearer end (cells are about 1
/// long).
pub(super) fn intervals(x: f32, seed: u32) -> (i32, f32) {
    let edge = |i: i32| i as f32 + 0.7 * (unit(hash(i, 7, 3, seed)) - 0.5);
    let mut i = floor(x);
    if x < edge(i) {
        i -= 1;
    } else if x >= edge(i + 1) {
        i += 1;
    }
    (i, (x - edge(i)).min(edge(i + 1) - x))
}
