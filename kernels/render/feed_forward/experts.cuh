// Feed-forward parts of a router and two experts of which each row takes one. Rows are sorted by expert within their ray,
// so that each expert's products run over its own rows alone. CPU twin: src/layers/feed_forward/experts/engine.rs.
#pragma once
#include "render/forced.cuh"
#include "render/inputs.cuh"

#if FEED_FORWARD == FEED_FORWARD_EXPERTS
constexpr bool kByRay = true;

// Normalises sixteen rows for the experts and chooses one for each; expert and gate go to `chosen` and `gates`.
__device__ void feed_forward_tile(const Ray& ray, const ExpertsWeights& w, int part, const Tile<C>& x, int first) {
    const ExpertsShared& kept = ray.s.feed_forward;
    int g = lane_id() / 4, t = lane_id() % 4;
    Tile<C> normal = normalised(x, w.norm, kBlockEps);
    float logits[2][2] = {{0, 0}, {0, 0}};
#pragma unroll
    for (int n = 0; n < C / 8; n++) {
        float4 weight = __ldg(reinterpret_cast<const float4*>(w.router + 2 * (8 * n + 2 * t)));
        for (int i = 0; i < 2; i++) {
            float a = normal.v[n][2 * i], b = normal.v[n][2 * i + 1];
            logits[i][0] += a * weight.x + b * weight.z;
            logits[i][1] += a * weight.y + b * weight.w;
            store_pair(kept.rows + (first + g + 8 * i) * kKeyStride + 8 * n + 2 * t, a, b);
        }
    }
    for (int i = 0; i < 2; i++) {
        float a = quad_sum(logits[i][0]) + __ldg(w.router + 2 * C);
        float b = quad_sum(logits[i][1]) + __ldg(w.router + 2 * C + 1);
        if (t == 0) {
            // A tie goes to the shift expert.
            int row = first + g + 8 * i, expert = a > b ? 0 : 1;
            float lead = fabsf(a - b);
#if FORCED
            int own = expert;
            expert = forced_expert(ray, part, row, own);
            if (expert != own) lead = -lead;
#endif
            kept.gates[row] = 1 / (1 + expf(-lead));
            kept.chosen[row] = expert;
        }
    }
}

// Both experts on the rows of the ray that were routed to them. All threads of the block, after a barrier that follows the
// routing; ends with a barrier.
__device__ void feed_forward_ray(const Ray& ray, const ExpertsWeights& w, int part) {
    const RayJob& job = ray.job;
    const ExpertsShared& kept = ray.s.feed_forward;
    int samples = job.num_samples;
    int lane = lane_id(), g = lane / 4, t = lane % 4, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
    int* ends = reinterpret_cast<int*>(ray.s.scratch);
    if (warp == 0) {
        int multiply = 0;
        for (int i = 0; i < samples; i += kWarp)
            multiply += __popc(__ballot_sync(~0u, i + lane < samples && kept.chosen[i + lane] == 0));
        // The shift expert's rows begin with a tile of their own.
        int place[2] = {0, ceil_div(multiply, 16) * 16};
        int end = place[1] + ceil_div(samples - multiply, 16) * 16;
        for (int i = lane; i < end; i += kWarp) kept.order[i] = -1;
        if (lane == 0) {
            ends[0] = place[1] / 16, ends[1] = end / 16;
            if (job.routed) {
                atomicAdd(job.routed + part, u64(multiply));
                // This thread alone goes through all parts of the ray.
                job.multiplied[ray.number] = (part > 0 ? job.multiplied[ray.number] : 0) + multiply;
            }
        }
        __syncwarp();
        for (int i = 0; i < samples; i += kWarp) {
            int expert = i + lane < samples ? kept.chosen[i + lane] : -1;
            for (int e = 0; e < 2; e++) {
                unsigned mine = __ballot_sync(~0u, expert == e);
                if (expert == e) kept.order[place[e] + __popc(mine & ((1u << lane) - 1))] = i + lane;
                place[e] += __popc(mine);
            }
        }
    }
    __syncthreads();
    for (int tile = warp; tile < ends[1]; tile += warps) {
        const int expert = tile < ends[0] ? 0 : 1;
        const TwoLayers& layers = w.experts[expert];
        const int row[2] = {kept.order[16 * tile + g], kept.order[16 * tile + g + 8]};
        const Stored* from[2];
        for (int i = 0; i < 2; i++) from[i] = row[i] >= 0 ? kept.rows + row[i] * kKeyStride : nullptr;
        Tile<C> out = bias_tile<C>(layers.bias2);
        two_layers(out, load_input<C>(from[0], from[1]), layers, expert == 1);
        for (int i = 0; i < 2; i++) {
            if (row[i] < 0) continue;
            float gate = kept.gates[row[i]];
            // A row belongs to one tile only.
            float* to = ray.state.rows + row[i] * kStateStride + 2 * t;
#pragma unroll
            for (int n = 0; n < C / 8; n++) {
                to[8 * n] += gate * out.v[n][2 * i];
                to[8 * n + 1] += gate * out.v[n][2 * i + 1];
            }
        }
        __syncwarp();
    }
    __syncthreads();
}
#endif
