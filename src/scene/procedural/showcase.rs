//! A still life composed by hand.

use super::bvh::Bvh;
use super::compose::expose;
use super::palette::{Palette, srgb};
use super::recipes::{Builder, KINDS};
use super::rig::{RigKind, look};
use super::rng::Rng;
use super::sdf::Solid;
use super::shape::{Cutout, Shape};
use super::texture::{Pattern, Texture};
use super::{Enclosure, Light, Lighting, Material, Stage, World};
use glam::{Quat, Vec2, Vec3};

/// A texture with colours of its own.
fn texture(pattern: Pattern, feature: f32, colours: [[u8; 3]; 4], grain: f32, seed: u32) -> Texture {
    let frequency = Vec3::splat(1.0 / feature);
    Texture { pattern, frequency, colours: colours.map(srgb), grain, grain_frequency: 24.0, seed, swatch: None }
}

fn glossy(texture: Texture, specular: f32, shininess: f32, mirror: f32) -> Material {
    Material { texture, specular, shininess, mirror, emissive: false, bump: 0.0, bump_frequency: 1.0 }
}

fn rough(texture: Texture, bump: f32, bump_frequency: f32) -> Material {
    Material { bump, bump_frequency, ..glossy(texture, 0.0, 1.0, 0.0) }
}

/// The height of the table, under the eye.
const TABLE: f32 = 1.15;

pub(super) fn world() -> World {
    let mut rng = Rng::new(20, 3);
    let palette = Palette::random(&mut rng);
    let fov_rad = 52f32.to_radians();
    let spread = 2.0 * (0.5 * fov_rad).tan() / 320.0;
    let (objects, materials, eye) = (Vec::new(), Vec::new(), Vec3::ZERO);
    let mut b =
        Builder { rng, palette, objects, materials, eye, spread, mirrors: 0.0, taste: [1.0; KINDS], wardrobe: None };
    let enclosure = room(&mut b);
    table(&mut b);
    fern(&mut b, Vec3::new(-1.25, TABLE, 4.5));
    bowl_and_fruit(&mut b);
    books(&mut b);
    let lighting = Lighting {
        key: Light::Distant { towards: Vec3::new(-0.4, -0.74, -0.6).normalize() },
        key_colour: Vec3::new(1.5, 1.32, 1.05),
        key_size: 0.05,
        fill: Vec3::new(0.7, -0.3, -0.6).normalize(),
        fill_colour: Vec3::new(0.14, 0.17, 0.24),
        above: Vec3::new(0.42, 0.45, 0.52),
        below: Vec3::new(0.28, 0.22, 0.17),
        exposure: 1.0,
    };
    let stage = Stage {
        kind: RigKind::Forward,
        world_from_rig: look(Vec3::ZERO, Vec3::new(0.0, 0.13, 1.0), 0.0),
        centre: Vec3::ZERO,
        distance: 2.2,
        focus: 4.4,
        fov_rad,
        elevation_rad: 0.2,
        sweep_rad: 0.5,
        spacing: Some(0.06),
    };
    let bvh = Bvh::new(b.objects);
    let mut world = World { bvh, materials: b.materials, enclosure, lighting, stage, imperfections: None };
    expose(&mut world, 0.2);
    world
}

/// Walls with a brick back wall, a picture and a lattice window.
fn room(b: &mut Builder) -> Enclosure {
    let bricks = [[168, 92, 68], [186, 112, 84], [146, 78, 60], [206, 196, 182]];
    let brick = b.push(rough(texture(Pattern::Bricks { mortar: 0.035 }, 0.62, bricks, 0.3, 5), 0.12, 14.0));
    let plaster = [[214, 204, 184], [222, 212, 194], [206, 194, 172], [196, 184, 160]];
    let plaster = b.push(rough(texture(Pattern::Clouds { octaves: 4, gain: 0.6 }, 1.5, plaster, 0.06, 6), 0.05, 10.0));
    let boards = [[120, 86, 58], [104, 72, 48], [134, 98, 66], [60, 42, 30]];
    let boards = b.push(rough(texture(Pattern::Panels { aspect: 0.25 }, 0.5, boards, 0.3, 7), 0.0, 1.0));
    let (min, max) = (Vec3::new(-4.2, -3.0, -3.0), Vec3::new(4.4, 2.6, 8.2));

    let frame = b.push(glossy(
        texture(Pattern::Wood { warp: 0.5 }, 0.5, [[96, 62, 36], [120, 80, 48], [82, 52, 30], [60, 38, 22]], 0.2, 8),
        0.2,
        30.0,
        0.0,
    ));
    let canvas = [[236, 222, 196], [58, 104, 128], [214, 132, 62], [36, 52, 70]];
    let canvas = b.push(rough(texture(Pattern::Posterised { levels: 5.0 }, 0.55, canvas, 0.12, 19), 0.0, 1.0));
    let at = Vec3::new(1.35, -0.75, 8.15);
    b.add(Shape::Cube, at, Quat::IDENTITY, Vec3::new(1.12, 0.82, 0.06), frame);
    b.add(Shape::Cube, at - Vec3::Z * 0.04, Quat::IDENTITY, Vec3::new(1.0, 0.7, 0.05), canvas);

    let view = [[150, 190, 228], [96, 130, 64], [52, 76, 40], [226, 234, 240]];
    let mut light = texture(Pattern::Sky { hills: 2, clouds: 0.5 }, 1.0, view, 0.0, 11);
    light.frequency = Vec3::new(1.0, 0.4, 1.0);
    let pane = b.push(Material { emissive: true, ..glossy(light, 0.0, 1.0, 0.0) });
    let at = Vec3::new(-2.1, -0.75, 8.12);
    // Deep, since the sky is looked up by direction from the middle of the box.
    b.add(Shape::Cube, at + Vec3::Z * 1.5, Quat::IDENTITY, Vec3::new(0.95, 1.25, 1.5), pane);
    b.add(
        Shape::Sheet(Cutout::Lattice { count: 3.0, bar: 0.05 }),
        at - Vec3::Z * 0.08,
        Quat::IDENTITY,
        Vec3::new(1.0, 1.3, 1.0),
        frame,
    );
    Enclosure::Room { min, max, materials: [plaster, plaster, plaster, boards, plaster, brick] }
}

fn table(b: &mut Builder) {
    let oak = [[178, 126, 78], [196, 144, 94], [160, 108, 64], [124, 80, 46]];
    let mut oak = texture(Pattern::Wood { warp: 1.3 }, 1.0, oak, 0.22, 12);
    oak.frequency = Vec3::new(0.25, 1.4, 1.4);
    oak.grain_frequency = 18.0;
    let top = b.push(glossy(oak, 0.12, 24.0, 0.02));
    b.add(Shape::Cube, Vec3::new(0.0, TABLE + 0.08, 4.7), Quat::IDENTITY, Vec3::new(2.9, 0.08, 1.75), top);
    let cloth = [[232, 226, 210], [204, 143, 131], [178, 62, 54], [204, 143, 131]];
    let cloth = b.push(rough(texture(Pattern::Checker, 0.13, cloth, 0.12, 13), 0.04, 30.0));
    let turn = Quat::from_rotation_y(0.22);
    b.add(Shape::Cube, Vec3::new(0.35, TABLE - 0.004, 4.15), turn, Vec3::new(1.0, 0.006, 0.72), cloth);
}

/// A fern in a clay pot that stands at `foot`.
fn fern(b: &mut Builder, foot: Vec3) {
    let clay = [[186, 104, 70], [198, 120, 84], [170, 92, 62], [150, 80, 54]];
    let clay = b.push(rough(texture(Pattern::Clouds { octaves: 4, gain: 0.6 }, 0.3, clay, 0.15, 14), 0.05, 20.0));
    let pot = Quat::from_rotation_x(std::f32::consts::PI);
    b.add(Shape::Cone { top: 0.72 }, foot - Vec3::Y * 0.3, pot, Vec3::new(0.36, 0.3, 0.36), clay);
    b.add(Shape::Cylinder, foot - Vec3::Y * 0.58, Quat::IDENTITY, Vec3::new(0.4, 0.06, 0.4), clay);
    let soil = b.push(rough(
        texture(
            Pattern::Clouds { octaves: 5, gain: 0.7 },
            0.1,
            [[52, 38, 28], [70, 52, 38], [40, 30, 22], [84, 64, 46]],
            0.3,
            15,
        ),
        0.2,
        30.0,
    ));
    b.add(Shape::Cylinder, foot - Vec3::Y * 0.62, Quat::IDENTITY, Vec3::new(0.34, 0.03, 0.34), soil);
    let crown = foot - Vec3::Y * 0.62;
    let greens = [[[74, 116, 48], [104, 146, 62]], [[58, 98, 44], [88, 130, 54]], [[112, 150, 70], [140, 172, 84]]];
    let greens = greens.map(|[a, c]| {
        let leaf = texture(Pattern::Stripes { warp: 0.2, soft: true }, 0.05, [a, c, c, a], 0.2, 16);
        b.push(glossy(leaf, 0.12, 20.0, 0.0))
    });
    let fronds = 15;
    for s in 0..fronds {
        let turn = Quat::from_rotation_y(s as f32 * 2.399_963);
        let out = turn * Vec3::X;
        let reach = b.rng.range(0.75, 1.15);
        let lift = b.rng.range(0.75, 1.5);
        let material = greens[s % 3];
        let point =
            |t: f32| crown + out * (reach * t * (0.4 + 0.6 * t)) * 0.85 - Vec3::Y * (lift * t * (1.25 - 0.75 * t));
        let pairs = 13;
        for i in 0..pairs {
            let (t0, t1) = (i as f32 / pairs as f32, (i + 1) as f32 / pairs as f32);
            let (a, c) = (point(t0), point(t1));
            b.rod(a, c, 0.009, material);
            let along = (c - a).normalize();
            let across = along.cross(Vec3::Y).normalize_or(Vec3::Z);
            let length = 0.3 * (1.0 - t1).powf(0.6) * (0.35 + t1.min(0.35) * 2.0) + 0.05;
            for side in [-1.0, 1.0] {
                let tip = (across * side + along * 0.55 + Vec3::Y * 0.18).normalize();
                b.blade(c, tip, along, length, 0.3, material);
            }
        }
    }
}

fn bowl_and_fruit(b: &mut Builder) {
    let glaze = [[58, 108, 138], [44, 88, 120], [232, 228, 214], [36, 70, 98]];
    let glaze =
        b.push(glossy(texture(Pattern::Stripes { warp: 0.4, soft: false }, 0.1, glaze, 0.05, 17), 0.5, 60.0, 0.05));
    let vase = Solid::Vase { belly: 0.3, waves: 2.4, phase: 1.0 };
    b.add(Shape::Solid(vase), Vec3::new(0.15, TABLE - 0.62, 5.35), Quat::IDENTITY, Vec3::splat(0.63), glaze);
    let stem = b.push(rough(Texture::flat(srgb([86, 110, 52])), 0.0, 1.0));
    let petals = [[226, 176, 54], [240, 204, 92], [206, 92, 70]];
    let petals = petals.map(|c| b.push(rough(Texture::flat(srgb(c)), 0.0, 1.0)));
    let eye = b.push(rough(
        texture(
            Pattern::Spots { radius: 0.4 },
            0.02,
            [[80, 50, 26], [110, 74, 34], [60, 38, 20], [80, 50, 26]],
            0.2,
            18,
        ),
        0.0,
        1.0,
    ));
    for i in 0..7usize {
        let lean = Vec2::from_angle(i as f32 * 2.4) * (0.12 + 0.05 * i as f32);
        let foot = Vec3::new(0.15, TABLE - 1.0, 5.35);
        let head = foot + Vec3::new(lean.x, -0.55 - 0.09 * (i % 4) as f32, lean.y);
        b.rod(foot, head, 0.014, stem);
        let facing = Vec3::new(lean.x, -0.5, lean.y - 0.7).normalize();
        let (u, v) = facing.any_orthonormal_pair();
        b.add(Shape::Sphere, head, Quat::IDENTITY, Vec3::splat(0.055), eye);
        for k in 0..11 {
            let angle = k as f32 / 11.0 * std::f32::consts::TAU;
            let tip = (u * angle.cos() + v * angle.sin() + facing * 0.25).normalize();
            let hint = facing.cross(tip);
            b.blade(head, tip, hint, 0.19, 0.42, petals[i % 3]);
        }
    }
    let fruit = |colours: [[u8; 3]; 4], seed| {
        let skin = texture(Pattern::Clouds { octaves: 5, gain: 0.6 }, 0.16, colours, 0.12, seed);
        glossy(skin, 0.35, 40.0, 0.0)
    };
    let apple = b.push(fruit([[176, 44, 38], [196, 70, 48], [160, 34, 34], [214, 150, 70]], 21));
    let orange = b.push(Material {
        bump: 0.12,
        bump_frequency: 50.0,
        ..fruit([[230, 140, 40], [236, 152, 52], [222, 128, 34], [236, 152, 52]], 22)
    });
    let pear = b.push(fruit([[176, 178, 78], [190, 186, 92], [158, 160, 66], [140, 110, 60]], 23));
    for (x, z, r, material) in [(0.42, 3.95, 0.19, apple), (0.83, 4.2, 0.2, orange), (0.62, 4.5, 0.18, apple)] {
        b.add(Shape::Sphere, Vec3::new(x, TABLE - r * 0.94, z), Quat::IDENTITY, Vec3::new(r, r * 0.94, r), material);
    }
    let balls = vec![(Vec3::new(0.0, 0.42, 0.0), 0.5), (Vec3::new(0.05, -0.35, 0.0), 0.28)];
    let turn = Quat::from_rotation_z(0.15);
    b.add(
        Shape::Solid(Solid::Blobs { balls, blend: 0.45 }),
        Vec3::new(-0.1, TABLE - 0.24, 4.2),
        turn,
        Vec3::splat(0.26),
        pear,
    );
    let steel = b.push(glossy(texture(Pattern::Flat, 1.0, [[200, 200, 205]; 4], 0.0, 24), 0.8, 120.0, 0.7));
    b.add(Shape::Sphere, Vec3::new(-0.62, TABLE - 0.2, 3.6), Quat::IDENTITY, Vec3::splat(0.2), steel);
}

fn books(b: &mut Builder) {
    let covers = [
        ([[44, 74, 96], [206, 180, 110]], 0.62, 0.07, 0.1),
        ([[130, 48, 44], [222, 206, 170]], 0.56, 0.09, -0.12),
        ([[70, 92, 66], [226, 214, 180]], 0.5, 0.06, 0.3),
    ];
    let mut y = TABLE;
    for (i, ([cloth, print], half, thick, turn)) in covers.into_iter().enumerate() {
        let title = texture(Pattern::Glyphs, 0.06, [cloth, cloth, print, cloth], 0.15, 30 + i as u32);
        let title = b.push(glossy(title, 0.1, 20.0, 0.0));
        let paper = texture(
            Pattern::Stripes { warp: 0.0, soft: true },
            0.014,
            [[236, 228, 206], [214, 204, 178], [224, 214, 190], [206, 196, 170]],
            0.05,
            33,
        );
        let mut paper = paper;
        paper.frequency = Vec3::new(1.0, 70.0, 1.0);
        let paper = b.push(rough(paper, 0.0, 1.0));
        let turn = Quat::from_rotation_y(turn - 0.3);
        let centre = Vec3::new(1.55, y - thick, 4.75);
        let deep = half * 0.7;
        b.add(Shape::Cube, centre, turn, Vec3::new(half * 0.97, thick * 0.85, deep * 0.97), paper);
        for side in [-1.0, 1.0] {
            b.add(
                Shape::Cube,
                centre + Vec3::Y * side * thick * 0.92,
                turn,
                Vec3::new(half, thick * 0.08, deep),
                title,
            );
        }
        b.add(Shape::Cube, centre + turn * Vec3::new(0.0, 0.0, -deep), turn, Vec3::new(half, thick, 0.012), title);
        y -= 2.0 * thick;
    }
    let marble = [[226, 224, 220], [198, 196, 196], [150, 150, 156], [110, 112, 122]];
    let marble = b.push(glossy(texture(Pattern::Marble { warp: 2.6 }, 0.5, marble, 0.03, 40), 0.5, 70.0, 0.04));
    let torus = Solid::Torus { major: 0.68, minor: 0.28 };
    let turn = Quat::from_rotation_y(0.5) * Quat::from_rotation_x(std::f32::consts::FRAC_PI_2 - 0.12);
    b.add(Shape::Solid(torus), Vec3::new(1.55, y - 0.33, 4.8), turn, Vec3::splat(0.35), marble);
}
