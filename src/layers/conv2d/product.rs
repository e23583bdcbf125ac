//! Matrix products over strided, possibly overlapping rows.

use gemm::Parallelism;

/// A matrix inside `data`; rows may overlap.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub data: &'a [f32],
    /// Distance of consecutive rows.
    pub row: usize,
    /// Distance of consecutive columns.
    pub col: usize,
}

impl Matrix<'_> {
    fn fits(&self, rows: usize, cols: usize) -> bool {
        (rows - 1) * self.row + (cols - 1) * self.col < self.data.len()
    }
}

/// `target (+)= a x b` for `[m, n, k]`; rows of `target` start every `row` values.
pub(super) fn product(target: &mut [f32], row: usize, [m, n, k]: [usize; 3], a: Matrix, b: Matrix, accumulate: bool) {
    assert!(m > 0 && n > 0 && k > 0 && row >= n && (m - 1) * row + n <= target.len(), "target {m}x{n} every {row}");
    assert!(a.fits(m, k) && b.fits(k, n), "factors {m}x{k} and {k}x{n}");
    // SAFETY: the asserts above keep every index that m, n, k and the strides can form inside the three slices; `target`
    // is borrowed mutably, so it does not alias `a` or `b`, and its rows do not overlap because `row >= n`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target.as_mut_ptr(),
            1,
            row as isize,
            accumulate,
            a.data.as_ptr(),
            a.col as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.col as isize,
            b.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
