//! Codes that are fitted to data: kernel-based supervised hashing, as EcoFormer and the released ShiftAddViT use it
//! (Liu et al. 2012). An alternative to the signs of `layers::codes`, here so that both can be compared.
//!
//! A row `x` is compared with `m` anchors, `φ_j(x) = exp(−‖x − a_j‖² / 2σ) − μ_j`, and bit `b` is `(A φ(x))_b > 0`. The
//! rows of `A` are fitted one after the other so that `Y Yᵀ` follows a target: the most similar rows should share all
//! bits, the least similar none.
//!
//! σ and μ are fixed when the code is fitted, and anchors come from all rows. The released code instead takes its
//! anchors from one image and σ anew from every image, which makes a code depend on what else is looked at.

use layers::params::SplitMix;
use std::error::Error;
use std::fmt;

/// How a code is fitted; the defaults are EcoFormer's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KshOptions {
    /// Bits of a code, at most 16.
    pub bits: usize,
    /// Number of anchors; fewer if there are fewer rows.
    pub anchors: usize,
    /// How many most and least similar rows count for each row; at most half of the rows.
    pub neighbours: usize,
    /// Gradient steps a bit.
    pub steps: usize,
    /// Step size.
    pub rate: f64,
    /// Nesterov momentum.
    pub momentum: f64,
    /// Rows that the fit looks at, drawn at random where there are more: finding neighbours takes time in their square.
    pub rows: usize,
}

impl Default for KshOptions {
    fn default() -> Self {
        Self { bits: 16, anchors: 25, neighbours: 10, steps: 100, rate: 5e-4, momentum: 0.9, rows: 2048 }
    }
}

/// Why no code can be fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NotFit {
    /// There are no rows, or a part of one.
    Rows {
        /// Number of values.
        len: usize,
        /// Values that a row should have.
        width: usize,
    },
    /// A value is not a finite number.
    Value {
        /// Row.
        row: usize,
        /// Channel.
        column: usize,
        /// The value.
        value: f32,
    },
    /// The options ask for no bit or more than 16, or for no anchor, or for no row.
    Options(KshOptions),
}

impl fmt::Display for NotFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows { len, width } => write!(f, "expected at least one row of {width} values, found {len} values"),
            Self::Value { row, column, value } => {
                write!(f, "row {row}, column {column}: expected a finite number, found {value}")
            }
            Self::Options(o) => write!(
                f,
                "expected 1 to 16 bits and at least one anchor and row, found {} bits, {} anchors, {} rows",
                o.bits, o.anchors, o.rows
            ),
        }
    }
}

impl Error for NotFit {}

/// A fitted code.
#[derive(Clone, Debug, PartialEq)]
pub struct Ksh {
    pub width: usize,
    /// `[anchors, width]`.
    pub anchors: Vec<f64>,
    /// Mean squared distance of rows and anchors.
    sigma: f64,
    /// Mean of each kernel over the rows of the fit.
    mean: Vec<f64>,
    /// `[bits, anchors]`.
    weight: Vec<f64>,
}

impl Ksh {
    /// Fits a code to `rows` `[n, width]`; similarity is the dot product, which is what attention reads.
    ///
    /// Every bit starts at the leading eigenvector of `φᵀ S φ` and then takes Nesterov steps on `−yᵀ S y / (bits · n)`
    /// with `y = 2·sigmoid(φ a) − 1`; the outcome is kept only if the loss of its signs is below that of the start. The
    /// bit's signs are then taken off the target, `S ← S − y yᵀ`. The same seed gives the same code.
    ///
    /// # Errors
    /// [`NotFit`] for no rows, for values that are not finite, and for options out of range.
    pub fn fit(rows: &[f32], width: usize, seed: u64, options: KshOptions) -> Result<Self, NotFit> {
        if options.bits == 0 || options.bits > 16 || options.anchors == 0 || options.rows == 0 {
            return Err(NotFit::Options(options));
        }
        if width == 0 || rows.is_empty() || !rows.len().is_multiple_of(width) {
            return Err(NotFit::Rows { len: rows.len(), width });
        }
        if let Some(i) = rows.iter().position(|v| !v.is_finite()) {
            return Err(NotFit::Value { row: i / width, column: i % width, value: rows[i] });
        }
        let mut rng = SplitMix(seed);
        let gather = |picked: Vec<usize>| -> Vec<f64> {
            picked.iter().flat_map(|r| &rows[r * width..(r + 1) * width]).map(|v| f64::from(*v)).collect()
        };
        let anchors = gather(draw(rows.len() / width, options.anchors, &mut rng));
        let seen = gather(draw(rows.len() / width, options.rows, &mut rng));
        let count = seen.len() / width;
        let m = anchors.len() / width;

        let mut phi: Vec<f64> = seen.chunks_exact(width).flat_map(|x| squared_distances(x, &anchors)).collect();
        let mean_distance = phi.iter().sum::<f64>() / phi.len() as f64;
        // Where all rows are the same every distance is 0, and any scale will do.
        let sigma = if mean_distance > 0.0 { mean_distance } else { 1.0 };
        phi.iter_mut().for_each(|p| *p = (-*p / (2.0 * sigma)).exp());
        let mut mean = vec![0.0; m];
        for row in phi.chunks_exact(m) {
            mean.iter_mut().zip(row).for_each(|(a, p)| *a += p / count as f64);
        }
        for row in phi.chunks_exact_mut(m) {
            row.iter_mut().zip(&mean).for_each(|(p, a)| *p -= a);
        }

        let mut target = Target::new(&seen, width, options.neighbours.min(count / 2), options.bits);
        let mut weight = Vec::with_capacity(options.bits * m);
        for _ in 0..options.bits {
            let row = fit_bit(&phi, m, &target, &options, &mut rng);
            target.found.push(signs(&phi, &row));
            weight.extend(row);
        }
        Ok(Self { width, anchors, sigma, mean, weight })
    }

    /// The code of a row of `width` values, bit 0 lowest; a NaN makes all bits 0.
    pub fn encode(&self, row: &[f32]) -> u16 {
        assert_eq!(row.len(), self.width, "a row has {} values, the code was fitted to {}", row.len(), self.width);
        let row: Vec<f64> = row.iter().map(|v| f64::from(*v)).collect();
        let mut phi = squared_distances(&row, &self.anchors);
        phi.iter_mut().zip(&self.mean).for_each(|(p, m)| *p = (-*p / (2.0 * self.sigma)).exp() - m);
        let bits = self.weight.chunks_exact(phi.len()).enumerate();
        bits.fold(0, |code, (b, a)| code | u16::from(dot(a, &phi) > 0.0) << b)
    }
}

/// Which rows should share bits, as a sparse matrix of ±1 times the number of bits, less what earlier bits achieve.
pub struct Target {
    /// Row, other row, +1 or −1.
    pairs: Vec<(usize, usize, f64)>,
    /// Signs of the bits found so far.
    found: Vec<Vec<f64>>,
    bits: f64,
}

impl Target {
    pub fn new(rows: &[f64], width: usize, neighbours: usize, bits: usize) -> Self {
        let mut pairs = Vec::new();
        for (i, row) in rows.chunks_exact(width).enumerate() {
            let mut others: Vec<(f64, usize)> =
                rows.chunks_exact(width).enumerate().map(|(j, other)| (dot(row, other), j)).collect();
            others.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            pairs.extend(others[..neighbours].iter().map(|(_, j)| (i, *j, 1.0)));
            pairs.extend(others[others.len() - neighbours..].iter().map(|(_, j)| (i, *j, -1.0)));
        }
        Self { pairs, found: Vec::new(), bits: bits as f64 }
    }

    /// `(S + Sᵀ) y`.
    pub fn times(&self, y: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; y.len()];
        for (i, j, s) in &self.pairs {
            out[*i] += self.bits * s * y[*j];
            out[*j] += self.bits * s * y[*i];
        }
        for found in &self.found {
            let common = 2.0 * dot(found, y);
            out.iter_mut().zip(found).for_each(|(o, f)| *o -= common * f);
        }
        out
    }

    /// `−yᵀ S y / (bits · n)`.
    pub fn loss(&self, y: &[f64]) -> f64 {
        -0.5 * dot(&self.times(y), y) / (self.bits * y.len() as f64)
    }
}

/// The weights of one bit: the descended start, or the start where its signs have the lower loss.
pub fn fit_bit(phi: &[f64], m: usize, target: &Target, options: &KshOptions, rng: &mut SplitMix) -> Vec<f64> {
    let start = leading_direction(phi, m, target, rng);
    let fitted = descend(phi, target, &start, options);
    if target.loss(&signs(phi, &fitted)) < target.loss(&signs(phi, &start)) { fitted } else { start }
}

/// The direction `a` in which `(φa)ᵀ S φa` grows most, scaled so that `φa` has size 1 on average.
pub fn leading_direction(phi: &[f64], m: usize, target: &Target, rng: &mut SplitMix) -> Vec<f64> {
    let mut matrix = Vec::with_capacity(m * m);
    for j in 0..m {
        let column: Vec<f64> = phi.chunks_exact(m).map(|row| row[j]).collect();
        let image = target.times(&column);
        matrix.extend(back_project(phi, m, &image));
    }
    // Adding a bound of the eigenvalues to the diagonal makes the largest one, not the largest by size, lead.
    let bound = matrix.chunks_exact(m).map(|r| r.iter().map(|v| v.abs()).sum()).fold(0.0, f64::max);
    let mut a: Vec<f64> = (0..m).map(|_| f64::from(rng.uniform()) - 0.5).collect();
    for _ in 0..200 {
        let next: Vec<f64> = matrix.chunks_exact(m).zip(&a).map(|(row, own)| dot(row, &a) + bound * own).collect();
        let length = dot(&next, &next).sqrt();
        if length == 0.0 {
            break;
        }
        a = next.into_iter().map(|v| v / length).collect();
    }
    let responses: f64 = phi.chunks_exact(m).map(|row| dot(row, &a).powi(2)).sum();
    let size = (responses / (phi.len() / m) as f64).sqrt();
    if size > 0.0 {
        a.iter_mut().for_each(|v| *v /= size);
    }
    a
}

/// Nesterov steps on the loss of the smooth signs `2·sigmoid(φ a) − 1`.
pub fn descend(phi: &[f64], target: &Target, start: &[f64], options: &KshOptions) -> Vec<f64> {
    let m = start.len();
    let scale = 1.0 / (target.bits * (phi.len() / m) as f64);
    let (mut a, mut velocity) = (start.to_vec(), vec![0.0; m]);
    for _ in 0..options.steps {
        let y: Vec<f64> = phi.chunks_exact(m).map(|row| (0.5 * dot(row, &a)).tanh()).collect();
        let mut slope = target.times(&y);
        slope.iter_mut().zip(&y).for_each(|(s, y)| *s *= -scale * 0.5 * (1.0 - y * y));
        let gradient = back_project(phi, m, &slope);
        for ((a, v), g) in a.iter_mut().zip(&mut velocity).zip(gradient) {
            *v = options.momentum * *v + g;
            *a -= options.rate * (g + options.momentum * *v);
        }
    }
    a
}

/// `φᵀ x`.
fn back_project(phi: &[f64], m: usize, x: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; m];
    for (row, x) in phi.chunks_exact(m).zip(x) {
        out.iter_mut().zip(row).for_each(|(o, p)| *o += p * x);
    }
    out
}

/// ±1 as the bits of the code have it: 1 where the response is above 0.
pub fn signs(phi: &[f64], a: &[f64]) -> Vec<f64> {
    phi.chunks_exact(a.len()).map(|row| if dot(row, a) > 0.0 { 1.0 } else { -1.0 }).collect()
}

fn squared_distances(x: &[f64], anchors: &[f64]) -> Vec<f64> {
    anchors.chunks_exact(x.len()).map(|a| a.iter().zip(x).map(|(a, x)| (a - x).powi(2)).sum()).collect()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `wanted` different numbers below `n`, or all of them, in random order.
fn draw(n: usize, wanted: usize, rng: &mut SplitMix) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    let wanted = wanted.min(n);
    for i in 0..wanted {
        all.swap(i, i + rng.below(n - i));
    }
    all.truncate(wanted);
    all
}
