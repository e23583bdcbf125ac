//! The difference of two feature maps.

use super::map::Map;
use crate::Mask;
use compute::parallel;

/// Added to the length of a pixel's features, as in the package; features may all be 0.
const FLOOR: f64 = 1e-10;

/// Mean over pixels of the squared differences of unit-length features, weighted by channel with `lin` (section 3 of the
/// paper, equation 1). `weights` `[height, width]` weigh the pixels; they must not all be 0.
pub(super) fn distance(a: &Map, b: &Map, lin: &[f32], weights: Option<&[f64]>, threads: usize) -> f64 {
    assert_eq!((a.height, a.width, a.channels), (b.height, b.width, b.channels), "maps of one layer");
    assert_eq!(a.channels, lin.len(), "weights of the channels");
    let (width, channels) = (a.width, a.channels);
    // Sums of rows, so that the result does not depend on the threads.
    let mut rows = vec![(0.0, 0.0); a.height];
    parallel::for_each(&mut rows, threads, |y, (sum, total)| {
        let pixels = a.row(y).chunks_exact(channels).zip(b.row(y).chunks_exact(channels));
        for (x, (a, b)) in pixels.enumerate() {
            let weight = weights.map_or(1.0, |w| w[y * width + x]);
            *total += weight;
            if weight > 0.0 {
                *sum += weight * difference(a, b, lin);
            }
        }
    });
    let (sum, total) = rows.iter().fold((0.0, 0.0), |(sum, total), row| (sum + row.0, total + row.1));
    sum / total
}

/// Weighted squared difference of the features of one pixel.
fn difference(a: &[f32], b: &[f32], lin: &[f32]) -> f64 {
    let length = |v: &[f32]| v.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt() + FLOOR;
    let (scale_a, scale_b) = (length(a).recip(), length(b).recip());
    let square = |((a, b), w): ((&f32, &f32), &f32)| {
        let d = f64::from(*a) * scale_a - f64::from(*b) * scale_b;
        f64::from(*w) * d * d
    };
    a.iter().zip(b).zip(lin).map(square).sum()
}

/// The part of each pixel of a layer of `height` x `width` that the mask admits, as if the layer's pixels divided the
/// image evenly.
pub(super) fn area_average(mask: &Mask, height: usize, width: usize) -> Vec<f64> {
    let (rows, columns) = (mask.height() as usize, mask.width() as usize);
    let mut lines = vec![0.0; rows * width];
    for (from, to) in mask.counts().chunks_exact(columns).zip(lines.chunks_exact_mut(width)) {
        for (x, to) in to.iter_mut().enumerate() {
            *to = cover(x, width, columns).map(|(u, part)| if from[u] { part } else { 0.0 }).sum();
        }
    }
    let mut out = vec![0.0; height * width];
    for (y, out) in out.chunks_exact_mut(width).enumerate() {
        for (v, part) in cover(y, height, rows) {
            out.iter_mut().zip(&lines[v * width..]).for_each(|(out, line)| *out += part * line);
        }
    }
    out
}

/// Which of `len` pixels the `index`-th of `count` equal stretches covers, each with its part of the stretch.
fn cover(index: usize, count: usize, len: usize) -> impl Iterator<Item = (usize, f64)> {
    // In units of 1 / count of a pixel everything is a whole number.
    let (start, end) = (index * len, (index + 1) * len);
    (start / count..end.div_ceil(count)).map(move |i| {
        let overlap = end.min((i + 1) * count) - start.max(i * count);
        (i, overlap as f64 / len as f64)
    })
}

#[cfg(test)]
mod tests {
    use super::super::map::tests::noise;
    use super::*;

    #[test]
    fn averages_cover_the_image_evenly() {
        assert_eq!(cover(0, 1, 1).collect::<Vec<_>>(), [(0, 1.0)]);
        assert_eq!(cover(1, 2, 3).collect::<Vec<_>>(), [(1, 1.0 / 3.0), (2, 2.0 / 3.0)]);
        assert_eq!(cover(2, 3, 9).map(|(i, _)| i).collect::<Vec<_>>(), [6, 7, 8]);
        // More pixels than the image has, as no network of these makes them.
        assert_eq!(cover(1, 4, 2).collect::<Vec<_>>(), [(0, 1.0)]);
        for (count, len) in [(1, 31), (4, 67), (31, 33), (33, 33), (5, 3)] {
            let parts: Vec<f64> = (0..count).map(|i| cover(i, count, len).map(|(_, part)| part).sum()).collect();
            assert!(parts.iter().all(|p| (p - 1.0).abs() < 1e-12), "{count} of {len}: {parts:?}");
        }
    }

    #[test]
    fn masks_shrink_to_their_share() {
        let mask = Mask::new(4, 2, vec![true, true, false, false, true, false, false, false]).unwrap();
        assert_eq!(area_average(&mask, 1, 2), [0.75, 0.0]);
        assert_eq!(area_average(&mask, 2, 4), [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(area_average(&mask, 1, 1), [0.375]);
        let odd = Mask::new(33, 31, (0..33 * 31).map(|i| i % 7 < 3).collect()).unwrap();
        let small = area_average(&odd, 4, 5);
        assert!((small.iter().sum::<f64>() / 20.0 - odd.share()).abs() < 1e-12);
    }

    #[test]
    fn pixels_that_do_not_count_say_nothing() {
        let a = noise(3, 5, 16, 1);
        let mut b = a.clone();
        let lin: Vec<f32> = (0..16).map(|i| i as f32 / 8.0).collect();
        assert_eq!(distance(&a, &b, &lin, None, 2), 0.0);
        // Pixel (1, 2): one channel turns to the opposite.
        let at = b.row_len() * 2 + 3 * 16 + 15;
        b.data[at] = -b.data[at];
        let whole = distance(&a, &b, &lin, None, 1);
        let (pa, pb) = (&a.row(1)[32..48], &b.row(1)[32..48]);
        let length = pa.iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt();
        let expected = f64::from(lin[15]) * (2.0 * f64::from(pa[15]) / length).powi(2);
        assert!(pb[15] == -pa[15] && expected > 1e-3 && (whole * 15.0 - expected).abs() < 1e-6, "{whole} {expected}");
        assert_eq!(whole, distance(&a, &b, &lin, None, 7));
        let mut weights = vec![1.0; 15];
        weights[7] = 0.0;
        assert_eq!(distance(&a, &b, &lin, Some(&weights), 1), 0.0);
        weights.fill(0.0);
        (weights[6], weights[7]) = (0.25, 0.75);
        assert!((distance(&a, &b, &lin, Some(&weights), 3) - 0.75 * expected).abs() < 1e-6);
        // No features at all have no direction, and nothing is divided by 0.
        let none = Map::zeros(3, 5, 16, 1);
        assert_eq!(distance(&none, &none, &lin, None, 1), 0.0);
        let one = distance(&a, &none, &[1.0; 16], None, 1);
        assert!((one - 1.0).abs() < 1e-6, "{one}");
    }
}
