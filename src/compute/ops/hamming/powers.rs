//! The powers that a head's softmax can have.

use super::{MOST_CHANNELS, MOST_TAU};

/// Logits below the best possible one by more than this are taken relative to the best of their row instead: the powers
/// of a whole row could leave the range of `f32` otherwise.
const WIDEST: f32 = 40.0;

/// In such rows, powers below this are dropped: their sum cannot be seen beside the row's best, which has 1, and their
/// products would be denormal numbers, which some processors handle very slowly.
const LEAST: f64 = 1e-18;

/// `e^(−2|τ|·n)` for `n` bits from the best code: what remains of `e^(τ(d − 2n))` when the best score has 1.
#[derive(Clone, Debug)]
pub struct Powers {
    /// By the number of bits, as far as it goes.
    pub whole: [f32; 2 * MOST_CHANNELS],
    /// For 0 to 7 bits and for 0, 8, .., 56 bits: the product of one of each makes any power below 64 bits.
    pub fine: [f32; 8],
    /// See `fine`.
    pub coarse: [f32; 8],
    /// What to XOR a head's query with: all its bits if τ is negative, where the code that differs most scores best.
    pub flip: u64,
    /// Whether bits count from the row's best code, not from the best possible.
    pub relative: bool,
}

impl Powers {
    /// Powers of a head of `d` channels whose scores have the factor `tau`.
    pub fn new(tau: f32, d: usize) -> Self {
        let size = tau.abs().min(MOST_TAU);
        let size = if tau.is_nan() { tau } else { size };
        let relative = 2.0 * size * d as f32 > WIDEST;
        let flip = if tau < 0.0 { u64::MAX >> (64 - d) } else { 0 };
        let step = (-2.0 * f64::from(size)).exp();
        let (mut whole, mut power) = ([0.0; 2 * MOST_CHANNELS], 1.0f64);
        for slot in &mut whole[..=d.max(8)] {
            *slot = power as f32;
            power *= step;
            // Not `<`: a NaN stays.
            if relative && power < LEAST {
                power = 0.0;
            }
        }
        let (mut fine, mut coarse) = ([0.0; 8], [0.0; 8]);
        fine.copy_from_slice(&whole[..8]);
        (0..=7.min(d / 8)).for_each(|i| coarse[i] = whole[8 * i]);
        Self { whole, fine, coarse, flip, relative }
    }
}
