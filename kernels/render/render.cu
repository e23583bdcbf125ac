// Rays through the whole network, one block a ray, everything between photographs and colour in one kernel. The state of
// the ray stays in shared memory if there is room (PLACE); tokens of its (sample, view) pairs, which do not fit there, lie in a part of the
// workspace that belongs to the block and is used again for its next ray, so that it stays in the second-level cache.
//
// A warp works on sixteen samples at a time and keeps their rows in registers from one product to the next. Weights are
// packed in the order in which the matrix units take them and come through the first-level cache.
// CPU twin: src/gnt/engine. Launch: any number of blocks, whole warps (at most one a tile), src/gnt/cuda/launch.rs says how
// many.
#include "render/feed_forward.cuh"
#include "render/gather.cuh"
#include "render/head.cuh"
#include "render/position.cuh"
#include "render/ray_attention.cuh"
#include "render/view_attention.cuh"

// Copies the state to `job.states` as state number `state`. All threads; begins and ends with a barrier.
__device__ void record(const Ray& ray, int state) {
    const RayJob& job = ray.job;
    if (!job.states) return;
    __syncthreads();
    float* to = job.states + (u64(state) * job.num_rays + ray.number) * job.num_samples * C;
    for (int i = threadIdx.x; i < job.num_samples * C; i += blockDim.x)
        to[i] = ray.state.rows[i / C * kStateStride + i % C];
    __syncthreads();
}

// No stage: before the first and after the last.
constexpr int kNoStage = -1;

// Ends one stage and begins another in `job.cycles`, by the clock of the first thread. Each end is added and each beginning
// subtracted, which gives the sum of all intervals and needs no register between them. Within a loop over tiles these are
// the times of the first warp's tiles; what it waits for the others after the loop belongs to the stage that is on.
__device__ __forceinline__ void turn(const RayJob& job, int from, int to) {
    if (!job.cycles) return;
    if (threadIdx.x == 0) {
        u64 now = u64(clock64());
        if (from != kNoStage) atomicAdd(job.cycles + from, now);
        if (to != kNoStage) atomicAdd(job.cycles + to, 0 - now);
    }
    __syncwarp();
}

KERNEL(render_rays)(RayJob job, NetworkWeights net) {
    DYNAMIC_SHARED(unsigned char, shared);
    int warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp, depth = int(net.depth);
    int tiles = ceil_div(job.num_samples, 16), padded = padded_samples(job.num_samples);
    Ray ray{job, net, {}, {}, {}, 0};
    unsigned char* global = ray.w.place(job.workspace + job.workspace_stride * blockIdx.x, padded, job.num_views, depth);
    unsigned char* state = PLACE == PLACE_SHARED ? shared : global;
    unsigned char* end = ray.state.place(state, padded, job.num_views, depth);
    ray.s.place(PLACE == PLACE_SPLIT ? shared : end, padded, job.num_views, depth);
    for (ray.number = blockIdx.x; ray.number < job.num_rays; ray.number += gridDim.x) {
        turn(job, kNoStage, STAGE_GATHER);
        encode_ray(ray);
        for (int tile = warp; tile < tiles; tile += warps) gather_tile(ray, 16 * tile);
        int state = 0;
        record(ray, state++);
        __syncthreads();
        turn(job, STAGE_GATHER, STAGE_VIEW);
        for (int layer = 0; layer < depth; layer++) {
            const BlockWeights& block = net.blocks[layer];
            const int view_part = 2 * layer, ray_part = 2 * layer + 1;
            for (int tile = warp; tile < tiles; tile += warps) {
                Tile<C> x = load_state(ray.state, 16 * tile);
                view_attention_tile(ray, block.view, layer, x, 16 * tile);
                turn(job, STAGE_VIEW, STAGE_EXPERTS);
                feed_forward_tile(ray, block.view_ff, view_part, x, 16 * tile);
                turn(job, STAGE_EXPERTS, STAGE_VIEW);
                store_state(ray.state, 16 * tile, x);
            }
            if (kByRay) {
                __syncthreads();
                turn(job, STAGE_VIEW, STAGE_EXPERTS);
                feed_forward_ray(ray, block.view_ff, view_part);
                turn(job, STAGE_EXPERTS, STAGE_VIEW);
            }
            record(ray, state++);
            turn(job, STAGE_VIEW, STAGE_POSITION);
            for (int tile = warp; tile < tiles; tile += warps) {
                Tile<C> x = load_state(ray.state, 16 * tile);
                if (block.position.state) {
                    position_tile(ray, block.position, layer, x, 16 * tile);
                    store_state(ray.state, 16 * tile, x);
                }
                store_keys(ray, block.ray, layer, x, 16 * tile);
            }
            clear_last_keys(ray);
            record(ray, state++);
            __syncthreads();
            turn(job, STAGE_POSITION, STAGE_RAY);
            for (int tile = warp; tile < tiles; tile += warps) {
                Tile<C> x = load_state(ray.state, 16 * tile);
                if (COLOUR == COLOUR_MEAN && tile == 0 && layer + 1 == depth)
                    nearest_attention(ray, block.ray, layer, x, ray.s.weights);
                ray_attention_tile(ray, block.ray, layer, x, 16 * tile);
                if (!kByRay) {
                    turn(job, STAGE_RAY, STAGE_EXPERTS);
                    feed_forward_tile(ray, block.ray_ff, ray_part, x, 16 * tile);
                    turn(job, STAGE_EXPERTS, STAGE_RAY);
                }
                store_state(ray.state, 16 * tile, x);
            }
            // Keys are read no more.
            __syncthreads();
            if (kByRay) {
                turn(job, STAGE_RAY, STAGE_EXPERTS);
                for (int tile = warp; tile < tiles; tile += warps) {
                    Tile<C> x = load_state(ray.state, 16 * tile);
                    feed_forward_tile(ray, block.ray_ff, ray_part, x, 16 * tile);
                }
                __syncthreads();
                feed_forward_ray(ray, block.ray_ff, ray_part);
                turn(job, STAGE_EXPERTS, STAGE_RAY);
            }
            record(ray, state++);
            turn(job, STAGE_RAY, layer + 1 < depth ? STAGE_VIEW : STAGE_HEAD);
        }
        head(ray);
        __syncthreads();
        turn(job, STAGE_HEAD, kNoStage);
    }
}
EXPORT(render_rays)
