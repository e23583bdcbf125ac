//! What rendering a ray gives.

/// What a ray gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RayOutput {
    /// Colour, not clipped.
    pub rgb: [f32; 3],
    /// Weights of the samples; they sum to 1.
    pub weights: Vec<f32>,
    /// Share of each source view in the blended colour, as far as the last view that has one; empty where the head does not
    /// blend.
    pub shares: Vec<f32>,
    /// Rows that were routed to the multiply and to the shift expert, by feed-forward part: view and ray part of block 0, of
    /// block 1, and so on. Empty where there are no experts.
    pub routed: Vec<[u64; 2]>,
}
