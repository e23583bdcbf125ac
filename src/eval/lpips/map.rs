//! Feature maps: channels last, with a border of zeros that convolutions read as padding.

use compute::parallel;

/// `[height, width, channels]` inside a border of `pad` pixels of zeros on each side.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Map {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub pad: usize,
    pub data: Vec<f32>,
}

impl Map {
    /// A map of zeros.
    pub fn zeros(height: usize, width: usize, channels: usize, pad: usize) -> Self {
        let data = vec![0.0; (height + 2 * pad) * (width + 2 * pad) * channels];
        Self { height, width, channels, pad, data }
    }

    /// Values of one row with its border.
    pub fn row_len(&self) -> usize {
        (self.width + 2 * self.pad) * self.channels
    }

    /// The row `y` without its border, `[width, channels]`.
    pub fn row(&self, y: usize) -> &[f32] {
        let start = (y + self.pad) * self.row_len() + self.pad * self.channels;
        &self.data[start..][..self.width * self.channels]
    }

    /// The rows with their borders to the left and right, without those above and below.
    pub fn rows_mut(&mut self) -> &mut [f32] {
        let (row, pad, height) = (self.row_len(), self.pad, self.height);
        &mut self.data[pad * row..][..height * row]
    }

    /// The largest values of windows of `size` x `size` pixels that start `stride` pixels apart and lie inside, with a
    /// border of `pad`.
    pub fn max_pool(&self, [size, stride]: [usize; 2], pad: usize, threads: usize) -> Self {
        let [height, width] = [self.height, self.width].map(|n| pooled(n, size, stride));
        let mut out = Self::zeros(height, width, self.channels, pad);
        let (row_len, channels) = (out.row_len(), self.channels);
        let mut rows: Vec<_> = out.rows_mut().chunks_exact_mut(row_len).collect();
        parallel::for_each(&mut rows, threads, |y, row| {
            for (x, best) in row[pad * channels..].chunks_exact_mut(channels).take(width).enumerate() {
                best.fill(f32::NEG_INFINITY);
                for from in (0..size).map(|dy| self.row(y * stride + dy)) {
                    for value in from[x * stride * channels..][..size * channels].chunks_exact(channels) {
                        best.iter_mut().zip(value).for_each(|(best, value)| *best = best.max(*value));
                    }
                }
            }
        });
        out
    }
}

/// Windows of `size` that start `stride` apart in `n` pixels.
pub(super) fn pooled(n: usize, size: usize, stride: usize) -> usize {
    n.checked_sub(size).map_or(0, |rest| rest / stride + 1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A map with different values of both signs, and its border.
    pub fn noise(height: usize, width: usize, channels: usize, pad: usize) -> Map {
        let mut map = Map::zeros(height, width, channels, pad);
        let row = map.row_len();
        for (y, row) in map.rows_mut().chunks_exact_mut(row).enumerate() {
            for (i, v) in row[pad * channels..][..width * channels].iter_mut().enumerate() {
                *v = ((y * 7919 + i * 104_729) % 2003) as f32 / 1001.0 - 1.0;
            }
        }
        map
    }

    #[test]
    fn pooling_takes_the_largest() {
        for (height, width, size, stride, pad) in [(7, 5, 2, 2, 1), (31, 33, 3, 2, 2), (3, 3, 3, 2, 0), (2, 9, 2, 2, 1)]
        {
            let map = noise(height, width, 3, 1);
            let out = map.max_pool([size, stride], pad, 1);
            assert_eq!((out.height, out.width), ((height - size) / stride + 1, (width - size) / stride + 1));
            assert_eq!(out, map.max_pool([size, stride], pad, 5));
            for (y, x, c) in (0..out.height).flat_map(|y| (0..out.width * 3).map(move |i| (y, i / 3, i % 3))) {
                let window = (0..size * size).map(|i| (y * stride + i / size, x * stride + i % size));
                let best = window.map(|(v, u)| map.row(v)[u * 3 + c]).max_by(f32::total_cmp).unwrap();
                assert_eq!(out.row(y)[x * 3 + c], best, "{height}x{width} at {y}, {x}, {c}");
            }
            let inside: usize = out.data.iter().filter(|v| **v != 0.0).count();
            assert!(inside <= out.height * out.width * 3, "the border stays zero");
        }
        assert_eq!([0, 1, 2, 3, 4, 5].map(|n| pooled(n, 3, 2)), [0, 0, 0, 1, 1, 2]);
    }
}
