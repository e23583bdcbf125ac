//! The engine on a CUDA device: the twin of [`crate::engine`], one kernel for whole rays.
//!
//! Weights are packed once, source views prepared once a scene; a chunk of rays is then one launch. Sampling and what
//! comes after a ray's colour stay on the host.

pub mod check;
mod frame;
mod network;
mod pack;
pub mod plan;
mod rays;
mod source;
#[cfg(test)]
mod tests;

use crate::features::cuda::CudaFeatures;
use crate::{Config, MlpKind, Model, Result};
use network::Network;
pub use plan::Tuning;
pub use rays::{RayBatch, Rays, Want};
pub use source::CudaSource;
use std::collections::HashMap;
use tensor::cuda::{Buffer, Device, Module};

/// What products are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// f32, each product as three of TF32: what the CPU's f32 engine gives, to rounding.
    F32,
    /// bf16 with sums in f32. Powers of two are exact in it.
    Bf16,
    /// Shift layers and experts on 8-bit numbers with exact integer sums, all else as [`Precision::Bf16`]. Powers of two
    /// are exact; the weights of multiply experts are rounded.
    Int8,
    /// The same, but the weights of shift layers stay in codes of four bits until they are in registers: a quarter of
    /// the traffic, at the price of some integer arithmetic.
    Packed,
}

impl Precision {
    /// What is fastest for a network without being seen: [`Precision::Int8`] for one all of whose linear layers are shifts
    /// of four bits, else [`Precision::Bf16`].
    pub fn fastest(config: &Config) -> Self {
        if byte_products(config).is_ok() { Self::Int8 } else { Self::Bf16 }
    }

    /// Whether shift layers are computed on bytes.
    fn on_bytes(self) -> bool {
        matches!(self, Self::Int8 | Self::Packed)
    }

    /// Channels of one step of the matrix units.
    fn step(self) -> usize {
        match self {
            Self::F32 => 8,
            _ => 16,
        }
    }

    /// Bytes of a stored number.
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            _ => 2,
        }
    }

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Packed => "packed",
        }
    }
}

/// Whether the linear layers and feed-forward parts of a network can be computed on bytes; if not, why.
fn byte_products(config: &Config) -> std::result::Result<(), String> {
    let four = crate::Weights::Shift { bits: 4 };
    if config.linears != four || !matches!(config.mlp, MlpKind::Shift { bits: 4 } | MlpKind::Experts { bits: 4 }) {
        return Err("a network whose linear layers and feed-forward parts are shifts of four bits".into());
    }
    if !config.width.is_multiple_of(32) || config.width > 128 {
        return Err(format!("a width of 32, 64, 96 or 128, found {}", config.width));
    }
    Ok(())
}

/// A network on a device, ready to render.
#[derive(Debug)]
pub struct CudaEngine {
    device: Device,
    config: Config,
    precision: Precision,
    network: Network,
    /// The same in f32, for preparing source views; where it is the same, `network` serves.
    exact: Option<Network>,
    features: CudaFeatures,
    /// Feature channels `→ C`.
    map: Buffer<f32>,
    prepare: Module,
    /// The ray kernel, for rays in shared memory and in the workspace.
    render: HashMap<bool, Module>,
    buffers: rays::Buffers,
    tuning: Tuning,
    /// Whether frames count cycles.
    counting: bool,
    /// Most rays of a launch of a frame.
    chunk: usize,
}

impl CudaEngine {
    /// Packs and uploads the parameters of `model`.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] if the network has parts without kernels; [`crate::Error::Cuda`] if kernels cannot be
    /// had, or memory is short.
    pub fn new(device: Device, model: &Model, params: &[f32], precision: Precision) -> Result<Self> {
        let config = model.config;
        let tuning = Tuning::from_environment(&config)?;
        let prepare = device.module(&plan::prepare_source(&config)?)?;
        // What is missing shows now, not with the first frame.
        let render = device.module(&plan::render_source(&config, tuning, precision, false)?)?;
        let render = HashMap::from([(false, render)]);
        let folded = model.fold(params);
        let network = Network::new(&device, model, &folded, precision)?;
        let exact = match precision {
            Precision::F32 => None,
            _ => Some(Network::new(&device, model, &folded, Precision::F32)?),
        };
        let mut features = CudaFeatures::new(&device, &model.features)?;
        features.set_params(params)?;
        let map = device.upload(model.net.token_features.weight.of(&folded))?;
        let buffers = rays::Buffers::new(&device)?;
        Ok(Self {
            device,
            config,
            precision,
            network,
            exact,
            features,
            map,
            prepare,
            render,
            buffers,
            tuning,
            counting: false,
            chunk: frame::CHUNK,
        })
    }

    /// The network's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What launches are limited to.
    pub fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// Whether frames from now on count, see [`CudaEngine::stage_cycles`]; it costs them a little time.
    pub fn set_counting(&mut self, counting: bool) {
        self.counting = counting;
    }

    /// What products are made of.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}
