//! The transform between two world frames: turned, scaled evenly and moved. In f64, since captures on maps have their
//! origin thousands of kilometres away.

use glam::{DMat3, DMat4, DVec3};

/// `to = scale · rotation · from + translation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// A rotation without scale.
    pub rotation: DMat3,
    /// Length in the target frame of one unit of the source frame; positive.
    pub scale: f64,
    /// Where the source frame's origin lies in the target frame.
    pub translation: DVec3,
}

impl Similarity {
    /// Leaves everything where it is.
    pub const IDENTITY: Self = Self { rotation: DMat3::IDENTITY, scale: 1.0, translation: DVec3::ZERO };

    /// The transform that takes a rigid `from_pose` to the origin and then scales by `scale`.
    pub fn recentre(from_pose: DMat4, scale: f64) -> Self {
        let inverse = DMat3::from_mat4(from_pose).transpose();
        Self { rotation: inverse, scale, translation: -(inverse * from_pose.w_axis.truncate()) * scale }
    }

    /// A point in the target frame.
    pub fn point(&self, point: DVec3) -> DVec3 {
        self.rotation * point * self.scale + self.translation
    }

    /// A rigid pose (its columns are axes and centre) in the target frame; it stays rigid.
    pub fn pose(&self, pose: DMat4) -> DMat4 {
        let axes = self.rotation * DMat3::from_mat4(pose);
        DMat4::from_cols(
            axes.x_axis.extend(0.0),
            axes.y_axis.extend(0.0),
            axes.z_axis.extend(0.0),
            self.point(pose.w_axis.truncate()).extend(1.0),
        )
    }

    /// The way back.
    pub fn inverse(&self) -> Self {
        let (rotation, scale) = (self.rotation.transpose(), 1.0 / self.scale);
        Self { rotation, scale, translation: -(rotation * self.translation) * scale }
    }

    /// The 4×4 matrix, row by row; its upper left part is `scale · rotation`.
    pub fn rows(&self) -> [[f64; 4]; 4] {
        let mut matrix = DMat4::from_mat3(self.rotation * self.scale);
        matrix.w_axis = self.translation.extend(1.0);
        matrix.transpose().to_cols_array_2d()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Similarity {
        Similarity {
            rotation: DMat3::from_rotation_z(0.7) * DMat3::from_rotation_x(-1.9),
            scale: 0.31,
            translation: DVec3::new(5.0, -3.0, 0.25),
        }
    }

    #[test]
    fn there_and_back() {
        let (t, point) = (some(), DVec3::new(4.6e6, -3.0e5, 120.0));
        assert!((t.inverse().point(t.point(point)) - point).length() < 1e-8);
        let pose = DMat4::from_rotation_translation(glam::DQuat::from_rotation_y(0.4), point);
        let back = t.inverse().pose(t.pose(pose));
        assert!(back.to_cols_array().iter().zip(pose.to_cols_array()).all(|(a, b)| (a - b).abs() < 1e-8));
        // Axes keep their length.
        assert!((t.pose(pose).x_axis.length() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn recentring_takes_the_pose_to_the_origin() {
        let pose = DMat4::from_rotation_translation(glam::DQuat::from_rotation_x(1.2), DVec3::new(1.0, 2.0, 3.0));
        let t = Similarity::recentre(pose, 5.0);
        let at = t.pose(pose).to_cols_array();
        assert!(at.iter().zip(DMat4::IDENTITY.to_cols_array()).all(|(a, b)| (a - b).abs() < 1e-12), "{at:?}");
        // One unit along the pose's x axis is five units in the new frame.
        let ahead = t.point(pose.transform_point3(DVec3::X));
        assert!((ahead - DVec3::X * 5.0).length() < 1e-12);
        let rows = t.rows();
        assert!((rows[3][3] - 1.0).abs() < 1e-15 && (rows[0][0] - 5.0 * t.rotation.x_axis.x).abs() < 1e-12);
    }
}
