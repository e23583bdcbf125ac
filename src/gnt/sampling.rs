//! Where samples lie along a ray (GNT's `sample_along_camera_ray` and `sample_pdf`).

/// Inverse-depth samples from `near` to `far`, both included: `z_i = 1/(1/near + i·step)`, in f32 and in this order.
pub fn inverse_depth(near: f32, far: f32, samples: usize) -> Vec<f32> {
    let start = 1.0 / near;
    let step = (1.0 / far - start) / (samples - 1) as f32;
    (0..samples).map(|i| 1.0 / (start + i as f32 * step)).collect()
}

/// Samples evenly spaced in depth, both ends included.
pub fn linear_depth(near: f32, far: f32, samples: usize) -> Vec<f32> {
    let step = (far - near) / (samples - 1) as f32;
    (0..samples).map(|i| near + i as f32 * step).collect()
}

/// Moves every sample to a random place in its cell; cells end halfway between samples, the first and the last at
/// them. `uniform` gives one number in `[0, 1)` a sample.
pub fn jitter(z: &mut [f32], mut uniform: impl FnMut() -> f32) {
    let n = z.len();
    let mut low = z[0];
    for i in 0..n {
        let high = if i + 1 < n { 0.5 * (z[i + 1] + z[i]) } else { z[i] };
        let next = high;
        z[i] = low + (high - low) * uniform();
        low = next;
    }
}

/// Draws depths where `weights` are large (hierarchical sampling).
///
/// `bins` are `weights.len() + 1` edges; `u` are numbers in `[0, 1]`. Weights are raised by 1e-5; where the cumulative
/// step of a bin is below 1e-5 the position inside it is not stretched.
pub fn sample_pdf(bins: &[f32], weights: &[f32], u: &[f32]) -> Vec<f32> {
    assert_eq!(bins.len(), weights.len() + 1, "one more bin edge than weights");
    let total: f32 = weights.iter().map(|w| w + 1e-5).sum();
    let mut cumulative = Vec::with_capacity(bins.len());
    cumulative.push(0.0f32);
    for w in weights {
        cumulative.push(cumulative.last().expect("not empty") + (w + 1e-5) / total);
    }
    u.iter()
        .map(|&u| {
            // Only the first `weights.len()` entries count, so that the last bin holds everything above.
            let above = cumulative[..weights.len()].iter().filter(|c| u >= **c).count();
            let below = above.saturating_sub(1);
            let step = cumulative[above] - cumulative[below];
            let step = if step < 1e-5 { 1.0 } else { step };
            bins[below] + (u - cumulative[below]) / step * (bins[above] - bins[below])
        })
        .collect()
}

/// Depths of the second pass: `count` importance samples in inverse depth, joined with the first pass and sorted.
///
/// `weights` are the ray weights of the first pass at depths `z`; the outermost two are left out, as upstream does.
pub fn refine_inverse_depth(z: &[f32], weights: &[f32], u: &[f32]) -> Vec<f32> {
    let inner = &weights[1..weights.len() - 1];
    let bins: Vec<f32> = z.windows(2).map(|w| 0.5 * (1.0 / w[1] + 1.0 / w[0])).rev().collect();
    let flipped: Vec<f32> = inner.iter().rev().copied().collect();
    let mut joined = z.to_vec();
    joined.extend(sample_pdf(&bins, &flipped, u).into_iter().map(|s| 1.0 / s));
    joined.sort_by(f32::total_cmp);
    joined
}

/// `count` numbers evenly spaced over `[0, 1]`, both included.
pub fn linspace(count: usize) -> Vec<f32> {
    let step = if count > 1 { 1.0 / (count - 1) as f32 } else { 0.0 };
    (0..count).map(|i| i as f32 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_included_and_jitter_stays_in_its_cell() {
        let z = inverse_depth(1.5, 20.0, 7);
        assert!((z[0] - 1.5).abs() < 1e-6 && (z[6] - 20.0).abs() < 1e-4);
        assert!((linear_depth(1.0, 3.0, 5)[2] - 2.0).abs() < 1e-6);
        for u in [0.0, 0.5, 0.999] {
            let mut moved = z.clone();
            jitter(&mut moved, || u);
            assert!(moved.windows(2).all(|w| w[0] <= w[1]));
            assert!(moved[0] >= z[0] && moved[6] <= z[6]);
        }
    }

    #[test]
    fn importance_samples_gather_where_the_weight_is() {
        let z = inverse_depth(1.0, 10.0, 9);
        let mut w = [0.0; 9];
        w[4] = 1.0;
        let fine = refine_inverse_depth(&z, &w, &linspace(8));
        // The numbers 0 and 1 themselves fall at the two ends, where there is no weight.
        let close = fine.iter().filter(|d| **d > z[3] && **d < z[5]).count();
        assert!(close > 6, "{fine:?}");
        assert_eq!(fine.len(), 17);
    }
}
