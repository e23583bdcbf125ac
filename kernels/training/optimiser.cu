// Adam and the running average of the weights, for parameters that stay on the device.
//
// CPU twin: src/train/adam.rs.
#include "common/portable.cuh"
#include "training/twins.cuh"

// partials [blocks]: Σ x² over the values of each block, in f64 and in a fixed order.
// Launch: any number of blocks of kBlock threads; block b takes values b · kBlock, and on by blocks · kBlock.
KERNEL(optimiser_squares)(const float* x, double* partials, u64 count) {
    __shared__ double parts[kBlock];
    double sum = 0;
    for (u64 i = u64(blockIdx.x) * kBlock + threadIdx.x; i < count; i += u64(gridDim.x) * kBlock) sum += double(x[i]) * x[i];
    parts[threadIdx.x] = sum;
    for (int half = kBlock / 2; half > 0; half /= 2) {
        __syncthreads();
        if (int(threadIdx.x) < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    }
    if (threadIdx.x == 0) partials[blockIdx.x] = parts[0];
}
EXPORT(optimiser_squares)

// One step of Adam with the gradient times `clip` and moments that keep beta1 and beta2 of what they are, then average +=
// follow · (params - average). `rate` is the learning rate over the first moment's correction, `correct` the root of the second
// moment's. Launch: one thread a value.
KERNEL(optimiser_adam)(float* params, float* first, float* second, float* average, const float* grads, float beta1, float beta2,
                       float eps, float clip, float rate, float correct, float follow, u64 count) {
    u64 i = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float g = grads[i] * clip;
    float m = beta1 * first[i] + (1 - beta1) * g, v = beta2 * second[i] + (1 - beta2) * g * g;
    first[i] = m, second[i] = v;
    float p = params[i] - rate * m / (sqrtf(v) / correct + eps);
    params[i] = p;
    average[i] += follow * (p - average[i]);
}
EXPORT(optimiser_adam)
