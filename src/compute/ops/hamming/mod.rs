//! Hamming attention (ShiftAddViT's additive attention): queries and keys are codes, which keep only the signs of their
//! channels in a bit each, so that a score is a bit count and a softmax has as many different powers as a head has
//! scores.

mod code_views;
mod codes;
mod logits;
mod powers;
mod ray;
mod ray8;
#[cfg(test)]
mod tests;
mod views;
mod weigh;

pub use code_views::CodeViews;
pub use codes::{hamming, pack_signs, words};
pub use ray::{RayCodes, RayScratch, attend_ray_codes, bucketed};
pub use ray8::{RayScratch8, attend_ray_codes8};
pub use views::{ViewScratch, blend_codes};

/// Most channels a head may have: its code is one word.
pub const MOST_CHANNELS: usize = 64;

/// Channels of each of `heads` heads of codes of `c` bits.
fn channels(c: usize, heads: usize) -> usize {
    assert!(heads > 0 && c.is_multiple_of(heads), "{c} channels in {heads} heads");
    let d = c / heads;
    assert!((1..=MOST_CHANNELS).contains(&d), "{d} channels a head, 1 to {MOST_CHANNELS} are possible");
    d
}

/// Largest factor on scores: with more, a product with a score would leave the range of `f32`, and the softmax has long
/// become a maximum.
const MOST_TAU: f32 = 1e30;
