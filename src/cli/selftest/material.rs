//! What checks run on: a small procedural scene and networks.

pub use gnt::cuda::trial::Material;
use gnt::{Config, Model, ViewAttentionKind};
use layers::params::SplitMix;

/// Source views that checks need.
pub const VIEWS: usize = 10;

/// A network to test.
pub struct Network {
    /// Its name in the table.
    pub name: String,
    /// Its structure.
    pub model: Model,
    /// Its parameters.
    pub params: Vec<f32>,
    /// Whether its colours mean anything.
    pub trained: bool,
}

impl Network {
    /// A network that is in the program.
    ///
    /// # Errors
    /// If the program was built with another one.
    pub fn built_in(name: &str) -> gnt::Result<Self> {
        let (model, params, name) = gnt::builtin::load(name)?;
        Ok(Self { name, model, params, trained: true })
    }

    /// A network of these sizes, all of whose parameters take part: biases start at zero otherwise.
    ///
    /// # Errors
    /// If the sizes are none.
    pub fn random(name: &str, config: Config, seed: u64) -> gnt::Result<Self> {
        let model = Model::new(config)?;
        let mut rng = SplitMix(seed);
        let start = model.layout.initialise(seed ^ 4);
        let params = start.iter().map(|p| p * 1.5 + 0.05 * (rng.uniform() - 0.5)).collect();
        Ok(Self { name: format!("random {name}"), model, params, trained: false })
    }

    /// Whether there are codes of one bit a channel: the sign of a projection that lies within rounding of zero may be
    /// another one on another device, and what follows on that ray too.
    pub fn has_codes(&self) -> bool {
        let config = &self.model.config;
        config.view_attention == ViewAttentionKind::Hamming || config.ray_attention != gnt::RayAttentionKind::Softmax
    }
}

/// The networks in the program, and random ones of the official and the built-in sizes, dense and ShiftAdd; those of the
/// official sizes with fewer blocks where it must be `quick`.
///
/// # Errors
/// If one cannot be made.
pub fn networks(quick: bool) -> gnt::Result<Vec<Network>> {
    let official = Config::official(if quick { 2 } else { 8 });
    let mut all: Vec<Network> =
        gnt::builtin::NAMES.iter().map(|name| Network::built_in(name)).collect::<Result<_, _>>()?;
    for (name, config) in [
        ("official", official),
        ("official ShiftAdd", official.shift_add()),
        ("compact", Config::compact()),
        ("compact ShiftAdd", Config::compact().shift_add()),
    ] {
        all.push(Network::random(name, config, 9)?);
    }
    Ok(all)
}
