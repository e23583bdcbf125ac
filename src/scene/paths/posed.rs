//! Single poses from the command line: where the camera stands, and what it looks at or its whole matrix.

use super::Frame;
use crate::capture::Capture;
use crate::pose::{check_rigid, flip_axes, look_along};
use crate::{Camera, Error, Result, Scene};
use glam::{DMat4, DVec3};
use std::str::FromStr;

/// A pose as it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GivenPose {
    /// A place; the camera looks at a point that is given besides.
    Place(DVec3),
    /// Camera-to-world in OpenGL axes: x right, y up, z backwards.
    Matrix(DMat4),
}

impl FromStr for GivenPose {
    type Err = Error;

    /// Three numbers of a place, or 12 or 16 of a matrix row by row, between commas or spaces.
    fn from_str(text: &str) -> Result<Self> {
        let numbers = numbers(text)?;
        match numbers[..] {
            [x, y, z] => Ok(Self::Place(DVec3::new(x, y, z))),
            _ if numbers.len() == 12 || numbers.len() == 16 => {
                let mut rows = [0.0; 16];
                rows[15] = 1.0;
                rows[..numbers.len()].copy_from_slice(&numbers);
                Ok(Self::Matrix(DMat4::from_cols_array(&rows).transpose()))
            }
            _ => Err(Error::Scene(format!(
                "pose: expected 3 numbers (a place), or 12 or 16 (a camera-to-world matrix row by row, x right, y up, z \
                 backwards), found {}",
                numbers.len()
            ))),
        }
    }
}

/// The numbers of a list between commas or spaces.
fn numbers(text: &str) -> Result<Vec<f64>> {
    let words = text.split(|c: char| c.is_whitespace() || [',', ';'].contains(&c)).filter(|word| !word.is_empty());
    let number = |word: &str| {
        let found = word.parse().ok().filter(|number: &f64| number.is_finite());
        found.ok_or_else(|| Error::Scene(format!("pose: expected numbers between commas, found {word:?}")))
    };
    words.map(number).collect()
}

/// A point of three numbers.
///
/// # Errors
/// [`Error::Scene`] for anything else.
pub fn parse_point(text: &str) -> Result<DVec3> {
    match numbers(text)?[..] {
        [x, y, z] => Ok(DVec3::new(x, y, z)),
        ref other => Err(Error::Scene(format!("expected the 3 numbers of a point, found {}", other.len()))),
    }
}

/// A frame for each pose. Poses and `look_at` are in the coordinates of the scene's files, or of the scene where `in_scene`.
/// Cameras have the usual intrinsics of the photographs, and stand upright where they look at a point.
///
/// # Errors
/// [`Error::Scene`] for a place without a point to look at, one with a point in the same place, a matrix that is not rigid, or
/// a scene without views.
pub fn frames(scene: &Scene, poses: &[GivenPose], look_at: Option<DVec3>, in_scene: bool) -> Result<Vec<Frame>> {
    let template = super::template(scene)?;
    let capture = Capture::of(scene);
    let point = |point: DVec3| if in_scene { point } else { scene.scene_from_file.point(point) };
    let camera = |(i, pose): (usize, &GivenPose)| {
        let fail = |problem: String| Err(Error::Scene(format!("pose {i}: {problem}")));
        let pose = match (pose, look_at) {
            (GivenPose::Matrix(matrix), _) => {
                if let Err(problem) = check_rigid(*matrix) {
                    return fail(problem);
                }
                if in_scene { *matrix } else { scene.scene_from_file.pose(*matrix) }
            }
            (GivenPose::Place(_), None) => {
                return fail("expected a point to look at (--look-at) for a place, found none".into());
            }
            (GivenPose::Place(place), Some(looked_at)) => {
                let (center, target) = (point(*place), point(looked_at));
                let back = center - target;
                let up = capture.as_ref().map_or(DVec3::Y, |capture| capture.up_for(back));
                match look_along(back, up, center) {
                    Some(pose) => pose,
                    None => {
                        return fail(format!(
                            "expected a point to look at away from the place {place}, found {looked_at}"
                        ));
                    }
                }
            }
        };
        Ok(Camera { world_from_camera: flip_axes(pose).as_mat4(), ..template })
    };
    let cameras = poses.iter().enumerate().map(camera).collect::<Result<Vec<_>>>()?;
    Ok(super::numbered(cameras))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Similarity;
    use crate::testing;
    use glam::{DMat3, Vec3};

    fn scene() -> Scene {
        let mut scene = testing::scene(&[Vec3::ZERO, Vec3::X, Vec3::Y]);
        scene.scene_from_file =
            Similarity { rotation: DMat3::from_rotation_x(std::f64::consts::PI), scale: 2.0, translation: DVec3::X };
        scene
    }

    #[test]
    fn a_camera_stands_and_looks_where_it_is_told_in_the_files_coordinates() {
        let scene = scene();
        let place: GivenPose = "1, 2, -3".parse().unwrap();
        let frames = frames(&scene, &[place], Some(DVec3::new(1.0, 2.0, 5.0)), false).unwrap();
        let camera = frames[0].camera;
        let at = scene.scene_from_file.point(DVec3::new(1.0, 2.0, -3.0)).as_vec3();
        assert!(camera.origin().distance(at) < 1e-5, "{}", camera.origin());
        // Turned about x, the file's z is the scene's other way.
        assert!(camera.forward().distance(Vec3::NEG_Z) < 1e-5, "{}", camera.forward());
        assert_eq!((frames[0].name.as_str(), camera.width), ("frame_0000", 31));
        camera.validate("given").unwrap();
    }

    #[test]
    fn matrices_are_camera_to_world_in_opengl_axes() {
        let scene = scene();
        let pose: GivenPose = "1 0 0 5  0 1 0 6  0 0 1 7".parse().unwrap();
        let camera = frames(&scene, &[pose], None, true).unwrap()[0].camera;
        assert_eq!((camera.origin(), camera.forward()), (Vec3::new(5.0, 6.0, 7.0), Vec3::NEG_Z));
        let whole: GivenPose = "1,0,0,5,0,1,0,6,0,0,1,7,0,0,0,1".parse().unwrap();
        assert_eq!(whole, pose);
    }

    #[test]
    fn what_is_no_pose_is_named() {
        for (text, said) in [("1,2", "found 2"), ("a,b,c", "\"a\""), ("1,2,NaN", "\"NaN\""), ("", "found 0")] {
            let message = text.parse::<GivenPose>().unwrap_err().to_string();
            assert!(message.contains(said), "{text}: {message}");
        }
        let scene = scene();
        let error = |text: &str, point: Option<DVec3>| {
            frames(&scene, &[text.parse().unwrap()], point, true).unwrap_err().to_string()
        };
        assert!(error("1,2,3", None).contains("--look-at"));
        assert!(error("1,2,3", Some(DVec3::new(1.0, 2.0, 3.0))).contains("away from the place"));
        assert!(error("2 0 0 5  0 1 0 6  0 0 1 7", None).contains("orthonormal"));
        assert!(parse_point("1,2").unwrap_err().to_string().contains("3 numbers"));
    }
}
