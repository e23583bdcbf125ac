// Kernels that try the emulation itself.
#include "common/mma.cuh"

#if !defined(SCALE)
#define SCALE 2
#endif

// y[i] = SCALE · x[i]. Launch: one thread an item.
KERNEL(probe_scale)(const float* x, float* y, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] = SCALE * x[i];
}
EXPORT(probe_scale)

// y[block] = sum of `width` numbers. Launch: one block a row, 64 threads.
KERNEL(probe_row_sum)(const float* x, float* y, int width) {
    __shared__ float parts[2];
    float sum = 0;
    for (int i = threadIdx.x; i < width; i += blockDim.x) sum += x[blockIdx.x * width + i];
    sum = warp_sum(sum);
    if (lane_id() == 0) parts[threadIdx.x / kWarp] = sum;
    __syncthreads();
    if (threadIdx.x == 0) y[blockIdx.x] = parts[0] + parts[1];
}
EXPORT(probe_row_sum)

// d [16, 8] = a [16, K] · b [K, 8] of whole numbers, by each kind of product. Launch: one warp.
KERNEL(probe_products)(const float* a, const float* b, float* bf16, float* tf32) {
    int lane = lane_id(), g = lane / 4, t = lane % 4;
    auto at = [&](int r, int k) { return a[r * 16 + k]; };
    auto bt = [&](int k, int n) { return b[k * 8 + n]; };
    float d[4] = {0, 0, 0, 0};
    unsigned x[4], y[2];
    for (int r = 0; r < 4; r++) {
        int row = g + (r & 1) * 8, k = 2 * t + (r >> 1) * 8;
        x[r] = pack_bf16(at(row, k), at(row, k + 1));
    }
    for (int r = 0; r < 2; r++) y[r] = pack_bf16(bt(2 * t + 8 * r, g), bt(2 * t + 8 * r + 1, g));
    mma_bf16(d, x, y);
    float e[4] = {0, 0, 0, 0};
    for (int half = 0; half < 2; half++) {
        for (int r = 0; r < 4; r++) x[r] = to_tf32(at(g + (r & 1) * 8, 8 * half + t + (r >> 1) * 4));
        for (int r = 0; r < 2; r++) y[r] = to_tf32(bt(8 * half + t + 4 * r, g));
        mma_tf32(e, x, y);
    }
    for (int r = 0; r < 4; r++) {
        int place = (g + (r >> 1) * 8) * 8 + 2 * t + (r & 1);
        bf16[place] = d[r];
        tf32[place] = e[r];
    }
}
EXPORT(probe_products)
