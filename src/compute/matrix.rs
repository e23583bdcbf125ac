//! Matrix views over slices and their product.

/// A read-only matrix with any strides.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// A contiguous row-major `[rows, cols]` matrix.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows start `row_stride` values apart.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert_reach(data.len(), rows, cols, row_stride);
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// A matrix with any strides, whose rows may overlap.
    pub fn with_strides(data: &'a [f32], rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> Self {
        let reach = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 };
        assert!(reach <= data.len(), "matrix {rows}x{cols} reaches past {} values", data.len());
        Self { data, rows, cols, row_stride, col_stride }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The value in row `row` and column `col`.
    pub fn at(&self, row: usize, col: usize) -> f32 {
        self.data[row * self.row_stride + col * self.col_stride]
    }

    pub(crate) fn as_ptr(&self) -> *const f32 {
        self.data.as_ptr()
    }

    pub(crate) fn row_stride(&self) -> usize {
        self.row_stride
    }

    pub(crate) fn col_stride(&self) -> usize {
        self.col_stride
    }

    /// Whether the values of a row lie side by side.
    pub(crate) fn is_row_major(&self) -> bool {
        self.col_stride == 1
    }

    /// Whether the values of a row or those of a column lie side by side.
    pub(crate) fn has_unit_stride(&self) -> bool {
        self.col_stride == 1 || self.row_stride == 1
    }

    /// The transposed view.
    pub fn t(self) -> Self {
        let Self { data, rows, cols, row_stride, col_stride } = self;
        Self { data, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }
}

/// A row-major matrix to write to.
#[derive(Debug)]
pub struct MatMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'a> MatMut<'a> {
    /// A contiguous row-major `[rows, cols]` matrix.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows start `row_stride` values apart.
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert_reach(data.len(), rows, cols, row_stride);
        Self { data, rows, cols, row_stride }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    pub(crate) fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// Row `row`.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.row_stride..][..self.cols]
    }
}

fn assert_reach(len: usize, rows: usize, cols: usize, row_stride: usize) {
    let reach = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + cols };
    assert!(cols <= row_stride && reach <= len, "matrix {rows}x{cols}, stride {row_stride}, reaches past {len} values");
}

/// `c = alpha · a · b`, or `c += alpha · a · b` with `accumulate`; on the calling thread.
pub fn matmul(alpha: f32, a: Mat, b: Mat, c: MatMut, accumulate: bool) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    assert_eq!((b.rows, c.rows, c.cols), (k, m, n), "product of {m}x{k} and {}x{n} into {}x{}", b.rows, c.rows, c.cols);
    if m == 0 || n == 0 {
        return;
    }
    // The library stores whole columns, so rows are written as the columns of `cᵀ = bᵀ · aᵀ`.
    let row_stride = c.row_stride as isize;
    let (lhs, rhs, col_stride, row_stride) =
        if row_stride > 1 { (b.t(), a.t(), row_stride, 1) } else { (a, b, 1, row_stride) };
    let product = gemm_f32::gemm::f32::get_gemm_fn();
    // SAFETY: the views reach inside their slices (checked when they were made), the shapes agree (checked above), and
    // `c` is borrowed mutably, so it cannot alias `a` or `b`.
    unsafe {
        product(
            lhs.rows,
            rhs.cols,
            k,
            c.data.as_mut_ptr(),
            col_stride,
            row_stride,
            accumulate,
            lhs.data.as_ptr(),
            lhs.col_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.col_stride as isize,
            rhs.row_stride as isize,
            1.0,
            alpha,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_strided_and_transposed() {
        let a = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0]; // [2, 2] with stride 3
        let b = [1.0, 0.0, 2.0, 1.0]; // used transposed
        let mut c = [10.0; 6];
        matmul(2.0, Mat::strided(&a, 2, 2, 3), Mat::new(&b, 2, 2).t(), MatMut::strided(&mut c, 2, 2, 3), true);
        assert_eq!(c, [12.0, 18.0, 10.0, 16.0, 30.0, 10.0]);
        matmul(1.0, Mat::new(&a[..2], 1, 2), Mat::new(&b, 2, 2), MatMut::new(&mut c[..2], 1, 2), false);
        assert_eq!(c[..2], [5.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "reaches past")]
    fn refuses_a_view_past_the_end() {
        Mat::new(&[0.0; 5], 2, 3);
    }
}
