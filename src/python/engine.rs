//! The engine of a model on the device that is named.

use crate::errors;
use gnt::cuda::trial::{Trials, Verdict};
use gnt::cuda::{self, CudaEngine};
use gnt::device::{Chosen, Device};
use gnt::engine::Engine;
use gnt::renderer::Backend;
use gnt::{Config, Model};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::{Path, PathBuf};

/// An engine, ready to meet a scene.
pub struct Opened {
    /// The engine.
    pub backend: Backend,
    /// The device, in words.
    pub device: String,
    /// The network's configuration.
    pub config: Config,
}

/// Loads a model and makes its engine, with the fastest products.
///
/// Where `device` is `auto` and a GPU is there that has no kernels for the network, or does not render what the processor
/// renders, a warning says so and the processor takes over.
///
/// # Errors
/// `ValueError` for names that are none; `OSError` for a file that cannot be read; `RuntimeError` for a device that is not
/// there.
pub fn open(py: Python<'_>, model: &str, device: &str) -> PyResult<Opened> {
    if let Some(ignored) = compute::check_isa().map_err(PyValueError::new_err)? {
        errors::warn(py, &ignored)?;
    }
    let wanted: Device =
        device.parse().map_err(|expected| PyValueError::new_err(format!("device: {expected}, found {device:?}")))?;
    let library = library(py)?;
    let opened = py.detach(|| {
        let (model, params, _) = gnt::builtin::load(model)?;
        let config = model.config;
        let (chosen, _) = wanted.open()?;
        let mut distrusted = None;
        if let Chosen::Cuda(_, gpu) = &chosen {
            match on_gpu(gpu, &model, &params, (wanted == Device::Auto).then_some(&library)) {
                Ok(Ok(engine)) => {
                    return Ok((Opened { backend: engine.into(), device: chosen.to_string(), config }, None));
                }
                Ok(Err(problem)) => distrusted = Some(problem),
                Err(problem) if wanted == Device::Auto => distrusted = Some(problem.to_string()),
                Err(problem) => return Err(problem),
            }
        }
        let backend = Engine::new(model, &params).into();
        Ok((Opened { backend, device: Chosen::Cpu.to_string(), config }, distrusted))
    });
    let (opened, distrusted) = opened.map_err(errors::of_network)?;
    if let Some(problem) = distrusted {
        errors::warn(
            py,
            &format!("device: auto takes the CPU after all: {problem}; \"cuda\" takes the GPU all the same"),
        )?;
    }
    Ok(opened)
}

/// An engine on a GPU; where it is to be tried for the build of a library, only one that renders what the processor
/// renders, else a sentence about how it does not.
fn on_gpu(
    gpu: &compute::cuda::Device,
    model: &Model,
    params: &[f32],
    library: Option<&PathBuf>,
) -> gnt::Result<Result<CudaEngine, String>> {
    let mut engine = CudaEngine::new(gpu.clone(), model, params, cuda::fastest(&model.config))?;
    let verdict = library.map(|library| Trials::of_user(library).of_engine(&mut engine, model, params)).transpose()?;
    match verdict {
        Some(Verdict::Distrusted(problem)) => Ok(Err(problem)),
        _ => Ok(Ok(engine)),
    }
}

/// The file of this library.
fn library(py: Python<'_>) -> PyResult<PathBuf> {
    let file = py.import("shiftray._shiftray")?.getattr("__file__")?;
    Ok(file.extract::<PathBuf>().unwrap_or_else(|_| Path::new("").to_owned()))
}
