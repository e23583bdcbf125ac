// The small layer on relative directions that all kinds of attention over views have.
#pragma once
#include "render/network.cuh"

// Hidden direction number `i`: max(direction · W + b, 0); 0 past the last.
__device__ __forceinline__ float hidden_direction(const float* weight, float4 d, int i) {
    if (i >= H) return 0;
    float sum = __ldg(weight + 4 * H + i) + d.x * __ldg(weight + i) + d.y * __ldg(weight + H + i);
    return fmaxf(sum + d.z * __ldg(weight + 2 * H + i) + d.w * __ldg(weight + 3 * H + i), 0.0f);
}

// Hidden directions of two rows as a tile, whose operand is in the order Natural.
__device__ __forceinline__ Tile<kHidden16> hidden_tile(const float* weight, float4 low, float4 high) {
    int t = lane_id() % 4;
    Tile<kHidden16> x;
#pragma unroll
    for (int n = 0; n < kHidden16 / 8; n++)
        for (int e = 0; e < 4; e++) x.v[n][e] = hidden_direction(weight, e / 2 ? high : low, 8 * n + 2 * t + e % 2);
    return x;
}
