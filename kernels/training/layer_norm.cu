// Layer normalisation over the channels of each row, one warp a row.
// CPU twin: src/layers/layer_norm/mod.rs.
#include "common/portable.cuh"
#include "training/twins.cuh"

// normal = (x − mean) · scale, scale = 1 / sqrt(variance + eps), y = normal · gain + bias.
// x, normal, y: [rows, width]; scale: [rows]; gain, bias: [width]. Launch: grid (rows / kWarpsOfBlock), a warp a row.
KERNEL(training_layer_norm)(const float* x, const float* gain, const float* bias, float eps, int rows, int width,
                            float* normal, float* scale, float* y) {
    int row = blockIdx.x * kWarpsOfBlock + threadIdx.x / kWarp, lane = lane_id();
    if (row >= rows) return;
    long long at = (long long)row * width;
    float sum = 0.f, squares = 0.f;
    for (int c = lane; c < width; c += kWarp) sum += x[at + c];
    float mean = warp_sum(sum) / width;
    // A second pass over the cached row: the difference of two large sums would lose the variance.
    for (int c = lane; c < width; c += kWarp) {
        float d = x[at + c] - mean;
        squares += d * d;
    }
    float s = 1.f / sqrtf(warp_sum(squares) / width + eps);
    if (lane == 0) scale[row] = s;
    for (int c = lane; c < width; c += kWarp) {
        float n = (x[at + c] - mean) * s;
        normal[at + c] = n;
        y[at + c] = n * gain[c] + bias[c];
    }
}
EXPORT(training_layer_norm)

// dx += scale · (dy · gain − mean(dy · gain) − normal · mean(dy · gain · normal)); partial[block] holds the block's
// sums of dy · normal and of dy, [2, width]. Each lane sums its own channels in shared memory, so that the order is
// fixed.
// Launch: any grid, kWarpsOfBlock warps, shared kWarpsOfBlock · 2 · width floats.
KERNEL(training_layer_norm_backward)(const float* normal, const float* scale, const float* gain, const float* dy,
                                     int rows, int width, float* dx, float* partial) {
    DYNAMIC_SHARED(float, shared);
    int warp = threadIdx.x / kWarp, lane = lane_id();
    float* d_gain = shared + warp * 2 * width;
    float* d_bias = d_gain + width;
    for (int c = lane; c < width; c += kWarp) d_gain[c] = d_bias[c] = 0.f;
    for (int row = blockIdx.x * kWarpsOfBlock + warp; row < rows; row += gridDim.x * kWarpsOfBlock) {
        long long at = (long long)row * width;
        float sum = 0.f, dot = 0.f;
        for (int c = lane; c < width; c += kWarp) {
            float d = dy[at + c], n = normal[at + c], e = d * gain[c];
            sum += e;
            dot += e * n;
            d_gain[c] += d * n;
            d_bias[c] += d;
        }
        float mean = warp_sum(sum) / width, along = warp_sum(dot) / width, s = scale[row];
        for (int c = lane; c < width; c += kWarp) {
            dx[at + c] += s * (dy[at + c] * gain[c] - mean - normal[at + c] * along);
        }
    }
    __syncthreads();
    for (int c = threadIdx.x; c < 2 * width; c += blockDim.x) {
        float sum = 0.f;
        for (int w = 0; w < kWarpsOfBlock; w++) sum += shared[w * 2 * width + c];
        partial[(long long)blockIdx.x * 2 * width + c] = sum;
    }
}
EXPORT(training_layer_norm_backward)
