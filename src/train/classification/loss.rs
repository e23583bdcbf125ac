//! Cross entropy with any target.

/// Cross entropy of `softmax(logits)` against `target` (each `[classes]`); `logits` becomes its gradient times `scale`.
pub(super) fn cross_entropy(logits: &mut [f32], target: &[f32], scale: f32) -> f64 {
    let max = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f64 = logits.iter().map(|l| f64::from(l - max).exp()).sum();
    let log_sum = f64::from(max) + sum.ln();
    let loss = target.iter().zip(&*logits).map(|(t, l)| f64::from(*t) * (log_sum - f64::from(*l))).sum();
    let total: f32 = target.iter().sum();
    for (l, t) in logits.iter_mut().zip(target) {
        let p = (f64::from(*l) - log_sum).exp() as f32;
        *l = scale * (total * p - t);
    }
    loss
}

/// Index of the largest value, the first of equal ones.
pub(super) fn largest(values: &[f32]) -> usize {
    (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_is_that_of_differences() {
        let (logits, target) = ([0.3, -1.2, 2.0, 80.0], [0.1, 0.2, 0.6, 0.1]);
        let loss = |logits: &[f32]| cross_entropy(&mut logits.to_vec(), &target, 1.0);
        let mut gradient = logits.to_vec();
        cross_entropy(&mut gradient, &target, 2.0);
        for i in 0..4 {
            let at = |step: f32| {
                let mut l = logits;
                l[i] += step;
                loss(&l)
            };
            let want = 2.0 * (at(0.01) - at(-0.01)) / 0.02;
            assert!((f64::from(gradient[i]) - want).abs() < 1e-2, "{} {want}", gradient[i]);
        }
        assert!((loss(&[0.0; 4]) - 4f64.ln()).abs() < 1e-6);
        assert_eq!(largest(&[1.0, 3.0, 3.0]), 1);
    }
}
