//! The kernels of the head that blends colours.

use compute::Isa;
use compute::ops::PAD;
use compute::simd::Simd;

/// `logits[row] = Σ x · weight` for rows `x` of as many values as `weight`, a multiple of 16.
pub(super) fn ray_logits(isa: Isa, x: &[f32], weight: &[f32], logits: &mut [f32]) {
    assert!(weight.len().is_multiple_of(PAD) && x.len() == logits.len() * weight.len(), "rows of {}", weight.len());
    // SAFETY: just checked.
    unsafe { dots(isa, x, weight, logits) };
}

/// `pooled += Σ weights[row] · x[row]` for rows `x` of as many values as `pooled`, a multiple of 16.
pub(super) fn pool(isa: Isa, x: &[f32], weights: &[f32], pooled: &mut [f32]) {
    assert!(pooled.len().is_multiple_of(PAD) && x.len() == weights.len() * pooled.len(), "rows of {}", pooled.len());
    // SAFETY: just checked.
    unsafe { weighted_sum(isa, x, weights, pooled) };
}

/// The weights of the views of some samples: a softmax of `Σ max(hidden + state, 0) · weight` over the rows of each sample; equal
/// ones where a sample is `uniform`.
///
/// # Shapes
/// - `hidden`: `[rows, K]`, a row for each view of each sample; K is a multiple of 16, and padding is zero
/// - `state`: `[samples, K]`, and `weight`: `[K]`
/// - `first`: `[samples + 1]`, the first row of each sample and the end, counted from any row
/// - `shares`: becomes `[rows]` and some room; `logits` is scratch
pub(super) fn view_weights(
    isa: Isa,
    hidden: &[f32],
    (state, weight): (&[f32], &[f32]),
    first: &[u32],
    uniform: &[bool],
    logits: &mut Vec<f32>,
    shares: &mut Vec<f32>,
) {
    let stride = weight.len();
    assert!(first.is_sorted() && first.len() == uniform.len() + 1 && stride.is_multiple_of(PAD), "rows in order");
    let rows = (first[uniform.len()] - first[0]) as usize;
    assert!(hidden.len() >= rows * stride && state.len() >= uniform.len() * stride, "{rows} rows of {stride}");
    for room in [&mut *logits, &mut *shares] {
        room.resize(room.len().max(rows + PAD), 0.0);
    }
    // SAFETY: just checked.
    unsafe { weigh(isa, hidden, state, weight, first, uniform, logits, shares) };
}

compute::simd_fn! {
    /// # Safety
    /// As [`ray_logits`] checks.
    unsafe fn dots(isa: Isa, x: &[f32], weight: &[f32], logits: &mut [f32]) => dots_kernel
}

/// # Safety
/// The instructions of `S` are available; the rest as [`dots`].
#[inline(always)]
unsafe fn dots_kernel<S: Simd>(x: &[f32], weight: &[f32], logits: &mut [f32]) {
    for (x, logit) in x.chunks_exact(weight.len()).zip(logits) {
        // SAFETY: rows are as long as the weight, a multiple of the lanes.
        unsafe {
            let mut sum = S::splat(0.0);
            for i in (0..weight.len()).step_by(S::LANES) {
                sum = S::fma(S::load(x.as_ptr().add(i)), S::load(weight.as_ptr().add(i)), sum);
            }
            *logit = S::sum(sum);
        }
    }
}

compute::simd_fn! {
    /// # Safety
    /// As [`pool`] checks.
    unsafe fn weighted_sum(isa: Isa, x: &[f32], weights: &[f32], pooled: &mut [f32]) => weighted_sum_kernel
}

/// # Safety
/// The instructions of `S` are available; the rest as [`weighted_sum`].
#[inline(always)]
unsafe fn weighted_sum_kernel<S: Simd>(x: &[f32], weights: &[f32], pooled: &mut [f32]) {
    let c = pooled.len();
    for i in (0..c).step_by(S::LANES) {
        // SAFETY: rows are as long as `pooled`, a multiple of the lanes.
        unsafe {
            let mut sum = S::load(pooled.as_ptr().add(i));
            for (row, weight) in weights.iter().enumerate() {
                sum = S::fma(S::splat(*weight), S::load(x.as_ptr().add(row * c + i)), sum);
            }
            S::store(pooled.as_mut_ptr().add(i), sum);
        }
    }
}

compute::simd_fn! {
    /// # Safety
    /// As [`view_weights`] checks.
    unsafe fn weigh(
        isa: Isa, hidden: &[f32], state: &[f32], weight: &[f32], first: &[u32], uniform: &[bool], logits: &mut [f32],
        shares: &mut [f32],
    ) => weigh_kernel
}

/// # Safety
/// The instructions of `S` are available; the rest as [`weigh`].
#[inline(always)]
unsafe fn weigh_kernel<S: Simd>(
    hidden: &[f32],
    state: &[f32],
    weight: &[f32],
    first: &[u32],
    uniform: &[bool],
    logits: &mut [f32],
    shares: &mut [f32],
) {
    let (stride, weight) = (weight.len(), weight.as_ptr());
    let (hidden, state) = (hidden.as_ptr(), state.as_ptr());
    let (logits, shares) = (logits.as_mut_ptr(), shares.as_mut_ptr());
    let rows = (first[uniform.len()] - first[0]) as usize;
    // As many rows together as a register has lanes, whatever samples they belong to.
    let mut s = 0;
    for from in (0..rows).step_by(S::LANES) {
        // SAFETY: rows and samples as checked; what is written past the last row is room.
        unsafe {
            let mut parts = [S::splat(0.0); 16];
            for r in from..(from + S::LANES).min(rows) {
                while first[s + 1] - first[0] <= r as u32 {
                    s += 1;
                }
                let mut sum = S::splat(0.0);
                for i in (0..stride).step_by(S::LANES) {
                    let both = S::add(S::load(hidden.add(r * stride + i)), S::load(state.add(s * stride + i)));
                    sum = S::fma(S::max(both, S::splat(0.0)), S::load(weight.add(i)), sum);
                }
                parts[r - from] = sum;
            }
            S::store(logits.add(from), S::sums(&parts));
        }
    }
    for (s, uniform) in uniform.iter().enumerate() {
        let (from, count) = ((first[s] - first[0]) as usize, (first[s + 1] - first[s]) as usize);
        // SAFETY: only a sample's own logits are read. What is written past its rows belongs to the next one, which comes later,
        // or to the room at the end.
        unsafe {
            let (logits, shares) = (logits.add(from), shares.add(from));
            if *uniform {
                (0..count).for_each(|r| *shares.add(r) = 1.0 / count as f32);
                continue;
            }
            let least = S::splat(f32::MIN);
            let mut most = least;
            for r in (0..count).step_by(S::LANES) {
                most = S::max(S::load_first(logits.add(r), S::LANES.min(count - r), least), most);
            }
            let (most, mut sum) = (S::splat(S::largest(most)), S::splat(0.0));
            for r in (0..count).step_by(S::LANES) {
                // Lanes past the last row add some 1e-38.
                let power = S::exp(S::sub(S::load_first(logits.add(r), S::LANES.min(count - r), least), most));
                S::store(shares.add(r), power);
                sum = S::add(sum, power);
            }
            let scale = S::splat(1.0 / S::sum(sum));
            for r in (0..count).step_by(S::LANES) {
                S::store(shares.add(r), S::mul(S::load(shares.add(r)), scale));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(i: usize) -> f32 {
        ((i * 7919) % 1009) as f32 / 504.5 - 1.0
    }

    #[test]
    fn weights_of_views_are_a_softmax_with_every_set() {
        let counts = [1usize, 10, 3, 16, 0, 17, 40, 2];
        let first: Vec<u32> = counts.iter().scan(7, |at, n| Some(std::mem::replace(at, *at + *n as u32))).collect();
        let rows: usize = counts.iter().sum();
        let first: Vec<u32> = [&first[..], &[7 + rows as u32]].concat();
        let uniform: Vec<bool> = counts.iter().map(|n| *n == 3).collect();
        for stride in [16, 48] {
            let hidden: Vec<f32> = (0..rows * stride).map(value).collect();
            let state: Vec<f32> = (0..counts.len() * stride).map(|i| value(3 * i + 1)).collect();
            let weight: Vec<f32> = (0..stride).map(|i| 4.0 * value(5 * i + 2)).collect();
            for isa in Isa::available() {
                let (mut logits, mut shares) = (Vec::new(), vec![f32::NAN; 3]);
                view_weights(isa, &hidden, (&state, &weight), &first, &uniform, &mut logits, &mut shares);
                let mut at = 0;
                for (s, count) in counts.iter().enumerate() {
                    let logit = |row: usize| -> f64 {
                        let term = |i: usize| (hidden[row * stride + i] + state[s * stride + i]).max(0.0) * weight[i];
                        (0..stride).map(|i| f64::from(term(i))).sum()
                    };
                    let powers: Vec<f64> = (at..at + count).map(|row| logit(row).exp()).collect();
                    for (got, power) in shares[at..].iter().zip(&powers) {
                        let softmax = power / powers.iter().sum::<f64>();
                        let want = if uniform[s] { 1.0 / *count as f64 } else { softmax };
                        assert!((f64::from(*got) - want).abs() < 1e-5, "{isa}, {count} rows: {got}, expected {want}");
                    }
                    at += count;
                }
            }
        }
    }

    #[test]
    fn dots_and_sums_with_every_set() {
        for (rows, c) in [(0, 16), (1, 32), (7, 48)] {
            let (x, weight): (Vec<f32>, Vec<f32>) = ((0..rows * c).map(value).collect(), (0..c).map(value).collect());
            for isa in Isa::available() {
                let (mut logits, mut pooled) = (vec![0.0; rows], vec![0.5; c]);
                ray_logits(isa, &x, &weight, &mut logits);
                pool(isa, &x, &logits, &mut pooled);
                for (row, got) in x.chunks_exact(c).zip(&logits) {
                    let want: f32 = row.iter().zip(&weight).map(|(x, w)| x * w).sum();
                    assert!((got - want).abs() < 1e-4, "{isa}: {got}, expected {want}");
                }
                for (i, got) in pooled.iter().enumerate() {
                    let want: f32 = 0.5 + (0..rows).map(|r| logits[r] * x[r * c + i]).sum::<f32>();
                    assert!((got - want).abs() < 1e-3, "{isa}: {got}, expected {want}");
                }
            }
        }
    }
}
