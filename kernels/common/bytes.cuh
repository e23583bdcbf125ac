// Products of 8-bit numbers: weights that are signed powers of two are exact in seven bits, so the sum of shifts *is* an
// integer product. Rows are rounded to bytes with a scale of their own; weights have a scale a column.
//
// PRECISION_INT8: weights are bytes. PRECISION_PACKED: weights of shift layers are codes of four bits (sign and three bits
// of exponent, 0 for zero), made bytes in registers; those of other layers are bytes.
#pragma once
#include "common/fragment.cuh"

#define BYTES (PRECISION == PRECISION_INT8 || PRECISION == PRECISION_PACKED)

#if BYTES
constexpr int kByteStep = 32;

// The left side of a product over K channels: rows g and g + 8, each with its scale.
template <int K> struct Bytes {
    unsigned v[K / kByteStep][4];
    float scale[2];
};

// Four numbers, rounded after multiplication with `factor`, as bytes; they must fit.
__device__ __forceinline__ unsigned four_bytes(float a, float b, float c, float d, float factor) {
    // Adding 1.5 · 2^23 leaves the rounded number in the lowest bits.
    constexpr float kRound = 12582912.0f;
    unsigned x = bits_of(fmaf(a, factor, kRound)), y = bits_of(fmaf(b, factor, kRound));
    unsigned z = bits_of(fmaf(c, factor, kRound)), w = bits_of(fmaf(d, factor, kRound));
    return __byte_perm(__byte_perm(x, y, 0x0040), __byte_perm(z, w, 0x0040), 0x5410);
}

// Scale of a row whose largest absolute value this lane sees as `most`, and the factor that makes bytes of it.
__device__ __forceinline__ float byte_scale(float most, float& factor) {
    most = quad_max(most);
    factor = most > 0 ? 127.0f / most : 0.0f;
    return most * (1.0f / 127.0f);
}

// A tile as bytes, in the order Natural.
template <int K> __device__ __forceinline__ Bytes<K> bytes(const Tile<K>& x) {
    Bytes<K> a;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float most = 0, factor;
#pragma unroll
        for (int n = 0; n < K / 8; n++) most = fmaxf(most, fmaxf(fabsf(x.v[n][2 * i]), fabsf(x.v[n][2 * i + 1])));
        a.scale[i] = byte_scale(most, factor);
#pragma unroll
        for (int k = 0; k < K / kByteStep; k++)
            for (int half = 0; half < 2; half++) {
                int n = 4 * k + 2 * half;
                a.v[k][2 * half + i] = four_bytes(x.v[n][2 * i], x.v[n][2 * i + 1], x.v[n + 1][2 * i],
                                                  x.v[n + 1][2 * i + 1], factor);
            }
    }
    return a;
}

// This lane's K / 4 neighbouring channels of each of the two rows as bytes, in the order Rows.
template <int K>
__device__ __forceinline__ Bytes<K> bytes_of_rows(const float (&low)[K / 4], const float (&high)[K / 4]) {
    Bytes<K> a;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const float(&x)[K / 4] = i ? high : low;
        float most = 0, factor;
#pragma unroll
        for (int c = 0; c < K / 4; c++) most = fmaxf(most, fabsf(x[c]));
        a.scale[i] = byte_scale(most, factor);
#pragma unroll
        for (int k = 0; k < K / kByteStep; k++)
            for (int half = 0; half < 2; half++) {
                int c = 8 * k + 4 * half;
                a.v[k][2 * half + i] = four_bytes(x[c], x[c + 1], x[c + 2], x[c + 3], factor);
            }
    }
    return a;
}

// Two stored rows as bytes, in the order Rows.
template <int K> __device__ __forceinline__ Bytes<K> load_byte_rows(const Stored* low, const Stored* high) {
    unsigned l[kRowWords<K>], h[kRowWords<K>];
    load_row<K>(l, low);
    load_row<K>(h, high);
    __syncwarp();
    float a[K / 4], b[K / 4];
#pragma unroll
    for (int c = 0; c < K / 4; c++) a[c] = row_value<K>(l, c), b[c] = row_value<K>(h, c);
    return bytes_of_rows<K>(a, b);
}

// Four codes of four bits as bytes: 0, then 2^0 to 2^6, negative where the highest bit is set (never that of zero).
__device__ __forceinline__ unsigned shifts(unsigned codes) {
    unsigned size = __byte_perm(0x04020100u, 0x40201008u, codes & 0x7777u);
    unsigned negative = __byte_perm(0x0000ff00u, 0, (codes >> 3) & 0x1111u);
    return (size ^ negative) + (negative & 0x01010101u);
}

// Where the scales of a matrix of K x N lie: after its weights.
template <int K, int N, bool CODES> __device__ __forceinline__ const float* column_scales(const void* weights) {
    constexpr int kWords = K / kByteStep * (N / 8) * kWarp * (CODES ? 1 : 2);
    return reinterpret_cast<const float*>(static_cast<const unsigned*>(weights) + kWords);
}

// c += (a · weights) · scales, columns of eight from number `column` on, steps from `first` of `steps` on.
template <int K, int N, bool CODES>
__device__ __forceinline__ void byte_product(Tile<N>& c, const Bytes<K>& a, const void* weights, const float* scales,
                                             int column = 0, int steps = K / kByteStep, int first = 0) {
    // Sums start at the bits of 1.5 · 2^23, so that they are the bits of a float when they are done: they stay far
    // below 2^22, up to 255 channels of 127 · 127.
    constexpr int kBias = 0x4b400000;
    static_assert(K <= 256, "sums of bytes in 22 bits");
    int t = lane_id() % 4;
#pragma unroll
    for (int n = 0; n < N / 8; n++) {
        int at = ((column + n) * steps + first) * kWarp + lane_id();
        int sum[4] = {kBias, kBias, kBias, kBias};
#pragma unroll
        for (int k = 0; k < K / kByteStep; k++) {
            unsigned b[2];
            if constexpr (CODES) {
                unsigned codes = __ldg(static_cast<const unsigned*>(weights) + at + k * kWarp);
                b[0] = shifts(codes), b[1] = shifts(codes >> 16);
            } else {
                uint2 two = __ldg(static_cast<const uint2*>(weights) + at + k * kWarp);
                b[0] = two.x, b[1] = two.y;
            }
            mma_s8(sum, a.v[k], b);
        }
        float2 scale = __ldg(reinterpret_cast<const float2*>(scales + 8 * (column + n) + 2 * t));
        for (int e = 0; e < 4; e++) {
            float value = __int_as_float(sum[e]) - 12582912.0f;
            c.v[n][e] = fmaf(value, a.scale[e / 2] * (e % 2 ? scale.y : scale.x), c.v[n][e]);
        }
    }
}
#endif
