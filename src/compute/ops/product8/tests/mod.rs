//! Tests of the byte products with every instruction set.

mod quantise;

use super::*;
use crate::Isa;
use proptest::prelude::*;

/// Rows, inputs and outputs; 65 rows of 80 columns and 12 of 48 reach every shape of tile.
const SIZES: [(usize, usize, usize); 11] = [
    (0, 5, 3),
    (1, 1, 1),
    (31, 8, 15),
    (33, 31, 33),
    (12, 64, 16),
    (12, 24, 48),
    (65, 9, 80),
    (5, 72, 64),
    (7, 33, 130),
    (3, 4097, 17),
    (2, 0, 5),
];

/// A stream of numbers that look random.
struct Noise(u64);

impl Noise {
    fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// In `-1..1`.
    fn value(&mut self) -> f32 {
        self.bits() as f32 / (1u32 << 31) as f32 - 1.0
    }

    fn values(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.value()).collect()
    }

    /// Powers whose exponents span `span` values in each column, some columns higher than others; every eighth is zero.
    fn powers(&mut self, inputs: usize, outputs: usize, span: u32) -> Vec<f32> {
        (0..inputs * outputs)
            .map(|i| {
                let exponent = (i % outputs) as i32 % 5 - 9 + (self.bits() % span) as i32;
                let value = (exponent as f32).exp2();
                match self.bits() % 16 {
                    0 | 1 => 0.0,
                    n if n % 2 == 0 => value,
                    _ => -value,
                }
            })
            .collect()
    }

    /// Bytes, many of them 0 or 255.
    fn bytes(&mut self, rows: usize, width: usize, sign: Sign) -> Rows8 {
        let bytes: Vec<u8> = (0..rows * width)
            .map(|_| match self.bits() >> 16 {
                n if n % 4 == 0 => 255,
                n if n % 4 == 1 => 0,
                n => (n >> 4) as u8,
            })
            .collect();
        let scale: Vec<f32> = (0..rows).map(|_| self.value().abs()).collect();
        Rows8::from_bytes(&bytes, &scale, width, sign)
    }
}

/// The sums, one product after the other.
fn plain_sums(x: &Rows8, weight: &Packed8) -> Vec<i64> {
    let zero = i64::from(x.sign().zero());
    let mut sums = Vec::new();
    for row in x.data().chunks_exact(x.stride().max(1)).take(x.rows()) {
        for o in 0..weight.outputs() {
            sums.push((0..weight.inputs()).map(|i| (i64::from(row[i]) - zero) * i64::from(weight.integer(i, o))).sum());
        }
    }
    if x.width() == 0 { vec![0; x.rows() * weight.outputs()] } else { sums }
}

fn fast_sums(isa: Isa, x: &Rows8, weight: &Packed8) -> Vec<i32> {
    let stride = padded(weight.outputs()) + 3;
    let mut y = vec![i32::MIN; x.rows() * stride];
    accumulate(isa, x, weight, &mut y, stride);
    for row in y.chunks_exact(stride) {
        assert!(row[weight.outputs()..stride - 3].iter().all(|v| *v == 0), "padding is zero");
        assert_eq!(row[stride - 3..], [i32::MIN; 3], "past the padding");
    }
    y.chunks_exact(stride).flat_map(|row| row[..weight.outputs()].to_vec()).collect()
}

/// The fast product, the literal shifts and the plain sum are the same integers.
#[test]
fn equals_the_literal_shift_and_add_with_every_set_and_odd_size() {
    let mut noise = Noise(1);
    for (rows, inputs, outputs) in SIZES {
        // A span of six leaves the headroom for the paired kernels, seven does not.
        for span in [1, 6, 7] {
            for sign in [Sign::Signed, Sign::NonNegative] {
                let weight = noise.powers(inputs, outputs, span);
                let weight = Packed8::shift(&weight, None, inputs, outputs).unwrap();
                let x = noise.bytes(rows, inputs, sign);
                let mut literal = vec![0; rows * outputs];
                literal::accumulate(Isa::detect(), &x, &weight, &mut literal);
                let plain = plain_sums(&x, &weight);
                assert!(literal.iter().map(|v| i64::from(*v)).eq(plain), "{rows}x{inputs}x{outputs} {span} {sign:?}");
                for isa in Isa::available() {
                    let fast = fast_sums(isa, &x, &weight);
                    assert_eq!(fast, literal, "{isa:?} {rows}x{inputs}x{outputs} {span} {sign:?}");
                }
            }
        }
    }
}

/// The largest activations times the largest weights of either sign, where 16-bit sums would saturate first.
#[test]
fn nothing_saturates() {
    for (byte, power, sign) in [(255, 64.0, Sign::NonNegative), (255, 32.0, Sign::NonNegative), (0, 64.0, Sign::Signed)]
    {
        for negate in [1.0, -1.0] {
            let (inputs, outputs) = (4097, 17);
            let mut weight = vec![power * negate; inputs * outputs];
            weight[..outputs].fill(1.0);
            let shift = Packed8::shift(&weight, None, inputs, outputs).unwrap();
            let dense = Packed8::dense(&weight, None, inputs, outputs);
            assert_eq!(shift.small, power == 32.0);
            assert_eq!(dense.integer(1, 0), if negate > 0.0 { 64 } else { -64 });
            let x = Rows8::from_bytes(&vec![byte; 31 * inputs], &[1.0; 31], inputs, sign);
            for weight in [&shift, &dense] {
                for isa in Isa::available() {
                    let fast = fast_sums(isa, &x, weight).into_iter().map(i64::from);
                    assert!(fast.eq(plain_sums(&x, weight)), "{isa:?} {byte} {power} {negate}");
                }
            }
        }
    }
}

/// Every code comes back, each at its place, and the memory is half a byte a weight.
#[test]
fn codes_are_exact_and_small() {
    let (inputs, outputs) = (15, 33);
    let cycle: Vec<f32> = (-20..-13).flat_map(|p| [1.0, -1.0].map(|s| s * (p as f32).exp2())).chain([0.0]).collect();
    let weight: Vec<f32> = (0..inputs * outputs).map(|i| cycle[(i / outputs + i % outputs) % 15]).collect();
    let bias: Vec<f32> = (0..outputs).map(|o| o as f32).collect();
    let packed = Packed8::shift(&weight, Some(&bias), inputs, outputs).unwrap();
    assert_eq!(packed.to_f32(), weight);
    assert_eq!(packed.bias(), bias);
    assert!(packed.scale().iter().all(|s| *s == (-20f32).exp2()));
    assert_eq!((packed.inputs(), packed.outputs()), (15, 33));
    assert_eq!(packed.bytes(), 16 * 48 / 2 + 3 * 4 * 48);
    assert_eq!(Packed8::dense(&weight, None, inputs, outputs).bytes(), 16 * 48 + 3 * 4 * 48);
}

#[test]
fn says_which_weight_is_no_power() {
    let error = |weight: &[f32]| Packed8::shift(weight, None, weight.len() / 2, 2).unwrap_err();
    for value in [0.3, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -3.0] {
        let error = error(&[1.0, 1.0, 0.5, value]);
        assert_eq!((error.row, error.column, error.exponents), (1, 1, None), "{value}");
    }
    assert_eq!(error(&[1.0, 1.0, 0.3, 0.5]).to_string(), "weight at row 1, column 0: expected 0 or ±2^p, found 0.3");
    let far = error(&[1.0, 0.015625, 0.0, 2.0, 1.0, -0.03125]);
    assert_eq!((far.row, far.column, far.value, far.exponents), (0, 1, 0.015625, Some((-5, 1))));
    let text = "weight at row 0, column 1: expected 0 or ±2^p with p in -5..=1, found 0.015625";
    assert_eq!(far.to_string(), text);
    assert!(Packed8::shift(&[1.0, 0.015625, -0.0, 1.0], None, 2, 2).is_ok());
    let steep = [f32::MIN_POSITIVE, -f32::MIN_POSITIVE * 64.0];
    assert_eq!(Packed8::shift(&steep, None, 2, 1).unwrap().to_f32(), steep);
}

/// Scale, bias and epilogue are those of the formula, to the last bit with every instruction set.
#[test]
fn scales_and_finishes_as_the_formula() {
    let mut noise = Noise(2);
    for (rows, inputs, outputs) in SIZES {
        for sign in [Sign::Signed, Sign::NonNegative] {
            let (values, bias) = (noise.values(inputs * outputs), noise.values(outputs));
            let dense = Packed8::dense(&values, Some(&bias), inputs, outputs);
            let shift = Packed8::shift(&noise.powers(inputs, outputs, 6), Some(&bias), inputs, outputs).unwrap();
            let x = noise.bytes(rows, inputs, sign);
            let stride = padded(outputs) + 1;
            let before = noise.values(rows * stride);
            for weight in [&dense, &shift] {
                let sums = plain_sums(&x, weight);
                for isa in Isa::available() {
                    for epilogue in [Epilogue::Store, Epilogue::Relu, Epilogue::Add] {
                        let mut y = before.clone();
                        product8(isa, &x, weight, &mut y, stride, epilogue);
                        for (i, (got, before)) in y.iter().zip(&before).enumerate() {
                            let (row, o) = (i / stride, i % stride);
                            let product = |o: usize| {
                                let scale = x.scale()[row] * weight.scale()[o];
                                sums[row * outputs + o] as f32 * scale + bias[o]
                            };
                            let want = match epilogue {
                                _ if o >= padded(outputs) => *before,
                                Epilogue::Add if o >= outputs => *before,
                                _ if o >= outputs => 0.0,
                                Epilogue::Store => product(o),
                                Epilogue::Relu => product(o).max(0.0),
                                Epilogue::Add => product(o) + before,
                            };
                            assert_eq!(*got, want, "{isa:?} {epilogue:?} {rows}x{inputs}x{outputs} at {row},{o}");
                        }
                    }
                }
            }
        }
    }
}

/// Rows that were picked out of others are scaled by their gates and added where they belong, and nothing else is touched.
#[test]
fn routed_rows_are_added_where_they_belong() {
    let mut noise = Noise(9);
    for (rows, inputs, outputs) in SIZES {
        let (values, bias) = (noise.values(inputs * outputs), noise.values(outputs));
        let weight = Packed8::dense(&values, Some(&bias), inputs, outputs);
        let x = noise.bytes(rows, inputs, Sign::Signed);
        // Every other row of more, from the last to the first.
        let to: Vec<u32> = (0..rows as u32).rev().map(|row| 2 * row + 1).collect();
        let gates: Vec<f32> = noise.values(rows).iter().map(|gate| if *gate > 0.8 { 0.0 } else { *gate }).collect();
        let stride = padded(outputs) + 2;
        let before = noise.values((2 * rows + 1) * stride);
        let mut product = vec![0.0; rows * stride];
        product8(Isa::PORTABLE, &x, &weight, &mut product, stride, Epilogue::Store);
        let mut want = before.clone();
        for (r, row) in to.iter().enumerate() {
            for o in 0..padded(outputs) {
                want[*row as usize * stride + o] += gates[r] * product[r * stride + o];
            }
        }
        for isa in Isa::available() {
            let mut got = before.clone();
            product8_routed(isa, &x, &weight, (&to, &gates), &mut got, stride);
            assert_eq!(got, want, "{isa} {rows}x{inputs}x{outputs}");
        }
    }
}

proptest! {
    /// Columns that span more powers than a code holds are refused, whichever of their weights comes first.
    #[test]
    fn wide_columns_are_refused(inputs in 2usize..40, outputs in 1usize..9, span in 8u32..15, last: bool, seed: u64) {
        let mut weight = Noise(seed).powers(inputs, outputs, 1);
        let (low, high) = if last { (inputs - 1, 0) } else { (0, inputs - 1) };
        weight[high * outputs] = 1.0;
        weight[low * outputs] = -(1.0 - f32::from(span as u8)).exp2();
        let error = Packed8::shift(&weight, None, inputs, outputs).unwrap_err();
        prop_assert_eq!(error.column, 0);
    }

    #[test]
    fn packs_powers_exactly(inputs in 1usize..40, outputs in 1usize..40, span in 1u32..8, seed: u64) {
        let weight = Noise(seed).powers(inputs, outputs, span);
        let packed = Packed8::shift(&weight, None, inputs, outputs).unwrap();
        prop_assert_eq!(packed.to_f32(), weight);
        prop_assert!(packed.small || span == 7);
    }

    #[test]
    fn dense_bytes_stay_near_the_float_product(
        rows in 1usize..9, inputs in 1usize..80, outputs in 1usize..40, seed: u64, signed: bool,
    ) {
        let sign = if signed { Sign::Signed } else { Sign::NonNegative };
        let mut noise = Noise(seed);
        let mut values = noise.values(rows * inputs);
        values.iter_mut().for_each(|v| *v = if signed { *v } else { v.max(0.0) });
        let (weight, bias) = (noise.values(inputs * outputs), noise.values(outputs));
        let packed = Packed8::dense(&weight, Some(&bias), inputs, outputs);
        let mut x = Rows8::default();
        quantise(Isa::detect(), rows, &values, inputs, inputs, sign, &mut x);
        let mut y = vec![0.0; rows * padded(outputs)];
        product8(Isa::detect(), &x, &packed, &mut y, padded(outputs), Epilogue::Store);
        for row in 0..rows {
            for o in 0..outputs {
                let (mut want, mut bound) = (f64::from(bias[o]), 1e-5);
                for i in 0..inputs {
                    let (v, w) = (f64::from(values[row * inputs + i]), f64::from(weight[i * outputs + o]));
                    let (dv, dw) = (0.5001 * f64::from(x.scale()[row]), 0.5001 * f64::from(packed.scale()[o]));
                    want += v * w;
                    bound += dv * w.abs() + dw * v.abs() + dv * dw;
                }
                let got = f64::from(y[row * padded(outputs) + o]);
                prop_assert!((got - want).abs() <= bound, "{} {} {}", got, want, bound);
            }
        }
    }
}
