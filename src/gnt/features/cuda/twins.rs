//! Constants that the feature network's kernels and their launches must agree on, for `kernels/features/twins.cuh`.

use super::conv::{DEPTH, PackJob};
use super::norm::{ACTIVATIONS, STRIP, THREADS};
use compute::cuda::twin::{Constant, Twin, choice_text};

/// The constants and choices, as C has them.
pub fn texts() -> Vec<String> {
    let constants = [
        Constant::int("kDepth", DEPTH, "Terms of a step of a convolution."),
        Constant::int("kStrip", STRIP, "Pixels that a thread of the first stage of a sum over pixels adds up."),
        Constant::int("kColumnThreads", THREADS, "Threads of a block of that stage."),
    ];
    let activations = ACTIVATIONS.map(|activation| format!("{activation:?}").to_uppercase());
    let choices =
        choice_text("ACTIVATION", "Activations fused into normalisations.", activations.iter().map(String::as_str));
    vec![constants.map(|constant| constant.text()).concat(), choices, PackJob::text()]
}
