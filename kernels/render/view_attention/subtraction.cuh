// Subtraction attention over source views (GNT's view transformer), folded: value = Wv·Wk, and the first layer of the
// attention's MLP takes in keys, queries and directions. CPU twin: src/layers/view_attention/subtraction/engine.rs.
#pragma once
#include "render/view_attention/direction.cuh"

#if VIEW == VIEW_SUBTRACTION
__device__ __forceinline__ void remember_look(const Ray&, int, int, const LookUp&, u64) {}

// Softmax over views of each channel, without knowing all logits first: `shift` is close to their maximum so far.
struct Softmax {
    float shift, sum, mixed;
};

// x += attention of sixteen samples from `first` on.
__device__ void view_attention_tile(const Ray& ray, const SubtractionWeights& weights, int, Tile<C>& x, int first) {
    const Workspace& w = ray.w;
    const Shared& s = ray.s;
    // Far from overflow; a rescaling is then rare enough to be a branch.
    constexpr float kSlack = 40;
    int g = lane_id() / 4, views = ray.job.num_views;
    Tile<kHidden8> query = zero_tile<kHidden8>();
    product<C, kHidden8>(query, operand(normalised(x, weights.norm, kBlockEps)), weights.query);

    const int signed_count[2] = {s.counts[first + g], s.counts[first + g + 8]};
    const int count[2] = {abs(signed_count[0]), abs(signed_count[1])};
    int most = max(count[0], count[1]);
    for (int d = 4; d < kWarp; d *= 2) most = max(most, __shfl_xor_sync(~0u, most, d));
    const u64 row[2] = {u64(first + g) * views, u64(first + g + 8) * views};
    Softmax sums[C / 8][4];
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int e = 0; e < 4; e++) sums[n][e] = {0, 0, 0};
    for (int j = 0; j < most; j++) {
        bool on[2];
        const Stored* token[2];
        float4 direction[2];
        for (int i = 0; i < 2; i++) {
            on[i] = j < count[i];
            token[i] = on[i] ? w.tokens + (row[i] + j) * C : nullptr;
            direction[i] = on[i] ? w.directions[row[i] + j] : make_float4(0, 0, 0, 0);
        }
        Operand<C> tokens = load_rows<C>(token[0], token[1]);
        Operand<kHidden16> directions = operand(hidden_tile(weights.direction, direction[0], direction[1]));
        Tile<kHidden16> hidden = zero_tile<kHidden16>();
#pragma unroll
        for (int n = 0; n < kHidden8 / 8; n++) {
            column_product<C>(hidden.v[n], tokens, weights.token, C / 8 + n);
            column_product<kHidden16>(hidden.v[n], directions, weights.hidden, C / 8 + n);
            float2 bias = __ldg(reinterpret_cast<const float2*>(weights.token_bias + C + 8 * n + 2 * (lane_id() % 4)));
            for (int e = 0; e < 4; e++) hidden.v[n][e] += (e % 2 ? bias.y : bias.x) - query.v[n][e];
        }
        relu(hidden);
        Operand<kHidden16> inner = operand(hidden);
#pragma unroll
        for (int n = 0; n < C / 8; n++) {
            float value[4] = {0, 0, 0, 0}, logit[4] = {0, 0, 0, 0};
            column_product<C>(value, tokens, weights.token, n);
            column_product<kHidden16>(value, directions, weights.hidden, n);
            column_product<kHidden16>(logit, inner, weights.logits, n);
            float2 bias = __ldg(reinterpret_cast<const float2*>(weights.token_bias + 8 * n + 2 * (lane_id() % 4)));
            bool far = false;
            for (int e = 0; e < 4; e++) {
                value[e] += e % 2 ? bias.y : bias.x;
                // All views weigh the same where none sees the sample.
                logit[e] = signed_count[e / 2] < 0 ? 0 : logit[e] * kLog2E;
                if (j == 0) sums[n][e].shift = logit[e];
                far = far || (on[e / 2] && logit[e] > sums[n][e].shift + kSlack);
            }
            if (__any_sync(~0u, far)) {
                for (int e = 0; e < 4; e++) {
                    Softmax& sum = sums[n][e];
                    if (!on[e / 2] || logit[e] <= sum.shift) continue;
                    float scale = power_of_two(sum.shift - logit[e]);
                    sum = {logit[e], sum.sum * scale, sum.mixed * scale};
                }
            }
            __syncwarp();
            for (int e = 0; e < 4; e++) {
                if (!on[e / 2]) continue;
                float power = power_of_two(logit[e] - sums[n][e].shift);
                sums[n][e].sum += power;
                sums[n][e].mixed += power * value[e];
            }
            __syncwarp();
        }
    }
    Tile<C> mixed;
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int e = 0; e < 4; e++) mixed.v[n][e] = count[e / 2] > 0 ? sums[n][e].mixed / sums[n][e].sum : 0;
    // Read again rather than kept: registers are what this function is short of.
    x = load_state(ray.state, first);
    add(x, bias_tile<C>(weights.out_bias));
    product<C, C>(x, operand(mixed), weights.out);
}
#endif
