// Taps of the gradient of a convolution's image, and the order in which its weights are packed.
//
// Row y of the image lies at y + pad of the padded one, and its mirror images at rows of the same parity. With stride
// s (1 or 2), the taps that read it are therefore ky, ky + s, ... with ky = (y + pad) mod s: the s·s phases of the image are
// products of their own, without the taps that would only add zeros.
#pragma once
#include "common/portable.cuh"

struct Phase {
    int y, x;       // first row and column of the image
    int ky, kx;     // first tap
    int rows, cols; // number of taps
    int start;      // first row of its packed weights
    int depth;      // rows of its packed weights, without the padding
};

// Phase number `z`; `channels` are those of the convolution's output. Rows are padded to a multiple of `unit`.
__device__ __forceinline__ Phase phase_of(int z, int kernel, int stride, int channels, int unit) {
    Phase p;
    p.start = p.depth = 0;
    for (int i = 0; i <= z; i++) {
        p.start += ceil_div(p.depth, unit) * unit;
        p.y = i / stride;
        p.x = i % stride;
        p.ky = (p.y + kernel / 2) % stride;
        p.kx = (p.x + kernel / 2) % stride;
        p.rows = p.ky < kernel ? (kernel - p.ky - 1) / stride + 1 : 0;
        p.cols = p.kx < kernel ? (kernel - p.kx - 1) / stride + 1 : 0;
        p.depth = p.rows * p.cols * channels;
    }
    return p;
}
