// The transpose of norm.cu, and sums over pixels for biases.
//
// With g the gradient before the activation: d_image = a (g - mean(g) - n mean(g n)), n the normalised image,
// a = gain · inverse deviation.
// CPU twin: InstanceNorm::backward in src/layers/instance_norm.rs.
#include "features/activation.cuh"
#include "features/columns.cuh"
#include "features/tile.cuh"

// g of one value. Like the CPU, a ReLU that is shut lets nothing through, not even NaN.
__device__ __forceinline__ float through(float d, float y, int activation) {
    float s = slope(y, activation);
    return activation == ACTIVATION_RELU && s == 0 ? 0 : d * s;
}

// partial [chunks, 2, channels]: sums of g and g (image - mean). d_output is that of the output; output is null and not
// read without an activation. Launch: grid and block of columns.cuh.
KERNEL(features_norm_back_sums)(const float* d_output, const float* output, const float* image, const float* stats,
                                float* partial, int pixels, int channels, int activation) {
    Strip strip(pixels, channels);
    u64 first = first_value(pixels, channels);
    d_output += first, image += first;
    if (output) output += first;
    stats += blockIdx.z * 2 * channels;
    float mean = strip.channel < channels ? stats[strip.channel] : 0;
    float2 sum{0, 0};
#pragma unroll 4
    for (int p = strip.first; p < strip.end; p += blockDim.y) {
        int at = p * channels + strip.channel;
        float g = activation == ACTIVATION_IDENTITY ? d_output[at] : through(d_output[at], output[at], activation);
        sum.x += g;
        sum.y += g * (image[at] - mean);
    }
    sum = sum_rows(sum);
    if (threadIdx.y == 0 && strip.channel < channels) {
        float* out = partial_of(partial, channels, strip.channel);
        out[0] = sum.x;
        out[channels] = sum.y;
    }
}
EXPORT(features_norm_back_sums)

// affine [images, 3, channels]: d_image = affine[0] g + affine[1] (image - mean) + affine[2]; adds to the gradients of gain and
// offset, image after image. Launch: grid (channels / 32 rounded up), block (32, 32).
KERNEL(features_norm_back_affine)(const float* partial, const float* stats, const float* gain, float* affine,
                                  float* d_gain, float* d_offset, int images, int pixels, int channels, int chunks) {
    int channel = blockIdx.x * 32 + threadIdx.x;
    for (int i = 0; i < images; i++) {
        Pair sum = sum_chunks(partial, channels, channel, chunks);
        if (threadIdx.y == 0 && channel < channels) {
            double inverse = stats[channels + channel], factor = gain[channel] * inverse;
            d_gain[channel] += float(sum.y * inverse);
            d_offset[channel] += float(sum.x);
            affine[channel] = float(factor);
            affine[channels + channel] = float(-factor * sum.y * inverse * inverse / pixels);
            affine[2 * channels + channel] = float(-factor * sum.x / pixels);
        }
        partial += chunks * 2 * channels, stats += 2 * channels, affine += 3 * channels;
        // Sums of the next image are made where those of this one were read.
        __syncthreads();
    }
}
EXPORT(features_norm_back_affine)

__device__ __forceinline__ float back(float& d, float y, float x, const float* affine, float mean, int channels,
                                      int activation) {
    d = activation == ACTIVATION_IDENTITY ? d : through(d, y, activation);
    return d * affine[0] + (x - mean) * affine[channels] + affine[2 * channels];
}

// Writes d_image, and g over d_output if `keep`; d_image may be d_output if not. Pointers as in features_norm_apply.
KERNEL(features_norm_back_apply)(float* d_output, const float* output, const float* image, const float* stats,
                                 const float* affine, float* d_image, int pixels, int channels, int activation,
                                 int keep) {
    int each = channels % 4 == 0 ? 4 : 1;
    int at = (blockIdx.x * blockDim.x + threadIdx.x) * each;
    if (at >= pixels * channels) return;
    int channel = at % channels;
    u64 first = first_value(pixels, channels);
    d_output += first, image += first, d_image += first;
    if (output) output += first;
    affine += blockIdx.z * 3 * channels + channel, stats += blockIdx.z * 2 * channels + channel;
    if (each == 1) {
        float d = d_output[at], y = activation == ACTIVATION_IDENTITY ? 0 : output[at];
        float value = back(d, y, image[at], affine, stats[0], channels, activation);
        if (keep) d_output[at] = d;
        d_image[at] = value;
        return;
    }
    float4 d = *(const float4*)(d_output + at), x = *(const float4*)(image + at);
    float4 y = activation == ACTIVATION_IDENTITY ? zero4() : *(const float4*)(output + at), value;
    value.x = back(d.x, y.x, x.x, affine + 0, stats[0], channels, activation);
    value.y = back(d.y, y.y, x.y, affine + 1, stats[1], channels, activation);
    value.z = back(d.z, y.z, x.z, affine + 2, stats[2], channels, activation);
    value.w = back(d.w, y.w, x.w, affine + 3, stats[3], channels, activation);
    if (keep) *(float4*)(d_output + at) = d;
    *(float4*)(d_image + at) = value;
}
EXPORT(features_norm_back_apply)

// partial [chunks, 2, channels]: sums of the gradient, for biases. Launch: grid and block of columns.cuh.
KERNEL(features_bias_sums)(const float* gradient, float* partial, int pixels, int channels) {
    Strip strip(pixels, channels);
    float2 sum{0, 0};
#pragma unroll 4
    for (int p = strip.first; p < strip.end; p += blockDim.y) sum.x += gradient[p * channels + strip.channel];
    sum = sum_rows(sum);
    if (threadIdx.y == 0 && strip.channel < channels) {
        float* out = partial_of(partial, channels, strip.channel);
        out[0] = sum.x;
        out[channels] = 0;
    }
}
EXPORT(features_bias_sums)

// Adds the chunks up onto d_bias. Launch: grid (channels / 32 rounded up), block (32, 32).
KERNEL(features_bias_add)(const float* partial, float* d_bias, int channels, int chunks) {
    int channel = blockIdx.x * 32 + threadIdx.x;
    Pair sum = sum_chunks(partial, channels, channel, chunks);
    if (threadIdx.y == 0 && channel < channels) d_bias[channel] += float(sum.x);
}
EXPORT(features_bias_add)
