// What the ray kernel reads: sizes, weights, source views. The structs are filled by src/gnt/cuda/network.rs.
//
// Constants of an instance: WIDTH (C), HEADS, HIDDEN (H, of the view attention's small layers), RATIO (hidden width of
// feed-forward parts over C), START (0 maximum, 1 mean and variance), POSITION (0 world, 1 along the ray), OCTAVES,
// BLEND (colour head: 0 mean, 1 blended views), VIEW (0 subtraction, 1 codes), RAY (0 softmax, 1 codes), EXPERTS,
// PRECISION, BYTES (products of shift layers and experts on 8-bit numbers, see common/bytes.cuh), LARGE (1: the state of a
// ray lies in global memory, for more samples than shared memory holds).
#pragma once
#include "common/bytes.cuh"

constexpr int C = WIDTH, kHead = C / HEADS, H = HIDDEN;
// Hidden directions, filled up to a tile's columns and to an operand's channels.
constexpr int kHidden8 = (H + 7) / 8 * 8, kHidden16 = (H + 15) / 16 * 16;
constexpr int kWide = C * RATIO;
// Channels of the position encoding that differ from sample to sample, and those that the ray shares.
constexpr int kEncoding = POSITION == 0 ? 3 + 6 * OCTAVES : 1 + 2 * OCTAVES;
constexpr int kEncoding16 = (kEncoding + 15) / 16 * 16;
constexpr int kRayEncoding = POSITION == 0 ? 3 + 6 * OCTAVES : 0;
constexpr int kBlend = C / 2;
constexpr float kBlockEps = 1e-6f, kLastEps = 1e-5f;
// Distance of rows of the state and of keys in shared memory: rows of a tile fall on different banks.
constexpr int kStateStride = C + 8, kKeyStride = C + 8;
// Words of the codes of C channels.
constexpr int kCode = (C + 31) / 32;

static_assert(C % 16 == 0 && C % HEADS == 0, "heads of equal width");
static_assert(kHead == 8 || kHead % kStep == 0, "heads of eight channels, or of whole steps");

// A source view. Axes of a camera: x right, y down, z forward; pixels are integers at their centres.
struct SourceView {
    const float4* image; // colours, [height, width]
    const Stored* map;   // first token layer of the feature map, [map_height, map_width, C]
    const unsigned* keys; // codes of the keys of all blocks, [map pixels, depth, kCode]
    float pixel_from_world[12]; // three rows
    float eye[3];
    int width, height, map_width, map_height, unused;
};

// Two layers with a ReLU between: weights of both in the order Natural, but the first of experts in the order Rows.
struct Perceptron {
    const uint2* fc1;
    const float* bias1;
    const uint2* fc2;
    const float* bias2;
};

struct FeedForward {
    const float* norm; // gain, bias
    Perceptron parts[2]; // one, or the multiply and the shift expert
    const float* router; // [C, 2] and two biases; experts only
};

struct Block {
    const float* view_norm;
    const uint2* view_query; // C -> H (subtraction) or C (codes)
    const float* view_query_bias;
    const uint2* view_key; // C -> C, codes only
    const float* view_key_bias;
    const float* direction; // [5, H]: rows and bias of the hidden direction
    const uint2* token; // subtraction: C -> C + H, order Rows; codes: for each head C -> d, order Rows
    const uint2* hidden; // subtraction: H -> C + H; codes: for each head H -> d
    const float* token_bias; // [C + H], subtraction only
    const uint2* logits; // H -> C, subtraction only
    const float* head_bias; // [H, heads], codes only
    const float* view_tau; // [heads], codes only
    const uint2* view_out;
    const float* view_out_bias;
    FeedForward view_ff;
    const uint2* position_state; // C -> C; null where the block has no position layer
    const float* position_bias;
    const uint2* position_encoding; // encoding -> C, order Rows
    const float* position_ray; // [ray encoding, C]
    const uint2* position_out;
    const float* position_out_bias;
    const float* ray_norm;
    const uint2* query; // C -> C each
    const uint2* key;
    const uint2* value;
    const float* query_bias; // zeros where there are none
    const float* key_bias;
    const float* ray_tau; // [heads], codes only
    const uint2* ray_out;
    const float* ray_out_bias;
    FeedForward ray_ff;
};

struct Network {
    const float* colour; // [4, C]: colour rows and bias of the first token layer
    const uint2* token; // C -> C, order Rows
    const float* token_bias;
    const uint2* start_mean; // C -> C
    const uint2* start_variance;
    const float* start_bias;
    const Block* blocks;
    const float* norm;
    const float* rgb; // [C, 3] and three biases
    const uint2* blend_token; // C -> C/2, order Rows
    const float* blend_bias;
    const float* blend_direction; // [4, C/2]
    const uint2* blend_state; // C -> C/2
    const float* blend_view; // [C/2]
    const float* blend_ray; // [C]
    u64 depth;
};

struct Job {
    const SourceView* sources;
    const float* rays; // [rays, 6]: origin and direction
    const float* depths; // [samples], or of each ray
    unsigned char* workspace; // a part for each block
    float* rgb; // [rays, 3]
    float* weights; // [rays, samples], or null
    float* depth; // [rays]
    float* states; // [stages, rays, samples, C], or null
    u64* cycles; // [6]: spent on each stage, see render.cu; or null
    u64* routed; // [2 depth]: rows that the multiply expert of each feed-forward part ran, added up; or null
    unsigned* multiplied; // [rays]: rows of a ray that all multiply experts ran; written where there is `routed`
    u64 workspace_stride; // bytes
    float near, far;
    int num_rays, num_samples, num_views, depth_stride;
};

// Where things of a ray lie in its block's part of the workspace; rows are (sample, rank of a view that counts).
struct Workspace {
    Stored* tokens; // [samples, views, C]
    float4* directions; // [samples, views]
    float4* colours; // [samples, views]
    int2* pixels; // [samples, views]: view and pixel of its map; codes only
    float* logits; // [samples, views, heads]; codes only
    Stored* encoding; // [samples, kEncoding16]
    float* constants; // [depth, C]: what the ray's direction adds to position layers
    unsigned char* state; // what else would be in shared memory, where LARGE
};

// Rows of everything that tiles write: whole tiles, and whole chunks of keys.
__device__ __forceinline__ int padded_samples(int samples) { return ceil_div(samples, 32) * 32; }

__device__ __forceinline__ Workspace workspace_of(const Job& job, int depth) {
    u64 rows = u64(padded_samples(job.num_samples)) * job.num_views;
    unsigned char* at = job.workspace + job.workspace_stride * blockIdx.x;
    auto take = [&](u64 bytes) {
        unsigned char* here = at;
        at += (bytes + 255) / 256 * 256;
        return here;
    };
    Workspace w;
    w.tokens = reinterpret_cast<Stored*>(take(rows * C * sizeof(Stored)));
    w.directions = reinterpret_cast<float4*>(take(rows * sizeof(float4)));
    w.colours = reinterpret_cast<float4*>(take(rows * sizeof(float4)));
    w.pixels = reinterpret_cast<int2*>(take(VIEW ? rows * sizeof(int2) : 0));
    w.logits = reinterpret_cast<float*>(take(VIEW ? rows * HEADS * sizeof(float) : 0));
    w.encoding = reinterpret_cast<Stored*>(take(u64(padded_samples(job.num_samples)) * kEncoding16 * sizeof(Stored)));
    w.constants = reinterpret_cast<float*>(take(u64(depth) * C * sizeof(float)));
    w.state = at;
    return w;
}

// One view's projection of a sample.
struct Item {
    int index[4]; // pixels of the map
    float weight[4];
    float direction[4];
    float colour[3];
    int seen;
};

// What the threads of a block share about a ray; see `shared_bytes` in src/gnt/cuda/plan.rs.
struct Shared {
    float* state; // [samples, kStateStride]
    Stored* keys; // [samples, kKeyStride]
    Stored* values; // [C, samples + 8]: transposed
    Item* items; // [warps, 32], where keys will be
    Stored* rows; // [samples, kKeyStride], where keys were: what experts read
    int* counts; // [samples]: views that count; negative where no view sees the sample, so that all count
    int* chosen; // [samples]: expert of each row
    int* order; // [samples + 32]: rows by expert; -1 fills tiles up
    float* gates; // [samples]: probabilities of the chosen experts
    float* weights; // [samples]: of the samples along the ray
    float* scratch; // [4 C + 64]
    int value_stride;
};

__device__ __forceinline__ Shared shared_of(unsigned char* at, int samples) {
    int padded = padded_samples(samples);
    auto take = [&](int bytes) {
        unsigned char* here = at;
        at += (bytes + 15) / 16 * 16;
        return here;
    };
    Shared s;
    s.value_stride = padded + 8;
    s.state = reinterpret_cast<float*>(take(padded * kStateStride * 4));
    s.counts = reinterpret_cast<int*>(take(padded * 4));
    s.chosen = reinterpret_cast<int*>(take(padded * 4));
    s.order = reinterpret_cast<int*>(take((padded + 32) * 4));
    s.gates = reinterpret_cast<float*>(take(padded * 4));
    s.weights = reinterpret_cast<float*>(take(padded * 4));
    s.scratch = reinterpret_cast<float*>(take((4 * C + 64) * 4));
    s.items = reinterpret_cast<Item*>(at);
    s.rows = reinterpret_cast<Stored*>(at);
    s.keys = reinterpret_cast<Stored*>(take(padded * kKeyStride * int(sizeof(Stored))));
    s.values = reinterpret_cast<Stored*>(at);
    return s;
}

// Sixteen rows of the state, from sample `first` on; rows are there for whole tiles.
__device__ __forceinline__ Tile<C> load_state(const Shared& s, int first) {
    int g = lane_id() / 4, t = lane_id() % 4;
    Tile<C> x;
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int r = 0; r < 2; r++) {
            const float* from = s.state + (first + g + 8 * r) * kStateStride + 8 * n + 2 * t;
            float2 two = *reinterpret_cast<const float2*>(from);
            x.v[n][2 * r] = two.x, x.v[n][2 * r + 1] = two.y;
        }
    return x;
}

__device__ __forceinline__ void store_state(const Shared& s, int first, const Tile<C>& x) {
    int g = lane_id() / 4, t = lane_id() % 4;
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int r = 0; r < 2; r++) {
            float* to = s.state + (first + g + 8 * r) * kStateStride + 8 * n + 2 * t;
            *reinterpret_cast<float2*>(to) = make_float2(x.v[n][2 * r], x.v[n][2 * r + 1]);
        }
}

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

// Inputs and products of shift layers and of experts.
#if BYTES
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
constexpr int kMatrixStep = (K / kByteStep * (N / 8) * kWarp * (BYTES == 2 ? 1 : 2) + N + 3) / 4 * 4 / 2;
template <int K, int N>
__device__ __forceinline__ void shift_product(Tile<N>& c, const Input<K>& a, const uint2* weights) {
    byte_product<K, N, BYTES == 2>(c, a, weights, column_scales<K, N, BYTES == 2>(weights));
}
template <bool CODES>
__device__ __forceinline__ void byte_perceptron(Tile<C>& out, const Bytes<C>& x, const Perceptron& w) {
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

// out += two layers of `x`, the first of whose weights are in the order that `x` has. `shift`: of the shift expert.
__device__ __forceinline__ void perceptron(Tile<C>& out, const Input<C>& x, const Perceptron& w, bool shift) {
#if BYTES == 2
    if (shift)
        byte_perceptron<true>(out, x, w);
    else
        byte_perceptron<false>(out, x, w);
#elif BYTES == 1
    byte_perceptron<false>(out, x, w);
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
