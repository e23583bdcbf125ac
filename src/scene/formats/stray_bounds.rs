//! Near bounds of a table that other photographs contradict.
//!
//! In such a table a photograph's near bound is that of the nearest point which structure from motion found in it, so that
//! a single wrong point makes it far too near. A scene begins at the least bound of all its photographs, and before
//! everything that is there, in the gap that a wrong one opens, a network finds surfaces that are none (3 dB in one held-out
//! photograph of canclip). But what lies there is in the pictures of other photographs too, whose own bounds then say that
//! nothing so near is in them.
//!
//! It takes many to contradict: where a good part of a picture is in hardly any other, nothing is said of its bound.

use super::posed::{Intrinsics, Photograph};
use crate::robust::{extent_without_strays, median};
use glam::{DMat4, DVec2, DVec3};

/// Places of a grid along each side of a photograph.
const SIDE: usize = 13;
/// Fewest other photographs that must have a place in their pictures to judge it.
const WITNESSES: usize = 4;
/// Part of the places that must be judged.
const JUDGED: f64 = 0.8;
/// Part of the witnesses of one place that must agree that something may be there, for a bound to stand.
const AGREE: f64 = 0.5;
/// How far before its own bound a witness still agrees.
const SLACK: f64 = 0.95;
/// Steps in which a bound is moved away.
const STEP: f64 = 1.01;
/// A bound is wrong where it must be moved by more than this.
const WRONG: f64 = 1.1;
/// Far bounds are less than so many times the near ones, else they are not looked at.
const MOST_RANGE: f64 = 1e6;
/// Photographs that a bound is compared with, at most: those taken nearest to it.
const OTHERS: usize = 64;

/// Moves near bounds that are contradicted to where others agree that something may be, if that moves the nearest of all,
/// and says so. Photographs without bounds or sizes, and lenses that bend lines, are left alone.
pub(super) fn mend(table: &str, photographs: &mut [Photograph], warnings: &mut Vec<String>) {
    let Some(witnesses) = photographs.iter().map(Witness::new).collect::<Option<Vec<_>>>() else { return };
    let strays = find(&witnesses);
    // A bound that is absurd moves nothing in any case.
    let mut bounds: Vec<f64> = witnesses.iter().map(|w| w.near).collect();
    let [before, _] = extent_without_strays(bounds.iter().copied());
    strays.iter().for_each(|(i, near)| bounds[*i] = *near);
    let [after, _] = extent_without_strays(bounds);
    if after <= before {
        return;
    }
    for (i, near) in &strays {
        if let Some([bound, _]) = &mut photographs[*i].bounds {
            *bound = *near;
        }
    }
    let name = photographs[strays[0].0].path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let whose = match strays.len() - 1 {
        0 => format!("the near bound of {name} is likely that of a wrong point"),
        n => format!("the near bounds of {name} and {n} more are likely those of wrong points"),
    };
    warnings.push(format!(
        "{table}: {whose}, since other photographs have nothing so \
         near in the same places: the nearest bound is {after:.4} instead of {before:.4}; --bounds decides otherwise"
    ));
}

/// A photograph as far as bounds are concerned.
struct Witness {
    camera_from_world: DMat4,
    pose: DMat4,
    focal: DVec2,
    center: DVec2,
    size: DVec2,
    near: f64,
    far: f64,
}

impl Witness {
    fn new(photograph: &Photograph) -> Option<Self> {
        let Photograph { pose, bounds: Some([near, far]), intrinsics, .. } = *photograph else { return None };
        let Intrinsics { size: Some(size), focal, center, lens } = intrinsics else { return None };
        let has_range = near > 0.0 && near < far && far < MOST_RANGE * near;
        let is_usable = has_range && lens.is_pinhole() && size.min_element() > 0.0;
        let center = center.unwrap_or(0.5 * size);
        is_usable.then(|| Self { camera_from_world: pose.inverse(), pose, focal, center, size, near, far })
    }

    /// The place at a depth along the optical axis that a pixel shows.
    fn place(&self, pixel: DVec2, depth: f64) -> DVec3 {
        let at = (pixel - self.center) / self.focal;
        self.pose.transform_point3(depth * DVec3::new(at.x, -at.y, -1.0))
    }

    /// Depth of a place along the optical axis; none outside the picture.
    fn depth(&self, place: DVec3) -> Option<f64> {
        let p = self.camera_from_world.transform_point3(place);
        let pixel = self.center + self.focal * DVec2::new(p.x, -p.y) / -p.z;
        let inside = pixel.cmpge(DVec2::ZERO).all() && pixel.cmple(self.size).all();
        (p.z < 0.0 && inside).then_some(-p.z)
    }
}

/// What others say of something at a depth in a photograph.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Possible,
    Contradicted,
    /// Too little of the picture is in theirs.
    Unknown,
}

/// Numbers of the photographs whose near bound is contradicted, each with the depth where others agree.
fn find(witnesses: &[Witness]) -> Vec<(usize, f64)> {
    let median = median(witnesses.iter().map(|w| w.near));
    let suspects = (0..witnesses.len()).filter(|i| witnesses[*i].near * WRONG < median);
    suspects.filter_map(|i| Some((i, agreed(&witnesses[i], &nearest(witnesses, i))?))).collect()
}

/// The depth to which a contradicted bound has to be moved; none where it stands, or nobody can tell.
fn agreed(own: &Witness, others: &[&Witness]) -> Option<f64> {
    let mut near = own.near;
    while near < 0.9 * own.far {
        match verdict(own, near, others) {
            Verdict::Unknown => return None,
            Verdict::Possible => return Some(near).filter(|near| *near > WRONG * own.near),
            Verdict::Contradicted => near *= STEP,
        }
    }
    None
}

/// The photographs taken nearest to one.
fn nearest(witnesses: &[Witness], id: usize) -> Vec<&Witness> {
    let own = witnesses[id].pose.w_axis;
    let others = witnesses.iter().enumerate().filter(|(i, _)| *i != id);
    let mut others: Vec<(f64, &Witness)> = others.map(|(_, w)| ((w.pose.w_axis - own).length_squared(), w)).collect();
    others.sort_by(|a, b| a.0.total_cmp(&b.0));
    others.into_iter().take(OTHERS).map(|(_, w)| w).collect()
}

/// What the bounds of others say of something at the depth `near` anywhere in a photograph.
fn verdict(own: &Witness, near: f64, others: &[&Witness]) -> Verdict {
    let mut judged = 0;
    for i in 0..SIDE * SIDE {
        let at = DVec2::new((i % SIDE) as f64, (i / SIDE) as f64) / (SIDE - 1) as f64;
        let place = own.place(at * own.size, near);
        let (mut seen, mut agree) = (0, 0);
        for other in others {
            if let Some(depth) = other.depth(place) {
                seen += 1;
                agree += usize::from(depth >= SLACK * other.near);
            }
        }
        if seen >= WITNESSES {
            if agree as f64 >= AGREE * seen as f64 {
                return Verdict::Possible;
            }
            judged += 1;
        }
    }
    if judged as f64 >= JUDGED * (SIDE * SIDE) as f64 { Verdict::Contradicted } else { Verdict::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distortion::Coefficients;
    use glam::DQuat;

    /// Photographs of 90° side by side, `apart` from one another, whose things begin at `near`.
    fn row<const N: usize>(apart: f64, near: [f64; N]) -> Vec<Photograph> {
        let photograph = |(i, near): (usize, f64)| Photograph {
            what: format!("row {i}"),
            path: format!("{i:02}.png").into(),
            mask: None,
            pose: DMat4::from_translation(DVec3::X * apart * i as f64),
            intrinsics: Intrinsics {
                size: Some(DVec2::new(60.0, 40.0)),
                focal: DVec2::splat(30.0),
                center: None,
                lens: Coefficients::default().into(),
            },
            bounds: Some([near, 100.0]),
        };
        near.into_iter().enumerate().map(photograph).collect()
    }

    /// The near bounds afterwards, and what was said.
    fn mended(mut photographs: Vec<Photograph>) -> (Vec<f64>, Vec<String>) {
        let mut warnings = Vec::new();
        mend("table.npy", &mut photographs, &mut warnings);
        (photographs.iter().map(|p| p.bounds.unwrap()[0]).collect(), warnings)
    }

    fn assert_untouched(photographs: Vec<Photograph>) {
        let before: Vec<f64> = photographs.iter().map(|p| p.bounds.unwrap()[0]).collect();
        let (after, warnings) = mended(photographs);
        assert!(before == after && warnings.is_empty(), "{before:?} {after:?} {warnings:?}");
    }

    #[test]
    fn bounds_that_nobody_shares_are_moved_to_where_others_agree() {
        let mut near = [10.0; 12];
        (near[4], near[7]) = (4.0, 5.0);
        let (after, warnings) = mended(row(0.2, near));
        for i in [4, 7] {
            assert!((9.4..9.6).contains(&after[i]), "{after:?}");
        }
        assert!((0..12).all(|i| i == 4 || i == 7 || after[i] == 10.0), "{after:?}");
        let said = "table.npy: the near bounds of 04.png and 1 more are likely";
        assert!(warnings.len() == 1 && warnings[0].starts_with(said) && warnings[0].contains("instead of 4.0000"));
    }

    /// A bound so near that the scene would not follow it does not keep others from being mended.
    #[test]
    fn an_absurd_bound_changes_nothing() {
        let mut near = [10.0; 12];
        (near[2], near[6]) = (0.01, 5.0);
        let (after, warnings) = mended(row(0.2, near));
        assert!((9.4..9.6).contains(&after[6]) && warnings.len() == 1, "{after:?} {warnings:?}");
        near[2] = 5e-324;
        assert_untouched(row(0.2, near));
    }

    #[test]
    fn one_bound_that_stands_leaves_all_as_they_are() {
        // Half of the photographs share a thing that is nearer than the wrong point.
        let mut near = [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0];
        near[9] = 4.0;
        assert_untouched(row(0.2, near));
    }

    #[test]
    fn what_is_in_few_pictures_is_not_judged() {
        // Something near stands at the end of the row, in the outer part of the last photographs.
        for apart in [0.8, 1.6] {
            let mut near = [10.0; 12];
            near[9..].copy_from_slice(&[4.2, 4.0, 4.0]);
            assert_untouched(row(apart, near));
        }
        // Few photographs.
        assert_untouched(row(0.2, [4.0, 10.0, 10.0, 10.0]));
        // Photographs that look away.
        let mut away = row(0.2, [4.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]);
        for photograph in &mut away[1..] {
            photograph.pose *= DMat4::from_quat(DQuat::from_rotation_y(2.0));
        }
        assert_untouched(away);
    }

    #[test]
    fn a_bound_stands_where_half_of_the_witnesses_agree() {
        for (sharing, stands) in [(5, false), (7, true)] {
            let near: [f64; 13] = std::array::from_fn(|i| if i < sharing { 4.0 + 0.02 * i as f64 } else { 10.0 });
            let (after, _) = mended(row(0.01, near));
            assert_eq!(after[0] == 4.0, stands, "{sharing} of 13: {after:?}");
        }
    }

    #[test]
    fn walks_and_orbits_are_left_alone() {
        let mut walk = row(0.0, std::array::from_fn::<f64, 12, _>(|i| 10.0 - 0.6 * i as f64));
        for (i, photograph) in walk.iter_mut().enumerate() {
            photograph.pose = DMat4::from_translation(DVec3::NEG_Z * 0.6 * i as f64);
        }
        assert_untouched(walk);
        // Around a thing, once from nearer by.
        let mut orbit = row(0.0, [4.0; 16]);
        for (i, photograph) in orbit.iter_mut().enumerate() {
            let distance = if i == 3 { 3.0 } else { 5.0 };
            photograph.bounds = Some([distance - 1.0, 100.0]);
            let turn = DMat4::from_rotation_y(std::f64::consts::TAU * i as f64 / 16.0);
            photograph.pose = turn * DMat4::from_translation(DVec3::Z * distance);
        }
        assert_untouched(orbit);
    }

    #[test]
    fn equal_or_missing_bounds_are_left_alone() {
        assert_untouched(row(0.2, [5.0; 12]));
        let mut photographs = row(0.2, [4.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]);
        photographs[3].bounds = None;
        mend("table.npy", &mut photographs, &mut Vec::new());
        assert_eq!(photographs[0].bounds, Some([4.0, 100.0]));
        mend("table.npy", &mut [], &mut Vec::new());
    }
}
