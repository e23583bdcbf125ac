// The network that an instance of the ray kernel is compiled for, and what all parts of the kernel are given.
//
// Constants of an instance: WIDTH (C), HEADS, HIDDEN (H, of the view attention's small layers), RATIO (hidden width of
// feed-forward parts over C), OCTAVES (of the position encoding), FORCED (see forced.cuh), and those whose values
// common/choices.cuh names.
#pragma once
#include "common/bytes.cuh"

#if !defined(FORCED)
#define FORCED 0
#endif

constexpr int C = WIDTH, kHead = C / HEADS, H = HIDDEN;
// Hidden directions, filled up to a tile's columns and to an operand's channels.
constexpr int kHidden8 = (H + 7) / 8 * 8, kHidden16 = (H + 15) / 16 * 16;
constexpr int kWide = C * RATIO;
// Channels of the position encoding that differ from sample to sample, and those that the ray shares.
constexpr int kEncoding = POSITION == POSITION_WORLD ? 3 + 6 * OCTAVES : 1 + 2 * OCTAVES;
constexpr int kEncoding16 = (kEncoding + 15) / 16 * 16;
constexpr int kRayEncoding = POSITION == POSITION_WORLD ? 3 + 6 * OCTAVES : 0;
constexpr int kBlend = C / 2;
// Words of the codes of C channels.
constexpr int kCode = (C + 31) / 32;

#include "render/twins.cuh"

// Distance of rows of the state and of keys in shared memory.
constexpr int kStateStride = C + kRowPadding, kKeyStride = C + kRowPadding;

static_assert(C % 16 == 0 && C % HEADS == 0, "heads of equal width");
static_assert(kHead == 8 || kHead % kStep == 0, "heads of eight channels, or of whole steps");

// A ray at work.
struct Ray {
    const RayJob& job;
    const NetworkWeights& net;
    Workspace w;
    RayState state;
    Shared s;
    int number; // in the launch
};

// Rows of everything that tiles write: whole tiles, and whole chunks of keys.
__device__ __forceinline__ int padded_samples(int samples) { return ceil_div(samples, kKeyChunk) * kKeyChunk; }

// Sixteen rows of the state, from sample `first` on; rows are there for whole tiles.
__device__ __forceinline__ Tile<C> load_state(const RayState& state, int first) {
    int g = lane_id() / 4, t = lane_id() % 4;
    Tile<C> x;
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int r = 0; r < 2; r++) {
            const float* from = state.rows + (first + g + 8 * r) * kStateStride + 8 * n + 2 * t;
            float2 two = *reinterpret_cast<const float2*>(from);
            x.v[n][2 * r] = two.x, x.v[n][2 * r + 1] = two.y;
        }
    return x;
}

__device__ __forceinline__ void store_state(const RayState& state, int first, const Tile<C>& x) {
    int g = lane_id() / 4, t = lane_id() % 4;
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int r = 0; r < 2; r++) {
            float* to = state.rows + (first + g + 8 * r) * kStateStride + 8 * n + 2 * t;
            *reinterpret_cast<float2*>(to) = make_float2(x.v[n][2 * r], x.v[n][2 * r + 1]);
        }
}
