//! Relative directions of rows `[hidden direction | token | direction]`, made anew by every block.

use crate::linear::Linear;

/// `[5, H]`: rows and bias of a relative direction's layer.
pub(super) fn direction_rows(layer: &Linear, folded: &[f32]) -> Vec<f32> {
    [layer.weight.of(folded), layer.bias_or_none(folded)].concat()
}

compute::simd_fn! {
    /// Hidden direction of each row, before its token; `weight` is `[5, H]`.
    pub fn set_direction(isa: Isa, rows: &mut [f32], stride: usize, hidden: usize, weight: &[f32]) {
        for row in rows.chunks_exact_mut(stride) {
            let (out, rest) = row.split_at_mut(hidden);
            let d = &rest[rest.len() - 4..];
            if let (Ok(out), Ok(w)) = (<&mut [f32; 8]>::try_from(&mut *out), <&[f32; 40]>::try_from(weight)) {
                for i in 0..8 {
                    let sum = w[32 + i] + d[0] * w[i] + d[1] * w[8 + i] + d[2] * w[16 + i] + d[3] * w[24 + i];
                    out[i] = sum.max(0.0);
                }
            } else {
                for i in 0..hidden {
                    let sum: f32 = (0..4).map(|j| d[j] * weight[j * hidden + i]).sum();
                    out[i] = (sum + weight[4 * hidden + i]).max(0.0);
                }
            }
        }
    }
}

compute::simd_fn! {
    /// What the hidden direction adds to each head's logit; `weight` is `[H, heads]`.
    pub fn head_bias(
        isa: Isa, rows: &[f32], stride: usize, hidden: usize, heads: usize, weight: &[f32], bias: &mut [f32],
    ) {
        for (row, bias) in rows.chunks_exact(stride).zip(bias.chunks_exact_mut(heads)) {
            bias.fill(0.0);
            for (x, w) in row[..hidden].iter().zip(weight.chunks_exact(heads)) {
                bias.iter_mut().zip(w).for_each(|(b, w)| *b += x * w);
            }
        }
    }
}

/// Eight hidden channels and `HEADS` heads, all in registers.
#[inline(always)]
fn direction_and_bias<const HEADS: usize>(
    rows: &mut [f32],
    stride: usize,
    weight: &[f32],
    head_weight: &[f32],
    bias: &mut [f32],
) {
    let w: &[f32; 40] = weight.try_into().expect("five rows of eight");
    let per_head: [[f32; HEADS]; 8] = std::array::from_fn(|j| std::array::from_fn(|h| head_weight[j * HEADS + h]));
    for (row, bias) in rows.chunks_exact_mut(stride).zip(bias.chunks_exact_mut(HEADS)) {
        let d: [f32; 4] = row[stride - 4..].try_into().expect("four values");
        let mut hidden = [0.0; 8];
        for i in 0..8 {
            let sum = w[32 + i] + d[0] * w[i] + d[1] * w[8 + i] + d[2] * w[16 + i] + d[3] * w[24 + i];
            hidden[i] = sum.max(0.0);
        }
        row[..8].copy_from_slice(&hidden);
        let (mut even, mut odd) = ([0.0; HEADS], [0.0; HEADS]);
        for j in (0..8).step_by(2) {
            for h in 0..HEADS {
                even[h] += hidden[j] * per_head[j][h];
                odd[h] += hidden[j + 1] * per_head[j + 1][h];
            }
        }
        for h in 0..HEADS {
            bias[h] = even[h] + odd[h];
        }
    }
}

compute::simd_fn! {
    /// [`set_direction`] and [`head_bias`] for eight hidden channels and two heads.
    pub fn direction_and_bias2(
        isa: Isa, rows: &mut [f32], stride: usize, weight: &[f32], head_weight: &[f32], bias: &mut [f32],
    ) {
        direction_and_bias::<2>(rows, stride, weight, head_weight, bias);
    }
}

compute::simd_fn! {
    /// [`set_direction`] and [`head_bias`] for eight hidden channels and four heads.
    pub fn direction_and_bias4(
        isa: Isa, rows: &mut [f32], stride: usize, weight: &[f32], head_weight: &[f32], bias: &mut [f32],
    ) {
        direction_and_bias::<4>(rows, stride, weight, head_weight, bias);
    }
}
