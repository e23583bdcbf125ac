//! What all view attentions of a chunk of rays read while training, with the gradients that they gather.

use super::ViewTokens;

/// Tokens of `T` samples in `V` source views with their gradients; `B` is the memory of one device, of `C` channels each.
#[derive(Clone, Debug, Default)]
pub struct SharedTokens<B> {
    /// Samples of all rays, T.
    pub samples: usize,
    /// Source views, V.
    pub views: usize,
    /// `[T, V, C]`.
    pub tokens: B,
    /// Tokens of the feature map's nearest pixels `[T, V, C]`; empty where no layer reads them.
    pub keys: B,
    /// Relative directions `[T, V, 4]`.
    pub directions: B,
    /// `[T, V]`: 1 where the view sees the sample, else 0.
    pub mask: B,
    /// Gradient of the tokens, gathered from all blocks.
    pub d_tokens: B,
    /// Gradient of the keys, gathered from all blocks.
    pub d_keys: B,
}

impl<B> SharedTokens<B> {
    /// Samples times views.
    pub fn pairs(&self) -> usize {
        self.samples * self.views
    }
}

impl SharedTokens<Vec<f32>> {
    /// What a forward pass reads.
    pub fn view(&self) -> ViewTokens<'_> {
        ViewTokens {
            views: self.views,
            tokens: &self.tokens,
            keys: &self.keys,
            directions: &self.directions,
            mask: &self.mask,
        }
    }

    /// What a backward pass reads, and the gradients of tokens and keys that it adds to.
    pub fn split(&mut self) -> (ViewTokens<'_>, &mut [f32], &mut [f32]) {
        let Self { views, tokens, keys, directions, mask, d_tokens, d_keys, .. } = self;
        (ViewTokens { views: *views, tokens, keys, directions, mask }, d_tokens, d_keys)
    }
}
