// How results of sums are stored: c = max(0, [c +] alpha · sum + bias), each part if asked for.
#pragma once
#include "common/portable.cuh"

struct Finish {
    const float* bias; // by column, or null
    float alpha;
    int accumulate, relu;

    __device__ __forceinline__ float operator()(float sum, int column, const float* c) const {
        float v = alpha * sum;
        if (bias) v += bias[column];
        if (accumulate) v += *c;
        return relu ? fmaxf(v, 0.f) : v;
    }
};
