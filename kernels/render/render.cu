// Rays through the whole network, one block a ray, everything between photographs and colour in one kernel. The state of
// the ray stays in shared memory; tokens of its (sample, view) pairs, which do not fit there, lie in a part of the
// workspace that belongs to the block and is used again for its next ray, so that it stays in the second-level cache.
//
// A warp works on sixteen samples at a time and keeps their rows in registers from one product to the next. Weights are
// packed in the order in which the matrix units take them and come through the first-level cache.
// CPU twin: src/gnt/engine. Launch: any number of blocks, whole warps (at most one a tile), `plan.rs` says how many.
#include "render/experts.cuh"
#include "render/gather.cuh"
#include "render/head.cuh"
#include "render/ray_attention.cuh"
#if VIEW == 0
#include "render/view_subtract.cuh"
#else
#include "render/view_hamming.cuh"
#endif

// Replaces the state by two layers on it and on the position encoding.
__device__ void position_tile(const Block& block, const Workspace& w, Tile<C>& x, int layer, int first) {
    int g = lane_id() / 4, t = lane_id() % 4;
    Tile<C> hidden = bias_tile<C>(block.position_bias);
#pragma unroll
    for (int n = 0; n < C / 8; n++) {
        // This kernel wrote them, so they must not come through the read-only path that `bias_tile` takes.
        float2 constant = *reinterpret_cast<const float2*>(w.constants + layer * C + 8 * n + 2 * t);
        for (int e = 0; e < 4; e++) hidden.v[n][e] += e % 2 ? constant.y : constant.x;
    }
    product<C, C>(hidden, operand(x), block.position_state);
    const Stored* encoding = w.encoding + (first + g) * kEncoding16;
    product<kEncoding16, C>(hidden, load_rows<kEncoding16>(encoding, encoding + 8 * kEncoding16),
                            block.position_encoding);
    relu(hidden);
    x = bias_tile<C>(block.position_out_bias);
    product<C, C>(x, operand(hidden), block.position_out);
}

// Copies the state to `job.states` as stage number `stage`. All threads; begins and ends with a barrier.
__device__ void record(const Job& job, const Shared& s, int ray, int stage) {
    if (!job.states) return;
    __syncthreads();
    float* to = job.states + (u64(stage) * job.num_rays + ray) * job.num_samples * C;
    for (int i = threadIdx.x; i < job.num_samples * C; i += blockDim.x) to[i] = s.state[i / C * kStateStride + i % C];
    __syncthreads();
}

// Where a ray's time goes; twin of `Stage` in src/gnt/engine/ray.rs.
enum class Stage { Gather, View, Position, Ray, Experts, Head, None };

// Ends one stage and begins another in `job.cycles`, by the clock of the first thread. Each end is added and each beginning
// subtracted, which gives the sum of all intervals and needs no register between them. Within a loop over tiles these are
// the times of the first warp's tiles; what it waits for the others after the loop belongs to the stage that is on.
__device__ __forceinline__ void turn(const Job& job, Stage from, Stage to) {
    if (!job.cycles || threadIdx.x != 0) return;
    u64 now = u64(clock64());
    if (from != Stage::None) atomicAdd(job.cycles + int(from), now);
    if (to != Stage::None) atomicAdd(job.cycles + int(to), 0 - now);
}

KERNEL(render_rays)(Job job, Network net) {
    DYNAMIC_SHARED(unsigned char, shared);
    int warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp, depth = int(net.depth);
    int tiles = ceil_div(job.num_samples, 16);
    Workspace w = workspace_of(job, depth);
    Shared s = shared_of(LARGE ? w.state : shared, job.num_samples);
    for (int ray = blockIdx.x; ray < job.num_rays; ray += gridDim.x) {
        turn(job, Stage::None, Stage::Gather);
        encode_ray(job, net, w, s, ray);
        for (int tile = warp; tile < tiles; tile += warps) gather_tile(job, net, w, s, ray, 16 * tile);
        int stage = 0;
        record(job, s, ray, stage++);
        __syncthreads();
        turn(job, Stage::Gather, Stage::View);
        for (int layer = 0; layer < depth; layer++) {
            const Block& block = net.blocks[layer];
            for (int tile = warp; tile < tiles; tile += warps) {
                Tile<C> x = load_state(s, 16 * tile);
#if VIEW == 0
                view_subtract_tile(job, block, w, s, x, 16 * tile);
#else
                view_hamming_tile(job, block, layer, depth, w, s, x, 16 * tile);
#endif
                turn(job, Stage::View, Stage::Experts);
#if EXPERTS
                route_tile(block.view_ff, s, x, 16 * tile);
#else
                feed_forward_tile(block.view_ff, x);
#endif
                turn(job, Stage::Experts, Stage::View);
                store_state(s, 16 * tile, x);
            }
#if EXPERTS
            __syncthreads();
            turn(job, Stage::View, Stage::Experts);
            run_experts(block.view_ff, s, job, ray, 2 * layer);
            turn(job, Stage::Experts, Stage::View);
#endif
            record(job, s, ray, stage++);
            turn(job, Stage::View, Stage::Position);
            for (int tile = warp; tile < tiles; tile += warps) {
                Tile<C> x = load_state(s, 16 * tile);
                if (block.position_state) {
                    position_tile(block, w, x, layer, 16 * tile);
                    store_state(s, 16 * tile, x);
                }
                store_keys(job, block, s, x, 16 * tile);
            }
            clear_last_keys(job, s);
            record(job, s, ray, stage++);
            __syncthreads();
            turn(job, Stage::Position, Stage::Ray);
            for (int tile = warp; tile < tiles; tile += warps) {
                Tile<C> x = load_state(s, 16 * tile);
                if (!BLEND && tile == 0 && layer + 1 == depth) nearest_attention(job, block, s, x, s.weights);
                ray_attention_tile(job, block, s, x, 16 * tile);
#if !EXPERTS
                turn(job, Stage::Ray, Stage::Experts);
                feed_forward_tile(block.ray_ff, x);
                turn(job, Stage::Experts, Stage::Ray);
#endif
                store_state(s, 16 * tile, x);
            }
            // Keys are read no more.
            __syncthreads();
#if EXPERTS
            turn(job, Stage::Ray, Stage::Experts);
            for (int tile = warp; tile < tiles; tile += warps)
                route_tile(block.ray_ff, s, load_state(s, 16 * tile), 16 * tile);
            __syncthreads();
            run_experts(block.ray_ff, s, job, ray, 2 * layer + 1);
            turn(job, Stage::Experts, Stage::Ray);
#endif
            record(job, s, ray, stage++);
            turn(job, Stage::Ray, layer + 1 < depth ? Stage::View : Stage::Head);
        }
        head(job, net, w, s, ray);
        __syncthreads();
        turn(job, Stage::Head, Stage::None);
    }
}
EXPORT(render_rays)
