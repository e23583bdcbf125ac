//! The three products of a convolution on tiles.

use super::ConvShape;
use crate::Mat;
use crate::ops::product_bf16::pack::{self, interleave_rows, transpose_pairs};
use crate::ops::product_bf16::unit::{Block, Factor, From, Step, Tile, Unit};
use std::cell::RefCell;

#[derive(Default)]
struct Scratch {
    image: Vec<Tile>,
    weight: Vec<Tile>,
    transposed: Vec<Tile>,
    pairs: Vec<Tile>,
    steps: Vec<Step>,
    bias: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Room for `values` of bf16, from an aligned start, all zero.
fn zeros(tiles: &mut Vec<Tile>, values: usize) -> &mut [u16] {
    let count = values.div_ceil(pack::TILE);
    tiles.clear();
    tiles.resize(count, Tile([0; pack::TILE]));
    // SAFETY: a `Tile` is that many values of `u16` and nothing else.
    unsafe { std::slice::from_raw_parts_mut(tiles.as_mut_ptr().cast(), count * pack::TILE) }
}

/// Converts one image `[height, width, channels]` to bf16 with a border of zeros.
fn with_border(shape: &ConvShape, channels: usize, x: &[f32], out: &mut [u16]) {
    let row = shape.width * channels;
    for (y, from) in x.chunks_exact(row).enumerate() {
        let at = ((y + 1) * (shape.width + 2) + 1) * channels;
        // SAFETY: `fits` found a processor with the extensions; both slices have the row's length.
        unsafe { pack::convert(from, &mut out[at..at + row]) };
    }
}

pub(super) fn forward(shape: &ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let weight = Mat::new(weight, 9 * shape.inputs, shape.outputs);
    convolve(shape, x, y, bias, |k, column, out| {
        // SAFETY: the processor has the extensions; `out` is a tile.
        unsafe { pack::right(&weight, k, column, out) }
    });
}

pub(super) fn input_gradient(shape: &ConvShape, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    let ConvShape { inputs, outputs, .. } = *shape;
    let swapped = ConvShape { inputs: outputs, outputs: inputs, ..*shape };
    convolve(&swapped, dy, dx, None, |k, column, out| {
        // The kernel turned by half a turn, each tap transposed.
        let tap = 8 - k / outputs;
        let weight = Mat::new(&weight[tap * inputs * outputs..][..inputs * outputs], inputs, outputs).t();
        // SAFETY: as above.
        unsafe { pack::right(&weight, k % outputs, column, out) }
    });
}

/// `weight(k, column, tile)` packs a tile of the kernel, `[9 · inputs, outputs]`.
fn convolve(
    shape: &ConvShape,
    x: &[f32],
    y: &mut [f32],
    bias: Option<&[f32]>,
    weight: impl Fn(usize, usize, *mut u16),
) {
    let ConvShape { height, width, inputs, outputs, .. } = *shape;
    let depth = 9 * inputs / 32;
    SCRATCH.with_borrow_mut(|scratch| {
        // SAFETY: `fits` found products of bf16.
        let unit = unsafe { Unit::set_up(crate::isa()) };
        scratch.weight.resize(depth * outputs / 16, Tile([0; pack::TILE]));
        for (i, tile) in scratch.weight.iter_mut().enumerate() {
            weight(i % depth * 32, i / depth * 16, tile.0.as_mut_ptr());
        }
        scratch.steps.clear();
        for i in 0..depth {
            let (tap, channel) = (i * 32 / inputs, i * 32 % inputs);
            let pixel = tap / 3 * (width + 2) + tap % 3;
            scratch.steps.push(Step { left: 2 * (pixel * inputs + channel), right: 2 * pack::TILE * i });
        }
        if let Some(bias) = bias {
            scratch.bias.clear();
            scratch.bias.extend_from_slice(bias);
        }
        let image = zeros(&mut scratch.image, (height + 2) * (width + 2) * inputs);
        let pixels = height * width;
        for (x, y) in x.chunks_exact(pixels * inputs).zip(y.chunks_exact_mut(pixels * outputs)) {
            with_border(shape, inputs, x, image);
            let place = |tile: usize| {
                let pixel = (tile * 16).min(pixels - 16);
                (pixel / width * (width + 2) + pixel % width) * inputs
            };
            for tile in (0..pixels / 16).step_by(2) {
                let left = [place(tile), place(tile + 1)].map(|at| image[at..].as_ptr().cast());
                // An odd last tile is computed twice and stored once.
                let second = if (tile + 1) * 16 < pixels { 16 * outputs } else { 0 };
                for column in (0..outputs).step_by(32) {
                    let right = [0, 1].map(|half| scratch.weight[(column / 16 + half) * depth..].as_ptr().cast());
                    let at = y[tile * 16 * outputs + column..].as_mut_ptr();
                    let (left, right) = (Factor(left, 2 * inputs), Factor(right, 64));
                    let from = bias.map_or(From::Zero, |_| From::Rows([scratch.bias[column..].as_ptr(); 2], 0));
                    let (steps, to_stride) = (&scratch.steps[..], outputs);
                    // SAFETY: the bordered image holds 16 pixels from each place for every tap, the weights `depth` tiles
                    // a half, and `y` two tiles of rows `outputs` apart.
                    unsafe {
                        let to = [at, at.add(second)];
                        unit.block(Block { steps, left, right, from, to, to_stride });
                    }
                }
            }
        }
    });
}

pub(super) fn weight_gradient(shape: &ConvShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let ConvShape { images, height, width, inputs, outputs } = *shape;
    let pixels = height * width;
    // Pixels of the bordered image in the order of the kernel's first tap, and as many as the last tap reaches.
    let outer = (height * (width + 2)).next_multiple_of(32);
    let reach = (outer + 2 * (width + 2) + 2).next_multiple_of(32);
    SCRATCH.with_borrow_mut(|scratch| {
        // SAFETY: `fits` found products of bf16.
        let unit = unsafe { Unit::set_up(crate::isa()) };
        let image = zeros(&mut scratch.image, reach.max((height + 2) * (width + 2)) * inputs);
        let transposed = zeros(&mut scratch.transposed, images * inputs * reach);
        let pairs = zeros(&mut scratch.pairs, images * outer * outputs);
        scratch.steps.clear();
        for i in 0..images {
            with_border(shape, inputs, &x[i * pixels * inputs..][..pixels * inputs], image);
            let out = &mut transposed[i * inputs * reach..][..inputs * reach];
            for p in (0..reach).step_by(32) {
                for c in (0..inputs).step_by(16) {
                    // SAFETY: the image holds 32 pixels from `p` on and 16 channels from `c` on, `out` likewise.
                    unsafe {
                        transpose_pairs(
                            image[p * inputs + c..].as_ptr(),
                            inputs,
                            out[c * reach + p..].as_mut_ptr(),
                            reach,
                        )
                    };
                }
            }
            for y in 0..height {
                for x in (0..width).step_by(2) {
                    let from = &dy[(i * pixels + y * width + x) * outputs..][..2 * outputs];
                    let to = &mut pairs[(i * outer + y * (width + 2) + x) * outputs..][..2 * outputs];
                    // SAFETY: two rows in, one row of pairs out.
                    unsafe { interleave_rows(from, to) };
                }
            }
            scratch.steps.extend(
                (0..outer / 32).map(|s| Step {
                    left: 2 * (i * inputs * reach + 32 * s),
                    right: 2 * (i * outer + 32 * s) * outputs,
                }),
            );
        }
        for tap in 0..9 {
            let shift = tap / 3 * (width + 2) + tap % 3;
            for row in (0..inputs).step_by(32) {
                let left = [row, row + 16].map(|row| transposed[row * reach + shift..].as_ptr().cast());
                for column in (0..outputs).step_by(32) {
                    let right = [column, column + 16].map(|c| pairs[2 * c..].as_ptr().cast());
                    let at = dw[(tap * inputs + row) * outputs + column..].as_mut_ptr();
                    let (left, right) = (Factor(left, 2 * reach), Factor(right, 4 * outputs));
                    // SAFETY: the lists hold `outer` pixels from each place (those of the last tap end before `reach`), and
                    // `dw` two tiles of rows.
                    unsafe {
                        let block = [at, at.add(16 * outputs)];
                        let from = From::Rows(block.map(<*mut f32>::cast_const), outputs);
                        let (steps, to_stride) = (&scratch.steps[..], outputs);
                        unit.block(Block { steps, left, right, from, to: block, to_stride });
                    }
                }
            }
        }
    });
}
