//! Following the row of photographs around a place: at each azimuth the elevation and distance where cameras stand.
//!
//! People walk around a thing more than once, at different heights. Means over all rounds lie where nobody stood, so that
//! one round is followed, and another only where that one ends: the way through the cameras' own elevations and
//! distances that stays where they are dense and changes little, found by dynamic programming and then smoothed.

use std::f64::consts::{PI, TAU};

/// Distance over which cameras count as near each other: in azimuth and elevation radians, and as logarithm of distances.
pub(super) const NEAR: f64 = 12.0 * PI / 180.0;
/// Azimuth from one step to the next.
const STEP: f64 = 3.0 * PI / 180.0;
/// Cost of changing elevation or distance by [`NEAR`], against that of a density lower by a factor of e over one step.
const CHANGE: f64 = 2.0;
/// Width of the smoothing in azimuth.
const SMOOTH: f64 = 10.0 * PI / 180.0;

/// A camera as seen from the place: azimuth, elevation in radians, logarithm of the distance.
pub(super) type Place = [f64; 3];

/// A row of photographs over the azimuths from 0 to its span.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Elevation and logarithm of the distance at even steps, both ends included.
    steps: Vec<[f64; 2]>,
    span: f64,
}

impl Row {
    /// The row through `places` between azimuth 0 and `span`; a whole turn closes.
    pub fn new(places: &[Place], span: f64) -> Self {
        let ring = span >= TAU;
        let count = (span / STEP).ceil().max(2.0) as usize;
        // A ring's last step is its first one again.
        let azimuth = |k: usize| span * k as f64 / count as f64;
        let candidates: Vec<Vec<(Place, f64)>> = (0..=count).map(|k| candidates(places, azimuth(k))).collect();
        let mut steps = if ring {
            // Closed where cameras are densest, since they will be passed there in any case.
            let best = |k: &usize| candidates[*k].iter().map(|c| c.1).fold(0.0, f64::max);
            let densest = (0..count).max_by(|a, b| best(a).total_cmp(&best(b))).unwrap_or(0);
            let mut once: Vec<_> = (0..count).map(|k| candidates[(densest + k) % count].clone()).collect();
            let start = once[0].iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
            once[0] = start.into_iter().collect();
            once.push(once[0].clone());
            let mut steps = cheapest(&once);
            steps.pop();
            steps.rotate_right(densest);
            steps.push(steps[0]);
            steps
        } else {
            cheapest(&candidates)
        };
        steps = smoothed(&steps, SMOOTH / (span / count as f64).max(1e-9), ring);
        Self { steps, span }
    }

    /// Elevation and logarithm of the distance at an azimuth.
    pub fn at(&self, azimuth: f64) -> [f64; 2] {
        let last = self.steps.len() - 1;
        let position = (azimuth / self.span.max(1e-9)).clamp(0.0, 1.0) * last as f64;
        let from = (position as usize).min(last - 1);
        let t = position - from as f64;
        [0, 1].map(|i| self.steps[from][i] * (1.0 - t) + self.steps[from + 1][i] * t)
    }
}

fn around(a: f64, b: f64) -> f64 {
    (a - b + PI).rem_euclid(TAU) - PI
}

/// The cameras near an azimuth, or the nearest one, as if they stood there, each with the density of cameras about it.
fn candidates(places: &[Place], azimuth: f64) -> Vec<(Place, f64)> {
    let apart = |place: &Place| around(place[0], azimuth).abs();
    let nearest = places.iter().map(apart).fold(f64::INFINITY, f64::min);
    let reach = (2.0 * NEAR).max(nearest + 1e-9);
    let there = places.iter().filter(|place| apart(place) <= reach);
    let density = |at: Place| {
        let closeness = |place: &Place| {
            let squared = around(place[0], at[0]).powi(2) + (place[1] - at[1]).powi(2) + (place[2] - at[2]).powi(2);
            (-0.5 * squared / NEAR.powi(2)).exp()
        };
        // Of two rounds alike the lower one shows more sides.
        places.iter().map(closeness).sum::<f64>() * at[1].cos()
    };
    there.map(|place| [azimuth, place[1], place[2]]).map(|at| (at, density(at))).collect()
}

/// The way through one candidate of each step that costs least.
fn cheapest(steps: &[Vec<(Place, f64)>]) -> Vec<[f64; 2]> {
    let own = |density: f64| -(density + 1e-3).ln();
    let change = |a: &Place, b: &Place| CHANGE * ((a[1] - b[1]).powi(2) + (a[2] - b[2]).powi(2)) / NEAR.powi(2);
    let mut costs: Vec<f64> = steps[0].iter().map(|(_, density)| own(*density)).collect();
    let mut from: Vec<Vec<usize>> = Vec::new();
    for pair in steps.windows(2) {
        let best = |(to, density): &(Place, f64)| {
            let way = |i: usize| costs[i] + change(&pair[0][i].0, to);
            let i = (0..costs.len()).min_by(|a, b| way(*a).total_cmp(&way(*b))).unwrap_or(0);
            (i, way(i) + own(*density))
        };
        let all: Vec<(usize, f64)> = pair[1].iter().map(best).collect();
        from.push(all.iter().map(|(i, _)| *i).collect());
        costs = all.into_iter().map(|(_, cost)| cost).collect();
    }
    let mut at = (0..costs.len()).min_by(|a, b| costs[*a].total_cmp(&costs[*b])).unwrap_or(0);
    let mut way = vec![at];
    for before in from.iter().rev() {
        at = before[at];
        way.push(at);
    }
    way.reverse();
    way.iter().zip(steps).map(|(i, step)| [step[*i].0[1], step[*i].0[2]]).collect()
}

/// A mean over neighbours weighted by a bell curve `width` steps wide, twice the way round; open ends are held.
fn smoothed(steps: &[[f64; 2]], width: f64, ring: bool) -> Vec<[f64; 2]> {
    let last = steps.len() as i64 - 1;
    let reach = (3.0 * width).ceil().min(4.0 * last as f64) as i64;
    let at = |i: i64| steps[if ring { i.rem_euclid(last) } else { i.clamp(0, last) } as usize];
    let mean = |i: i64| {
        let (mut sum, mut total) = ([0.0; 2], 0.0);
        for step in -reach..=reach {
            let weight = (-0.5 * (step as f64 / width).powi(2)).exp();
            let value = at(i + step);
            sum = [sum[0] + weight * value[0], sum[1] + weight * value[1]];
            total += weight;
        }
        sum.map(|s| s / total)
    };
    (0..=last).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rounds at different heights: one of them is followed, not their mean.
    #[test]
    fn follows_one_of_two_rounds() {
        let places: Vec<Place> = (0..60)
            .map(|i| {
                [f64::from(i) * TAU / 60.0, if i % 3 == 0 { 0.9 } else { 0.1 }, if i % 3 == 0 { 1.2 } else { 1.0 }]
            })
            .collect();
        let row = Row::new(&places, TAU);
        for i in 0..36 {
            let [elevation, distance] = row.at(TAU * f64::from(i) / 36.0);
            assert!((elevation - 0.1).abs() < 0.02 && (distance - 1.0).abs() < 0.02, "{elevation} {distance}");
        }
    }

    /// Where the round ends the next one is taken, without a step.
    #[test]
    fn changes_to_another_round_where_one_ends() {
        let low = (0..30).map(|i| [f64::from(i) * 0.05, 0.0, 0.0]);
        let high = (30..60).map(|i| [f64::from(i) * 0.05, 0.6, 0.3]);
        let row = Row::new(&low.chain(high).collect::<Vec<_>>(), 2.95);
        assert!(row.at(0.3)[0].abs() < 0.01 && (row.at(2.6)[0] - 0.6).abs() < 0.01);
        let all: Vec<f64> = (0..296).map(|i| row.at(f64::from(i) * 0.01)[0]).collect();
        assert!(all.windows(2).all(|pair| pair[1] >= pair[0] - 1e-9 && pair[1] - pair[0] < 0.03));
    }

    #[test]
    fn one_camera_is_a_row() {
        let row = Row::new(&[[0.0, 0.4, 1.0]], 0.0);
        assert!((row.at(0.0)[0] - 0.4).abs() < 1e-9 && (row.at(0.0)[1] - 1.0).abs() < 1e-9);
    }
}
