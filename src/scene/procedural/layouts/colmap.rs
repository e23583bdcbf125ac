//! COLMAP's binary model, without rigs, which are read as each camera on its own: cameras, images and points.

use super::{Shared, Written, io, shared};
use crate::Result;
use glam::DQuat;
use std::fs;
use std::path::Path;

/// Number of the model PINHOLE.
const PINHOLE: u32 = 1;

/// A file in the making: little-endian numbers.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn numbers(&mut self, values: &[f64]) {
        values.iter().for_each(|value| self.0.extend(value.to_le_bytes()));
    }
}

/// Writes the model to a folder.
pub(super) fn write(dir: &Path, written: &Written) -> Result<()> {
    fs::create_dir_all(dir).map_err(io(dir))?;
    let Shared { size, focal, center } = shared(written);
    let mut cameras = Bytes::default();
    cameras.u64(1);
    cameras.u32(1);
    cameras.u32(PINHOLE);
    size.iter().for_each(|side| cameras.u64(*side as u64));
    cameras.numbers(&[focal[0], focal[1], center[0], center[1]]);

    // Where each view sees its points: a point's number in the view is its position in this list.
    let mut seen: Vec<Vec<(u64, [f64; 2])>> = vec![Vec::new(); written.cameras.len()];
    let mut points = Bytes::default();
    points.u64(written.points.len() as u64);
    for (number, point) in written.points.iter().enumerate() {
        points.u64(number as u64 + 1);
        points.numbers(&point.place.to_array().map(f64::from));
        points.0.extend(point.colour);
        points.numbers(&[0.5]);
        points.u64(point.seen_by.len() as u64);
        for &view in &point.seen_by {
            let at = written.cameras[view as usize].pixel_from_world() * point.place.extend(1.0);
            let list = &mut seen[view as usize];
            points.u32(view + 1);
            points.u32(list.len() as u32);
            list.push((number as u64 + 1, [at.x / at.z + 0.5, at.y / at.z + 0.5].map(f64::from)));
        }
    }
    let mut images = Bytes::default();
    images.u64(written.cameras.len() as u64);
    for (i, (camera, name)) in written.cameras.iter().zip(&written.names).enumerate() {
        let (_, rotation, translation) = camera.world_from_camera.as_dmat4().inverse().to_scale_rotation_translation();
        let DQuat { x, y, z, w } = rotation.normalize();
        images.u32(i as u32 + 1);
        images.numbers(&[w, x, y, z]);
        images.numbers(&translation.to_array());
        images.u32(1);
        images.0.extend(name.bytes().chain([0]));
        images.u64(seen[i].len() as u64);
        for (point, place) in &seen[i] {
            images.numbers(place);
            images.u64(*point);
        }
    }
    for (name, bytes) in [("cameras", cameras), ("images", images), ("points3D", points)] {
        let path = dir.join(format!("{name}.bin"));
        fs::write(&path, bytes.0).map_err(io(&path))?;
    }
    Ok(())
}
