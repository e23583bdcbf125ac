//! Axis conventions that look swapped: poses that fit the photographs once they are read in another way.

use super::pairs::Pairs;
use super::{Finding, Severity, Subject};
use crate::Scene;
use crate::robust::median;
use glam::{DMat3, DMat4, DVec3};

/// Agreement from which poses are right, and how many times the present one another reading has to reach.
const AGREES: f64 = 0.4;
const BETTER: f64 = 2.0;

/// How poses may have been meant.
struct Reading {
    words: &'static str,
    remedy: &'static str,
    /// From a camera-to-world pose in OpenCV axes, as it was read, to the one that may have been meant.
    meant: fn(DMat4) -> DMat4,
}

/// Axes of a camera, by the columns of a turned pose.
fn turned(pose: DMat4, axes: DMat3) -> DMat4 {
    pose * DMat4::from_mat3(axes)
}

/// From OpenCV's camera axes to OpenGL's, and back.
fn flip() -> DMat4 {
    DMat4::from_mat3(DMat3::from_diagonal(DVec3::new(1.0, -1.0, -1.0)))
}

const READINGS: [Reading; 6] = [
    Reading {
        words: "the camera axes are those of OpenCV and COLMAP (y down, z forward) where the format has OpenGL's (y up, z \
                backwards), or the other way round",
        remedy: "multiply the second and third column of each matrix by -1",
        meant: |pose| pose * flip(),
    },
    Reading {
        words: "the matrices are camera-to-world where the format has world-to-camera, or the other way round",
        remedy: "invert each matrix",
        meant: |pose| pose.inverse(),
    },
    Reading {
        words: "the matrices are world-to-camera where the format has camera-to-world",
        remedy: "invert each matrix",
        meant: |pose| (pose * flip()).inverse() * flip(),
    },
    Reading {
        words: "the matrices are world-to-camera in OpenCV's axes where the format has camera-to-world in OpenGL's",
        remedy: "invert each matrix, then multiply its second and third column by -1",
        meant: |pose| (pose * flip()).inverse(),
    },
    Reading {
        words: "the columns of the matrices are right, up, backwards where the format has down, right, backwards (LLFF), or the \
                photographs are turned to the right against their poses",
        remedy: "write the columns in the format's order, or turn the photographs back (their EXIF orientation may have been \
                 applied)",
        meant: |pose| turned(pose, DMat3::from_cols(DVec3::new(0.0, 1.0, 0.0), DVec3::new(-1.0, 0.0, 0.0), DVec3::Z)),
    },
    Reading {
        words: "the columns of the matrices are down, right, backwards (LLFF's) where the format has right, up, backwards, or the \
                photographs are turned to the left against their poses",
        remedy: "write the columns in the format's order, or turn the photographs back (their EXIF orientation may have been \
                 applied)",
        meant: |pose| turned(pose, DMat3::from_cols(DVec3::new(0.0, -1.0, 0.0), DVec3::new(1.0, 0.0, 0.0), DVec3::Z)),
    },
];

/// The other reading that the photographs speak for, if any.
pub(super) fn find(scene: &Scene, pairs: &Pairs) -> Option<Finding> {
    // World-to-camera matrices can only be told in the coordinates that they were written in.
    let back = scene.scene_from_file.inverse();
    let pose = |id: usize| back.pose(scene.views[id].camera.world_from_camera.as_dmat4());
    let agreement = |meant: &dyn Fn(DMat4) -> DMat4| {
        let all: Vec<f64> = pairs.agreements(&|id| meant(pose(id))).into_iter().flatten().collect();
        (all.len() >= 3).then(|| median(all))
    };
    let present = agreement(&|pose| pose)?;
    if present >= AGREES {
        return None;
    }
    let others = READINGS.iter().filter_map(|reading| Some((agreement(&reading.meant)?, reading)));
    let (best, reading) = others.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best >= AGREES && best > BETTER * present).then(|| Finding {
        severity: Severity::Wrong,
        subject: Subject::Axes,
        views: Vec::new(),
        problem: format!(
            "it looks as if {}: read so, {:.0} % of what neighbouring photographs share lies where the poses say, instead of \
             {:.0} %",
            reading.words,
            100.0 * best,
            100.0 * present
        ),
        remedy: reading.remedy.into(),
    })
}
