//! The viewer without a window: the same pictures, drawn on a texture.

use crate::app::stage::{READABLE, Stage};
use crate::app::{App, Command, LEAST, Start};
use crate::gpu::Gpu;
use crate::play::{Player, Request};
use crate::proxy::pass::blank;
use crate::script::{Report, Step};
use crate::ui::Ui;
use crate::{Error, Result};
use scene::{Image, write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest time between frames while there is nothing to do.
const IDLE: Duration = Duration::from_millis(4);

/// Follows a script without a window, on a texture of `size` pixels.
///
/// # Errors
/// [`Error::Graphics`] if no adapter is found, or one is lost and no other found; [`Error::Script`] as the script is
/// followed.
pub fn run(start: Start, size: (u32, u32), steps: Vec<Step>) -> Result<Report> {
    let (mut app, mut ui) = (App::new(start, || ())?, Ui::default());
    app.set_stage(stage()?);
    let mut size = size;
    let mut target = texture(&app, size)?;
    let mut player = Player::new(steps);
    let mut last = Instant::now();
    let began = last;
    loop {
        let (requests, done) = player.before_frame(&mut app)?;
        if done {
            return Ok(player.finish(&app));
        }
        let mut snaps = Vec::new();
        for request in requests {
            match request {
                Request::Resize([width, height]) => {
                    size = (width, height);
                    target = texture(&app, size)?;
                }
                Request::Snap(file) => snaps.push(file),
            }
        }
        if app.is_lost() {
            app.set_stage(stage()?);
            ui = Ui::default();
            target = texture(&app, size)?;
        }
        let now = Instant::now();
        let changed = app.tick((now - last).as_secs_f64());
        last = now;
        let input = egui::RawInput {
            screen_rect: Some(egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(size.0 as f32, size.1 as f32))),
            time: Some(began.elapsed().as_secs_f64()),
            ..Default::default()
        };
        if size.0 > 0 && size.1 > 0 && (changed || player.is_busy() || !snaps.is_empty()) {
            let painted = ui.pass(&mut app, input, size);
            app.set_viewport(painted.picture.1);
            app.tick(0.0);
            let view = target.create_view(&Default::default());
            app.draw(&painted.paint, &view, size, painted.picture.0);
            app.stage().iter().for_each(|stage| stage.gpu.finish());
            app.stats.drew(Instant::now(), now.elapsed().as_secs_f64());
            player.after_frame();
            for file in snaps {
                write::write_png(&file, &read(&app, &target)?)?;
            }
        } else {
            if size.0 == 0 || size.1 == 0 {
                app.set_viewport((0, 0));
            }
            std::thread::sleep(IDLE);
        }
    }
}

/// The script of `--frames N`: so many cameras of a path, each complete, as files of a folder.
pub fn along(frames: &[scene::Frame], folder: &Path, size: (u32, u32)) -> Vec<FrameShot> {
    let shot = |frame: &scene::Frame| FrameShot {
        eye: crate::eye::Eye::of(&frame.camera),
        file: folder.join(format!("{}.png", frame.name)),
        size,
    };
    frames.iter().map(shot).collect()
}

/// A picture of a camera that is wanted in a file.
#[derive(Clone, Debug)]
pub struct FrameShot {
    /// The camera.
    pub eye: crate::eye::Eye,
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub size: (u32, u32),
}

/// Makes complete pictures of cameras, as the window would show them; `done` is told of each file, and whether it was made
/// or was there before.
///
/// # Errors
/// As [`run`]; [`Error::Scene`] if a file cannot be written.
pub fn pictures(start: Start, shots: &[FrameShot], mut done: impl FnMut(&Path, bool)) -> Result<Report> {
    if let Some(small) = shots.iter().find(|shot| shot.size.0.min(shot.size.1) < LEAST) {
        let (width, height) = small.size;
        return Err(Error::Graphics(format!(
            "expected pictures of at least {LEAST}x{LEAST} pixels, found {width}x{height}"
        )));
    }
    let mut app = App::new(start, || ())?;
    app.settings.panel = false;
    app.set_stage(stage()?);
    let mut player = Player::new(Vec::new());
    for shot in shots {
        if crate::app::files::is_there(&shot.file) {
            done(&shot.file, false);
            continue;
        }
        texture(&app, shot.size)?; // It has to fit on the device.
        app.set_viewport(shot.size);
        app.controls.go_to(&shot.eye);
        app.controls.jump();
        app.perform(Command::Screenshot(shot.file.clone()));
        let waiting = Instant::now();
        app.tick(0.0);
        while app.awaits_screenshot() {
            if waiting.elapsed() > Duration::from_secs(3600) {
                return Err(Error::Source(format!("no picture after an hour: {}", app.level_words())));
            }
            std::thread::sleep(IDLE);
            app.tick(0.0);
            if let Some(problem) = app.failed.take() {
                return Err(Error::Source(problem));
            }
        }
        if let Some(problem) = app.failed.take() {
            return Err(Error::Source(problem));
        }
        player.report.level_seconds.push(app.level_seconds);
        player.report.frames += 1;
        done(&shot.file, true);
    }
    Ok(player.finish(&app))
}

fn stage() -> Result<Stage> {
    Ok(Stage::new(Gpu::without_window()?, READABLE))
}

fn texture(app: &App, size: (u32, u32)) -> Result<wgpu::Texture> {
    let stage = app.stage().ok_or_else(|| Error::Graphics("there is no device".into()))?;
    let most = stage.gpu.device.limits().max_texture_dimension_2d;
    if size.0.max(size.1) > most {
        let (name, (width, height)) = (stage.gpu.name(), size);
        return Err(Error::Graphics(format!("{name}: expected at most {most} pixels a side, found {width}x{height}")));
    }
    let usage = wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC;
    Ok(blank(&stage.gpu, size, READABLE, usage, "window"))
}

fn read(app: &App, target: &wgpu::Texture) -> Result<Image> {
    let stage = app.stage().ok_or_else(|| Error::Graphics("there is no device".into()))?;
    let bytes = stage.gpu.read(target)?;
    let data = bytes.as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b].map(|v| f32::from(v) / 255.0));
    Ok(Image { width: target.width(), height: target.height(), data: data.collect() })
}
