//! Whether matches of two photographs have a geometry in common, whatever their poses say.
//!
//! Few matches on their lines may mean wrong poses, or merely wrong matches: photographs taken far apart, or of things that
//! repeat. With wrong poses most matches still fit *some* two cameras, with wrong matches they fit none. Cameras are drawn
//! from eight matches at a time (the eight-point algorithm of Longuet-Higgins, 1981, in a random sample consensus), and the
//! best ones count.

use glam::{DMat3, DVec3};

/// Matches that fix the two cameras of a drawing.
const DRAWN: usize = 8;
/// Drawings. With half of the matches right, one of 256 draws nothing else.
const DRAWINGS: usize = 3000;
/// Part of the matches from which on no better cameras are looked for.
const PLENTY: f64 = 0.6;

/// The largest part of the matches (rays `(x, y, 1)` of both cameras) that lies on the epipolar lines of any two cameras,
/// less what eight matches fit by themselves. `tolerance` is the distance from a line in units of the rays. At least a
/// lower bound: it is found by drawing, the same way each time.
pub(super) fn most_on_lines(rays: &[[DVec3; 2]], tolerance: f64) -> f64 {
    if rays.len() <= 2 * DRAWN {
        return 0.0;
    }
    let mut state = 1u64;
    let mut best = 0;
    let share = |count: usize| count.saturating_sub(DRAWN) as f64 / (rays.len() - DRAWN) as f64;
    for _ in 0..DRAWINGS {
        let drawn = draw(rays.len(), &mut state);
        let Some(essential) = eight_points(&drawn.map(|i| rays[i])) else { continue };
        let count = rays.iter().filter(|rays| distance(&essential, rays) < tolerance).count();
        best = best.max(count);
        if share(best) >= PLENTY {
            break;
        }
    }
    share(best)
}

/// Distance of the second ray from the line of the first.
fn distance(essential: &DMat3, [a, b]: &[DVec3; 2]) -> f64 {
    let line = *essential * *a;
    line.dot(*b).abs() / line.truncate().length().max(1e-12)
}

/// Different indices below `count`.
fn draw(count: usize, state: &mut u64) -> [usize; DRAWN] {
    let mut drawn = [usize::MAX; DRAWN];
    for i in 0..DRAWN {
        loop {
            // Knuth's linear congruential generator; its upper bits are good enough to draw with.
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let index = (*state >> 33) as usize % count;
            if !drawn[..i].contains(&index) {
                drawn[i] = index;
                break;
            }
        }
    }
    drawn
}

/// The matrix E with bᵀ·E·a = 0 for eight matches; none where they do not fix it.
fn eight_points(matches: &[[DVec3; 2]; DRAWN]) -> Option<DMat3> {
    let mut rows = matches.map(|[a, b]| -> [f64; 9] { std::array::from_fn(|k| b[k / 3] * a[k % 3]) });
    let mut columns: [usize; 9] = std::array::from_fn(|k| k);
    // Gauss and Jordan, each time with the largest number that is left as the pivot.
    for step in 0..DRAWN {
        let left = (step..DRAWN).flat_map(|row| (step..9).map(move |column| (row, column)));
        let (row, column) = left.max_by(|&(r, c), &(s, d)| rows[r][c].abs().total_cmp(&rows[s][d].abs()))?;
        rows.swap(step, row);
        rows.iter_mut().for_each(|row| row.swap(step, column));
        columns.swap(step, column);
        let pivot = rows[step][step];
        if pivot.abs() < 1e-9 {
            return None;
        }
        rows[step].iter_mut().for_each(|v| *v /= pivot);
        let own = rows[step];
        for (_, other) in rows.iter_mut().enumerate().filter(|(row, _)| *row != step) {
            let factor = other[step];
            other.iter_mut().zip(own).for_each(|(v, own)| *v -= factor * own);
        }
    }
    let mut e = [0.0; 9];
    e[columns[DRAWN]] = 1.0;
    for step in 0..DRAWN {
        e[columns[step]] = -rows[step][DRAWN];
    }
    // Read row by row.
    Some(DMat3::from_cols_array(&e).transpose())
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat4;

    /// Matches of places before two cameras; every n-th of them is wrong.
    fn matches(count: usize, wrong: usize) -> Vec<[DVec3; 2]> {
        let second = DMat4::from_rotation_y(0.2) * DMat4::from_translation(DVec3::new(0.5, 0.1, -0.2));
        let mut state = 7;
        let mut number = || draw(10_007, &mut state)[0] as f64 / 10_007.0 - 0.5;
        (0..count)
            .map(|i| {
                let place = DVec3::new(2.0 * number(), 2.0 * number(), 3.0 + 2.0 * number());
                let moved = second.transform_point3(place);
                let astray = DVec3::new(number(), number(), 1.0);
                [place / place.z, if i % wrong == 0 { astray } else { moved / moved.z }]
            })
            .collect()
    }

    #[test]
    fn right_matches_have_a_geometry_in_common_and_wrong_ones_have_none() {
        let all = most_on_lines(&matches(60, usize::MAX), 0.004);
        let most = most_on_lines(&matches(60, 4), 0.004);
        let none = most_on_lines(&matches(60, 1), 0.004);
        assert!(all > 0.6 && most > 0.5 && none < 0.25, "{all} {most} {none}");
        assert_eq!(most_on_lines(&matches(16, usize::MAX), 0.004), 0.0);
    }
}
