//! An order of cameras that makes a short way from one to the next.

use crate::capture::Capture;
use crate::pose::center;
use glam::DMat4;

/// Turning by one radian counts as much as moving by this part of the cameras' region.
const TURN: f64 = 0.25;
/// A file's own order is kept if it is at most this much longer: the photographer's way makes the better film.
const OWN_ORDER: f64 = 1.2;
/// Bound on the comparisons of the improvement.
const WORK: usize = 400_000_000;

/// Indices of [`Capture::poses`]: their own order if that is a smooth walk, else an open tour by nearest neighbours,
/// improved by reversing parts until no reversal makes it shorter. It begins at the end farther out.
pub(super) fn order(capture: &Capture) -> Vec<usize> {
    let poses = &capture.poses;
    let apart = |a: usize, b: usize| {
        let moved = center(&poses[a]).distance(center(&poses[b])) / capture.extent.max(f64::MIN_POSITIVE);
        moved + TURN * poses[a].z_axis.truncate().angle_between(poses[b].z_axis.truncate())
    };
    let length = |order: &[usize]| order.windows(2).map(|pair| apart(pair[0], pair[1])).sum::<f64>();
    let own: Vec<usize> = (0..poses.len()).collect();
    let from_center = |pose: &DMat4| center(pose).distance(capture.center);
    let Some(first) = own.iter().copied().max_by(|a, b| from_center(&poses[*a]).total_cmp(&from_center(&poses[*b])))
    else {
        return own;
    };
    let second = own.iter().copied().max_by(|a, b| apart(first, *a).total_cmp(&apart(first, *b))).unwrap_or(first);
    let mut tours = [first, second].map(|start| improved(nearest_neighbours(start, poses.len(), apart), apart));
    let [a, b] = [length(&tours[0]), length(&tours[1])];
    let mut best = std::mem::take(&mut tours[usize::from(b < a)]);
    if length(&own) <= OWN_ORDER * a.min(b) {
        return own;
    }
    if from_center(&poses[best[0]]) < from_center(&poses[best[best.len() - 1]]) {
        best.reverse();
    }
    best
}

fn nearest_neighbours(start: usize, count: usize, apart: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let mut left: Vec<usize> = (0..count).filter(|i| *i != start).collect();
    let mut order = vec![start];
    let mut at = start;
    while let Some(next) = (0..left.len()).min_by(|a, b| apart(at, left[*a]).total_cmp(&apart(at, left[*b]))) {
        at = left.swap_remove(next);
        order.push(at);
    }
    order
}

/// 2-opt on an open tour: reverses parts as long as that makes it shorter; both ends are free.
fn improved(mut order: Vec<usize>, apart: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let count = order.len();
    let join = |order: &[usize], a: Option<usize>, b: usize| match (a, order.get(b)) {
        (Some(a), Some(b)) => apart(order[a], *b),
        _ => 0.0,
    };
    for _ in 0..(WORK / (count * count).max(1)).clamp(1, 100) {
        let mut shorter = false;
        for i in 0..count {
            for j in i + 1..count {
                let before = i.checked_sub(1);
                let old = join(&order, before, i) + join(&order, Some(j), j + 1);
                let new = join(&order, before, j) + join(&order, Some(i), j + 1);
                if new < old - 1e-9 {
                    order[i..=j].reverse();
                    shorter = true;
                }
            }
        }
        if !shorter {
            break;
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use glam::Vec3;

    fn order_of(xs: &[f32]) -> Vec<usize> {
        let scene = testing::scene(&xs.iter().map(|x| Vec3::X * *x).collect::<Vec<_>>());
        order(&Capture::of(&scene).unwrap())
    }

    #[test]
    fn a_line_in_any_order_is_walked_from_end_to_end() {
        assert_eq!(order_of(&[0.0, 1.0, 2.0, 3.5]), [0, 1, 2, 3]);
        assert_eq!(order_of(&[3.5, 2.0, 1.0, 0.0]), [0, 1, 2, 3]);
        assert_eq!(order_of(&[2.0, 0.0, 3.5, 1.0]), [2, 0, 3, 1]);
        assert_eq!(order_of(&[1.0]), [0]);
    }

    #[test]
    fn crossings_are_undone() {
        // Nearest neighbours from the first run into a corner.
        let at = [(0.0f64, 0.0f64), (1.0, 0.0), (1.0, 1.0), (0.0, 1.1), (-3.0, 0.5)];
        let apart = |a: usize, b: usize| (at[a].0 - at[b].0).hypot(at[a].1 - at[b].1);
        let length = |order: &[usize]| order.windows(2).map(|p| apart(p[0], p[1])).sum::<f64>();
        let start = vec![0, 2, 1, 3, 4];
        assert!(length(&improved(start.clone(), apart)) < length(&start) - 0.5);
    }
}
