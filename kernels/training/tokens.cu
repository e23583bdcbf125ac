// Tokens of the training path: what each source view shows at each sample, forward and backward.
//
// T samples of all rays, V views, P = T·V pairs, C channels (a multiple of 4). All views' photographs lie one after the
// other, and so do their maps: `photographs` [pixels, 3], `map` [pixels, C].
// CPU twins: src/gnt/projection.rs, src/gnt/network/tokens/cpu.rs, src/gnt/network/sources/map.rs.
#include "common/portable.cuh"
#include "training/twins.cuh"

struct Taps {
    int index[4];
    float weight[4];
};

// Products and sums that the compiler must not join: a mask and a nearest pixel are decisions, and the CPU makes them
// from values that are rounded after each operation.
__device__ __forceinline__ float times(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ float plus(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ float dot3(const float* a, const float* b) {
    return plus(plus(times(a[0], b[0]), times(a[1], b[1])), times(a[2], b[2]));
}

// Unit vector from `point` to `eye`, its length raised by 1e-6.
__device__ void toward(const float* point, const float* eye, float* unit) {
    for (int i = 0; i < 3; i++) unit[i] = eye[i] - point[i];
    float length = plus(sqrtf(dot3(unit, unit)), 1e-6f);
    for (int i = 0; i < 3; i++) unit[i] /= length;
}

// Bilinear neighbours, corners aligned; those outside the map have weight 0 and the index of its first pixel.
__device__ Taps taps_at(float px, float py, int from_width, int from_height, int to_width, int to_height) {
    float x = times(px / ((float)from_width - 1.0f), (float)to_width - 1.0f);
    float y = times(py / ((float)from_height - 1.0f), (float)to_height - 1.0f);
    float left = floorf(x), top = floorf(y), fx = x - left, fy = y - top;
    float weight[4] = {times(1.0f - fx, 1.0f - fy), times(fx, 1.0f - fy), times(1.0f - fx, fy), times(fx, fy)};
    Taps taps;
    for (int i = 0; i < 4; i++) {
        int column = (int)left + (i & 1), row = (int)top + (i >> 1);
        bool inside = column >= 0 && row >= 0 && column < to_width && row < to_height;
        taps.index[i] = inside ? row * to_width + column : 0;
        taps.weight[i] = inside ? weight[i] : 0.0f;
    }
    return taps;
}

__device__ void colour_at(const float* photograph, const Taps& taps, float* out) {
    float colour[3] = {0, 0, 0};
    for (int i = 0; i < 4; i++) {
        const float* pixel = photograph + (size_t)taps.index[i] * 3;
        for (int c = 0; c < 3; c++) colour[c] += taps.weight[i] * __ldg(pixel + c);
    }
    for (int c = 0; c < 3; c++) out[c] = colour[c];
}

// The pixel of the greatest weight, the first of equals.
__device__ __forceinline__ int nearest(int4 index, float4 weight) {
    int best = index.x;
    float most = weight.x;
    if (weight.y > most) best = index.y, most = weight.y;
    if (weight.z > most) best = index.z, most = weight.z;
    if (weight.w > most) best = index.w;
    return best;
}

// How far a sample at a pixel and a depth lies before the surface that the view sees. CPU twin: src/gnt/surface.rs.
__device__ float clearance(const TrainingSource& view, const float2* surfaces, float x, float y, float depth) {
    float scale = 1.0f / (float)view.surface_cell;
    int column = min(max((int)plus(times(x, scale), 0.5f), 0), view.surface_size[0] - 1);
    int row = min(max((int)plus(times(y, scale), 0.5f), 0), view.surface_size[1] - 1);
    float2 end = __ldg(surfaces + view.surface_first + row * view.surface_size[0] + column);
    float before = plus(end.x, -1.0f / depth);
    return -before / plus(fabsf(before), end.y);
}

// Projects every sample into every view.
// rays: [R, 6] origin and direction; depths: [T]; surfaces: inverse depth and deviation of all surface maps' cells;
// mask: [T, V]; directions: [T, V, 4]; colours: [T, V, 3];
// index, weight: [T, V, 4] taps in the maps. Launch: one thread a pair.
KERNEL(tokens_project)(const float* rays, const float* depths, const TrainingSource* views, const float* photographs,
                       const float2* surfaces, float* mask, float4* directions, float* colours, int4* index, float4* weight, int samples, int num_views,
                       int pairs) {
    int pair = blockIdx.x * blockDim.x + threadIdx.x;
    if (pair >= pairs) return;
    int sample = pair / num_views;
    const float* ray = rays + (size_t)(sample / samples) * 6;
    const TrainingSource view = views[pair % num_views];
    float z = depths[sample], point[3];
    for (int i = 0; i < 3; i++) point[i] = plus(times(z, ray[3 + i]), ray[i]);

    const float* m = view.pixel_from_world;
    float q[3];
    for (int r = 0; r < 3; r++) {
        float sum = plus(times(m[r], point[0]), times(m[4 + r], point[1]));
        q[r] = plus(plus(sum, times(m[8 + r], point[2])), m[12 + r]);
    }
    float depth = fmaxf(q[2], 1e-8f);
    float x = fminf(fmaxf(q[0] / depth, -1e6f), 1e6f), y = fminf(fmaxf(q[1] / depth, -1e6f), 1e6f);
    mask[pair] = q[2] > 0 && x >= 0 && y >= 0 && x <= view.limit[0] && y <= view.limit[1] ? 1.0f : 0.0f;

    float to_target[3], to_source[3], difference[3];
    toward(point, ray, to_target);
    toward(point, view.origin, to_source);
    for (int i = 0; i < 3; i++) difference[i] = to_target[i] - to_source[i];
    float length = fmaxf(sqrtf(dot3(difference, difference)), 1e-6f);
    float direction[4] = {difference[0] / length, difference[1] / length, difference[2] / length,
                          dot3(to_target, to_source)};
    if (view.surface_cell >= 0) direction[kClearance] = view.surface_cell > 0 ? clearance(view, surfaces, x, y, depth) : 0.0f;
    directions[pair] = {direction[0], direction[1], direction[2], direction[3]};

    Taps taps = taps_at(x, y, view.image_size[0], view.image_size[1], view.image_size[0], view.image_size[1]);
    colour_at(photographs + (size_t)view.image_first * 3, taps, colours + (size_t)pair * 3);
    taps = taps_at(x, y, view.image_size[0], view.image_size[1], view.map_size[0], view.map_size[1]);
    for (int i = 0; i < 4; i++) taps.index[i] += view.map_first;
    index[pair] = {taps.index[0], taps.index[1], taps.index[2], taps.index[3]};
    weight[pair] = {taps.weight[0], taps.weight[1], taps.weight[2], taps.weight[3]};
}
EXPORT(tokens_project)

// Takes the views that a sample is hidden from out of its mask, unless it is hidden from all that see its place.
// directions: [T, V, 4]; mask: [T, V]. Launch: one thread a sample.
KERNEL(tokens_leave_hidden_out)(const float4* directions, float* mask, int num_views, int samples) {
    int sample = blockIdx.x * blockDim.x + threadIdx.x;
    if (sample >= samples) return;
    const float* clearances = reinterpret_cast<const float*>(directions + (size_t)sample * num_views) + kClearance;
    float* seen = mask + (size_t)sample * num_views;
    bool open = false;
    for (int v = 0; v < num_views; v++) open |= seen[v] > 0 && clearances[4 * v] >= kHidden;
    for (int v = 0; open && v < num_views; v++)
        if (clearances[4 * v] < kHidden) seen[v] = 0;
}
EXPORT(tokens_leave_hidden_out)

// Adds colour · W + b to four channels and clips at 0.
__device__ __forceinline__ float4 colour_rows(float4 x, const float* colour, const float4* w, float4 b, int quads) {
    float4 w0 = __ldg(w), w1 = __ldg(w + quads), w2 = __ldg(w + 2 * quads);
    float r = colour[0], g = colour[1], l = colour[2];
    return {fmaxf(x.x + b.x + r * w0.x + g * w1.x + l * w2.x, 0.0f),
            fmaxf(x.y + b.y + r * w0.y + g * w1.y + l * w2.y, 0.0f),
            fmaxf(x.z + b.z + r * w0.z + g * w1.z + l * w2.z, 0.0f),
            fmaxf(x.w + b.w + r * w0.w + g * w1.w + l * w2.w, 0.0f)};
}

// hidden [P, C] = relu(bilinear map + colour · W + b); W: [3, C]. Launch: one thread for four channels of a pair.
KERNEL(tokens_gather)(const float4* map, const int4* index, const float4* weight, const float* colours,
                      const float4* colour_weight, const float4* colour_bias, float4* hidden, int pairs, int channels) {
    int quads = channels / 4;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)pairs * quads) return;
    size_t pair = i / quads;
    int quad = (int)(i % quads);
    int4 at = index[pair];
    float4 w = weight[pair];
    float4 a = __ldg(map + (size_t)at.x * quads + quad), b = __ldg(map + (size_t)at.y * quads + quad);
    float4 d = __ldg(map + (size_t)at.z * quads + quad), e = __ldg(map + (size_t)at.w * quads + quad);
    float4 sum = {w.x * a.x + w.y * b.x + w.z * d.x + w.w * e.x, w.x * a.y + w.y * b.y + w.z * d.y + w.w * e.y,
                  w.x * a.z + w.y * b.z + w.z * d.z + w.w * e.z, w.x * a.w + w.y * b.w + w.z * d.w + w.w * e.w};
    hidden[i] = colour_rows(sum, colours + pair * 3, colour_weight + quad, __ldg(colour_bias + quad), quads);
}
EXPORT(tokens_gather)

// d_map += weight · d_hidden at the four taps of every pair. Neighbouring samples share pixels, so the sums are made by
// atomic additions, in no fixed order: gradients of maps are not reproducible to the bit.
// Launch: one thread a channel of a pair.
KERNEL(tokens_scatter)(const float* d_hidden, const int4* index, const float4* weight, float* d_map, int pairs,
                       int channels) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)pairs * channels) return;
    size_t pair = i / channels;
    int channel = (int)(i % channels);
    float d = d_hidden[i];
    int4 at = index[pair];
    float4 w = weight[pair];
    if (w.x != 0) atomicAdd(d_map + (size_t)at.x * channels + channel, w.x * d);
    if (w.y != 0) atomicAdd(d_map + (size_t)at.y * channels + channel, w.y * d);
    if (w.z != 0) atomicAdd(d_map + (size_t)at.z * channels + channel, w.z * d);
    if (w.w != 0) atomicAdd(d_map + (size_t)at.w * channels + channel, w.w * d);
}
EXPORT(tokens_scatter)

// keys [P, C]: the row of each pair's nearest pixel. Launch: one thread for four channels of a pair.
KERNEL(tokens_keys)(const float4* key_map, const int4* index, const float4* weight, float4* keys, int pairs,
                    int channels) {
    int quads = channels / 4;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)pairs * quads) return;
    size_t pair = i / quads;
    keys[i] = __ldg(key_map + (size_t)nearest(index[pair], weight[pair]) * quads + i % quads);
}
EXPORT(tokens_keys)

// d_key_map += d_keys at the nearest pixels; atomic additions as in tokens_scatter. Launch: one thread a channel of a pair.
KERNEL(tokens_keys_scatter)(const float* d_keys, const int4* index, const float4* weight, float* d_key_map, int pairs,
                            int channels) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)pairs * channels) return;
    size_t pair = i / channels;
    atomicAdd(d_key_map + (size_t)nearest(index[pair], weight[pair]) * channels + i % channels, d_keys[i]);
}
EXPORT(tokens_keys_scatter)

// Colours of the photographs at the pixels of all maps, [pixels, 3]. Launch: one thread a pixel.
KERNEL(tokens_pixel_colours)(const TrainingSource* views, const float* photographs, float* colours, int num_views, int pixels) {
    int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    int v = 0;
    while (v + 1 < num_views && pixel >= views[v + 1].map_first) v++;
    const TrainingSource view = views[v];
    int own = pixel - view.map_first;
    float x = (float)(own % view.map_size[0]), y = (float)(own / view.map_size[0]);
    Taps taps = taps_at(x, y, view.map_size[0], view.map_size[1], view.image_size[0], view.image_size[1]);
    colour_at(photographs + (size_t)view.image_first * 3, taps, colours + (size_t)pixel * 3);
}
EXPORT(tokens_pixel_colours)

// hidden [pixels, C] = relu(map + colour · W + b). Launch: one thread for four channels of a pixel.
KERNEL(tokens_pixels)(const float4* map, const float* colours, const float4* colour_weight, const float4* colour_bias,
                      float4* hidden, int pixels, int channels) {
    int quads = channels / 4;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)pixels * quads) return;
    int quad = (int)(i % quads);
    hidden[i] = colour_rows(map[i], colours + i / quads * 3, colour_weight + quad, __ldg(colour_bias + quad), quads);
}
EXPORT(tokens_pixels)
