// What the ray kernel shares with Rust: weights, source views, rays, and memory of a ray.
// Made from declarations in Rust: change those, then run `cargo run -p gnt --bin twins`.
#pragma once

// Most warps of a block.
constexpr int kMostWarps = 12;
// Keys of a chunk: all that is kept of samples has room for whole chunks.
constexpr int kKeyChunk = 32;
// Numbers behind a row, so that rows of a tile fall on different banks.
constexpr int kRowPadding = 8;
// Added to the variance by the normalisations inside blocks.
constexpr float kBlockEps = 1e-6f;
// The same in the last one.
constexpr float kLastEps = 1e-5f;
// Clearance below which a sample is hidden from a view.
constexpr float kHidden = -0.7f;
// Component of a relative direction that tells the clearance instead.
constexpr int kClearance = 2;
// Taps of the filter of linear-angular attention.
constexpr int kLinearAngularTaps = 9;
// Added to the squared length that it divides by.
constexpr float kLinearAngularEps = 1e-6f;

// What another device can decide.
#define DECISION_PIXEL 0
#define DECISION_VIEW_QUERY 1
#define DECISION_RAY_QUERY 2
#define DECISION_RAY_KEY 3
#define DECISION_EXPERT 4

// The next array of `count` values from `at` on, a multiple of 16 bytes; `at` moves on.
template <class T> __device__ __forceinline__ T* in_shared(unsigned char*& at, int count) {
    T* here = reinterpret_cast<T*>(at);
    at += (count * int(sizeof(T)) + 15) / 16 * 16;
    return here;
}

// The next array of `count` values from `at` on, a multiple of 256 bytes; `at` moves on.
template <class T> __device__ __forceinline__ T* in_workspace(unsigned char*& at, u64 count) {
    T* here = reinterpret_cast<T*>(at);
    at += (count * u64(sizeof(T)) + 255) / 256 * 256;
    return here;
}

// Two layers with a ReLU between; W hidden channels.
struct TwoLayers {
    const uint2* fc1; // C → W; the order is that of the rows that it is given.
    const float* bias1; // `[W]`.
    const uint2* fc2; // W → C, order Natural.
    const float* bias2; // `[C]`.
};
static_assert(sizeof(TwoLayers) == 32 && OFFSET_OF(TwoLayers, fc1) == 0 && OFFSET_OF(TwoLayers, bias1) == 8 &&
              OFFSET_OF(TwoLayers, fc2) == 16 && OFFSET_OF(TwoLayers, bias2) == 24,
              "TwoLayers is laid out as in Rust");

// Weights of subtraction attention over source views; C channels, H hidden ones.
struct SubtractionWeights {
    const float* norm; // Gain and bias `[2, C]`.
    const uint2* query; // C → H.
    const float* direction; // `[5, H]`: rows and bias of the hidden direction.
    const uint2* token; // Token C → C + H, order Rows.
    const uint2* hidden; // Hidden direction H → C + H.
    const float* token_bias; // `[C + H]`.
    const uint2* logits; // H → C.
    const uint2* out; // C → C.
    const float* out_bias; // `[C]`.
};
static_assert(sizeof(SubtractionWeights) == 72 && OFFSET_OF(SubtractionWeights, norm) == 0 &&
              OFFSET_OF(SubtractionWeights, query) == 8 && OFFSET_OF(SubtractionWeights, direction) == 16 &&
              OFFSET_OF(SubtractionWeights, token) == 24 && OFFSET_OF(SubtractionWeights, hidden) == 32 &&
              OFFSET_OF(SubtractionWeights, token_bias) == 40 && OFFSET_OF(SubtractionWeights, logits) == 48 &&
              OFFSET_OF(SubtractionWeights, out) == 56 && OFFSET_OF(SubtractionWeights, out_bias) == 64,
              "SubtractionWeights is laid out as in Rust");

// Of a layer that keeps nothing.
struct NothingInWorkspace {

    // Gives all parts their places from `at` on; returns where they end.
    __device__ __forceinline__ unsigned char* place(unsigned char* at, u64 samples, u64 views, u64 depth) {
        return at;
    }
};

// Weights of Hamming attention over source views; C channels in heads of d, H hidden ones.
struct HammingViewWeights {
    const float* norm; // Gain and bias `[2, C]`.
    const uint2* query; // C → C.
    const float* query_bias; // `[C]`.
    const uint2* key; // C → C.
    const float* key_bias; // `[C]`.
    const float* direction; // `[5, H]`: rows and bias of the hidden direction.
    const uint2* token; // For each head C → d, order Rows.
    const uint2* hidden; // For each head H → d.
    const float* head_bias; // `[H, heads]`.
    const float* tau; // `[heads]`.
    const uint2* out; // C → C.
    const float* out_bias; // `[C]`.
};
static_assert(sizeof(HammingViewWeights) == 96 && OFFSET_OF(HammingViewWeights, norm) == 0 &&
              OFFSET_OF(HammingViewWeights, query) == 8 && OFFSET_OF(HammingViewWeights, query_bias) == 16 &&
              OFFSET_OF(HammingViewWeights, key) == 24 && OFFSET_OF(HammingViewWeights, key_bias) == 32 &&
              OFFSET_OF(HammingViewWeights, direction) == 40 && OFFSET_OF(HammingViewWeights, token) == 48 &&
              OFFSET_OF(HammingViewWeights, hidden) == 56 && OFFSET_OF(HammingViewWeights, head_bias) == 64 &&
              OFFSET_OF(HammingViewWeights, tau) == 72 && OFFSET_OF(HammingViewWeights, out) == 80 &&
              OFFSET_OF(HammingViewWeights, out_bias) == 88,
              "HammingViewWeights is laid out as in Rust");

// What Hamming attention over source views keeps of each sample and view that counts.
struct HammingViewWorkspace {
    int2* pixels; // `[samples, views]`: view and pixel of its map.
    float* logits; // `[samples, views, heads]`.

    // Gives all parts their places from `at` on; returns where they end.
    __device__ __forceinline__ unsigned char* place(unsigned char* at, u64 samples, u64 views, u64 depth) {
        pixels = in_workspace<int2>(at, samples * views);
        logits = in_workspace<float>(at, samples * views * HEADS);
        return at;
    }
};

// Those of the network: `VIEW` says which.
#if VIEW == VIEW_SUBTRACTION
typedef SubtractionWeights ViewAttentionWeights;
typedef NothingInWorkspace ViewAttentionWorkspace;
#elif VIEW == VIEW_HAMMING
typedef HammingViewWeights ViewAttentionWeights;
typedef HammingViewWorkspace ViewAttentionWorkspace;
#endif

// Weights of softmax attention along the ray; matrices are C → C.
struct SoftmaxRayWeights {
    const float* norm; // Gain and bias `[2, C]`.
    const uint2* query;
    const uint2* key;
    const uint2* value;
    const uint2* out;
    const float* out_bias; // `[C]`.
};
static_assert(sizeof(SoftmaxRayWeights) == 48 && OFFSET_OF(SoftmaxRayWeights, norm) == 0 &&
              OFFSET_OF(SoftmaxRayWeights, query) == 8 && OFFSET_OF(SoftmaxRayWeights, key) == 16 &&
              OFFSET_OF(SoftmaxRayWeights, value) == 24 && OFFSET_OF(SoftmaxRayWeights, out) == 32 &&
              OFFSET_OF(SoftmaxRayWeights, out_bias) == 40,
              "SoftmaxRayWeights is laid out as in Rust");

// What attention whose queries meet all keys keeps of a ray.
struct KeysAndValues {
    Stored* keys; // `[samples, kKeyStride]`.
    Stored* values; // `[C, value_stride]`: transposed.

    // Gives all parts their places from `at` on; returns where they end.
    __device__ __forceinline__ unsigned char* place(unsigned char* at, int samples, int views, int depth) {
        keys = in_shared<Stored>(at, samples * (C + 8));
        values = in_shared<Stored>(at, C * (samples + 8));
        return at;
    }
};

// Weights of Hamming attention along the ray; matrices are C → C.
struct HammingRayWeights {
    const float* norm; // Gain and bias `[2, C]`.
    const uint2* query;
    const float* query_bias; // `[C]`.
    const uint2* key;
    const float* key_bias; // `[C]`.
    const uint2* value;
    const float* tau; // `[heads]`.
    const uint2* out;
    const float* out_bias; // `[C]`.
};
static_assert(sizeof(HammingRayWeights) == 72 && OFFSET_OF(HammingRayWeights, norm) == 0 &&
              OFFSET_OF(HammingRayWeights, query) == 8 && OFFSET_OF(HammingRayWeights, query_bias) == 16 &&
              OFFSET_OF(HammingRayWeights, key) == 24 && OFFSET_OF(HammingRayWeights, key_bias) == 32 &&
              OFFSET_OF(HammingRayWeights, value) == 40 && OFFSET_OF(HammingRayWeights, tau) == 48 &&
              OFFSET_OF(HammingRayWeights, out) == 56 && OFFSET_OF(HammingRayWeights, out_bias) == 64,
              "HammingRayWeights is laid out as in Rust");

// Weights of linear-angular attention along the ray; matrices are C → C.
struct LinearAngularWeights {
    const float* norm; // Gain and bias `[2, C]`.
    const uint2* query;
    const float* query_bias; // `[C]`.
    const uint2* key;
    const float* key_bias; // `[C]`.
    const uint2* value;
    const float* filter; // `[heads, 9]`; null without a filter.
    const uint2* out;
    const float* out_bias; // `[C]`.
};
static_assert(sizeof(LinearAngularWeights) == 72 && OFFSET_OF(LinearAngularWeights, norm) == 0 &&
              OFFSET_OF(LinearAngularWeights, query) == 8 && OFFSET_OF(LinearAngularWeights, query_bias) == 16 &&
              OFFSET_OF(LinearAngularWeights, key) == 24 && OFFSET_OF(LinearAngularWeights, key_bias) == 32 &&
              OFFSET_OF(LinearAngularWeights, value) == 40 && OFFSET_OF(LinearAngularWeights, filter) == 48 &&
              OFFSET_OF(LinearAngularWeights, out) == 56 && OFFSET_OF(LinearAngularWeights, out_bias) == 64,
              "LinearAngularWeights is laid out as in Rust");

// Those of the network: `RAY` says which.
#if RAY == RAY_SOFTMAX
typedef SoftmaxRayWeights RayAttentionWeights;
typedef KeysAndValues RayAttentionShared;
#elif RAY == RAY_HAMMING
typedef HammingRayWeights RayAttentionWeights;
typedef KeysAndValues RayAttentionShared;
#elif RAY == RAY_LINEAR_ANGULAR
typedef LinearAngularWeights RayAttentionWeights;
typedef KeysAndValues RayAttentionShared;
#endif

// Weights of a feed-forward part of two layers.
struct MlpWeights {
    const float* norm; // Gain and bias `[2, C]`.
    TwoLayers layers; // The first in the order Natural.
};
static_assert(sizeof(MlpWeights) == 40 && OFFSET_OF(MlpWeights, norm) == 0 && OFFSET_OF(MlpWeights, layers) == 8,
              "MlpWeights is laid out as in Rust");

// Of a layer that keeps nothing.
struct NothingShared {

    // Gives all parts their places from `at` on; returns where they end.
    __device__ __forceinline__ unsigned char* place(unsigned char* at, int samples, int views, int depth) {
        return at;
    }
};

// Weights of a router and two experts.
struct ExpertsWeights {
    const float* norm; // Gain and bias `[2, C]`.
    TwoLayers experts[2]; // The multiply and the shift expert, whose first layers read rows from memory: order Rows.
    const float* router; // `[C, 2]` and two biases.
};
static_assert(sizeof(ExpertsWeights) == 80 && OFFSET_OF(ExpertsWeights, norm) == 0 &&
              OFFSET_OF(ExpertsWeights, experts) == 8 && OFFSET_OF(ExpertsWeights, router) == 72,
              "ExpertsWeights is laid out as in Rust");

// What a feed-forward part with experts keeps of a ray, from the choice of the experts to their results.
struct ExpertsShared {
    Stored* rows; // `[samples, kKeyStride]`: what they read.
    int* chosen; // `[samples]`: the expert of each row.
    int* order; // `[samples + 32]`: rows by expert; -1 fills tiles up.
    float* gates; // `[samples]`: the probability of the chosen expert.

    // Gives all parts their places from `at` on; returns where they end.
    __device__ __forceinline__ unsigned char* place(unsigned char* at, int samples, int views, int depth) {
        rows = in_shared<Stored>(at, samples * (C + 8));
        chosen = in_shared<int>(at, samples);
        order = in_shared<int>(at, samples + 32);
        gates = in_shared<float>(at, samples);
        return at;
    }
};

// Those of the network: `FEED_FORWARD` says which.
#if FEED_FORWARD == FEED_FORWARD_MLP
typedef MlpWeights FeedForwardWeights;
typedef NothingShared FeedForwardShared;
#elif FEED_FORWARD == FEED_FORWARD_EXPERTS
typedef ExpertsWeights FeedForwardWeights;
typedef ExpertsShared FeedForwardShared;
#endif

// Weights of a position layer; matrices are C → C.
struct PositionWeights {
    const uint2* state; // Null where the block has no position layer.
    const float* bias; // `[C]`.
    const uint2* encoding; // Encoding → C, order Rows.
    const float* ray; // `[ray encoding, C]`.
    const uint2* out;
    const float* out_bias; // `[C]`.
};
static_assert(sizeof(PositionWeights) == 48 && OFFSET_OF(PositionWeights, state) == 0 &&
              OFFSET_OF(PositionWeights, bias) == 8 && OFFSET_OF(PositionWeights, encoding) == 16 &&
              OFFSET_OF(PositionWeights, ray) == 24 && OFFSET_OF(PositionWeights, out) == 32 &&
              OFFSET_OF(PositionWeights, out_bias) == 40,
              "PositionWeights is laid out as in Rust");

// A view block, its position layer and a ray block.
struct BlockWeights {
    ViewAttentionWeights view;
    FeedForwardWeights view_ff;
    PositionWeights position;
    RayAttentionWeights ray;
    FeedForwardWeights ray_ff;
};
static_assert(sizeof(BlockWeights) ==
              sizeof(ViewAttentionWeights) +
                  sizeof(FeedForwardWeights) +
                  sizeof(PositionWeights) +
                  sizeof(RayAttentionWeights) +
                  sizeof(FeedForwardWeights),
              "the parts of a block lie one after the other");

// Addresses of a network's weights on a device.
struct NetworkWeights {
    const float* colour; // `[4, C]`: colour rows and bias of the first token layer.
    const uint2* token; // C → C, order Rows.
    const float* token_bias; // `[C]`.
    const uint2* start_mean; // C → C.
    const uint2* start_variance; // C → C.
    const float* start_bias; // `[C]`.
    const BlockWeights* blocks; // `[depth]`.
    const float* norm; // Gain and bias `[2, C]`.
    const float* rgb; // `[C, 3]` and three biases.
    const uint2* blend_token; // C → C/2, order Rows.
    const float* blend_bias; // `[C/2]`.
    const float* blend_direction; // `[4, C/2]`.
    const uint2* blend_state; // C → C/2.
    const float* blend_view; // `[C/2]`.
    const float* blend_ray; // `[C]`.
    u64 depth;
};
static_assert(sizeof(NetworkWeights) == 128 && OFFSET_OF(NetworkWeights, colour) == 0 &&
              OFFSET_OF(NetworkWeights, token) == 8 && OFFSET_OF(NetworkWeights, token_bias) == 16 &&
              OFFSET_OF(NetworkWeights, start_mean) == 24 && OFFSET_OF(NetworkWeights, start_variance) == 32 &&
              OFFSET_OF(NetworkWeights, start_bias) == 40 && OFFSET_OF(NetworkWeights, blocks) == 48 &&
              OFFSET_OF(NetworkWeights, norm) == 56 && OFFSET_OF(NetworkWeights, rgb) == 64 &&
              OFFSET_OF(NetworkWeights, blend_token) == 72 && OFFSET_OF(NetworkWeights, blend_bias) == 80 &&
              OFFSET_OF(NetworkWeights, blend_direction) == 88 && OFFSET_OF(NetworkWeights, blend_state) == 96 &&
              OFFSET_OF(NetworkWeights, blend_view) == 104 && OFFSET_OF(NetworkWeights, blend_ray) == 112 &&
              OFFSET_OF(NetworkWeights, depth) == 120,
              "NetworkWeights is laid out as in Rust");

// A source view. Axes of a camera: x right, y down, z forward; pixels are integers at their centres.
struct RaySource {
    const float4* image; // Colours `[height, width]`.
    const Stored* map; // First token layer of the feature map, `[map_height, map_width, C]`.
    // Codes of the keys of all blocks, `[map pixels, depth, kCode]`; null where no block reads them.
    const unsigned* keys;
    // Where the view's own rays end, inverse depth and deviation, `[surface_height, surface_width]`; null where not
    // known.
    const float2* surface;
    float pixel_from_world[12]; // Three rows.
    float eye[3];
    int width;
    int height;
    int map_width;
    int map_height;
    int surface_width;
    int surface_height;
    int surface_cell; // Pixels from one ray of the surface map to the next.
    int asks_visibility; // Whether the network asks which views a sample is hidden from.
    int unused; // Fills the struct up to a multiple of eight bytes.
};
static_assert(sizeof(RaySource) == 128 && OFFSET_OF(RaySource, image) == 0 && OFFSET_OF(RaySource, map) == 8 &&
              OFFSET_OF(RaySource, keys) == 16 && OFFSET_OF(RaySource, surface) == 24 &&
              OFFSET_OF(RaySource, pixel_from_world) == 32 && OFFSET_OF(RaySource, eye) == 80 &&
              OFFSET_OF(RaySource, width) == 92 && OFFSET_OF(RaySource, height) == 96 &&
              OFFSET_OF(RaySource, map_width) == 100 && OFFSET_OF(RaySource, map_height) == 104 &&
              OFFSET_OF(RaySource, surface_width) == 108 && OFFSET_OF(RaySource, surface_height) == 112 &&
              OFFSET_OF(RaySource, surface_cell) == 116 && OFFSET_OF(RaySource, asks_visibility) == 120 &&
              OFFSET_OF(RaySource, unused) == 124,
              "RaySource is laid out as in Rust");

// Decisions of another device; null where the network has none of a kind.
struct DecisionTable {
    const int* pixels;
    const unsigned* view_queries;
    const unsigned* ray_queries;
    const unsigned* ray_keys;
    const unsigned char* experts;
    u64* flips; // By DECISION: how many this device would have made otherwise.
};
static_assert(sizeof(DecisionTable) == 48 && OFFSET_OF(DecisionTable, pixels) == 0 &&
              OFFSET_OF(DecisionTable, view_queries) == 8 && OFFSET_OF(DecisionTable, ray_queries) == 16 &&
              OFFSET_OF(DecisionTable, ray_keys) == 24 && OFFSET_OF(DecisionTable, experts) == 32 &&
              OFFSET_OF(DecisionTable, flips) == 40,
              "DecisionTable is laid out as in Rust");

// The rays of a launch, and where their results go.
struct RayJob {
    const RaySource* sources;
    const float* rays; // `[rays, 6]`: origin and direction.
    const float* depths; // `[samples]`, or of each ray.
    unsigned char* workspace; // A part for each block.
    float* rgb; // `[rays, 3]`.
    float* weights; // `[rays, samples]`, or null.
    float* depth; // `[rays]`.
    // `[1 + 3 depth, rays, samples, C]`, or null: the start, and after each view block, position layer and ray block.
    float* states;
    u64* cycles; // By STAGE: cycles spent; or null.
    u64* routed; // `[2 depth]`: rows that the multiply expert of each feed-forward part ran, added up; or null.
    unsigned* multiplied; // `[rays]`: rows of a ray that all multiply experts ran; written where there is `routed`.
    const DecisionTable* decisions; // What is decided elsewhere; null, and not read, where the instance is not FORCED.
    u64 workspace_stride; // Bytes of the workspace of a block.
    float near;
    float far;
    int num_rays;
    int num_samples;
    int num_views;
    int depth_stride; // Depths of a ray from those of the next; 0 where all rays have the same.
};
static_assert(sizeof(RayJob) == 128 && OFFSET_OF(RayJob, sources) == 0 && OFFSET_OF(RayJob, rays) == 8 &&
              OFFSET_OF(RayJob, depths) == 16 && OFFSET_OF(RayJob, workspace) == 24 && OFFSET_OF(RayJob, rgb) == 32 &&
              OFFSET_OF(RayJob, weights) == 40 && OFFSET_OF(RayJob, depth) == 48 && OFFSET_OF(RayJob, states) == 56 &&
              OFFSET_OF(RayJob, cycles) == 64 && OFFSET_OF(RayJob, routed) == 72 &&
              OFFSET_OF(RayJob, multiplied) == 80 && OFFSET_OF(RayJob, decisions) == 88 &&
              OFFSET_OF(RayJob, workspace_stride) == 96 && OFFSET_OF(RayJob, near) == 104 &&
              OFFSET_OF(RayJob, far) == 108 && OFFSET_OF(RayJob, num_rays) == 112 &&
              OFFSET_OF(RayJob, num_samples) == 116 && OFFSET_OF(RayJob, num_views) == 120 &&
              OFFSET_OF(RayJob, depth_stride) == 124,
              "RayJob is laid out as in Rust");

// A sample as a source view shows it.
struct LookUp {
    int index[4]; // Pixels of the map.
    float weight[4];
    float direction[4]; // Relative direction.
    float colour[3];
    int seen; // Whether the view sees the sample.
};
static_assert(sizeof(LookUp) == 64 && OFFSET_OF(LookUp, index) == 0 && OFFSET_OF(LookUp, weight) == 16 &&
              OFFSET_OF(LookUp, direction) == 32 && OFFSET_OF(LookUp, colour) == 48 && OFFSET_OF(LookUp, seen) == 60,
              "LookUp is laid out as in Rust");

// Where things of a ray lie in its block's part of the workspace. Rows of pairs are (sample, rank of a view that
// counts).
struct Workspace {
    Stored* tokens; // `[samples, views, C]`.
    float4* directions; // `[samples, views]`.
    float4* colours; // `[samples, views]`.
    ViewAttentionWorkspace view; // Of attention over source views.
    Stored* encoding; // `[samples, kEncoding16]`.
    float* constants; // `[depth, C]`: what the ray's direction adds to position layers.

    // Gives all parts their places from `at` on; returns where they end.
    __device__ __forceinline__ unsigned char* place(unsigned char* at, u64 samples, u64 views, u64 depth) {
        tokens = in_workspace<Stored>(at, samples * views * C);
        directions = in_workspace<float4>(at, samples * views);
        colours = in_workspace<float4>(at, samples * views);
        at = view.place(at, samples, views, depth);
        encoding = in_workspace<Stored>(at, samples * kEncoding16);
        constants = in_workspace<float>(at, depth * C);
        return at;
    }
};

// The states of a ray's samples.
struct RayState {
    float* rows; // `[samples, kStateStride]`.

    // Gives all parts their places from `at` on; returns where they end.
    __device__ __forceinline__ unsigned char* place(unsigned char* at, int samples, int views, int depth) {
        rows = in_shared<float>(at, samples * (C + 8));
        return at;
    }
};

// What the threads of a block share about a ray. The last parts lie in the same place, because they are used in turn.
struct Shared {
    int* counts; // `[samples]`: views that count; negative where no view sees the sample, so that all count.
    float* weights; // `[samples]`: of the samples along the ray.
    float* scratch; // `[4 C + 64]`.
    LookUp* looks; // `[warps, 32]`, while tokens are made.
    RayAttentionShared ray; // Of attention along the ray.
    FeedForwardShared feed_forward; // Of feed-forward parts.
    float* sums; // `[tiles, C + 4]`, by the head: pooled states and colours of each tile.

    // Gives all parts their places from `at` on; returns where they end.
    __device__ __forceinline__ unsigned char* place(unsigned char* at, int samples, int views, int depth) {
        counts = in_shared<int>(at, samples);
        weights = in_shared<float>(at, samples);
        scratch = in_shared<float>(at, C * 4 + 64);
        unsigned char* from0 = at;
        looks = in_shared<LookUp>(from0, kMostWarps * 32);
        unsigned char* from1 = at;
        from1 = ray.place(from1, samples, views, depth);
        unsigned char* from2 = at;
        from2 = feed_forward.place(from2, samples, views, depth);
        unsigned char* from3 = at;
        sums = in_shared<float>(from3, samples / 16 * (C + 4));
        return at;
    }
};
