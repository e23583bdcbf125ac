// Linear-angular attention over the samples of each ray, forward and backward: what lies between its matrix products.
//
// qkv [rows, 3 · width] holds queries, keys and values, a row being a sample of a ray; head h owns channels h·d..(h+1)·d
// of each. A code is 1 where its projection is above 0, else 0. For a head of a ray, sums = b(K)ᵀ V [d, d]; a row is
// z = ½·v + (1/π)·b(q)·sums, scaled to length 1, and to it come the values of the samples around it by a filter of nine
// taps, where there is one. Every sum has a fixed order. CPU twin: src/layers/ray_attention/linear_angular/train.rs.
#include "common/portable.cuh"
#include "training/twins.cuh"

constexpr float kInversePi = 0.318309886f;
constexpr int kTaps = kLinearAngularTaps, kReach = kTaps / 2;

__device__ __forceinline__ float code(float x) { return x > 0.0f ? 1.0f : 0.0f; }

// A head of a row, with a warp to itself.
struct Place {
    int head, sample, samples, width, channels;
    size_t row;

    __device__ __forceinline__ Place(size_t item, int samples, int heads, int channels)
        : head(int(item % heads)), sample(int(item / heads % samples)), samples(samples), width(heads * channels),
          channels(channels), row(item / heads) {}
    // This head's part of a row, in [rows, width] and in one third of [rows, 3 · width].
    __device__ __forceinline__ size_t single(size_t row) const { return row * width + head * channels; }
    __device__ __forceinline__ size_t third(size_t row, int part) const {
        return (3 * row + part) * width + head * channels;
    }
};

// to [rays, heads, d, d] = scale · Σ over a ray's samples of code [d] ⊗ right [d]; codes are those of part `part` of qkv,
// and a row of `right` begins every `stride` numbers, at `offset`. Launch: grid (rays · heads), block 256.
KERNEL(linear_angular_sums)(const float* qkv, int part, const float* right, int stride, int offset, float scale,
                            int samples, int heads, int channels, float* to) {
    int head = blockIdx.x % heads, width = heads * channels;
    size_t first = size_t(blockIdx.x / heads) * samples;
    const float* codes = qkv + (3 * first + part) * width + head * channels;
    const float* values = right + first * stride + offset + head * channels;
    to += size_t(blockIdx.x) * channels * channels;
    for (int i = threadIdx.x; i < channels * channels; i += blockDim.x) {
        int a = i / channels, b = i % channels;
        float sum = 0;
        for (int s = 0; s < samples; s++) sum += code(codes[size_t(s) * 3 * width + a]) * values[size_t(s) * stride + b];
        to[i] = scale * sum;
    }
}
EXPORT(linear_angular_sums)

// unit [rows, width] = z of length 1; scale [rows, heads] = 1 / |z|; mixed [rows, width] = unit + filtered values.
// filter: [heads, 9] or null. Launch: a warp a head of a row, 256 threads.
KERNEL(linear_angular_rows)(const float* qkv, const float* sums, const float* filter, int samples, int heads,
                            int channels, int items, float* unit, float* scale, float* mixed) {
    size_t item = size_t(blockIdx.x) * (blockDim.x / kWarp) + threadIdx.x / kWarp;
    if (item >= size_t(items)) return;
    Place at(item, samples, heads, channels);
    const float *query = qkv + at.third(at.row, 0), *value = qkv + at.third(at.row, 2);
    sums += (at.row / samples * heads + at.head) * channels * channels;
    float* z = unit + at.single(at.row);
    float square = 0;
    for (int c = lane_id(); c < channels; c += kWarp) {
        float sum = 0;
        for (int a = 0; a < channels; a++) sum += code(query[a]) * sums[a * channels + c];
        float x = 0.5f * value[c] + kInversePi * sum;
        z[c] = x;
        square += x * x;
    }
    float factor = 1 / sqrtf(kLinearAngularEps + warp_sum(square));
    if (lane_id() == 0) scale[item] = factor;
    for (int c = lane_id(); c < channels; c += kWarp) {
        float x = z[c] * factor;
        z[c] = x;
        if (filter)
            for (int tap = 0; tap < kTaps; tap++) {
                int source = at.sample + tap - kReach;
                if (source < 0 || source >= samples) continue;
                x += filter[at.head * kTaps + tap] * qkv[at.third(at.row + tap - kReach, 2) + c];
            }
        mixed[at.single(at.row) + c] = x;
    }
}
EXPORT(linear_angular_rows)

// d_z [rows, width] = (d_mixed - unit (unit · d_mixed)) · scale, head by head. Launch: a warp a head of a row, 256 threads.
KERNEL(linear_angular_length_backward)(const float* unit, const float* scale, const float* d_mixed, int samples,
                                       int heads, int channels, int items, float* d_z) {
    size_t item = size_t(blockIdx.x) * (blockDim.x / kWarp) + threadIdx.x / kWarp;
    if (item >= size_t(items)) return;
    Place at(item, samples, heads, channels);
    size_t first = at.single(at.row);
    float dot = 0;
    for (int c = lane_id(); c < channels; c += kWarp) dot += unit[first + c] * d_mixed[first + c];
    dot = warp_sum(dot);
    for (int c = lane_id(); c < channels; c += kWarp)
        d_z[first + c] = (d_mixed[first + c] - unit[first + c] * dot) * scale[item];
}
EXPORT(linear_angular_length_backward)

// d_qkv [rows, 3 · width]; d_sums = (1/π)·b(Q)ᵀ d_z [rays, heads, d, d]. A code is (±1 + 1) / 2, so queries and keys get
// half of the codes' gradient, and none outside the window. Launch: a warp a head of a row, 256 threads.
KERNEL(linear_angular_backward)(const float* qkv, const float* sums, const float* d_sums, const float* d_z,
                                const float* d_mixed, const float* filter, int samples, int heads, int channels,
                                int items, float* d_qkv) {
    size_t item = size_t(blockIdx.x) * (blockDim.x / kWarp) + threadIdx.x / kWarp;
    if (item >= size_t(items)) return;
    Place at(item, samples, heads, channels);
    const float *query = qkv + at.third(at.row, 0), *key = qkv + at.third(at.row, 1), *value = qkv + at.third(at.row, 2);
    size_t square = (at.row / samples * heads + at.head) * channels * channels;
    sums += square;
    d_sums += square;
    d_z += at.single(at.row);
    for (int c = lane_id(); c < channels; c += kWarp) {
        float d_query = 0, d_key = 0, d_value = 0;
        for (int b = 0; b < channels; b++) {
            d_query += d_z[b] * sums[c * channels + b];
            d_key += value[b] * d_sums[c * channels + b];
            d_value += code(key[b]) * d_sums[b * channels + c];
        }
        d_value += 0.5f * d_z[c];
        if (filter)
            for (int tap = 0; tap < kTaps; tap++) {
                int reader = at.sample - tap + kReach;
                if (reader < 0 || reader >= samples) continue;
                d_value += filter[at.head * kTaps + tap] * d_mixed[at.single(at.row - tap + kReach) + c];
            }
        d_qkv[at.third(at.row, 0) + c] = fabsf(query[c]) <= kCodeWindow ? 0.5f * kInversePi * d_query : 0;
        d_qkv[at.third(at.row, 1) + c] = fabsf(key[c]) <= kCodeWindow ? 0.5f * d_key : 0;
        d_qkv[at.third(at.row, 2) + c] = d_value;
    }
}
EXPORT(linear_angular_backward)

// d_filter [rays, heads · 9] = each ray's part of the taps' gradient. Launch: grid (rays), block 128.
KERNEL(linear_angular_filter_backward)(const float* qkv, const float* d_mixed, int samples, int heads, int channels,
                                       float* d_filter) {
    int width = heads * channels;
    size_t first = size_t(blockIdx.x) * samples;
    for (int i = threadIdx.x; i < heads * kTaps; i += blockDim.x) {
        int head = i / kTaps, offset = i % kTaps - kReach;
        float sum = 0;
        for (int s = max(0, -offset); s < min(samples, samples - offset); s++) {
            const float* value = qkv + (3 * (first + s + offset) + 2) * width + head * channels;
            const float* d = d_mixed + (first + s) * width + head * channels;
            for (int c = 0; c < channels; c++) sum += d[c] * value[c];
        }
        d_filter[size_t(blockIdx.x) * heads * kTaps + i] = sum;
    }
}
EXPORT(linear_angular_filter_backward)

// weights [rays, samples]: how much each ray's first sample looks at every sample, as linear_angular::first_row_of has it.
// Launch: a warp a ray, 256 threads.
KERNEL(linear_angular_first_rows)(const float* qkv, int samples, int heads, int channels, int rays, float* weights) {
    int ray = blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp, width = heads * channels;
    if (ray >= rays) return;
    const float* query = qkv + size_t(ray) * samples * 3 * width;
    weights += size_t(ray) * samples;
    for (int head = 0; head < heads; head++) {
        auto similarity = [&](int s) {
            const float* key = query + (size_t(s) * 3 + 1) * width;
            float common = 0;
            for (int c = head * channels; c < (head + 1) * channels; c++) common += code(query[c]) * code(key[c]);
            return (s == 0 ? 0.5f : 0.0f) + kInversePi * common;
        };
        float sum = 0;
        for (int s = lane_id(); s < samples; s += kWarp) sum += similarity(s);
        sum = warp_sum(sum) * heads;
        for (int s = lane_id(); s < samples; s += kWarp) {
            float before = head == 0 ? 0 : weights[s];
            weights[s] = before + similarity(s) / sum;
        }
    }
}
EXPORT(linear_angular_first_rows)
