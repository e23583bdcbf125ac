// Kernel files and the constants that they are compiled with for the CPU: what tests launch.

/// A file below `kernels/` and its macros.
type Instance = (&'static str, Vec<(&'static str, i64)>);

/// Files without constants.
const FILES: &[&str] = &[
    "host/probe.cu",
    "training/product.cu",
    "training/reduce.cu",
    "training/elementwise.cu",
    "training/layer_norm.cu",
    "training/ray_attention.cu",
    "training/experts.cu",
    "training/encoding.cu",
    "training/hamming_views.cu",
    "training/head.cu",
    "training/losses.cu",
    "training/start.cu",
    "training/tokens.cu",
    "training/view_attention.cu",
    "features/conv.cu",
    "features/conv_weights.cu",
    "features/norm.cu",
    "features/norm_back.cu",
    "features/resize.cu",
];

/// Constants of the files in `kernels/render/`, in the order of `defines` in `src/gnt/cuda/plan.rs`.
const CONSTANTS: [&str; 14] = [
    "WIDTH", "HEADS", "HIDDEN", "RATIO", "START", "POSITION", "OCTAVES", "BLEND", "VIEW", "RAY", "EXPERTS", "PRECISION", "BYTES",
    "LARGE",
];

/// Constants of a network, and the kinds of the ray kernel that it is tried in: PRECISION, BYTES and LARGE.
type Network = ([i64; 11], &'static [[i64; 3]]);

const NETWORKS: &[Network] = &[
    // Official sizes and those of the built-in models, dense and additive.
    ([64, 4, 8, 4, 0, 0, 10, 0, 0, 0, 0], &[[0, 0, 0], [1, 0, 0]]),
    ([32, 2, 8, 2, 1, 1, 4, 1, 0, 0, 0], &[[0, 0, 0], [1, 0, 0]]),
    ([64, 4, 8, 4, 0, 0, 10, 0, 1, 1, 1], &[[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 2, 0]]),
    ([32, 2, 8, 2, 1, 1, 4, 1, 1, 1, 1], &[[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 2, 0]]),
    // Sizes that fill neither tiles nor operands.
    ([16, 2, 3, 3, 1, 0, 3, 0, 0, 0, 0], &[[0, 0, 0], [0, 0, 1]]),
    ([48, 3, 11, 1, 0, 1, 2, 1, 1, 1, 1], &[[0, 0, 0]]),
];

/// All instances.
fn instances() -> Vec<Instance> {
    let mut all: Vec<Instance> = FILES.iter().map(|file| (*file, Vec::new())).collect();
    all.push(("host/probe.cu", vec![("SCALE", 3)]));
    for (sizes, kinds) in NETWORKS {
        let with = |kind: [i64; 3]| {
            let values = sizes.iter().copied().chain(kind);
            CONSTANTS.iter().copied().zip(values).collect::<Vec<_>>()
        };
        all.push(("render/prepare.cu", with([0; 3])));
        all.extend(kinds.iter().map(|kind| ("render/render.cu", with(*kind))));
    }
    all
}
