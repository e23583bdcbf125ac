// A mixture of two experts: which of them each row takes, and what that adds to the row.
// CPU twins: src/layers/feed_forward/experts/{train,router,balance}.rs.
#include "common/portable.cuh"
#include "training/twins.cuh"

constexpr u64 kGamma = 0x9E3779B97F4A7C15ull;

// Draw number n, from 1, of a SplitMix64 generator, uniform in [0, 1).
__device__ __forceinline__ float uniform_draw(u64 start, u64 n) {
    u64 z = start + n * kGamma;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return (float)((z ^ (z >> 31)) >> 40) / 16777216.f;
}

// The first expert where its logit is larger, else, also where they are equal, the second and cheaper one.
__device__ __forceinline__ bool takes_first(float2 noisy) { return noisy.x > noisy.y; }

// Cumulative normal distribution, within 1e-7 (Abramowitz and Stegun, formula 7.1.26).
__device__ double normal_cdf(double z) {
    double x = fabs(z) * 0.70710678118654752440, t = 1.0 / (1.0 + 0.3275911 * x);
    double sum = (((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t) + 0.254829592) * t;
    double tail = 0.5 * sum * exp(-x * x);
    return z > 0.0 ? 1.0 - tail : tail;
}

// How far each noise-free logit lies above the other's noisy one, in standard deviations of the noise.
struct Margins {
    double first, second;
};
__device__ __forceinline__ Margins margins(float2 logits, float2 noisy) {
    return Margins{((double)logits.x - noisy.y) / kNoiseSigma, ((double)logits.y - noisy.x) / kNoiseSigma};
}

// noisy = logits + N(0, kNoiseSigma²), where there is noise; gates = softmax(logits); sums[block] = the block's five sums.
// logits, noisy, gates: [rows, 2]; start: the generator's state; row r takes its draws 2r + 1 and 2r + 2.
// Launch: one thread a row, block kBlock.
KERNEL(training_experts_route)(const float2* logits, int rows, int with_noise, u64 start, float2* noisy, float2* gates,
                               double* sums) {
    __shared__ double parts[kBlock / kWarp][kExpertSums];
    int row = blockIdx.x * kBlock + threadIdx.x;
    double s[kExpertSums] = {0, 0, 0, 0, 0};
    if (row < rows) {
        float2 l = logits[row], n = l;
        if (with_noise) {
            // Box-Muller; 1 − u lies in (0, 1], where the logarithm is finite.
            float radius = kNoiseSigma * sqrtf(-2.f * logf(1.f - uniform_draw(start, 2 * (u64)row + 1)));
            float angle = 6.28318530717958648f * uniform_draw(start, 2 * (u64)row + 2);
            n = make_float2(l.x + radius * cosf(angle), l.y + radius * sinf(angle));
        }
        // One exponential of a number that is never positive serves both gates.
        float small = expf(-fabsf(l.x - l.y)), large = 1.f / (1.f + small);
        float2 g = l.x > l.y ? make_float2(large, small / (1.f + small)) : make_float2(small / (1.f + small), large);
        noisy[row] = n;
        gates[row] = g;
        Margins m = margins(l, n);
        s[0] = g.x, s[1] = g.y, s[2] = normal_cdf(m.first), s[3] = normal_cdf(m.second), s[4] = takes_first(n);
    }
#pragma unroll
    for (int i = 0; i < kExpertSums; i++) {
        for (int d = 16; d > 0; d /= 2) s[i] += __shfl_xor_sync(~0u, s[i], d);
        if (lane_id() == 0) parts[threadIdx.x / kWarp][i] = s[i];
    }
    __syncthreads();
    if (threadIdx.x < kExpertSums) {
        double sum = 0;
        for (int w = 0; w < kBlock / kWarp; w++) sum += parts[w][threadIdx.x];
        sums[(long long)blockIdx.x * kExpertSums + threadIdx.x] = sum;
    }
}
EXPORT(training_experts_route)

// sums[blocks] = the sums of all blocks; starts[block] = rows of the first expert in the blocks before.
// Launch: one block of kBlock.
KERNEL(training_experts_scan)(double* sums, int blocks, int* starts) {
    __shared__ double parts[kBlock][kExpertSums];
    int each = ceil_div(blocks, kBlock);
    int first = min(blocks, (int)threadIdx.x * each), last = min(blocks, first + each);
    double s[kExpertSums] = {0, 0, 0, 0, 0};
    for (int b = first; b < last; b++)
        for (int i = 0; i < kExpertSums; i++) s[i] += sums[b * kExpertSums + i];
    for (int i = 0; i < kExpertSums; i++) parts[threadIdx.x][i] = s[i];
    __syncthreads();
    if (threadIdx.x < kExpertSums) {
        double sum = 0;
        for (int t = 0; t < kBlock; t++) {
            double part = parts[t][threadIdx.x];
            // What lies before each thread's blocks takes the place of the rows in them.
            if (threadIdx.x == kExpertSums - 1) parts[t][kExpertSums - 1] = sum;
            sum += part;
        }
        sums[blocks * kExpertSums + threadIdx.x] = sum;
    }
    __syncthreads();
    int start = (int)parts[threadIdx.x][kExpertSums - 1];
    for (int b = first; b < last; b++) {
        starts[b] = start;
        start += (int)sums[b * kExpertSums + kExpertSums - 1];
    }
}
EXPORT(training_experts_scan)

// order = the rows of the first expert, then those of the second, both ascending.
// sums: [blocks + 1, 5], the last being those of all. Launch: one thread a row, block kBlock.
KERNEL(training_experts_place)(const float2* noisy, int rows, const double* sums, const int* starts, int* order) {
    __shared__ int counts[kBlock / kWarp];
    int row = blockIdx.x * kBlock + threadIdx.x, warp = threadIdx.x / kWarp;
    bool first = row < rows && takes_first(noisy[row]);
    unsigned votes = __ballot_sync(~0u, first);
    if (lane_id() == 0) counts[warp] = __popc(votes);
    __syncthreads();
    int before = __popc(votes & ((1u << lane_id()) - 1));
    for (int w = 0; w < warp; w++) before += counts[w];
    if (row < rows) {
        int start = starts[blockIdx.x] + before, whole = (int)sums[gridDim.x * kExpertSums + kExpertSums - 1];
        order[first ? start : whole + row - start] = row;
    }
}
EXPORT(training_experts_place)

// x[order[i]] += gate · output[i], the gate being that of the row's expert; the first `split` places are the first's.
// output, x: [rows, width]; gates: [rows, 2]. Launch: one warp a row, kWarpsOfBlock a block.
KERNEL(training_experts_add)(const float* output, const int* order, const float* gates, int split, int rows, int width,
                             float* x) {
    int i = blockIdx.x * kWarpsOfBlock + threadIdx.x / kWarp;
    if (i >= rows) return;
    int row = order[i];
    float gate = gates[2 * (long long)row + (i >= split)];
    const float* from = output + (long long)i * width;
    float* to = x + (long long)row * width;
    for (int c = lane_id(); c < width; c += kWarp) to[c] += gate * from[c];
}
EXPORT(training_experts_add)

// d_output[i] = gate · dx[order[i]]; d_logits [rows, 2] = what passes through the gate's softmax.
// Launch: one warp a row, kWarpsOfBlock a block.
KERNEL(training_experts_add_backward)(const float* output, const int* order, const float* gates, int split, int rows,
                                      int width, const float* dx, float* d_output, float* d_logits) {
    int i = blockIdx.x * kWarpsOfBlock + threadIdx.x / kWarp;
    if (i >= rows) return;
    int row = order[i], expert = i >= split;
    float first = gates[2 * (long long)row], second = gates[2 * (long long)row + 1];
    float gate = expert ? second : first, d_gate = 0.f;
    long long from = (long long)row * width, at = (long long)i * width;
    for (int c = lane_id(); c < width; c += kWarp) {
        float d = dx[from + c];
        d_gate += d * output[at + c];
        d_output[at + c] = gate * d;
    }
    float slope = first * second * warp_sum(d_gate);
    if (lane_id() < 2) d_logits[2 * (long long)row + lane_id()] = lane_id() == expert ? slope : -slope;
}
EXPORT(training_experts_add_backward)

// Adds the gradient of the balance losses to d_logits. importance: difference of the slopes by the two sums of gates;
// load0, load1: slopes by the sums of probabilities, divided by the deviation of the noise. Launch: one thread a row.
KERNEL(training_experts_balance)(const float2* logits, const float2* noisy, const float2* gates, int rows,
                                 float importance, float load0, float load1, float2* d_logits) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    Margins m = margins(logits[row], noisy[row]);
    float first = (float)m.first, second = (float)m.second;
    constexpr float kDensity = 0.39894228040143268f; // 1 / sqrt(2π)
    float2 g = gates[row], d = d_logits[row];
    float slope = g.x * g.y * importance +
                  kDensity * (load0 * expf(-0.5f * first * first) - load1 * expf(-0.5f * second * second));
    d_logits[row] = make_float2(d.x + slope, d.y - slope);
}
EXPORT(training_experts_balance)
