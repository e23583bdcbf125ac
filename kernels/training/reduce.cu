// Sums in a fixed order, whatever the schedule: first by blocks, then over the blocks.
#include "common/portable.cuh"
#include "training/finish.cuh"
#include "training/twins.cuh"

// partial[block, cols] = sums over the block's `part` rows of x [rows, cols].
// A thread keeps to one column; several rows are read at once where they are short, always without gaps.
// Launch: grid (parts, cols / kSumColumns), block kSumColumns. CPU twin: add_column_sums in src/layers/linear/mod.rs.
KERNEL(training_column_sums)(const float* x, int rows, int cols, int part, float* partial) {
    __shared__ float parts[kSumColumns];
    int first_col = blockIdx.y * kSumColumns, wide = min(cols - first_col, kSumColumns), at_once = kSumColumns / wide;
    int col = threadIdx.x % wide, line = threadIdx.x / wide;
    int first = blockIdx.x * part, last = min(rows, first + part);
    float sum = 0.f;
    if (line < at_once) {
        for (int r = first + line; r < last; r += at_once) sum += x[(long long)r * cols + first_col + col];
    }
    parts[threadIdx.x] = sum;
    __syncthreads();
    if (line == 0) {
        for (int l = 1; l < at_once; l++) sum += parts[l * wide + col];
        partial[(long long)blockIdx.x * cols + first_col + col] = sum;
    }
}
EXPORT(training_column_sums)

// c [m, n] = finish(sums over `count` matrices [m, n] in partial), rows of c `stride` apart.
// Each kReduceColumns results are the work of kReduceWarps warps, which share the matrices among them.
// Launch: grid (m · n / kReduceColumns), block kReduceColumns · kReduceWarps.
KERNEL(training_reduce)(const float* partial, int count, int m, int n, float* c, int stride, const float* bias,
                        float alpha, int accumulate, int relu) {
    __shared__ float parts[kReduceWarps][kReduceColumns];
    int lane = threadIdx.x % kReduceColumns, warp = threadIdx.x / kReduceColumns;
    long long i = (long long)blockIdx.x * kReduceColumns + lane, size = (long long)m * n;
    float sum = 0.f;
    if (i < size) {
#pragma unroll 4
        for (int p = warp; p < count; p += kReduceWarps) sum += partial[p * size + i];
    }
    parts[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && i < size) {
        for (int w = 1; w < kReduceWarps; w++) sum += parts[w][lane];
        int column = (int)(i % n);
        float* to = c + i / n * stride + column;
        *to = Finish{bias, alpha, accumulate, relu}(sum, column, to);
    }
}
EXPORT(training_reduce)
