// From the last states of a ray to its colour. CPU twin: `head` in src/gnt/engine/ray.rs.
#pragma once
#include "render/network.cuh"

// Softmax in place of `count` shared numbers by one warp.
__device__ __forceinline__ void softmax_shared(float* x, int count) {
    int lane = lane_id();
    float most = -3.4e38f, sum = 0;
    for (int i = lane; i < count; i += kWarp) most = fmaxf(most, x[i]);
    most = warp_max(most);
    for (int i = lane; i < count; i += kWarp) sum += x[i] = power_of_two((x[i] - most) * kLog2E);
    float scale = 1 / warp_sum(sum);
    for (int i = lane; i < count; i += kWarp) x[i] *= scale;
}

// Colours of the source views blended over the views that see each of sixteen samples; adds the sum over samples, times
// their weights, to `colour` (this lane's part). All lanes are together again at its end.
__device__ void blend_tile(const Ray& ray, const Operand<C>& normal, int first, float (&colour)[3]) {
    const NetworkWeights& net = ray.net;
    const Workspace& w = ray.w;
    const Shared& s = ray.s;
    int g = lane_id() / 4, t = lane_id() % 4, views = ray.job.num_views;
    Tile<kBlend> state = bias_tile<kBlend>(net.blend_bias);
    product<C, kBlend>(state, normal, net.blend_state);
    const int signed_count[2] = {s.counts[first + g], s.counts[first + g + 8]};
    const int count[2] = {abs(signed_count[0]), abs(signed_count[1])};
    const u64 row[2] = {u64(first + g) * views, u64(first + g + 8) * views};
    int most = max(count[0], count[1]);
    for (int d = 4; d < kWarp; d *= 2) most = max(most, __shfl_xor_sync(~0u, most, d));
    float shift[2] = {0, 0}, sum[2] = {0, 0}, mixed[2][3] = {{0, 0, 0}, {0, 0, 0}};
    for (int j = 0; j < most; j++) {
        const bool on[2] = {j < count[0], j < count[1]};
        const Stored* token[2];
        float4 direction[2];
        for (int i = 0; i < 2; i++) {
            token[i] = on[i] ? w.tokens + (row[i] + j) * C : nullptr;
            direction[i] = on[i] ? w.directions[row[i] + j] : make_float4(0, 0, 0, 0);
        }
        Tile<kBlend> hidden = state;
        product<C, kBlend>(hidden, load_rows<C>(token[0], token[1]), net.blend_token);
        float logit[2] = {0, 0};
#pragma unroll
        for (int n = 0; n < kBlend / 8; n++)
            for (int e = 0; e < 4; e++) {
                int channel = 8 * n + 2 * t + e % 2;
                const float* weight = net.blend_direction + channel;
                float4 d = direction[e / 2];
                float x = hidden.v[n][e] + d.x * __ldg(weight) + d.y * __ldg(weight + kBlend) +
                          d.z * __ldg(weight + 2 * kBlend) + d.w * __ldg(weight + 3 * kBlend);
                logit[e / 2] += fmaxf(x, 0.0f) * __ldg(net.blend_view + channel);
            }
        for (int i = 0; i < 2; i++) {
            float x = quad_sum(logit[i]) * kLog2E;
            // All views weigh the same where none sees the sample.
            if (signed_count[i] < 0) x = 0;
            if (!on[i]) continue;
            float next = j == 0 ? x : fmaxf(shift[i], x);
            float scale = power_of_two(shift[i] - next), power = power_of_two(x - next);
            if (j == 0) scale = 0;
            float4 c = w.colours[row[i] + j];
            shift[i] = next;
            sum[i] = sum[i] * scale + power;
            mixed[i][0] = mixed[i][0] * scale + power * c.x;
            mixed[i][1] = mixed[i][1] * scale + power * c.y;
            mixed[i][2] = mixed[i][2] * scale + power * c.z;
        }
        __syncwarp();
    }
    for (int i = 0; i < 2; i++) {
        // Each row once: its four lanes know the same.
        if (t != 0 || count[i] == 0) continue;
        float weight = s.weights[first + g + 8 * i] / sum[i];
        for (int c = 0; c < 3; c++) colour[c] += weight * mixed[i][c];
    }
    __syncwarp();
}

// Colour and depth of a ray; the weights of its samples lie in `s.weights` already where the head is a mean. All threads.
__device__ void head(const Ray& ray) {
    const RayJob& job = ray.job;
    const NetworkWeights& net = ray.net;
    const Shared& s = ray.s;
    int lane = lane_id(), t = lane % 4, g = lane / 4, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
    int samples = job.num_samples, tiles = ceil_div(samples, 16);
    // Each tile has a row of its own, so that sums have one order, whatever the number of warps.
    constexpr int kRow = C + 4;
    float* pooled = s.scratch; // [C] and 3 colours
#if COLOUR == COLOUR_BLEND
    for (int tile = warp; tile < tiles; tile += warps) {
        Tile<C> normal = normalised(load_state(ray.state, 16 * tile), net.norm, kLastEps);
        float logit[2] = {0, 0};
#pragma unroll
        for (int n = 0; n < C / 8; n++)
            for (int e = 0; e < 4; e++) logit[e / 2] += normal.v[n][e] * __ldg(net.blend_ray + 8 * n + 2 * t + e % 2);
        for (int i = 0; i < 2; i++) {
            float sum = quad_sum(logit[i]);
            if (t == 0) s.weights[16 * tile + g + 8 * i] = sum;
        }
    }
    __syncthreads();
    if (warp == 0) softmax_shared(s.weights, samples);
#endif
    __syncthreads();
    for (int tile = warp; tile < tiles; tile += warps) {
        int first = 16 * tile;
        Tile<C> normal = normalised(load_state(ray.state, first), net.norm, kLastEps);
        float weight[2];
        for (int i = 0; i < 2; i++) {
            int row = first + g + 8 * i;
            weight[i] = row >= samples ? 0 : COLOUR == COLOUR_BLEND ? s.weights[row] : 1.0f / samples;
        }
#pragma unroll
        for (int n = 0; n < C / 8; n++)
            for (int e = 0; e < 2; e++) {
                float sum = weight[0] * normal.v[n][e] + weight[1] * normal.v[n][2 + e];
                for (int d = 4; d < kWarp; d *= 2) sum += __shfl_xor_sync(~0u, sum, d);
                if (g == 0) s.sums[tile * kRow + 8 * n + 2 * t + e] = sum;
            }
        __syncwarp();
        float colour[3] = {0, 0, 0};
#if COLOUR == COLOUR_BLEND
        blend_tile(ray, operand(normal), first, colour);
#endif
        for (int c = 0; c < 3; c++) {
            float sum = warp_sum(colour[c]);
            if (lane == 0) s.sums[tile * kRow + C + c] = sum;
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < C + 3; i += blockDim.x) {
        float sum = 0;
        for (int tile = 0; tile < tiles; tile++) sum += s.sums[tile * kRow + i];
        pooled[i] = sum;
    }
    __syncthreads();
    if (threadIdx.x < 3) {
        int c = threadIdx.x;
        float sum = pooled[C + c] + __ldg(net.rgb + 3 * C + c);
        for (int i = 0; i < C; i++) sum += pooled[i] * __ldg(net.rgb + 3 * i + c);
        job.rgb[3 * u64(ray.number) + c] = sum;
    }
    if (warp == 0) {
        const float* depths = job.depths + u64(ray.number) * job.depth_stride;
        float depth = 0;
        for (int i = lane; i < samples; i += kWarp) {
            depth += s.weights[i] * depths[i];
            if (job.weights) job.weights[u64(ray.number) * samples + i] = s.weights[i];
        }
        depth = warp_sum(depth);
        if (lane == 0) job.depth[ray.number] = depth;
    }
}
