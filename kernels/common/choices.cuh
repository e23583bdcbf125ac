// What the constants of an instance of the ray kernel can choose.
// Made from declarations in Rust: change those, then run `cargo run -p gnt --bin twins`.
#pragma once

// How the state of a sample starts.
#define START_MAX 0
#define START_STATS 1

// What tells a sample where it is.
#define POSITION_WORLD 0
#define POSITION_RAY 1

// How the samples of a ray become a colour.
#define COLOUR_MEAN 0
#define COLOUR_BLEND 1

// Where what is kept of a ray lies: in shared memory, its state in the workspace and the rest in shared memory, or all
// in the workspace.
#define PLACE_SHARED 0
#define PLACE_SPLIT 1
#define PLACE_WORKSPACE 2

// Attention over source views.
#define VIEW_SUBTRACTION 0
#define VIEW_HAMMING 1

// Attention along the ray.
#define RAY_SOFTMAX 0
#define RAY_HAMMING 1
#define RAY_LINEAR_ANGULAR 2

// Feed-forward parts.
#define FEED_FORWARD_MLP 0
#define FEED_FORWARD_EXPERTS 1

// What products are made of, see fragment.cuh and bytes.cuh.
#define PRECISION_F32 0
#define PRECISION_BF16 1
#define PRECISION_INT8 2
#define PRECISION_PACKED 3

// Where a ray's time goes: no constant, but places in a list of cycles.
#define STAGE_GATHER 0
#define STAGE_VIEW 1
#define STAGE_POSITION 2
#define STAGE_RAY 3
#define STAGE_EXPERTS 4
#define STAGE_HEAD 5
