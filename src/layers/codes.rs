//! Binary codes: one bit a channel, with a threshold that belongs to the channel (the bias of the layer before), never to
//! what else is in the batch.
//!
//! A code is kept as ±1 while training; its scores are `b_q · b_k = d − 2·hamming`, so the popcounts of the engine and
//! the products here are the same integers.

/// Half-width of the window in which the straight-through gradient passes: projections are initialised to a deviation of
/// about 1, so most values lie inside.
pub const WINDOW: f32 = 1.5;

compute::simd_fn! {
    /// `code = +1` where `x > 0`, else `−1`.
    pub fn binarise(isa: Isa, x: &[f32], code: &mut [f32]) {
        for (c, x) in code.iter_mut().zip(x) {
            *c = if *x > 0.0 { 1.0 } else { -1.0 };
        }
    }
}

compute::simd_fn! {
    /// Turns the gradient of [`binarise`]'s output into that of its input, in place: identity inside the window, 0
    /// outside (the clamp straight-through estimator, ShiftAddViT's binarisation).
    pub fn straight_through(isa: Isa, x: &[f32], d: &mut [f32]) {
        for (d, x) in d.iter_mut().zip(x) {
            *d = if x.abs() <= WINDOW { *d } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_follow_the_threshold_and_gradients_the_window() {
        let x = [0.0, 1e-9, -1e-9, 7.0, -7.0, f32::MIN_POSITIVE, WINDOW, -WINDOW - 0.1];
        let mut code = [0.0; 8];
        binarise(compute::isa(), &x, &mut code);
        assert_eq!(code, [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0]);
        let mut d = [2.0; 8];
        straight_through(compute::isa(), &x, &mut d);
        assert_eq!(d, [2.0, 2.0, 2.0, 0.0, 0.0, 2.0, 2.0, 0.0]);
    }
}
