//! PSNR on the photographs that are left out.

use gnt::Config;
use gnt::renderer::{Renderer, Settings};
use scene::{FAR_EVAL, PathKind, Scene};
use serde::Serialize;
use train::validation;

/// Photographs that are looked at, spread evenly, and the longest side in pixels at which that is done.
const MOST: usize = 8;
const SIDE: u32 = 170;

/// PSNR of a model on a scene's left-out photographs.
#[derive(Debug, Serialize)]
pub struct Score {
    /// Mean over the photographs, in dB.
    pub psnr: f64,
    /// Each photograph's name and PSNR.
    pub views: Vec<(String, f64)>,
}

/// How frames are rendered: every so many pixels, with the model's own number of evenly spaced samples.
pub fn settings(scene: &Scene, config: &Config, threads: usize) -> Settings {
    let [near, far] = scene.depth_range(FAR_EVAL);
    Settings {
        samples: config.samples,
        guided: None,
        importance: 0,
        views: config.views,
        threads,
        stride: scene.size().0.max(scene.size().1).div_ceil(SIDE).max(1),
        depth_range: (near, far),
        routing: false,
        confidence: false,
    }
}

impl Score {
    /// Renders left-out views of the renderer's scene and compares them with their photographs.
    ///
    /// # Errors
    /// If one cannot be rendered or read.
    pub fn of(renderer: &mut Renderer, threads: usize) -> anyhow::Result<Self> {
        let frames = scene::paths::frames(renderer.scene(), &PathKind::Test, None)?;
        let settings = settings(renderer.scene(), &renderer.config().clone(), threads);
        let count = frames.len().min(MOST);
        let mut views = Vec::with_capacity(count);
        for i in 0..count {
            let frame = &frames[i * frames.len() / count];
            let (_, psnr) = validation::compare(renderer, frame, &settings)?;
            views.push((frame.name.clone(), psnr));
        }
        let psnr = views.iter().map(|(_, psnr)| psnr).sum::<f64>() / count.max(1) as f64;
        Ok(Self { psnr, views })
    }

    /// The lowest of the photographs' PSNR.
    pub fn worst(&self) -> f64 {
        self.views.iter().map(|(_, psnr)| *psnr).fold(f64::INFINITY, f64::min)
    }
}
