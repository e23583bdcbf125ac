// Inputs and products of those layers that are computed on bytes where PRECISION says so: shift layers and experts.
#pragma once
#include "render/network.cuh"

#if BYTES
// Weights of shift layers are codes of four bits.
constexpr bool kCodedWeights = PRECISION == PRECISION_PACKED;
template <int K> using Input = Bytes<K>;
template <int K> __device__ __forceinline__ Input<K> input(const Tile<K>& x) { return bytes(x); }
template <int K>
__device__ __forceinline__ Input<K> input_of_rows(const float (&low)[K / 4], const float (&high)[K / 4]) {
    return bytes_of_rows<K>(low, high);
}
template <int K> __device__ __forceinline__ Input<K> load_input(const Stored* low, const Stored* high) {
    return load_byte_rows<K>(low, high);
}
// Words of uint2 from one matrix of K x N to the next.
template <int K, int N>
constexpr int kMatrixStep = (K / kByteStep * (N / 8) * kWarp * (kCodedWeights ? 1 : 2) + N + 3) / 4 * 4 / 2;
template <int K, int N>
__device__ __forceinline__ void shift_product(Tile<N>& c, const Input<K>& a, const uint2* weights) {
    byte_product<K, N, kCodedWeights>(c, a, weights, column_scales<K, N, kCodedWeights>(weights));
}
template <bool CODES>
__device__ __forceinline__ void two_byte_layers(Tile<C>& out, const Bytes<C>& x, const TwoLayers& w) {
    constexpr int kChunk = kWide % 64 == 0 ? 64 : 32;
    const float* scales1 = column_scales<C, kWide, CODES>(w.fc1);
    const float* scales2 = column_scales<kWide, C, CODES>(w.fc2);
#pragma unroll 1
    for (int first = 0; first < kWide; first += kChunk) {
        Tile<kChunk> hidden = bias_tile<kChunk>(w.bias1 + first);
        // Only the chunk's columns; tiles count from the chunk's first column.
        byte_product<C, kChunk, CODES>(hidden, x, w.fc1, scales1, first / 8);
        relu(hidden);
        byte_product<kChunk, C, CODES>(out, bytes(hidden), w.fc2, scales2, 0, kWide / kByteStep, first / kByteStep);
    }
}
#else
template <int K> using Input = Operand<K>;
template <int K> __device__ __forceinline__ Input<K> input(const Tile<K>& x) { return operand(x); }
template <int K>
__device__ __forceinline__ Input<K> input_of_rows(const float (&low)[K / 4], const float (&high)[K / 4]) {
    return operand_of_rows<K>(low, high);
}
template <int K> __device__ __forceinline__ Input<K> load_input(const Stored* low, const Stored* high) {
    return load_rows<K>(low, high);
}
template <int K, int N> constexpr int kMatrixStep = (N / 8) * (K / kStep) * kWarp;
template <int K, int N>
__device__ __forceinline__ void shift_product(Tile<N>& c, const Input<K>& a, const uint2* weights) {
    product<K, N>(c, a, weights);
}
#endif

// out += two layers of `x`, the first of whose weights are in the order that `x` has. `shift`: of the shift expert, or of
// the only part.
__device__ __forceinline__ void two_layers(Tile<C>& out, const Input<C>& x, const TwoLayers& w, bool shift) {
#if BYTES
    if (kCodedWeights && shift)
        two_byte_layers<true>(out, x, w);
    else
        two_byte_layers<false>(out, x, w);
#else
    constexpr int kChunk = kWide % 32 == 0 ? 32 : 16;
    for (int first = 0; first < kWide; first += kChunk) {
        Tile<kChunk> hidden = bias_tile<kChunk>(w.bias1 + first);
        product<C, kChunk>(hidden, x, w.fc1 + first / 8 * (C / kStep) * kWarp);
        relu(hidden);
        product<kChunk, C>(out, operand(hidden), w.fc2, kWide / kStep, first / kStep);
    }
#endif
}
