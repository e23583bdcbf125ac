//! Convolutions with zero padding and a ReLU behind, as products of overlapping rows with packed weights.
//!
//! With channels last, the inputs of a kernel row lie next to each other for every pixel, and those of the next pixel start
//! `stride` pixels further on: a matrix whose rows overlap, so that no copy of patches is needed.

use super::map::{Map, pooled};
use compute::ops::PAD;
use compute::ops::product::{Epilogue, Packed, product};
use compute::parallel;

/// Pixels of output that one piece of work computes: its inputs and a panel of weights stay in the second-level cache.
const CHUNK: usize = 128;
/// Most inputs of one product, so that a panel of its weights stays in the first-level cache.
const BLOCK: usize = 192;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub inputs: usize,
    /// A multiple of [`PAD`].
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
    pub pad: usize,
}

impl Shape {
    /// Height or width of the output for one of the input; 0 if the kernel does not fit.
    pub fn output_len(&self, n: usize) -> usize {
        pooled(n + 2 * self.pad, self.kernel, self.stride)
    }

    /// Whether output pixels are as far apart as input pixels, borders included, so that rows can be computed in one go.
    fn dense(&self) -> bool {
        self.stride == 1 && self.kernel == 2 * self.pad + 1
    }
}

/// A convolution and its weights.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    pub shape: Shape,
    parts: Vec<KernelPart>,
}

/// Some of the inputs of one kernel row.
#[derive(Clone, Debug)]
struct KernelPart {
    row: usize,
    first: usize,
    weight: Packed,
}

impl Conv {
    /// From `weight` `[outputs, inputs, kernel, kernel]` and `bias` `[outputs]`.
    pub fn new(shape: Shape, weight: &[f32], bias: &[f32]) -> Self {
        let Shape { inputs, outputs, kernel, .. } = shape;
        assert_eq!((outputs % PAD, bias.len()), (0, outputs), "{shape:?}");
        assert_eq!(weight.len(), outputs * inputs * kernel * kernel, "{shape:?}");
        let mut parts = Vec::new();
        for row in 0..kernel {
            for first in (0..kernel * inputs).step_by(BLOCK) {
                let len = BLOCK.min(kernel * inputs - first);
                let mut part = Vec::with_capacity(len * outputs);
                for i in first..first + len {
                    let (column, input) = (i / inputs, i % inputs);
                    part.extend((0..outputs).map(|o| weight[((o * inputs + input) * kernel + row) * kernel + column]));
                }
                let bias = parts.is_empty().then_some(bias);
                parts.push(KernelPart { row, first, weight: Packed::new(&part, bias, len, outputs) });
            }
        }
        Self { shape, parts }
    }

    /// `max(conv(input), 0)`; the border of `input` must be the padding. The output has the same border if another
    /// convolution of the same kind could follow, otherwise none.
    pub fn forward(&self, input: &Map, threads: usize) -> Map {
        let shape = &self.shape;
        assert_eq!((input.channels, input.pad), (shape.inputs, shape.pad), "{shape:?}");
        let [height, width] = [input.height, input.width].map(|n| shape.output_len(n));
        let dense = shape.dense();
        let mut out = Map::zeros(height, width, shape.outputs, if dense { shape.pad } else { 0 });
        if out.data.is_empty() {
            return out;
        }
        let (from_len, to_len) = (input.row_len(), out.row_len());
        let border = out.pad * shape.outputs;
        let rows = (CHUNK / (width + 2 * out.pad)).max(1);
        let isa = compute::isa();
        let mut chunks: Vec<_> = out.rows_mut().chunks_mut(rows * to_len).collect();
        parallel::for_each(&mut chunks, threads, |i, chunk| {
            let count = chunk.len() / to_len;
            // Pixels computed in one go; between the rows of a dense run, borders are computed with them.
            let (runs, pixels) =
                if dense { (1, (count - 1) * (width + 2 * shape.pad) + width) } else { (count, width) };
            for run in 0..runs {
                let y = i * rows + run;
                let to = &mut chunk[run * to_len + border..];
                for (n, part) in self.parts.iter().enumerate() {
                    let from = &input.data[(y * shape.stride + part.row) * from_len + part.first..];
                    let epilogue = if n == 0 { Epilogue::Store } else { Epilogue::Add };
                    let step = shape.stride * shape.inputs;
                    product(isa, pixels, from, step, &part.weight, to, shape.outputs, epilogue);
                }
                to[..pixels * shape.outputs].iter_mut().for_each(|v| *v = v.max(0.0));
            }
            for row in chunk.chunks_exact_mut(to_len) {
                row[..border].fill(0.0);
                row[to_len - border..].fill(0.0);
            }
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::map::tests::noise;
    use super::*;

    #[test]
    fn agrees_with_plain_loops() {
        let dense = |inputs, kernel| Shape { inputs, outputs: 32, kernel, stride: 1, pad: kernel / 2 };
        for (shape, height, width) in [
            (dense(3, 3), 31, 33),
            (dense(48, 3), 7, 5),
            (dense(65, 3), 1, 1),
            (dense(16, 5), 13, 3),
            (Shape { inputs: 3, outputs: 64, kernel: 11, stride: 4, pad: 2 }, 35, 67),
            (Shape { inputs: 5, outputs: 16, kernel: 3, stride: 1, pad: 0 }, 3, 9),
            (Shape { inputs: 1, outputs: 48, kernel: 7, stride: 3, pad: 3 }, 1, 131),
        ] {
            let Shape { inputs, outputs, kernel, stride, pad } = shape;
            let value = |i: usize| ((i * 7907) % 1009) as f32 / 504.0 - 1.0;
            let weight: Vec<f32> = (0..outputs * inputs * kernel * kernel).map(value).collect();
            let bias: Vec<f32> = (0..outputs).map(|i| value(i + 31)).collect();
            let conv = Conv::new(shape, &weight, &bias);
            let input = noise(height, width, inputs, pad);
            let out = conv.forward(&input, 1);
            assert_eq!(out, conv.forward(&input, 3), "threads change nothing");
            assert_eq!(
                (out.height, out.width),
                ((height + 2 * pad - kernel) / stride + 1, (width + 2 * pad - kernel) / stride + 1)
            );
            let mut inside = 0;
            for (y, x) in (0..out.height).flat_map(|y| (0..out.width).map(move |x| (y, x))) {
                for o in 0..outputs {
                    let mut sum = f64::from(bias[o]);
                    for (ky, kx) in (0..kernel * kernel).map(|i| (i / kernel, i % kernel)) {
                        let (v, u) = ((y * stride + ky).wrapping_sub(pad), (x * stride + kx).wrapping_sub(pad));
                        if v < height && u < width {
                            let pixel = &input.row(v)[u * inputs..][..inputs];
                            let weight = |c: usize| weight[((o * inputs + c) * kernel + ky) * kernel + kx];
                            sum += pixel
                                .iter()
                                .enumerate()
                                .map(|(c, p)| f64::from(*p) * f64::from(weight(c)))
                                .sum::<f64>();
                        }
                    }
                    let found = f64::from(out.row(y)[x * outputs + o]);
                    let error = (found - sum.max(0.0)).abs();
                    // Sums of a few hundred numbers of order 1 in single precision.
                    assert!(error < 1e-4, "{shape:?} at {y}, {x}, {o}: expected {sum}, found {found}");
                    inside += usize::from(found != 0.0);
                }
            }
            let all = out.data.iter().filter(|v| **v != 0.0).count();
            assert_eq!(all, inside, "the border stays zero");
        }
    }

    #[test]
    fn kernels_that_do_not_fit_leave_nothing() {
        let shape = Shape { inputs: 3, outputs: 64, kernel: 11, stride: 4, pad: 2 };
        assert_eq!([0, 6, 7, 10, 11].map(|n| shape.output_len(n)), [0, 0, 1, 1, 2]);
        let conv = Conv::new(shape, &vec![1.0; 64 * 363], &[0.0; 64]);
        let out = conv.forward(&noise(6, 67, 3, 2), 2);
        assert_eq!((out.height, out.data.len()), (0, 0));
    }
}
