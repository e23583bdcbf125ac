//! Structural similarity.

use crate::Result;
use crate::error::{check, clipped};
use scene::Image;

/// Half the window's width; the window has 11 x 11 pixels.
const RADIUS: usize = 5;
/// Standard deviation of the window in pixels.
const SIGMA: f64 = 1.5;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;
/// Means of a, b, a², b² and ab.
const MOMENTS: usize = 5;

/// Mean structural similarity over all pixels and channels of both images clipped to `[0, 1]`; at most 1, which equal
/// images have.
///
/// As in the GNT evaluation: a Gaussian window of 11 x 11 pixels with standard deviation 1.5, zeros outside the image,
/// `C1 = 0.01²` and `C2 = 0.03²`, each channel by itself. Images may be smaller than the window.
///
/// # Errors
/// [`crate::Error::Shape`] if the images are empty or differ in size.
pub fn ssim(image: &Image, reference: &Image) -> Result<f64> {
    check(image, reference)?;
    let sum: f64 = (0..3).map(|channel| channel_sum(image, reference, channel)).sum();
    Ok(sum / image.data.len() as f64)
}

/// Sum of the similarity over the pixels of one channel.
fn channel_sum(image: &Image, reference: &Image, channel: usize) -> f64 {
    let (width, height) = (image.width as usize, image.height as usize);
    let window = window();
    // Rows blurred along x, as a ring: the window needs only 11 of them at a time.
    let mut ring: Vec<Vec<[f64; MOMENTS]>> = vec![vec![[0.0; MOMENTS]; width]; 2 * RADIUS + 1];
    let mut line = vec![[0.0; MOMENTS]; width];
    let mut sum = 0.0;
    for row in 0..height + RADIUS {
        let blurred = &mut ring[row % (2 * RADIUS + 1)];
        if row < height {
            moments(image, reference, row, channel, &mut line);
            blur_line(&line, &window, blurred);
        } else {
            blurred.fill([0.0; MOMENTS]);
        }
        // Rows above the image are those that the ring starts with.
        if row >= RADIUS {
            let first = row + 1;
            sum += (0..width)
                .map(|x| {
                    let mut m = [0.0; MOMENTS];
                    for (i, weight) in window.iter().enumerate() {
                        let from = &ring[(first + i) % (2 * RADIUS + 1)][x];
                        m.iter_mut().zip(from).for_each(|(m, v)| *m += weight * v);
                    }
                    similarity(m)
                })
                .sum::<f64>();
        }
    }
    sum
}

/// The window's weights along one axis.
fn window() -> [f64; 2 * RADIUS + 1] {
    let raw: [f64; 2 * RADIUS + 1] =
        std::array::from_fn(|i| (-(i as f64 - RADIUS as f64).powi(2) / (2.0 * SIGMA * SIGMA)).exp());
    let sum: f64 = raw.iter().sum();
    raw.map(|w| w / sum)
}

/// Values whose local means are needed, for one row of one channel.
fn moments(image: &Image, reference: &Image, row: usize, channel: usize, line: &mut [[f64; MOMENTS]]) {
    let start = row * line.len() * 3 + channel;
    let values = image.data[start..].iter().step_by(3).zip(reference.data[start..].iter().step_by(3));
    for (out, (a, b)) in line.iter_mut().zip(values) {
        let (a, b) = (clipped(*a), clipped(*b));
        *out = [a, b, a * a, b * b, a * b];
    }
}

fn blur_line(line: &[[f64; MOMENTS]], window: &[f64], out: &mut [[f64; MOMENTS]]) {
    for (x, out) in out.iter_mut().enumerate() {
        *out = [0.0; MOMENTS];
        let (from, to) = (x.saturating_sub(RADIUS), (x + RADIUS + 1).min(line.len()));
        for (i, value) in line[from..to].iter().enumerate() {
            let weight = window[from + i + RADIUS - x];
            out.iter_mut().zip(value).for_each(|(o, v)| *o += weight * v);
        }
    }
}

fn similarity([a, b, aa, bb, ab]: [f64; MOMENTS]) -> f64 {
    let (variance_a, variance_b, covariance) = (aa - a * a, bb - b * b, ab - a * b);
    let top = (2.0 * a * b + C1) * (2.0 * covariance + C2);
    top / ((a * a + b * b + C1) * (variance_a + variance_b + C2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::testing;

    #[test]
    fn equal_images_have_one() {
        for (width, height) in [(1, 1), (1, 31), (33, 2), (13, 17)] {
            let image = testing::image(width, height, |x, y, c| ((x * 7 + y * 13 + c * 5) % 11) as f32 / 10.0);
            assert!((ssim(&image, &image).unwrap() - 1.0).abs() < 1e-12, "{width}x{height}");
        }
    }

    /// One pixel, of which the window sees its middle weight only.
    #[test]
    fn one_pixel_by_hand() {
        let of = |a: f32, b: f32| ssim(&testing::image(1, 1, |_, _, _| a), &testing::image(1, 1, |_, _, _| b)).unwrap();
        let w = window()[RADIUS].powi(2);
        let expected = C1 * C2 / ((w * w + C1) * (w - w * w + C2));
        assert!((of(0.0, 1.0) - expected).abs() < 1e-12);
        assert_eq!(of(0.0, f32::INFINITY), of(0.0, 1.0));
    }

    #[test]
    fn agrees_with_a_plain_double_loop() {
        let a = testing::image(7, 19, |x, y, c| ((x * x + 3 * y + c) % 7) as f32 / 6.0);
        let b = testing::image(7, 19, |x, y, c| ((x + 2 * y * y + c) % 5) as f32 / 4.0);
        let w = window();
        let mut sum = 0.0;
        for y in 0..19i64 {
            for (x, c) in (0..7i64).flat_map(|x| (0..3).map(move |c| (x, c))) {
                let mut m = [0.0; MOMENTS];
                for (i, j) in (0..11usize).flat_map(|i| (0..11usize).map(move |j| (i, j))) {
                    let (u, v) = (x + i as i64 - 5, y + j as i64 - 5);
                    if (0..7).contains(&u) && (0..19).contains(&v) {
                        let [p, q] = [&a, &b].map(|image| f64::from(image.pixel(u as u32, v as u32)[c]));
                        [p, q, p * p, q * q, p * q].iter().zip(&mut m).for_each(|(v, m)| *m += w[i] * w[j] * v);
                    }
                }
                sum += similarity(m);
            }
        }
        let expected = sum / (7.0 * 19.0 * 3.0);
        let found = ssim(&a, &b).unwrap();
        assert!((found - expected).abs() < 1e-12, "expected {expected}, found {found}");
        assert!((found - ssim(&b, &a).unwrap()).abs() < 1e-12, "symmetric");
    }

    #[test]
    fn agrees_with_the_reference() {
        let (image, truth, expected) = testing::fixture("metric.ssim");
        let found = ssim(&image, &truth).unwrap();
        assert!((found - expected).abs() < 1e-5, "expected {expected}, found {found}");
    }
}
