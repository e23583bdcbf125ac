// Linear-angular attention along the ray: queries and keys are codes of 0 and 1, a value counts by the bits that its key
// has in common with the query. Sixteen queries meet the keys of the ray a chunk at a time, as in attention by scores; that
// is the same sum as codes(Q) · (codes(K)ᵀ V), in an order that needs no barrier of its own.
// CPU twin: src/layers/ray_attention/linear_angular/engine.rs.
#pragma once
#include "render/ray_attention/codes.cuh"

#if RAY == RAY_LINEAR_ANGULAR
constexpr float kInversePi = 0.318309886f;
constexpr int kTaps = kLinearAngularTaps, kReach = kTaps / 2;

// Signs as bits.
__device__ __forceinline__ Tile<C> bits(Tile<C> x) {
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int e = 0; e < 4; e++) x.v[n][e] = 0.5f * (x.v[n][e] + 1);
    return x;
}

__device__ __forceinline__ Tile<C> project_queries(const Ray& ray, const LinearAngularWeights& weights, int layer,
                                                   const Input<C>& normal, int first) {
    return bits(query_signs(ray, weights, layer, normal, first));
}

__device__ __forceinline__ Tile<C> project_keys(const Ray& ray, const LinearAngularWeights& weights, int layer,
                                                const Input<C>& normal, int first) {
    return bits(key_signs(ray, weights, layer, normal, first));
}

// x += attention of sixteen samples from `first` on.
__device__ void ray_attention_tile(const Ray& ray, const LinearAngularWeights& weights, int layer, Tile<C>& x,
                                   int first) {
    const KeysAndValues& kept = ray.s.ray;
    int g = lane_id() / 4, t = lane_id() % 4, samples = ray.job.num_samples, stride = value_stride(ray.job);
    Operand<C> query;
    {
        Input<C> normal = input(normalised(x, weights.norm, kBlockEps));
        query = operand(project_queries(ray, weights, layer, normal, first));
    }
    Tile<C> mixed;
#pragma unroll
    for (int head = 0; head < HEADS; head++) {
        Operand<kHeadSteps * kStep> part = head_query(query, head);
        Tile<kHead> out = zero_tile<kHead>();
        for (int from = 0; from < samples; from += kKeyChunk) {
            // Bits in common: whole numbers, which every precision holds. Past the last sample values are zero.
            Tile<kKeyChunk> common = zero_tile<kKeyChunk>();
            multiply_keys(common, part, kept, head, from);
            multiply_values(out, operand(common), kept, stride, head, from);
        }
        float square[2] = {0, 0};
#pragma unroll
        for (int n = 0; n < kHead / 8; n++)
            for (int e = 0; e < 4; e++) {
                int row = first + g + 8 * (e / 2);
                const Stored* own = kept.values + (head * kHead + 8 * n + 2 * t + e % 2) * stride;
                float z = kInversePi * out.v[n][e] + 0.5f * number(own[row]);
                out.v[n][e] = z;
                square[e / 2] += z * z;
            }
        for (int i = 0; i < 2; i++) square[i] = 1 / sqrtf(kLinearAngularEps + quad_sum(square[i]));
#pragma unroll
        for (int n = 0; n < kHead / 8; n++)
            for (int e = 0; e < 4; e++) {
                int row = first + g + 8 * (e / 2);
                const Stored* own = kept.values + (head * kHead + 8 * n + 2 * t + e % 2) * stride;
                float y = out.v[n][e] * square[e / 2];
                if (weights.filter)
                    for (int tap = 0; tap < kTaps; tap++) {
                        int source = row + tap - kReach;
                        if (source >= 0 && source < samples)
                            y += __ldg(weights.filter + head * kTaps + tap) * number(own[source]);
                    }
                mixed.v[head * (kHead / 8) + n][e] = y;
            }
    }
    x = load_state(ray.state, first);
    add(x, bias_tile<C>(weights.out_bias));
    shift_product<C, C>(x, input(mixed), weights.out);
}

// How much the nearest sample looks at each sample, to `to` [samples]: similarities over their sum, averaged over heads.
// `x` is the state of the first tile before its attention; one warp.
__device__ void nearest_attention(const Ray& ray, const LinearAngularWeights& weights, int layer, const Tile<C>& x,
                                  float* to) {
    const Shared& s = ray.s;
    int lane = lane_id(), samples = ray.job.num_samples;
    nearest_query(s, project_queries(ray, weights, layer, input(normalised(x, weights.norm, kBlockEps)), 0));
    for (int head = 0; head < HEADS; head++) {
        float sum = 0;
        auto similarity = [&](int j) { return (j == 0 ? 0.5f : 0.0f) + kInversePi * nearest_score(s, head, j); };
        for (int j = lane; j < samples; j += kWarp) sum += similarity(j);
        sum = warp_sum(sum) * HEADS;
        for (int j = lane; j < samples; j += kWarp) {
            float before = head == 0 ? 0 : to[j];
            to[j] = before + similarity(j) / sum;
        }
    }
}
#endif
