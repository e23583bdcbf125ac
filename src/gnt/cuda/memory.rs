//! What the ray kernel keeps of a ray: in the shared memory of its block of threads, and in the block's part of the
//! workspace.

use super::instance::{Kinds, SLOTS};
use super::tuning::MOST_WARPS;
use crate::Config;
use compute::twin;
use layers::ray_kernel::{CudaPrecision, Element, Memory, Part, ROW_PADDING, Size, Sizes, Space};

twin! {
    /// A sample as a source view shows it.
    pub(super) struct LookUp {
        /// Pixels of the map.
        index: [i32; 4],
        weight: [f32; 4],
        /// Relative direction.
        direction: [f32; 4],
        colour: [f32; 3],
        /// Whether the view sees the sample.
        seen: i32,
    }
}

/// The states of a ray's samples, which lie in shared memory or, where that is too small, in the workspace.
pub(super) fn state() -> Memory {
    let rows = Size::Samples * (Size::Width + ROW_PADDING);
    let part = Part::array("rows", Element::Float, rows, "`[samples, kStateStride]`.");
    Memory::new(Space::Shared, "RayState", "The states of a ray's samples.", vec![part])
}

/// What the threads of a block share about a ray beside its state.
pub(super) fn shared(kinds: &Kinds) -> Memory {
    let [_, ray, feed_forward] = SLOTS;
    let counts = "`[samples]`: views that count; negative where no view sees the sample, so that all count.";
    // Look-ups are done with before the first keys are made; rows are routed while no keys are there; sums are those of the
    // head, which comes last.
    let sums = "`[tiles, C + 4]`, by the head: pooled states and colours of each tile.";
    let in_turn = vec![
        Part::array("looks", Element::twin::<LookUp>(), Size::Warps * 32, "`[warps, 32]`, while tokens are made."),
        Part::memory("ray", ray.memory, (kinds.ray.1.memory)(), "Of attention along the ray."),
        Part::memory("feed_forward", feed_forward.memory, (kinds.feed_forward.1.memory)(), "Of feed-forward parts."),
        Part::array("sums", Element::Float, Size::Tiles * (Size::Width + 4), sums),
    ];
    Memory::new(
        Space::Shared,
        "Shared",
        "What the threads of a block share about a ray. The last parts lie in the same place, because they are used in turn.",
        vec![
            Part::array("counts", Element::Int, Size::Samples, counts),
            Part::array("weights", Element::Float, Size::Samples, "`[samples]`: of the samples along the ray."),
            Part::array("scratch", Element::Float, Size::Width * 4 + 64, "`[4 C + 64]`."),
            Part::either(in_turn),
        ],
    )
}

/// Where things of a ray lie in its block's part of the workspace.
pub(super) fn workspace(kinds: &Kinds) -> Memory {
    let pairs = || Size::Samples * Size::Views;
    let [view, ..] = SLOTS;
    Memory::new(
        Space::Workspace,
        "Workspace",
        "Where things of a ray lie in its block's part of the workspace. Rows of pairs are (sample, rank of a view that counts).",
        vec![
            Part::array("tokens", Element::Stored, pairs() * Size::Width, "`[samples, views, C]`."),
            Part::array("directions", Element::Float4, pairs(), "`[samples, views]`."),
            Part::array("colours", Element::Float4, pairs(), "`[samples, views]`."),
            Part::memory("view", view.memory, (kinds.view.1.memory)(), "Of attention over source views."),
            Part::array("encoding", Element::Stored, Size::Samples * Size::Encoding, "`[samples, kEncoding16]`."),
            Part::array(
                "constants",
                Element::Float,
                Size::Depth * Size::Width,
                "`[depth, C]`: what the ray's direction adds to position layers.",
            ),
        ],
    )
}

/// The sizes of a launch.
pub(super) fn sizes(config: &Config, precision: CudaPrecision, samples: usize, views: usize) -> Sizes {
    Sizes {
        samples,
        views,
        depth: config.depth,
        width: config.width,
        heads: config.heads,
        encoding: config.position.sample_channels(),
        warps: MOST_WARPS,
        precision,
    }
}
