//! Weights that are signed powers of two, so that a product is a shift (DeepShift; the Shift layers of ShiftAddViT).
//!
//! Two forms are trained. In the Q form a float weight is rounded on every forward pass ([`quantise`]) and its gradient
//! is that of the rounded weight, unchanged: `dL/dw = dL/dW`, also where the rounding clipped or zeroed, so a weight
//! can come back. In the PS form exponent and sign are parameters of their own ([`ps_forward`], [`ps_backward`]).
//!
//! Both forms give the same two sets of values:
//!
//! - 4 bits: `sign · 2^p` with `top − 5 ≤ p ≤ top`, or 0, where `top` belongs to the output channel. Three bits and a
//!   code for zero could tell seven exponents apart; six are used, because then the weights are at most 32 times the
//!   smallest and the sum of four products with unsigned bytes, `4 · 255 · 32`, fits 16 signed bits. AVX2 multiplies
//!   bytes into 16-bit sums of pairs, and two such sums can be added before they are widened; with seven exponents only
//!   a single pair fits.
//! - 5 bits: `sign · 2^p` with `−14 ≤ p ≤ 0`, or 0; no scale. These are the 31 values of DeepShift-PS, and all are at
//!   most 1.
//!
//! Weights are `[outputs, inputs]` here: one row is one output channel. The packed forms for files are in [`packed`].

mod errors;
pub mod packed;

pub use errors::{BadCodes, NotShift};
pub use packed::{Packed4, pack4, pack5, unpack4, unpack5};

use std::f32::consts::LN_2;

/// Bounds of a row's scale: all of `2^scale ..= 2^(scale + 6)` are normal numbers.
const SCALES: (i32, i32) = (-126, 120);

/// Exponents that a row of 4-bit weights uses, `top − 5 ..= top`.
pub const EXPONENTS_4: i32 = 6;
/// Smallest exponent of 5-bit weights; the largest is 0.
pub const LOWEST_5: i32 = -14;
/// Bounds of `top`: the smallest level stays a normal number and the largest leaves room below infinity.
const TOP_RANGE: (i32, i32) = (-121, 125);

/// Rounds every weight to the nearest power of two of its set, nearest in the logarithm (DeepShift-Q).
///
/// - `bits` = 4: in each row `top = round(log2 max|w|)` and `w → sign · 2^clamp(round(log2|w|), top − 5, top)`; below
///   half of the smallest level the weight becomes 0, and a row of zeros stays one. `top` is kept inside −121 ..= 125,
///   so weights below 2⁻¹²⁷ vanish and weights above 2¹²⁵ are clipped.
/// - `bits` = 5: exponents −14 ..= 0; below 2⁻¹⁵ the weight becomes 0, above 1 it is clipped to 1.
///
/// The result is its own quantisation, bit for bit. Zeros come out positive. An infinite weight counts as a very large
/// one; a NaN stays as it is, so that a training run which has diverged is seen, and does not touch the rest of its
/// row.
///
/// # Shapes
/// - `weight`, `out`: `[outputs, inputs]`
pub fn quantise(weight: &[f32], inputs: usize, bits: u8, out: &mut [f32]) {
    assert_rows(weight.len(), inputs);
    assert_eq!(weight.len(), out.len(), "weights and their quantisation differ in length");
    for (row, out) in weight.chunks_exact(inputs.max(1)).zip(out.chunks_exact_mut(inputs.max(1))) {
        let largest = row.iter().fold(0.0f32, |a, w| a.max(w.abs()));
        let (low, top) = exponents(bits, rounded_log2(largest));
        let half = power(low) * 0.5;
        for (o, w) in out.iter_mut().zip(row) {
            *o = match w.abs() {
                a if a.is_nan() => *w,
                a if a < half => 0.0,
                a => power(rounded_log2(a).clamp(low, top)).copysign(*w),
            };
        }
    }
}

/// Weights from exponents `s` and signs `g` (DeepShift-PS): `W = sgn(round(g)) · 2^clamp(round(s))`.
///
/// The sign is ternary: 0 where `|g| < 0.5`. With `bits` = 5 exponents are clamped to −14 ..= 0; with `bits` = 4 to
/// `top − 5 ..= top`, where `top` is the row's largest `round(s)` among weights whose sign is not 0. A NaN in `s` or
/// `g` makes its weight NaN.
///
/// # Shapes
/// - `s`, `g`, `out`: `[outputs, inputs]`
pub fn ps_forward(s: &[f32], g: &[f32], inputs: usize, bits: u8, out: &mut [f32]) {
    assert_eq!(s.len(), out.len(), "exponents and weights differ in length");
    ps_each(s, g, inputs, bits, |i, w| out[i] = w);
}

/// Adds the gradients of exponents and signs: `dL/ds = dL/dW · W · ln 2` and `dL/dg = dL/dW` (DeepShift-PS).
///
/// Rounding, sign and clamp pass gradients unchanged, as does the row's `top`. A weight whose sign is 0 has no gradient
/// in `s`, but keeps the one in `g`, which can bring it back.
///
/// # Shapes
/// - all but `inputs` and `bits`: `[outputs, inputs]`
pub fn ps_backward(s: &[f32], g: &[f32], inputs: usize, bits: u8, d_weight: &[f32], d_s: &mut [f32], d_g: &mut [f32]) {
    let lengths = (d_weight.len(), d_s.len(), d_g.len());
    assert_eq!(lengths, (s.len(), s.len(), s.len()), "gradients differ in length from the exponents");
    ps_each(s, g, inputs, bits, |i, w| {
        d_s[i] += d_weight[i] * w * LN_2;
        d_g[i] += d_weight[i];
    });
}

/// Exponents and signs that stand for a dense weight: `s = round(log2|w|)`, `g = sign(w)`.
///
/// A weight of 0 gets sign 0 and the smallest exponent of all others (−14 if there are none), so that it comes back as
/// a small weight if its sign wakes. Weights outside the range of the bits are clamped by [`ps_forward`], not here;
/// unlike [`quantise`] it clamps weights below the smallest level up to it instead of zeroing them.
///
/// # Shapes
/// - `weight`, `s`, `g`: any one shape
pub fn ps_init(weight: &[f32], s: &mut [f32], g: &mut [f32]) {
    assert_eq!((weight.len(), weight.len()), (s.len(), g.len()), "weights differ in length from exponents or signs");
    let others = weight.iter().map(|w| w.abs()).filter(|a| *a > 0.0);
    let lowest = others.map(rounded_log2).min().unwrap_or(LOWEST_5) as f32;
    for ((w, s), g) in weight.iter().zip(s).zip(g) {
        (*s, *g) = match w.abs() {
            a if a.is_nan() => (*w, *w),
            0.0 => (lowest, 0.0),
            a => (rounded_log2(a) as f32, 1f32.copysign(*w)),
        };
    }
}

/// Calls `each` with the index and the value of every weight of the PS form.
fn ps_each(s: &[f32], g: &[f32], inputs: usize, bits: u8, mut each: impl FnMut(usize, f32)) {
    assert_rows(s.len(), inputs);
    assert_eq!(s.len(), g.len(), "exponents and signs differ in length");
    let wide = inputs.max(1);
    for (row, (s, g)) in s.chunks_exact(wide).zip(g.chunks_exact(wide)).enumerate() {
        let signed = s.iter().zip(g).filter(|(_, g)| g.abs() >= 0.5);
        let largest = signed.fold(f32::NEG_INFINITY, |a, (s, _)| a.max(*s)).round_ties_even();
        // The cast saturates, so infinite exponents are ordinary ones that get clamped.
        let (low, top) = exponents(bits, largest as i32);
        for (column, (s, g)) in s.iter().zip(g).enumerate() {
            let weight = if s.is_nan() || g.is_nan() {
                f32::NAN
            } else if g.abs() < 0.5 {
                0.0
            } else {
                power((s.round_ties_even() as i32).clamp(low, top)).copysign(*g)
            };
            each(row * inputs + column, weight);
        }
    }
}

/// Smallest and largest exponent of a row whose largest weight rounds to `2^largest`.
fn exponents(bits: u8, largest: i32) -> (i32, i32) {
    match bits {
        4 => {
            let top = largest.clamp(TOP_RANGE.0, TOP_RANGE.1);
            (top - (EXPONENTS_4 - 1), top)
        }
        5 => (LOWEST_5, 0),
        _ => panic!("shift weights have 4 or 5 bits, not {bits}"),
    }
}

/// `round(log2 x)` for `x ≥ 0`, exact: no rounding of the logarithm itself moves a value across a boundary. Infinity
/// gives 128, zero a number below every other.
fn rounded_log2(x: f32) -> i32 {
    // The largest mantissa below that of √2, which no float equals.
    const BELOW_SQRT_2: u32 = 0x35_04F3;
    let (bits, lifted) = if x < f32::MIN_POSITIVE { ((x * 4_294_967_296.0).to_bits(), 32) } else { (x.to_bits(), 0) };
    (bits >> 23) as i32 - 127 - lifted + i32::from(bits & 0x7F_FFFF > BELOW_SQRT_2)
}

/// `2^p` for `−126 ≤ p ≤ 127`.
fn power(p: i32) -> f32 {
    debug_assert!((-126..=127).contains(&p), "2^{p} is not a normal number");
    f32::from_bits(((p + 127) as u32) << 23)
}

fn assert_rows(len: usize, inputs: usize) {
    let whole = if inputs == 0 { len == 0 } else { len.is_multiple_of(inputs) };
    assert!(whole, "{len} weights are not whole rows of {inputs} inputs");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quantised(weight: &[f32], inputs: usize, bits: u8) -> Vec<f32> {
        let mut out = vec![9.0; weight.len()];
        quantise(weight, inputs, bits, &mut out);
        out
    }

    fn bits_of(x: &[f32]) -> Vec<u32> {
        x.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn four_bits_by_hand() {
        // Row 0: top 0, levels 1/32 to 1, zero below 1/64. Row 1: zeros. Row 2: the scale follows the row.
        #[rustfmt::skip]
        let weight = [
            1.0, -0.7, 0.71, 1.4, 0.03, 0.0157, 0.0156, -0.001,
            0.0, -0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            48.0, -45.0, 1.0, 0.4, 3.0, -3.0, 0.0, 7e-30,
        ];
        #[rustfmt::skip]
        let expected = [
            1.0, -0.5, 1.0, 1.0, 0.03125, 0.03125, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            64.0, -32.0, 2.0, 0.0, 4.0, -4.0, 0.0, 0.0,
        ];
        assert_eq!(bits_of(&quantised(&weight, 8, 4)), bits_of(&expected));
    }

    #[test]
    fn five_bits_by_hand() {
        let smallest = (-14f32).exp2();
        let weight = [1e9, -1.5, 0.708, 0.706, smallest, smallest / 2.0, smallest / 2.01, -0.0, 3e-5, -3.1e-5, 0.25];
        let expected = [1.0, -1.0, 1.0, 0.5, smallest, smallest, 0.0, 0.0, 0.0, -smallest, 0.25];
        assert_eq!(bits_of(&quantised(&weight, 1, 5)), bits_of(&expected));
        assert_eq!(bits_of(&quantised(&weight, 11, 5)), bits_of(&expected));
    }

    #[test]
    fn extremes_do_not_panic() {
        let row = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-45, 0.0];
        let four = quantised(&row, 7, 4);
        let most = 125f32.exp2();
        assert!(four[0].is_nan());
        assert_eq!(four[1..], [most, -most, most, 0.0, 0.0, 0.0]);
        assert_eq!(quantised(&row, 7, 5)[1..], [1.0, -1.0, 1.0, 0.0, 0.0, 0.0]);
        // Where only tiny weights stand in a row, the levels end at the smallest normal number.
        let least = f32::MIN_POSITIVE;
        assert_eq!(quantised(&[least, -least / 2.0, least / 2.1, 1e-45], 4, 4), [least, -least, 0.0, 0.0]);
        assert!(quantised(&[], 5, 4).is_empty() && quantised(&[], 0, 5).is_empty());
    }

    #[test]
    fn ps_by_hand() {
        let s = [0.4, -3.6, 7.0, -20.0, -2.0, 0.0, f32::NEG_INFINITY, f32::INFINITY];
        let g = [1.0, -0.5, 0.49, -2.0, 0.5, f32::NAN, 1.0, 0.0];
        let mut out = [9.0; 8];
        ps_forward(&s, &g, 8, 5, &mut out);
        assert!(out[5].is_nan());
        assert_eq!(out[..5], [1.0, -0.0625, 0.0, -(-14f32).exp2(), 0.25]);
        assert_eq!(out[6..], [(-14f32).exp2(), 0.0]);
        // The weights with sign 0 at 2 and 7 have no say in the scale of the row.
        ps_forward(&s, &g, 8, 4, &mut out);
        assert_eq!(out[..5], [1.0, -0.0625, 0.0, -0.03125, 0.25]);
        assert_eq!(out[6..], [0.03125, 0.0]);
    }

    /// A zero weight must wake up as a small one, also in a layer whose weights are all far below 2⁻¹⁴.
    #[test]
    fn zero_weights_start_small() {
        let (mut s, mut g) = ([9.0; 4], [9.0; 4]);
        ps_init(&[0.0, 1e-6, -4e-6, -0.0], &mut s, &mut g);
        assert_eq!((s, g), ([-20.0, -20.0, -18.0, -20.0], [0.0, 1.0, -1.0, 0.0]));
        ps_init(&[0.0; 4], &mut s, &mut g);
        assert_eq!((s, g), ([-14.0; 4], [0.0; 4]));
    }

    proptest! {
        #[test]
        fn logarithms_are_exact(bits in 1u32..0x7F80_0000) {
            let x = f32::from_bits(bits);
            prop_assert_eq!(f64::from(rounded_log2(x)), f64::from(x).log2().round());
        }

        #[test]
        fn quantisation_is_idempotent(
            bits in proptest::collection::vec(any::<u32>(), 33),
            inputs in prop::sample::select(vec![1, 3, 11, 33]),
        ) {
            let weight: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            for bits in [4, 5] {
                let once = quantised(&weight, inputs, bits);
                prop_assert_eq!(bits_of(&quantised(&once, inputs, bits)), bits_of(&once));
            }
        }

        #[test]
        fn stays_within_half_an_octave(weight in proptest::collection::vec(-1f32..1.0, 31)) {
            for bits in [4, 5] {
                let out = quantised(&weight, 31, bits);
                let largest = out.iter().fold(0f32, |a, w| a.max(w.abs()));
                for (w, q) in weight.iter().zip(&out) {
                    let floor = if bits == 4 { largest / 32.0 } else { (-14f32).exp2() };
                    if w.abs() >= floor {
                        let octaves = (f64::from(*q) / f64::from(*w)).log2();
                        prop_assert!(octaves.abs() <= 0.5, "{} became {}", w, q);
                    } else {
                        prop_assert!(*q == 0.0 || (q.abs() <= largest && q * w > 0.0), "{} became {}", w, q);
                    }
                }
            }
        }

        /// Where nothing is small enough to be zeroed, both forms are the same weights.
        #[test]
        fn ps_of_dense_is_its_quantisation(weight in proptest::collection::vec((0.05f32..1.0, any::<bool>()), 33)) {
            let weight: Vec<f32> = weight.into_iter().map(|(w, minus)| if minus { -w } else { w }).collect();
            let (mut s, mut g, mut out) = (vec![0.0; 33], vec![0.0; 33], vec![0.0; 33]);
            ps_init(&weight, &mut s, &mut g);
            for (bits, inputs) in [(4, 33), (4, 11), (5, 3)] {
                ps_forward(&s, &g, inputs, bits, &mut out);
                prop_assert_eq!(&out, &quantised(&weight, inputs, bits));
            }
        }

        /// At whole exponents the rounded weight is a smooth function of `s`, whose slope finite differences give.
        #[test]
        fn ps_gradients(
            s in proptest::collection::vec(-5i32..=0, 9),
            g in proptest::collection::vec(-2f32..2.0, 9),
            d in -3f32..3.0,
        ) {
            let s: Vec<f32> = s.into_iter().map(|s| s as f32).collect();
            let d_weight: Vec<f32> = (0..9).map(|i| d + i as f32).collect();
            for bits in [4, 5] {
                let (mut d_s, mut d_g) = (vec![1.0; 9], vec![-1.0; 9]);
                ps_backward(&s, &g, 3, bits, &d_weight, &mut d_s, &mut d_g);
                for i in 0..9 {
                    let sign = if g[i].abs() < 0.5 { 0.0 } else { f64::from(g[i].signum()) };
                    let value = |shift: f64| sign * (f64::from(s[i]) + shift).exp2();
                    let slope = (value(1e-5) - value(-1e-5)) / 2e-5 * f64::from(d_weight[i]);
                    prop_assert!((f64::from(d_s[i]) - 1.0 - slope).abs() < 1e-5, "{} and {}", d_s[i], slope);
                    prop_assert_eq!(d_g[i], -1.0 + d_weight[i]);
                }
            }
        }
    }
}
