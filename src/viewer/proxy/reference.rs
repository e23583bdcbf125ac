//! The proxy's passes on the processor, and the comparison with those on a graphics device.

use super::mesh::Mesh;
use super::pass::{ACROSS, clip_from_world};
use glam::{Vec2, Vec3, Vec4};
use scene::{Camera, Image};

/// A photograph with its triangles.
struct Drawn<'a> {
    mesh: &'a Mesh,
    photo: &'a Image,
    camera: &'a Camera,
    fills: bool,
}

/// Colour at a place of a photograph, from 0 to 1, as a sampler reads it.
fn sample(photo: &Image, uv: Vec2) -> Vec3 {
    let at = uv * Vec2::new(photo.width as f32, photo.height as f32) - 0.5;
    let first = at.floor();
    let t = at - first;
    let pixel = |dx: f32, dy: f32| {
        let x = (first.x + dx).clamp(0.0, photo.width as f32 - 1.0) as u32;
        let y = (first.y + dy).clamp(0.0, photo.height as f32 - 1.0) as u32;
        Vec3::from(photo.pixel(x, y))
    };
    pixel(0.0, 0.0).lerp(pixel(1.0, 0.0), t.x).lerp(pixel(0.0, 1.0).lerp(pixel(1.0, 1.0), t.x), t.y)
}

/// Calls `each` with pixel, depth in clip space divided by w, w and the parts of the three corners, for every pixel whose
/// centre is in the triangle.
fn rasterise(corners: [Vec4; 3], size: (u32, u32), mut each: impl FnMut(usize, f32, f32, [f32; 3])) {
    if corners.iter().any(|corner| corner.w <= 0.0) {
        return; // The tests have none that reach behind the camera.
    }
    let (width, height) = (size.0 as f32, size.1 as f32);
    let place = corners.map(|c| Vec2::new((c.x / c.w * 0.5 + 0.5) * width, (0.5 - c.y / c.w * 0.5) * height));
    let area = (place[1] - place[0]).perp_dot(place[2] - place[0]);
    if area == 0.0 {
        return;
    }
    let low = place[0].min(place[1]).min(place[2]).floor().max(Vec2::ZERO);
    let high = place[0].max(place[1]).max(place[2]).ceil().min(Vec2::new(width, height));
    for y in low.y as u32..high.y as u32 {
        for x in low.x as u32..high.x as u32 {
            let p = Vec2::new(x as f32 + 0.5, y as f32 + 0.5);
            let part = |i: usize| (place[(i + 1) % 3] - p).perp_dot(place[(i + 2) % 3] - p) / area;
            let flat = [part(0), part(1), part(2)];
            if flat.iter().any(|part| *part < 0.0) {
                continue;
            }
            let z = (0..3).map(|i| flat[i] * corners[i].z / corners[i].w).sum();
            let inverse: f32 = (0..3).map(|i| flat[i] / corners[i].w).sum();
            let parts = std::array::from_fn(|i| flat[i] / corners[i].w / inverse);
            each((y * size.0 + x) as usize, z, 1.0 / inverse, parts);
        }
    }
}

/// The picture of proxy.wgsl, without filled holes: none where nothing is drawn.
fn picture(camera: &Camera, near: f32, drawn: &[Drawn]) -> Vec<Option<Vec3>> {
    let size = (camera.width, camera.height);
    let pixels = size.0 as usize * size.1 as usize;
    let (clip, behind) = clip_from_world(camera, near);
    let mut front = vec![1.0f32; pixels];
    let triangle = |mesh: &Mesh, i: usize, lift: f32| -> [Vec4; 3] {
        std::array::from_fn(|k| {
            let world = Vec3::from(mesh.corners[mesh.indices[3 * i + k] as usize].world);
            clip * world.extend(1.0) + Vec4::Z * lift
        })
    };
    for Drawn { mesh, .. } in drawn.iter().filter(|one| !one.fills) {
        for i in 0..mesh.on_surfaces as usize / 3 {
            rasterise(triangle(mesh, i, 0.0), size, |at, z, _, _| {
                if (0.0..=1.0).contains(&z) {
                    front[at] = front[at].min(z);
                }
            });
        }
    }
    let mut sums = vec![Vec4::ZERO; pixels];
    for Drawn { mesh, photo, camera: source, fills } in drawn {
        for i in 0..mesh.indices.len() / 3 {
            let weight = if i < mesh.on_surfaces as usize / 3 { 1.0 } else { ACROSS };
            rasterise(triangle(mesh, i, behind), size, |at, z, _, parts| {
                let z = if *fills { 0.9999 } else { z };
                if z > front[at] || z < 0.0 {
                    return;
                }
                let corner = |k: usize| &mesh.corners[mesh.indices[3 * i + k] as usize];
                let world: Vec3 = (0..3).map(|k| Vec3::from(corner(k).world) * parts[k]).sum();
                let uv: Vec2 = (0..3).map(|k| Vec2::from(corner(k).uv) * parts[k]).sum();
                let trust: f32 = (0..3).map(|k| corner(k).trust * parts[k]).sum();
                let (to_source, to_eye) = (source.origin() - world, camera.origin() - world);
                let angle = (2.0 - 2.0 * to_source.normalize().dot(to_eye.normalize())).max(0.0);
                let farther = (to_source.length() / to_eye.length() - 1.0).max(0.0);
                let inside = uv.min(1.0 - uv).min_element();
                let edge = (inside / 0.06).clamp(0.02, 1.0);
                let near = 0.002 / (0.002 + angle + 0.02 * farther * farther);
                let weight = (near * edge * trust * weight).max(0.0001);
                sums[at] += (sample(photo, uv) * weight).extend(weight);
            });
        }
    }
    sums.into_iter().map(|sum| (sum.w > 0.0).then(|| sum.truncate() / sum.w)).collect()
}

/// On a graphics device.
mod needs_adapter {
    use super::super::depth::DepthMap;
    use super::super::depth::tests::{camera, wall};
    use super::super::views::Chosen;
    use super::*;
    use crate::app::stage::{Picture, READABLE, Stage};
    use crate::gpu::Gpu;
    use crate::present::Kind;
    use crate::work::parts::Level;

    /// A smooth photograph: where two rasterisers differ by a hundredth of a pixel, so do colours by little.
    fn photo(phase: f32) -> Image {
        let mut image = Image::black(48, 32);
        for (i, value) in image.data.iter_mut().enumerate() {
            let (x, y, channel) = ((i / 3 % 48) as f32, (i / 3 / 48) as f32, (i % 3) as f32);
            *value = 0.5 + 0.4 * (0.12 * x + 0.1 * y * (channel - 1.0) + phase + channel).sin();
        }
        image
    }

    /// A wall with a block before it, seen from a place.
    fn map(center: Vec3) -> DepthMap {
        let mut map = wall(center, 4.0);
        for (i, depth) in map.depth.iter_mut().enumerate() {
            let (x, y) = (i % 24, i / 24);
            *depth = if (8..15).contains(&x) && (5..11).contains(&y) { 2.5 } else { 4.0 + 0.02 * x as f32 };
        }
        map.trust.iter_mut().enumerate().for_each(|(i, trust)| *trust = 0.3 + 0.7 * ((i % 7) as f32 / 6.0));
        map
    }

    #[test]
    #[ignore = "needs a graphics adapter, such as lavapipe of mesa-vulkan-drivers"]
    fn the_proxy_is_what_the_processor_draws() {
        let mut stage = Stage::new(Gpu::without_window().unwrap(), READABLE);
        let centers = [Vec3::new(-0.3, 0.0, 0.0), Vec3::new(0.35, 0.1, 0.0), Vec3::new(0.0, -0.3, -0.4)];
        let maps = centers.map(map);
        let photos = [0.0, 1.0, 2.0].map(photo);
        for (view, (map, photo)) in maps.iter().zip(&photos).enumerate() {
            let rgba: Vec<u8> =
                photo.to_rgb8().as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
            stage.proxy.put_photo(&stage.gpu, (view, &map.camera), (48, 32), &rgba, &[]);
            assert!(stage.proxy.put_depth(&stage.gpu, view, map));
        }
        assert_eq!(stage.proxy.ready(), [0, 1, 2]);
        let eye = camera(Vec3::new(0.07, 0.04, 0.1), 93, 61);
        let fills = [false, false, true];
        let chosen: Vec<Chosen> = (0..3).map(|view| Chosen { view, fills: fills[view] }).collect();
        let wanted = Picture {
            camera: &eye,
            near: 0.1,
            chosen: &chosen,
            kind: Kind::Colour,
            range: [1.0, 10.0],
            level: Level::Proxy,
            truth: None,
        };
        let image = stage.read(&wanted).unwrap();
        let meshes = maps.each_ref().map(|map| Mesh::of(map, 64));
        let rounded = photos.map(|photo| {
            let data = photo.to_rgb8().into_iter().map(|byte| f32::from(byte) / 255.0).collect();
            Image { data, ..photo }
        });
        let drawn: Vec<Drawn> = (0..3)
            .map(|i| Drawn { mesh: &meshes[i], photo: &rounded[i], camera: &maps[i].camera, fills: fills[i] })
            .collect();
        let expected = picture(&eye, 0.1, &drawn);
        let (mut compared, mut off) = (0, 0);
        for (i, expected) in expected.iter().enumerate() {
            let Some(expected) = expected else { continue };
            compared += 1;
            let found = Vec3::from(image.pixel(i as u32 % 93, i as u32 / 93));
            // Sums are kept in half floats: eleven bits. At edges a pixel may belong to either side.
            off += usize::from((found - *expected).abs().max_element() > 0.015);
        }
        assert!(compared > 93 * 61 * 9 / 10, "{compared} pixels are drawn");
        assert!(off * 100 < compared, "{off} of {compared} pixels differ");
    }
}
