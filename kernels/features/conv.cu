// Convolution with reflect padding and the gradient of its image, channels last, as products of matrices that are never
// written down: a row is a pixel, the depth runs over taps and channels (implicit GEMM).
//
// Images of one size lie one after the other and are numbered by the grid's third dimension.
// Weights are packed by features_pack (conv_weights.cu): [depth padded to 16, channels padded to kCols]. One kernel for each
// width of the tile, in channels: 64, 32 and 16.
// CPU twin: src/layers/conv2d.
#include "features/phase.cuh"
#include "features/tile.cuh"

__device__ __forceinline__ int reflect(int i, int n) {
    i = i < 0 ? -i : i;
    return i >= n ? 2 * n - 2 - i : i;
}

__device__ __forceinline__ void add(float& a, float b) { a += b; }
__device__ __forceinline__ void add(float4& a, float4 b) { a = a + b; }

// The image as a convolution reads it; positions are those of the first tap.
struct Patches {
    const float* image;
    int height, width, channels, out_width, kernel, stride;
    int taps_across;

    __device__ __forceinline__ void position(int m, int& y, int& x) const {
        y = m / out_width * stride - kernel / 2;
        x = m % out_width * stride - kernel / 2;
    }
    // Where the values of pixel `m` go.
    __device__ __forceinline__ int target(int m) const { return m; }

    template <class T>
    __device__ __forceinline__ T at(int y, int x, int i, int j, int c) const {
        return *(const T*)(image + (reflect(y + i, height) * width + reflect(x + j, width)) * channels + c);
    }
};

// The gradient of the output as pixels of one phase of the image read it; positions are those of the image.
struct Contributions {
    const float* gradient;
    int height, width, channels, out_height, out_width, kernel, stride;
    int taps_across, phase_width;
    Phase phase;

    __device__ __forceinline__ void position(int m, int& y, int& x) const {
        y = phase.y + m / phase_width * stride;
        x = phase.x + m % phase_width * stride;
    }
    __device__ __forceinline__ int target(int m) const {
        int y, x;
        position(m, y, x);
        return y * width + x;
    }
    // Output row (or column) times the stride that reads row `y` of `n` by tap `k`; negative if none. `copy` 0 is the
    // row itself, 1 and 2 are its mirror images before the first and behind the last row.
    __device__ __forceinline__ int reader(int copy, int y, int n, int k) const {
        int pad = kernel / 2;
        if (copy == 0) return y + pad - k;
        if (copy == 1) return y >= 1 && y <= pad ? pad - y - k : -1;
        return y >= n - 1 - pad && y <= n - 2 ? pad + 2 * (n - 1) - y - k : -1;
    }
    template <class T>
    __device__ __forceinline__ void add_at(T& sum, int row, int col, int c) const {
        if (row < 0 || row >= out_height * stride || col < 0 || col >= out_width * stride) return;
        add(sum, *(const T*)(gradient + (row / stride * out_width + col / stride) * channels + c));
    }
    template <class T>
    __device__ __forceinline__ T at(int y, int x, int i, int j, int c) const {
        int ky = phase.ky + stride * i, kx = phase.kx + stride * j, pad = kernel / 2;
        T sum = T();
        add_at(sum, reader(0, y, height, ky), reader(0, x, width, kx), c);
        // Only pixels as near to a border as the padding is wide have mirror images.
        if (min(min(y, height - 1 - y), min(x, width - 1 - x)) > pad) return sum;
#pragma unroll 1
        for (int copy = 1; copy < 9; copy++) {
            add_at(sum, reader(copy / 3, y, height, ky), reader(copy % 3, x, width, kx), c);
        }
        return sum;
    }
};

// What a thread brings: the same four depths of several pixels, and four channels of weights.
template <int kRows, int kCols, class Source>
struct ConvLoader {
    static constexpr int kThreads = Place<kRows, kCols>::kThreads;
    static constexpr int kPixels = kRows * kDepth / 4 / kThreads;
    static constexpr int kWeights = kCols * kDepth / 4 / kThreads;
    const Source& source;
    const float* weights; // of this tile's first channel
    int padded_channels, depth;
    int y[kPixels], x[kPixels];
    float4 pixels[kPixels], packed[kWeights];

    __device__ __forceinline__ ConvLoader(const Source& source, const float* weights, int padded_channels, int depth,
                                          int first, int count)
        : source(source), weights(weights), padded_channels(padded_channels), depth(depth) {
        // Pixels beyond the last are read as the last and not written.
#pragma unroll
        for (int i = 0; i < kPixels; i++) source.position(min(first + pixel(i), count - 1), y[i], x[i]);
    }
    __device__ __forceinline__ int pixel(int i) const { return threadIdx.x / 4 + i * (kThreads / 4); }

    __device__ __forceinline__ void fetch(int step) {
#pragma unroll
        for (int i = 0; i < kWeights; i++) {
            int quad = threadIdx.x + i * kThreads;
            int row = step * kDepth + quad / (kCols / 4);
            packed[i] = *(const float4*)(weights + row * padded_channels + quad % (kCols / 4) * 4);
        }
        int k = step * kDepth + threadIdx.x % 4 * 4;
        if (source.channels % 4 == 0) {
            int tap = k / source.channels, c = k - tap * source.channels;
            int i = tap / source.taps_across, j = tap - i * source.taps_across;
#pragma unroll
            for (int p = 0; p < kPixels; p++) {
                pixels[p] = k < depth ? source.template at<float4>(y[p], x[p], i, j, c) : zero4();
            }
            return;
        }
        int c[4], i[4], j[4];
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int tap = (k + e) / source.channels;
            c[e] = k + e - tap * source.channels;
            i[e] = tap / source.taps_across;
            j[e] = tap - i[e] * source.taps_across;
        }
#pragma unroll
        for (int p = 0; p < kPixels; p++) {
            float v[4];
#pragma unroll
            for (int e = 0; e < 4; e++) {
                v[e] = k + e < depth ? source.template at<float>(y[p], x[p], i[e], j[e], c[e]) : 0.0f;
            }
            pixels[p] = make_float4(v[0], v[1], v[2], v[3]);
        }
    }
    __device__ __forceinline__ void store(Tile<kRows, kCols>& tile, int stage) const {
        int k = threadIdx.x % 4 * 4;
#pragma unroll
        for (int p = 0; p < kPixels; p++) {
            tile.rows[stage][k + 0][pixel(p)] = pixels[p].x;
            tile.rows[stage][k + 1][pixel(p)] = pixels[p].y;
            tile.rows[stage][k + 2][pixel(p)] = pixels[p].z;
            tile.rows[stage][k + 3][pixel(p)] = pixels[p].w;
        }
#pragma unroll
        for (int i = 0; i < kWeights; i++) {
            int quad = threadIdx.x + i * kThreads;
            *(float4*)&tile.cols[stage][quad / (kCols / 4)][quad % (kCols / 4) * 4] = packed[i];
        }
    }
};

// Pixels from blockIdx.x · kRows of `count`, channels from blockIdx.y · kCols of `channels`.
template <int kRows, int kCols, class Source>
__device__ __forceinline__ void convolve(Tile<kRows, kCols>& tile, const Source& source, const float* weights,
                                         const float* bias, float* output, int depth, int count, int channels,
                                         bool accumulate) {
    int first = blockIdx.x * kRows, first_channel = blockIdx.y * kCols;
    Place<kRows, kCols> place;
    ConvLoader<kRows, kCols, Source> loader(source, weights + first_channel, gridDim.y * kCols, depth, first, count);
    float sum[8][4];
    walk(tile, place, loader, ceil_div(depth, kDepth), sum);
    int channel = first_channel + place.col, left = channels - channel;
    if (left <= 0) return;
    bool whole = channels % 4 == 0;
    float4 offset = bias ? read4(bias + channel, false, left) : zero4();
#pragma unroll
    for (int i = 0; i < 8; i++) {
        int m = first + place.row_of(i);
        if (m >= count) continue;
        float* out = output + source.target(m) * channels + channel;
        float4 value = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]) + offset;
        if (accumulate) value = value + read4(out, whole, left);
        write4(out, value, whole, left);
    }
}

template <int kRows, int kCols>
__device__ __forceinline__ void forward(Tile<kRows, kCols>& tile, const float* image, const float* weights,
                                        const float* bias, float* output, int height, int width, int in_channels,
                                        int out_height, int out_width, int out_channels, int kernel, int stride) {
    image += u64(blockIdx.z) * height * width * in_channels;
    output += u64(blockIdx.z) * out_height * out_width * out_channels;
    Patches source{image, height, width, in_channels, out_width, kernel, stride, kernel};
    int depth = kernel * kernel * in_channels;
    convolve(tile, source, weights, bias, output, depth, out_height * out_width, out_channels, false);
}

template <int kRows, int kCols>
__device__ __forceinline__ void backward(Tile<kRows, kCols>& tile, const float* gradient, const float* weights,
                                         float* d_image, int height, int width, int in_channels, int out_height,
                                         int out_width, int out_channels, int kernel, int stride, int accumulate) {
    int phases = stride * stride, number = blockIdx.z / phases;
    gradient += u64(number) * out_height * out_width * out_channels;
    d_image += u64(number) * height * width * in_channels;
    Phase phase = phase_of(blockIdx.z % phases, kernel, stride, out_channels, kDepth);
    int phase_width = ceil_div(width - phase.x, stride), count = ceil_div(height - phase.y, stride) * phase_width;
    // The grid is as large as the largest phase.
    if (int(blockIdx.x) * kRows >= count) return;
    Contributions source{gradient,  height, width,  out_channels, out_height,
                         out_width, kernel, stride, phase.cols,   phase_width, phase};
    weights += phase.start * int(gridDim.y) * kCols;
    convolve(tile, source, weights, (const float*)0, d_image, phase.depth, count, in_channels, accumulate != 0);
}

// output = image * weights + bias. image: [height, width, in_channels]; output: [out_height, out_width, out_channels];
// bias: [out_channels] or null. All pointers but bias aligned to 16 bytes.
// Launch: grid (out pixels / kRows, out_channels / kCols, images), the first two rounded up, block (kRows · kCols / 32).
#define CONV_FORWARD(kRows, kCols)                                                                                     \
    KERNEL(features_conv_##kCols)                                                                                      \
    (const float* image, const float* weights, const float* bias, float* output, int height, int width,               \
     int in_channels, int out_height, int out_width, int out_channels, int kernel, int stride) {                      \
        __shared__ Tile<kRows, kCols> tile;                                                                            \
        forward(tile, image, weights, bias, output, height, width, in_channels, out_height, out_width, out_channels,  \
                kernel, stride);                                                                                       \
    }                                                                                                                  \
    EXPORT(features_conv_##kCols)

// d_image (+= if accumulate) the gradient of the image, given that of the output.
// Launch: grid (pixels of the first phase / kRows, in_channels / kCols, images · stride²), block (kRows · kCols / 32).
#define CONV_BACKWARD(kRows, kCols)                                                                                    \
    KERNEL(features_conv_image_##kCols)                                                                                \
    (const float* gradient, const float* weights, float* d_image, int height, int width, int in_channels,             \
     int out_height, int out_width, int out_channels, int kernel, int stride, int accumulate) {                       \
        __shared__ Tile<kRows, kCols> tile;                                                                            \
        backward(tile, gradient, weights, d_image, height, width, in_channels, out_height, out_width, out_channels,   \
                 kernel, stride, accumulate);                                                                          \
    }                                                                                                                  \
    EXPORT(features_conv_image_##kCols)

CONV_FORWARD(64, 64)
CONV_FORWARD(128, 32)
CONV_FORWARD(128, 16)
CONV_BACKWARD(64, 64)
CONV_BACKWARD(128, 32)
CONV_BACKWARD(128, 16)
