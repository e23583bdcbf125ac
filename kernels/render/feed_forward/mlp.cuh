// Feed-forward parts of two layers. CPU twin: src/layers/feed_forward/mlp/engine.rs.
#pragma once
#include "render/inputs.cuh"

#if FEED_FORWARD == FEED_FORWARD_MLP
constexpr bool kByRay = false;

// x += two layers of norm(x).
__device__ __forceinline__ void feed_forward_tile(const Ray&, const MlpWeights& w, int, Tile<C>& x, int) {
    Input<C> normal = input(normalised(x, w.norm, kBlockEps));
    add(x, bias_tile<C>(w.layers.bias2));
    two_layers(x, normal, w.layers, true);
}

__device__ __forceinline__ void feed_forward_ray(const Ray&, const MlpWeights&, int) {}
#endif
