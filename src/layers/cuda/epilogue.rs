//! What becomes of a product before it is stored.

use super::Slice;

/// What becomes of a product `p` before it is stored: `c = max(0, [c +] alpha · p + bias)`, each part if asked for.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// Factor of the product.
    pub alpha: f32,
    /// Whether what is there is added to.
    pub accumulate: bool,
    /// Added to every row, `[N]`.
    pub bias: Option<Slice<'a>>,
    /// Whether negative results become 0.
    pub relu: bool,
}

impl Default for Epilogue<'_> {
    fn default() -> Self {
        Self { alpha: 1.0, accumulate: false, bias: None, relu: false }
    }
}

impl Epilogue<'_> {
    /// `c += p`.
    pub fn add() -> Self {
        Self { accumulate: true, ..Self::default() }
    }
}
