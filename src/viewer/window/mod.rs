//! The viewer in a window.

mod events;
mod input;
mod surface;

use crate::app::stage::Stage;
use crate::app::{App, Command, Start};
use crate::play::{Player, Request};
use crate::script::{Report, Step};
use crate::ui::Ui;
use crate::{Error, Result};
use input::Mouse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use surface::Open;
use winit::dpi::PhysicalSize;
use winit::event_loop::{ActiveEventLoop, EventLoop, OwnedDisplayHandle};
use winit::keyboard::{KeyCode, ModifiersState};

/// What keeps a window from being opened.
const NO_DISPLAY: &str = "no window can be opened: there is no display (DISPLAY or WAYLAND_DISPLAY names none that answers), or its \
                          libraries are missing (libxkbcommon-x11-0 and libxcursor1 in Debian and Ubuntu); --headless \
                          makes pictures without a window";

/// Opens a window and stays until it is closed, or until a script, if there is one, is done. `size` is that of the window
/// in pixels; by default the last one's.
///
/// # Errors
/// [`Error::Window`] if none can be opened; [`Error::Graphics`] if no adapter is found; [`Error::Script`] as the script is
/// followed.
pub fn run(start: Start, size: Option<(u32, u32)>, steps: Option<Vec<Step>>) -> Result<Option<Report>> {
    let unusable = |e: &dyn std::fmt::Display| Error::Window(format!("{NO_DISPLAY} ({e})"));
    let events = EventLoop::<Wake>::with_user_event().build().map_err(|e| unusable(&e))?;
    let (proxy, interrupted) = (events.create_proxy(), events.create_proxy());
    // A loop that has ended needs no waking.
    let wake = move || {
        let _ = proxy.send_event(Wake::News);
    };
    let app = App::new(start, wake)?;
    // Ctrl-C in a terminal closes as Ctrl+Q does, a second one at once. Where it cannot be caught, it ends the program.
    let before = AtomicBool::new(false);
    let _ = ctrlc::set_handler(move || {
        if before.swap(true, Ordering::Relaxed) || interrupted.send_event(Wake::Interrupt).is_err() {
            std::process::exit(130);
        }
    });
    let mut viewer = Viewer {
        app,
        ui: Ui::default(),
        display: events.owned_display_handle(),
        size,
        open: None,
        player: steps.map(Player::new),
        report: None,
        snaps: Vec::new(),
        mouse: Mouse::default(),
        finger: None,
        modifiers: ModifiersState::empty(),
        held: BTreeSet::new(),
        last: Instant::now(),
        again: None,
        failed: None,
    };
    events.run_app(&mut viewer).map_err(|e| Error::Window(e.to_string()))?;
    match viewer.failed {
        Some(problem) => Err(problem),
        None => Ok(viewer.report),
    }
}

/// Why the window's loop is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    /// Something was made in the background.
    News,
    /// The user wants to leave, in the terminal.
    Interrupt,
}

struct Viewer {
    app: App,
    ui: Ui,
    display: OwnedDisplayHandle,
    size: Option<(u32, u32)>,
    open: Option<Open>,
    player: Option<Player>,
    report: Option<Report>,
    /// Files that the next frame goes into.
    snaps: Vec<PathBuf>,
    mouse: Mouse,
    /// The finger that acts as the mouse.
    finger: Option<u64>,
    modifiers: ModifiersState,
    held: BTreeSet<KeyCode>,
    last: Instant,
    again: Option<Instant>,
    failed: Option<Error>,
}

impl Viewer {
    fn fail(&mut self, events: &ActiveEventLoop, problem: Error) {
        self.failed = Some(problem);
        events.exit();
    }

    /// Closes, or asks whether to.
    fn close(&mut self, events: &ActiveEventLoop) {
        self.app.perform(Command::Close);
        if self.app.quit {
            return self.leave(events);
        }
        // The question is to be seen.
        self.open.iter().for_each(|open| {
            open.window.set_minimized(false);
            open.window.request_redraw();
        });
    }

    /// Ends the script, if there is one, and the window.
    fn leave(&mut self, events: &ActiveEventLoop) {
        let finished = self.player.take().map(|player| player.finish(&self.app));
        self.report = finished.or(self.report.take());
        events.exit();
    }

    /// Goes on with the script, if there is one; returns whether it is done.
    fn follow_script(&mut self, events: &ActiveEventLoop) -> Result<bool> {
        // Nothing goes on before the frame that is to be saved could be drawn.
        let Some(player) = self.player.as_mut().filter(|_| self.snaps.is_empty()) else { return Ok(false) };
        let (requests, done) = player.before_frame(&mut self.app)?;
        for request in requests {
            match (request, &self.open) {
                (Request::Resize([width, height]), Some(open)) => {
                    // A window of no size is one that is hidden.
                    open.window.set_minimized(width == 0 || height == 0);
                    if width > 0
                        && height > 0
                        && let Some(size) = open.window.request_inner_size(PhysicalSize::new(width, height))
                    {
                        self.resize(size);
                    }
                }
                (Request::Snap(file), _) => self.snaps.push(file),
                _ => {}
            }
        }
        if done {
            self.leave(events);
        }
        Ok(done)
    }

    /// Draws a frame, if there is something to draw on.
    fn frame(&mut self, events: &ActiveEventLoop) -> Result<()> {
        if self.follow_script(events)? {
            return Ok(());
        }
        if self.app.is_lost() {
            self.recover()?;
        }
        let started = Instant::now();
        // A pause is no time that keys were held.
        let seconds = (started - self.last).as_secs_f64().min(0.25);
        self.last = started;
        self.app.tick(seconds);
        let Some(open) = &mut self.open else { return Ok(()) };
        let size = open.window.inner_size();
        if size.width == 0 || size.height == 0 {
            self.app.set_viewport((0, 0));
            return Ok(());
        }
        let input = open.state.take_egui_input(&open.window);
        let painted = self.ui.pass(&mut self.app, input, (open.config.width, open.config.height));
        open.state.handle_platform_output_with_event_loop(&open.window, events, painted.platform);
        self.again = started.checked_add(painted.again).filter(|_| painted.again < Duration::from_secs(3600));
        self.app.set_viewport(painted.picture.1);
        self.app.tick(0.0);
        let texture = match open.surface.get_current_texture() {
            wgpu::CurrentSurfaceTexture::Success(texture) | wgpu::CurrentSurfaceTexture::Suboptimal(texture) => texture,
            wgpu::CurrentSurfaceTexture::Timeout | wgpu::CurrentSurfaceTexture::Occluded => return Ok(()),
            wgpu::CurrentSurfaceTexture::Outdated | wgpu::CurrentSurfaceTexture::Validation => {
                self.reconfigure();
                return Ok(());
            }
            wgpu::CurrentSurfaceTexture::Lost => {
                if !self.app.is_lost() {
                    self.renew_surface()?;
                }
                return Ok(());
            }
        };
        let target = texture.texture.create_view(&Default::default());
        let size = (texture.texture.width(), texture.texture.height());
        self.app.draw(&painted.paint, &target, size, painted.picture.0);
        let Some(stage) = self.app.stage() else { return Ok(()) };
        for file in self.snaps.drain(..) {
            snap(open, stage, &texture.texture, &file)?;
        }
        stage.gpu.queue.present(texture);
        if let Some(player) = &mut self.player {
            // Measured to the end of the device's work, not to its beginning.
            stage.gpu.finish();
            player.after_frame();
        }
        self.app.stats.drew(Instant::now(), started.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Saves a frame of the window as it is.
fn snap(open: &Open, stage: &Stage, texture: &wgpu::Texture, file: &Path) -> Result<()> {
    if !open.readable {
        return Err(Error::Script("snap: the window cannot be read here; use import or a screenshot".into()));
    }
    let bytes = stage.gpu.read(texture)?;
    let swapped = open.config.format == wgpu::TextureFormat::Bgra8Unorm;
    let pixels = bytes.as_chunks::<4>().0.iter();
    let data = pixels.flat_map(|[a, b, c, _]| if swapped { [*c, *b, *a] } else { [*a, *b, *c] });
    let data = data.map(|byte| f32::from(byte) / 255.0).collect();
    let image = scene::Image { width: texture.width(), height: texture.height(), data };
    Ok(scene::write::write_png(file, &image)?)
}
