// What makes fewer tokens of many: maxima, means and weighted means.
#include "common/portable.cuh"

// The maximum of every 2 by 2 pixels: y [images, height / 2, width / 2, channels] from x [images, height, width, channels]
// with even sides. Launch: one thread a value of y. CPU twin: src/layers/max_pool/mod.rs.
KERNEL(images_max_pool)(const float* x, int width, int channels, float* y, u64 count) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int channel = (int)(i % channels);
    u64 pixel = i / channels;
    // Two rows of the input follow one another where one row of the output does.
    u64 first = (pixel / (width / 2) * 2 * width + pixel % (width / 2) * 2) * channels + channel;
    u64 below = first + (u64)width * channels;
    y[i] = fmaxf(fmaxf(x[first], x[first + channels]), fmaxf(x[below], x[below + channels]));
}
EXPORT(images_max_pool)

// Means over `parts` by `parts` parts that cover the grid, as PyTorch's adaptive pooling has them:
// y [images, parts, parts, channels] from x [images, height, width, channels].
// Launch: one thread a value of y. CPU twin: pool in src/layers/reduced_attention/reduction.rs.
KERNEL(images_means)(const float* x, int height, int width, int channels, int parts, float* y, u64 count) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int channel = (int)(i % channels);
    u64 part = i / channels;
    int column = (int)(part % parts), row = (int)(part / parts % parts);
    u64 image = part / parts / parts;
    int top = row * height / parts, bottom = ceil_div((row + 1) * height, parts);
    int left = column * width / parts, right = ceil_div((column + 1) * width, parts);
    float sum = 0.f;
    for (int r = top; r < bottom; r++)
        for (int c = left; c < right; c++) sum += x[((image * height + r) * width + c) * channels + channel];
    y[i] = sum / ((bottom - top) * (right - left));
}
EXPORT(images_means)

// y [images, channels] = the tokens' mean, weighted by a softmax of their scores [images, tokens]; x: [images, tokens,
// channels]. Each thread has a channel of an image and reads the few scores itself.
// Launch: one thread a value of y. CPU twin: src/layers/sequence_pool/mod.rs.
KERNEL(images_weighted_means)(const float* x, const float* scores, int tokens, int channels, float* y, u64 count) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u64 image = i / channels;
    const float* own = scores + image * tokens;
    const float* values = x + image * tokens * channels + i % channels;
    float largest = own[0], total = 0.f, sum = 0.f;
    for (int t = 1; t < tokens; t++) largest = fmaxf(largest, own[t]);
    for (int t = 0; t < tokens; t++) {
        float weight = __expf(own[t] - largest);
        total += weight;
        sum += weight * values[(long long)t * channels];
    }
    y[i] = sum / total;
}
EXPORT(images_weighted_means)
