//! Arithmetic on poses in OpenGL axes: x right, y up, z backwards. In f64, as poses are averaged and inverted.

use glam::{DMat3, DMat4, DVec3, Mat4};

/// Least spread of the optical axes of cameras around a place, for [`axes_point`]: they turn by about 13 degrees from
/// their mean. The LLFF scenes, which are forward-facing, have 0.001 to 0.02; captures around an object 0.2 and more.
pub(crate) const SPREAD_AROUND: f64 = 0.05;

/// The centre of a pose.
pub(crate) fn center(pose: &DMat4) -> DVec3 {
    pose.w_axis.truncate()
}

/// Pose at `center` that looks along `-back`, with `up` as nearly upwards as possible.
///
/// `None` if `back` is zero or parallel to `up`.
pub(crate) fn look_along(back: DVec3, up: DVec3, center: DVec3) -> Option<DMat4> {
    let z = back.try_normalize()?;
    let x = up.try_normalize()?.cross(z);
    // Below this the direction of x is rounding noise.
    if x.length() < 1e-6 {
        return None;
    }
    let x = x.normalize();
    let y = z.cross(x).normalize();
    Some(DMat4::from_cols(x.extend(0.0), y.extend(0.0), z.extend(0.0), center.extend(1.0)))
}

/// Mean centre, summed up and summed back axes of poses.
pub(crate) struct Mean {
    pub center: DVec3,
    pub up: DVec3,
    pub back: DVec3,
}

impl Mean {
    /// Averages poses; all zero if there are none.
    pub fn of(poses: &[DMat4]) -> Self {
        let sum = |column: usize| poses.iter().map(|p| p.col(column).truncate()).sum::<DVec3>();
        let count = poses.len().max(1) as f64;
        Self { center: sum(3) / count, up: sum(1) / count, back: sum(2) / count }
    }

    /// The average pose; `None` if the viewing directions cancel out or run along the up axis.
    pub fn pose(&self) -> Option<DMat4> {
        if self.back.length() < 1e-6 || self.up.length() < 1e-6 {
            return None;
        }
        look_along(self.back, self.up, self.center)
    }
}

/// Checks that a pose is finite and its axes orthonormal and right-handed to within 1 %.
///
/// # Errors
/// Says what was expected and found.
pub(crate) fn check_rigid(pose: DMat4) -> Result<(), String> {
    // Beyond single precision nothing could be rendered.
    if !pose.as_mat4().is_finite() {
        return Err("expected a finite pose, found NaN or infinity".to_owned());
    }
    let axes = DMat3::from_mat4(pose);
    let off = (axes.transpose() * axes - DMat3::IDENTITY).to_cols_array().iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if off > 0.01 || axes.determinant() < 0.0 {
        return Err(format!(
            "expected orthonormal right-handed axes, found a deviation of {off:.3} and determinant {:.3}",
            axes.determinant()
        ));
    }
    Ok(())
}

/// From x right, y up, z backwards to x right, y down, z forward, or back.
pub(crate) fn flip_axes(pose: DMat4) -> DMat4 {
    DMat4::from_cols(pose.x_axis, -pose.y_axis, -pose.z_axis, pose.w_axis)
}

/// A camera's pose in OpenGL axes.
pub(crate) fn opengl_pose(world_from_camera: Mat4) -> DMat4 {
    flip_axes(world_from_camera.as_dmat4())
}

/// Point with the least sum of squared distances to all optical axes; `None` if their directions spread by less than
/// `spread`, which is as [`axes_point`] tells it.
pub(crate) fn axes_meet(poses: &[DMat4], spread: f64) -> Option<DVec3> {
    axes_point(poses).filter(|(_, found)| *found > spread).map(|(point, _)| point)
}

/// Point with the least sum of squared distances to all optical axes, and the spread of their directions; `None` if they
/// are parallel.
///
/// The spread is the determinant of the mean projection across the axes: 0 if they are parallel, about the mean
/// squared sine of their angle to the mean axis if they are nearly so, and 8/27 if they point all ways.
pub(crate) fn axes_point(poses: &[DMat4]) -> Option<(DVec3, f64)> {
    let (mut matrix, mut right) = (DMat3::ZERO, DVec3::ZERO);
    for pose in poses {
        let axis = pose.z_axis.truncate().try_normalize()?;
        let across = DMat3::IDENTITY - DMat3::from_cols(axis * axis.x, axis * axis.y, axis * axis.z);
        matrix += across;
        right += across * pose.w_axis.truncate();
    }
    // The determinant of a sum of n projections grows with n³.
    let spread = matrix.determinant() / (poses.len() as f64).powi(3);
    (spread > 0.0).then(|| (matrix.inverse() * right, spread))
}
