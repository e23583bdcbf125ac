//! Depth of a source view from a few others by a plane sweep, within a fraction of a second: colours are compared on
//! planes of even inverse depth, and neighbouring pixels persuaded to agree (semi-global matching along four ways; H.
//! Hirschmüller, "Stereo processing by semiglobal matching and mutual information", 2008).

use super::depth::DepthMap;
use glam::{Vec2, Vec3};
use scene::Camera;

/// Planes.
pub const PLANES: usize = 48;
/// Largest difference of colours that counts, of three channels together.
const MOST: f32 = 0.5;
/// What a step to the next plane costs, and to any other, against the largest difference.
const STEP: f32 = 0.05;
const JUMP: f32 = 0.35;

/// A small picture of a source view.
#[derive(Clone, Debug)]
pub struct Small {
    /// The camera at this size.
    pub camera: Camera,
    /// Colours, `[height, width]`.
    pub rgb: Vec<Vec3>,
}

impl Small {
    /// Bilinear colour at a pixel; none outside.
    fn at(&self, pixel: Vec2) -> Option<Vec3> {
        let (width, height) = (self.camera.width as usize, self.camera.height as usize);
        // Not-a-number falls through.
        let inside = pixel.x >= 0.0 && pixel.y >= 0.0 && pixel.x < (width - 1) as f32 && pixel.y < (height - 1) as f32;
        if !inside {
            return None;
        }
        let (x, y) = (pixel.x as usize, pixel.y as usize);
        let t = pixel - Vec2::new(x as f32, y as f32);
        let row = |y: usize| {
            let pair = &self.rgb[y * width + x..][..2];
            pair[0].lerp(pair[1], t.x)
        };
        Some(row(y).lerp(row(y + 1), t.y))
    }
}

/// Depth of `view` between `near` and `far` from `others`; as far away as it goes where there are none.
pub fn sweep(view: &Small, others: &[&Small], [near, far]: [f32; 2]) -> DepthMap {
    let (width, height) = (view.camera.width as usize, view.camera.height as usize);
    let mut costs = differences(view, others, [near, far]);
    smooth(&mut costs, width, height);
    let total = agree(&costs, width, height);
    let mut depth = Vec::with_capacity(width * height);
    let mut trust = Vec::with_capacity(width * height);
    for (sums, own) in total.as_chunks::<PLANES>().0.iter().zip(costs.as_chunks::<PLANES>().0) {
        let (best, _) = sums.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap_or((0, &0.0));
        depth.push(1.0 / inverse(refined(sums, best), [near, far]));
        trust.push((1.0 - own[best] / MOST).clamp(0.05, 1.0));
    }
    let depth = median(&depth, width, height);
    DepthMap::new(view.camera, depth, trust)
}

/// Inverse depth of a plane, from the farthest on.
fn inverse(plane: f32, [near, far]: [f32; 2]) -> f32 {
    let t = plane / (PLANES - 1) as f32;
    (1.0 - t) / far + t / near
}

/// The least place of a parabola through a minimum and its neighbours.
fn refined(sums: &[f32], best: usize) -> f32 {
    if best == 0 || best + 1 == sums.len() {
        return best as f32;
    }
    let [a, b, c] = [sums[best - 1], sums[best], sums[best + 1]];
    let bend = a - 2.0 * b + c;
    best as f32 + if bend > 1e-9 { (0.5 * (a - c) / bend).clamp(-0.5, 0.5) } else { 0.0 }
}

/// Differences of colour `[height, width, planes]`: the mean over the half of the others that agrees best, since the other
/// half may see something in front.
fn differences(view: &Small, others: &[&Small], range: [f32; 2]) -> Vec<f32> {
    let (width, height) = (view.camera.width as usize, view.camera.height as usize);
    let mut costs = vec![MOST; width * height * PLANES];
    let maps: Vec<_> = others
        .iter()
        .map(|other| {
            let to_other = other.camera.pixel_from_world();
            (to_other, other)
        })
        .collect();
    let keep = maps.len().div_ceil(2);
    if keep == 0 {
        return costs;
    }
    let mut found = Vec::with_capacity(maps.len());
    for (i, costs) in costs.as_chunks_mut::<PLANES>().0.iter_mut().enumerate() {
        let ray = view.camera.ray(Vec2::new((i % width) as f32, (i / width) as f32));
        let own = view.rgb[i];
        // In another's picture the ray's points are `start + direction · z`; divided by z, `direction + start / z`.
        let ways: Vec<(Vec3, Vec3)> = maps
            .iter()
            .map(|(map, _)| ((*map * ray.origin.extend(1.0)).truncate(), (*map * ray.direction.extend(0.0)).truncate()))
            .collect();
        for (plane, cost) in costs.iter_mut().enumerate() {
            let inverse = inverse(plane as f32, range);
            found.clear();
            for ((start, direction), (_, other)) in ways.iter().zip(&maps) {
                let p = *direction + *start * inverse;
                let colour = if p.z > 0.0 { other.at(Vec2::new(p.x, p.y) / p.z) } else { None };
                if let Some(colour) = colour {
                    found.push((colour - own).abs().element_sum().min(MOST));
                }
            }
            found.sort_by(f32::total_cmp);
            let few = found.len().min(keep);
            if few > 0 {
                // Where fewer see it than should, the plane is a little less likely.
                let missing = 0.02 * (keep - few) as f32;
                *cost = (found[..few].iter().sum::<f32>() / few as f32 + missing).min(MOST);
            }
        }
    }
    costs
}

/// Means over three by three pixels.
fn smooth(costs: &mut [f32], width: usize, height: usize) {
    let mut one_way = |at: &dyn Fn(usize, usize) -> usize, lines: usize, count: usize| {
        for line in 0..lines {
            let mut before = [0.0; PLANES];
            for i in 0..count {
                let here = at(line, i) * PLANES;
                let after = at(line, (i + 1).min(count - 1)) * PLANES;
                for plane in 0..PLANES {
                    let own = costs[here + plane];
                    let left = if i == 0 { own } else { before[plane] };
                    before[plane] = own;
                    costs[here + plane] = (left + own + costs[after + plane]) / 3.0;
                }
            }
        }
    };
    one_way(&|line, i| line * width + i, height, width);
    one_way(&|line, i| i * width + line, width, height);
}

/// Sums of the least costs along four ways into each pixel, `[height, width, planes]`.
fn agree(costs: &[f32], width: usize, height: usize) -> Vec<f32> {
    let mut total = vec![0.0; costs.len()];
    let mut way = |at: &dyn Fn(usize, usize) -> usize, lines: usize, count: usize| {
        for line in 0..lines {
            let mut before = [0.0; PLANES];
            for i in 0..count {
                let here = at(line, i) * PLANES;
                let least = before.iter().copied().fold(f32::INFINITY, f32::min);
                let mut now = [0.0; PLANES];
                for plane in 0..PLANES {
                    let mut best = before[plane].min(least + JUMP);
                    if plane > 0 {
                        best = best.min(before[plane - 1] + STEP);
                    }
                    if plane + 1 < PLANES {
                        best = best.min(before[plane + 1] + STEP);
                    }
                    now[plane] = costs[here + plane] + best - least;
                    total[here + plane] += now[plane];
                }
                before = now;
            }
        }
    };
    way(&|line, i| line * width + i, height, width);
    way(&|line, i| line * width + (width - 1 - i), height, width);
    way(&|line, i| i * width + line, width, height);
    way(&|line, i| (height - 1 - i) * width + line, width, height);
    total
}

/// The median of three by three; borders take part with the pixels they have.
fn median(values: &[f32], width: usize, height: usize) -> Vec<f32> {
    let mut around = Vec::with_capacity(9);
    let mut out = Vec::with_capacity(values.len());
    for y in 0..height {
        for x in 0..width {
            around.clear();
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                around.extend_from_slice(&values[y * width + x.saturating_sub(1)..y * width + (x + 2).min(width)]);
            }
            around.sort_by(f32::total_cmp);
            out.push(around[around.len() / 2]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::depth::tests::camera;
    use super::*;

    /// A textured wall at depth 6 with a square at depth 3 before it, as seen from `x`.
    fn picture(x: f32) -> Small {
        let camera = camera(Vec3::X * x, 64, 48);
        let noise = |a: f32, b: f32| {
            let wave = |f: f32, g: f32| 0.5 + 0.5 * (f * a * 3.0 + g * b * 3.0).sin();
            Vec3::new(wave(2.0, 1.0), wave(-1.0, 3.0), wave(3.1, -2.2))
        };
        let rgb = (0..64 * 48).map(|i| {
            let ray = camera.ray(Vec2::new((i % 64) as f32, (i / 64) as f32));
            let near = ray.origin + ray.direction * 3.0;
            if near.x.abs() < 0.7 && near.y.abs() < 0.5 {
                return noise(near.x * 2.0 + 5.0, near.y * 2.0);
            }
            let far = ray.origin + ray.direction * 6.0;
            noise(far.x, far.y)
        });
        Small { camera, rgb: rgb.collect() }
    }

    #[test]
    fn a_square_before_a_wall_is_found() {
        let view = picture(0.0);
        let others = [picture(-0.3), picture(0.3), picture(-0.6), picture(0.6)];
        let map = sweep(&view, &others.iter().collect::<Vec<_>>(), [2.0, 20.0]);
        let right = (0..64 * 48).filter(|i| {
            let ray = view.camera.ray(Vec2::new((i % 64) as f32, (i / 64) as f32));
            let near = ray.direction * 3.0;
            let expected = if near.x.abs() < 0.7 && near.y.abs() < 0.5 { 3.0 } else { 6.0 };
            (map.depth[*i] / expected - 1.0).abs() < 0.08
        });
        let part = right.count() as f32 / (64.0 * 48.0);
        assert!(part > 0.9, "{part} of the depths are right");
    }

    #[test]
    fn nothing_to_compare_with_is_no_panic() {
        let view = picture(0.0);
        let map = sweep(&view, &[], [2.0, 20.0]);
        assert!(map.depth.iter().all(|z| (2.0..=20.0).contains(z)) && map.trust.iter().all(|t| *t > 0.0));
    }
}
