// Products of small matrices by the tensor cores, one warp together: `d += a · b`, a 16 x K, b K x 8.
//
// Registers as the PTX manual lays them out, g = lane / 4, t = lane % 4; d[0..4] = (g, 2t) (g, 2t+1) (g+8, 2t) (g+8, 2t+1).
// - bf16, K = 16: a = rows g, g+8, g, g+8 with columns 2t, 2t+1 in the first two and 2t+8, 2t+9 in the others, the lower
//   column in the lower half; b = rows 2t, 2t+1 and 2t+8, 2t+9 of column g.
// - tf32, K = 8: a = (g, t) (g+8, t) (g, t+4) (g+8, t+4); b = (t, g) (t+4, g).
// - s8, K = 32: as bf16 with four columns 4t.. in a register, and 4t+16.. .
#pragma once
#include "common/portable.cuh"

#if defined(CUDA_HOST)
inline void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { cuh::mma<cuh::OpBf16>(a, b, d, d); }
inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { cuh::mma<cuh::OpTf32>(a, b, d, d); }
inline void mma_s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { cuh::mma<cuh::OpS8>(a, b, d, d); }
#else
#define SHIFTRAY_MMA(name, T, C, instruction)                                                                          \
    __device__ __forceinline__ void name(T (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {                 \
        asm volatile(instruction " {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"                                 \
                     : C(d[0]), C(d[1]), C(d[2]), C(d[3])                                                             \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                             \
    }
SHIFTRAY_MMA(mma_bf16, float, "+f", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")
SHIFTRAY_MMA(mma_tf32, float, "+f", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")
SHIFTRAY_MMA(mma_s8, int, "+r", "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32")
#endif

// Bits of a float and back.
__device__ __forceinline__ unsigned bits_of(float x) {
#if defined(CUDA_HOST)
    unsigned u;
    memcpy(&u, &x, 4);
    return u;
#else
    return __float_as_uint(x);
#endif
}
__device__ __forceinline__ float float_of(unsigned u) {
#if defined(CUDA_HOST)
    return cuh::as_float(u);
#else
    return __uint_as_float(u);
#endif
}

// Two bf16 numbers in a register, rounded to nearest, ties to even; `low` in the lower half.
__device__ __forceinline__ unsigned pack_bf16(float low, float high) {
#if defined(CUDA_HOST)
    auto round = [](float x) {
        unsigned u = bits_of(x);
        return x != x ? 0x7fffu : (u + 0x7fffu + ((u >> 16) & 1)) >> 16;
    };
    return round(low) | round(high) << 16;
#else
    unsigned d;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
#endif
}
__device__ __forceinline__ float low_bf16(unsigned u) { return float_of(u << 16); }
__device__ __forceinline__ float high_bf16(unsigned u) { return float_of(u & 0xffff0000u); }

// A number rounded to tf32 (10 bits of mantissa), ties away from zero.
__device__ __forceinline__ unsigned to_tf32(float x) {
#if defined(CUDA_HOST)
    return (bits_of(x) + 0x1000u) & 0xffffe000u;
#else
    unsigned d;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(d) : "f"(x));
    return d;
#endif
}

// 2^x, to about two units in the last place.
__device__ __forceinline__ float power_of_two(float x) {
#if defined(CUDA_HOST)
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}
