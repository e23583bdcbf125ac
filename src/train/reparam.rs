//! Reparameterisation: a trained network becomes the starting point of one with additive attention, shift layers and
//! experts.
//!
//! Weights that mean the same in both are copied. Codes start as the signs of the dense queries and keys, brought to zero
//! mean and unit deviation on real batches, so that the straight-through window covers them; their factor `tau` is the
//! least-squares fit of the dense logits. Both experts start as the dense feed-forward part, its output doubled, because
//! the router's probability, by which it is multiplied, starts at a half.

use crate::calibration::BlockStats;
use crate::{Error, Result};
use gnt::config::{MlpKind, RayAttentionKind, ViewAttentionKind};
use gnt::{Config, Model, Weights};
use layers::Layout;
use tensor::{Mat, MatMut, matmul};

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
            Self::Shift => out.linears = Weights::Shift { bits },
            Self::MlpShift => out.mlp = MlpKind::Shift { bits },
            Self::Experts => out.mlp = MlpKind::Experts { bits },
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
        ViewAttentionKind::Hamming => found.push("attention over views on binary codes"),
    }
    match config.ray_attention {
        RayAttentionKind::Softmax => {}
        RayAttentionKind::Hamming => found.push("attention along rays on binary codes"),
        RayAttentionKind::LinearAngular { .. } => found.push("linear-angular attention along rays"),
    }
    match config.linears {
        Weights::Dense => {}
        Weights::Shift { .. } => found.push("shift layers"),
    }
    match config.mlp {
        MlpKind::Dense => {}
        MlpKind::Shift { .. } => found.push("feed-forward shifts"),
        MlpKind::Experts { .. } => found.push("experts"),
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
    if old.linears != Weights::Dense && to.linears == Weights::Dense {
        return refuse("the shift layers");
    }
    if matches!(old.mlp, MlpKind::Shift { .. }) && to.mlp == MlpKind::Dense {
        return refuse("the feed-forward shifts");
    }
    if matches!(old.mlp, MlpKind::Experts { .. }) && !matches!(to.mlp, MlpKind::Experts { .. }) {
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
    let splits = matches!(to.mlp, MlpKind::Experts { .. }) && !matches!(old.mlp, MlpKind::Experts { .. });
    let needed = if ray_changes || view_changes { to.depth } else { stats.len() };
    assert_eq!(stats.len(), needed, "statistics, one for each block");
    let model = Model::new(to)?;
    let mut out = model.layout.initialise(seed);
    let read = |name: &str| -> &[f32] {
        let full = format!("net_coarse.{name}");
        from.layout.find(&full).unwrap_or_else(|| panic!("{full} is part of the model")).slot.of(params)
    };
    for entry in model.layout.entries() {
        if let Some(same) = from.layout.find(&entry.name).filter(|e| e.shape == entry.shape) {
            entry.slot.of_mut(&mut out).copy_from_slice(same.slot.of(params));
        }
    }
    let mut target = Target { layout: &model.layout, params: &mut out };
    for i in 0..to.depth {
        let (view, ray) = (format!("view_crosstrans.{i}"), format!("view_selftrans.{i}"));
        if ray_changes {
            let stats = &stats[i];
            target.codes(&format!("{ray}.attn.q_fc"), &stats.ray_query);
            target.codes(&format!("{ray}.attn.k_fc"), &stats.ray_key);
            if to.ray_attention == RayAttentionKind::Hamming {
                target.set(&format!("{ray}.attn.tau"), &stats.ray_tau);
            } else {
                // The filter starts without effect.
                target.edit(&format!("{ray}.attn.filter"), |w| w.fill(0.0));
            }
        }
        if view_changes {
            let stats = &stats[i];
            target.view_values(&format!("{view}.attn"), &read, to.width, to.attention_hidden);
            target.codes(&format!("{view}.attn.q_fc"), &stats.view_query);
            target.codes(&format!("{view}.attn.k_fc"), &stats.view_key);
            // Views start nearly equal, and learn to differ.
            target.edit(&format!("{view}.attn.tau"), |w| w.fill(0.1));
            target.edit(&format!("{view}.attn.head_fc.weight"), |w| w.fill(0.0));
        }
        if splits {
            for block in [&view, &ray] {
                for part in ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"] {
                    let factor = if part.starts_with("fc2") { 2.0 } else { 1.0 };
                    let dense: Vec<f32> = read(&format!("{block}.ff.{part}")).iter().map(|w| factor * w).collect();
                    target.set(&format!("{block}.mult.{part}"), &dense);
                    target.set(&format!("{block}.shift.{part}"), &dense);
                }
                target.edit(&format!("{block}.router.weight"), |w| w.iter_mut().for_each(|w| *w *= 0.1));
                target.edit(&format!("{block}.router.bias"), |w| w.fill(0.0));
            }
        }
    }
    Ok((model, out))
}

/// Mean and deviation of a projection's channels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channels {
    /// Mean of each channel that becomes the code's threshold.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub deviation: Vec<f32>,
}

struct Target<'a> {
    layout: &'a Layout,
    params: &'a mut [f32],
}

impl Target<'_> {
    fn edit(&mut self, name: &str, change: impl FnOnce(&mut [f32])) {
        let full = format!("net_coarse.{name}");
        if let Some(entry) = self.layout.find(&full) {
            change(entry.slot.of_mut(self.params));
        }
    }

    fn set(&mut self, name: &str, values: &[f32]) {
        self.edit(name, |w| w.copy_from_slice(values));
    }

    /// Scales the rows of a projection to unit deviation and moves their thresholds to the mean.
    fn codes(&mut self, name: &str, channels: &Channels) {
        let scale: Vec<f32> = channels.deviation.iter().map(|d| 1.0 / d.max(1e-4)).collect();
        self.edit(&format!("{name}.weight"), |w| {
            let inputs = w.len() / scale.len();
            for (row, s) in w.chunks_exact_mut(inputs).zip(&scale) {
                row.iter_mut().for_each(|w| *w *= s);
            }
        });
        let bias: Vec<f32> = channels.mean.iter().zip(&scale).map(|(m, s)| -m * s).collect();
        self.set(&format!("{name}.bias"), &bias);
    }

    /// `v_fc = [Wv·Wk | P]`, and the constant of the encoded direction into the output's bias: weights sum to 1.
    fn view_values<'b>(&mut self, attn: &str, read: &dyn Fn(&str) -> &'b [f32], c: usize, h: usize) {
        let [v, k, out] = ["v_fc", "k_fc", "out_fc"].map(|part| read(&format!("{attn}.{part}.weight")));
        let (position, constant) = (read(&format!("{attn}.pos_fc.2.weight")), read(&format!("{attn}.pos_fc.2.bias")));
        let mut value = vec![0.0; c * (c + h)];
        matmul(1.0, Mat::new(v, c, c), Mat::new(k, c, c), MatMut::strided(&mut value, c, c, c + h), false);
        for (row, p) in value.chunks_exact_mut(c + h).zip(position.chunks_exact(h)) {
            row[c..].copy_from_slice(p);
        }
        self.set(&format!("{attn}.v_fc.weight"), &value);
        self.edit(&format!("{attn}.out_fc.bias"), |bias| {
            matmul(1.0, Mat::new(out, c, c), Mat::new(constant, c, 1), MatMut::new(bias, c, 1), true);
        });
    }
}

#[cfg(test)]
#[path = "reparam_tests.rs"]
mod tests;
