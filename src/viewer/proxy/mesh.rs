//! Triangles through the points of a depth map.

use super::depth::DepthMap;
use bytemuck::{Pod, Zeroable};
use glam::Vec2;

/// A corner of a triangle.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Corner {
    /// In world space.
    pub world: [f32; 3],
    /// Place in the photograph, from 0 to 1.
    pub uv: [f32; 2],
    /// How far its depth is to be trusted, from 0 to 1.
    pub trust: f32,
}

/// A depth map as triangles.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// Corners, row by row.
    pub corners: Vec<Corner>,
    /// Corners of triangles on surfaces, then of those that span an edge of depth, which only fill holes.
    pub indices: Vec<u32>,
    /// Number of the former.
    pub on_surfaces: u32,
}

/// Ratio of depths within a triangle from which on it spans an edge.
const EDGE: f32 = 1.12;

impl Mesh {
    /// Of a map, with at most `most` corners in a row.
    pub fn of(map: &DepthMap, most: usize) -> Self {
        let (width, height) = (map.camera.width as usize, map.camera.height as usize);
        let step = width.div_ceil(most.max(2)).max(1);
        let pick = |length: usize| {
            let mut picked: Vec<usize> = (0..length).step_by(step).collect();
            if picked.last() != Some(&(length - 1)) {
                picked.push(length - 1);
            }
            picked
        };
        let (columns, rows) = (pick(width), pick(height));
        let points: Vec<_> = map.points().collect();
        let mut corners = Vec::with_capacity(columns.len() * rows.len());
        let mut depths = Vec::with_capacity(corners.capacity());
        for y in &rows {
            for x in &columns {
                let i = y * width + x;
                let uv = (map.uv[0] + map.uv[1] * Vec2::new(*x as f32, *y as f32)).into();
                corners.push(Corner { world: points[i].into(), uv, trust: map.trust[i] });
                depths.push(map.depth[i]);
            }
        }
        let (mut indices, mut across) = (Vec::new(), Vec::new());
        for y in 0..rows.len() - 1 {
            for x in 0..columns.len() - 1 {
                let at = y * columns.len() + x;
                let [a, b, c, d] = [at, at + 1, at + columns.len(), at + columns.len() + 1];
                // The diagonal between the depths that differ less.
                let ratio = |i: usize, j: usize| (depths[i] / depths[j]).max(depths[j] / depths[i]);
                let two = if ratio(a, d) < ratio(b, c) { [[a, d, b], [a, c, d]] } else { [[a, c, b], [b, c, d]] };
                for triangle in two {
                    let [i, j, k] = triangle;
                    let spans = ratio(i, j).max(ratio(j, k)).max(ratio(i, k)) > EDGE;
                    let list = if spans { &mut across } else { &mut indices };
                    list.extend(triangle.map(|corner| corner as u32));
                }
            }
        }
        let on_surfaces = indices.len() as u32;
        indices.append(&mut across);
        Self { corners, indices, on_surfaces }
    }
}

#[cfg(test)]
mod tests {
    use super::super::depth::tests::wall;
    use super::*;
    use glam::Vec3;

    #[test]
    fn a_step_in_depth_is_spanned_by_other_triangles() {
        let mut map = wall(Vec3::ZERO, 4.0);
        let flat = Mesh::of(&map, 100);
        assert_eq!(flat.corners.len(), 24 * 16);
        assert_eq!(flat.indices.len() as u32, flat.on_surfaces);
        assert_eq!(flat.indices.len(), 23 * 15 * 6);
        for y in 0..16 {
            map.depth[y * 24 + 12..(y + 1) * 24].fill(2.0);
        }
        let stepped = Mesh::of(&map, 100);
        assert_eq!(stepped.indices.len() as u32 - stepped.on_surfaces, 15 * 6);
        let few = Mesh::of(&map, 8);
        assert_eq!(few.corners.len(), 9 * 6);
        // The last of them is the map's last point, at half the wall's depth now.
        assert_eq!(few.corners.last().unwrap().world, flat.corners.last().unwrap().world.map(|v| 0.5 * v));
    }
}
