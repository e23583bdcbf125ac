// Activations fused into normalisations. CPU twin: src/layers/activation.rs.
#pragma once
#include "common/portable.cuh"
#include "features/twins.cuh"

__device__ __forceinline__ float activate(float x, int activation) {
    // Comparisons as on the CPU, so that NaN stays NaN.
    if (activation == ACTIVATION_IDENTITY || !(x < 0)) return x;
    return activation == ACTIVATION_RELU ? 0 : expm1f(x);
}

// The slope where the output is `y`.
__device__ __forceinline__ float slope(float y, int activation) {
    if (activation == ACTIVATION_IDENTITY || y > 0) return 1;
    return activation == ACTIVATION_RELU ? 0 : y + 1;
}
