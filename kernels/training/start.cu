// The states that samples start from: maximum over the views, or mean and variance; forward and backward.
//
// tokens: [T, V, C]; mask: [T, V]; state: [T, C]. Launch of every kernel: one thread a channel of a sample.
// CPU twin: src/gnt/network/start/cpu.rs.
#include "common/portable.cuh"

// Maximum over all views, seen or not, and the view it came from (the first of equals).
KERNEL(start_max)(const float* tokens, float* state, unsigned short* winner, int samples, int views, int channels) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)samples * channels) return;
    const float* token = tokens + (i / channels) * views * channels + i % channels;
    float best = token[0];
    int from = 0;
    for (int v = 1; v < views; v++) {
        float x = token[(size_t)v * channels];
        if (x > best) best = x, from = v;
    }
    state[i] = best;
    winner[i] = (unsigned short)from;
}
EXPORT(start_max)

// d_tokens += d_state at the winning view. Each place has one thread.
KERNEL(start_max_backward)(const float* d_state, const unsigned short* winner, float* d_tokens, int samples, int views,
                           int channels) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)samples * channels) return;
    d_tokens[((i / channels) * views + winner[i]) * channels + i % channels] += d_state[i];
}
EXPORT(start_max_backward)

__device__ __forceinline__ float view_share(const float* mask, int views) {
    float seen = 0;
    for (int v = 0; v < views; v++) seen += mask[v];
    return 1.0f / fmaxf(seen, 1.0f);
}

// moments [T, 2C]: mean and biased variance over the views that see each sample; zeros where none does.
KERNEL(start_moments)(const float* tokens, const float* mask, float* moments, int samples, int views, int channels) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)samples * channels) return;
    size_t sample = i / channels;
    const float* token = tokens + sample * views * channels + i % channels;
    mask += sample * views;
    float share = view_share(mask, views), mean = 0, variance = 0;
    for (int v = 0; v < views; v++) mean += mask[v] * share * token[(size_t)v * channels];
    for (int v = 0; v < views; v++) {
        float d = token[(size_t)v * channels] - mean;
        variance += mask[v] * share * d * d;
    }
    float* out = moments + sample * 2 * channels + i % channels;
    out[0] = mean;
    out[channels] = variance;
}
EXPORT(start_moments)

// d_tokens += gradient of start_moments.
KERNEL(start_moments_backward)(const float* tokens, const float* mask, const float* moments, const float* d_moments,
                               float* d_tokens, int samples, int views, int channels) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)samples * channels) return;
    size_t sample = i / channels, first = sample * views * channels + i % channels;
    size_t at = sample * 2 * channels + i % channels;
    mask += sample * views;
    float share = view_share(mask, views), mean = moments[at];
    float d_mean = d_moments[at], d_variance = d_moments[at + channels];
    for (int v = 0; v < views; v++) {
        size_t place = first + (size_t)v * channels;
        d_tokens[place] += mask[v] * share * (d_mean + 2.0f * (tokens[place] - mean) * d_variance);
    }
}
EXPORT(start_moments_backward)
