// Products of matrices by blocks that keep a tile of the result in registers, f32 throughout.
//
// A block makes kRows x kCols values of `rows^T · cols`, kRows·kCols/32 threads, each 8 x 4 values. The depth is walked
// in steps of kDepth through two stages of shared memory: while one is multiplied, the next is on its way in registers,
// so that a step needs one barrier.
#pragma once
#include "common/portable.cuh"
#include "features/twins.cuh"

template <int kRows, int kCols>
struct __align__(16) Tile {
    // Four more than needed: threads that store four depths of neighbouring rows hit different banks.
    float rows[2][kDepth][kRows + 4];
    float cols[2][kDepth][kCols];
};

// Which 8 x 4 values a thread makes: rows first..first+3 and first + kRows/2.., columns col..col+3. A warp spans up to
// 8 groups of columns, so that all of its shared reads are broadcasts or whole lines.
template <int kRows, int kCols>
struct Place {
    static constexpr int kThreads = kRows * kCols / 32;
    static constexpr int kLaneCols = kCols / 4 < 8 ? kCols / 4 : 8;
    static constexpr int kAcross = kCols / 4 / kLaneCols;
    int row, col;
    __device__ __forceinline__ Place() {
        int lane = lane_id(), warp = threadIdx.x / kWarp;
        row = 4 * (warp / kAcross * (kWarp / kLaneCols) + lane / kLaneCols);
        col = 4 * (warp % kAcross * kLaneCols + lane % kLaneCols);
    }
    // Row of the tile of the thread's row `i` of 8.
    __device__ __forceinline__ int row_of(int i) const { return row + i % 4 + i / 4 * (kRows / 2); }
};

template <int kRows, int kCols>
__device__ __forceinline__ void multiply(const Tile<kRows, kCols>& tile, int stage, const Place<kRows, kCols>& place,
                                         float (&sum)[8][4]) {
#pragma unroll
    for (int k = 0; k < kDepth; k++) {
        const float* rows = tile.rows[stage][k];
        float4 low = *(const float4*)(rows + place.row), high = *(const float4*)(rows + place.row + kRows / 2);
        float4 cols = *(const float4*)(tile.cols[stage][k] + place.col);
        float a[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int i = 0; i < 8; i++) {
            sum[i][0] += a[i] * cols.x;
            sum[i][1] += a[i] * cols.y;
            sum[i][2] += a[i] * cols.z;
            sum[i][3] += a[i] * cols.w;
        }
    }
}

// Walks `steps` steps of the depth: `loader.fetch(step)` reads what the thread brings of a step into registers,
// `loader.store(tile, stage)` lays it down. All threads of the block come here.
template <int kRows, int kCols, class Loader>
__device__ __forceinline__ void walk(Tile<kRows, kCols>& tile, const Place<kRows, kCols>& place, Loader& loader,
                                     int steps, float (&sum)[8][4]) {
#pragma unroll
    for (int i = 0; i < 8; i++) sum[i][0] = sum[i][1] = sum[i][2] = sum[i][3] = 0;
    if (steps == 0) return;
    loader.fetch(0);
    loader.store(tile, 0);
    __syncthreads();
    for (int step = 0; step < steps; step++) {
        bool more = step + 1 < steps;
        if (more) loader.fetch(step + 1);
        multiply(tile, step & 1, place, sum);
        if (more) loader.store(tile, (step + 1) & 1);
        __syncthreads();
    }
}

__device__ __forceinline__ float4 zero4() { return make_float4(0, 0, 0, 0); }

// Four values from `p` of which `count` are there; 16-byte reads if `whole`, which says that `p` is aligned and
// `count` is 4.
__device__ __forceinline__ float4 read4(const float* p, bool whole, int count) {
    if (whole) return *(const float4*)p;
    float4 v = zero4();
    if (count > 0) v.x = p[0];
    if (count > 1) v.y = p[1];
    if (count > 2) v.z = p[2];
    if (count > 3) v.w = p[3];
    return v;
}
__device__ __forceinline__ void write4(float* p, float4 v, bool whole, int count) {
    if (whole) {
        *(float4*)p = v;
        return;
    }
    if (count > 0) p[0] = v.x;
    if (count > 1) p[1] = v.y;
    if (count > 2) p[2] = v.z;
    if (count > 3) p[3] = v.w;
}
__device__ __forceinline__ float4 operator+(float4 a, float4 b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}
