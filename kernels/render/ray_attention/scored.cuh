// Attention along the ray by scores: sixteen queries against all keys of the ray, which lie in shared memory. Scores never
// leave the registers. What a kind adds:
// - project_queries and project_keys, see keys.cuh
// - score_factor(weights, head): factor on the scores, in units of base 2
// - kScoresBounded: whether no score of a head exceeds its channels in size, so that the softmax need not look for the
//   largest, unless the factor is so great that powers of two vanish that are far below it
#pragma once
#include "render/ray_attention/keys.cuh"

#if RAY == RAY_SOFTMAX || RAY == RAY_HAMMING
// x += attention of sixteen samples from `first` on.
__device__ void ray_attention_tile(const Ray& ray, const RayAttentionWeights& weights, int layer, Tile<C>& x,
                                   int first) {
    constexpr int kChunk = kKeyChunk;
    // Far from overflow; a rescaling is then rare enough to be a branch.
    constexpr float kSlack = 40;
    const KeysAndValues& kept = ray.s.ray;
    int t = lane_id() % 4, samples = ray.job.num_samples, stride = value_stride(ray.job);
    Operand<C> query;
    {
        Input<C> normal = input(normalised(x, weights.norm, kBlockEps));
        query = operand(project_queries(ray, weights, layer, normal, first));
    }
    Tile<C> mixed;
#pragma unroll
    for (int head = 0; head < HEADS; head++) {
        Operand<kHeadSteps * kStep> part = head_query(query, head);
        float factor = score_factor(weights, head), shift[2] = {0, 0}, sum[2] = {0, 0};
        // Scores lie within twice the bound, and powers down to 2^-126 are numbers.
        const float bound = fabsf(factor) * kHead;
        const bool bounded = kScoresBounded && bound < 60;
        if (bounded) shift[0] = shift[1] = bound;
        Tile<kHead> out = zero_tile<kHead>();
        for (int from = 0; from < samples; from += kChunk) {
            Tile<kChunk> score = zero_tile<kChunk>();
            multiply_keys(score, part, kept, head, from);
#pragma unroll
            for (int n = 0; n < kChunk / 8; n++)
                for (int e = 0; e < 4; e++) score.v[n][e] *= factor;
            if (!bounded) {
                float most[2] = {-3.4e38f, -3.4e38f};
#pragma unroll
                for (int n = 0; n < kChunk / 8; n++)
                    for (int e = 0; e < 4; e++)
                        if (from + 8 * n + 2 * t + e % 2 < samples)
                            most[e / 2] = fmaxf(most[e / 2], score.v[n][e]);
                bool far = from == 0 || most[0] > shift[0] + kSlack || most[1] > shift[1] + kSlack;
                if (__any_sync(~0u, far)) {
                    for (int i = 0; i < 2; i++) {
                        float next = quad_max(most[i]);
                        if (from > 0) next = fmaxf(next, shift[i]);
                        float scale = from > 0 ? power_of_two(shift[i] - next) : 0;
                        shift[i] = next;
                        sum[i] *= scale;
#pragma unroll
                        for (int n = 0; n < kHead / 8; n++)
                            for (int e = 2 * i; e < 2 * i + 2; e++) out.v[n][e] *= scale;
                    }
                }
                __syncwarp();
            }
#pragma unroll
            for (int n = 0; n < kChunk / 8; n++)
                for (int e = 0; e < 4; e++) {
                    bool real = from + 8 * n + 2 * t + e % 2 < samples;
                    float power = real ? power_of_two(score.v[n][e] - shift[e / 2]) : 0;
                    score.v[n][e] = power;
                    sum[e / 2] += power;
                }
            multiply_values(out, operand(score), kept, stride, head, from);
        }
        for (int i = 0; i < 2; i++) sum[i] = 1 / quad_sum(sum[i]);
#pragma unroll
        for (int n = 0; n < kHead / 8; n++)
            for (int e = 0; e < 4; e++) mixed.v[head * (kHead / 8) + n][e] = out.v[n][e] * sum[e / 2];
    }
    // Read again rather than kept: registers are what this function is short of.
    x = load_state(ray.state, first);
    add(x, bias_tile<C>(weights.out_bias));
    shift_product<C, C>(x, input(mixed), weights.out);
}

// Attention row of the nearest sample, averaged over heads, to `to` [samples]: GNT reads depth from it. `x` is the
// state of the first tile before its attention; one warp.
__device__ void nearest_attention(const Ray& ray, const RayAttentionWeights& weights, int layer, const Tile<C>& x,
                                  float* to) {
    const Shared& s = ray.s;
    int lane = lane_id(), samples = ray.job.num_samples;
    nearest_query(s, project_queries(ray, weights, layer, input(normalised(x, weights.norm, kBlockEps)), 0));
    for (int head = 0; head < HEADS; head++) {
        float factor = score_factor(weights, head), most = -3.4e38f, sum = 0;
        auto score = [&](int j) { return nearest_score(s, head, j) * factor; };
        for (int j = lane; j < samples; j += kWarp) most = fmaxf(most, score(j));
        most = warp_max(most);
        for (int j = lane; j < samples; j += kWarp) sum += power_of_two(score(j) - most);
        sum = warp_sum(sum) * HEADS;
        for (int j = lane; j < samples; j += kWarp) {
            float before = head == 0 ? 0 : to[j];
            to[j] = before + power_of_two(score(j) - most) / sum;
        }
    }
}
#endif
