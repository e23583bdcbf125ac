// Sums over the pixels of a map [pixels, channels], channel by channel.
//
// First stage: blocks of blockDim.x channels (a power of two up to 32) times blockDim.y (a power of two) pixels at a time,
// kStrip times; block (chunk, group) leaves two numbers for each of its channels in partial [chunks, 2, channels]. Second
// stage: blocks of 32 channels x 32 rows add the chunks up in f64, of which there are so few that its speed is of no
// matter. Images of one size lie one after the other and are numbered by the grid's third dimension, as their sums are.
#pragma once
#include "common/portable.cuh"
#include "features/twins.cuh"

// The pixels of a thread: first, first + blockDim.y, ... below `end`.
struct Strip {
    int channel, first, end;
    __device__ __forceinline__ Strip(int pixels, int channels) {
        int begin = blockIdx.x * blockDim.y * kStrip;
        channel = blockIdx.y * blockDim.x + threadIdx.x;
        first = begin + threadIdx.y;
        end = channel < channels ? min(begin + int(blockDim.y) * kStrip, pixels) : 0;
    }
};

// Adds the two numbers of all rows of a block up; the sums are those of row 0. All threads of the block come here.
__device__ __forceinline__ float2 sum_rows(float2 value) {
    __shared__ float2 rows[kColumnThreads];
    int at = threadIdx.y * blockDim.x + threadIdx.x;
    rows[at] = value;
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (int(threadIdx.y) < half) {
            float2 other = rows[at + half * blockDim.x];
            value.x += other.x;
            value.y += other.y;
            rows[at] = value;
        }
    }
    return value;
}

// partial of this block and channel.
__device__ __forceinline__ float* partial_of(float* partial, int channels, int channel) {
    return partial + (blockIdx.z * gridDim.x + blockIdx.x) * 2 * channels + channel;
}

// Where the values of this block's image begin.
__device__ __forceinline__ u64 first_value(int pixels, int channels) { return u64(blockIdx.z) * pixels * channels; }

struct Pair {
    double x, y;
};

// As sum_rows in f64, for blocks of 32 x 32.
__device__ __forceinline__ Pair sum_rows_wide(Pair value) {
    __shared__ Pair rows[32][33];
    rows[threadIdx.y][threadIdx.x] = value;
    for (int half = 16; half > 0; half /= 2) {
        __syncthreads();
        if (int(threadIdx.y) < half) {
            Pair other = rows[threadIdx.y + half][threadIdx.x];
            value.x += other.x;
            value.y += other.y;
            rows[threadIdx.y][threadIdx.x] = value;
        }
    }
    return value;
}

// Sums of the chunks in partial [chunks, 2, channels], for row 0 of a block of 32 x 32.
__device__ __forceinline__ Pair sum_chunks(const float* partial, int channels, int channel, int chunks) {
    Pair sum{0, 0};
    if (channel < channels) {
#pragma unroll 4
        for (int i = threadIdx.y; i < chunks; i += 32) {
            sum.x += partial[i * 2 * channels + channel];
            sum.y += partial[(i * 2 + 1) * channels + channel];
        }
    }
    return sum_rows_wide(sum);
}
