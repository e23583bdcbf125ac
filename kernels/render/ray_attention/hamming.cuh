// Hamming attention along the ray: queries and keys are codes of ±1, whose products the matrix units count. A score is a
// whole number in -d .. d, so the largest is known beforehand. CPU twin: src/layers/ray_attention/hamming/engine.rs.
#pragma once
#include "render/forced.cuh"
#include "render/inputs.cuh"

#if RAY == RAY_HAMMING
constexpr bool kScoresBounded = true;

__device__ __forceinline__ float score_factor(const HammingRayWeights& weights, int head) {
    return kLog2E * __ldg(weights.tau + head);
}

// Codes as ±1.
__device__ __forceinline__ Tile<C> project_codes(const Input<C>& normal, const uint2* weights, const float* bias) {
    Tile<C> x = bias_tile<C>(bias);
    shift_product<C, C>(x, normal, weights);
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int e = 0; e < 4; e++) x.v[n][e] = x.v[n][e] > 0 ? 1.0f : -1.0f;
    return x;
}

__device__ __forceinline__ Tile<C> project_queries(const Ray& ray, const HammingRayWeights& weights, int layer,
                                                   const Input<C>& normal, int first) {
    Tile<C> x = project_codes(normal, weights.query, weights.query_bias);
#if FORCED
    force_signs(ray, ray.job.decisions->ray_queries, DECISION_RAY_QUERY, layer, first, x);
#endif
    return x;
}

__device__ __forceinline__ Tile<C> project_keys(const Ray& ray, const HammingRayWeights& weights, int layer,
                                                const Input<C>& normal, int first) {
    Tile<C> x = project_codes(normal, weights.key, weights.key_bias);
#if FORCED
    force_signs(ray, ray.job.decisions->ray_keys, DECISION_RAY_KEY, layer, first, x);
#endif
    return x;
}
#endif
