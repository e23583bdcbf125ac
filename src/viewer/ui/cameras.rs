//! Cameras of the source views in the picture, with their photographs.

use super::overlay::label;
use crate::app::App;
use egui::{Align2, Color32, Mesh, Painter, Pos2, Rect, Shape, Stroke, TextureHandle, pos2};
use glam::{Mat4, Vec2, Vec3};
use scene::Camera;
use std::collections::HashMap;

/// Height of a camera's picture in the scene, against a length that suits the scene.
const SIZE: f32 = 0.05;
/// Parts of a thumbnail's sides: each is painted flat.
const PARTS: usize = 4;

/// Paints the cameras; returns the one under the mouse.
pub fn paint(
    painter: &Painter,
    app: &App,
    picture: Rect,
    thumbnails: &mut HashMap<usize, TextureHandle>,
    mouse: Option<Pos2>,
) -> Option<usize> {
    let camera = app.camera()?;
    let pixel_from_world = camera.pixel_from_world();
    let (width, height) = (camera.width as f32, camera.height as f32);
    let near = 0.02 * app.controls.unit() as f32;
    let place = |point: Vec3| {
        project(&pixel_from_world, point, near).map(|pixel| {
            let part = (pixel + 0.5) / Vec2::new(width, height);
            pos2(picture.min.x + part.x * picture.width(), picture.min.y + part.y * picture.height())
        })
    };
    let size = SIZE * app.controls.unit() as f32;
    let here = camera.origin();
    // Those behind first.
    let mut order: Vec<usize> = (0..app.scene.views.len()).collect();
    let away = |view: &usize| app.scene.views[*view].camera.origin().distance_squared(here);
    order.sort_by(|a, b| away(b).total_cmp(&away(a)));
    let mut hovered = None;
    for view in order {
        let source = &app.scene.views[view].camera;
        if source.origin().distance(here) < 0.5 * size {
            continue; // One stands in it.
        }
        let Some(apex) = place(source.origin()) else { continue };
        let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(u, v)| place(corner(source, u, v, size)));
        let [Some(a), Some(b), Some(c), Some(d)] = corners else { continue };
        let quad = [a, b, c, d];
        if mouse.is_some_and(|at| inside(&quad, at) || at.distance(apex) < 6.0) {
            hovered = Some(view);
        }
        let hidden = app.look.hidden.contains(&view);
        if let Some(texture) = texture(painter, app, view, thumbnails) {
            let tint = if hidden { Color32::from_white_alpha(50) } else { Color32::from_white_alpha(225) };
            painter.add(Shape::mesh(patch(source, size, texture, tint, &place)));
        }
        let used = app.sources.contains(&view);
        let color = match (hidden, used) {
            (true, _) => Color32::from_gray(90),
            (false, true) => Color32::from_rgb(255, 190, 80),
            (false, false) => Color32::from_rgb(150, 190, 255),
        };
        let stroke = Stroke::new(if hovered == Some(view) { 2.5 } else { 1.2 }, color);
        for (i, at) in quad.iter().enumerate() {
            painter.line_segment([*at, quad[(i + 1) % 4]], stroke);
            painter.line_segment([apex, *at], stroke);
        }
    }
    if let (Some(view), Some(at)) = (hovered, mouse) {
        let name = &app.scene.views[view].name;
        label(painter, at + egui::vec2(14.0, -8.0), Align2::LEFT_BOTTOM, name, Color32::WHITE);
    }
    hovered
}

/// A point of a camera's picture, at a depth that makes it `size` high; `u` and `v` go from 0 to 1.
fn corner(camera: &Camera, u: f32, v: f32, size: f32) -> Vec3 {
    let pixel = Vec2::new(u * camera.width as f32, v * camera.height as f32) - 0.5;
    let depth = size * camera.focal.y.abs() / camera.height as f32;
    let ray = camera.ray(pixel);
    ray.origin + ray.direction * depth
}

/// Pixel of a point; none where it is nearer than `near`.
fn project(pixel_from_world: &Mat4, point: Vec3, near: f32) -> Option<Vec2> {
    let p = *pixel_from_world * point.extend(1.0);
    (p.z > near).then(|| Vec2::new(p.x, p.y) / p.z)
}

/// Whether a point is in a convex quadrangle, whichever way round it goes.
fn inside(quad: &[Pos2; 4], at: Pos2) -> bool {
    let side = |i: usize| {
        let (a, b) = (quad[i], quad[(i + 1) % 4]);
        (b.x - a.x) * (at.y - a.y) - (b.y - a.y) * (at.x - a.x)
    };
    (0..4).all(|i| side(i) >= 0.0) || (0..4).all(|i| side(i) <= 0.0)
}

fn texture(
    painter: &Painter,
    app: &App,
    view: usize,
    thumbnails: &mut HashMap<usize, TextureHandle>,
) -> Option<egui::TextureId> {
    if let Some(known) = thumbnails.get(&view) {
        return Some(known.id());
    }
    let ((width, height), rgba) = app.thumbnails.get(&view)?;
    let image = egui::ColorImage::from_rgba_unmultiplied([*width as usize, *height as usize], rgba);
    let handle = painter.ctx().load_texture(format!("view {view}"), image, egui::TextureOptions::LINEAR);
    let id = handle.id();
    thumbnails.insert(view, handle);
    Some(id)
}

/// A thumbnail in perspective, in so many flat parts.
fn patch(
    camera: &Camera,
    size: f32,
    texture: egui::TextureId,
    tint: Color32,
    place: &impl Fn(Vec3) -> Option<Pos2>,
) -> Mesh {
    let mut mesh = Mesh::with_texture(texture);
    let at = |i: usize| i as f32 / PARTS as f32;
    for y in 0..=PARTS {
        for x in 0..=PARTS {
            // The corners are in front of the camera, so all between them are.
            let pos = place(corner(camera, at(x), at(y), size)).unwrap_or_default();
            mesh.vertices.push(egui::epaint::Vertex { pos, uv: pos2(at(x), at(y)), color: tint });
        }
    }
    for y in 0..PARTS as u32 {
        for x in 0..PARTS as u32 {
            let first = y * (PARTS as u32 + 1) + x;
            let below = first + PARTS as u32 + 1;
            mesh.add_triangle(first, first + 1, below);
            mesh.add_triangle(first + 1, below + 1, below);
        }
    }
    mesh
}
