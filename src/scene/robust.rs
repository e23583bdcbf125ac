//! Statistics that a few strays do not spoil, and the rules by which cameras and depth bounds are strays.
//!
//! Structure from motion leaves strays behind: a pose or a bound far from all others. Two rules look for them, since they
//! decide about different things. [`absurd_places`] is for poses that are thrown away while a scene is loaded, so that it
//! takes only what cannot be meant. [`far_places`] is for cameras that have no say about what kind of capture a scene is
//! and where a path leads, so that a photograph from a long way off is one already.

use glam::DVec3;

/// Part of the cameras or values that may be anywhere: strays are not to decide. At least one may.
pub(crate) const STRAY: f64 = 0.05;
/// How many times farther than all others an absurd place is; of few places it has to be plainer.
const ABSURD: f64 = 10.0;
const ABSURD_OF_FEW: f64 = 30.0;
/// Fewer places than these are few.
const FEW: usize = 8;
/// How many times the median distance from the middle a far place is away.
const FAR: f64 = 6.0;
/// How many times smaller or larger than all others a stray bound is.
const STRAY_BOUND: f64 = 5.0;

/// The values in order of size.
pub(crate) fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The value with about `part` of the sorted values below it, the upper one of two; 0 for no values.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = (part * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

/// The middle value, the upper one of two; 0 for no values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(&sorted(values), 0.5)
}

/// The point with the least sum of distances to `points`, by Weiszfeld's iteration; `None` for no points.
pub(crate) fn geometric_median(points: &[DVec3]) -> Option<DVec3> {
    let mut at = points.iter().sum::<DVec3>() / points.len() as f64;
    let size = points.iter().map(|point| point.distance(at)).fold(0.0, f64::max);
    // Where all points are one there is nothing to weigh.
    let steps = if size > 0.0 { 50 } else { 0 };
    for _ in 0..steps {
        // A floor on distances keeps the iteration going where it comes upon a point.
        let weight = |point: &DVec3| size / point.distance(at).max(1e-6 * size);
        let (sum, total) = points
            .iter()
            .fold((DVec3::ZERO, 0.0), |(sum, total), point| (sum + *point * weight(point), total + weight(point)));
        at = sum / total;
    }
    (!points.is_empty()).then_some(at)
}

/// Indices of places that are absurdly far from all others: at most one of twenty, but one of four at least.
pub(crate) fn absurd_places(places: &[DVec3]) -> Vec<usize> {
    let count = places.len();
    if count < 4 {
        return Vec::new();
    }
    let median = |axis: usize| median(places.iter().map(|place| place[axis]));
    let middle = DVec3::new(median(0), median(1), median(2));
    let distances: Vec<f64> = places.iter().map(|place| place.distance(middle)).collect();
    let others = sorted(distances.iter().copied())[count - 1 - allowed_strays(count)];
    let farther = if count < FEW { ABSURD_OF_FEW } else { ABSURD };
    (0..count).filter(|&i| others > 0.0 && distances[i] > farther * others).collect()
}

/// Indices of places that are much farther from the middle of all than most are; `None` for no places.
pub(crate) fn far_places(places: &[DVec3]) -> Option<Vec<usize>> {
    let middle = geometric_median(places)?;
    let distances: Vec<f64> = places.iter().map(|place| place.distance(middle)).collect();
    let limit = FAR * median(distances.iter().copied());
    // Where all places are one, none is far from the others.
    let is_far = |i: &usize| limit > 0.0 && distances[*i] > limit;
    Some((0..places.len()).filter(is_far).collect())
}

/// The smallest and largest of positive values that are not strays: at most one of twenty, but one of three at least, is
/// one if it is a fifth or five times of what the others reach to. Without strays these are the smallest and largest.
pub(crate) fn extent_without_strays(values: impl IntoIterator<Item = f64>) -> [f64; 2] {
    let values = sorted(values);
    let (Some(&first), Some(&last)) = (values.first(), values.last()) else { return [0.0; 2] };
    if values.len() < 3 {
        return [first, last];
    }
    let skip = allowed_strays(values.len());
    let (low, high) = (values[skip], values[values.len() - 1 - skip]);
    let smallest = values.iter().find(|value| **value * STRAY_BOUND >= low).copied();
    let largest = values.iter().rev().find(|value| **value <= high * STRAY_BOUND).copied();
    [smallest.unwrap_or(first), largest.unwrap_or(last)]
}

fn allowed_strays(count: usize) -> usize {
    ((STRAY * count as f64) as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_values_by_hand() {
        assert_eq!((median([]), median([7.0]), median([3.0, 1.0]), median([9.0, 1.0, 4.0])), (0.0, 7.0, 3.0, 4.0));
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 3.0);
        let values = sorted((0..=20).map(f64::from));
        assert_eq!([0.0, 0.05, 0.5, 1.0].map(|part| quantile(&values, part)), [0.0, 1.0, 10.0, 20.0]);
        assert_eq!(geometric_median(&[]), None);
        assert_eq!(geometric_median(&[DVec3::X; 3]), Some(DVec3::X));
        let middle = geometric_median(&[DVec3::ZERO, DVec3::X, DVec3::X, DVec3::X, DVec3::Y * 100.0]).unwrap();
        assert!(middle.distance(DVec3::X) < 1e-3, "{middle}");
    }

    #[test]
    fn strays_are_found_and_others_are_not() {
        let mut places: Vec<DVec3> = (0..10).map(|i| DVec3::new(f64::from(i), f64::from(i % 3), 50.0)).collect();
        assert_eq!(absurd_places(&places), [0; 0]);
        assert_eq!(far_places(&places).unwrap(), [0; 0]);
        places[4] = DVec3::new(30.0, 0.0, 50.0);
        assert_eq!((absurd_places(&places), far_places(&places).unwrap()), (vec![], vec![4]));
        places[4] = DVec3::new(900.0, -900.0, 50.0);
        assert_eq!(absurd_places(&places), [4]);
        places[5] = -places[4];
        // Two of ten are a second group.
        assert_eq!(absurd_places(&places), [0; 0]);
        assert_eq!(absurd_places(&places[3..6]), [0; 0]);
        assert_eq!(absurd_places(&[DVec3::ZERO; 9]), [0; 0]);
        assert_eq!(far_places(&[DVec3::X; 4]).unwrap(), [0; 0]);
        assert_eq!(far_places(&[]), None);

        assert_eq!(extent_without_strays([3.0, 0.001, 2.0, 5.0]), [2.0, 5.0]);
        assert_eq!(extent_without_strays([3.0, 1e6, 2.0]), [2.0, 3.0]);
        assert_eq!(extent_without_strays([1.0, 3.0, 2.0]), [1.0, 3.0]);
        assert_eq!(extent_without_strays([1.0, 3e9]), [1.0, 3e9]);
    }
}
