// View attention by subtraction, forward and backward: what lies between its matrix products.
//
// T samples, V views, P = T·V pairs, C channels, H hidden channels. mixed: [P, C + H], the value and the hidden logits
// before the query is subtracted. CPU twin: src/layers/view_attention/subtraction/train.rs.
#include "common/portable.cuh"

// out [P, H] = relu(direction · W + b); directions: [P, 4], W: [4, H]. Launch: one thread a value.
KERNEL(views_direction)(const float4* directions, const float* weight, const float* bias, float* out, int pairs,
                        int hidden) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)pairs * hidden) return;
    int h = (int)(i % hidden);
    float4 d = directions[i / hidden];
    const float* w = weight + h;
    float x = bias[h] + d.x * w[0] + d.y * w[hidden] + d.z * w[2 * hidden] + d.w * w[3 * hidden];
    out[i] = fmaxf(x, 0.0f);
}
EXPORT(views_direction)

// hidden [P, H] = relu(mixed - query); query: [T, H]. Launch: one thread a value.
KERNEL(views_hidden)(const float* mixed, const float* query, float* out, int pairs, int views, int channels,
                     int hidden) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)pairs * hidden) return;
    size_t pair = i / hidden;
    int h = (int)(i % hidden);
    float x = mixed[pair * (channels + hidden) + channels + h] - query[pair / views * hidden + h];
    out[i] = fmaxf(x, 0.0f);
}
EXPORT(views_hidden)

// Logits hidden · W, their softmax over views for each channel, and the blend of the values. Views whose mask is 0 get
// no weight; where no view sees the sample all get the same.
// W: [H, C]; mask: [T, V]; weights: [P, C]; blended: [T, C]. Launch: one thread a channel of a sample. The threads of a
// warp share their sample's hidden values, which come from the first cache as one word.
KERNEL(views_attend)(const float* mixed, const float* hidden_in, const float* weight, const float* mask, float* weights,
                     float* blended, int samples, int views, int channels, int hidden) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)samples * channels) return;
    size_t sample = i / channels, first = sample * views;
    int c = (int)(i % channels), width = channels + hidden;
    float most = -3.402823466e38f;
    bool seen = false;
    for (int v = 0; v < views; v++) {
        if (mask[first + v] == 0) continue;
        seen = true;
        const float* x = hidden_in + (first + v) * hidden;
        float logit = 0;
        for (int h = 0; h < hidden; h++) logit += __ldg(x + h) * __ldg(weight + h * channels + c);
        weights[(first + v) * channels + c] = logit;
        most = fmaxf(most, logit);
    }
    float sum = 0, out = 0;
    for (int v = 0; v < views; v++) {
        size_t at = (first + v) * channels + c;
        float w = seen ? mask[first + v] != 0 ? expf(weights[at] - most) : 0.0f : 1.0f;
        weights[at] = w;
        sum += w;
        out += w * mixed[(first + v) * width + c];
    }
    float scale = 1.0f / sum;
    for (int v = 0; v < views; v++) weights[(first + v) * channels + c] *= scale;
    blended[i] = out * scale;
}
EXPORT(views_attend)

// Gradients of views_attend: the value columns of d_mixed [P, C + H], and d_logits [P, C]. A masked view has weight 0
// and so gets none; where no view sees the sample the weights are constant. Launch: one thread a channel of a sample.
KERNEL(views_attend_backward)(const float* weights, const float* mixed, const float* blended, const float* d_blended,
                              const float* mask, float* d_mixed, float* d_logits, int samples, int views, int channels,
                              int hidden) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)samples * channels) return;
    size_t first = i / channels * views;
    int c = (int)(i % channels), width = channels + hidden;
    float out = blended[i], d_out = d_blended[i];
    bool seen = false;
    for (int v = 0; v < views; v++) seen = seen || mask[first + v] != 0;
    for (int v = 0; v < views; v++) {
        size_t pair = first + v;
        float w = weights[pair * channels + c];
        // Σ w·dw equals out·d_out, because dw = value·d_out.
        d_logits[pair * channels + c] = seen ? w * (mixed[pair * width + c] - out) * d_out : 0.0f;
        d_mixed[pair * width + c] = w * d_out;
    }
}
EXPORT(views_attend_backward)

// Takes d_hidden [P, H] back through the ReLU into the hidden columns of d_mixed, and sums it over views, negated, into
// d_query [T, H]. Launch: one thread a hidden channel of a sample.
KERNEL(views_hidden_backward)(const float* hidden_out, const float* d_hidden, float* d_mixed, float* d_query,
                              int samples, int views, int channels, int hidden) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)samples * hidden) return;
    size_t first = i / hidden * views;
    int h = (int)(i % hidden);
    float sum = 0;
    for (int v = 0; v < views; v++) {
        size_t pair = first + v;
        float d = hidden_out[pair * hidden + h] > 0 ? d_hidden[pair * hidden + h] : 0.0f;
        d_mixed[pair * (channels + hidden) + channels + h] = d;
        sum -= d;
    }
    d_query[i] = sum;
}
EXPORT(views_hidden_backward)
