//! A picture of what the run has learned so far.

use crate::log::{self, append};
use crate::state::State;
use crate::{Error, Result};
use compute::cuda::Device;
use gnt::Model;
use gnt::cuda::CudaEngine;
use gnt::engine::Engine;
use gnt::renderer::{Renderer, Samples, Settings};
use scene::image::{EVAL_FLOOR, psnr};
use scene::{Frame, Image, PathKind, Scene};
use serde::Serialize;
use std::path::Path;

/// A line of the log about a validation picture.
#[derive(Clone, Debug, Serialize)]
struct Line<'a> {
    step: u64,
    validation: &'a str,
    psnr: f64,
}

/// Longest side of the picture in pixels: enough to see, a few seconds to render.
const SIDE: u32 = 160;

/// Renders a frame that has a photograph: both side by side, the photograph on the right, and the PSNR in dB.
///
/// # Errors
/// If the frame cannot be rendered or its photograph read.
pub fn compare(renderer: &mut Renderer, frame: &Frame, settings: &Settings) -> Result<(Image, f64)> {
    let image = renderer.render(frame, settings, &|_| {})?.image;
    let photograph = renderer.scene().views[frame.truth.unwrap_or(0)].load_image()?;
    let mut both = Image::black(2 * image.width, image.height);
    let mut squares = 0.0;
    for y in 0..image.height {
        for x in 0..image.width {
            let (ours, truth) = (image.pixel(x, y), photograph.pixel(x * settings.stride, y * settings.stride));
            for c in 0..3 {
                squares += f64::from(ours[c].clamp(0.0, 1.0) - truth[c]).powi(2);
                both.data[((y * both.width + x) * 3) as usize + c] = ours[c];
                both.data[((y * both.width + image.width + x) * 3) as usize + c] = truth[c];
            }
        }
    }
    Ok((both, psnr(squares / image.data.len() as f64, EVAL_FLOOR)))
}

/// Renders the first held-out view of `scene` with the averaged weights into `validation/step_NNNNNN.png`, the
/// photograph beside it, and adds its PSNR to the log; all below the run's folder `out`. On the `device` where it is given and
/// there are kernels for the network, else on the CPU.
///
/// # Errors
/// If no view is held out, it cannot be rendered, or a file cannot be written.
pub fn validate(
    model: &Model,
    state: &State,
    scene: &Scene,
    out: &Path,
    threads: usize,
    device: Option<&Device>,
) -> Result<()> {
    let frames = scene::paths::frames(scene, &PathKind::Test, Some(1))?;
    let frame = frames.first().ok_or_else(|| Error::Run(format!("{}: expected a held-out view", scene.name)))?;
    let config = state.config;
    let stride = frame.camera.width.max(frame.camera.height).div_ceil(SIDE);
    let settings = Settings { threads, stride, ..Settings::new(scene, &config, Samples::Even(state.options.samples)) };
    let on_device = device.and_then(|device| {
        let precision = gnt::cuda::fastest(&config);
        // Where there are no kernels, or the training has left too little memory, the CPU does it.
        let engine = CudaEngine::new(device.clone(), model, &state.average, precision).ok()?;
        compare(&mut Renderer::new(engine, scene.clone()), frame, &settings).ok()
    });
    let (both, psnr) = match on_device {
        Some(done) => done,
        None => {
            let engine = Engine::new(model.clone(), &state.average);
            compare(&mut Renderer::new(engine, scene.clone()), frame, &settings)?
        }
    };
    let folder = out.join("validation");
    std::fs::create_dir_all(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
    scene::write::write_png(&folder.join(format!("step_{:06}.png", state.step)), &both)?;
    append(&out.join(log::FILE), &Line { step: state.step, validation: &scene.name, psnr })
}
