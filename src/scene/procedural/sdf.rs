//! Solids given by a signed distance, hit by bounded sphere tracing.

use super::noise::fbm;
use glam::{Vec2, Vec3};

/// A solid inside the box of ±1, given by (a lower bound of) the distance to its surface.
#[derive(Clone, Debug)]
pub(super) enum Solid {
    /// Balls (centre, radius) melted together with blending radius `blend`.
    Blobs {
        balls: Vec<(Vec3, f32)>,
        blend: f32,
    },
    RoundBox {
        half: Vec3,
        radius: f32,
    },
    /// A ring about the y axis.
    Torus {
        major: f32,
        minor: f32,
    },
    /// A rounded bar along y, turned by `rate` radians per unit.
    Twisted {
        half: Vec2,
        rate: f32,
    },
    /// A ball with noise on it.
    Rock {
        amount: f32,
        frequency: f32,
        seed: u32,
    },
    /// Turned about y; the radius swings along the height.
    Vase {
        belly: f32,
        waves: f32,
        phase: f32,
    },
    /// A tapered bent tube: points with radii, joined in order.
    Horn {
        joints: Vec<(Vec3, f32)>,
    },
    /// A fluted ball: ribs around y, like a pumpkin.
    Ribbed {
        ribs: f32,
        depth: f32,
        flat: f32,
    },
}

/// Steps of sphere tracing; grazing rays that need more are taken as misses.
const MAX_STEPS: usize = 72;
/// Distance that counts as a hit, in the solid's own units.
const TOUCH: f32 = 4e-4;

impl Solid {
    fn distance(&self, p: Vec3) -> f32 {
        match self {
            Self::Blobs { balls, blend } => {
                let mut d = f32::MAX;
                for (centre, radius) in balls {
                    let e = p.distance(*centre) - radius;
                    // Polynomial smooth minimum (Quilez).
                    let h = (blend - (d - e).abs()).max(0.0);
                    d = d.min(e) - h * h * 0.25 / blend;
                }
                d
            }
            Self::RoundBox { half, radius } => {
                let q = p.abs() - (*half - Vec3::splat(*radius));
                q.max(Vec3::ZERO).length() + q.max_element().min(0.0) - radius
            }
            Self::Torus { major, minor } => Vec2::new(Vec2::new(p.x, p.z).length() - major, p.y).length() - minor,
            Self::Twisted { half, rate } => {
                let (s, c) = (p.y * rate).sin_cos();
                let q = Vec2::new(c * p.x - s * p.z, s * p.x + c * p.z).abs() - *half;
                let q = q.extend(p.y.abs() - 0.93);
                q.max(Vec3::ZERO).length() + q.max_element().min(0.0) - 0.05
            }
            Self::Rock { amount, frequency, seed } => {
                let d = p.length() - 0.99 + amount;
                // Far from the surface the noise does not matter and costs the most.
                if d > 2.0 * amount {
                    d - amount
                } else {
                    d - amount * fbm(p * *frequency, *seed, 3, 0.5, 0.0).clamp(-1.0, 1.0)
                }
            }
            Self::Vase { belly, waves, phase } => {
                let r = belly + (0.95 - belly) * 0.5 * (1.0 + (p.y * waves + phase).sin()) * 0.9;
                let q = Vec2::new(p.x, p.z).length();
                let wall = ((q - r).abs() - 0.04).max(p.y.abs() - 0.98);
                let bottom = (q - r).max((p.y - 0.94).abs() - 0.04);
                wall.min(bottom)
            }
            Self::Horn { joints } => {
                let mut d = f32::MAX;
                for pair in joints.windows(2) {
                    let ((a, ra), (b, rb)) = (pair[0], pair[1]);
                    let ab = b - a;
                    let t = ((p - a).dot(ab) / ab.length_squared()).clamp(0.0, 1.0);
                    d = d.min(p.distance(a + ab * t) - (ra + (rb - ra) * t));
                }
                d
            }
            Self::Ribbed { ribs, depth, flat } => {
                let q = Vec3::new(p.x, p.y / flat, p.z);
                let rib = (ribs * p.z.atan2(p.x)).sin().abs();
                (q.length() - 0.97 + depth * (1.0 - rib)) * flat
            }
        }
    }

    /// The share of the bound that may be stepped without passing through the surface.
    fn stride(&self) -> f32 {
        match self {
            Self::Blobs { .. } | Self::RoundBox { .. } | Self::Torus { .. } => 1.0,
            Self::Horn { .. } => 0.9,
            Self::Twisted { half, rate } => 1.0 / (1.0 + rate.abs() * half.length() * 0.8),
            Self::Rock { amount, frequency, .. } => 1.0 / (1.0 + 1.6 * amount * frequency),
            Self::Vase { belly, waves, .. } => 1.0 / (1.0 + 0.45 * (0.95 - belly) * waves),
            Self::Ribbed { ribs, depth, .. } => 1.0 / (1.0 + 1.5 * ribs * depth),
        }
    }

    /// First surface between `enter` and `exit` along `o + d·t`.
    pub fn trace(&self, o: Vec3, d: Vec3, enter: f32, exit: f32) -> Option<f32> {
        let scale = self.stride() / d.length();
        let mut t = enter;
        // A ray that starts inside leaves first: the sign at the start tells the side.
        let side = if self.distance(o + d * t) < 0.0 { -1.0 } else { 1.0 };
        for _ in 0..MAX_STEPS {
            let distance = side * self.distance(o + d * t);
            if distance < TOUCH {
                return Some(t);
            }
            t += distance * scale;
            if t > exit {
                return None;
            }
        }
        None
    }

    /// Gradient by differences at the corners of a tetrahedron.
    pub fn normal(&self, p: Vec3) -> Vec3 {
        const CORNERS: [Vec3; 4] = [
            Vec3::new(1.0, -1.0, -1.0),
            Vec3::new(-1.0, -1.0, 1.0),
            Vec3::new(-1.0, 1.0, -1.0),
            Vec3::new(1.0, 1.0, 1.0),
        ];
        let sum: Vec3 = CORNERS.iter().map(|c| *c * self.distance(p + *c * 1e-3)).sum();
        sum.normalize_or(Vec3::Y)
    }
}
