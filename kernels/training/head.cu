// From the samples' states to the colours of rays, forward and backward: what lies between the matrix products.
//
// R rays of S samples, T = R·S, V views, P = T·V pairs, C channels, K hidden channels of the blending head.
// CPU twin: src/gnt/network/head/cpu.rs.
#include "common/portable.cuh"

// weights = softmax of each ray's logits, in place; [R, S]. Launch: a warp a ray, 256 threads.
KERNEL(head_ray_weights)(float* weights, int rays, int samples) {
    int ray = blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp, lane = lane_id();
    if (ray >= rays) return;
    float* x = weights + (size_t)ray * samples;
    float most = -3.402823466e38f, sum = 0;
    for (int s = lane; s < samples; s += kWarp) most = fmaxf(most, x[s]);
    most = warp_max(most);
    for (int s = lane; s < samples; s += kWarp) {
        x[s] = expf(x[s] - most);
        sum += x[s];
    }
    float scale = 1.0f / warp_sum(sum);
    for (int s = lane; s < samples; s += kWarp) x[s] *= scale;
}
EXPORT(head_ray_weights)

// weights = 1 / S. Launch: one thread a value.
KERNEL(head_equal_weights)(float* weights, int count, int samples) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) weights[i] = 1.0f / (float)samples;
}
EXPORT(head_equal_weights)

// pooled [R, C] = Σ_s weights · y. Launch: one thread a channel of a ray.
KERNEL(head_pool)(const float* weights, const float* y, float* pooled, int rays, int samples, int channels) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)rays * channels) return;
    size_t first = i / channels * samples;
    float sum = 0;
    for (int s = 0; s < samples; s++) sum += weights[first + s] * y[(first + s) * channels + i % channels];
    pooled[i] = sum;
}
EXPORT(head_pool)

// dy [T, C] = weights · d_pooled. Launch: one thread a value.
KERNEL(head_pool_backward)(const float* weights, const float* d_pooled, float* dy, int samples, int channels,
                           int count) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)count * channels) return;
    size_t sample = i / channels;
    dy[i] = weights[sample] * d_pooled[sample / samples * channels + i % channels];
}
EXPORT(head_pool_backward)

// The weights of the views at each sample, [T, V], and the colour that they blend, [T, 3].
// hidden [P, K]: the tokens' part, replaced by relu(hidden + direction · Wd + state); state: [T, K]; Wd: [4, K];
// Wv: [K]. Softmax over the views that see the sample; uniform where none does. Launch: a warp a sample, 256 threads.
KERNEL(head_views)(float* hidden, const float* state, const float4* directions, const float* direction_weight,
                   const float* view_weight, const float* mask, const float* colours, float* view_weights,
                   float* blended, int samples, int views, int width) {
    int sample = blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp, lane = lane_id();
    if (sample >= samples) return;
    size_t first = (size_t)sample * views;
    float most = -3.402823466e38f, sum = 0;
    bool seen = false;
    for (int v = 0; v < views; v++) {
        float4 d = directions[first + v];
        float logit = 0;
        for (int k = lane; k < width; k += kWarp) {
            const float* w = direction_weight + k;
            float x = hidden[(first + v) * width + k] + state[(size_t)sample * width + k];
            x = fmaxf(x + d.x * w[0] + d.y * w[width] + d.z * w[2 * width] + d.w * w[3 * width], 0.0f);
            hidden[(first + v) * width + k] = x;
            logit += x * view_weight[k];
        }
        logit = warp_sum(logit);
        if (lane == 0) view_weights[first + v] = logit;
        if (mask[first + v] != 0) seen = true, most = fmaxf(most, logit);
    }
    __syncwarp();
    for (int v = lane; v < views; v += kWarp) {
        float w = seen ? mask[first + v] != 0 ? expf(view_weights[first + v] - most) : 0.0f : 1.0f;
        view_weights[first + v] = w;
        sum += w;
    }
    sum = warp_sum(sum);
    float colour[3] = {0, 0, 0};
    for (int v = lane; v < views; v += kWarp) {
        float w = view_weights[first + v] / sum;
        view_weights[first + v] = w;
        for (int i = 0; i < 3; i++) colour[i] += w * colours[(first + v) * 3 + i];
    }
    for (int i = 0; i < 3; i++) {
        float total = warp_sum(colour[i]);
        if (lane == 0) blended[(size_t)sample * 3 + i] = total;
    }
}
EXPORT(head_views)

// rgb [R, 3] += Σ_s weights · blended. Launch: a warp a ray, 256 threads.
KERNEL(head_colour)(const float* weights, const float* blended, float* rgb, int rays, int samples) {
    int ray = blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp, lane = lane_id();
    if (ray >= rays) return;
    size_t first = (size_t)ray * samples;
    float sum[3] = {0, 0, 0};
    for (int s = lane; s < samples; s += kWarp) {
        for (int i = 0; i < 3; i++) sum[i] += weights[first + s] * blended[(first + s) * 3 + i];
    }
    for (int i = 0; i < 3; i++) {
        float total = warp_sum(sum[i]);
        if (lane == 0) rgb[(size_t)ray * 3 + i] += total;
    }
}
EXPORT(head_colour)

// d_weights [T] = blended · d_rgb + y · d_pooled, the gradient of the samples' weights.
// Launch: a warp a sample, 256 threads.
KERNEL(head_weights_backward)(const float* blended, const float* d_rgb, const float* y, const float* d_pooled,
                              float* d_weights, int count, int samples, int channels) {
    int sample = blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp, lane = lane_id();
    if (sample >= count) return;
    size_t ray = sample / samples;
    float sum = 0;
    for (int c = lane; c < channels; c += kWarp) sum += y[(size_t)sample * channels + c] * d_pooled[ray * channels + c];
    if (lane < 3) sum += blended[(size_t)sample * 3 + lane] * d_rgb[ray * 3 + lane];
    sum = warp_sum(sum);
    if (lane == 0) d_weights[sample] = sum;
}
EXPORT(head_weights_backward)

// Turns the gradient of the samples' weights into that of their logits, in place, and adds `extra` where there is one.
// Launch: a warp a ray, 256 threads.
KERNEL(head_ray_weights_backward)(const float* weights, const float* extra, float* d, int rays, int samples) {
    int ray = blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp, lane = lane_id();
    if (ray >= rays) return;
    size_t first = (size_t)ray * samples;
    float dot = 0;
    for (int s = lane; s < samples; s += kWarp) dot += weights[first + s] * d[first + s];
    dot = warp_sum(dot);
    for (int s = lane; s < samples; s += kWarp) {
        float own = (d[first + s] - dot) * weights[first + s];
        d[first + s] = extra ? own + extra[first + s] : own;
    }
}
EXPORT(head_ray_weights_backward)

// From d_rgb [R, 3] to the gradients of the views' logits, d_logits [P], of the hidden layer before its ReLU, d_hidden
// [P, K], and of the state's part of it, d_state [T, K]. Launch: a warp a sample, 256 threads.
KERNEL(head_views_backward)(const float* ray_weights, const float* d_rgb, const float* blended, const float* colours,
                            const float* view_weights, const float* mask, const float* hidden, const float* view_weight,
                            float* d_logits, float* d_hidden, float* d_state, int count, int samples, int views,
                            int width) {
    int sample = blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp, lane = lane_id();
    if (sample >= count) return;
    size_t first = (size_t)sample * views;
    float d_colour[3], mean = 0;
    bool seen = false;
    for (int i = 0; i < 3; i++) {
        d_colour[i] = ray_weights[sample] * d_rgb[(size_t)(sample / samples) * 3 + i];
        mean += blended[(size_t)sample * 3 + i] * d_colour[i];
    }
    for (int v = 0; v < views; v++) seen = seen || mask[first + v] != 0;
    auto slope = [&](size_t pair) {
        float d = 0;
        for (int i = 0; i < 3; i++) d += colours[pair * 3 + i] * d_colour[i];
        return seen ? view_weights[pair] * (d - mean) : 0.0f;
    };
    for (int v = lane; v < views; v += kWarp) d_logits[first + v] = slope(first + v);
    for (int k = lane; k < width; k += kWarp) {
        float w = view_weight[k], sum = 0;
        for (int v = 0; v < views; v++) {
            size_t at = (first + v) * width + k;
            float d = hidden[at] > 0 ? slope(first + v) * w : 0.0f;
            d_hidden[at] = d;
            sum += d;
        }
        d_state[(size_t)sample * width + k] = sum;
    }
}
EXPORT(head_views_backward)
