//! 360° frames: the faces of a cube around a camera, rendered with some overlap, on an equirectangular grid.
//!
//! A pixel's column is its longitude, its row its latitude, both even in angle. The middle of the picture is where the
//! camera looks, its upper row the camera's upwards, its left and right edges what is behind.

use super::picture::Picture;
use glam::{Mat4, Quat, Vec2, Vec3};
use scene::coverage::Coverage;
use scene::{Camera, Frame, Image, camera};
use std::f32::consts::{FRAC_PI_2, PI, TAU};
use std::str::FromStr;

/// Faces of a cube, each with its turn from where the camera looks: ahead, right, behind, left, up, down.
const FACES: [(&str, Vec3, f32); 6] = [
    ("ahead", Vec3::Y, 0.0),
    ("right", Vec3::Y, FRAC_PI_2),
    ("behind", Vec3::Y, PI),
    ("left", Vec3::Y, -FRAC_PI_2),
    ("up", Vec3::X, FRAC_PI_2),
    ("down", Vec3::X, -FRAC_PI_2),
];
/// Tangent of half a face's field of view, 100 degrees: neighbours share 10 degrees, over which one passes into the other.
const REACH: f32 = 1.191_753_6;

/// A 360° picture of this width, and half the height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panorama {
    /// In pixels, even.
    pub width: u32,
}

/// Widths that are possible.
const WIDTHS: std::ops::RangeInclusive<u32> = 16..=16384;

impl FromStr for Panorama {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let width = text.parse().ok().filter(|width: &u32| WIDTHS.contains(width) && width.is_multiple_of(2));
        let (least, most) = (WIDTHS.start(), WIDTHS.end());
        width.map(|width| Self { width }).ok_or_else(|| format!("expected an even width of {least} to {most} pixels"))
    }
}

impl Panorama {
    /// What is rendered, in words.
    pub fn words(self) -> String {
        let ((width, height), side) = (self.size(1), self.side());
        format!(
            "panorama: {width}x{height}, of six faces of {side}x{side} a frame; depth is the distance along the ray"
        )
    }

    /// Its size where every `stride`-th pixel is rendered.
    pub fn size(self, stride: u32) -> (u32, u32) {
        (self.width.div_ceil(stride), (self.width / 2).div_ceil(stride))
    }

    /// Pixels along the side of a face: as dense in its middle as the panorama is everywhere.
    fn side(self) -> u32 {
        (self.width as f32 / TAU * 2.0 * REACH).ceil().max(16.0) as u32
    }

    /// The faces around a frame's camera.
    pub fn faces(self, frame: &Frame) -> Vec<Frame> {
        let side = self.side();
        let face = |(name, axis, angle): (&str, Vec3, f32)| {
            let turn = Mat4::from_quat(Quat::from_axis_angle(axis, angle));
            let camera = Camera {
                width: side,
                height: side,
                focal: Vec2::splat(0.5 * side as f32 / REACH),
                center: camera::middle(side, side),
                world_from_camera: frame.camera.world_from_camera * turn,
            };
            Frame { name: format!("{}_{name}", frame.name), camera, ..frame.clone() }
        };
        FACES.map(face).to_vec()
    }

    /// Puts the rendered faces together. Depths are distances along the ray, for a panorama has no optical axis; normals
    /// are left out.
    pub fn join(self, faces: &[Picture], stride: u32) -> Picture {
        let (width, height) = self.size(stride);
        let count = (width * height) as usize;
        let mut out = Picture {
            image: Image::black(width, height),
            depth: vec![0.0; count],
            range: vec![0.0; count],
            normals: None,
            confidence: faces.iter().all(|face| face.confidence.is_some()).then(|| vec![0.0; count]),
            views: faces.iter().all(|face| face.views.is_some()).then(|| vec![0; count]),
        };
        let side = self.side();
        let (focal, middle) = (0.5 * side as f32 / REACH, camera::middle(side, side));
        for i in 0..count {
            let pixel = Vec2::new((i as u32 % width * stride) as f32, (i as u32 / width * stride) as f32);
            let direction = self.direction(pixel);
            let mut total = 0.0;
            let mut nearest = (0.0, 0, Vec2::ZERO);
            for (f, (_, axis, angle)) in FACES.into_iter().enumerate() {
                let local = Quat::from_axis_angle(axis, -angle) * direction;
                let place = local.truncate() / local.z;
                let weight = weight(place);
                if local.z <= 0.0 || weight <= 0.0 {
                    continue;
                }
                let at = (place * focal + middle) / stride as f32;
                let colour = sample(&faces[f].image, at);
                out.image.data[3 * i..][..3].iter_mut().zip(colour).for_each(|(sum, c)| *sum += weight * c);
                total += weight;
                if weight > nearest.0 {
                    nearest = (weight, f, at);
                }
            }
            out.image.data[3 * i..][..3].iter_mut().for_each(|v| *v /= total);
            // What is no colour is not blended: a mean of two depths is no depth.
            let (_, f, at) = nearest;
            let face = &faces[f];
            let [x, y] = [(at.x, face.image.width), (at.y, face.image.height)]
                .map(|(v, n)| (v.round().max(0.0) as usize).min(n as usize - 1));
            let from = y * face.image.width as usize + x;
            (out.depth[i], out.range[i]) = (face.range[from], face.range[from]);
            out.confidence.iter_mut().zip(&face.confidence).for_each(|(out, face)| out[i] = face[from]);
            out.views.iter_mut().zip(&face.views).for_each(|(out, face)| out[i] = face[from]);
        }
        out
    }

    /// Where a pixel looks, in the axes of the camera: x right, y down, z ahead.
    fn direction(self, pixel: Vec2) -> Vec3 {
        let longitude = ((pixel.x + 0.5) / self.width as f32 - 0.5) * TAU;
        let latitude = ((pixel.y + 0.5) / (self.width / 2) as f32 - 0.5) * PI;
        Vec3::new(longitude.sin() * latitude.cos(), latitude.sin(), longitude.cos() * latitude.cos())
    }
}

/// The colour between the four pixels around a place, which is moved into the image.
fn sample(image: &Image, at: Vec2) -> [f32; 3] {
    let at = at.clamp(Vec2::ZERO, Vec2::new((image.width - 1) as f32, (image.height - 1) as f32));
    let (x, y) = (at.x as u32, at.y as u32);
    let (right, below) = ((x + 1).min(image.width - 1), (y + 1).min(image.height - 1));
    let row = |y| Vec3::from(image.pixel(x, y)).lerp(image.pixel(right, y).into(), at.x.fract());
    row(y).lerp(row(below), at.y.fract()).into()
}

/// The mean coverage of the faces of a frame.
pub fn mean(faces: &[Coverage]) -> Coverage {
    let mean = |of: fn(&Coverage) -> f32| faces.iter().map(of).sum::<f32>() / faces.len() as f32;
    Coverage { one: mean(|face| face.one), two: mean(|face| face.two) }
}

/// How much a face counts at a place on the plane before it: wholly within the shares of its neighbours' edges, not at all
/// at its own. At least one face counts in every direction.
fn weight(place: Vec2) -> f32 {
    let inner = 1.0 / REACH;
    ((REACH - place.x.abs().max(place.y.abs())) / (REACH - inner)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::files::tests::frame;
    use super::*;

    /// A face as a renderer would make it of a world whose colour and distance depend on the direction alone.
    fn rendered(camera: &Camera, stride: u32) -> Picture {
        let (width, height) = (camera.width.div_ceil(stride), camera.height.div_ceil(stride));
        let directions = (0..width * height).map(|i| {
            let pixel = Vec2::new((i % width * stride) as f32, (i / width * stride) as f32);
            camera.ray(pixel).direction
        });
        let range: Vec<f32> = directions.clone().map(|d| 3.0 + d.normalize().x).collect();
        Picture {
            image: Image::new(width, height, directions.clone().flat_map(|d| colour(d.normalize())).collect()).unwrap(),
            depth: directions.zip(&range).map(|(d, range)| range / d.length()).collect(),
            range,
            normals: None,
            confidence: Some(vec![0.25; (width * height) as usize]),
            views: None,
        }
    }

    fn colour(direction: Vec3) -> [f32; 3] {
        (0.5 + 0.4 * direction).into()
    }

    #[test]
    fn every_direction_comes_from_its_face() {
        let turned = Mat4::from_rotation_translation(Quat::from_euler(glam::EulerRot::XYZ, 0.3, -1.1, 0.6), Vec3::ONE);
        let mut frame = frame("a");
        frame.camera.world_from_camera = turned;
        for (width, stride) in [(256, 1), (256, 3), (130, 1)] {
            let panorama = Panorama { width };
            let faces: Vec<Frame> = panorama.faces(&frame);
            assert_eq!((faces.len(), &faces[2].name[..]), (6, "a_behind"));
            faces.iter().for_each(|face| face.camera.validate("a face").unwrap());
            let pictures: Vec<Picture> = faces.iter().map(|face| rendered(&face.camera, stride)).collect();
            let joined = panorama.join(&pictures, stride);
            let (w, h) = panorama.size(stride);
            assert_eq!((joined.image.width, joined.image.height), (w, h));
            let mut worst = 0.0f32;
            for (x, y) in (0..h).flat_map(|y| (0..w).map(move |x| (x, y))) {
                let local = panorama.direction(Vec2::new((x * stride) as f32, (y * stride) as f32));
                let world = turned.transform_vector3(local);
                let found = joined.image.pixel(x, y);
                for (a, b) in found.into_iter().zip(colour(world)) {
                    worst = worst.max((a - b).abs());
                }
                let range = joined.range[(y * w + x) as usize];
                assert!((range - 3.0 - world.x).abs() < 0.05 * stride as f32, "{x} {y}: {range}");
            }
            assert!(worst < 0.02, "{width} {stride}: {worst}");
            assert!(joined.views.is_none() && joined.confidence.unwrap().iter().all(|c| *c == 0.25));
        }
    }

    #[test]
    fn widths_are_even() {
        assert_eq!("2048".parse(), Ok(Panorama { width: 2048 }));
        for wrong in ["0", "14", "2047", "99999", "x", "-2"] {
            assert!(wrong.parse::<Panorama>().unwrap_err().contains("16 to 16384"), "{wrong}");
        }
    }

    #[test]
    fn the_middle_is_ahead_and_up_is_above() {
        let panorama = Panorama { width: 512 };
        let near = |pixel: Vec2, direction: Vec3| panorama.direction(pixel).distance(direction) < 0.02;
        assert!(near(Vec2::new(255.5, 127.5), Vec3::Z) && near(Vec2::new(383.5, 127.5), Vec3::X));
        assert!(near(Vec2::new(0.0, 127.5), Vec3::NEG_Z) && near(Vec2::new(100.0, 0.0), Vec3::NEG_Y));
        let up = panorama.faces(&frame("a"))[4].camera.forward();
        assert!(up.distance(frame("a").camera.world_from_camera.transform_vector3(Vec3::NEG_Y)) < 1e-5, "{up}");
    }
}
