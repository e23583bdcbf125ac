//! Primitives in a canonical box of ±1, each hit by a ray in the object's own space.

use super::noise::{hash, unit};
use super::sdf::Solid;
use glam::{Mat3, Quat, Vec2, Vec3};

/// Which part of a flat sheet is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cutout {
    Whole,
    Disc,
    /// A pointed outline along y, like a leaf.
    Leaf,
    /// A lattice with `count` openings a side and bars of the given share of a cell.
    Lattice {
        count: f32,
        bar: f32,
    },
    /// Rounded holes at random.
    Lace {
        count: f32,
        seed: u32,
    },
}

impl Cutout {
    fn covers(self, p: Vec2) -> bool {
        match self {
            Self::Whole => p.x.abs() <= 1.0 && p.y.abs() <= 1.0,
            Self::Disc => p.length_squared() <= 1.0,
            Self::Leaf => p.y.abs() <= 1.0 && p.x.abs() <= (1.0 - p.y * p.y) * (0.75 - 0.25 * p.y),
            Self::Lattice { count, bar } => {
                let q = (p * 0.5 + 0.5) * count;
                let f = q - q.floor();
                let open = f.x > bar && f.x < 1.0 - bar && f.y > bar && f.y < 1.0 - bar;
                Self::Whole.covers(p) && !open
            }
            Self::Lace { count, seed } => {
                let q = p * count;
                let cell = q.floor();
                let h = hash(cell.x as i32, cell.y as i32, 9, seed);
                let open = (q - cell - 0.5).length() < 0.2 + 0.25 * unit(h);
                Self::Whole.covers(p) && !open
            }
        }
    }
}

/// A shape inside the box of ±1.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Sphere,
    Cube,
    /// Radius 1 about y, with caps at ±1.
    Cylinder,
    /// Radius `top` at y = -1 growing to 1 at y = 1, with caps.
    Cone {
        top: f32,
    },
    /// In the plane z = 0.
    Sheet(Cutout),
    /// A signed distance; only with equal scales.
    Solid(Solid),
}

/// A shape placed in the world.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub shape: Shape,
    pub material: u32,
    pub scale: Vec3,
    centre: Vec3,
    local_from_world: Mat3,
    normal_from_local: Mat3,
    /// Half extents of the world-aligned bounding box.
    half: Vec3,
}

impl Object {
    pub fn new(shape: Shape, centre: Vec3, rotation: Quat, scale: Vec3, material: u32) -> Self {
        let scale = scale.max(Vec3::splat(1e-5));
        let rotation = Mat3::from_quat(rotation);
        let world_from_local = rotation * Mat3::from_diagonal(scale);
        let local_from_world = Mat3::from_diagonal(scale.recip()) * rotation.transpose();
        let m = world_from_local;
        let half = match shape {
            Shape::Sphere => {
                let rows = m.transpose();
                Vec3::new(rows.x_axis.length(), rows.y_axis.length(), rows.z_axis.length())
            }
            Shape::Sheet(_) => m.x_axis.abs() + m.y_axis.abs(),
            _ => m.x_axis.abs() + m.y_axis.abs() + m.z_axis.abs(),
        };
        // A little more, so that flat objects have a box that rays can enter.
        let half = half * 1.0005 + Vec3::splat(1e-5);
        let normal_from_local = local_from_world.transpose();
        Self { shape, material, scale, centre, local_from_world, normal_from_local, half }
    }

    /// World-aligned bounding box.
    pub fn bounds(&self) -> (Vec3, Vec3) {
        (self.centre - self.half, self.centre + self.half)
    }

    /// The object's own axes, in which [`Self::surface`] tells positions, in the world.
    pub fn axes(&self) -> Mat3 {
        (Mat3::from_diagonal(self.scale) * self.local_from_world).transpose()
    }

    /// First hit with parameter in `(low, high)`.
    pub fn hit(&self, origin: Vec3, direction: Vec3, low: f32, high: f32) -> Option<f32> {
        let o = self.local_from_world * (origin - self.centre);
        let d = self.local_from_world * direction;
        let within = |t: f32| (t > low && t < high).then_some(t);
        match &self.shape {
            Shape::Sphere => {
                let (a, b) = (d.length_squared(), o.dot(d));
                // From the closest point of the ray rather than b² - a·c, which cancels for distant spheres.
                let closest = o - d * (b / a);
                let gap = 1.0 - closest.length_squared();
                if gap < 0.0 {
                    return None;
                }
                let root = (gap / a).sqrt();
                within(-b / a - root).or_else(|| within(-b / a + root))
            }
            Shape::Cube => {
                let (enter, exit) = slab(o, d.recip(), Vec3::ONE);
                if enter > exit { None } else { within(enter).or_else(|| within(exit)) }
            }
            Shape::Cylinder => round_hit(o, d, 1.0, within),
            Shape::Cone { top } => round_hit(o, d, *top, within),
            Shape::Sheet(cutout) => {
                let t = within(-o.z / d.z)?;
                let p = o + d * t;
                cutout.covers(Vec2::new(p.x, p.y)).then_some(t)
            }
            Shape::Solid(solid) => {
                let (enter, exit) = slab(o, d.recip(), Vec3::ONE);
                let (enter, exit) = (enter.max(low), exit.min(high));
                if enter >= exit { None } else { solid.trace(o, d, enter, exit) }
            }
        }
    }

    /// Of a hit: position in the object's axes (world units), normal there, and unit outward normal in the world.
    pub fn surface(&self, point: Vec3) -> (Vec3, Vec3, Vec3) {
        let p = self.local_from_world * (point - self.centre);
        let local = match &self.shape {
            Shape::Sphere => p,
            Shape::Cube => face_of(p),
            Shape::Cylinder if p.y.abs() > 0.9995 => Vec3::new(0.0, p.y.signum(), 0.0),
            Shape::Cylinder => Vec3::new(p.x, 0.0, p.z),
            Shape::Cone { .. } if p.y.abs() > 0.9995 => Vec3::new(0.0, p.y.signum(), 0.0),
            Shape::Cone { top } => {
                let r = Vec2::new(p.x, p.z).length().max(1e-6);
                Vec3::new(p.x / r, -0.5 * (1.0 - top), p.z / r)
            }
            Shape::Sheet(_) => Vec3::Z,
            Shape::Solid(solid) => solid.normal(p),
        };
        (p * self.scale, local, (self.normal_from_local * local).normalize_or(Vec3::Z))
    }
}

/// The axis of the cube's face nearest to `p`.
pub(super) fn face_of(p: Vec3) -> Vec3 {
    let a = p.abs();
    if a.x > a.y && a.x > a.z {
        Vec3::new(p.x.signum(), 0.0, 0.0)
    } else if a.y > a.z {
        Vec3::new(0.0, p.y.signum(), 0.0)
    } else {
        Vec3::new(0.0, 0.0, p.z.signum())
    }
}

/// Entry and exit of a box of ±`half`; entry > exit for a miss.
pub(super) fn slab(o: Vec3, inverse: Vec3, half: Vec3) -> (f32, f32) {
    let (a, b) = ((-half - o) * inverse, (half - o) * inverse);
    (a.min(b).max_element(), a.max(b).min_element())
}

/// Cylinder (`top` = 1) or truncated cone about y.
fn round_hit(o: Vec3, d: Vec3, top: f32, within: impl Fn(f32) -> Option<f32>) -> Option<f32> {
    // Radius at height y is `m + k·y`.
    let (k, m) = (0.5 * (1.0 - top), 0.5 * (1.0 + top));
    let (r, dr) = (m + k * o.y, k * d.y);
    let a = d.x * d.x + d.z * d.z - dr * dr;
    let b = o.x * d.x + o.z * d.z - r * dr;
    let c = o.x * o.x + o.z * o.z - r * r;
    let mut best = f32::INFINITY;
    let disc = b * b - a * c;
    if disc >= 0.0 && a.abs() > 1e-12 {
        let root = disc.sqrt();
        for t in [(-b - root) / a, (-b + root) / a] {
            let y = o.y + d.y * t;
            if y.abs() <= 1.0 && m + k * y >= 0.0 && t < best && within(t).is_some() {
                best = t;
            }
        }
    }
    for (y, radius) in [(-1.0, top), (1.0, 1.0)] {
        let t = (y - o.y) / d.y;
        let (x, z) = (o.x + d.x * t, o.z + d.z * t);
        if x * x + z * z <= radius * radius && t < best && within(t).is_some() {
            best = t;
        }
    }
    best.is_finite().then_some(best)
}
