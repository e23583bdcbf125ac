//! The stages of a ray's way through the network, by which time is told on every device.

/// Where a ray's time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Projection, look-ups and tokens.
    Gather,
    /// Attention over views.
    View,
    /// Position layers.
    Position,
    /// Attention along the ray.
    Ray,
    /// Feed-forward parts of both blocks: the two experts with their router, or the one MLP of a network without them.
    Experts,
    /// Colour.
    Head,
}

impl Stage {
    /// All stages with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Gather, "gather"),
        (Self::View, "view_blocks"),
        (Self::Position, "position"),
        (Self::Ray, "ray_blocks"),
        (Self::Experts, "experts"),
        (Self::Head, "head"),
    ];
}
