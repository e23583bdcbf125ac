// Tiles of sixteen rows in the registers of a warp, and their products with packed weights.
//
// A row of a tile is a sample, or a (sample, view) pair; its columns are channels. What a product gives is a Tile, what
// it takes is an Operand; one becomes the other without leaving the registers. PRECISION says what operands are made of:
// f32, multiplied as three TF32 products (the two halves of each number, but for the product of the lower halves), or bf16.
// Sums are f32 in both.
//
// g = lane / 4 and t = lane % 4 throughout: a lane holds columns of rows g and g + 8.
#pragma once
#include "common/choices.cuh"
#include "common/mma.cuh"

#if PRECISION != PRECISION_F32
typedef unsigned short Stored;
constexpr int kStep = 16;
#else
typedef float Stored;
constexpr int kStep = 8;
#endif
constexpr float kLog2E = 1.4426950408889634f;

// 16 x N sums; v[n] holds (g, 8n + 2t), (g, 8n + 2t + 1), and the same of row g + 8.
template <int N> struct Tile {
    float v[N / 8][4];
};

// The left side of a product over K channels. Which channel a register means is the product's business: packed weights
// have an order, see `Order` in src/layers/ray_kernel/arena.rs.
template <int K> struct Operand {
    unsigned v[K / kStep][4];
};

__device__ __forceinline__ void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if PRECISION != PRECISION_F32
    mma_bf16(d, a, b);
#else
    unsigned a_high[4], a_low[4], b_high[2], b_low[2];
    for (int i = 0; i < 4; i++) {
        a_high[i] = to_tf32(float_of(a[i]));
        a_low[i] = to_tf32(float_of(a[i]) - float_of(a_high[i]));
    }
    for (int i = 0; i < 2; i++) {
        b_high[i] = to_tf32(float_of(b[i]));
        b_low[i] = to_tf32(float_of(b[i]) - float_of(b_high[i]));
    }
    mma_tf32(d, a_low, b_high);
    mma_tf32(d, a_high, b_low);
    mma_tf32(d, a_high, b_high);
#endif
}

template <int N> __device__ __forceinline__ Tile<N> zero_tile() {
    Tile<N> x;
#pragma unroll
    for (int n = 0; n < N / 8; n++)
        for (int e = 0; e < 4; e++) x.v[n][e] = 0;
    return x;
}

// Every row the same: `bias` [N].
template <int N> __device__ __forceinline__ Tile<N> bias_tile(const float* bias) {
    int t = lane_id() % 4;
    Tile<N> x;
#pragma unroll
    for (int n = 0; n < N / 8; n++) {
        float2 b = __ldg(reinterpret_cast<const float2*>(bias + 8 * n + 2 * t));
        x.v[n][0] = x.v[n][2] = b.x;
        x.v[n][1] = x.v[n][3] = b.y;
    }
    return x;
}

// Sums of one column tile: d += a · column `n` of the weights, which have `steps` steps a column and begin at `first`.
template <int K>
__device__ __forceinline__ void column_product(float (&d)[4], const Operand<K>& a, const uint2* weights, int n,
                                               int steps = K / kStep, int first = 0) {
    const uint2* w = weights + (n * steps + first) * kWarp + lane_id();
#pragma unroll
    for (int k = 0; k < K / kStep; k++) {
        uint2 b = __ldg(w + k * kWarp);
        const unsigned pair[2] = {b.x, b.y};
        multiply(d, a.v[k], pair);
    }
}

// c += a · weights [K, N].
template <int K, int N>
__device__ __forceinline__ void product(Tile<N>& c, const Operand<K>& a, const uint2* weights, int steps = K / kStep,
                                        int first = 0) {
#pragma unroll
    for (int n = 0; n < N / 8; n++) column_product<K>(c.v[n], a, weights, n, steps, first);
}

// A tile as operand, in the order Natural.
template <int K> __device__ __forceinline__ Operand<K> operand(const Tile<K>& x) {
    Operand<K> a;
#pragma unroll
    for (int k = 0; k < K / kStep; k++) {
#if PRECISION != PRECISION_F32
        a.v[k][0] = pack_bf16(x.v[2 * k][0], x.v[2 * k][1]);
        a.v[k][1] = pack_bf16(x.v[2 * k][2], x.v[2 * k][3]);
        a.v[k][2] = pack_bf16(x.v[2 * k + 1][0], x.v[2 * k + 1][1]);
        a.v[k][3] = pack_bf16(x.v[2 * k + 1][2], x.v[2 * k + 1][3]);
#else
        a.v[k][0] = bits_of(x.v[k][0]);
        a.v[k][1] = bits_of(x.v[k][2]);
        a.v[k][2] = bits_of(x.v[k][1]);
        a.v[k][3] = bits_of(x.v[k][3]);
#endif
    }
    return a;
}

// K / 4 neighbouring channels of each of the two rows, channels t · K/4 ..., as operand in the order Rows.
template <int K>
__device__ __forceinline__ Operand<K> operand_of_rows(const float (&low)[K / 4], const float (&high)[K / 4]) {
    Operand<K> a;
#pragma unroll
    for (int k = 0; k < K / kStep; k++) {
#if PRECISION != PRECISION_F32
        a.v[k][0] = pack_bf16(low[4 * k], low[4 * k + 1]);
        a.v[k][1] = pack_bf16(high[4 * k], high[4 * k + 1]);
        a.v[k][2] = pack_bf16(low[4 * k + 2], low[4 * k + 3]);
        a.v[k][3] = pack_bf16(high[4 * k + 2], high[4 * k + 3]);
#else
        a.v[k][0] = bits_of(low[2 * k]);
        a.v[k][1] = bits_of(high[2 * k]);
        a.v[k][2] = bits_of(low[2 * k + 1]);
        a.v[k][3] = bits_of(high[2 * k + 1]);
#endif
    }
    return a;
}

// Words of 32 bits that hold this lane's K / 4 channels of a stored row.
template <int K> constexpr int kRowWords = K / 4 * int(sizeof(Stored)) / 4;

// This lane's part of a stored row of K channels; zeros where `row` is null.
template <int K> __device__ __forceinline__ void load_row(unsigned (&words)[kRowWords<K>], const Stored* row) {
    const Stored* from = row + (lane_id() % 4) * (K / 4);
#pragma unroll
    for (int i = 0; i < kRowWords<K>; i++) words[i] = 0;
    if (!row) return;
    if constexpr (kRowWords<K> % 4 == 0) {
#pragma unroll
        for (int i = 0; i < kRowWords<K> / 4; i++) {
            uint4 four = reinterpret_cast<const uint4*>(from)[i];
            words[4 * i] = four.x, words[4 * i + 1] = four.y, words[4 * i + 2] = four.z, words[4 * i + 3] = four.w;
        }
    } else {
#pragma unroll
        for (int i = 0; i < kRowWords<K> / 2; i++) {
            uint2 two = reinterpret_cast<const uint2*>(from)[i];
            words[2 * i] = two.x, words[2 * i + 1] = two.y;
        }
    }
}

// The numbers in such words.
template <int K> __device__ __forceinline__ float row_value(const unsigned (&words)[kRowWords<K>], int i) {
#if PRECISION != PRECISION_F32
    return i % 2 ? high_bf16(words[i / 2]) : low_bf16(words[i / 2]);
#else
    return float_of(words[i]);
#endif
}

// Two stored rows as operand in the order Rows. Lanes whose rows are null take another way, and all meet again: matrix units
// want whole warps.
template <int K> __device__ __forceinline__ Operand<K> load_rows(const Stored* low, const Stored* high) {
    unsigned l[kRowWords<K>], h[kRowWords<K>];
    load_row<K>(l, low);
    load_row<K>(h, high);
    __syncwarp();
    Operand<K> a;
#pragma unroll
    for (int k = 0; k < K / kStep; k++) {
        a.v[k][0] = l[2 * k];
        a.v[k][1] = h[2 * k];
        a.v[k][2] = l[2 * k + 1];
        a.v[k][3] = h[2 * k + 1];
    }
    return a;
}

// Two neighbouring values to memory.
__device__ __forceinline__ void store_pair(Stored* to, float a, float b) {
#if PRECISION != PRECISION_F32
    *reinterpret_cast<unsigned*>(to) = pack_bf16(a, b);
#else
    *reinterpret_cast<float2*>(to) = make_float2(a, b);
#endif
}

__device__ __forceinline__ Stored stored(float x) {
#if PRECISION != PRECISION_F32
    return Stored(pack_bf16(x, 0) & 0xffff);
#else
    return x;
#endif
}

__device__ __forceinline__ float number(Stored x) {
#if PRECISION != PRECISION_F32
    return low_bf16(x);
#else
    return x;
#endif
}

// The right side of a product step whose column is `row`, in memory: channels (or keys) kStep · k ... in the order Natural.
__device__ __forceinline__ void load_column(unsigned (&b)[2], const Stored* row, int k) {
    int t = lane_id() % 4;
#if PRECISION != PRECISION_F32
    const unsigned* words = reinterpret_cast<const unsigned*>(row + 16 * k + 2 * t);
    b[0] = words[0], b[1] = words[4];
#else
    uint2 two = *reinterpret_cast<const uint2*>(row + 8 * k + 2 * t);
    b[0] = two.x, b[1] = two.y;
#endif
}

// Sum and maximum over the four lanes that share a row, for all of them.
__device__ __forceinline__ float quad_sum(float x) {
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}
__device__ __forceinline__ float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
    return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}

template <int N> __device__ __forceinline__ void relu(Tile<N>& x) {
#pragma unroll
    for (int n = 0; n < N / 8; n++)
        for (int e = 0; e < 4; e++) x.v[n][e] = fmaxf(x.v[n][e], 0.0f);
}

template <int N> __device__ __forceinline__ void add(Tile<N>& x, const Tile<N>& y) {
#pragma unroll
    for (int n = 0; n < N / 8; n++)
        for (int e = 0; e < 4; e++) x.v[n][e] += y.v[n][e];
}

// Layer normalisation of each row with the biased variance; `affine` holds gain [N] and bias [N].
template <int N> __device__ __forceinline__ Tile<N> normalised(const Tile<N>& x, const float* affine, float eps) {
    int t = lane_id() % 4;
    float mean[2] = {0, 0}, variance[2] = {0, 0};
#pragma unroll
    for (int n = 0; n < N / 8; n++)
        for (int e = 0; e < 4; e++) mean[e / 2] += x.v[n][e];
    for (int r = 0; r < 2; r++) mean[r] = quad_sum(mean[r]) * (1.0f / N);
#pragma unroll
    for (int n = 0; n < N / 8; n++)
        for (int e = 0; e < 4; e++) {
            float d = x.v[n][e] - mean[e / 2];
            variance[e / 2] += d * d;
        }
    float scale[2];
    for (int r = 0; r < 2; r++) scale[r] = rsqrtf(quad_sum(variance[r]) * (1.0f / N) + eps);
    Tile<N> y;
#pragma unroll
    for (int n = 0; n < N / 8; n++) {
        float2 gain = __ldg(reinterpret_cast<const float2*>(affine + 8 * n + 2 * t));
        float2 bias = __ldg(reinterpret_cast<const float2*>(affine + N + 8 * n + 2 * t));
        for (int e = 0; e < 4; e++) {
            float v = (x.v[n][e] - mean[e / 2]) * scale[e / 2];
            y.v[n][e] = e % 2 ? v * gain.y + bias.y : v * gain.x + bias.x;
        }
    }
    return y;
}
