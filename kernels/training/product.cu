// Products of f32 matrices: C = finish(op(A) · op(B)), A [M, K], B [K, N], C [M, N], row-major with any row strides.
//
// A block of 128 threads makes a tile of C in registers: 16 x 8 threads with up to 8 x 8 values each. Tiles of A and B,
// 16 terms deep, go through shared memory twice buffered, and the next ones are under way while one is worked on.
// Both operands are kept there by term, so that a thread reads its values in fours without conflicts of banks.
// Long sums of few results (gradients of weights) are cut into parts, one block each, that write their partial sums;
// training_reduce adds them in order. With `sums` C has a row more: the sums of B's columns, which are a bias's gradient where the
// product is that of the weight.
// Launch: grid (tiles of M times tiles of N, 1, parts), block 128. CPU twin: matmul in src/compute/matrix.rs.
#include "common/portable.cuh"
#include "training/finish.cuh"
#include "training/twins.cuh"

// A matrix as one index runs over terms (k) and the other over results (i).
struct Operand {
    const float* x;
    int stride;
    int by_term; // whether neighbours in memory differ in i, not in k
};

// Up to four values in memory order, zeros after the first `valid`.
__device__ __forceinline__ float4 fetch(const float* p, int valid, bool aligned) {
    if (aligned && valid >= 4) return *reinterpret_cast<const float4*>(p);
    float4 v = make_float4(0.f, 0.f, 0.f, 0.f);
    if (valid > 0) v.x = p[0];
    if (valid > 1) v.y = p[1];
    if (valid > 2) v.z = p[2];
    if (valid > 3) v.w = p[3];
    return v;
}

// A thread's share of a tile on its way from global to shared memory.
template <int W> struct Stage {
    static constexpr int kFours = W * kProductDepth / 4;
    static constexpr int kEach = (kFours + kProductThreads - 1) / kProductThreads;
    float4 v[kEach];

    __device__ __forceinline__ void load(const Operand& m, bool aligned, int i0, int k0, int i_end, int k_end) {
#pragma unroll
        for (int e = 0; e < kEach; e++) {
            int f = threadIdx.x + e * kProductThreads;
            if (kFours % kProductThreads != 0 && f >= kFours) break;
            int outer = m.by_term ? k0 + f / (W / 4) : i0 + f / (kProductDepth / 4);
            int inner = m.by_term ? i0 + f % (W / 4) * 4 : k0 + f % (kProductDepth / 4) * 4;
            int left = outer < (m.by_term ? k_end : i_end) ? (m.by_term ? i_end : k_end) - inner : 0;
            v[e] = fetch(m.x + (long long)outer * m.stride + inner, left, aligned);
        }
    }

    // tile: [kProductDepth][W / 4 + 1] fours; the last of each row keeps neighbouring terms in different banks.
    __device__ __forceinline__ void store(float4 (*tile)[W / 4 + 1], int by_term) const {
#pragma unroll
        for (int e = 0; e < kEach; e++) {
            int f = threadIdx.x + e * kProductThreads;
            if (kFours % kProductThreads != 0 && f >= kFours) break;
            if (by_term) {
                tile[f / (W / 4)][f % (W / 4)] = v[e];
            } else {
                int i = f / (kProductDepth / 4), k = f % (kProductDepth / 4) * 4;
                float* column = reinterpret_cast<float*>(tile[k]) + i;
                column[0] = v[e].x;
                column[W + 4] = v[e].y;
                column[2 * (W + 4)] = v[e].z;
                column[3 * (W + 4)] = v[e].w;
            }
        }
    }
};

// The rows and columns of a tile that a thread owns, in groups of neighbours.
__device__ __forceinline__ int own_row(int i) { return i / 4 * 64 + threadIdx.x / 8 * 4 + i % 4; }
template <int TN> __device__ __forceinline__ int own_column(int j) {
    return TN >= 4 ? j / 4 * 32 + threadIdx.x % 8 * 4 + j % 4 : threadIdx.x % 8 * TN + j;
}

template <int BM, int BN>
__device__ __forceinline__ void product(Operand a, Operand b, int m, int n, int k, int part, float* partial, float* c,
                                        int stride, bool sums, Finish finish) {
    constexpr int TM = BM / 16, TN = BN / 8;
    __shared__ float4 as[2][kProductDepth][BM / 4 + 1], bs[2][kProductDepth][BN / 4 + 1];
    // Tiles side by side follow one another, so that the rows of A that they share are still cached.
    int across = ceil_div(n, BN);
    int m0 = blockIdx.x / across * BM, n0 = blockIdx.x % across * BN;
    int k0 = blockIdx.z * part, k_end = min(k, k0 + part);
    bool a_aligned = ((u64)a.x | (u64)a.stride * 4) % 16 == 0, b_aligned = ((u64)b.x | (u64)b.stride * 4) % 16 == 0;

    float values[TM][TN], columns[TN];
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) values[i][j] = 0.f;
#pragma unroll
    for (int j = 0; j < TN; j++) columns[j] = 0.f;
    Stage<BM> a_stage;
    Stage<BN> b_stage;
    a_stage.load(a, a_aligned, m0, k0, m, k_end);
    b_stage.load(b, b_aligned, n0, k0, n, k_end);
    int at = 0;
    a_stage.store(as[at], a.by_term);
    b_stage.store(bs[at], b.by_term);
    __syncthreads();
    for (; k0 < k_end; k0 += kProductDepth) {
        bool more = k0 + kProductDepth < k_end;
        if (more) {
            a_stage.load(a, a_aligned, m0, k0 + kProductDepth, m, k_end);
            b_stage.load(b, b_aligned, n0, k0 + kProductDepth, n, k_end);
        }
#pragma unroll
        for (int t = 0; t < kProductDepth; t++) {
            float x[TM], y[TN];
#pragma unroll
            for (int i = 0; i < TM; i += 4) {
                float4 four = as[at][t][own_row(i) / 4];
                x[i] = four.x, x[i + 1] = four.y, x[i + 2] = four.z, x[i + 3] = four.w;
            }
            const float* row = reinterpret_cast<const float*>(bs[at][t]);
            if (TN >= 4) {
#pragma unroll
                for (int j = 0; j + 3 < TN; j += 4) {
                    float4 four = bs[at][t][own_column<TN>(j) / 4];
                    y[j] = four.x, y[j + 1] = four.y, y[j + 2] = four.z, y[j + 3] = four.w;
                }
            } else {
#pragma unroll
                for (int j = 0; j < TN; j++) y[j] = row[own_column<TN>(j)];
            }
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++) values[i][j] += x[i] * y[j];
            if (sums) {
#pragma unroll
                for (int j = 0; j < TN; j++) columns[j] += y[j];
            }
        }
        // The other buffers were last read before the barrier of the step before.
        if (more) {
            a_stage.store(as[at ^ 1], a.by_term);
            b_stage.store(bs[at ^ 1], b.by_term);
        }
        __syncthreads();
        at ^= 1;
    }

    if (partial) {
        c = partial + (long long)blockIdx.z * (m + sums) * n;
        stride = n;
        finish = Finish{nullptr, 1.f, 0, 0};
    }
    bool c_aligned = ((u64)c | (u64)stride * 4) % 16 == 0;
#pragma unroll
    for (int i = 0; i < TM; i++) {
        int row = m0 + own_row(i);
        if (row >= m) continue;
        float* to = c + (long long)row * stride;
        if (TN >= 4 && c_aligned) {
#pragma unroll
            for (int j = 0; j + 3 < TN; j += 4) {
                int column = n0 + own_column<TN>(j);
                if (column + 3 < n) {
                    float* p = to + column;
                    float4 v;
                    v.x = finish(values[i][j], column, p);
                    v.y = finish(values[i][j + 1], column + 1, p + 1);
                    v.z = finish(values[i][j + 2], column + 2, p + 2);
                    v.w = finish(values[i][j + 3], column + 3, p + 3);
                    *reinterpret_cast<float4*>(p) = v;
                } else {
#pragma unroll
                    for (int l = 0; l < 4; l++)
                        if (column + l < n) to[column + l] = finish(values[i][j + l], column + l, to + column + l);
                }
            }
        } else {
#pragma unroll
            for (int j = 0; j < TN; j++) {
                int column = n0 + own_column<TN>(j);
                if (column < n) to[column] = finish(values[i][j], column, to + column);
            }
        }
    }
    // All rows of threads have the same; the first of them writes.
    if (sums && m0 == 0 && threadIdx.x / 8 == 0) {
        float* to = c + (long long)m * stride;
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int column = n0 + own_column<TN>(j);
            if (column < n) to[column] = finish(columns[j], column, to + column);
        }
    }
}

// a, b: stored with neighbours in terms (0) or in results (1); partial: [parts, M + sums, N] or null; c: rows `stride` apart.
#define PRODUCT(BM, BN)                                                                                                \
    KERNEL(training_product_##BM##x##BN)                                                                               \
    (const float* a, int a_stride, int a_by_term, const float* b, int b_stride, int b_by_term, int m, int n, int k,    \
     int part, float* partial, float* c, int stride, int sums, const float* bias, float alpha, int accumulate,         \
     int relu) {                                                                                                       \
        product<BM, BN>(Operand{a, a_stride, a_by_term}, Operand{b, b_stride, b_by_term}, m, n, k, part, partial, c,   \
                        stride, sums != 0, Finish{bias, alpha, accumulate, relu});                                     \
    }                                                                                                                  \
    EXPORT(training_product_##BM##x##BN)

PRODUCT(128, 64)
PRODUCT(128, 32)
PRODUCT(128, 16)
PRODUCT(64, 64)
PRODUCT(64, 32)
PRODUCT(64, 16)
