//! Numpy's arrays, and what they mean here.

use crate::errors;
use glam::{DMat4, Vec2};
use numpy::{AllowTypeChange, PyArray2, PyArrayLikeDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

/// Anything that numpy makes an array of numbers of.
pub type Numbers<'py> = PyArrayLikeDyn<'py, f64, AllowTypeChange>;

/// The numbers of an argument that must be a square matrix of `N` rows, row by row.
fn matrix<const N: usize>(name: &str, numbers: &Numbers) -> PyResult<[[f64; N]; N]> {
    let expected = format!("a {N}x{N} matrix");
    if numbers.shape() != [N, N] {
        let shape: Vec<String> = numbers.shape().iter().map(ToString::to_string).collect();
        return Err(errors::of_argument(name, &expected, format!("an array of shape ({})", shape.join(", "))));
    }
    let mut rows = [[0.0; N]; N];
    rows.iter_mut().flatten().zip(numbers.as_array().iter()).for_each(|(out, value)| *out = *value);
    if rows.iter().flatten().any(|value| !value.is_finite()) {
        return Err(errors::of_argument(name, &format!("{expected} of finite numbers"), "NaN or infinity"));
    }
    Ok(rows)
}

/// A pose: 4x4, its last row 0, 0, 0, 1. Whether it is rigid is checked with the camera.
///
/// # Errors
/// `ValueError` for anything else.
pub fn pose(numbers: &Numbers) -> PyResult<DMat4> {
    let rows = matrix::<4>("pose", numbers)?;
    if rows[3] != [0.0, 0.0, 0.0, 1.0] {
        return Err(errors::of_argument("pose", "0, 0, 0, 1 in the last row", format!("{:?}", rows[3])));
    }
    Ok(DMat4::from_cols_array_2d(&rows).transpose())
}

/// Focal lengths and principal point of an intrinsic matrix, in pixels.
///
/// # Errors
/// `ValueError` for a matrix with skew or of another form, and for a focal length that is not positive.
pub fn intrinsics(numbers: &Numbers) -> PyResult<(Vec2, Vec2)> {
    let rows = matrix::<3>("intrinsics", numbers)?;
    let [[fx, skew, cx], [below, fy, cy], last] = rows;
    if skew != 0.0 || below != 0.0 || last != [0.0, 0.0, 1.0] {
        let expected = "a matrix of the form [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]";
        return Err(errors::of_argument("intrinsics", expected, format!("{rows:?}")));
    }
    if !(fx > 0.0 && fy > 0.0) {
        return Err(errors::of_argument("intrinsics", "positive focal lengths", format!("{fx} and {fy}")));
    }
    Ok((Vec2::new(fx as f32, fy as f32), Vec2::new(cx as f32, cy as f32)))
}

/// A 4x4 array of float64.
pub fn of_pose(py: Python<'_>, pose: DMat4) -> PyResult<Bound<'_, PyArray2<f64>>> {
    let rows: Vec<Vec<f64>> = pose.transpose().to_cols_array_2d().iter().map(|row| row.to_vec()).collect();
    Ok(PyArray2::from_vec2(py, &rows)?)
}

/// A 3x3 array of float64.
pub fn of_intrinsics(py: Python<'_>, focal: Vec2, center: Vec2) -> PyResult<Bound<'_, PyArray2<f64>>> {
    let [focal, center] = [focal.as_dvec2(), center.as_dvec2()];
    let rows = [vec![focal.x, 0.0, center.x], vec![0.0, focal.y, center.y], vec![0.0, 0.0, 1.0]];
    Ok(PyArray2::from_vec2(py, &rows)?)
}
