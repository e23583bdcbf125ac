//! Softmax of the rows of a matrix.

compute::simd_fn! {
    /// Softmax of every row of `[rows, cols]`, in place.
    pub fn softmax_rows(isa: Isa, x: &mut [f32], cols: usize) {
        for row in x.chunks_exact_mut(cols) {
            let mut parts = [f32::MIN; 8];
            for chunk in row.chunks(8) {
                parts.iter_mut().zip(chunk).for_each(|(p, v)| *p = if *v > *p { *v } else { *p });
            }
            let max = parts.iter().fold(f32::MIN, |a, b| a.max(*b));
            let mut sums = [0.0f32; 8];
            for chunk in row.chunks_exact_mut(8) {
                for (s, v) in sums.iter_mut().zip(chunk) {
                    *v = compute::math::exp(*v - max);
                    *s += *v;
                }
            }
            for v in row.chunks_exact_mut(8).into_remainder() {
                *v = compute::math::exp(*v - max);
                sums[0] += *v;
            }
            let scale = 1.0 / sums.iter().sum::<f32>();
            row.iter_mut().for_each(|v| *v *= scale);
        }
    }
}

compute::simd_fn! {
    /// Turns the gradient of a row softmax with output `y` into that of its input, in place.
    pub fn softmax_rows_backward(isa: Isa, y: &[f32], dy: &mut [f32], cols: usize) {
        for (y, dy) in y.chunks_exact(cols).zip(dy.chunks_exact_mut(cols)) {
            let mut parts = [0.0f32; 8];
            for (y, dy) in y.chunks(8).zip(dy.chunks(8)) {
                parts.iter_mut().zip(y.iter().zip(dy)).for_each(|(p, (y, d))| *p += y * d);
            }
            let dot = parts.iter().sum::<f32>();
            dy.iter_mut().zip(y).for_each(|(d, y)| *d = (*d - dot) * y);
        }
    }
}
