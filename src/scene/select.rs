//! Choosing source views for a target camera.

use crate::{Camera, Error, Result, Scene, SourceOrder};

/// The `count` views of `candidates` nearest to `target`, nearest first; views at equal distance keep the order of
/// `candidates`. Fewer if there are not that many.
///
/// Distance is that between camera centres, or for [`SourceOrder::Direction`] the angle between them as seen from the
/// world's origin.
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
    let target = target.origin().as_dvec3();
    let mut ranked = Vec::with_capacity(candidates.len());
    for &id in candidates {
        let Some(view) = scene.views.get(id) else {
            return fail(format!("expected source views below {}, found {id}", scene.views.len()));
        };
        let center = view.camera.origin().as_dvec3();
        let distance = match scene.order {
            SourceOrder::Distance => center.distance(target),
            // A camera at the origin has no direction; it counts as perpendicular.
            SourceOrder::Direction => {
                center.normalize_or_zero().dot(target.normalize_or_zero()).clamp(-1.0, 1.0).acos()
            }
        };
        ranked.push((distance, id));
    }
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(ranked.into_iter().take(count).map(|(_, id)| id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use glam::Vec3;

    #[test]
    fn ranks_by_distance_and_keeps_ties_in_order() {
        let scene = testing::scene(&[Vec3::X * 3.0, Vec3::X, -Vec3::X, Vec3::Y, Vec3::ZERO]);
        let target = testing::camera(Vec3::ZERO);
        assert_eq!(nearest_sources(&scene, &target, &[0, 1, 2, 3], 9).unwrap(), [1, 2, 3, 0]);
        assert_eq!(nearest_sources(&scene, &target, &[3, 2, 1, 0, 4], 3).unwrap(), [4, 3, 2]);
    }

    #[test]
    fn ranks_by_angle_whatever_the_distance() {
        let mut scene = testing::scene(&[Vec3::Y, Vec3::new(50.0, 1.0, 0.0), -Vec3::X, Vec3::ZERO]);
        scene.order = SourceOrder::Direction;
        let target = testing::camera(Vec3::X);
        assert_eq!(nearest_sources(&scene, &target, &[0, 1, 2, 3], 4).unwrap(), [1, 0, 3, 2]);
    }

    #[test]
    fn needs_candidates_of_the_scene() {
        let scene = testing::scene(&[Vec3::X]);
        let target = testing::camera(Vec3::ZERO);
        assert!(nearest_sources(&scene, &target, &[], 3).unwrap_err().to_string().contains("found none"));
        assert!(nearest_sources(&scene, &target, &[0], 0).is_err());
        assert!(nearest_sources(&scene, &target, &[1], 3).is_err());
    }
}
