//! Means and deviations of channels over real batches, from which a replaced layer is started.

/// Mean and deviation of a projection's channels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channels {
    /// Mean of each channel that becomes the code's threshold.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub deviation: Vec<f32>,
}

impl Channels {
    /// Turns a projection that was measured so into one whose codes are balanced: scales the rows of its `weight`
    /// `[outputs, inputs]` to unit deviation, so that the straight-through window covers them, and moves `bias`, with
    /// which it was measured, so that the thresholds lie at the means.
    pub fn centre_codes(&self, weight: &mut [f32], bias: &mut [f32]) {
        let scale = self.deviation.iter().map(|d| 1.0 / d.max(1e-4));
        let inputs = weight.len() / self.deviation.len();
        let rows = weight.chunks_exact_mut(inputs).zip(bias).zip(&self.mean).zip(scale);
        for (((row, bias), mean), scale) in rows {
            row.iter_mut().for_each(|w| *w *= scale);
            *bias = (*bias - mean) * scale;
        }
    }
}

/// Sums of the channels' values and squares.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    count: f64,
    sums: Vec<[f64; 2]>,
}

impl Moments {
    /// Adds channels `first .. first + c` of rows that are `stride` apart.
    pub fn add(&mut self, x: &[f32], stride: usize, first: usize, c: usize) {
        self.sums.resize(c, [0.0; 2]);
        for row in x.chunks_exact(stride) {
            self.count += 1.0;
            for (sum, x) in self.sums.iter_mut().zip(&row[first..first + c]) {
                sum[0] += f64::from(*x);
                sum[1] += f64::from(*x) * f64::from(*x);
            }
        }
    }

    /// Mean and deviation.
    pub fn finish(&self) -> Channels {
        let n = self.count.max(1.0);
        let mean = self.sums.iter().map(|s| (s[0] / n) as f32).collect();
        let deviation = self.sums.iter().map(|s| (s[1] / n - (s[0] / n).powi(2)).max(0.0).sqrt() as f32).collect();
        Channels { mean, deviation }
    }

    /// Deviation from zero rather than from the mean, which counts as zero.
    pub fn finish_around_zero(&self) -> Channels {
        let Channels { mean, deviation } = self.finish();
        let deviation = deviation.iter().zip(&mean).map(|(d, m)| (d * d + m * m).sqrt()).collect();
        Channels { mean: vec![0.0; mean.len()], deviation }
    }
}
