// Hamming attention over source views: codes of one bit a channel, whose differing bits are counted, one weight a head, and
// values that are projected once a sample, after they are blended. CPU twin: src/layers/view_attention/hamming/engine.rs.
#pragma once
#include "render/forced.cuh"
#include "render/inputs.cuh"
#include "render/view_attention/direction.cuh"

#if VIEW == VIEW_HAMMING
// Keeps the pixel of the greatest weight, the first of equals: keys are read there.
__device__ __forceinline__ void remember_look(const Ray& ray, int sample, int view, const LookUp& look, u64 at) {
    int best = 0;
    for (int k = 1; k < 4; k++) best = look.weight[k] > look.weight[best] ? k : best;
    int pixel = look.index[best];
#if FORCED
    pixel = forced_pixel(ray, sample, view, pixel);
#endif
    ray.w.view.pixels[at] = make_int2(view, pixel);
}

// Codes of two rows: bit c of row g, and of row g + 8, is set where channel c is above zero.
__device__ __forceinline__ void codes_of(unsigned (&code)[2][kCode], const Tile<C>& x) {
    int t = lane_id() % 4;
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int word = 0; word < kCode; word++) {
            unsigned bits = 0;
#pragma unroll
            for (int n = 4 * word; n < 4 * word + 4 && n < C / 8; n++)
                for (int e = 0; e < 2; e++) bits |= unsigned(x.v[n][2 * i + e] > 0) << (8 * (n % 4) + 2 * t + e);
            bits |= __shfl_xor_sync(~0u, bits, 1);
            code[i][word] = bits | __shfl_xor_sync(~0u, bits, 2);
        }
}

// Bits of `head` in word `word` of a code.
__device__ __forceinline__ unsigned head_mask(int head, int word) {
    int first = max(head * kHead - 32 * word, 0), end = min((head + 1) * kHead - 32 * word, 32);
    if (first >= end) return 0;
    return (end - first == 32 ? ~0u : ((1u << (end - first)) - 1)) << first;
}

// Weights of the views of one row for head `head`, to `logits` [views, heads]. Logits are in base 2.
__device__ __forceinline__ void weigh_views(const Ray& ray, const HammingViewWeights& weights, int layer, u64 row,
                                            int count, bool uniform, const unsigned (&query)[kCode], int head) {
    const HammingViewWorkspace& kept = ray.w.view;
    float tau = __ldg(weights.tau + head), most = -3.4e38f, sum = 0;
    for (int j = 0; j < count; j++) {
        int2 pixel = kept.pixels[row + j];
        const unsigned* key = ray.job.sources[pixel.x].keys + (u64(pixel.y) * int(ray.net.depth) + layer) * kCode;
        int distance = 0;
#pragma unroll
        for (int word = 0; word < kCode; word++)
            distance += __popc((__ldg(key + word) ^ query[word]) & head_mask(head, word));
        float4 direction = ray.w.directions[row + j];
        float logit = tau * (kHead - 2 * distance);
#pragma unroll
        for (int i = 0; i < H; i++)
            logit += hidden_direction(weights.direction, direction, i) * __ldg(weights.head_bias + i * HEADS + head);
        logit = uniform ? 0 : logit * kLog2E;
        kept.logits[(row + j) * HEADS + head] = logit;
        float next = fmaxf(most, logit);
        sum = sum * power_of_two(most - next) + power_of_two(logit - next);
        most = next;
    }
    for (int j = 0; j < count; j++) {
        float& logit = kept.logits[(row + j) * HEADS + head];
        logit = power_of_two(logit - most) / sum;
    }
}

// x += attention of sixteen samples from `first` on; `layer` counts the blocks before this one.
__device__ void view_attention_tile(const Ray& ray, const HammingViewWeights& weights, int layer, Tile<C>& x, int first) {
    const Workspace& w = ray.w;
    const Shared& s = ray.s;
    int lane = lane_id(), g = lane / 4, t = lane % 4, views = ray.job.num_views;
    unsigned query[2][kCode];
    {
        Tile<C> projected = bias_tile<C>(weights.query_bias);
        shift_product<C, C>(projected, input(normalised(x, weights.norm, kBlockEps)), weights.query);
        codes_of(query, projected);
#if FORCED
        force_view_codes(ray, layer, first, query);
#endif
    }
    const int signed_count[2] = {s.counts[first + g], s.counts[first + g + 8]};
    const int count[2] = {abs(signed_count[0]), abs(signed_count[1])};
    const u64 row[2] = {u64(first + g) * views, u64(first + g + 8) * views};
    // The four lanes of a row share its heads.
    for (int head = t; head < HEADS; head += 4)
        for (int i = 0; i < 2; i++)
            weigh_views(ray, weights, layer, row[i], count[i], signed_count[i] < 0, query[i], head);
    __syncwarp();

    // One pass over a row's tokens serves all heads.
    Input<C> blended[HEADS];
    Tile<kHidden16> hidden[HEADS];
#pragma unroll
    for (int head = 0; head < HEADS; head++) hidden[head] = zero_tile<kHidden16>();
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float sums[HEADS][C / 4];
#pragma unroll
        for (int head = 0; head < HEADS; head++)
            for (int c = 0; c < C / 4; c++) sums[head][c] = 0;
        for (int j = 0; j < count[i]; j++) {
            unsigned words[kRowWords<C>];
            load_row<C>(words, w.tokens + (row[i] + j) * C);
            float4 direction = w.directions[row[i] + j];
            float inner[kHidden16 / 4];
#pragma unroll
            for (int n = 0; n < kHidden16 / 8; n++)
                for (int e = 0; e < 2; e++)
                    inner[2 * n + e] = hidden_direction(weights.direction, direction, 8 * n + 2 * t + e);
#pragma unroll
            for (int head = 0; head < HEADS; head++) {
                float weight = w.view.logits[(row[i] + j) * HEADS + head];
#pragma unroll
                for (int c = 0; c < C / 4; c++) sums[head][c] += weight * row_value<C>(words, c);
#pragma unroll
                for (int n = 0; n < kHidden16 / 8; n++)
                    for (int e = 0; e < 2; e++) hidden[head].v[n][2 * i + e] += weight * inner[2 * n + e];
            }
        }
        __syncwarp();
#pragma unroll
        for (int head = 0; head < HEADS; head++) {
            Input<C> half = input_of_rows<C>(sums[head], sums[head]);
            constexpr int kSteps = sizeof(half.v) / sizeof(half.v[0]);
#pragma unroll
            for (int k = 0; k < kSteps; k++)
                for (int r = i; r < 4; r += 2) blended[head].v[k][r] = half.v[k][r];
#if BYTES
            blended[head].scale[i] = half.scale[i];
#endif
        }
    }
    Tile<C> mixed;
#pragma unroll
    for (int head = 0; head < HEADS; head++) {
        Tile<kHead> value = zero_tile<kHead>();
        shift_product<C, kHead>(value, blended[head], weights.token + head * kMatrixStep<C, kHead>);
        product<kHidden16, kHead>(value, operand(hidden[head]),
                                  weights.hidden + head * (kHead / 8) * (kHidden16 / kStep) * kWarp);
#pragma unroll
        for (int n = 0; n < kHead / 8; n++)
            for (int e = 0; e < 4; e++) mixed.v[head * (kHead / 8) + n][e] = value.v[n][e];
    }
    // Read again rather than kept: registers are what this function is short of.
    x = load_state(ray.state, first);
    add(x, bias_tile<C>(weights.out_bias));
    shift_product<C, C>(x, input(mixed), weights.out);
}
#endif
