// Depthwise convolution over grids of tokens: each channel looks at its 3 by 3 neighbours, beyond the grid are zeros.
#include "common/portable.cuh"

// y = weight ∗ x + bias, and x with `residual`. x, y: [images, height, width, channels]; weight: [9, channels].
// Launch: one thread a value. CPU twin: src/layers/depthwise/mod.rs.
KERNEL(images_depthwise)(const float* x, const float* weight, const float* bias, int height, int width, int channels,
                         int residual, float* y, u64 count) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int channel = (int)(i % channels);
    u64 token = i / channels;
    int column = (int)(token % width), row = (int)(token / width % height);
    float sum = bias[channel] + (residual ? x[i] : 0.f);
    for (int tap = 0; tap < 9; tap++) {
        int dy = tap / 3 - 1, dx = tap % 3 - 1;
        if (row + dy < 0 || row + dy >= height || column + dx < 0 || column + dx >= width) continue;
        long long other = (long long)i + ((long long)dy * width + dx) * channels;
        sum += weight[tap * channels + channel] * x[other];
    }
    y[i] = sum;
}
EXPORT(images_depthwise)
