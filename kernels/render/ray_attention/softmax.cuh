// Softmax attention along the ray (GNT's ray transformer). CPU twin: src/layers/ray_attention/softmax/engine.rs.
#pragma once
#include "render/inputs.cuh"

#if RAY == RAY_SOFTMAX
constexpr bool kScoresBounded = false;

__device__ __forceinline__ float score_factor(const SoftmaxRayWeights&, int) { return kLog2E; }

__device__ __forceinline__ Tile<C> project_queries(const Ray&, const SoftmaxRayWeights& weights, int,
                                                   const Input<C>& normal, int) {
    Tile<C> x = zero_tile<C>();
    shift_product<C, C>(x, normal, weights.query);
    return x;
}

__device__ __forceinline__ Tile<C> project_keys(const Ray&, const SoftmaxRayWeights& weights, int,
                                                const Input<C>& normal, int) {
    Tile<C> x = zero_tile<C>();
    shift_product<C, C>(x, normal, weights.key);
    return x;
}
#endif
