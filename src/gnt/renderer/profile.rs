//! What a benchmark needs beside frames: a warm start, where time goes, memory.

use super::{Backend, Prepared, Rendered, Renderer, Settings, on_cpu, on_cuda};
use crate::Result;
use crate::stage::Stage;
use scene::{Camera, Frame};

/// Rays that warm a device up, and that are profiled on CUDA: enough to keep any device busy for some turns.
const RAYS: u32 = 2000;

impl Renderer {
    /// Prepares the frame's sources and casts about 2000 of its rays, so that kernels are compiled, memory is there and
    /// clocks are up before anything is timed. The frame that is given back is coarse; what it tells about its sources
    /// holds.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn warm_up(&mut self, frame: &Frame, settings: &Settings) -> Result<Rendered> {
        settings.validate()?;
        let few = Settings { routing: false, ..few(settings, &frame.camera) };
        self.render(frame, &few, &|_| {})
    }

    /// Shares of the rays' time by [`Stage`], which add up to 1; preparing the sources is no part of it. On the CPU: of one
    /// thread, which for half a second casts rays that are spread over the frame. On CUDA: of the blocks' clock cycles in
    /// a frame of about 2000 rays. With importance samples, of both passes.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn profile(&mut self, frame: &Frame, settings: &Settings) -> Result<Vec<(&'static str, f64)>> {
        let Prepared { sources, .. } = self.prepare(frame, settings)?;
        let camera = &self.place(&frame.camera, &sources);
        let spent = match &mut self.backend {
            Backend::Cpu(engine, kept) => on_cpu::stage_seconds(engine, &kept.get(&sources), camera, settings),
            Backend::Cuda(engine, kept) => {
                let few = Settings { routing: false, ..few(settings, camera) };
                on_cuda::stage_cycles(engine, &kept.get(&sources), camera, &few)?.map(|cycles| cycles as f64)
            }
        };
        let all: f64 = spent.iter().sum();
        Ok(Stage::ALL.iter().map(|(stage, name)| (*name, spent[*stage as usize] / all)).collect())
    }

    /// Bytes of the CUDA device's memory in use, by whatever process; none on the CPU, or if the device does not tell.
    pub fn device_memory(&self) -> Option<u64> {
        let Backend::Cuda(engine, _) = &self.backend else { return None };
        let device = engine.device();
        Some(device.info().memory.saturating_sub(device.0.free_memory().ok()?))
    }
}

/// The settings with so great a stride that about [`RAYS`] rays are cast; as they are where they cast no more.
fn few(settings: &Settings, camera: &Camera) -> Settings {
    let pixels = f64::from(camera.width) * f64::from(camera.height);
    let stride = (pixels / f64::from(RAYS)).sqrt().ceil() as u32;
    Settings { stride: settings.stride.max(stride), ..*settings }
}
