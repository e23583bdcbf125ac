//! Point clouds from frames with depth, as PLY files.
//!
//! A pixel's point is confident as far as other frames that see its place have the same depth there. Normals come from the
//! depths around a pixel and look towards the camera. Places are in the coordinates of the scene's files, so that a cloud lies
//! where COLMAP's points do.

use crate::file::replace;
use crate::normals::DepthMap;
use crate::{Camera, Error, Image, Result, Similarity};
use glam::{Vec2, Vec3};
use std::path::Path;

/// Largest difference of depths that agree, as a ratio.
const AGREES: f32 = 0.02;
/// Frames on either side that a point is compared with.
const NEIGHBOURS: usize = 4;

/// A rendered frame with its depth.
#[derive(Clone, Debug)]
pub struct DepthFrame {
    /// The camera that was rendered, in the scene's coordinates.
    pub camera: Camera,
    /// Every how many of its pixels were rendered.
    pub stride: u32,
    /// The colours.
    pub image: Image,
    /// Depth along the optical axis in scene units, `[height, width]` of the image.
    pub depth: Vec<f32>,
}

/// A point of a cloud.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CloudPoint {
    /// The place in the coordinates of the scene's files.
    pub place: Vec3,
    /// Unit normal, towards the camera; zero where a surface ends.
    pub normal: Vec3,
    /// Red, green and blue.
    pub colour: [u8; 3],
    /// Part of the other frames that see the place and agree with it, 0 to 1; a half where no other frame tells.
    pub confidence: f32,
}

impl DepthFrame {
    /// # Errors
    /// [`Error::Shape`] if depth and image differ in size.
    fn check(&self, number: usize) -> Result<()> {
        let expected = self.image.width as usize * self.image.height as usize;
        if self.depth.len() != expected {
            return Err(Error::Shape { what: format!("depth of frame {number}"), expected, found: self.depth.len() });
        }
        Ok(())
    }

    fn map(&self) -> DepthMap<'_> {
        let size = (self.image.width, self.image.height);
        DepthMap { camera: &self.camera, stride: self.stride, size, depth: &self.depth }
    }

    /// Whether the frame's depth at a place is that of the place; none if it does not see that far or that way.
    fn agrees(&self, place: Vec3) -> Option<bool> {
        let at = self.camera.pixel_from_world() * place.extend(1.0);
        let pixel = Vec2::new(at.x, at.y) / at.z / self.stride as f32;
        let size = Vec2::new(self.image.width as f32, self.image.height as f32);
        if at.z <= 0.0 || !pixel.is_finite() || pixel.cmplt(Vec2::splat(-0.5)).any() || pixel.cmpge(size - 0.5).any() {
            return None;
        }
        let (x, y) = (pixel.x.round().max(0.0) as usize, pixel.y.round().max(0.0) as usize);
        let depth = self.depth[y * self.image.width as usize + x];
        // Behind what it sees the place is hidden from it, which says nothing.
        if at.z > depth * (1.0 + AGREES) { None } else { Some(at.z >= depth * (1.0 - AGREES)) }
    }
}

/// The points of all frames with at least some confidence, of every `every`-th pixel in x and y.
///
/// # Errors
/// [`Error::Shape`] if a frame's depth and image differ in size; [`Error::Scene`] for no frames.
pub fn of_frames(
    frames: &[DepthFrame],
    scene_from_file: &Similarity,
    least_confidence: f32,
    every: u32,
) -> Result<Vec<CloudPoint>> {
    if frames.is_empty() {
        return Err(Error::Scene("point cloud: expected at least one frame, found none".into()));
    }
    frames.iter().enumerate().try_for_each(|(i, frame)| frame.check(i))?;
    let file_from_scene = scene_from_file.inverse();
    let mut points = Vec::new();
    for (i, frame) in frames.iter().enumerate() {
        let map = frame.map();
        let others = || frames[i.saturating_sub(NEIGHBOURS)..frames.len().min(i + NEIGHBOURS + 1)].iter();
        for (x, y) in crate::image::every_pixel((frame.image.width, frame.image.height), every) {
            let Some(place) = map.place(x, y) else { continue };
            let votes: Vec<bool> =
                others().filter(|other| !std::ptr::eq(*other, frame)).filter_map(|other| other.agrees(place)).collect();
            let agreeing = votes.iter().filter(|vote| **vote).count() as f32;
            let confidence = if votes.is_empty() { 0.5 } else { agreeing / votes.len() as f32 };
            if confidence < least_confidence {
                continue;
            }
            let normal = (file_from_scene.rotation * map.normal(x, y).as_dvec3()).as_vec3();
            let colour = frame.image.pixel(x, y).map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8);
            let place = file_from_scene.point(place.as_dvec3()).as_vec3();
            points.push(CloudPoint { place, normal, colour, confidence });
        }
    }
    Ok(points)
}

/// Writes a binary PLY file: x, y, z, nx, ny, nz and confidence as floats, colours as bytes.
///
/// # Errors
/// As [`replace`].
pub fn write_ply(path: &Path, points: &[CloudPoint]) -> Result<()> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    replace(path, |out| {
        let mut header = format!(
            "ply\nformat binary_little_endian 1.0\ncomment coordinates of the scene's files\nelement vertex {}\n",
            points.len()
        );
        for (kind, names) in [
            ("float", ["x", "y", "z", "nx", "ny", "nz"].as_slice()),
            ("uchar", &["red", "green", "blue"]),
            ("float", &["confidence"]),
        ] {
            names.iter().for_each(|name| header += &format!("property {kind} {name}\n"));
        }
        out.write_all((header + "end_header\n").as_bytes()).map_err(io)?;
        for CloudPoint { place, normal, colour, confidence } in points {
            let mut row = [0u8; 31];
            let floats = place.to_array().into_iter().chain(normal.to_array());
            row[..24].as_chunks_mut::<4>().0.iter_mut().zip(floats).for_each(|(to, value)| *to = value.to_le_bytes());
            row[24..27].copy_from_slice(colour);
            row[27..].copy_from_slice(&confidence.to_le_bytes());
            out.write_all(&row).map_err(io)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procedural::{Rig, RigKind, World, cameras, render_with_threads};
    use glam::{DMat3, DVec3};

    /// With exact depths all points that two views share lie on the true surfaces, as a third view sees them.
    #[test]
    fn points_of_true_depths_lie_on_the_surfaces() {
        let world = World::random(3, RigKind::Forward);
        let rig = Rig { width: 48, height: 36, views: 3, kind: RigKind::Forward, samples_per_pixel: 1 };
        let frames: Vec<DepthFrame> = cameras(&world, &rig, 3)
            .into_iter()
            .map(|camera| {
                let (image, depth) = render_with_threads(&world, &camera, 1, 2);
                DepthFrame { camera, stride: 1, image, depth }
            })
            .collect();
        let scene_from_file =
            Similarity { rotation: DMat3::from_rotation_z(0.7), scale: 0.5, translation: DVec3::new(1.0, -2.0, 3.0) };
        let points = of_frames(&frames[..2], &scene_from_file, 0.0, 1).unwrap();
        assert_eq!(points.len(), 2 * 48 * 36);
        let sure: Vec<&CloudPoint> = points.iter().filter(|point| point.confidence == 1.0).collect();
        assert!(sure.len() > points.len() / 2, "{} of {}", sure.len(), points.len());
        let judged: Vec<bool> = sure
            .iter()
            .filter_map(|point| frames[2].agrees(scene_from_file.point(point.place.as_dvec3()).as_vec3()))
            .collect();
        let agreeing = judged.iter().filter(|agrees| **agrees).count();
        assert!(judged.len() > 1000 && 20 * agreeing > 19 * judged.len(), "{agreeing} of {}", judged.len());
        for point in &points {
            let length = point.normal.length();
            assert!(length == 0.0 || (length - 1.0).abs() < 1e-4, "{point:?}");
        }
        // With a depth that is off by a tenth nobody agrees; what lies behind others' surfaces is hidden from them.
        let mut off = frames[..2].to_vec();
        off[1].depth.iter_mut().for_each(|depth| *depth *= 1.1);
        let few = of_frames(&off, &scene_from_file, 0.6, 1).unwrap();
        assert!(few.len() < points.len() / 4, "{}", few.len());
        off[0].depth.pop();
        assert!(of_frames(&off, &scene_from_file, 0.0, 1).unwrap_err().to_string().contains("depth of frame 0"));
        assert!(of_frames(&[], &scene_from_file, 0.0, 1).is_err());
    }

    #[test]
    fn ply_files_hold_what_their_header_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ply");
        let point = CloudPoint { place: Vec3::new(1.0, 2.0, 3.0), normal: Vec3::Z, colour: [9, 8, 7], confidence: 0.5 };
        write_ply(&path, &[point; 3]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let end = bytes.windows(11).position(|w| w == b"end_header\n").unwrap() + 11;
        let header = String::from_utf8_lossy(&bytes[..end]);
        assert!(header.contains("element vertex 3\n") && header.contains("property float confidence\n"), "{header}");
        assert_eq!(bytes.len() - end, 3 * 31);
        assert_eq!(bytes[end + 4..end + 8], 2.0f32.to_le_bytes());
        assert_eq!(bytes[end + 24..end + 27], [9, 8, 7]);
        assert_eq!(bytes[end + 27..end + 31], 0.5f32.to_le_bytes());
    }
}
