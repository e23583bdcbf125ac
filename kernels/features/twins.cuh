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
