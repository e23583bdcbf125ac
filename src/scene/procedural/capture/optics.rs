//! What a lens does to linear colours `[height, width]`.

use glam::{Vec2, Vec3};

/// Darkens towards the corners, where `loss` of the light is missing, and multiplies by `gains`.
pub(super) fn vignette(linear: &mut [Vec3], (width, height): (usize, usize), loss: f32, gains: Vec3) {
    let middle = Vec2::new(width as f32 - 1.0, height as f32 - 1.0) / 2.0;
    let corner = middle.length_squared().max(1e-6);
    // The fourth power of a cosine, as in a plain lens, of the angle that loses as much at the corner.
    let slope = (1.0 - loss).powf(-0.5) - 1.0;
    for (y, row) in linear.chunks_mut(width).enumerate() {
        for (x, colour) in row.iter_mut().enumerate() {
            let r = (Vec2::new(x as f32, y as f32) - middle).length_squared() / corner;
            *colour *= gains / (1.0 + slope * r).powi(2);
        }
    }
}

/// Blurs with a kernel of standard deviation `sigma` pixels in x and y, up to 1.4; edges are continued.
///
/// Twice three taps: their variance is exact for small blurs too, where samples of a Gaussian at whole pixels are not.
pub(super) fn blur(linear: &mut [Vec3], (width, height): (usize, usize), sigma: f32) {
    let side = (sigma * sigma / 4.0).min(0.5);
    let mut line = Vec::with_capacity(width.max(height));
    let mut smooth = |values: &mut dyn FnMut(usize) -> Vec3, count: usize| {
        line.clear();
        line.extend((0..count).map(values));
        for _ in 0..2 {
            let (last, mut before) = (count - 1, line[0]);
            for i in 0..count {
                let here = line[i];
                line[i] = here * (1.0 - 2.0 * side) + (before + line[last.min(i + 1)]) * side;
                before = here;
            }
        }
        line.clone()
    };
    for row in linear.chunks_mut(width) {
        let smoothed = smooth(&mut |x| row[x], width);
        row.copy_from_slice(&smoothed);
    }
    for x in 0..width {
        let smoothed = smooth(&mut |y| linear[y * width + x], height);
        smoothed.into_iter().enumerate().for_each(|(y, colour)| linear[y * width + x] = colour);
    }
}
