// Hamming attention along the ray: queries and keys are codes of ±1, whose products the matrix units count. A score is a
// whole number in -d .. d, so the largest is known beforehand. CPU twin: src/layers/ray_attention/hamming/engine.rs.
#pragma once
#include "render/ray_attention/codes.cuh"

#if RAY == RAY_HAMMING
constexpr bool kScoresBounded = true;

__device__ __forceinline__ float score_factor(const HammingRayWeights& weights, int head) {
    return kLog2E * __ldg(weights.tau + head);
}

__device__ __forceinline__ Tile<C> project_queries(const Ray& ray, const HammingRayWeights& weights, int layer,
                                                   const Input<C>& normal, int first) {
    return query_signs(ray, weights, layer, normal, first);
}

__device__ __forceinline__ Tile<C> project_keys(const Ray& ray, const HammingRayWeights& weights, int layer,
                                                const Input<C>& normal, int first) {
    return key_signs(ray, weights, layer, normal, first);
}
#endif
