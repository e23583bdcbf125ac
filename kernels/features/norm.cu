// Instance normalisation over one image [pixels, channels], with a residual and an activation.
//
// Statistics in two stages: chunks of a few hundred pixels leave mean and summed squares about it, which are put
// together in f64. Within a chunk sums are taken relative to a first value, then merged pairwise, so that a large mean
// costs the variance no digits.
// CPU twin: src/layers/instance_norm.rs.
#include "features/activation.cuh"
#include "features/columns.cuh"
#include "features/tile.cuh"

// partial [chunks, 2, channels]: mean, and sum of squares about it. Launch: grid and block of columns.cuh.
KERNEL(features_norm_moments)(const float* image, float* partial, int pixels, int channels) {
    __shared__ float means[kColumnThreads], squares[kColumnThreads];
    __shared__ int counts[kColumnThreads];
    Strip strip(pixels, channels);
    image += first_value(pixels, channels);
    float base = strip.first < strip.end ? image[strip.first * channels + strip.channel] : 0;
    float sum = 0, square = 0;
    int count = 0;
#pragma unroll 4
    for (int p = strip.first; p < strip.end; p += blockDim.y, count++) {
        float d = image[p * channels + strip.channel] - base;
        sum += d;
        square += d * d;
    }
    float mean = count ? sum / count : 0;
    square -= mean * sum;
    mean += base;
    int at = threadIdx.y * blockDim.x + threadIdx.x;
    means[at] = mean, squares[at] = square, counts[at] = count;
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        int other = at + half * blockDim.x;
        if (int(threadIdx.y) >= half || counts[other] == 0) continue;
        float share = float(counts[other]) / (count + counts[other]), distance = means[other] - mean;
        mean += distance * share;
        square += squares[other] + distance * distance * share * count;
        count += counts[other];
        means[at] = mean, squares[at] = square, counts[at] = count;
    }
    if (threadIdx.y == 0 && strip.channel < channels) {
        float* out = partial_of(partial, channels, strip.channel);
        out[0] = mean;
        out[channels] = square;
    }
}
EXPORT(features_norm_moments)

// stats [2, channels]: mean and 1 / sqrt(variance + epsilon), from the chunks' moments; a chunk has `chunk` pixels, the
// last one maybe fewer. Launch: grid (channels / 32 rounded up, 1, images), block (32, 32).
KERNEL(features_norm_statistics)(const float* partial, float* stats, int pixels, int channels, int chunks, int chunk,
                                 float epsilon) {
    int channel = blockIdx.x * 32 + threadIdx.x;
    partial += blockIdx.z * chunks * 2 * channels;
    stats += blockIdx.z * 2 * channels;
    // Relative to the first chunk's mean: see NormStats::measure.
    double base = channel < channels ? partial[channel] : 0;
    Pair sum{0, 0};
    if (channel < channels) {
#pragma unroll 4
        for (int i = threadIdx.y; i < chunks; i += 32) {
            double count = min(chunk, pixels - i * chunk), d = partial[i * 2 * channels + channel] - base;
            sum.x += count * d;
            sum.y += count * d * d + partial[(i * 2 + 1) * channels + channel];
        }
    }
    sum = sum_rows_wide(sum);
    if (threadIdx.y != 0 || channel >= channels) return;
    double mean = sum.x / pixels, variance = sum.y / pixels - mean * mean;
    // Written so that NaN stays NaN.
    variance = variance < 0 ? 0 : variance;
    stats[channel] = float(base + mean);
    stats[channels + channel] = float(1 / sqrt(variance + epsilon));
}
EXPORT(features_norm_statistics)

// output = activation((image - mean) · inverse deviation · gain + offset + residual); residual may be null, output may be
// image. Launch: one thread for 4 values of an image if channels are a multiple of 4 (then all pointers are aligned to 16 bytes; gain
// and offset need not be), else for one.
KERNEL(features_norm_apply)(const float* image, const float* stats, const float* gain, const float* offset,
                            const float* residual, float* output, int pixels, int channels, int activation) {
    int each = channels % 4 == 0 ? 4 : 1;
    int at = (blockIdx.x * blockDim.x + threadIdx.x) * each;
    if (at >= pixels * channels) return;
    int channel = at % channels;
    u64 first = first_value(pixels, channels);
    image += first, output += first;
    if (residual) residual += first;
    stats += blockIdx.z * 2 * channels;
    if (each == 1) {
        float x = (image[at] - stats[channel]) * (stats[channels + channel] * gain[channel]) + offset[channel];
        output[at] = activate(residual ? x + residual[at] : x, activation);
        return;
    }
    float4 x = *(const float4*)(image + at);
    float4 r = residual ? *(const float4*)(residual + at) : zero4();
    float4 mean = *(const float4*)(stats + channel), inverse = *(const float4*)(stats + channels + channel);
    gain += channel, offset += channel;
    x.x = activate((x.x - mean.x) * (inverse.x * gain[0]) + offset[0] + r.x, activation);
    x.y = activate((x.y - mean.y) * (inverse.y * gain[1]) + offset[1] + r.y, activation);
    x.z = activate((x.z - mean.z) * (inverse.z * gain[2]) + offset[2] + r.z, activation);
    x.w = activate((x.w - mean.w) * (inverse.w * gain[3]) + offset[3] + r.w, activation);
    *(float4*)(output + at) = x;
}
EXPORT(features_norm_apply)
