//! How well binary codes stand in for dot products.

/// How well scores of codes follow dot products of the rows that they stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fidelity {
    /// Pearson correlation of scores and dot products over all pairs; 0 where either does not vary.
    pub correlation: f64,
    /// Mean over queries of the total-variation distance `½ Σ_j |p_j − p̂_j|` of the two softmax rows, at the best
    /// temperature; 0 is perfect, 1 the worst.
    pub distance: f64,
    /// The same distance for uniform rows: what a code without information reaches.
    pub distance_uniform: f64,
}

/// Compares attention on codes with attention on the rows themselves.
///
/// The dense logits are `q_i · k_j` as they stand, so a factor such as `1/√d` belongs into `q`. The score of two codes
/// is `bits − 2 · hamming`, the dot product of ±1 codes; one factor for all rows is searched between 2⁻¹⁰ and 2⁴.
///
/// # Shapes
/// - `q`: `[queries, width]`, `codes_q`: `[queries]`
/// - `k`: `[keys, width]`, `codes_k`: `[keys]`
pub fn fidelity<C: Copy + Into<u64>>(
    q: &[f32],
    k: &[f32],
    width: usize,
    codes_q: &[C],
    codes_k: &[C],
    bits: u32,
) -> Fidelity {
    assert_eq!((codes_q.len() * width, codes_k.len() * width), (q.len(), k.len()), "codes do not match their rows");
    assert!((1..=64).contains(&bits), "codes of {bits} bits");
    if q.is_empty() || k.is_empty() {
        return Fidelity { correlation: 0.0, distance: 0.0, distance_uniform: 0.0 };
    }
    let keys = codes_k.len();
    let dot = |q: &[f32], k: &[f32]| q.iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>();
    let logits: Vec<f64> = q.chunks_exact(width).flat_map(|q| k.chunks_exact(width).map(move |k| dot(q, k))).collect();
    let score = |a: C, b: C| f64::from(bits) - 2.0 * f64::from((a.into() ^ b.into()).count_ones());
    let scores: Vec<f64> = codes_q.iter().flat_map(|a| codes_k.iter().map(move |b| score(*a, *b))).collect();

    let dense: Vec<f64> = logits.chunks_exact(keys).flat_map(|row| softmax(row, 1.0)).collect();
    let distance = |temperature: f64| {
        let rows = dense.chunks_exact(keys).zip(scores.chunks_exact(keys));
        let apart = rows.map(|(p, scores)| {
            0.5 * softmax(scores, temperature).iter().zip(p).map(|(a, b)| (a - b).abs()).sum::<f64>()
        });
        apart.sum::<f64>() / codes_q.len() as f64
    };
    let distance_uniform = distance(0.0);
    let mut best = (distance_uniform, 0.0);
    // The distance need not have one valley only, so a grid comes first; the second one lies between its neighbours.
    let mut grid = |low: f64, step: f64, count: usize| {
        for i in 0..count {
            let temperature = (low + step * i as f64).exp2();
            let found = distance(temperature);
            if found < best.0 {
                best = (found, temperature);
            }
        }
        best
    };
    let coarse = grid(-10.0, 0.5, 29);
    let best = if coarse.1 > 0.0 { grid(coarse.1.log2() - 0.5, 0.0625, 17) } else { coarse };
    Fidelity { correlation: correlation(&logits, &scores), distance: best.0, distance_uniform }
}

/// Codes of one bit a channel: bit `c` is set where `row[c] > thresholds[c]`.
///
/// # Shapes
/// - `rows`: `[n, thresholds.len()]`, at most 64 channels
pub fn sign_codes(rows: &[f32], thresholds: &[f32]) -> Vec<u64> {
    let width = thresholds.len();
    assert!((1..=64).contains(&width) && rows.len().is_multiple_of(width), "{} values, width {width}", rows.len());
    let bit = |(c, (v, t)): (usize, (&f32, &f32))| u64::from(v > t) << c;
    rows.chunks_exact(width).map(|row| row.iter().zip(thresholds).enumerate().map(bit).sum()).collect()
}

/// Mean of every channel of `rows` `[n, width]`, as thresholds that halve what they see; zeros for no rows.
pub fn channel_means(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; width];
    for row in rows.chunks_exact(width.max(1)) {
        sums.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v));
    }
    let count = (rows.len() / width.max(1)).max(1) as f64;
    sums.iter().map(|s| (s / count) as f32).collect()
}

fn softmax(logits: &[f64], factor: f64) -> Vec<f64> {
    let max = logits.iter().fold(f64::NEG_INFINITY, |a, v| a.max(factor * v));
    let mut row: Vec<f64> = logits.iter().map(|v| (factor * v - max).exp()).collect();
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|v| *v /= sum);
    row
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        (aa, bb, ab) = (aa + a * a, bb + b * b, ab + a * b);
    }
    if aa > 0.0 && bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}
