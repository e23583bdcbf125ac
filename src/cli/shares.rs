//! Where a network's routers send its rows when pictures are rendered, measured over held-out views.

use super::samples::Samples;
use anyhow::{Context, bail};
use gnt::engine::Engine;
use gnt::renderer::{Renderer, Settings};
use gnt::{Model, shift_shares};
use scene::paths::{self, size};
use scene::{FAR_EVAL, LoadOptions, PathKind, Scene};
use std::path::PathBuf;

/// Longest side of the pictures in pixels: some ten thousand rays each, with samples as `render` takes them.
const SIDE: u32 = 160;
/// Most held-out views of a scene.
const MOST_VIEWS: usize = 2;

/// A scene by name or folder, with its held-out views.
///
/// # Errors
/// If it cannot be loaded or holds no view out.
pub fn scene(name: &str, folders: &[PathBuf]) -> anyhow::Result<Scene> {
    let scene = scene::formats::load(&scene::locate(name, folders)?, &LoadOptions::default())?;
    if scene.held_out.is_empty() {
        bail!("{name}: expected a scene with a view that is held out, found none");
    }
    Ok(scene)
}

/// Renders held-out views of `scenes`, small, and tells the share of the rows that went to the experts of shifts, one for
/// each feed-forward part in the order in which the engine meets them. The result does not depend on `threads`.
///
/// # Errors
/// If a scene holds no view out or cannot be rendered, or the network has no experts.
pub fn measure(model: &Model, params: &[f32], scenes: &[Scene], threads: usize) -> anyhow::Result<Vec<f64>> {
    let (samples, guided) = Samples::Auto.of(&model.config, 1, 0);
    let mut routed: Vec<[u64; 2]> = Vec::new();
    for scene in scenes {
        let [near, far] = scene.depth_range(FAR_EVAL);
        let settings = Settings {
            samples,
            guided,
            importance: 0,
            views: model.config.views,
            threads,
            stride: 1,
            depth_range: (near, far),
            routing: true,
            confidence: false,
        };
        let mut renderer = Renderer::new(Engine::new(model.clone(), params), scene.clone());
        for mut frame in paths::frames(scene, &PathKind::Test, Some(MOST_VIEWS))? {
            let (width, height) = (frame.camera.width, frame.camera.height);
            let by = width.max(height).div_ceil(SIDE).max(1);
            frame.camera = size::fitted(&frame.camera, (width / by).max(1), (height / by).max(1)).0;
            let rendered = renderer.render(&frame, &settings, &|_| {})?;
            let counted = rendered.routing.context("expected a network with experts, found none")?;
            routed.resize(counted.parts.len(), [0; 2]);
            for (sum, rows) in routed.iter_mut().zip(counted.parts) {
                *sum = [sum[0] + rows[0], sum[1] + rows[1]];
            }
        }
    }
    shift_shares::of_rows(&routed).context("expected held-out views to render, found none")
}
