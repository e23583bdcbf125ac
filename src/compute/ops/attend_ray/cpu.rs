//! Exponentials of score rows, in place.

use crate::ops::padded;
use crate::simd::Simd;

crate::simd_fn! {
    /// `scores = e^(scores − max of the row)` and the rows' sums.
    ///
    /// # Shapes
    /// - `scores`: `[rows, padded(samples)]`; columns from `samples` on are padding
    /// - `sums`: at least `[rows]`
    ///
    /// # Safety
    /// Nothing beyond the instructions, which `isa` stands for.
    pub unsafe fn exponentials(isa: Isa, scores: &mut [f32], samples: usize, sums: &mut [f32]) => kernel
}

/// # Safety
/// The instructions of `S` are available.
#[inline(always)]
unsafe fn kernel<S: Simd>(scores: &mut [f32], samples: usize, sums: &mut [f32]) {
    let width = padded(samples);
    for (row, sum) in scores.chunks_exact_mut(width).zip(sums) {
        // Padding takes part in no maximum, and its exponential is far below what a sum can hold.
        row[samples..].fill(-1e30);
        // SAFETY: steps of `LANES` stay inside rows of a padded width.
        unsafe {
            let p = row.as_mut_ptr();
            let mut max = S::load(p);
            for i in (S::LANES..width).step_by(S::LANES) {
                max = S::max(max, S::load(p.add(i)));
            }
            let max = S::splat(S::largest(max));
            let mut total = S::splat(0.0);
            for i in (0..width).step_by(S::LANES) {
                let power = S::exp(S::sub(S::load(p.add(i)), max));
                total = S::add(total, power);
                S::store(p.add(i), power);
            }
            *sum = S::sum(total);
        }
    }
}
