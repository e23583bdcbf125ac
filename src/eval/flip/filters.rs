//! FLIP's filters: what the eye blurs at a distance, and detectors of edges and points. All are sums of products of a
//! filter along x and one along y.

use std::f64::consts::PI;

/// Standard deviation and share of the Gaussians that make up a contrast sensitivity filter.
///
/// A term `a·√(π/b)·exp(-π²·d²/b)` over the distance `d` in degrees (Andersson et al. 2020, section 4.1) is a Gaussian
/// of variance `b / 2π²`.
struct Term {
    amplitude: f64,
    spread: f64,
}

const ACHROMATIC: [Term; 1] = [Term { amplitude: 1.0, spread: 0.0047 }];
const RED_GREEN: [Term; 1] = [Term { amplitude: 1.0, spread: 0.0053 }];
const BLUE_YELLOW: [Term; 2] = [Term { amplitude: 34.1, spread: 0.04 }, Term { amplitude: 13.5, spread: 0.025 }];
/// The largest spread sets the size of all three filters.
const LARGEST_SPREAD: f64 = 0.04;
/// Width in degrees of the features that are looked for.
const FEATURE_WIDTH: f64 = 0.082;

/// Weights of a filter along one axis; their number is odd.
pub type FilterWeights = Vec<f32>;

/// Weights along one axis and the share of the filter that they make up together.
pub type FilterPart = (FilterWeights, f32);

/// Values at `-radius ..= radius`, scaled such that the positive ones add up to 1 and the negative ones to -1.
fn weights(radius: usize, value: impl Fn(f64) -> f64) -> FilterWeights {
    let raw: Vec<f64> = (0..=2 * radius).map(|i| value(i as f64 - radius as f64)).collect();
    let positive: f64 = raw.iter().filter(|v| **v > 0.0).sum();
    let negative: f64 = -raw.iter().filter(|v| **v < 0.0).sum::<f64>();
    raw.iter().map(|v| (v / if *v > 0.0 { positive } else { negative.max(f64::MIN_POSITIVE) }) as f32).collect()
}

fn gaussian(x: f64, sigma: f64) -> f64 {
    (-x * x / (2.0 * sigma * sigma)).exp()
}

/// The contrast sensitivity filters of Y, Cx and Cz, each a sum of parts whose shares add up to 1.
pub fn contrast_sensitivity(pixels_per_degree: f64) -> [Vec<FilterPart>; 3] {
    let sigma = |spread: f64| (spread / (2.0 * PI * PI)).sqrt() * pixels_per_degree;
    let radius = (3.0 * sigma(LARGEST_SPREAD)).ceil() as usize;
    [&ACHROMATIC[..], &RED_GREEN, &BLUE_YELLOW].map(|terms| {
        // Over the pixels of the filter, in both directions: the published filter is cut off before it is normalised.
        let mass = |term: &Term| {
            let line: f64 = (0..=2 * radius).map(|i| gaussian(i as f64 - radius as f64, sigma(term.spread))).sum();
            term.amplitude * (PI / term.spread).sqrt() * line * line
        };
        let total: f64 = terms.iter().map(mass).sum();
        let part = |term: &Term| (weights(radius, |x| gaussian(x, sigma(term.spread))), (mass(term) / total) as f32);
        terms.iter().map(part).collect()
    })
}

/// A Gaussian, its first derivative (edges) and its second (points), all along one axis.
pub fn features(pixels_per_degree: f64) -> [FilterWeights; 3] {
    let sigma = 0.5 * FEATURE_WIDTH * pixels_per_degree;
    let radius = (3.0 * sigma).ceil() as usize;
    [
        weights(radius, |x| gaussian(x, sigma)),
        weights(radius, |x| -x * gaussian(x, sigma)),
        weights(radius, |x| (x * x / (sigma * sigma) - 1.0) * gaussian(x, sigma)),
    ]
}

/// One number a pixel, `[height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    width: usize,
    /// `[height, width]`.
    pub data: Vec<f32>,
}

impl Plane {
    pub fn new(width: usize, data: Vec<f32>) -> Self {
        assert_eq!(data.len() % width, 0, "{} values in rows of {width}", data.len());
        Self { width, data }
    }

    /// Filtered along x; the border's pixels go on outside the image.
    pub fn along_x(&self, weights: &[f32]) -> Self {
        let radius = weights.len() / 2;
        let mut padded = vec![0.0; self.width + 2 * radius];
        let mut data = vec![0.0; self.data.len()];
        for (row, out) in self.data.chunks_exact(self.width).zip(data.chunks_exact_mut(self.width)) {
            padded[..radius].fill(row[0]);
            padded[radius..][..self.width].copy_from_slice(row);
            padded[radius + self.width..].fill(row[self.width - 1]);
            weights.iter().enumerate().for_each(|(i, weight)| add_scaled(out, *weight, &padded[i..]));
        }
        Self { width: self.width, data }
    }

    /// Filtered along y; the border's pixels go on outside the image.
    pub fn along_y(&self, weights: &[f32]) -> Self {
        let (radius, height) = (weights.len() / 2, self.data.len() / self.width);
        let mut data = vec![0.0; self.data.len()];
        for (y, out) in data.chunks_exact_mut(self.width).enumerate() {
            for (i, weight) in weights.iter().enumerate() {
                let from = (y + i).saturating_sub(radius).min(height - 1);
                add_scaled(out, *weight, &self.data[from * self.width..]);
            }
        }
        Self { width: self.width, data }
    }

    /// Filtered by the sum of the parts, each in both directions.
    pub fn blurred(&self, parts: &[FilterPart]) -> Self {
        let mut sum = vec![0.0; self.data.len()];
        for (weights, share) in parts {
            add_scaled(&mut sum, *share, &self.along_x(weights).along_y(weights).data);
        }
        Self { width: self.width, data: sum }
    }
}

/// Adds as many values as `sum` has.
fn add_scaled(sum: &mut [f32], weight: f32, values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXELS_PER_DEGREE: f64 = crate::flip::PIXELS_PER_DEGREE;

    fn plane(width: usize, height: usize) -> Plane {
        Plane::new(width, (0..width * height).map(|i| ((i * i + 3 * i) % 17) as f32 / 16.0).collect())
    }

    #[test]
    fn sizes_at_the_usual_distance() {
        let filters = contrast_sensitivity(PIXELS_PER_DEGREE);
        assert_eq!(filters.each_ref().map(Vec::len), [1, 1, 2]);
        for (weights, share) in filters.iter().flatten() {
            assert_eq!(weights.len(), 21);
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert!(*share > 0.0 && *share <= 1.0);
            assert!(weights.iter().eq(weights.iter().rev()));
        }
        filters.iter().for_each(|parts| assert!((parts.iter().map(|part| part.1).sum::<f32>() - 1.0).abs() < 1e-6));
        assert_eq!(features(PIXELS_PER_DEGREE).map(|weights| weights.len()), [19; 3]);
    }

    /// The blue-yellow filter as it is published: one value by the distance from the middle.
    #[test]
    fn parts_add_up_to_the_published_filter() {
        let [_, _, parts] = contrast_sensitivity(PIXELS_PER_DEGREE);
        let value = |x: i32, y: i32| -> f64 {
            let d2 = f64::from(x * x + y * y) / (PIXELS_PER_DEGREE * PIXELS_PER_DEGREE);
            BLUE_YELLOW.iter().map(|t| t.amplitude * (PI / t.spread).sqrt() * (-PI * PI * d2 / t.spread).exp()).sum()
        };
        let total: f64 = (-10..=10).flat_map(|y| (-10..=10).map(move |x| value(x, y))).sum();
        for (x, y) in [(0, 0), (3, -4), (10, 10), (-10, 0)] {
            let at = |weights: &FilterWeights, i: i32| f64::from(weights[(i + 10) as usize]);
            let found: f64 = parts.iter().map(|(w, share)| at(w, x) * at(w, y) * f64::from(*share)).sum();
            let expected: f64 = value(x, y) / total;
            assert!((found - expected).abs() < 1e-6 * expected.max(1e-3), "expected {expected}, found {found}");
        }
    }

    /// Flat areas have neither edges nor points; a ramp has edges only.
    #[test]
    fn detectors_by_eye() {
        let [g, d, dd] = features(PIXELS_PER_DEGREE);
        let middle = |weights: &[f32], value: &dyn Fn(f32) -> f32| {
            weights.iter().enumerate().map(|(i, w)| w * value(i as f32 - 9.0)).sum::<f32>()
        };
        assert!(middle(&d, &|_| 1.0).abs() < 1e-6 && middle(&dd, &|_| 1.0).abs() < 1e-6);
        assert!(middle(&d, &|x| x).abs() > 1.0 && middle(&dd, &|x| x).abs() < 1e-5);
        assert!((middle(&d, &|x| f32::from(u8::from(x < 0.0))) - 1.0).abs() < 1e-6);
        assert!((middle(&g, &|_| 1.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn agrees_with_a_plain_loop() {
        let weights = [0.1, -0.7, 0.4, 2.0, 0.3, 0.0, -0.2];
        for (width, height) in [(1, 1), (1, 31), (33, 2), (5, 7)] {
            let plane = plane(width, height);
            let (along_x, along_y) = (plane.along_x(&weights), plane.along_y(&weights));
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let at = |x: i64, y: i64| {
                    plane.data[y.clamp(0, height as i64 - 1) as usize * width + x.clamp(0, width as i64 - 1) as usize]
                };
                let (mut by_x, mut by_y) = (0.0, 0.0);
                for (i, weight) in (-3..).zip(weights) {
                    by_x += weight * at(x as i64 + i, y as i64);
                    by_y += weight * at(x as i64, y as i64 + i);
                }
                assert_eq!((along_x.data[y * width + x], along_y.data[y * width + x]), (by_x, by_y), "{x}, {y}");
            }
        }
    }
}
