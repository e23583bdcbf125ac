//! One look-up at a time; the next one's pixels are still in cache more often than not, since neighbours on a ray are
//! neighbours on its epipolar line.

use super::LookUp;
use crate::simd::Simd;

crate::simd_fn! {
    /// # Safety
    /// `width` is a multiple of the lanes, `colour` has four rows of it, and the indices lie inside the maps.
    pub unsafe fn gather(
        isa: Isa, look_ups: &[LookUp], maps: &[&[f32]], colour: &[f32], width: usize, y: &mut [f32],
    ) => kernel
}

/// # Safety
/// The instructions of `S` are available; the rest as [`gather`].
#[inline(always)]
unsafe fn kernel<S: Simd>(look_ups: &[LookUp], maps: &[&[f32]], colour: &[f32], width: usize, y: &mut [f32]) {
    for (l, y) in look_ups.iter().zip(y.chunks_exact_mut(width)) {
        // SAFETY: indices lie inside the map, and steps of `LANES` inside rows of `width` values.
        unsafe {
            let map = maps.get_unchecked(l.view as usize).as_ptr();
            let taps = l.index.map(|i| map.add(i as usize * width));
            let weight = l.weight.map(|w| S::splat(w));
            let rgb = l.colour.map(|c| S::splat(c));
            for i in (0..width).step_by(S::LANES) {
                let row = |r: usize| S::load(colour.as_ptr().add(r * width + i));
                let mut sum = row(3);
                for t in 0..4 {
                    sum = S::fma(weight[t], S::load(taps[t].add(i)), sum);
                }
                for c in 0..3 {
                    sum = S::fma(rgb[c], row(c), sum);
                }
                S::store(y.as_mut_ptr().add(i), S::max(sum, S::splat(0.0)));
            }
        }
    }
}
