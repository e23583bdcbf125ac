// Losses and their gradients. Sums are made in two stages in a fixed order, so that they are reproducible: a partial sum
// for each block, then losses_total.
//
// CPU twin: src/train/step/losses.rs.
#include "common/portable.cuh"
#include "training/twins.cuh"

// Sum over a block of kBlock threads, for its first thread. All threads call it.
__device__ float block_sum(float x) {
    __shared__ float parts[kBlock / kWarp];
    x = warp_sum(x);
    __syncthreads();
    if (lane_id() == 0) parts[threadIdx.x / kWarp] = x;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < kBlock / kWarp; i++) sum += parts[i];
    return sum;
}

// totals[place] = Σ partials. Launch: one block of kBlock threads.
KERNEL(losses_total)(const float* partials, float* totals, int place, int count) {
    float sum = 0;
    for (int i = threadIdx.x; i < count; i += kBlock) sum += partials[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) totals[place] = sum;
}
EXPORT(losses_total)

// d = 2 · scale · (own - wanted), or d += that with `add`; partials: each block's part of Σ (own - wanted)².
// Launch: one thread a value, blocks of kBlock.
KERNEL(losses_squares)(const float* own, const float* wanted, float* d, float* partials, float scale, int add,
                       int count) {
    int i = blockIdx.x * kBlock + threadIdx.x;
    float error = 0;
    if (i < count) {
        error = own[i] - wanted[i];
        d[i] = (add ? d[i] : 0.0f) + 2.0f * scale * error;
    }
    float sum = block_sum(error * error);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}
EXPORT(losses_squares)

__device__ __forceinline__ float nearness(float z, float near, float far) {
    return (1.0f / z - 1.0f / far) / (1.0f / near - 1.0f / far);
}

// Cross entropy of the samples' weights against the true depth, which is shared between its two neighbours in inverse
// depth. z, weights: [R, S]; depths: [R]; d_logits [R, S] = scale · gradient of the logits; loss: [R].
// Launch: a warp a ray, 256 threads.
KERNEL(losses_depth)(const float* z, const float* weights, const float* depths, float* d_logits, float* loss,
                     float near, float far, float scale, int rays, int samples) {
    int ray = blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp, lane = lane_id();
    if (ray >= rays) return;
    z += (size_t)ray * samples;
    weights += (size_t)ray * samples;
    float depth = depths[ray];
    // Number of samples before the depth: they increase along the ray.
    int above = 0;
    for (int s = 0; s < samples; s += kWarp) {
        above += __popc(__ballot_sync(~0u, s + lane < samples && z[s + lane] < depth));
    }
    int first = 0, second = 0;
    float share = 0;
    if (above == samples) {
        first = second = samples - 1;
    } else if (above > 0) {
        float a = nearness(z[above - 1], near, far), b = nearness(z[above], near, far);
        share = a > b ? fminf(fmaxf((a - nearness(depth, near, far)) / (a - b), 0.0f), 1.0f) : 0.5f;
        first = above - 1;
        second = above;
    }
    for (int s = lane; s < samples; s += kWarp) {
        float target = (s == first ? 1.0f - share : 0.0f) + (s == second ? share : 0.0f);
        d_logits[(size_t)ray * samples + s] = scale * (weights[s] - target);
    }
    if (lane == 0) {
        float sum = 0;
        if (1.0f - share > 0) sum -= (1.0f - share) * logf(fmaxf(weights[first], 1e-12f));
        if (share > 0) sum -= share * logf(fmaxf(weights[second], 1e-12f));
        loss[ray] = sum;
    }
}
EXPORT(losses_depth)

// partials: each block's part of Σ x². Launch: one thread a value, blocks of kBlock.
KERNEL(losses_norm)(const float* x, float* partials, int count) {
    int i = blockIdx.x * kBlock + threadIdx.x;
    float value = i < count ? x[i] : 0.0f;
    float sum = block_sum(value * value);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}
EXPORT(losses_norm)

// d = 2 · scale · (own - wanted) with scale = weight / max(Σ wanted², 1e-6 · count), where Σ wanted² is totals[place];
// partials: each block's part of scale · Σ (own - wanted)². Launch: one thread a value, blocks of kBlock.
KERNEL(losses_distance)(const float* own, const float* wanted, const float* totals, int place, float* d,
                        float* partials, float weight, int count) {
    int i = blockIdx.x * kBlock + threadIdx.x;
    float scale = weight / fmaxf(totals[place], 1e-6f * (float)count), error = 0;
    if (i < count) {
        error = own[i] - wanted[i];
        d[i] = 2.0f * scale * error;
    }
    float sum = block_sum(error * error);
    if (threadIdx.x == 0) partials[blockIdx.x] = scale * sum;
}
EXPORT(losses_distance)

// Cross entropy of the samples' weights against the teacher's: d += scale · (own - wanted), the gradient of the logits;
// partials: each block's part of -scale · Σ wanted · ln own. Launch: one thread a value, blocks of kBlock.
KERNEL(losses_entropy)(const float* own, const float* wanted, float* d, float* partials, float scale, int add,
                       int count) {
    int i = blockIdx.x * kBlock + threadIdx.x;
    float loss = 0;
    if (i < count) {
        d[i] = (add ? d[i] : 0.0f) + scale * (own[i] - wanted[i]);
        loss = -scale * wanted[i] * logf(fmaxf(own[i], 1e-12f));
    }
    float sum = block_sum(loss);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}
EXPORT(losses_entropy)
