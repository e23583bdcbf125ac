// Attention of tokens to fewer tokens, one warp a token and head.
#include "common/portable.cuh"
#include "training/twins.cuh"

// mixed [images, tokens, width] = Σ softmax(factor · score) · value over the keys of the image. q: [images, tokens, width];
// kv: [images, keys, 2 · width], keys before values; head h owns channels h·d..(h+1)·d of each, d = width / heads.
// Scores are products of queries and keys times 1/√d, or, where `tau` [heads] is not null, of their signs times tau.
// A lane has channels lane, lane + 32, ... of its token, at most kReducedChannels of a head.
// Launch: kWarpsOfBlock warps a block, a warp a token and head. CPU twin: attend in src/layers/reduced_attention/train.rs.
KERNEL(images_reduced_attention)(const float* q, const float* kv, const float* tau, int images, int tokens, int keys,
                                 int heads, int width, float* mixed) {
    long long item = (long long)blockIdx.x * kWarpsOfBlock + threadIdx.x / kWarp;
    if (item >= (long long)images * tokens * heads) return;
    int head = (int)(item % heads), d = width / heads, lane = lane_id();
    long long token = item / heads, image = token / tokens;
    constexpr int kEach = kReducedChannels / kWarp;
    float query[kEach], sum[kEach], largest = -3e38f, total = 0.f;
    float factor = tau ? tau[head] : 1.f / sqrtf((float)d);
    auto code = [&](float x) { return !tau ? x : x > 0.f ? 1.f : -1.f; };
#pragma unroll
    for (int e = 0; e < kEach; e++) {
        int c = lane + e * kWarp;
        query[e] = c < d ? code(q[token * width + head * d + c]) : 0.f;
        sum[e] = 0.f;
    }
    for (int k = 0; k < keys; k++) {
        const float* key = kv + (image * keys + k) * 2 * width + head * d;
        float part = 0.f;
#pragma unroll
        for (int e = 0; e < kEach; e++) {
            int c = lane + e * kWarp;
            if (c < d) part += query[e] * code(key[c]);
        }
        float logit = factor * warp_sum(part);
        float most = fmaxf(largest, logit);
        float shrink = __expf(largest - most), weight = __expf(logit - most);
        largest = most;
        total = total * shrink + weight;
#pragma unroll
        for (int e = 0; e < kEach; e++) {
            int c = lane + e * kWarp;
            if (c < d) sum[e] = sum[e] * shrink + weight * key[width + c];
        }
    }
#pragma unroll
    for (int e = 0; e < kEach; e++) {
        int c = lane + e * kWarp;
        if (c < d) mixed[token * width + head * d + c] = sum[e] / total;
    }
}
EXPORT(images_reduced_attention)
