// Joins the state of samples with the encoding of their positions. CPU twin: `position` in src/gnt/engine/ray.rs.
#pragma once
#include "render/network.cuh"

// Replaces the state by two layers on it and on the position encoding, in block `layer`.
__device__ void position_tile(const Ray& ray, const PositionWeights& weights, int layer, Tile<C>& x, int first) {
    int g = lane_id() / 4, t = lane_id() % 4;
    Tile<C> hidden = bias_tile<C>(weights.bias);
#pragma unroll
    for (int n = 0; n < C / 8; n++) {
        // This kernel wrote them, so they must not come through the read-only path that `bias_tile` takes.
        float2 constant = *reinterpret_cast<const float2*>(ray.w.constants + layer * C + 8 * n + 2 * t);
        for (int e = 0; e < 4; e++) hidden.v[n][e] += e % 2 ? constant.y : constant.x;
    }
    product<C, C>(hidden, operand(x), weights.state);
    const Stored* encoding = ray.w.encoding + (first + g) * kEncoding16;
    product<kEncoding16, C>(hidden, load_rows<kEncoding16>(encoding, encoding + 8 * kEncoding16), weights.encoding);
    relu(hidden);
    x = bias_tile<C>(weights.out_bias);
    product<C, C>(x, operand(hidden), weights.out);
}
