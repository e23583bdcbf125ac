//! Where cameras stand and look, and whether the bounds hold what they see.

use super::{Finding, Severity, Subject, named};
use crate::Scene;
use crate::coverage::Probe;
use crate::robust::median;

/// Fewest photographs that new views can be made from.
const FEWEST: usize = 3;
/// Part of a view's picture that another one has to see for both to be neighbours.
const SHARED: f32 = 0.3;
/// How far beyond a bound places may lie, as a ratio: bounds hold all but a few points.
const BEYOND: f64 = 1.15;

/// Median distance to the nearest other camera in scene units; 0 for a single one.
pub(super) fn baseline(scene: &Scene) -> f64 {
    let origins: Vec<_> = scene.views.iter().map(|view| view.camera.origin()).collect();
    let nearest = |i: usize| {
        let others = origins.iter().enumerate().filter(|(j, _)| *j != i);
        others.map(|(_, other)| f64::from(other.distance(origins[i]))).fold(f64::INFINITY, f64::min)
    };
    let some = (0..origins.len()).step_by(origins.len().div_ceil(500).max(1)).map(nearest);
    Some(median(some)).filter(|distance| distance.is_finite()).unwrap_or(0.0)
}

/// Too few photographs, and views that share too little with any other.
pub(super) fn neighbours(scene: &Scene) -> Vec<Finding> {
    let count = scene.views.len();
    if count < FEWEST {
        return vec![Finding {
            severity: Severity::Wrong,
            subject: Subject::Neighbours,
            views: Vec::new(),
            problem: format!("only {count} photographs with poses"),
            remedy: format!(
                "take at least {FEWEST} photographs, better 20, from places a hand's breadth to a step apart"
            ),
        }];
    }
    let bounds = scene.depth_range(crate::FAR_EVAL);
    let is_alone = |&id: &usize| {
        let mut others: Vec<usize> = (0..count).filter(|other| *other != id).collect();
        let distance = |other: usize| scene.views[other].camera.origin().distance(scene.views[id].camera.origin());
        others.sort_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        others.truncate(12);
        let probe = Probe::new(&scene.views[id].camera, bounds);
        let shares = |other: &&usize| probe.overlap(&scene.views[**other].camera) >= SHARED;
        others.iter().filter(shares).count() < 2
    };
    let alone: Vec<usize> = (0..count).filter(is_alone).collect();
    if alone.is_empty() {
        return Vec::new();
    }
    vec![Finding {
        severity: Severity::Worse,
        subject: Subject::Neighbours,
        problem: format!("fewer than two other photographs show the same: {}", named(scene, &alone)),
        views: alone,
        remedy:
            "take photographs from places between these and the others; views that look away from all others cannot be \
                 rendered from"
                .into(),
    }]
}

/// Bounds that cut what photographs share at `depths`.
pub(super) fn bounds(scene: &Scene, depths: Option<[f64; 2]>) -> Option<Finding> {
    let [near, far] = scene.depth_range(crate::FAR_EVAL).map(f64::from);
    let [nearest, farthest] = depths?;
    let scale = scene.scene_from_file.scale;
    let (cuts_near, cuts_far) = (nearest * BEYOND < near, farthest > BEYOND * far);
    let (end, from, to) = match (cuts_near, cuts_far) {
        (false, false) => return None,
        (true, _) => ("before the near bound", nearest, near),
        (false, true) => ("beyond the far bound", farthest, far),
    };
    let remedy = format!(
        "give bounds that hold the scene: --bounds {:.3},{:.3}",
        0.8 * nearest / scale,
        1.25 * farthest / scale
    );
    Some(Finding {
        severity: Severity::Wrong,
        subject: Subject::Bounds,
        views: Vec::new(),
        problem: format!(
            "what the photographs show lies {end}: at depth {:.3} and nearer or farther, while rays are followed from or to {:.3}",
            from / scale,
            to / scale
        ),
        remedy,
    })
}
