//! Rows to bytes, with every instruction set.

use super::*;

#[test]
fn a_row_that_is_not_finite_gives_rows_that_are_not() {
    for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 7, 8, 32, 34] {
            for sign in [Sign::Signed, Sign::NonNegative] {
                for isa in Isa::available() {
                    let mut values = vec![0.5f32; 3 * 35];
                    values[35 + place] = bad;
                    let mut x = Rows8::default();
                    quantise(isa, 3, &values, 35, 35, sign, &mut x);
                    assert_eq!(x.scale()[1].to_bits(), f32::NAN.to_bits());
                    assert!(x.data()[40..80].iter().all(|q| *q == sign.zero()));
                    let weight = Packed8::dense(&[1.0; 35], None, 35, 1);
                    let mut y = vec![0.0; 3 * 16];
                    product8(isa, &x, &weight, &mut y, 16, Epilogue::Store);
                    assert!((y[0] - 17.5).abs() < 1e-4 && y[16].is_nan() && y[0] == y[32], "{y:?}");
                }
            }
        }
    }
    let dense = Packed8::dense(&[1.0, f32::NAN, 2.0, 1.0], None, 2, 2);
    assert!(dense.scale()[0] == 2.0 / 64.0 && dense.scale()[1].is_nan());
}

#[test]
fn extreme_rows_have_a_scale() {
    for isa in Isa::available() {
        for (largest, counts) in [(f32::MAX, true), (1e-30, true), (9e-31, false), (1e-45, false), (-0.0, false)] {
            let values = [largest, -largest, largest / 2.0, 0.0];
            let mut x = Rows8::default();
            quantise(isa, 1, &values, 4, 4, Sign::Signed, &mut x);
            let want: [u8; 8] = if counts { [255, 1, 192, 128, 128, 128, 128, 128] } else { [128; 8] };
            assert_eq!(x.data(), want, "{isa:?} {largest}");
            assert_eq!(x.scale()[0], if counts { largest / 127.0 } else { 0.0 });
            quantise(isa, 1, &values, 4, 4, Sign::NonNegative, &mut x);
            assert_eq!(x.data(), if counts { [255, 0, 128, 0, 0, 0, 0, 0] } else { [0; 8] }, "{isa:?} {largest}");
        }
    }
}

/// Memory grows and stays; what an earlier, larger use left does not show.
#[test]
fn rows_are_reused() {
    let mut noise = Noise(3);
    let mut x = Rows8::default();
    for (rows, width) in [(33, 72), (5, 9), (0, 7), (31, 1)] {
        let values = noise.values(rows * width);
        quantise(Isa::detect(), rows, &values, width, width, Sign::Signed, &mut x);
        let mut fresh = Rows8::default();
        quantise(Isa::detect(), rows, &values, width, width, Sign::Signed, &mut fresh);
        assert_eq!((x.rows(), x.width(), x.stride()), (rows, width, width.next_multiple_of(8)));
        assert_eq!((x.data(), x.scale()), (fresh.data(), fresh.scale()));
    }
}

proptest! {
    #[test]
    fn quantises_within_half_a_step_and_alike_with_every_set(
        rows in 0usize..40, width in 0usize..70, gap in 0usize..3, seed: u64, signed: bool, scale in -60i32..60,
    ) {
        let sign = if signed { Sign::Signed } else { Sign::NonNegative };
        let unit = (scale as f32).exp2();
        let mut noise = Noise(seed);
        let mut values = noise.values((rows + 1) * (width + gap));
        values.iter_mut().for_each(|v| *v = unit * if signed { *v } else { v.max(0.0) });
        let mut want = Rows8::default();
        quantise(Isa::PORTABLE, rows, &values, width + gap, width, sign, &mut want);
        for row in 0..rows {
            let x = &values[row * (width + gap)..][..width];
            let (bytes, rest) = want.data()[row * want.stride()..][..want.stride()].split_at(width);
            prop_assert!(rest.iter().all(|q| *q == sign.zero()));
            let largest = x.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            prop_assert_eq!(want.scale()[row], largest / sign.steps());
            for (x, q) in x.iter().zip(bytes) {
                let back = (f32::from(*q) - f32::from(sign.zero())) * want.scale()[row];
                // Half a step, and the rounding of `f32` over up to 255 steps.
                prop_assert!((x - back).abs() <= want.scale()[row] * 0.5001, "{} {}", x, back);
            }
        }
        for isa in Isa::available() {
            let mut got = Rows8::default();
            quantise(isa, rows, &values, width + gap, width, sign, &mut got);
            prop_assert_eq!((got.data(), got.scale()), (want.data(), want.scale()));
            let picked: Vec<u32> = (0..2 * rows).map(|_| noise.bits() % rows as u32).collect();
            quantise_rows(isa, &picked, &values, width + gap, width, sign, &mut got);
            prop_assert_eq!(got.rows(), picked.len());
            for (i, row) in picked.iter().map(|r| *r as usize).enumerate() {
                let stride = want.stride();
                prop_assert_eq!(&got.data()[i * stride..][..stride], &want.data()[row * stride..][..stride]);
                prop_assert_eq!(got.scale()[i], want.scale()[row]);
            }
        }
    }
}
