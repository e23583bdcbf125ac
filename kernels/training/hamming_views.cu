// View attention on binary codes, forward and backward: what lies between its matrix products.
//
// T samples, V views, P = T·V pairs, C channels in `heads` heads of d, H hidden channels of the direction. A code is +1
// where its projection is above 0, else -1. CPU twin: src/layers/view_attention/hamming/train.rs.
#include "common/portable.cuh"
#include "training/twins.cuh"

// Channels first .. last of head `head` that lie in the group of 32 channels from `group` on, as bits.
__device__ __forceinline__ unsigned head_bits(int head, int d, int group) {
    int first = max(head * d - group, 0), last = min((head + 1) * d - group, 32);
    if (first >= last) return 0;
    return (last == 32 ? ~0u : (1u << last) - 1) & ~((1u << first) - 1);
}

// scores = b_q · b_k of each head, and the softmax over views of tau · score + direction · W; uniform where no view sees
// the sample. query: [T, C]; key: [P, C]; direction: [P, H]; W: [H, heads]; scores, weights: [P, heads].
// Launch: a warp a sample, 256 threads; up to 64 heads.
KERNEL(hamming_views_weigh)(const float* query, const float* key, const float* direction, const float* bias_weight,
                            const float* tau, const float* mask, float* scores, float* weights, int samples, int views,
                            int channels, int heads, int hidden) {
    int sample = blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp, lane = lane_id(), d = channels / heads;
    if (sample >= samples) return;
    size_t first = (size_t)sample * views;
    for (int v = 0; v < views; v++) {
        size_t pair = first + v;
        int differ[2] = {0, 0};
        for (int group = 0; group < channels; group += kWarp) {
            int c = group + lane;
            bool inside = c < channels;
            bool q = inside && query[(size_t)sample * channels + c] > 0, k = inside && key[pair * channels + c] > 0;
            unsigned different = __ballot_sync(~0u, q != k);
            for (int part = 0; part < 2; part++) {
                int head = lane + part * kWarp;
                if (head < heads) differ[part] += __popc(different & head_bits(head, d, group));
            }
        }
        for (int part = 0; part < 2; part++) {
            int head = lane + part * kWarp;
            if (head >= heads) continue;
            float score = (float)(d - 2 * differ[part]), logit = 0;
            for (int h = 0; h < hidden; h++) logit += direction[pair * hidden + h] * bias_weight[h * heads + head];
            scores[pair * heads + head] = score;
            weights[pair * heads + head] = logit + tau[head] * score;
        }
    }
    // Each lane goes on with the logits that it wrote itself.
    for (int head = lane; head < heads; head += kWarp) {
        float* x = weights + first * heads + head;
        float most = -3.402823466e38f, sum = 0;
        bool seen = false;
        for (int v = 0; v < views; v++) {
            if (mask[first + v] != 0) seen = true, most = fmaxf(most, x[v * heads]);
        }
        for (int v = 0; v < views; v++) {
            float w = seen ? mask[first + v] != 0 ? expf(x[v * heads] - most) : 0.0f : 1.0f;
            x[v * heads] = w;
            sum += w;
        }
        for (int v = 0; v < views; v++) x[v * heads] /= sum;
    }
}
EXPORT(hamming_views_weigh)

// blended [T, heads, C + H] = Σ_v weight · [token | direction]. Launch: one thread a column of a sample.
KERNEL(hamming_views_blend)(const float* weights, const float* tokens, const float* direction, float* blended,
                            int samples, int views, int channels, int heads, int hidden) {
    int width = channels + hidden;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)samples * width) return;
    size_t sample = i / width, first = sample * views;
    int column = (int)(i % width);
    const float* x = column < channels ? tokens + first * channels + column
                                       : direction + first * hidden + column - channels;
    int stride = column < channels ? channels : hidden;
    // Eight heads at a time, so that each value is read once for them.
    for (int head = 0; head < heads; head += 8) {
        float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (int v = 0; v < views; v++) {
            float value = x[(size_t)v * stride];
            const float* w = weights + (first + v) * heads + head;
#pragma unroll
            for (int k = 0; k < 8; k++) {
                if (head + k < heads) sum[k] += w[k] * value;
            }
        }
#pragma unroll
        for (int k = 0; k < 8; k++) {
            if (head + k < heads) blended[(sample * heads + head + k) * width + column] = sum[k];
        }
    }
}
EXPORT(hamming_views_blend)

// Gradients of hamming_views_blend and of the softmax before it: adds to d_tokens [P, C], writes d_direction [P, H] and
// d_logits [P, heads], and d_tau [T, heads], each sample's part of the gradient of tau. The logits get none where no
// view sees the sample. Launch: a warp a sample, 256 threads.
KERNEL(hamming_views_blend_backward)(const float* weights, const float* scores, const float* tokens,
                                     const float* direction, const float* d_blended, const float* mask, float* d_tokens,
                                     float* d_direction, float* d_logits, float* d_tau, int samples, int views,
                                     int channels, int heads, int hidden) {
    int sample = blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp, lane = lane_id(), width = channels + hidden;
    if (sample >= samples) return;
    size_t first = (size_t)sample * views;
    const float* d_out = d_blended + (size_t)sample * heads * width;
    for (int v = 0; v < views; v++) {
        size_t pair = first + v;
        const float* w = weights + pair * heads;
        for (int head = 0; head < heads; head++) {
            const float* d = d_out + head * width;
            float sum = 0;
            for (int j = lane; j < channels; j += kWarp) sum += tokens[pair * channels + j] * d[j];
            for (int j = lane; j < hidden; j += kWarp) sum += direction[pair * hidden + j] * d[channels + j];
            sum = warp_sum(sum);
            if (lane == (head & (kWarp - 1))) d_logits[pair * heads + head] = w[head] * sum;
        }
        for (int j = lane; j < channels; j += kWarp) {
            float sum = 0;
            for (int head = 0; head < heads; head++) sum += w[head] * d_out[head * width + j];
            d_tokens[pair * channels + j] += sum;
        }
        for (int j = lane; j < hidden; j += kWarp) {
            float sum = 0;
            for (int head = 0; head < heads; head++) sum += w[head] * d_out[head * width + channels + j];
            d_direction[pair * hidden + j] = sum;
        }
    }
    bool seen = false;
    for (int v = 0; v < views; v++) seen = seen || mask[first + v] != 0;
    for (int head = lane; head < heads; head += kWarp) {
        float mean = 0, tau = 0;
        for (int v = 0; v < views; v++) mean += d_logits[(first + v) * heads + head];
        for (int v = 0; v < views; v++) {
            size_t at = (first + v) * heads + head;
            float d = seen ? d_logits[at] - weights[at] * mean : 0.0f;
            d_logits[at] = d;
            tau += scores[at] * d;
        }
        d_tau[(size_t)sample * heads + head] = tau;
    }
}
EXPORT(hamming_views_blend_backward)

// Gradients of the projections, straight through the codes, from those of the logits: d_query [T, C] and d_key [P, C].
// Launch: one thread a channel of a sample.
KERNEL(hamming_views_codes_backward)(const float* query, const float* key, const float* tau, const float* d_logits,
                                     float* d_query, float* d_key, int samples, int views, int channels, int heads) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)samples * channels) return;
    size_t first = i / channels * views;
    int c = (int)(i % channels), head = c / (channels / heads);
    float q = query[i], t = tau[head], code = q > 0 ? 1.0f : -1.0f, sum = 0;
    for (int v = 0; v < views; v++) {
        size_t pair = first + v;
        float factor = t * d_logits[pair * heads + head], k = key[pair * channels + c];
        sum += k > 0 ? factor : -factor;
        d_key[pair * channels + c] = fabsf(k) <= kCodeWindow ? factor * code : 0.0f;
    }
    d_query[i] = fabsf(q) <= kCodeWindow ? sum : 0.0f;
}
EXPORT(hamming_views_codes_backward)
