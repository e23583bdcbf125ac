// Attention along the ray by scores: sixteen queries against all keys of the ray, which lie in shared memory. Scores never
// leave the registers. What a kind adds:
// - project_queries(ray, weights, layer, normal, first) and project_keys: rows of the tile from its normalised state
// - score_factor(weights, head): factor on the scores, in units of base 2
// - kScoresBounded: whether no score of a head exceeds its channels in size, so that the softmax need not look for the
//   largest
#pragma once
#include "render/inputs.cuh"

#if RAY == RAY_SOFTMAX || RAY == RAY_HAMMING
// Distance of rows of the values, which are transposed.
__device__ __forceinline__ int value_stride(const RayJob& job) { return padded_samples(job.num_samples) + kRowPadding; }

// Keys and values of sixteen samples from `first` on, to shared memory; values of rows past the last sample are zero.
__device__ void store_keys(const Ray& ray, const RayAttentionWeights& weights, int layer, const Tile<C>& x, int first) {
    int g = lane_id() / 4, t = lane_id() % 4, stride = value_stride(ray.job);
    const KeysAndValues& kept = ray.s.ray;
    Input<C> normal = input(normalised(x, weights.norm, kBlockEps));
    Tile<C> key = project_keys(ray, weights, layer, normal, first);
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int i = 0; i < 2; i++)
            store_pair(kept.keys + (first + g + 8 * i) * kKeyStride + 8 * n + 2 * t, key.v[n][2 * i],
                       key.v[n][2 * i + 1]);
    Tile<C> value = zero_tile<C>();
    shift_product<C, C>(value, normal, weights.value);
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int e = 0; e < 4; e++) {
            int row = first + g + 8 * (e / 2);
            kept.values[(8 * n + 2 * t + e % 2) * stride + row] =
                stored(row < ray.job.num_samples ? value.v[n][e] : 0);
        }
}

// Keys that no tile writes, because chunks of keys are larger than tiles.
__device__ void clear_last_keys(const Ray& ray) {
    int samples = ray.job.num_samples, stride = value_stride(ray.job);
    int first = ceil_div(samples, 16) * 16, count = padded_samples(samples) - first;
    for (int i = threadIdx.x; i < count * C; i += blockDim.x) {
        ray.s.ray.keys[(first + i / C) * kKeyStride + i % C] = stored(0);
        ray.s.ray.values[i % C * stride + first + i / C] = stored(0);
    }
}

// The steps of a query operand that head `head` reads, with other heads' channels cleared.
constexpr int kHeadSteps = kHead % kStep == 0 ? kHead / kStep : 1;
__device__ __forceinline__ Operand<kHeadSteps * kStep> head_query(const Operand<C>& query, int head) {
    Operand<kHeadSteps * kStep> part;
    int first = head * kHead / kStep;
#pragma unroll
    for (int k = 0; k < kHeadSteps; k++)
        for (int r = 0; r < 4; r++) part.v[k][r] = query.v[first + k][r];
    if (kHead < kStep) {
        // Half a step: registers 0 and 1 hold the first eight channels, 2 and 3 the others.
        int other = head % 2 ? 0 : 2;
        part.v[0][other] = part.v[0][other + 1] = 0;
    }
    return part;
}

// x += attention of sixteen samples from `first` on.
__device__ void ray_attention_tile(const Ray& ray, const RayAttentionWeights& weights, int layer, Tile<C>& x,
                                   int first) {
    constexpr int kChunk = kKeyChunk;
    // Far from overflow; a rescaling is then rare enough to be a branch.
    constexpr float kSlack = 40;
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
        float factor = score_factor(weights, head), shift[2] = {0, 0}, sum[2] = {0, 0};
        if (kScoresBounded) shift[0] = shift[1] = fabsf(factor) * kHead;
        Tile<kHead> out = zero_tile<kHead>();
        for (int from = 0; from < samples; from += kChunk) {
            Tile<kChunk> score = zero_tile<kChunk>();
#pragma unroll
            for (int n = 0; n < kChunk / 8; n++) {
                const Stored* row = kept.keys + (from + 8 * n + g) * kKeyStride + head * kHead / kStep * kStep;
#pragma unroll
                for (int k = 0; k < kHeadSteps; k++) {
                    unsigned b[2];
                    load_column(b, row, k);
                    multiply(score.v[n], part.v[k], b);
                }
                for (int e = 0; e < 4; e++) score.v[n][e] *= factor;
            }
            if (!kScoresBounded) {
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
            }
#pragma unroll
            for (int n = 0; n < kChunk / 8; n++)
                for (int e = 0; e < 4; e++) {
                    bool real = from + 8 * n + 2 * t + e % 2 < samples;
                    float power = real ? power_of_two(score.v[n][e] - shift[e / 2]) : 0;
                    score.v[n][e] = power;
                    sum[e / 2] += power;
                }
            Operand<kChunk> powers = operand(score);
#pragma unroll
            for (int n = 0; n < kHead / 8; n++) {
                const Stored* row = kept.values + (head * kHead + 8 * n + g) * stride + from;
#pragma unroll
                for (int k = 0; k < kChunk / kStep; k++) {
                    unsigned b[2];
                    load_column(b, row, k);
                    multiply(out.v[n], powers.v[k], b);
                }
            }
        }
        for (int i = 0; i < 2; i++) sum[i] = 1 / quad_sum(sum[i]);
#pragma unroll
        for (int n = 0; n < kHead / 8; n++)
            for (int e = 0; e < 4; e++) mixed.v[head * (kHead / 8) + n][e] = out.v[n][e] * sum[e / 2];
    }
    // Read again rather than kept: registers are what this function is short of.
    x = load_state(ray.s, first);
    add(x, bias_tile<C>(weights.out_bias));
    shift_product<C, C>(x, input(mixed), weights.out);
}

// Attention row of the nearest sample, averaged over heads, to `to` [samples]: GNT reads depth from it. `x` is the
// state of the first tile before its attention; one warp.
__device__ void nearest_attention(const Ray& ray, const RayAttentionWeights& weights, int layer, const Tile<C>& x,
                                  float* to) {
    const Shared& s = ray.s;
    int lane = lane_id(), t = lane % 4, samples = ray.job.num_samples;
    Tile<C> query = project_queries(ray, weights, layer, input(normalised(x, weights.norm, kBlockEps)), 0);
    if (lane < 4) {
#pragma unroll
        for (int n = 0; n < C / 8; n++)
            for (int e = 0; e < 2; e++) s.scratch[8 * n + 2 * t + e] = query.v[n][e];
    }
    __syncwarp();
    for (int head = 0; head < HEADS; head++) {
        float factor = score_factor(weights, head), most = -3.4e38f, sum = 0;
        auto score = [&](int j) {
            float dot = 0;
            for (int c = 0; c < kHead; c++)
                dot += s.scratch[head * kHead + c] * number(s.ray.keys[j * kKeyStride + head * kHead + c]);
            return dot * factor;
        };
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
