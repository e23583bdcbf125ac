// Queries and keys of attention on codes, as the signs ±1 of their projections.
#pragma once
#include "render/forced.cuh"
#include "render/ray_attention/keys.cuh"

#if RAY == RAY_HAMMING || RAY == RAY_LINEAR_ANGULAR
__device__ __forceinline__ Tile<C> project_signs(const Input<C>& normal, const uint2* weights, const float* bias) {
    Tile<C> x = bias_tile<C>(bias);
    shift_product<C, C>(x, normal, weights);
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int e = 0; e < 4; e++) x.v[n][e] = x.v[n][e] > 0 ? 1.0f : -1.0f;
    return x;
}

__device__ __forceinline__ Tile<C> query_signs(const Ray& ray, const RayAttentionWeights& weights, int layer,
                                               const Input<C>& normal, int first) {
    Tile<C> x = project_signs(normal, weights.query, weights.query_bias);
#if FORCED
    force_signs(ray, ray.job.decisions->ray_queries, DECISION_RAY_QUERY, layer, first, x);
#endif
    return x;
}

__device__ __forceinline__ Tile<C> key_signs(const Ray& ray, const RayAttentionWeights& weights, int layer,
                                             const Input<C>& normal, int first) {
    Tile<C> x = project_signs(normal, weights.key, weights.key_bias);
#if FORCED
    force_signs(ray, ray.job.decisions->ray_keys, DECISION_RAY_KEY, layer, first, x);
#endif
    return x;
}
#endif
