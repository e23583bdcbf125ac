//! Matrix products over strided, possibly overlapping rows.

use compute::{Mat, MatMut, matmul};

/// A matrix inside `data`; rows may overlap.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub data: &'a [f32],
    /// Distance of consecutive rows.
    pub row: usize,
    /// Distance of consecutive columns.
    pub col: usize,
}

impl<'a> Matrix<'a> {
    fn sized(self, rows: usize, cols: usize) -> Mat<'a> {
        Mat::with_strides(self.data, rows, cols, self.row, self.col)
    }
}

/// `target (+)= a x b` for `[m, n, k]`; rows of `target` start every `row` values.
pub(super) fn product(target: &mut [f32], row: usize, [m, n, k]: [usize; 3], a: Matrix, b: Matrix, accumulate: bool) {
    assert!(m > 0 && n > 0 && k > 0, "product of {m}x{k} and {k}x{n}");
    matmul(1.0, a.sized(m, k), b.sized(k, n), MatMut::strided(target, m, n, row), accumulate);
}
