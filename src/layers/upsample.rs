//! Bilinear upsampling to twice the size, corners aligned, channels last.

/// For every output index: the lower source index, the upper one and the weight of the upper one.
///
/// Aligned corners put output `i` at source position `i (n - 1) / (2n - 1)`.
fn taps(n: usize) -> Vec<(usize, usize, f32)> {
    let scale = (n as f32 - 1.0) / (2.0 * n as f32 - 1.0);
    (0..2 * n)
        .map(|i| {
            let position = i as f32 * scale;
            let low = (position as usize).min(n - 1);
            (low, (low + 1).min(n - 1), position - low as f32)
        })
        .collect()
}

/// Doubles height and width.
///
/// # Shapes
/// - `image`: `[height, width, channels]`
/// - `output`: `[2 height, 2 width, channels]`, resized and overwritten
pub fn upsample2(image: &[f32], height: usize, width: usize, channels: usize, output: &mut Vec<f32>) {
    let row_len = width * channels;
    assert!(!image.is_empty() && image.len() == height * row_len, "upsampling {height}x{width}x{channels}");
    output.resize(4 * image.len(), 0.0);
    let columns = taps(width);
    let mut blended = vec![0.0; row_len];
    for (target, (top, bottom, t)) in output.chunks_exact_mut(2 * row_len).zip(taps(height)) {
        let rows = image[top * row_len..][..row_len].iter().zip(&image[bottom * row_len..][..row_len]);
        blended.iter_mut().zip(rows).for_each(|(v, (a, b))| *v = a * (1.0 - t) + b * t);
        for (pixel, &(left, right, s)) in target.chunks_exact_mut(channels).zip(&columns) {
            let pair = blended[left * channels..][..channels].iter().zip(&blended[right * channels..][..channels]);
            pixel.iter_mut().zip(pair).for_each(|(v, (a, b))| *v = a * (1.0 - s) + b * s);
        }
    }
}

/// The transpose of [`upsample2`].
///
/// # Shapes
/// - `d_output`: `[2 height, 2 width, channels]`
/// - `d_image`: `[height, width, channels]`, resized and overwritten
pub fn upsample2_backward(d_output: &[f32], height: usize, width: usize, channels: usize, d_image: &mut Vec<f32>) {
    let row_len = width * channels;
    assert!(row_len > 0 && d_output.len() == 4 * height * row_len, "upsampling {height}x{width}x{channels}");
    d_image.clear();
    d_image.resize(height * row_len, 0.0);
    let columns = taps(width);
    let mut blended = vec![0.0; row_len];
    for (source, (top, bottom, t)) in d_output.chunks_exact(2 * row_len).zip(taps(height)) {
        blended.fill(0.0);
        for (pixel, &(left, right, s)) in source.chunks_exact(channels).zip(&columns) {
            blended[left * channels..][..channels].iter_mut().zip(pixel).for_each(|(v, d)| *v += d * (1.0 - s));
            blended[right * channels..][..channels].iter_mut().zip(pixel).for_each(|(v, d)| *v += d * s);
        }
        d_image[top * row_len..][..row_len].iter_mut().zip(&blended).for_each(|(v, d)| *v += d * (1.0 - t));
        d_image[bottom * row_len..][..row_len].iter_mut().zip(&blended).for_each(|(v, d)| *v += d * t);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::SplitMix;

    #[test]
    fn keeps_corners_and_lines() {
        let mut y = Vec::new();
        upsample2(&[0.0, 3.0], 1, 2, 1, &mut y);
        for (found, expected) in y.iter().zip([0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-6, "{y:?}");
        }
        upsample2(&[5.0, -1.0], 1, 1, 2, &mut y);
        assert_eq!(y, [5.0, -1.0, 5.0, -1.0, 5.0, -1.0, 5.0, -1.0]);
    }

    /// `<d, upsample(x)> = <backward(d), x>` for any two images.
    #[test]
    fn backward_is_the_transpose() {
        for (h, w, c) in [(1, 1, 1), (1, 7, 3), (5, 2, 4), (9, 13, 5), (33, 31, 2)] {
            let mut rng = SplitMix(h as u64);
            let mut random = |n: usize| (0..n).map(|_| rng.uniform() * 2.0 - 1.0).collect::<Vec<f32>>();
            let (x, d) = (random(h * w * c), random(4 * h * w * c));
            let (mut y, mut dx) = (Vec::new(), vec![f32::NAN; 3]);
            upsample2(&x, h, w, c, &mut y);
            upsample2_backward(&d, h, w, c, &mut dx);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            assert!((dot(&d, &y) - dot(&dx, &x)).abs() < 1e-5 * (d.len() as f64), "{h}x{w}x{c}");
            // Constants survive.
            upsample2(&vec![0.75; x.len()], h, w, c, &mut y);
            assert!(y.iter().all(|v| (v - 0.75).abs() < 1e-6));
        }
    }
}
