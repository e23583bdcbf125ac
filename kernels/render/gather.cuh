// The first part of a ray: projection, tokens, start of the state, position encoding.
// CPU twins: src/gnt/projection.rs, src/gnt/engine/rows.rs.
#pragma once
#include "render/view_attention.cuh"

// Unit vector from `p` to `eye`; the length is raised by 1e-6, as upstream does.
__device__ __forceinline__ float3 toward(float3 p, float3 eye) {
    float3 d = make_float3(eye.x - p.x, eye.y - p.y, eye.z - p.z);
    float scale = 1.0f / (sqrtf(d.x * d.x + d.y * d.y + d.z * d.z) + 1e-6f);
    return make_float3(d.x * scale, d.y * scale, d.z * scale);
}

// A sample's place in a source view.
struct Place {
    float2 pixel; // Clamped to ±10^6.
    float clearance; // How far it lies before the surface that the view sees; 0 where that is not known or asked for.
    bool inside; // Before the camera and inside the image.
    bool hidden; // Behind the surface.
};

// Never inlined: a sample on the border of an image or of what is hidden is counted first and looked up later, and both
// must see the same, whatever the compiler contracts.
__device__ __noinline__ Place project(const RaySource& view, float3 p) {
    Place place;
    const float* m = view.pixel_from_world;
    float x = m[0] * p.x + m[1] * p.y + m[2] * p.z + m[3];
    float y = m[4] * p.x + m[5] * p.y + m[6] * p.z + m[7];
    float z = m[8] * p.x + m[9] * p.y + m[10] * p.z + m[11];
    float depth = fmaxf(z, 1e-8f);
    float2 pixel = make_float2(fminf(fmaxf(x / depth, -1e6f), 1e6f), fminf(fmaxf(y / depth, -1e6f), 1e6f));
    place.pixel = pixel;
    place.inside =
        z > 0 && pixel.x >= 0 && pixel.y >= 0 && pixel.x <= view.width - 1.0f && pixel.y <= view.height - 1.0f;
    place.clearance = 0;
    if (view.surface) {
        float scale = 1.0f / view.surface_cell;
        int column = min(max(int(pixel.x * scale + 0.5f), 0), view.surface_width - 1);
        int row = min(max(int(pixel.y * scale + 0.5f), 0), view.surface_height - 1);
        float2 end = __ldg(view.surface + row * view.surface_width + column);
        float before = end.x - 1.0f / depth;
        place.clearance = -before / (fabsf(before) + end.y);
    }
    place.hidden = place.clearance < kHidden;
    return place;
}

// The four neighbours of a bilinear look-up in a grid of width x height; weight 0 for those outside.
__device__ __forceinline__ void taps(float x, float y, int width, int height, int (&index)[4], float (&weight)[4]) {
    float x0 = floorf(x), y0 = floorf(y), fx = x - x0, fy = y - y0;
    for (int i = 0; i < 4; i++) {
        int px = int(x0) + (i & 1), py = int(y0) + (i >> 1);
        bool inside = px >= 0 && py >= 0 && px < width && py < height;
        index[i] = inside ? py * width + px : 0;
        weight[i] = inside ? ((i & 1) ? fx : 1 - fx) * ((i >> 1) ? fy : 1 - fy) : 0;
    }
}

// What a view shows of a sample; `open` tells whether some view sees its place and does not hide it.
__device__ __forceinline__ LookUp look_up(const RaySource& view, float3 point, float3 to_target, bool open) {
    LookUp item;
    Place place = project(view, point);
    float2 pixel = place.pixel;
    item.seen = place.inside && !(open && place.hidden);
    float3 to_source = toward(point, make_float3(view.eye[0], view.eye[1], view.eye[2]));
    float3 d = make_float3(to_target.x - to_source.x, to_target.y - to_source.y, to_target.z - to_source.z);
    float scale = 1.0f / fmaxf(sqrtf(d.x * d.x + d.y * d.y + d.z * d.z), 1e-6f);
    item.direction[0] = d.x * scale, item.direction[1] = d.y * scale, item.direction[2] = d.z * scale;
    if (view.asks_visibility) item.direction[kClearance] = place.clearance;
    item.direction[3] = to_target.x * to_source.x + to_target.y * to_source.y + to_target.z * to_source.z;
    taps(pixel.x, pixel.y, view.width, view.height, item.index, item.weight);
    item.colour[0] = item.colour[1] = item.colour[2] = 0;
    for (int i = 0; i < 4; i++) {
        float4 c = __ldg(view.image + item.index[i]);
        item.colour[0] += item.weight[i] * c.x;
        item.colour[1] += item.weight[i] * c.y;
        item.colour[2] += item.weight[i] * c.z;
    }
    float x = pixel.x / (view.width - 1.0f) * (view.map_width - 1.0f);
    float y = pixel.y / (view.height - 1.0f) * (view.map_height - 1.0f);
    taps(x, y, view.map_width, view.map_height, item.index, item.weight);
    return item;
}

// First token layer of two look-ups, after its ReLU: this lane's C / 4 neighbouring channels of each.
__device__ __forceinline__ void first_layer(float (&x)[2][C / 4], const RaySource& view, const LookUp& low,
                                            const LookUp& high, const float* colour) {
    int first = (lane_id() % 4) * (C / 4);
#pragma unroll
    for (int i = 0; i < C / 4; i += 4) {
        float4 r = __ldg(reinterpret_cast<const float4*>(colour + first + i));
        float4 g = __ldg(reinterpret_cast<const float4*>(colour + C + first + i));
        float4 b = __ldg(reinterpret_cast<const float4*>(colour + 2 * C + first + i));
        float4 bias = __ldg(reinterpret_cast<const float4*>(colour + 3 * C + first + i));
        for (int j = 0; j < 2; j++) {
            const float* c = j ? high.colour : low.colour;
            x[j][i] = bias.x + c[0] * r.x + c[1] * g.x + c[2] * b.x;
            x[j][i + 1] = bias.y + c[0] * r.y + c[1] * g.y + c[2] * b.y;
            x[j][i + 2] = bias.z + c[0] * r.z + c[1] * g.z + c[2] * b.z;
            x[j][i + 3] = bias.w + c[0] * r.w + c[1] * g.w + c[2] * b.w;
        }
    }
#pragma unroll
    for (int j = 0; j < 2; j++) {
        const LookUp& item = j ? high : low;
        for (int tap = 0; tap < 4; tap++) {
            float weight = item.weight[tap];
            unsigned words[kRowWords<C>];
            load_row<C>(words, view.map + u64(item.index[tap]) * C);
#pragma unroll
            for (int i = 0; i < C / 4; i++) x[j][i] += weight * row_value<C>(words, i);
        }
#pragma unroll
        for (int i = 0; i < C / 4; i++) x[j][i] = fmaxf(x[j][i], 0.0f);
    }
}

// Frequency encoding of a number and its place: [x.., sin 2^k x.., cos 2^k x..] of `n` numbers.
// The full sine is used on purpose: ten octaves at depth 40 reach 2·10^4 rad.
__device__ __forceinline__ float frequency(const float* x, int n, int channel) {
    if (channel < n) return x[channel];
    int k = (channel - n) / (2 * n), i = (channel - n) % (2 * n);
    float angle = x[i % n] * float(1u << k);
    return i < n ? sinf(angle) : cosf(angle);
}

// What the direction of the ray adds to each position layer. All threads of the block; ends with a barrier.
__device__ void encode_ray(const Ray& ray) {
    float* encoding = ray.s.scratch;
    if (kRayEncoding > 0) {
        const float* d = ray.job.rays + 6 * u64(ray.number) + 3;
        float scale = 1.0f / sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
        const float unit[3] = {d[0] * scale, d[1] * scale, d[2] * scale};
        for (int i = threadIdx.x; i < kRayEncoding; i += blockDim.x) encoding[i] = frequency(unit, 3, i);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < int(ray.net.depth) * C; i += blockDim.x) {
        const PositionWeights& position = ray.net.blocks[i / C].position;
        float sum = 0;
        if (position.state)
            for (int e = 0; e < kRayEncoding; e++) sum += encoding[e] * __ldg(position.ray + e * C + i % C);
        ray.w.constants[i] = sum;
    }
    __syncthreads();
}

// Tokens, start and encoding of sixteen samples from `first` on.
__device__ void gather_tile(const Ray& ray, int first) {
    const RayJob& job = ray.job;
    const NetworkWeights& net = ray.net;
    const Workspace& w = ray.w;
    const Shared& s = ray.s;
    int lane = lane_id(), g = lane / 4, t = lane % 4, views = job.num_views;
    LookUp* items = s.looks + threadIdx.x / kWarp * kWarp;
    const float* r = job.rays + 6 * u64(ray.number);
    float3 eye = make_float3(r[0], r[1], r[2]);
    // Lanes l and l + 16 look after row l: even and odd views.
    int row = first + lane % 16, sample = min(row, job.num_samples - 1);
    float z = job.depths[u64(ray.number) * job.depth_stride + sample];
    float3 point = make_float3(z * r[3] + eye.x, z * r[4] + eye.y, z * r[5] + eye.z);
    float3 to_target = toward(point, eye);

    int inside = 0, open = 0;
    for (int v = lane / 16; v < views; v += 2) {
        Place place = project(job.sources[v], point);
        inside += place.inside;
        open += place.inside && !place.hidden;
    }
    inside += __shfl_xor_sync(~0u, inside, 16);
    open += __shfl_xor_sync(~0u, open, 16);
    bool real = row < job.num_samples;
    // A sample that is hidden from all that see its place takes those, and one that none sees takes all.
    if (lane < 16) s.counts[row] = !real ? 0 : open > 0 ? open : inside > 0 ? inside : -views;
    {
        const float nearness[1] = {3.14159265358979f * (1 / z - 1 / job.far) / (1 / job.near - 1 / job.far)};
        const float world[3] = {point.x, point.y, point.z};
        for (int c = lane / 16; c < kEncoding16; c += 2) {
            float x = c >= kEncoding ? 0 : POSITION == POSITION_WORLD ? frequency(world, 3, c) : frequency(nearness, 1, c);
            w.encoding[row * kEncoding16 + c] = stored(x);
        }
    }
    __syncwarp();
    const int count[2] = {s.counts[first + g], s.counts[first + g + 8]};
    int rank[2] = {0, 0};
#if START == START_MAX
    Tile<C> start;
    for (int n = 0; n < C / 8; n++)
        for (int e = 0; e < 4; e++) start.v[n][e] = -3.4e38f;
#else
    Tile<C> mean = zero_tile<C>(), variance = zero_tile<C>();
#endif
    for (int v = 0; v < views; v += 2) {
        if (v + lane / 16 < views) items[lane] = look_up(job.sources[v + lane / 16], point, to_target, open > 0);
        __syncwarp();
        for (int u = 0; u < 2 && v + u < views; u++) {
            const RaySource& view = job.sources[v + u];
            const LookUp* pair[2] = {items + 16 * u + g, items + 16 * u + g + 8};
            bool on[2];
            for (int i = 0; i < 2; i++) on[i] = count[i] < 0 || (count[i] > 0 && pair[i]->seen);
            // A maximum is over all views, whether they see the sample or not.
            if (START != START_MAX && !__any_sync(~0u, on[0] || on[1])) continue;
            float values[2][C / 4];
            first_layer(values, view, *pair[0], *pair[1], net.colour);
            Tile<C> token = bias_tile<C>(net.token_bias);
            product<C, C>(token, operand_of_rows<C>(values[0], values[1]), net.token);
            for (int i = 0; i < 2; i++) {
                if (!on[i]) continue;
                u64 at = u64(first + g + 8 * i) * views + rank[i]++;
#pragma unroll
                for (int n = 0; n < C / 8; n++)
                    store_pair(w.tokens + at * C + 8 * n + 2 * t, token.v[n][2 * i], token.v[n][2 * i + 1]);
                if (t == 0) {
                    const LookUp& item = *pair[i];
                    const float* d = item.direction;
                    w.directions[at] = make_float4(d[0], d[1], d[2], d[3]);
                    w.colours[at] = make_float4(item.colour[0], item.colour[1], item.colour[2], 0);
                    remember_look(ray, first + g + 8 * i, v + u, item, at);
                }
#if START == START_STATS
                if (count[i] > 0) {
                    float share = 1.0f / rank[i];
#pragma unroll
                    for (int n = 0; n < C / 8; n++)
                        for (int e = 2 * i; e < 2 * i + 2; e++) {
                            float d = token.v[n][e] - mean.v[n][e];
                            mean.v[n][e] += d * share;
                            variance.v[n][e] += d * (token.v[n][e] - mean.v[n][e]);
                        }
                }
#endif
            }
#if START == START_MAX
#pragma unroll
            for (int n = 0; n < C / 8; n++)
                for (int e = 0; e < 4; e++) start.v[n][e] = fmaxf(start.v[n][e], token.v[n][e]);
#endif
            __syncwarp();
        }
        __syncwarp();
    }
#if START == START_STATS
#pragma unroll
    for (int n = 0; n < C / 8; n++)
        for (int e = 0; e < 4; e++) variance.v[n][e] *= 1.0f / max(count[e / 2], 1);
    Tile<C> start = bias_tile<C>(net.start_bias);
    product<C, C>(start, operand(mean), net.start_mean);
    product<C, C>(start, operand(variance), net.start_variance);
#endif
    store_state(ray.state, first, start);
}
