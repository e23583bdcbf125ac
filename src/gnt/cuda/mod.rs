//! The engine on a CUDA device: the twin of [`crate::engine`], one kernel for whole rays.
//!
//! Weights are packed once, source views prepared once a scene; a chunk of rays is then one launch. Sampling and what
//! comes after a ray's colour stay on the host.

mod batch;
pub mod forced;
mod instance;
pub mod launch;
mod memory;
mod rays;
mod source;
#[cfg(test)]
mod tests;
pub mod trial;
mod tuning;
pub mod twins;
mod weights;

use crate::features::cuda::CudaFeatures;
use crate::{Config, FeedForwardKind, Model, Result};
pub use batch::{RayBatch, Rays, Want};
use compute::cuda::{Buffer, Device, Module};
use instance::Place;
use launch::RayLaunch;
pub use layers::ray_kernel::CudaPrecision;
pub use source::CudaSource;
use std::collections::HashMap;
pub use tuning::Tuning;
use weights::Network;

/// The precision that is fastest for a network without being seen: [`CudaPrecision::Int8`] for one all of whose linear
/// layers are shifts of four bits, else [`CudaPrecision::Bf16`].
pub fn fastest(config: &Config) -> CudaPrecision {
    if byte_products(config).is_ok() { CudaPrecision::Int8 } else { CudaPrecision::Bf16 }
}

/// A name for the kernels that render a network: the constants that they are compiled for.
///
/// # Errors
/// [`crate::Error::Unsupported`] naming what the kernels lack, [`crate::Error::Input`] for an environment variable.
pub fn kernels_of(config: &Config, precision: CudaPrecision) -> Result<String> {
    let tuning = Tuning::from_environment()?;
    Ok(instance::render_source(config, tuning, precision, Place::Shared, false)?.label())
}

/// Whether the linear layers and feed-forward parts of a network can be computed on bytes; if not, why.
fn byte_products(config: &Config) -> std::result::Result<(), String> {
    let four = crate::LinearKind::Shift { bits: 4 };
    let parts = matches!(config.mlp, FeedForwardKind::Shift { bits: 4 } | FeedForwardKind::Experts { bits: 4 });
    if config.linears != four || !parts {
        return Err("a network whose linear layers and feed-forward parts are shifts of four bits".into());
    }
    if !config.width.is_multiple_of(32) || config.width > 128 {
        return Err(format!("a width of 32, 64, 96 or 128, found {}", config.width));
    }
    Ok(())
}

/// Most rays of a launch of a frame: enough to fill any device many times over.
const MOST_RAYS: usize = 32 * 1024;

/// A network on a device, ready to render.
#[derive(Debug)]
pub struct CudaEngine {
    device: Device,
    config: Config,
    precision: CudaPrecision,
    network: Network,
    /// The same in f32, for preparing source views; where it is the same, `network` serves.
    exact: Option<Network>,
    features: CudaFeatures,
    /// Feature channels `→ C`.
    map: Buffer<f32>,
    prepare: Module,
    /// The ray kernel: where what is kept of a ray lies, and whether decisions are forced.
    render: HashMap<(Place, bool), Module>,
    buffers: rays::Buffers,
    tuning: Tuning,
    /// Whether frames count cycles.
    counting: bool,
    /// Most rays of a launch of a frame.
    most_rays: usize,
}

impl CudaEngine {
    /// Packs and uploads the parameters of `model`.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] if the network has parts without kernels; [`crate::Error::Cuda`] if kernels cannot be
    /// had, or memory is short.
    pub fn new(device: Device, model: &Model, params: &[f32], precision: CudaPrecision) -> Result<Self> {
        let config = model.config;
        let tuning = Tuning::from_environment()?;
        let prepare = device.module(&instance::prepare_source(&config)?)?;
        // What is missing shows now, not with the first frame.
        let usual = RayLaunch::new(&config, tuning, precision, device.info(), config.samples, config.views)?;
        let render = device.module(&instance::render_source(&config, tuning, precision, usual.place, false)?)?;
        let render = HashMap::from([((usual.place, false), render)]);
        let folded = model.fold(params);
        let network = Network::new(&device, model, &folded, precision)?;
        let exact = match precision {
            CudaPrecision::F32 => None,
            _ => Some(Network::new(&device, model, &folded, CudaPrecision::F32)?),
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
            most_rays: MOST_RAYS,
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

    /// Whether frames from now on count cycles, see [`CudaEngine::stage_cycles`]; it costs them a little time.
    pub fn set_counting(&mut self, counting: bool) {
        self.counting = counting;
    }

    /// Whether frames count cycles.
    pub fn counting(&self) -> bool {
        self.counting
    }

    /// Most rays of a launch of a frame.
    pub fn most_rays(&self) -> usize {
        self.most_rays
    }

    /// Lets frames be rendered in launches of at most so many rays.
    pub fn set_most_rays(&mut self, rays: usize) {
        self.most_rays = rays;
    }

    /// Gives back the memory that sources are prepared in; it is taken again when one is.
    pub(crate) fn release_features(&mut self) {
        self.features.release_memory();
    }

    /// What products are made of.
    pub fn precision(&self) -> CudaPrecision {
        self.precision
    }
}
