// Kernel files and the constants that they are compiled with for the CPU: what tests launch.

/// A file below `kernels/` and its macros.
type Instance = (&'static str, Vec<(&'static str, i64)>);

/// Constants of the files in `kernels/render/`, in the order of `defines` in `src/gnt/cuda/instance.rs`.
const CONSTANTS: [&str; 13] = [
    "WIDTH", "HEADS", "HIDDEN", "RATIO", "START", "POSITION", "OCTAVES", "COLOUR", "VIEW", "RAY", "FEED_FORWARD",
    "PRECISION", "PLACE",
];

/// How the ray kernel is tried: the values of PRECISION and PLACE, and whether with FORCED.
type Way = ([i64; 2], bool);

const F32: Way = ([0, 0], false);
const F32_SPLIT: Way = ([0, 1], false);
const F32_OUTSIDE: Way = ([0, 2], false);
const F32_FORCED: Way = ([0, 0], true);
const BF16: Way = ([1, 0], false);
const INT8: Way = ([2, 0], false);
const PACKED: Way = ([3, 0], false);

/// Constants of a network, and the ways in which it is tried.
type Network = ([i64; 11], &'static [Way]);

const NETWORKS: &[Network] = &[
    // Official sizes and those of the built-in models, dense and ShiftAdd.
    ([64, 4, 8, 4, 0, 0, 10, 0, 0, 0, 0], &[F32, BF16]),
    ([32, 2, 8, 2, 1, 1, 4, 1, 0, 0, 0], &[F32, BF16]),
    ([64, 4, 8, 4, 0, 0, 10, 0, 1, 1, 1], &[F32, F32_FORCED, BF16, INT8, PACKED]),
    ([32, 2, 8, 2, 1, 1, 4, 1, 1, 1, 1], &[F32, F32_FORCED, BF16, INT8, PACKED]),
    // Of medium size, dense and ShiftAdd.
    ([64, 4, 8, 4, 1, 1, 4, 1, 0, 0, 0], &[F32, BF16]),
    ([64, 4, 8, 4, 1, 1, 4, 1, 1, 1, 1], &[F32, INT8]),
    // Linear-angular attention, with a head that reads its weights and one that does not.
    ([64, 4, 8, 4, 0, 0, 10, 0, 0, 2, 0], &[F32]),
    ([32, 2, 8, 2, 1, 1, 4, 1, 0, 2, 0], &[F32, BF16]),
    // Sizes that fill neither tiles nor operands.
    ([16, 2, 3, 3, 1, 0, 3, 0, 0, 0, 0], &[F32, F32_SPLIT, F32_OUTSIDE]),
    ([48, 3, 11, 1, 0, 1, 2, 1, 1, 1, 1], &[F32, F32_FORCED]),
];

/// All instances: those of the networks, and each of `plain`, the files without constants.
fn instances(plain: impl Iterator<Item = &'static str>) -> Vec<Instance> {
    let mut all: Vec<Instance> = plain.map(|file| (file, Vec::new())).collect();
    all.push(("host/probe.cu", vec![("SCALE", 3)]));
    for (sizes, ways) in NETWORKS {
        let with = |(kind, forced): Way| {
            let values = sizes.iter().copied().chain(kind);
            CONSTANTS.iter().copied().zip(values).chain(forced.then_some(("FORCED", 1))).collect::<Vec<_>>()
        };
        all.push(("render/prepare.cu", with(F32)));
        all.extend(ways.iter().map(|way| ("render/render.cu", with(*way))));
    }
    all
}
