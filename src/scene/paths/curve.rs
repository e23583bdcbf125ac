//! Frames at even distances along a curve.

use glam::DVec3;

/// Positions on a polyline, in points of it, of `count` places at even distances; `lengths` are those of its segments.
/// A closed curve's last place stops short of the first by one step; an open one's ends are both places.
pub(super) fn even(lengths: &[f64], count: usize, closed: bool) -> Vec<f64> {
    let total: f64 = lengths.iter().sum();
    let steps = if closed { count } else { count.saturating_sub(1) }.max(1) as f64;
    let (mut segment, mut before) = (0, 0.0);
    let place = |i: usize| {
        let wanted = total * i as f64 / steps;
        while segment + 1 < lengths.len() && before + lengths[segment] < wanted {
            before += lengths[segment];
            segment += 1;
        }
        let length = lengths.get(segment).copied().unwrap_or(0.0);
        let part = if length > 0.0 { ((wanted - before) / length).clamp(0.0, 1.0) } else { 0.0 };
        segment as f64 + part
    };
    (0..count).map(place).collect()
}

/// As [`even`], but so that `apart`, between the positions of neighbouring places, is the same: in a tight bend places an
/// even way apart are close together.
pub(super) fn even_steps(lengths: &[f64], count: usize, closed: bool, apart: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let mut places = even(lengths, count, closed);
    if closed {
        places.push(lengths.len() as f64);
    }
    for _ in 0..50 {
        let steps: Vec<f64> = places.windows(2).map(|pair| apart(pair[0], pair[1])).collect();
        // Positions among the places, which are positions themselves.
        let among = even(&steps, places.len(), false);
        let last = places.len() - 1;
        let at = |position: f64| {
            let i = (position as usize).min(last.saturating_sub(1));
            places[i] + (places[(i + 1).min(last)] - places[i]) * (position - i as f64)
        };
        places = among.into_iter().map(at).collect();
    }
    places.truncate(count);
    places
}

/// `count` points at even distances from each other along a closed polyline, from its first point on.
pub(super) fn closed(points: &[DVec3], count: usize) -> Vec<DVec3> {
    let next = |i: usize| points[(i + 1) % points.len()];
    let lengths: Vec<f64> = (0..points.len()).map(|i| points[i].distance(next(i))).collect();
    let at = |position: f64| {
        let i = (position as usize).min(points.len() - 1);
        points[i].lerp(next(i), position - i as f64)
    };
    even_steps(&lengths, count, true, |a, b| at(a).distance(at(b))).into_iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hairpin: the step around its end is as long as the others.
    #[test]
    fn bends_do_not_shorten_steps() {
        let hairpin: Vec<DVec3> = (0..720)
            .map(|i| (f64::from(i) * std::f64::consts::TAU / 720.0).sin_cos())
            .map(|(sin, cos)| DVec3::new(cos, 0.02 * sin, 0.0))
            .collect();
        let points = closed(&hairpin, 24);
        let steps: Vec<f64> = (0..24).map(|i| points[i].distance(points[(i + 1) % 24])).collect();
        let (least, most) = steps.iter().fold((f64::INFINITY, 0.0f64), |(a, b), s| (a.min(*s), b.max(*s)));
        assert!(most < 1.02 * least, "{steps:?}");
    }

    #[test]
    fn places_are_evenly_apart() {
        assert_eq!(even(&[1.0, 3.0], 3, false), [0.0, 1.0 + 1.0 / 3.0, 2.0]);
        assert_eq!(even(&[1.0, 3.0], 2, true), [0.0, 1.0 + 1.0 / 3.0]);
        assert_eq!(even(&[0.0, 0.0], 2, true), [0.0, 0.0]);
        assert_eq!(even(&[], 1, false), [0.0]);
        let square = [DVec3::ZERO, DVec3::X, DVec3::X + DVec3::Y, DVec3::Y];
        let points = closed(&square, 8);
        assert_eq!(points[1], DVec3::X * 0.5);
        assert_eq!(points[7], DVec3::Y * 0.5);
    }
}
