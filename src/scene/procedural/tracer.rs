//! Rays to colours and depths.

use super::noise::noise_gradient;
use super::shape::face_of;
use super::texture::Spot;
use super::{Enclosure, Light, Material, World};
use crate::{Camera, Image};
use glam::{Vec2, Vec3};

/// A surface seen by a ray.
pub(super) struct Hit {
    pub t: f32,
    point: Vec3,
    /// Normal of the surface, on the viewer's side.
    pub normal: Vec3,
    /// Position and normal in the object's axes.
    local: Vec3,
    local_normal: Vec3,
    pub material: u32,
    /// The object that was hit; none for the enclosure.
    pub object: Option<usize>,
}

/// Place on the light that one sample of a pixel asks for: share of its area inwards, and of a turn.
pub(super) type Jitter = Vec2;

/// How a camera's curve differs from [`tone`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ToneCurve {
    /// Exponent about middle grey, before the curve.
    pub contrast: f32,
    /// What black is stored as.
    pub lift: f32,
    pub saturation: f32,
}

/// A filmic curve (Hable's shape in the rational form of Narkowicz), then sRGB.
pub(super) fn tone(linear: f32) -> f32 {
    let x = (linear * 0.8).max(0.0);
    let mapped = (x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)).clamp(0.0, 1.0);
    if mapped <= 0.003_130_8 { mapped * 12.92 } else { 1.055 * mapped.powf(1.0 / 2.4) - 0.055 }
}

impl World {
    /// Linear radiance to what is stored in a picture.
    fn develop(&self, linear: Vec3) -> Vec3 {
        let exposed = linear * self.exposure();
        Vec3::new(tone(exposed.x), tone(exposed.y), tone(exposed.z))
    }

    /// Factor from linear radiance to exposed colours.
    pub(super) fn exposure(&self) -> f32 {
        self.lighting.exposure
    }

    /// A picture of linear radiances.
    pub(super) fn develop_all(&self, camera: &Camera, linear: &[Vec3]) -> Image {
        let data = linear.iter().flat_map(|colour| self.develop(*colour).to_array()).collect();
        Image { width: camera.width, height: camera.height, data }
    }

    /// Mean linear radiance seen by `camera`, from a coarse grid of rays.
    pub(super) fn brightness(&self, camera: &Camera) -> f32 {
        let mut sum = 0.0;
        for j in 0..18 {
            for i in 0..24 {
                let at = Vec2::new((i as f32 + 0.5) / 24.0, (j as f32 + 0.5) / 18.0);
                // From the image's corner; pixel coordinates are integers at pixel centres.
                let ray = camera.ray(at * Vec2::new(camera.width as f32, camera.height as f32) - 0.5);
                let hit = self.hit(ray.origin, ray.direction, 0.0);
                let colour = self.colour(&hit, ray.direction, 0.01, Vec2::splat(0.5), 0);
                sum += colour.min(Vec3::splat(3.0)).dot(Vec3::new(0.2126, 0.7152, 0.0722));
            }
        }
        sum / (24.0 * 18.0)
    }

    /// Parameter at which the ray leaves the world.
    fn enclosure_distance(&self, o: Vec3, d: Vec3) -> f32 {
        match &self.enclosure {
            Enclosure::Room { min, max, .. } => {
                let (a, b) = ((*min - o) / d, (*max - o) / d);
                a.max(b).min_element()
            }
            Enclosure::Dome { radius, ground, .. } => {
                let (a, b) = (d.length_squared(), o.dot(d));
                let c = o.length_squared() - radius * radius;
                let dome = (-b + (b * b - a * c).max(0.0).sqrt()) / a;
                let plane = (ground - o.y) / d.y;
                if plane > 1e-4 && plane < dome { plane } else { dome }
            }
        }
    }

    /// Parameter of the first surface along a ray.
    pub(super) fn distance(&self, o: Vec3, d: Vec3) -> f32 {
        let far = self.enclosure_distance(o, d);
        self.bvh.closest(o, d, 0.0, far).map_or(far, |(t, _)| t)
    }

    pub(super) fn hit(&self, o: Vec3, d: Vec3, low: f32) -> Hit {
        let far = self.enclosure_distance(o, d);
        if let Some((t, index)) = self.bvh.closest(o, d, low, far) {
            let point = o + d * t;
            let object = &self.bvh.objects[index];
            let (local, local_normal, normal) = object.surface(point);
            let normal = if normal.dot(d) > 0.0 { -normal } else { normal };
            return Hit { t, point, normal, local, local_normal, material: object.material, object: Some(index) };
        }
        let point = o + d * far;
        let (normal, local, material) = match &self.enclosure {
            Enclosure::Room { min, max, materials } => {
                let face = face_of((point - (*min + *max) * 0.5) / ((*max - *min) * 0.5));
                let axis = if face.x != 0.0 { 0 } else { 1 + (face.z != 0.0) as usize };
                (-face, point, materials[2 * axis + (face.element_sum() > 0.0) as usize])
            }
            Enclosure::Dome { radius, sky, ground, ground_material } => {
                if (point.y - ground).abs() < 1e-3 * radius.min(far * d.length()) && point.length() < radius * 0.9995 {
                    (Vec3::NEG_Y, point, *ground_material)
                } else {
                    (-point.normalize_or(Vec3::Z), point, *sky)
                }
            }
        };
        Hit { t: far, point, normal, local, local_normal: normal, material, object: None }
    }

    /// Linear radiance of a hit towards the viewer. `spread` is the size of a pixel at distance 1; `bounces` mirror
    /// reflections are followed.
    pub(super) fn colour(&self, hit: &Hit, d: Vec3, spread: f32, jitter: Jitter, bounces: u32) -> Vec3 {
        let material = &self.materials[hit.material as usize];
        let view = -d.normalize();
        let facing = hit.normal.dot(view).clamp(0.0, 1.0);
        // Pixels stretch on slanted surfaces; half-way between the short and the long side blurs least visibly.
        let footprint = hit.t * d.length() * spread / facing.max(0.1).sqrt();
        let spot = Spot { position: hit.local, normal: hit.local_normal, footprint };
        let albedo = material.texture.colour(&spot);
        if material.emissive {
            return albedo;
        }
        let normal = self.bumped(hit, material, footprint);
        let lit = self.light(hit, normal, view, material, albedo, jitter);
        if material.mirror <= 0.0 || bounces == 0 {
            return lit;
        }
        let facing = normal.dot(view).clamp(0.0, 1.0);
        let share = material.mirror + (1.0 - material.mirror) * (1.0 - facing).powi(5) * material.mirror.sqrt();
        let away = (normal * 2.0 * facing - view).normalize_or(hit.normal);
        let away = if away.dot(hit.normal) <= 0.0 { hit.normal } else { away };
        let origin = hit.point + hit.normal * self.offset(hit.t);
        let next = self.hit(origin, away, 0.0);
        let mirrored = self.colour(&next, away, spread * (1.0 + hit.t), jitter, bounces - 1);
        lit.lerp(mirrored, share)
    }

    /// How far to step off a surface seen from distance `t` before looking for the next.
    fn offset(&self, t: f32) -> f32 {
        2e-4 * t + 1e-4 * self.stage.distance
    }

    fn light(&self, hit: &Hit, normal: Vec3, view: Vec3, material: &Material, albedo: Vec3, jitter: Jitter) -> Vec3 {
        let light = &self.lighting;
        let (towards, range, strength) = match light.key {
            Light::Distant { towards } => (towards, f32::INFINITY, 1.0),
            Light::Near { at, reach } => {
                let to = at - hit.point;
                let length = to.length().max(1e-4);
                // Softened inverse square: no glare where the light is close to a wall.
                (to / length, length, 2.0 * reach * reach / (reach * reach + length * length))
            }
        };
        let mut sum = albedo * light.above.lerp(light.below, 0.5 + 0.5 * normal.y);
        sum += albedo * light.fill_colour * (0.2 + 0.8 * normal.dot(light.fill)).max(0.0);
        let cosine = normal.dot(towards);
        if cosine <= 0.0 || hit.normal.dot(towards) <= 0.0 {
            return sum;
        }
        let mut shadow_ray = towards;
        if light.key_size > 0.0 {
            let (radius, angle) = (jitter.x.sqrt() * light.key_size, jitter.y * std::f32::consts::TAU);
            let (u, v) = towards.any_orthonormal_pair();
            shadow_ray = (towards + (u * angle.cos() + v * angle.sin()) * radius).normalize();
        }
        let origin = hit.point + hit.normal * self.offset(hit.t);
        if self.bvh.blocked(origin, shadow_ray, 0.0, range) {
            return sum;
        }
        let key = light.key_colour * strength;
        sum += albedo * key * cosine;
        if material.specular > 0.0 {
            let half = (towards + view).normalize_or(normal);
            sum += key * (material.specular * normal.dot(half).max(0.0).powf(material.shininess));
        }
        sum
    }

    /// The normal tilted by the relief of a photographic texture, or by the gradient of noise.
    fn bumped(&self, hit: &Hit, material: &Material, footprint: f32) -> Vec3 {
        if let Some(swatch) = &material.texture.swatch {
            let slope = swatch.slope(hit.local, hit.local_normal, footprint);
            if slope == Vec3::ZERO {
                return hit.normal;
            }
            let slope = hit.object.map_or(slope, |index| self.bvh.objects[index].axes() * slope);
            return tilted(hit.normal, slope);
        }
        let visible = (1.2 - footprint * material.bump_frequency).clamp(0.0, 1.0);
        if material.bump <= 0.0 || visible <= 0.0 {
            return hit.normal;
        }
        let p = hit.point * material.bump_frequency;
        let gradient = noise_gradient(p, 3) + noise_gradient(p * 2.1, 4);
        tilted(hit.normal, gradient * material.bump * visible)
    }
}

/// The normal of a surface whose height has this gradient.
fn tilted(normal: Vec3, gradient: Vec3) -> Vec3 {
    let along = gradient - normal * gradient.dot(normal);
    (normal - along).normalize_or(normal)
}
