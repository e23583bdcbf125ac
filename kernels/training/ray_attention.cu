// Multi-head self-attention over the samples of each ray, by products or on binary codes, forward and backward.
//
// qkv [rows, 3 · width] holds queries, keys and values, a row being a sample of a ray; head h owns channels
// h·d..(h+1)·d of each. A thread has one row of one head in registers and meets the rows of the other side in tiles in
// shared memory, all threads reading the same values at a time; heads of more than 32 channels are shared by several
// threads. Weights are never stored: the forward pass keeps the largest logit m and the inverse sum r of each softmax
// (two numbers rather than one, as their logarithm would cost accuracy), and a weight is exp(logit − m) · r wherever it
// is wanted. Gradients of queries and of keys are separate passes, so no sum needs an atomic addition. d is rounded up
// to 8, 16, 32, 64 or 128 by zeros.
// On codes, queries and keys are the signs ±1 (threshold 0), the logit is tau_head · b_q · b_k, and gradients pass the
// signs where the value lies within the window.
// Launch of all but the first rows: grid (rays · tiles · heads), block up to 128, LANES threads a row.
// CPU twins: src/layers/ray_attention/{softmax,hamming}/train.rs, src/layers/codes.rs.
#include "common/portable.cuh"
#include "training/twins.cuh"

constexpr int kGroup = 8; // keys between two looks at the largest logit
constexpr float kLowest = -3.402823466e38f;

template <bool CODES> __device__ __forceinline__ float code(float x) { return !CODES ? x : x > 0.f ? 1.f : -1.f; }

// The block's and the thread's place, where a row of a head is shared by `lanes` threads.
struct Place {
    int head, channels, samples, width, sample;
    int lane;
    long long first_row, row; // of the ray, of the thread
    bool inside;

    __device__ __forceinline__ Place(int samples, int heads, int channels, int lanes)
        : head(blockIdx.x % heads), channels(channels), samples(samples), width(heads * channels) {
        int rows = blockDim.x / lanes, tiles = ceil_div(samples, rows), tile = blockIdx.x / heads;
        lane = threadIdx.x % lanes;
        first_row = (long long)(tile / tiles) * samples;
        sample = tile % tiles * rows + threadIdx.x / lanes;
        row = first_row + sample;
        inside = sample < samples;
    }
    // Where this head's part of a row begins, in [rows, width] and in one third of [rows, 3 · width].
    __device__ __forceinline__ long long single(long long row) const { return row * width + head * channels; }
    __device__ __forceinline__ long long third(long long row, int part) const {
        return (3 * row + part) * width + head * channels;
    }
};

// D: channels of a thread.
template <int D, int LANES, bool CODES> struct Attention {
    static constexpr int kAll = D * LANES;
    static constexpr int kTile = kAll > 64 ? 32 : 64;
    typedef float4 Tile[kTile][kAll / 4];

    // The thread's part of a row of a head.
    __device__ static __forceinline__ void load(float (&v)[D], const float* from, const Place& at, bool binary) {
        from += at.lane * D;
        int channels = at.channels - at.lane * D;
        bool fours = channels >= D && (u64)from % 16 == 0;
#pragma unroll
        for (int c = 0; c < D; c += 4) {
            float4 x = make_float4(0.f, 0.f, 0.f, 0.f);
            if (at.inside && fours) {
                x = *reinterpret_cast<const float4*>(from + c);
            } else if (at.inside) {
                if (c < channels) x.x = from[c];
                if (c + 1 < channels) x.y = from[c + 1];
                if (c + 2 < channels) x.z = from[c + 2];
                if (c + 3 < channels) x.w = from[c + 3];
            }
            v[c] = x.x, v[c + 1] = x.y, v[c + 2] = x.z, v[c + 3] = x.w;
        }
        if (CODES && binary) {
#pragma unroll
            for (int c = 0; c < D; c++) v[c] = c < channels ? code<true>(v[c]) : 0.f;
        }
    }

    // to = scale · v, and zero where the projection `x` that was binarised lies outside the window.
    __device__ static __forceinline__ void store(float* to, const float (&v)[D], const Place& at, float scale,
                                                 const float* x) {
        to += at.lane * D;
        if (x) x += at.lane * D;
        int channels = at.channels - at.lane * D;
        bool fours = channels >= D && (u64)to % 16 == 0;
#pragma unroll
        for (int c = 0; c < D; c += 4) {
            float y[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                bool passes = !CODES || !x || (c + i < channels && fabsf(x[c + i]) <= kCodeWindow);
                y[i] = passes ? scale * v[c + i] : 0.f;
            }
            if (fours) {
                *reinterpret_cast<float4*>(to + c) = make_float4(y[0], y[1], y[2], y[3]);
            } else {
#pragma unroll
                for (int i = 0; i < 4; i++)
                    if (c + i < channels) to[c + i] = y[i];
            }
        }
    }

    // `count` rows of a head, `stride` apart, for the whole block; zeros after them.
    __device__ static __forceinline__ void load_tile(Tile& tile, const float* from, int stride, int count, int channels,
                                                     bool binary) {
        float* to = reinterpret_cast<float*>(&tile[0][0]);
        for (int i = threadIdx.x; i < kTile * kAll; i += blockDim.x) {
            int j = i / kAll, c = i % kAll;
            float x = 0.f;
            if (j < count && c < channels) {
                x = from[(long long)j * stride + c];
                if (binary) x = code<CODES>(x);
            }
            to[i] = x;
        }
    }

    // Sum over the threads of a row, for all of them.
    __device__ static __forceinline__ float together(float sum) {
#pragma unroll
        for (int d = 1; d < LANES; d *= 2) sum += __shfl_xor_sync(~0u, sum, d);
        return sum;
    }

    __device__ static __forceinline__ float dot(const float (&v)[D], const float4* row, int lane) {
        const float4* w = row + lane * (D / 4);
        float sum = 0.f;
#pragma unroll
        for (int c = 0; c < D / 4; c++) {
            float4 x = w[c];
            sum += v[4 * c] * x.x + v[4 * c + 1] * x.y + v[4 * c + 2] * x.z + v[4 * c + 3] * x.w;
        }
        return together(sum);
    }

    __device__ static __forceinline__ void add(float (&v)[D], float scale, const float4* row, int lane) {
        const float4* w = row + lane * (D / 4);
#pragma unroll
        for (int c = 0; c < D / 4; c++) {
            float4 x = w[c];
            v[4 * c] += scale * x.x, v[4 * c + 1] += scale * x.y;
            v[4 * c + 2] += scale * x.z, v[4 * c + 3] += scale * x.w;
        }
    }

    __device__ static __forceinline__ void clear(float (&v)[D]) {
#pragma unroll
        for (int c = 0; c < D; c++) v[c] = 0.f;
    }

    // mixed [rows, width] = softmax(logits) · values; stats [rows, heads] = (m, r).
    __device__ static void forward(const float* qkv, float tau, Place at, int heads, float* mixed, float2* stats) {
        __shared__ Tile keys, values;
        float query[D], sum[D], largest = kLowest, total = 0.f;
        load(query, qkv + at.third(at.row, 0), at, true);
        clear(sum);
        for (int start = 0; start < at.samples; start += kTile) {
            int count = min(kTile, at.samples - start);
            __syncthreads();
            load_tile(keys, qkv + at.third(at.first_row + start, 1), 3 * at.width, count, at.channels, true);
            load_tile(values, qkv + at.third(at.first_row + start, 2), 3 * at.width, count, at.channels, false);
            __syncthreads();
            for (int group = 0; group < count; group += kGroup) {
                float logits[kGroup], top = kLowest;
#pragma unroll
                for (int j = 0; j < kGroup; j++) {
                    float s = dot(query, keys[group + j], at.lane);
                    logits[j] = group + j < count ? (CODES ? tau * s : s) : kLowest;
                    top = fmaxf(top, logits[j]);
                }
                if (top > largest) {
                    float shrink = __expf(largest - top);
                    total *= shrink;
#pragma unroll
                    for (int c = 0; c < D; c++) sum[c] *= shrink;
                    largest = top;
                }
#pragma unroll
                for (int j = 0; j < kGroup; j++) {
                    float weight = __expf(logits[j] - largest);
                    total += weight;
                    add(sum, weight, values[group + j], at.lane);
                }
            }
        }
        if (at.inside) {
            float inverse = 1.f / total;
            if (at.lane == 0) stats[at.row * heads + at.head] = make_float2(largest, inverse);
            store(mixed + at.single(at.row), sum, at, inverse, nullptr);
        }
    }

    // The queries' third of d_qkv; dots [rows, heads] = d_mixed · mixed; d_tau [blocks] = this block's part.
    __device__ static void queries(const float* qkv, float tau, Place at, int heads, const float2* stats,
                                   const float* d_mixed, float* dots, float* d_qkv, const float* mixed, float* d_tau) {
        __shared__ Tile keys, values;
        __shared__ float parts[4];
        float query[D], d_out[D], d_query[D], own = 0.f, slope = 0.f;
        load(query, qkv + at.third(at.row, 0), at, true);
        load(d_out, d_mixed + at.single(at.row), at, false);
        clear(d_query);
        float2 stat = make_float2(0.f, 0.f);
        if (at.inside) {
            stat = stats[at.row * heads + at.head];
            const float* out = mixed + at.single(at.row) + at.lane * D;
#pragma unroll
            for (int c = 0; c < D; c++)
                if (at.lane * D + c < at.channels) own += d_out[c] * out[c];
        }
        own = together(own);
        // The gradients of a row's logits sum to 0, so scores may be counted from the largest: rounding in the one
        // large weight of a steep softmax is then not multiplied.
        float reference = CODES && tau != 0.f ? rintf(stat.x / tau) : 0.f;
        if (at.inside && at.lane == 0) dots[at.row * heads + at.head] = own;
        for (int start = 0; start < at.samples; start += kTile) {
            int count = min(kTile, at.samples - start);
            __syncthreads();
            load_tile(keys, qkv + at.third(at.first_row + start, 1), 3 * at.width, count, at.channels, true);
            load_tile(values, qkv + at.third(at.first_row + start, 2), 3 * at.width, count, at.channels, false);
            __syncthreads();
            for (int j = 0; j < count; j++) {
                float s = dot(query, keys[j], at.lane);
                float weight = __expf((CODES ? tau * s : s) - stat.x) * stat.y;
                float d = weight * (dot(d_out, values[j], at.lane) - own);
                if (CODES) slope += (s - reference) * d;
                add(d_query, d, keys[j], at.lane);
            }
        }
        if (at.inside) {
            const float* x = qkv + at.third(at.row, 0);
            store(d_qkv + at.third(at.row, 0), d_query, at, CODES ? tau : 1.f, x);
        }
        if (CODES) {
            float part = warp_sum(at.inside && at.lane == 0 ? slope : 0.f);
            if (lane_id() == 0) parts[threadIdx.x / kWarp] = part;
            __syncthreads();
            if (threadIdx.x == 0) {
                for (int w = 1; w < (int)blockDim.x / kWarp; w++) part += parts[w];
                d_tau[blockIdx.x] = part;
            }
        }
    }

    // The keys' and the values' thirds of d_qkv.
    __device__ static void others(const float* qkv, float tau, Place at, int heads, const float2* stats,
                                  const float* d_mixed, const float* dots, float* d_qkv) {
        __shared__ Tile queries, d_outs;
        __shared__ float4 numbers[kTile]; // m, r and the dot of each query
        float key[D], value[D], d_key[D], d_value[D];
        load(key, qkv + at.third(at.row, 1), at, true);
        load(value, qkv + at.third(at.row, 2), at, false);
        clear(d_key);
        clear(d_value);
        for (int start = 0; start < at.samples; start += kTile) {
            int count = min(kTile, at.samples - start);
            __syncthreads();
            load_tile(queries, qkv + at.third(at.first_row + start, 0), 3 * at.width, count, at.channels, true);
            load_tile(d_outs, d_mixed + at.single(at.first_row + start), at.width, count, at.channels, false);
            for (int i = threadIdx.x; i < count; i += blockDim.x) {
                long long from = (at.first_row + start + i) * heads + at.head;
                numbers[i] = make_float4(stats[from].x, stats[from].y, dots[from], 0.f);
            }
            __syncthreads();
            for (int i = 0; i < count; i++) {
                float4 number = numbers[i];
                float s = dot(key, queries[i], at.lane);
                float weight = __expf((CODES ? tau * s : s) - number.x) * number.y;
                float d = weight * (dot(value, d_outs[i], at.lane) - number.z);
                add(d_value, weight, d_outs[i], at.lane);
                add(d_key, d, queries[i], at.lane);
            }
        }
        if (at.inside) {
            const float* x = qkv + at.third(at.row, 1);
            store(d_qkv + at.third(at.row, 1), d_key, at, CODES ? tau : 1.f, x);
            store(d_qkv + at.third(at.row, 2), d_value, at, 1.f, nullptr);
        }
    }
};

// The passes for heads of up to ALL channels.
#define PASSES(kind, CODES, ALL, LANES)                                                                                \
    KERNEL(training_##kind##_forward_##ALL)                                                                            \
    (const float* qkv, const float* tau, int samples, int heads, int channels, float* mixed, float2* stats) {          \
        Place at(samples, heads, channels, LANES);                                                                     \
        float factor = CODES ? tau[at.head] : 1.f;                                                                     \
        Attention<ALL / LANES, LANES, CODES>::forward(qkv, factor, at, heads, mixed, stats);                           \
    }                                                                                                                  \
    EXPORT(training_##kind##_forward_##ALL)                                                                            \
    KERNEL(training_##kind##_queries_##ALL)                                                                            \
    (const float* qkv, const float* tau, int samples, int heads, int channels, const float2* stats,                    \
     const float* d_mixed, float* dots, float* d_qkv, const float* mixed, float* d_tau) {                              \
        Place at(samples, heads, channels, LANES);                                                                     \
        float factor = CODES ? tau[at.head] : 1.f;                                                                     \
        Attention<ALL / LANES, LANES, CODES>::queries(qkv, factor, at, heads, stats, d_mixed, dots, d_qkv, mixed,      \
                                                      d_tau);                                                          \
    }                                                                                                                  \
    EXPORT(training_##kind##_queries_##ALL)                                                                            \
    KERNEL(training_##kind##_others_##ALL)                                                                             \
    (const float* qkv, const float* tau, int samples, int heads, int channels, const float2* stats,                    \
     const float* d_mixed, const float* dots, float* d_qkv) {                                                          \
        Place at(samples, heads, channels, LANES);                                                                     \
        float factor = CODES ? tau[at.head] : 1.f;                                                                     \
        Attention<ALL / LANES, LANES, CODES>::others(qkv, factor, at, heads, stats, d_mixed, dots, d_qkv);             \
    }                                                                                                                  \
    EXPORT(training_##kind##_others_##ALL)

PASSES(attention, false, 8, 1)
PASSES(attention, false, 16, 1)
PASSES(attention, false, 32, 1)
PASSES(attention, false, 64, 2)
PASSES(attention, false, 128, 4)
PASSES(hamming, true, 8, 1)
PASSES(hamming, true, 16, 1)
PASSES(hamming, true, 32, 1)
PASSES(hamming, true, 64, 2)
PASSES(hamming, true, 128, 4)

// weights [rays, samples] = attention of each ray's first sample, averaged over the heads; on codes if there is a tau.
// Launch: grid (rays), block 64.
KERNEL(training_attention_first_rows)(const float* qkv, const float* tau, int samples, int heads, int channels,
                                      const float2* stats, float* weights) {
    int width = heads * channels;
    long long first = (long long)blockIdx.x * samples;
    const float* query = qkv + first * 3 * width;
    for (int s = threadIdx.x; s < samples; s += blockDim.x) {
        const float* key = qkv + (first + s) * 3 * width + width;
        float sum = 0.f;
        for (int h = 0; h < heads; h++) {
            float dot = 0.f;
            for (int c = h * channels; c < (h + 1) * channels; c++) {
                dot += tau ? code<true>(query[c]) * code<true>(key[c]) : query[c] * key[c];
            }
            float2 stat = stats[first * heads + h];
            sum += __expf((tau ? tau[h] * dot : dot) - stat.x) * stat.y;
        }
        weights[first + s] = sum / heads;
    }
}
EXPORT(training_attention_first_rows)
