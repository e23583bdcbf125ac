//! Vector registers behind one trait, so that a kernel is written once and compiled for every [`crate::Isa`].

mod dispatch;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{turn8, turn16};

/// Registers of [`Simd::LANES`] `f32` values.
///
/// # Safety
/// Every method may only be called where the instructions of the implementing type are available; pointers must be
/// valid for `LANES` values. Kernels get there through [`crate::simd_fn!`], which picks a type by [`crate::Isa`].
pub unsafe trait Simd: Copy + 'static {
    /// One register.
    type V: Copy;
    /// Values in a register.
    const LANES: usize;

    /// All lanes the same.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn splat(x: f32) -> Self::V;
    /// Unaligned load.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn load(p: *const f32) -> Self::V;
    /// Unaligned store.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// `a + b`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, with one rounding where the instruction set has it.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger of each lane.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The first `n` values at `p`, at most as many as there are lanes, and `rest` in the lanes after them.
    ///
    /// # Safety
    /// See the trait; only those values need to be there.
    unsafe fn load_first(p: *const f32, n: usize, rest: Self::V) -> Self::V;
    /// As many signed bytes as there are lanes.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn load_bytes(p: *const i8) -> Self::V;
    /// `m · 2^n` for integral `n` in `[-126, 127]`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn scale_by_power(m: Self::V, n: Self::V) -> Self::V;
    /// Nearest integer of each lane.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn round(a: Self::V) -> Self::V;

    /// Sum of all lanes.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        let mut lanes = [0.0f32; 16];
        // SAFETY: no register has more than 16 lanes.
        unsafe { Self::store(lanes.as_mut_ptr(), v) };
        lanes[..Self::LANES].iter().sum()
    }

    /// The sums of as many registers as there are lanes: lane `i` is that of register `i`. Registers past those count nothing.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn sums(v: &[Self::V; 16]) -> Self::V {
        let mut sums = [0.0f32; 16];
        // SAFETY: the caller vouches for the instructions, and no register has more than 16 lanes.
        unsafe {
            for i in 0..Self::LANES {
                sums[i] = Self::sum(v[i]);
            }
            Self::load(sums.as_ptr())
        }
    }

    /// Largest lane.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn largest(v: Self::V) -> f32 {
        let mut lanes = [0.0f32; 16];
        // SAFETY: no register has more than 16 lanes.
        unsafe { Self::store(lanes.as_mut_ptr(), v) };
        lanes[1..Self::LANES].iter().fold(lanes[0], |a, b| a.max(*b))
    }

    /// `e^x` for `x ≤ 0` (softmax arguments): relative error below 3e-7 down to −87, about 1e-38 below that.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn exp(x: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let x = Self::max(x, Self::splat(-87.3));
            let n = Self::round(Self::mul(x, Self::splat(std::f32::consts::LOG2_E)));
            let r = Self::fma(n, Self::splat(-0.693_359_4), x);
            let r = Self::fma(n, Self::splat(2.121_944_4e-4), r);
            let mut p = Self::splat(1.398_199_9e-3);
            for c in [8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5, 1.0, 1.0] {
                p = Self::fma(p, r, Self::splat(c));
            }
            Self::scale_by_power(p, n)
        }
    }
}

/// Asks for the part of memory that holds `values[index]`, so that it is at hand a little later; nothing happens past the end.
#[inline(always)]
pub fn prefetch<T>(values: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has this instruction, which reads nothing that the program can see and takes any
        // address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().wrapping_add(index).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, index);
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe fn check<S: Simd>(results: &mut Vec<f32>) {
        // SAFETY: `simd_fn` picks an available `S`.
        unsafe {
            let a: Vec<f32> = (0..S::LANES).map(|i| -(i as f32) * 7.3).collect();
            let v = S::load(a.as_ptr());
            let mut out = vec![0.0; S::LANES];
            S::store(out.as_mut_ptr(), S::exp(v));
            for (x, y) in a.iter().zip(&out) {
                assert!((y - x.exp()).abs() <= 4e-7 * x.exp() + 2e-38, "exp({x}) = {y}");
            }
            assert_eq!(S::largest(v), 0.0);
            for n in 0..=S::LANES {
                S::store(out.as_mut_ptr(), S::load_first(a[S::LANES - n..].as_ptr(), n, S::splat(9.0)));
                assert_eq!(out[..n], a[S::LANES - n..]);
                assert!(out[n..].iter().all(|v| *v == 9.0));
            }
            let rows: Vec<f32> = (0..256).map(|i| ((i * 37) % 101) as f32 - 50.0).collect();
            let registers: [S::V; 16] = std::array::from_fn(|i| S::load(rows.as_ptr().add(i * 16)));
            S::store(out.as_mut_ptr(), S::sums(&registers));
            for (row, sum) in rows.chunks_exact(16).zip(&out) {
                assert_eq!(*sum, row[..S::LANES].iter().sum::<f32>());
            }
            assert_eq!(S::sum(S::splat(2.0)), 2.0 * S::LANES as f32);
            S::store(out.as_mut_ptr(), S::fma(S::splat(2.0), S::splat(3.0), S::sub(S::splat(1.0), S::splat(0.5))));
            assert_eq!(out[S::LANES - 1], 6.5);
            results.push(S::LANES as f32);
        }
    }
    crate::simd_fn!(unsafe fn run_check(isa: Isa, results: &mut Vec<f32>) => check);

    #[test]
    fn every_set_computes_the_same() {
        for isa in crate::Isa::available() {
            let mut lanes = Vec::new();
            // SAFETY: the check asks for nothing but the instructions.
            unsafe { run_check(isa, &mut lanes) };
            assert_eq!(lanes, [if isa.has_avx512() { 16.0 } else { 8.0 }], "{isa}");
        }
    }

    crate::simd_fn! {
        fn plain(isa: Isa, a: &[f32]) -> f32 {
            a.iter().map(|v| v * v).sum()
        }
    }

    crate::simd_fn! {
        fn strongest(isa: Isa) -> &'static str => {
            avx512+vnni => "avx512+vnni",
            avx512+bitalg => "avx512+bitalg",
            avx512 => "avx512",
            avx2+vnni => "avx2+vnni",
            avx2 => "avx2",
            portable => "portable",
        }
    }

    #[test]
    fn the_first_line_that_a_set_allows_is_run() {
        for isa in crate::Isa::available() {
            let both = isa.has_vnni() && isa.has_bitalg();
            assert_eq!(strongest(isa), if both { "avx512+vnni" } else { isa.name() });
            assert_eq!(plain(isa, &[1.0, 2.0, 3.0]), 14.0);
        }
    }
}
