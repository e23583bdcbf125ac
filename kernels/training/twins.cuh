// What the training kernels share with Rust.
// Made from declarations in Rust: change those, then run `cargo run -p gnt --bin twins`.
#pragma once

// Warps of a block whose warps take a row each.
constexpr int kWarpsOfBlock = 8;
// Threads of a block whose threads take an item each and add something up.
constexpr int kBlock = 256;
// Threads of a block of product.cu.
constexpr int kProductThreads = 128;
// Terms of a step of product.cu.
constexpr int kProductDepth = 16;
// Threads, and at most as many columns, of a block of training_column_sums.
constexpr int kSumColumns = 256;
// Results of a block of training_reduce.
constexpr int kReduceColumns = 32;
// Warps that share them.
constexpr int kReduceWarps = 16;
// Sums of a block of rows: importance and load of both experts, rows of the first.
constexpr int kExpertSums = 5;
// Standard deviation of the noise on the routers' logits.
constexpr float kNoiseSigma = 0.5f;
// Most channels of a head of an attention to fewer tokens.
constexpr int kReducedChannels = 128;
// Half-width of the window in which gradients pass the signs of codes.
constexpr float kCodeWindow = 1.5f;
// Taps of the filter of linear-angular attention.
constexpr int kLinearAngularTaps = 9;
// Added to the squared length that it divides by.
constexpr float kLinearAngularEps = 1e-6f;
// Clearance below which a sample is hidden from a view.
constexpr float kHidden = -0.7f;
// Component of a relative direction that tells the clearance instead.
constexpr int kClearance = 2;

// One source view of a training step.
struct TrainingSource {
    float pixel_from_world[16]; // Column-major.
    float origin[3];
    float limit[2]; // Last column and row that the camera sees.
    int image_size[2]; // Width and height.
    int map_size[2];
    int image_first; // First pixel among those of all photographs.
    int map_first; // First pixel among those of all maps.
    int surface_first; // First cell among those of all surface maps.
    int surface_size[2]; // Width and height of the surface map.
    // Pixels from one ray of it to the next; 0 where there is none, negative where the network does not ask.
    int surface_cell;
    int unused; // Fills the struct up to a multiple of sixteen bytes.
};
static_assert(sizeof(TrainingSource) == 128 && OFFSET_OF(TrainingSource, pixel_from_world) == 0 &&
              OFFSET_OF(TrainingSource, origin) == 64 && OFFSET_OF(TrainingSource, limit) == 76 &&
              OFFSET_OF(TrainingSource, image_size) == 84 && OFFSET_OF(TrainingSource, map_size) == 92 &&
              OFFSET_OF(TrainingSource, image_first) == 100 && OFFSET_OF(TrainingSource, map_first) == 104 &&
              OFFSET_OF(TrainingSource, surface_first) == 108 && OFFSET_OF(TrainingSource, surface_size) == 112 &&
              OFFSET_OF(TrainingSource, surface_cell) == 120 && OFFSET_OF(TrainingSource, unused) == 124,
              "TrainingSource is laid out as in Rust");
