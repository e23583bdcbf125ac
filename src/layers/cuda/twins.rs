//! Constants that the layers' training kernels and their launches must agree on, for `kernels/training/twins.cuh`.

use super::args::{BLOCK, WARPS};
use super::product::{DEPTH, THREADS};
use super::reduce::{COLUMNS, REDUCE_COLUMNS, REDUCE_WARPS};
use crate::codes::WINDOW;
use crate::feed_forward::experts::cuda::SUMS;
use crate::feed_forward::experts::router::NOISE_SIGMA;
use crate::ray_attention::linear_angular;
use crate::reduced_attention::cuda::CHANNELS;
use compute::cuda::twin::Constant;

/// The constants, with the names that they have in C.
pub fn constants() -> Vec<Constant> {
    vec![
        Constant::int("kWarpsOfBlock", WARPS, "Warps of a block whose warps take a row each."),
        Constant::int("kBlock", BLOCK, "Threads of a block whose threads take an item each and add something up."),
        Constant::int("kProductThreads", THREADS, "Threads of a block of product.cu."),
        Constant::int("kProductDepth", DEPTH, "Terms of a step of product.cu."),
        Constant::int(
            "kSumColumns",
            COLUMNS,
            "Threads, and at most as many columns, of a block of training_column_sums.",
        ),
        Constant::int("kReduceColumns", REDUCE_COLUMNS, "Results of a block of training_reduce."),
        Constant::int("kReduceWarps", REDUCE_WARPS, "Warps that share them."),
        Constant::int(
            "kExpertSums",
            SUMS,
            "Sums of a block of rows: importance and load of both experts, rows of the first.",
        ),
        Constant::float("kNoiseSigma", NOISE_SIGMA, "Standard deviation of the noise on the routers' logits."),
        Constant::int("kReducedChannels", CHANNELS, "Most channels of a head of an attention to fewer tokens."),
        Constant::float("kCodeWindow", WINDOW, "Half-width of the window in which gradients pass the signs of codes."),
    ]
    .into_iter()
    .chain(linear_angular::ray_kernel::constants())
    .collect()
}
