// Activations fused into normalisations; the numbers are those of the launching side. CPU twin: src/layers/activation.rs.
#pragma once
#include "common/portable.cuh"

constexpr int kIdentity = 0, kRelu = 1, kElu = 2;

__device__ __forceinline__ float activate(float x, int activation) {
    // Comparisons as on the CPU, so that NaN stays NaN.
    if (activation == kIdentity || !(x < 0)) return x;
    return activation == kRelu ? 0 : expm1f(x);
}

// The slope where the output is `y`.
__device__ __forceinline__ float slope(float y, int activation) {
    if (activation == kIdentity || y > 0) return 1;
    return activation == kRelu ? 0 : y + 1;
}
