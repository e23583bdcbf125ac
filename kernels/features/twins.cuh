// What the feature network's kernels share with Rust.
// Made from declarations in Rust: change those, then run `cargo run -p gnt --bin twins`.
#pragma once

// Terms of a step of a convolution.
constexpr int kDepth = 16;
// Pixels that a thread of the first stage of a sum over pixels adds up.
constexpr int kStrip = 16;
// Threads of a block of that stage.
constexpr int kColumnThreads = 256;

// Activations fused into normalisations.
#define ACTIVATION_IDENTITY 0
#define ACTIVATION_RELU 1
#define ACTIVATION_ELU 2

// What is packed: the weight of one convolution.
struct PackJob {
    const float* weights; // `[out_channels, in_channels, kernel, kernel]`.
    float* packed; // `[depth padded, padded_channels]`.
    int in_channels;
    int out_channels;
    int kernel;
    int stride;
    int padded_channels;
    int for_image; // Whether for the gradient of the image.
    int first; // Values of all jobs before this one.
    int unused; // Fills the struct up.
};
static_assert(sizeof(PackJob) == 48 && OFFSET_OF(PackJob, weights) == 0 && OFFSET_OF(PackJob, packed) == 8 &&
              OFFSET_OF(PackJob, in_channels) == 16 && OFFSET_OF(PackJob, out_channels) == 20 &&
              OFFSET_OF(PackJob, kernel) == 24 && OFFSET_OF(PackJob, stride) == 28 &&
              OFFSET_OF(PackJob, padded_channels) == 32 && OFFSET_OF(PackJob, for_image) == 36 &&
              OFFSET_OF(PackJob, first) == 40 && OFFSET_OF(PackJob, unused) == 44,
              "PackJob is laid out as in Rust");
