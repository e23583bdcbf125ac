// Weights of convolutions: packing for the products of conv.cu, and their gradients.
//
// A gradient is a product over all pixels with few rows and columns, so pixels are split over blocks that write partial
// products, and a second kernel adds those up in a fixed order: unlike atomic additions, two runs give the same bits,
// which resumed trainings rely on.
// CPU twin: src/layers/conv2d.
#include "features/phase.cuh"
#include "features/tile.cuh"

// Packs the weights [out_channels, in_channels, kernel, kernel] of several convolutions, each to [depth padded to 16,
// padded_channels] with zeros around, one value a thread. Forward: rows are (ky, kx, in), columns out. For the gradient of the
// image: rows are (ky, kx, out) phase by phase, see phase.cuh, columns in.
KERNEL(features_pack)(const PackJob* jobs, int count, int values) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= values) return;
    int number = 0;
    while (number + 1 < count && at >= jobs[number + 1].first) number++;
    const PackJob job = jobs[number];
    at -= job.first;
    int row = at / job.padded_channels, col = at - row * job.padded_channels;
    int rows = job.for_image ? job.out_channels : job.in_channels, cols = job.for_image ? job.in_channels : job.out_channels;
    int kernel = job.kernel, stride = job.stride;
    int first_y = 0, first_x = 0, step = 1, across = kernel, depth = kernel * kernel * rows;
    if (job.for_image) {
        Phase phase = phase_of(0, kernel, stride, job.out_channels, kDepth);
        for (int z = 1; z < stride * stride; z++) {
            Phase next = phase_of(z, kernel, stride, job.out_channels, kDepth);
            if (row >= next.start) phase = next;
        }
        row -= phase.start;
        first_y = phase.ky, first_x = phase.kx, step = stride, across = phase.cols, depth = phase.depth;
    }
    float value = 0;
    if (row < depth && col < cols) {
        int tap = row / rows, channel = row - tap * rows;
        int y = first_y + step * (tap / across), x = first_x + step * (tap % across);
        int out = job.for_image ? channel : col, in = job.for_image ? col : channel;
        value = job.weights[((out * job.in_channels + in) * kernel + y) * kernel + x];
    }
    job.packed[at] = value;
}
EXPORT(features_pack)

__device__ __forceinline__ int mirrored(int i, int n) {
    i = i < 0 ? -i : i;
    return i >= n ? 2 * n - 2 - i : i;
}

struct ConvSizes {
    int height, width, in_channels, out_height, out_width, out_channels, kernel, stride;
};

// What a thread brings of a step of kDepth pixels: for some of them four inputs of a patch, the same for all steps, and
// four channels of the gradient.
template <int kRows, int kCols>
struct GradientLoader {
    static constexpr int kThreads = Place<kRows, kCols>::kThreads;
    static constexpr int kPatches = kRows * kDepth / 4 / kThreads;
    static constexpr int kGradients = kCols * kDepth / 4 / kThreads;
    const float *image, *gradient;
    const ConvSizes& s;
    int begin, end; // pixels, those of all images one after the other
    int ky[4], kx[4], c[4], inputs;
    int channel;
    float4 patches[kPatches], gradients[kGradients];

    __device__ __forceinline__ GradientLoader(const float* image, const float* gradient, const ConvSizes& s, int begin,
                                              int end)
        : image(image), gradient(gradient), s(s), begin(begin), end(end) {
        int k = blockIdx.x * kRows + threadIdx.x % (kRows / 4) * 4;
        inputs = max(0, min(4, s.kernel * s.kernel * s.in_channels - k));
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int tap = (k + e) / s.in_channels;
            c[e] = k + e - tap * s.in_channels;
            ky[e] = tap / s.kernel - s.kernel / 2;
            kx[e] = tap % s.kernel - s.kernel / 2;
        }
        channel = blockIdx.y * kCols + threadIdx.x % (kCols / 4) * 4;
    }
    __device__ __forceinline__ float at(const float* from, int y, int x, int e) const {
        if (e >= inputs) return 0;
        int row = mirrored(y + ky[e], s.height), col = mirrored(x + kx[e], s.width);
        return from[(row * s.width + col) * s.in_channels + c[e]];
    }
    __device__ __forceinline__ void fetch(int step) {
#pragma unroll
        for (int i = 0; i < kPatches; i++) {
            int m = begin + step * kDepth + (threadIdx.x + i * kThreads) / (kRows / 4);
            patches[i] = zero4();
            if (m >= end || inputs <= 0) continue;
            int number = m / (s.out_height * s.out_width), pixel = m - number * s.out_height * s.out_width;
            const float* from = image + u64(number) * s.height * s.width * s.in_channels;
            int y = pixel / s.out_width, x = pixel - y * s.out_width;
            y *= s.stride, x *= s.stride;
            if (s.in_channels % 4 == 0) {
                int row = mirrored(y + ky[0], s.height), col = mirrored(x + kx[0], s.width);
                patches[i] = *(const float4*)(from + (row * s.width + col) * s.in_channels + c[0]);
            } else {
                patches[i] = make_float4(at(from, y, x, 0), at(from, y, x, 1), at(from, y, x, 2), at(from, y, x, 3));
            }
        }
#pragma unroll
        for (int i = 0; i < kGradients; i++) {
            int m = begin + step * kDepth + (threadIdx.x + i * kThreads) / (kCols / 4);
            int left = s.out_channels - channel;
            gradients[i] = zero4();
            if (m < end && left > 0) {
                gradients[i] = read4(gradient + m * s.out_channels + channel, s.out_channels % 4 == 0, left);
            }
        }
    }
    __device__ __forceinline__ void store(Tile<kRows, kCols>& tile, int stage) const {
#pragma unroll
        for (int i = 0; i < kPatches; i++) {
            int quad = threadIdx.x + i * kThreads;
            *(float4*)&tile.rows[stage][quad / (kRows / 4)][quad % (kRows / 4) * 4] = patches[i];
        }
#pragma unroll
        for (int i = 0; i < kGradients; i++) {
            int quad = threadIdx.x + i * kThreads;
            *(float4*)&tile.cols[stage][quad / (kCols / 4)][quad % (kCols / 4) * 4] = gradients[i];
        }
    }
};

template <int kRows, int kCols>
__device__ __forceinline__ void weight_gradient(Tile<kRows, kCols>& tile, const float* image, const float* gradient,
                                                float* partial, const ConvSizes& s, int images, int split) {
    int begin = blockIdx.z * split, end = min(begin + split, images * s.out_height * s.out_width);
    Place<kRows, kCols> place;
    GradientLoader<kRows, kCols> loader(image, gradient, s, begin, end);
    float sum[8][4];
    walk(tile, place, loader, ceil_div(end - begin, kDepth), sum);
    int cols = gridDim.y * kCols;
    float* out = partial + (blockIdx.z * gridDim.x + blockIdx.x) * kRows * cols + blockIdx.y * kCols + place.col;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        *(float4*)(out + place.row_of(i) * cols) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
    }
}

// partial [splits, kernel² · in_channels padded to kRows, out_channels padded to kCols]: products over `split` pixels each.
// image: [images, height, width, in_channels]; gradient: [images, out_height, out_width, out_channels]; pointers aligned to 16
// bytes.
// Launch: grid (rows of a partial / kRows, its columns / kCols, splits), block (kRows · kCols / 32).
#define CONV_WEIGHTS(kRows, kCols)                                                                                     \
    KERNEL(features_conv_weights_##kCols)                                                                              \
    (const float* image, const float* gradient, float* partial, int height, int width, int in_channels,               \
     int out_height, int out_width, int out_channels, int kernel, int stride, int images, int split) {                \
        __shared__ Tile<kRows, kCols> tile;                                                                            \
        ConvSizes sizes{height, width, in_channels, out_height, out_width, out_channels, kernel, stride};             \
        weight_gradient(tile, image, gradient, partial, sizes, images, split);                                        \
    }                                                                                                                  \
    EXPORT(features_conv_weights_##kCols)

CONV_WEIGHTS(64, 64)
CONV_WEIGHTS(128, 32)
CONV_WEIGHTS(128, 16)

// Adds the sum of `splits` partial products [padded_rows, padded_cols] to gradients [out_channels, in_channels, kernel²].
// Launch: one thread for each of kernel² · in_channels · padded_cols values.
KERNEL(features_conv_weights_sum)(const float* partial, float* gradients, int splits, int padded_rows, int padded_cols,
                                  int in_channels, int out_channels, int taps) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    int row = at / padded_cols, out = at - row * padded_cols;
    if (row >= taps * in_channels || out >= out_channels) return;
    float sum = 0;
#pragma unroll 4
    for (int i = 0; i < splits; i++) sum += partial[i * padded_rows * padded_cols + at];
    int tap = row / in_channels, in = row - tap * in_channels;
    gradients[(out * in_channels + in) * taps + tap] += sum;
}
EXPORT(features_conv_weights_sum)
