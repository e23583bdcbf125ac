// Keys and values of a ray in shared memory, for attention whose queries meet all keys. What a kind adds:
// - project_queries and project_keys: rows of the tile of samples from `first` on, from its normalised state
#pragma once
#include "render/inputs.cuh"

__device__ __forceinline__ Tile<C> project_queries(const Ray& ray, const RayAttentionWeights& weights, int layer,
                                                   const Input<C>& normal, int first);
__device__ __forceinline__ Tile<C> project_keys(const Ray& ray, const RayAttentionWeights& weights, int layer,
                                                const Input<C>& normal, int first);

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

// scores += query · the kKeyChunk keys from `from` on, of one head.
__device__ __forceinline__ void multiply_keys(Tile<kKeyChunk>& scores, const Operand<kHeadSteps * kStep>& query,
                                              const KeysAndValues& kept, int head, int from) {
    int g = lane_id() / 4;
#pragma unroll
    for (int n = 0; n < kKeyChunk / 8; n++) {
        const Stored* row = kept.keys + (from + 8 * n + g) * kKeyStride + head * kHead / kStep * kStep;
#pragma unroll
        for (int k = 0; k < kHeadSteps; k++) {
            unsigned b[2];
            load_column(b, row, k);
            multiply(scores.v[n], query.v[k], b);
        }
    }
}

// out += weights of the kKeyChunk samples from `from` on · their values, of one head.
__device__ __forceinline__ void multiply_values(Tile<kHead>& out, const Operand<kKeyChunk>& weights,
                                                const KeysAndValues& kept, int stride, int head, int from) {
    int g = lane_id() / 4;
#pragma unroll
    for (int n = 0; n < kHead / 8; n++) {
        const Stored* row = kept.values + (head * kHead + 8 * n + g) * stride + from;
#pragma unroll
        for (int k = 0; k < kKeyChunk / kStep; k++) {
            unsigned b[2];
            load_column(b, row, k);
            multiply(out.v[n], weights.v[k], b);
        }
    }
}

// Puts the query of the nearest sample, row 0 of a tile, where all lanes of the warp find it.
__device__ __forceinline__ void nearest_query(const Shared& s, const Tile<C>& query) {
    int lane = lane_id(), t = lane % 4;
    if (lane < 4) {
#pragma unroll
        for (int n = 0; n < C / 8; n++)
            for (int e = 0; e < 2; e++) s.scratch[8 * n + 2 * t + e] = query.v[n][e];
    }
    __syncwarp();
}

// Product of that query and key `j`, of one head.
__device__ __forceinline__ float nearest_score(const Shared& s, int head, int j) {
    float dot = 0;
    for (int c = 0; c < kHead; c++)
        dot += s.scratch[head * kHead + c] * number(s.ray.keys[j * kKeyStride + head * kHead + c]);
    return dot;
}
