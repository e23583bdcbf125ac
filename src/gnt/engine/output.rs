//! What rendering a ray gives.

/// What a ray gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RayOutput {
    /// Colour, not clipped.
    pub rgb: [f32; 3],
    /// Weights of the samples; they sum to 1.
    pub weights: Vec<f32>,
}
