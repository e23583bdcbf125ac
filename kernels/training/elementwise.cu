// Operations on single values, four a thread, and on whole rows.
// CPU twins: src/layers/linear/mod.rs and the loops of src/layers/feed_forward/experts/train.rs.
#include "common/portable.cuh"
#include "training/twins.cuh"

// Runs `f(i)` for the thread's values, four neighbours at once where all pointers allow 16-byte accesses.
template <class Fours, class One>
__device__ __forceinline__ void each_four(bool aligned, u64 count, Fours fours, One one) {
    u64 i = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (aligned && i + 4 <= count) {
        fours(i);
    } else {
        for (u64 end = i + 4 < count ? i + 4 : count; i < end; i++) one(i);
    }
}

__device__ __forceinline__ float4& four_at(float* p) { return *reinterpret_cast<float4*>(p); }
__device__ __forceinline__ float4 four_at(const float* p) { return *reinterpret_cast<const float4*>(p); }

// y[i] = f(x[i], y[i]). Launch: one thread for four values.
#define PAIRWISE(name, parameters, formula)                                                                            \
    KERNEL(name) parameters {                                                                                          \
        auto f = [=](float x, float y) { return formula; };                                                            \
        each_four(((u64)x | (u64)y) % 16 == 0, count,                                                                  \
                  [&](u64 i) {                                                                                         \
                      float4 a = four_at(x + i), b = four_at(y + i);                                                   \
                      four_at(y + i) = make_float4(f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w));                \
                  },                                                                                                   \
                  [&](u64 i) { y[i] = f(x[i], y[i]); });                                                               \
    }                                                                                                                  \
    EXPORT(name)

// The gradient y where the layer's output x was not clipped.
PAIRWISE(training_relu_backward, (const float* x, float* y, u64 count), x > 0.f ? y : 0.f)
PAIRWISE(training_axpy, (const float* x, float* y, u64 count, float alpha), y + alpha * x)
// y = x · Φ(x) with the normal distribution function. CPU twin: src/layers/gelu.rs.
PAIRWISE(training_gelu, (const float* x, float* y, u64 count), 0.5f * x * erfcf(-0.70710678f * x))

// y = x. Launch: one thread for four values.
KERNEL(training_copy)(const float* x, float* y, u64 count) {
    each_four(((u64)x | (u64)y) % 16 == 0, count, [&](u64 i) { four_at(y + i) = four_at(x + i); },
              [&](u64 i) { y[i] = x[i]; });
}
EXPORT(training_copy)

// y = alpha · y. Launch: one thread for four values.
KERNEL(training_scale)(float* y, u64 count, float alpha) {
    each_four((u64)y % 16 == 0, count,
              [&](u64 i) {
                  float4 v = four_at(y + i);
                  four_at(y + i) = make_float4(alpha * v.x, alpha * v.y, alpha * v.z, alpha * v.w);
              },
              [&](u64 i) { y[i] *= alpha; });
}
EXPORT(training_scale)

// y = max(y, value). Launch: one thread for four values.
KERNEL(training_at_least)(float* y, u64 count, float value) {
    each_four((u64)y % 16 == 0, count,
              [&](u64 i) {
                  float4 v = four_at(y + i);
                  four_at(y + i) =
                      make_float4(fmaxf(v.x, value), fmaxf(v.y, value), fmaxf(v.z, value), fmaxf(v.w, value));
              },
              [&](u64 i) { y[i] = fmaxf(y[i], value); });
}
EXPORT(training_at_least)

// y = value. Launch: one thread for four values.
KERNEL(training_fill)(float* y, u64 count, float value) {
    each_four((u64)y % 16 == 0, count, [&](u64 i) { four_at(y + i) = make_float4(value, value, value, value); },
              [&](u64 i) { y[i] = value; });
}
EXPORT(training_fill)

// y[i] = x[order[i]] for `rows` rows of `width`. Launch: one warp a row, kWarpsOfBlock a block.
KERNEL(training_gather_rows)(const float* x, const int* order, int rows, int width, float* y) {
    int i = blockIdx.x * kWarpsOfBlock + threadIdx.x / kWarp;
    if (i >= rows) return;
    const float* from = x + (long long)order[i] * width;
    float* to = y + (long long)i * width;
    for (int c = lane_id(); c < width; c += kWarp) to[c] = from[c];
}
EXPORT(training_gather_rows)

// y[order[i]] = x[i]. Launch: one warp a row, kWarpsOfBlock a block.
KERNEL(training_scatter_rows)(const float* x, const int* order, int rows, int width, float* y) {
    int i = blockIdx.x * kWarpsOfBlock + threadIdx.x / kWarp;
    if (i >= rows) return;
    const float* from = x + (long long)i * width;
    float* to = y + (long long)order[i] * width;
    for (int c = lane_id(); c < width; c += kWarp) to[c] = from[c];
}
EXPORT(training_scatter_rows)
