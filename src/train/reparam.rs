//! Reparameterisation: a trained network becomes the starting point of one with Hamming attention, shift layers and
//! experts. How each layer starts is told beside it, in `layers` (`reparam.rs` of the slots).
//!
//! Weights that mean the same in both are copied. Codes start as the signs of the dense queries and keys, brought to zero
//! mean and unit deviation on real batches, so that the straight-through window covers them; their factor `tau` is the
//! least-squares fit of the dense logits. Both experts start as the dense feed-forward part, its output doubled, because
//! the router's probability, by which it is multiplied, starts at a half.

use crate::calibration::BlockStats;
use crate::{Error, Result};
use gnt::{Config, FeedForwardKind, LinearKind, Model, RayAttentionKind, ViewAttentionKind};

/// Parts of a network that can be replaced, each alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Ray attention on codes, with softmax.
    Ray,
    /// Linear-angular ray attention with its filter.
    RayLinear,
    /// View attention on codes.
    View,
    /// The attentions' linear layers as shifts.
    Shift,
    /// The feed-forward parts as shifts.
    MlpShift,
    /// The feed-forward parts as experts.
    Experts,
}

impl Piece {
    /// All pieces with their names on the command line.
    pub const ALL: [(&'static str, Self); 6] = [
        ("ray", Self::Ray),
        ("ray-linear", Self::RayLinear),
        ("view", Self::View),
        ("shift", Self::Shift),
        ("mlp-shift", Self::MlpShift),
        ("experts", Self::Experts),
    ];

    /// `config` with this piece replaced; `bits` is that of the shift layers.
    pub fn apply(self, config: Config, bits: u8) -> Config {
        let mut out = config;
        match self {
            Self::Ray => out.ray_attention = RayAttentionKind::Hamming,
            Self::RayLinear => out.ray_attention = RayAttentionKind::LinearAngular { branch: true },
            Self::View => out.view_attention = ViewAttentionKind::Hamming,
            Self::Shift => out.linears = LinearKind::Shift { bits },
            Self::MlpShift => out.mlp = FeedForwardKind::Shift { bits },
            Self::Experts => out.mlp = FeedForwardKind::Experts { bits },
        }
        out
    }
}

/// Checks that a network is dense: all its parts are there to be replaced.
///
/// # Errors
/// [`Error::Run`] saying what the network has instead.
pub fn expect_dense(config: &Config) -> Result<()> {
    let mut found = Vec::new();
    match config.view_attention {
        ViewAttentionKind::Subtract => {}
        ViewAttentionKind::Hamming => found.push("Hamming attention over views"),
    }
    match config.ray_attention {
        RayAttentionKind::Softmax => {}
        RayAttentionKind::Hamming => found.push("Hamming attention along rays"),
        RayAttentionKind::LinearAngular { .. } => found.push("linear-angular attention along rays"),
    }
    match config.linears {
        LinearKind::Dense => {}
        LinearKind::Shift { .. } => found.push("shift layers"),
    }
    match config.mlp {
        FeedForwardKind::Dense => {}
        FeedForwardKind::Shift { .. } => found.push("feed-forward shifts"),
        FeedForwardKind::Experts { .. } => found.push("experts"),
    }
    match found.is_empty() {
        true => Ok(()),
        false => Err(Error::Run(format!("expected a dense model, found one with {}", found.join(", ")))),
    }
}

/// Checks that a network of shape `old` can become one of shape `to`.
///
/// # Errors
/// As [`convert`].
pub fn expect_convertible(old: Config, to: Config) -> Result<()> {
    let outline = Config {
        view_attention: old.view_attention,
        ray_attention: old.ray_attention,
        linears: old.linears,
        mlp: old.mlp,
        ..to
    };
    if outline != old {
        return Err(Error::Run(format!("reparameterisation: expected the outline {old:?}, found {to:?}")));
    }
    let refuse = |what: &str| Err(Error::Run(format!("reparameterisation: {what} of the model cannot be turned back")));
    if to.ray_attention != old.ray_attention && old.ray_attention != RayAttentionKind::Softmax {
        return refuse("the ray attention");
    }
    if to.view_attention != old.view_attention && old.view_attention != ViewAttentionKind::Subtract {
        return refuse("the view attention");
    }
    if old.linears != LinearKind::Dense && to.linears == LinearKind::Dense {
        return refuse("the shift layers");
    }
    if matches!(old.mlp, FeedForwardKind::Shift { .. }) && to.mlp == FeedForwardKind::Dense {
        return refuse("the feed-forward shifts");
    }
    if matches!(old.mlp, FeedForwardKind::Experts { .. }) && !matches!(to.mlp, FeedForwardKind::Experts { .. }) {
        return refuse("the experts");
    }
    Ok(to.validate()?)
}

/// Parameters of a network of shape `to`, started from the parameters `params` of `from`.
///
/// `stats` are those of `from` on real batches, one a block; `seed` starts what has no forerunner.
///
/// # Errors
/// [`Error::Run`] if the two differ in more than the kinds of their attention, linear layers and feed-forward parts, or
/// if a piece would have to be turned back.
pub fn convert(from: &Model, params: &[f32], to: Config, stats: &[BlockStats], seed: u64) -> Result<(Model, Vec<f32>)> {
    let old = from.config;
    expect_convertible(old, to)?;
    let ray_changes = to.ray_attention != old.ray_attention;
    let view_changes = to.view_attention != old.view_attention;
    let needed = if ray_changes || view_changes { to.depth } else { stats.len() };
    assert_eq!(stats.len(), needed, "statistics, one for each block");
    let model = Model::new(to)?;
    let mut out = model.layout.initialise(seed);
    model.layout.copy_same(&mut out, (&from.layout, params));
    for (i, (new, old)) in model.net.blocks.iter().zip(&from.net.blocks).enumerate() {
        if ray_changes {
            new.ray.start(&mut out, &stats[i].ray);
        }
        if view_changes {
            new.view.start(&mut out, &old.view, params, &stats[i].view);
        }
        new.view_ff.start(&mut out, &old.view_ff, params);
        new.ray_ff.start(&mut out, &old.ray_ff, params);
    }
    Ok((model, out))
}

#[cfg(test)]
#[path = "reparam_tests.rs"]
mod tests;
