//! What present.wgsl shows, on the processor, and the comparison with a graphics device.

use super::{ERROR_GAIN, Kind};
use crate::source::Texel;
use crate::ui::turbo;
use crate::work::parts::Canvas;
use glam::{Vec2, Vec3};
use scene::Camera;

const BACKGROUND: Vec3 = Vec3::from_array(super::BACKGROUND);

/// The best that is known of a pixel without any photograph: its own, or what is known of those around.
fn best(made: Vec2, full: &Canvas) -> Option<Texel> {
    let last = Vec2::new(full.size.0 as f32, full.size.1 as f32) - 1.0;
    let nearest = made.round().clamp(Vec2::ZERO, last);
    let own = full.at(nearest.x as u32, nearest.y as u32).copied();
    own.or_else(|| around(made, 2, full)).or_else(|| around(made, 4, full))
}

/// Four pixels around, whose columns and rows are multiples of `every`. Without photographs all look alike.
fn around(made: Vec2, every: u32, full: &Canvas) -> Option<Texel> {
    let step = every as f32;
    let last = ((Vec2::new(full.size.0 as f32, full.size.1 as f32) - 1.0) / step).floor();
    let first = (made / step).floor().clamp(Vec2::ZERO, (last - 1.0).max(Vec2::ZERO));
    let t = (made / step - first).clamp(Vec2::ZERO, Vec2::ONE);
    let (mut out, mut most, mut inverse, mut rgb) = (Texel::default(), -1.0, 0.0, Vec3::ZERO);
    for i in 0..4u32 {
        let corner = Vec2::new((i & 1) as f32, (i >> 1) as f32);
        let point = (first + corner).min(last) * step;
        let texel = full.at(point.x as u32, point.y as u32)?;
        let part = corner * t + (1.0 - corner) * (1.0 - t);
        let weight = part.x * part.y;
        rgb += Vec3::from(texel.rgb) * weight;
        inverse += weight / texel.depth;
        if weight > most {
            most = weight;
            out = *texel;
        }
    }
    Some(Texel { rgb: rgb.clamp(Vec3::ZERO, Vec3::ONE).into(), depth: 1.0 / inverse, ..out })
}

fn label(number: f32) -> Vec3 {
    let hue = (number * 0.618_034).fract() * 6.0;
    let rgb = Vec3::new((hue - 3.0).abs() - 1.0, 2.0 - (hue - 2.0).abs(), 2.0 - (hue - 4.0).abs());
    Vec3::splat(0.9).lerp(rgb.clamp(Vec3::ZERO, Vec3::ONE), 0.75)
}

/// The colour that is shown of a pixel; `truth` is the photograph's colour there.
fn shown(kind: Kind, texel: Option<Texel>, [near, far]: [f32; 2], truth: Vec3) -> Vec3 {
    let Some(texel) = texel else { return BACKGROUND };
    let rgb = Vec3::from(texel.rgb);
    match kind {
        Kind::Colour => rgb,
        Kind::Depth => turbo((1.0 / texel.depth - 1.0 / far) / (1.0 / near - 1.0 / far)).into(),
        Kind::Error => turbo(ERROR_GAIN * (rgb - truth).abs().element_sum() / 3.0).into(),
        Kind::View => texel
            .view
            .map_or(BACKGROUND, |view| label(view as f32).lerp(Vec3::splat(rgb.dot(Vec3::new(0.3, 0.6, 0.1))), 0.35)),
        Kind::Confidence => turbo(texel.confidence).into(),
        Kind::Experts => texel.multiplied.map_or(BACKGROUND, |share| turbo(share).into()),
        Kind::Normals => unreachable!("compared by itself"),
    }
}

/// On a graphics device.
mod needs_adapter {
    use super::*;
    use crate::app::stage::{Picture, READABLE, Stage};
    use crate::gpu::Gpu;
    use crate::present::Made;
    use crate::proxy::depth::tests::camera;
    use crate::source::{Opened, Part, Patch};
    use crate::work::parts::{Level, Of};

    const CELL: u32 = 4;
    const RANGE: [f32; 2] = [1.0, 12.0];

    /// Colours in steps of 8 bits, as they are kept on the device.
    fn texels(part: Part) -> Patch {
        let texel = |(x, y): (u32, u32)| {
            let (x, y) = (x as f32, y as f32);
            let byte = |v: f32| (255.0 * (0.5 + 0.5 * v.sin())).round() / 255.0;
            Texel {
                rgb: [byte(0.2 * x), byte(0.15 * y), byte(0.1 * (x + y))],
                depth: 3.0 + 0.05 * x + (0.2 * y).sin(),
                confidence: 0.5 + 0.4 * (0.3 * x).cos(),
                view: (!(x as usize).is_multiple_of(3)).then_some(x as usize % 5 + y as usize % 7),
                multiplied: (!(y as usize).is_multiple_of(4)).then_some(0.5 + 0.4 * (0.1 * y).sin()),
            }
        };
        Patch { part, texels: part.places().map(texel).collect() }
    }

    #[test]
    #[ignore = "needs a graphics adapter, such as lavapipe of mesa-vulkan-drivers"]
    fn what_is_shown_is_what_the_processor_computes() {
        let mut stage = Stage::new(Gpu::without_window().unwrap(), READABLE);
        let eye: Camera = camera(glam::Vec3::ZERO, 61, 39);
        let mut made = Made::new(&stage.gpu, &eye, &Opened { sources: vec![0], cell: CELL, fades: false });
        let mut canvas = Canvas::new((61, 39));
        // Every fourth pixel but in a corner, every second on the left, some of all.
        let parts = [
            Part { every: 4, ..Part::all(0, 0, 52, 39) },
            Part { every: 2, but: 4, ..Part::all(0, 0, 30, 39) },
            Part { every: 1, but: 2, ..Part::all(10, 7, 20, 13) },
        ];
        for part in parts {
            made.put(&stage.gpu, Of::Picture, &texels(part));
            canvas.put(&texels(part));
        }
        stage.made = Some(made);
        // A photograph of one colour: its place does not matter, but its camera does where it ends.
        stage.proxy.put_photo(&stage.gpu, (0, &eye), (2, 2), &[[51, 102, 204, 255]; 4].concat(), &[]);
        let truth = Vec3::new(0.2, 0.4, 0.8);
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Normals) {
            let wanted = Picture {
                camera: &eye,
                near: 0.1,
                chosen: &[],
                kind,
                range: RANGE,
                level: Level::Full,
                truth: Some((0, &eye)),
            };
            let image = stage.read(&wanted).unwrap();
            for (x, y) in Part::all(0, 0, 61, 39).places() {
                let texel = best(Vec2::new(x as f32, y as f32), &canvas);
                let expected = match (kind, texel) {
                    // Nothing is known there: errors are told from the background.
                    (Kind::Error, None) => turbo(ERROR_GAIN * (BACKGROUND - truth).abs().element_sum() / 3.0).into(),
                    _ => shown(kind, texel, RANGE, truth),
                };
                let found = Vec3::from(image.pixel(x, y));
                let off = (found - expected).abs().max_element();
                // Half a step of 8 bits, and rounding where the colour map is steep.
                assert!(off < 0.012, "{kind:?} at {x}, {y}: expected {expected}, found {found}");
            }
        }
    }

    /// A wall across the view shows its front everywhere, and one that leans to the side leans in its colours.
    #[test]
    #[ignore = "needs a graphics adapter, such as lavapipe of mesa-vulkan-drivers"]
    fn normals_are_those_of_the_surface() {
        let mut stage = Stage::new(Gpu::without_window().unwrap(), READABLE);
        let eye: Camera = camera(glam::Vec3::ZERO, 31, 21);
        // Planes through (0, 0, 4): n · (p - (0, 0, 4)) = 0.
        for normal in [Vec3::NEG_Z, Vec3::new(0.6, 0.0, -0.8), Vec3::new(0.0, -0.6, -0.8)] {
            let part = Part::all(0, 0, 31, 21);
            let depth =
                |(x, y): (u32, u32)| 4.0 * normal.z / normal.dot(eye.ray(Vec2::new(x as f32, y as f32)).direction);
            let texels = part.places().map(|at| Texel { depth: depth(at), ..Texel::default() }).collect();
            let mut made = Made::new(&stage.gpu, &eye, &Opened { sources: vec![0], cell: CELL, fades: false });
            made.put(&stage.gpu, Of::Picture, &Patch { part, texels });
            stage.made = Some(made);
            let image = stage
                .read(&Picture {
                    camera: &eye,
                    near: 0.1,
                    chosen: &[],
                    kind: Kind::Normals,
                    range: RANGE,
                    level: Level::Full,
                    truth: None,
                })
                .unwrap();
            let expected = Vec3::new(normal.x, -normal.y, -normal.z) * 0.5 + 0.5;
            for (x, y) in Part::all(3, 3, 25, 15).places() {
                let off = (Vec3::from(image.pixel(x, y)) - expected).abs().max_element();
                assert!(off < 0.02, "{normal} at {x}, {y}: expected {expected}, found {:?}", image.pixel(x, y));
            }
        }
    }
}
