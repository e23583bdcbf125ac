//! What is wrong with a capture, in words that a photographer understands: poses that disagree with the pictures, pictures
//! that are blurred or differently exposed, cameras that see nothing of what others see, and bounds that cut the scene.
//!
//! Corners are matched between neighbouring photographs by their surroundings, without regard to poses. The poses say on
//! which line of the other picture each corner has to lie (its epipolar line); of two pictures of one place with right poses
//! most matches lie on theirs, of others hardly any do.

mod axes;
mod corners;
mod files;
mod geometry;
mod pairs;
mod photographs;
mod places;
#[cfg(test)]
mod tests;

use crate::{Result, Scene, parallel};
use corners::Corners;
use photographs::Look;

/// Longest side in pixels at which photographs are compared.
const SIDE: u32 = 480;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Frames will be wrong.
    Wrong,
    /// Frames will be worse than they could be.
    Worse,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// All poses follow another convention than the format has.
    Axes,
    /// The pose of single photographs.
    Pose,
    /// Photographs that are not sharp.
    Blur,
    /// Photographs that are brighter or darker than others.
    Exposure,
    /// Cameras that share nothing with others, or too few photographs.
    Neighbours,
    /// Depth bounds.
    Bounds,
    /// Files that are missing, too many, or cannot be read.
    Files,
}

impl Subject {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Axes => "axes",
            Self::Pose => "pose",
            Self::Blur => "blur",
            Self::Exposure => "exposure",
            Self::Neighbours => "neighbours",
            Self::Bounds => "bounds",
            Self::Files => "files",
        }
    }
}

/// Something that is wrong with a capture.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// Indices of the views concerned; empty for all.
    pub views: Vec<usize>,
    /// What was found.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// What was measured of a capture, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// Pairs of photographs with enough matches to compare poses with.
    pub pairs: usize,
    /// Median over these pairs of the part of matches that lie on their epipolar lines; none without pairs.
    pub agreement: Option<f64>,
    /// Horizontal field of view in degrees of the middle view.
    pub field_of_view: f64,
    /// Median distance to the nearest other camera, in the units of the scene's files.
    pub baseline: f64,
    /// Near and far bound in the units of the scene's files.
    pub bounds: [f64; 2],
    /// Depths that a twentieth of the matched places is nearer and farther than, in the same units; none without matches.
    pub depths: Option<[f64; 2]>,
}

/// Looks at all photographs and poses of a scene, `threads` at a time. Memory is bounded by that of the largest photographs
/// and some hundred corners for each.
///
/// # Errors
/// As [`crate::View::load_image`].
pub fn check(scene: &Scene, threads: usize) -> Result<Report> {
    let seen = parallel::map(scene.views.len(), threads, |i| -> Result<(Corners, Look)> {
        let image = scene.views[i].load_image()?;
        let gray = corners::Gray::of(&image, SIDE)?;
        Ok((Corners::of(&gray), Look::of(&gray)))
    });
    let (corners, looks): (Vec<Corners>, Vec<Look>) = seen.into_iter().collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let pairs = pairs::Pairs::of(scene, &corners, threads);
    let mut findings = Vec::new();
    let swapped = axes::find(scene, &pairs);
    let depths = if swapped.is_none() { pairs.depths(scene) } else { None };
    match swapped {
        Some(finding) => findings.push(finding),
        None => {
            findings.extend(pairs.wrong_poses(scene, threads));
            findings.extend(places::bounds(scene, depths));
        }
    }
    findings.extend(files::find(scene));
    findings.extend(places::neighbours(scene));
    findings.extend(photographs::blurred(scene, &looks));
    findings.extend(photographs::exposed(scene, &looks));
    findings.sort_by_key(|finding| finding.severity);
    let scale = scene.scene_from_file.scale;
    let middle = scene.views.get(scene.views.len() / 2);
    let field = middle.map_or(0.0, |view| 2.0 * (0.5 * view.camera.width as f32 / view.camera.focal.x.abs()).atan());
    Ok(Report {
        findings,
        pairs: pairs.len(),
        agreement: pairs.agreement(scene),
        field_of_view: f64::from(field.to_degrees()),
        baseline: places::baseline(scene) / scale,
        bounds: [scene.near, scene.far].map(|bound| f64::from(bound) / scale),
        depths: depths.map(|depths| depths.map(|depth| depth / scale)),
    })
}

/// The `count` views that look most nearly the same way as view `id` from most nearly the same place.
fn nearest(scene: &Scene, id: usize, count: usize) -> Vec<usize> {
    let camera = &scene.views[id].camera;
    let extent = scene.views.iter().map(|v| v.camera.origin().distance(camera.origin())).fold(0.0f32, f32::max);
    let cost = |other: usize| {
        let other = &scene.views[other].camera;
        let turn = other.forward().angle_between(camera.forward());
        other.origin().distance(camera.origin()) / extent.max(f32::MIN_POSITIVE) + turn
    };
    let mut others: Vec<usize> = (0..scene.views.len()).filter(|other| *other != id).collect();
    others.sort_by(|a, b| cost(*a).total_cmp(&cost(*b)));
    others.truncate(count);
    others
}

/// Names of views for messages: some of them, and how many more.
fn named(scene: &Scene, ids: &[usize]) -> String {
    const SHOWN: usize = 5;
    let names: Vec<&str> = ids.iter().take(SHOWN).map(|id| scene.views[*id].name.as_str()).collect();
    let more = ids.len().saturating_sub(SHOWN);
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}
