//! Shift weights as they lie in files: 4 or 5 bits a weight.
//!
//! 4 bits: a sign bit above three bits `e`; the weight is `±2^(scale + e)` for `e` below 7 and 0 for code 7. `scale` is
//! one number a row (output channel). The first of two codes is in the low half of a byte, and a row of odd length ends
//! with code 7, so that rows start at whole bytes.
//!
//! 5 bits: a sign bit above four bits `e`; the weight is `±2^(e − 14)` for `e` below 15 and 0 for code 15. Codes follow
//! one another without gaps, lowest bit first; unused bits at the end are 0.
//!
//! A weight has one code only: the negative zeros (codes 15 and 31) are refused.

use super::{BadCodes, LOWEST_5, NotShift, SCALES, power};

const ZERO_4: u8 = 7;
const ZERO_5: u8 = 15;

/// Weights of 4 bits, two a byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed4 {
    /// `[outputs, ceil(inputs / 2)]`; the low half of a byte is the earlier weight.
    pub codes: Vec<u8>,
    /// `[outputs]`, the exponent of code 0, inside −126 ..= 120.
    pub scale: Vec<i8>,
}

/// Packs weights to 4 bits; a row may use seven neighbouring exponents, of which [`super::quantise`] uses six.
///
/// # Shapes
/// - `weight`: `[outputs, inputs]`
///
/// # Errors
/// [`NotShift`] if the weights are not whole rows, or names the first weight that is neither 0 nor a power of two, or
/// is too far below the largest of its row, or outside 2⁻¹²⁶ ..= 2¹²⁶. A negative zero is packed as zero.
pub fn pack4(weight: &[f32], inputs: usize) -> Result<Packed4, NotShift> {
    let mut packed = Packed4 { codes: Vec::with_capacity(weight.len().div_ceil(2)), scale: Vec::new() };
    for (row, weights) in rows(weight, inputs)?.enumerate() {
        let limits = (SCALES.0, SCALES.1 + 6);
        let (mut lowest, mut largest) = (i32::MAX, i32::MIN);
        for (column, value) in weights.iter().enumerate().filter(|(_, w)| **w != 0.0) {
            let p =
                exponent(*value, limits).ok_or(NotShift::Value { row, column, value: *value, exponents: limits })?;
            (lowest, largest) = (lowest.min(p), largest.max(p));
        }
        // Six exponents as `quantise` makes them; one lower where the row holds seven.
        let scale = match largest {
            i32::MIN => 0,
            _ if lowest < largest - 5 => (largest - 6).clamp(SCALES.0, SCALES.1),
            _ => (largest - 5).clamp(SCALES.0, SCALES.1),
        };
        let exponents = (scale, scale + 6);
        let code = |(column, value): (usize, &f32)| match exponent(*value, exponents) {
            _ if *value == 0.0 => Ok(ZERO_4),
            Some(p) => Ok(u8::from(*value < 0.0) << 3 | (p - scale) as u8),
            None => Err(NotShift::Value { row, column, value: *value, exponents }),
        };
        let codes = weights.iter().enumerate().map(code).collect::<Result<Vec<_>, _>>()?;
        packed.codes.extend(codes.chunks(2).map(|pair| pair[0] | pair.get(1).unwrap_or(&ZERO_4) << 4));
        packed.scale.push(scale as i8);
    }
    Ok(packed)
}

/// Weights `[outputs, inputs]` from 4-bit codes, the inverse of [`pack4`].
///
/// # Shapes
/// - `codes`: `[outputs, ceil(inputs / 2)]`
/// - `scale`: `[outputs]`
///
/// # Errors
/// [`BadCodes`] for a wrong length, a scale outside −126 ..= 120, code 15, or padding that is not code 7.
pub fn unpack4(codes: &[u8], scale: &[i8], outputs: usize, inputs: usize) -> Result<Vec<f32>, BadCodes> {
    let bytes = inputs.div_ceil(2);
    let too_large = BadCodes::Shape { outputs, inputs };
    let expected = outputs.checked_mul(bytes).ok_or(too_large)?;
    assert_length("codes", expected, codes.len())?;
    assert_length("scale", outputs, scale.len())?;
    let mut weight = Vec::with_capacity(outputs.checked_mul(inputs).ok_or(too_large)?);
    for (row, scale) in scale.iter().enumerate() {
        if !(SCALES.0..=SCALES.1).contains(&i32::from(*scale)) {
            return Err(BadCodes::Scale { row, scale: *scale });
        }
        let codes = &codes[row * bytes..(row + 1) * bytes];
        for column in 0..bytes * 2 {
            let code = codes[column / 2] >> (column % 2 * 4) & 15;
            if code == ZERO_4 | 8 || (column == inputs && code != ZERO_4) {
                return Err(BadCodes::Code { row, column, code });
            }
            if column < inputs {
                weight.push(value(code, 3, i32::from(*scale)));
            }
        }
    }
    Ok(weight)
}

/// Packs weights to 5 bits.
///
/// # Shapes
/// - `weight`: `[outputs, inputs]`
/// - returns `[ceil(outputs · inputs · 5 / 8)]`
///
/// # Errors
/// [`NotShift`] if the weights are not whole rows, or names the first weight that is neither 0 nor ±2⁻¹⁴ ..= ±1. A
/// negative zero is packed as zero.
pub fn pack5(weight: &[f32], inputs: usize) -> Result<Vec<u8>, NotShift> {
    let mut codes = Vec::with_capacity((weight.len() * 5).div_ceil(8));
    let (mut waiting, mut count) = (0u32, 0);
    for (row, weights) in rows(weight, inputs)?.enumerate() {
        for (column, value) in weights.iter().enumerate() {
            let exponents = (LOWEST_5, 0);
            let code = match exponent(*value, exponents) {
                _ if *value == 0.0 => ZERO_5,
                Some(p) => u8::from(*value < 0.0) << 4 | (p - LOWEST_5) as u8,
                None => return Err(NotShift::Value { row, column, value: *value, exponents }),
            };
            waiting |= u32::from(code) << count;
            count += 5;
            if count >= 8 {
                codes.push(waiting as u8);
                (waiting, count) = (waiting >> 8, count - 8);
            }
        }
    }
    if count > 0 {
        codes.push(waiting as u8);
    }
    Ok(codes)
}

/// Weights `[outputs, inputs]` from 5-bit codes, the inverse of [`pack5`].
///
/// # Shapes
/// - `codes`: `[ceil(outputs · inputs · 5 / 8)]`
///
/// # Errors
/// [`BadCodes`] for a wrong length, code 31, or unused bits that are not 0.
pub fn unpack5(codes: &[u8], outputs: usize, inputs: usize) -> Result<Vec<f32>, BadCodes> {
    let bits = outputs.checked_mul(inputs).and_then(|n| n.checked_mul(5)).ok_or(BadCodes::Shape { outputs, inputs })?;
    assert_length("codes", bits.div_ceil(8), codes.len())?;
    // A code lies in one byte or in two neighbours.
    let pair = |i: usize| u16::from(codes[i]) | codes.get(i + 1).map_or(0, |b| u16::from(*b) << 8);
    let mut weight = Vec::with_capacity(bits / 5);
    for i in 0..bits / 5 {
        let code = (pair(i * 5 / 8) >> (i * 5 % 8) & 31) as u8;
        if code == ZERO_5 | 16 {
            return Err(BadCodes::Code { row: i / inputs, column: i % inputs, code });
        }
        weight.push(value(code, 4, LOWEST_5));
    }
    match codes.last() {
        Some(last) if bits % 8 != 0 && last >> (bits % 8) != 0 => {
            Err(BadCodes::Code { row: outputs - 1, column: inputs, code: last >> (bits % 8) })
        }
        _ => Ok(weight),
    }
}

/// The rows of `weight`; none where there are no weights.
fn rows(weight: &[f32], inputs: usize) -> Result<std::slice::ChunksExact<'_, f32>, NotShift> {
    if !weight.is_empty() && (inputs == 0 || !weight.len().is_multiple_of(inputs)) {
        return Err(NotShift::Rows { len: weight.len(), inputs });
    }
    Ok(weight.chunks_exact(inputs.max(1)))
}

/// `p` if the value is `±2^p` with `p` inside `limits`, which are exponents of normal numbers.
fn exponent(value: f32, limits: (i32, i32)) -> Option<i32> {
    let bits = value.to_bits();
    let p = (bits >> 23 & 255) as i32 - 127;
    (bits & 0x7F_FFFF == 0 && (limits.0..=limits.1).contains(&p)).then_some(p)
}

/// The weight of a code with `width` bits below the sign, all of which are set for 0.
fn value(code: u8, width: u32, scale: i32) -> f32 {
    let zero = (1u8 << width) - 1;
    match code & zero {
        e if e == zero => 0.0,
        e if code > zero => -power(scale + i32::from(e)),
        e => power(scale + i32::from(e)),
    }
}

fn assert_length(what: &'static str, expected: usize, found: usize) -> Result<(), BadCodes> {
    if expected == found { Ok(()) } else { Err(BadCodes::Length { what, expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::super::quantise;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn four_bits_by_hand() {
        let weight = [1.0, -0.5, 0.0, 0.03125, -1.0, 0.25, 0.0, -0.0, 0.0];
        let packed = pack4(&weight, 3).unwrap();
        // Codes by row: 5, 8|4, 7; 0, 8|5, 3; 7, 7, 7; each row then ends with the code of zero.
        assert_eq!(packed, Packed4 { codes: vec![0xC5, 0x77, 0xD0, 0x73, 0x77, 0x77], scale: vec![-5, -5, 0] });
        assert_eq!(unpack4(&packed.codes, &packed.scale, 3, 3).unwrap(), weight);
        // Seven exponents fit; the scale then moves down.
        let wide = [64.0, 1.0];
        let packed = pack4(&wide, 2).unwrap();
        assert_eq!(packed, Packed4 { codes: vec![0x06], scale: vec![0] });
        assert_eq!(unpack4(&packed.codes, &packed.scale, 1, 2).unwrap(), wide);
    }

    #[test]
    fn five_bits_by_hand() {
        let smallest = (-14f32).exp2();
        let weight = [smallest, -1.0, 0.0];
        // 0, 30, 15: 00000 | 11110 | 01111, lowest bit first.
        let codes = pack5(&weight, 1).unwrap();
        assert_eq!(codes, [0b1100_0000, 0b0011_1111]);
        assert_eq!(unpack5(&codes, 3, 1).unwrap(), weight);
    }

    #[test]
    fn scales_keep_numbers_normal() {
        let (least, most) = (f32::MIN_POSITIVE, 126f32.exp2());
        let weight = [least, -least * 64.0, most, most / 64.0, -least, 0.0, most, most];
        let packed = pack4(&weight, 2).unwrap();
        assert_eq!(packed.scale, [-126, 120, -126, 120]);
        assert_eq!(unpack4(&packed.codes, &packed.scale, 4, 2).unwrap(), weight);
        for bad in [least / 2.0, most * 2.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-45] {
            let Err(NotShift::Value { row: 1, column: 0, value, .. }) = pack4(&[0.0, 1.0, bad, 0.0], 2) else {
                panic!("{bad} was packed")
            };
            assert_eq!(value.to_bits(), bad.to_bits());
        }
    }

    #[test]
    fn errors_name_the_weight() {
        let text = pack4(&[1.0, 0.5, 0.25, 0.75], 2).unwrap_err().to_string();
        assert_eq!(
            text,
            "weight at row 1, column 1: expected 0 or a signed power of two from 2^-126 to 2^126, found 7.5e-1"
        );
        let text = pack4(&[1.0, 0.0078125], 2).unwrap_err().to_string();
        assert_eq!(
            text,
            "weight at row 0, column 1: expected 0 or a signed power of two from 2^-6 to 2^0, found 7.8125e-3"
        );
        assert!(matches!(pack5(&[1.0, -2.0], 1), Err(NotShift::Value { row: 1, column: 0, value: -2.0, .. })));
        assert_eq!(pack4(&[1.0; 5], 2), Err(NotShift::Rows { len: 5, inputs: 2 }));
        assert_eq!(pack5(&[1.0], 0), Err(NotShift::Rows { len: 1, inputs: 0 }));
    }

    #[test]
    fn bad_codes_are_refused() {
        let length = |what, expected, found| Err(BadCodes::Length { what, expected, found });
        assert_eq!(unpack4(&[0x77; 3], &[0; 2], 2, 3), length("codes", 4, 3));
        assert_eq!(unpack4(&[0x77; 4], &[0; 3], 2, 3), length("scale", 2, 3));
        assert_eq!(unpack4(&[0x70; 2], &[0, -127], 2, 1), Err(BadCodes::Scale { row: 1, scale: -127 }));
        assert_eq!(unpack4(&[0x70; 2], &[121, 0], 2, 1), Err(BadCodes::Scale { row: 0, scale: 121 }));
        assert_eq!(unpack4(&[0x70, 0x7F], &[0; 2], 2, 1), Err(BadCodes::Code { row: 1, column: 0, code: 15 }));
        assert_eq!(unpack4(&[0x70, 0x07], &[0; 2], 2, 1), Err(BadCodes::Code { row: 1, column: 1, code: 0 }));
        assert_eq!(unpack5(&[0; 2], 1, 1), length("codes", 1, 2));
        assert_eq!(unpack5(&[31], 1, 1), Err(BadCodes::Code { row: 0, column: 0, code: 31 }));
        assert_eq!(unpack5(&[32 | 1], 1, 1), Err(BadCodes::Code { row: 0, column: 1, code: 1 }));
        let huge = usize::MAX / 2;
        assert_eq!(unpack4(&[], &[], huge, huge), Err(BadCodes::Shape { outputs: huge, inputs: huge }));
        assert_eq!(unpack5(&[], huge, huge), Err(BadCodes::Shape { outputs: huge, inputs: huge }));
    }

    #[test]
    fn nothing_packs_to_nothing() {
        assert_eq!(pack4(&[], 3), Ok(Packed4 { codes: vec![], scale: vec![] }));
        assert_eq!(unpack4(&[], &[], 0, 3), Ok(vec![]));
        assert_eq!(unpack4(&[], &[1, 2], 2, 0), Ok(vec![]));
        assert_eq!((pack5(&[], 0), unpack5(&[], 0, 31)), (Ok(vec![]), Ok(vec![])));
    }

    proptest! {
        #[test]
        fn quantised_weights_survive_packing(
            extreme in proptest::collection::vec(prop::num::f32::ANY.prop_filter("a number", |w| !w.is_nan()), 31),
            near in proptest::collection::vec(-2f32..2.0, 62),
            inputs in prop::sample::select(vec![1usize, 3, 31]),
        ) {
            let weight: Vec<f32> = extreme.into_iter().chain(near).collect();
            let mut out = vec![0.0; weight.len()];
            let outputs = weight.len() / inputs;
            quantise(&weight, inputs, 4, &mut out);
            let packed = pack4(&out, inputs).unwrap();
            prop_assert_eq!(packed.codes.len(), outputs * inputs.div_ceil(2));
            // Six exponents only: the highest code is the zero's, the one below it stays unused.
            prop_assert!(packed.codes.iter().flat_map(|b| [b & 7, b >> 4 & 7]).all(|e| e != 6));
            prop_assert_eq!(&unpack4(&packed.codes, &packed.scale, outputs, inputs).unwrap(), &out);
            quantise(&weight, inputs, 5, &mut out);
            let codes = pack5(&out, inputs).unwrap();
            prop_assert_eq!(&unpack5(&codes, outputs, inputs).unwrap(), &out);
        }

        /// Codes that are accepted pack to the same bytes again: a weight has one code only.
        #[test]
        fn accepted_codes_are_canonical(codes in proptest::collection::vec(any::<u8>(), 5), outputs in 1usize..=8) {
            if let Ok(weight) = unpack5(&codes, outputs, 8 / outputs) {
                prop_assert_eq!(pack5(&weight, 8 / outputs).unwrap(), codes);
            }
        }
    }
}
