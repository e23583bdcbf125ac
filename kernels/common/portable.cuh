// What kernels use from outside: every kernel file includes this first. No header of the toolkit is needed, so that
// NVRTC compiles kernels on machines that have nothing but its library. On the CPU, host/cuda_host.h comes before.
#pragma once

#if !defined(CUDA_HOST)
#define KERNEL(name) extern "C" __global__ void name
#define DYNAMIC_SHARED(T, name)                                                                                        \
    extern __shared__ __align__(16) unsigned char name##_bytes[];                                                     \
    T* name = reinterpret_cast<T*>(name##_bytes)
#define EXPORT(name)
#endif

// Bytes from the start of a struct to a member, as a constant; there is no header of the toolkit that would define it.
#if defined(CUDA_HOST)
#define OFFSET_OF(T, member) __builtin_offsetof(T, member)
#else
#define OFFSET_OF(T, member) __INTADDR__(&((T*)0)->member)
#endif

typedef unsigned long long u64;

constexpr int kWarp = 32;

// Number of this thread in its warp.
__device__ __forceinline__ int lane_id() { return threadIdx.x & (kWarp - 1); }

__device__ __forceinline__ int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Sum over the lanes of a warp, for all lanes.
__device__ __forceinline__ float warp_sum(float x) {
    for (int d = 16; d > 0; d /= 2) x += __shfl_xor_sync(~0u, x, d);
    return x;
}

// Maximum over the lanes of a warp, for all lanes.
__device__ __forceinline__ float warp_max(float x) {
    for (int d = 16; d > 0; d /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, d));
    return x;
}
