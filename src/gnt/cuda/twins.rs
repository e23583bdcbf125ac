//! The headers of the kernels that are made from declarations in Rust; see [`compute::cuda::twin`].

use super::forced::DecisionTable;
use super::instance::{Kinds, SLOTS, choices};
use super::memory::{LookUp, shared, state, workspace};
use super::rays::RayJob;
use super::source::RaySource;
use super::tuning::MOST_WARPS;
use super::weights::{BlockWeights, NetworkWeights, PositionWeights};
use crate::folded::{BLOCK_EPS, LAST_EPS};
use crate::network::sources::TrainingSource;
use crate::surface::{CLEARANCE, HIDDEN};
use crate::trace::Decision;
use crate::{Config, features};
use compute::cuda::twin::{Constant, Twin, choice_text, header};
use layers::feed_forward::mlp::ray_kernel::TwoLayers;
use layers::ray_attention::linear_angular;
use layers::ray_kernel::{KEY_CHUNK, ROW_PADDING, Space};

/// Names of what the constants of an instance choose; a file of its own, since products depend on it.
fn choices_header() -> String {
    header("What the constants of an instance of the ray kernel can choose.", &[], choices())
}

/// What the ray kernel shares with `gnt/cuda` and with the layers.
fn render_header() -> String {
    let constants = [
        Constant::int("kMostWarps", MOST_WARPS, "Most warps of a block."),
        Constant::int(
            "kKeyChunk",
            KEY_CHUNK,
            "Keys of a chunk: all that is kept of samples has room for whole chunks.",
        ),
        Constant::int(
            "kRowPadding",
            ROW_PADDING,
            "Numbers behind a row, so that rows of a tile fall on different banks.",
        ),
        Constant::float("kBlockEps", BLOCK_EPS, "Added to the variance by the normalisations inside blocks."),
        Constant::float("kLastEps", LAST_EPS, "The same in the last one."),
    ];
    let constants = constants
        .iter()
        .chain(&visibility())
        .chain(&linear_angular::ray_kernel::constants())
        .map(Constant::text)
        .collect();
    let decisions: Vec<String> =
        Decision::ALL.iter().map(|(decision, _)| screaming(&format!("{decision:?}"))).collect();
    let decisions = choice_text("DECISION", "What another device can decide.", decisions.iter().map(String::as_str));
    // The parts' types in C are those of the network's kinds; their sizes do not matter here.
    let kinds = Kinds::of(&Config::official(1)).expect("the ray kernel has the official kinds");
    let mut seen = Vec::new();
    let parts =
        [constants, decisions, [Space::Shared, Space::Workspace].map(Space::text).join("\n"), TwoLayers::text()];
    let structs = [PositionWeights::text(), BlockWeights::text(), NetworkWeights::text(), RaySource::text()];
    let of_rays = [
        DecisionTable::text(),
        RayJob::text(),
        LookUp::text(),
        workspace(&kinds).text(),
        state().text(),
        shared(&kinds).text(),
    ];
    let all = parts.into_iter().chain(SLOTS.map(|slot| slot.text(&mut seen))).chain(structs).chain(of_rays);
    header("What the ray kernel shares with Rust: weights, source views, rays, and memory of a ray.", &[], all)
}

/// What both kinds of kernels know of visibility.
fn visibility() -> [Constant; 2] {
    [
        Constant::float("kHidden", HIDDEN, "Clearance below which a sample is hidden from a view."),
        Constant::int("kClearance", CLEARANCE, "Component of a relative direction that tells the clearance instead."),
    ]
}

/// `RayKey` as `RAY_KEY`.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    for (i, c) in name.chars().enumerate() {
        if i > 0 && c.is_uppercase() {
            text.push('_');
        }
        text.extend(c.to_uppercase());
    }
    text
}

/// What the training kernels share with `gnt/network` and with the layers.
fn training_header() -> String {
    let constants = layers::cuda::twins::constants().iter().chain(&visibility()).map(Constant::text).collect();
    header("What the training kernels share with Rust.", &[], [constants, TrainingSource::text()])
}

/// What the feature network's kernels share with `gnt/features/cuda`.
fn features_header() -> String {
    header("What the feature network's kernels share with Rust.", &[], features::cuda::twins::texts())
}

/// Paths below `kernels/`, and what the declarations give.
pub fn headers() -> [(&'static str, String); 4] {
    [
        ("common/choices.cuh", choices_header()),
        ("features/twins.cuh", features_header()),
        ("render/twins.cuh", render_header()),
        ("training/twins.cuh", training_header()),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn headers_are_those_of_the_declarations() {
        for (path, text) in super::headers() {
            if let Err(problem) = compute::cuda::twin::compare(path, &text) {
                panic!("{problem}");
            }
        }
    }
}
