//! Choosing source views for a target camera.

use crate::capture::Capture;
use crate::coverage::Probe;
use crate::{Camera, Error, Result, Scene, SourceOrder};
use glam::DVec3;

/// Part of the target's field of view, over the depths of the scene, that a source must see to come before all that see
/// less.
const ENOUGH: f32 = 0.2;

/// The `count` views of `candidates` that are best as sources of `target`, nearest first; views at equal distance keep
/// the order of `candidates`. Fewer if there are not that many.
///
/// Views that see next to nothing of what the target sees within the scene's depths come behind all others. Distance is
/// that between camera centres, or for [`SourceOrder::Direction`] the angle between them as seen from the place that
/// the scene's cameras look at, if there is one.
///
/// # Errors
/// [`Error::Scene`] if there are no candidates, `count` is 0 or a candidate is no view of the scene.
pub fn nearest_sources(scene: &Scene, target: &Camera, candidates: &[usize], count: usize) -> Result<Vec<usize>> {
    let fail = |problem: String| Err(Error::Scene(format!("{}: {problem}", scene.name)));
    if candidates.is_empty() {
        return fail(format!("expected at least one source view, found none ({} views in all)", scene.views.len()));
    }
    if count == 0 {
        return fail("expected to use at least 1 source view, found 0".into());
    }
    let distance = distance(scene, target);
    let probe = Probe::new(target, [scene.near, scene.far]);
    let mut ranked = Vec::with_capacity(candidates.len());
    for &id in candidates {
        let Some(view) = scene.views.get(id) else {
            return fail(format!("expected source views below {}, found {id}", scene.views.len()));
        };
        let blind = probe.overlap(&view.camera) < ENOUGH;
        ranked.push((blind, distance(view.camera.origin().as_dvec3()), id));
    }
    ranked.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    Ok(ranked.into_iter().take(count).map(|(_, _, id)| id).collect())
}

/// How far from the target a camera centre is.
fn distance(scene: &Scene, target: &Camera) -> impl Fn(DVec3) -> f64 {
    let target = target.origin().as_dvec3();
    let focus = match scene.order {
        SourceOrder::Distance => None,
        SourceOrder::Direction => Capture::of(scene).and_then(|capture| capture.focus),
    };
    move |center| match focus {
        None => center.distance(target),
        // A camera at the place itself has no direction; it counts as perpendicular.
        Some(focus) => {
            let cosine = (center - focus).normalize_or_zero().dot((target - focus).normalize_or_zero());
            cosine.clamp(-1.0, 1.0).acos()
        }
    }
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
