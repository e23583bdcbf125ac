// Upsampling to twice the size with aligned corners, and joining of two maps. Channels last; one thread a value of an image.
// Images of one size lie one after the other and are numbered by the grid's third dimension.
// CPU twins: src/layers/upsample.rs, src/gnt/features/join.rs.
#include "common/portable.cuh"

// Sources of output row (or column) `i`: the lower one, its successor if there is one, and that one's share.
struct Taps {
    int low, high;
    float share;
    __device__ __forceinline__ Taps(int i, int n, float scale) {
        float position = i * scale;
        low = min(int(position), n - 1);
        high = min(low + 1, n - 1);
        share = position - low;
    }
    // How much of source `at` there is in the output.
    __device__ __forceinline__ float of(int at) const {
        return (at == low ? 1 - share : 0) + (at == high ? share : 0);
    }
};

// output [2 height, 2 width, channels]; a scale is (n - 1) / (2n - 1).
KERNEL(features_upsample)(const float* image, float* output, int height, int width, int channels, float scale_y,
                          float scale_x) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= 4 * height * width * channels) return;
    u64 first = u64(blockIdx.z) * height * width * channels;
    image += first, output += 4 * first;
    int pixel = at / channels, c = at - pixel * channels;
    Taps y(pixel / (2 * width), height, scale_y), x(pixel % (2 * width), width, scale_x);
    const float *low = image + y.low * width * channels + c, *high = image + y.high * width * channels + c;
    float left = low[x.low * channels] * (1 - y.share) + high[x.low * channels] * y.share;
    float right = low[x.high * channels] * (1 - y.share) + high[x.high * channels] * y.share;
    output[at] = left * (1 - x.share) + right * x.share;
}
EXPORT(features_upsample)

// The outputs that may read a source lie within 1 of it, as far as the scale goes.
__device__ __forceinline__ int first_reader(int at, float scale) {
    return scale > 0 ? max(0, int((at - 1) / scale) - 1) : 0;
}
__device__ __forceinline__ int last_reader(int at, int n, float scale) {
    return scale > 0 ? min(2 * n - 1, int((at + 1) / scale) + 1) : 2 * n - 1;
}

// d_image [height, width, channels] from d_output [2 height, 2 width, channels]: every source collects from its readers.
KERNEL(features_upsample_back)(const float* d_output, float* d_image, int height, int width, int channels,
                               float scale_y, float scale_x) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= height * width * channels) return;
    u64 first = u64(blockIdx.z) * height * width * channels;
    d_image += first, d_output += 4 * first;
    int pixel = at / channels, c = at - pixel * channels, y = pixel / width, x = pixel % width;
    int first_x = first_reader(x, scale_x), last_x = last_reader(x, width, scale_x);
    int last_y = last_reader(y, height, scale_y);
    float sum = 0;
    for (int i = first_reader(y, scale_y); i <= last_y; i++) {
        float row = Taps(i, height, scale_y).of(y), line = 0;
        if (row == 0) continue;
        for (int j = first_x; j <= last_x; j++) {
            float col = Taps(j, width, scale_x).of(x);
            if (col != 0) line += col * d_output[(i * 2 * width + j) * channels + c];
        }
        sum += row * line;
    }
    d_image[at] = sum;
}
EXPORT(features_upsample_back)

// joined [height, width, up_channels + skip_channels]: `up`, then `skip` [skip_height, skip_width, skip_channels] centred
// in zeros, an odd row or column more at the bottom or right.
KERNEL(features_join)(const float* up, const float* skip, float* joined, int height, int width, int up_channels,
                      int skip_height, int skip_width, int skip_channels) {
    int channels = up_channels + skip_channels;
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= height * width * channels) return;
    u64 first = u64(blockIdx.z) * height * width;
    up += first * up_channels, joined += first * channels;
    skip += u64(blockIdx.z) * skip_height * skip_width * skip_channels;
    int pixel = at / channels, c = at - pixel * channels;
    if (c < up_channels) {
        joined[at] = up[pixel * up_channels + c];
        return;
    }
    int y = pixel / width - (height - skip_height) / 2, x = pixel % width - (width - skip_width) / 2;
    bool inside = y >= 0 && y < skip_height && x >= 0 && x < skip_width;
    joined[at] = inside ? skip[(y * skip_width + x) * skip_channels + c - up_channels] : 0;
}
EXPORT(features_join)

// The transpose of features_join. Launch: one thread a value of d_joined.
KERNEL(features_split)(const float* d_joined, float* d_up, float* d_skip, int height, int width, int up_channels,
                       int skip_height, int skip_width, int skip_channels) {
    int channels = up_channels + skip_channels;
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= height * width * channels) return;
    u64 first = u64(blockIdx.z) * height * width;
    d_up += first * up_channels, d_joined += first * channels;
    d_skip += u64(blockIdx.z) * skip_height * skip_width * skip_channels;
    int pixel = at / channels, c = at - pixel * channels;
    if (c < up_channels) {
        d_up[pixel * up_channels + c] = d_joined[at];
        return;
    }
    int y = pixel / width - (height - skip_height) / 2, x = pixel % width - (width - skip_width) / 2;
    if (y >= 0 && y < skip_height && x >= 0 && x < skip_width) {
        d_skip[(y * skip_width + x) * skip_channels + c - up_channels] = d_joined[at];
    }
}
EXPORT(features_split)

// to = from, `count` values.
KERNEL(features_copy)(const float* from, float* to, int count) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < count) to[at] = from[at];
}
EXPORT(features_copy)
