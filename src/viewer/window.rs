//! The viewer in a window.

use crate::app::stage::Stage;
use crate::app::{App, Command, Start};
use crate::controls::Mode;
use crate::gpu::Gpu;
use crate::play::{Player, Request};
use crate::script::{Report, Step};
use crate::ui::{self, Ui};
use crate::{Error, Result};
use egui::{Pos2, pos2};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use winit::application::ApplicationHandler;
use winit::dpi::{LogicalSize, PhysicalSize};
use winit::event::{ElementState, MouseButton, MouseScrollDelta, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop};
use winit::keyboard::{KeyCode, ModifiersState, PhysicalKey};
use winit::window::{Window, WindowId};

/// Longest time between two clicks of a double click.
const DOUBLE: Duration = Duration::from_millis(400);
/// Farthest that the mouse may move in a click, in pixels.
const STILL: f64 = 4.0;

/// What keeps a window from being opened.
const NO_DISPLAY: &str = "no window can be opened: there is no display (DISPLAY and WAYLAND_DISPLAY are not set), or its \
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
    let proxy = events.create_proxy();
    // A loop that has ended needs no waking.
    let app = App::new(start, move || drop(proxy.send_event(Wake)))?;
    let descriptor =
        wgpu::InstanceDescriptor::new_with_display_handle_from_env(Box::new(events.owned_display_handle()));
    let mut viewer = Viewer {
        app,
        ui: Ui::default(),
        instance: wgpu::Instance::new(descriptor),
        size,
        open: None,
        player: steps.map(Player::new),
        report: None,
        mouse: Mouse::default(),
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

/// Something was made in the background.
#[derive(Debug)]
struct Wake;

/// A window with what draws on it.
struct Open {
    window: Arc<Window>,
    surface: wgpu::Surface<'static>,
    config: wgpu::SurfaceConfiguration,
    state: egui_winit::State,
    readable: bool,
}

/// The mouse over the picture.
#[derive(Debug, Default)]
struct Mouse {
    at: [f64; 2],
    pressed: Option<(MouseButton, [f64; 2])>,
    clicked: Option<(Instant, [f64; 2])>,
}

struct Viewer {
    app: App,
    ui: Ui,
    instance: wgpu::Instance,
    size: Option<(u32, u32)>,
    open: Option<Open>,
    player: Option<Player>,
    report: Option<Report>,
    mouse: Mouse,
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

    /// Opens the window.
    fn open(&mut self, events: &ActiveEventLoop) -> Result<()> {
        let [width, height] = self.app.settings.window;
        let mut attributes = Window::default_attributes()
            .with_title(format!("{} – Shiftray", self.app.scene.name))
            .with_min_inner_size(LogicalSize::new(64.0, 48.0));
        attributes = match self.size {
            Some((width, height)) => attributes.with_inner_size(PhysicalSize::new(width, height)),
            None => attributes.with_inner_size(LogicalSize::new(width, height)),
        };
        let window = events.create_window(attributes).map_err(|e| Error::Window(format!("{NO_DISPLAY} ({e})")))?;
        let window = Arc::new(window);
        let (surface, gpu) = self.device(&window)?;
        let state = egui_winit::State::new(
            self.ui.context().clone(),
            egui::ViewportId::ROOT,
            &window,
            Some(window.scale_factor() as f32),
            None,
            Some(gpu.device.limits().max_texture_dimension_2d as usize),
        );
        self.install(window, surface, gpu, state)
    }

    fn device(&self, window: &Arc<Window>) -> Result<(wgpu::Surface<'static>, Gpu)> {
        let surface = self.instance.create_surface(Arc::clone(window)).map_err(|e| Error::Graphics(e.to_string()))?;
        let gpu = Gpu::open(&self.instance, Some(&surface))?;
        Ok((surface, gpu))
    }

    /// Configures a surface and puts everything on its device.
    fn install(
        &mut self,
        window: Arc<Window>,
        surface: wgpu::Surface<'static>,
        gpu: Gpu,
        state: egui_winit::State,
    ) -> Result<()> {
        let capabilities = surface.get_capabilities(&gpu.adapter);
        // Colours are as files store them: the surface must not convert them.
        let plain = |format: &&wgpu::TextureFormat| {
            matches!(format, wgpu::TextureFormat::Bgra8Unorm | wgpu::TextureFormat::Rgba8Unorm)
        };
        let format = capabilities.formats.iter().find(plain).or(capabilities.formats.first()).copied();
        let format = format.ok_or_else(|| Error::Graphics(format!("{} cannot draw on the window", gpu.name())))?;
        let readable = capabilities.usages.contains(wgpu::TextureUsages::COPY_SRC);
        let copy = if readable { wgpu::TextureUsages::COPY_SRC } else { wgpu::TextureUsages::empty() };
        let size = window.inner_size();
        let limit = gpu.device.limits().max_texture_dimension_2d;
        let config = wgpu::SurfaceConfiguration {
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | copy,
            format,
            color_space: Default::default(),
            width: size.width.clamp(1, limit),
            height: size.height.clamp(1, limit),
            present_mode: wgpu::PresentMode::AutoVsync,
            desired_maximum_frame_latency: 1,
            alpha_mode: wgpu::CompositeAlphaMode::Auto,
            view_formats: Vec::new(),
        };
        surface.configure(&gpu.device, &config);
        self.app.set_stage(Stage::new(gpu, format));
        window.request_redraw();
        self.open = Some(Open { window, surface, config, state, readable });
        Ok(())
    }

    /// Another device after one was lost.
    fn recover(&mut self) -> Result<()> {
        let Some(Open { window, surface, .. }) = self.open.take() else { return Ok(()) };
        drop(surface);
        self.ui = Ui::default();
        let (surface, gpu) = self.device(&window)?;
        let scale = Some(window.scale_factor() as f32);
        let side = Some(gpu.device.limits().max_texture_dimension_2d as usize);
        let context = self.ui.context().clone();
        let state = egui_winit::State::new(context, egui::ViewportId::ROOT, &window, scale, None, side);
        self.install(window, surface, gpu, state)?;
        self.app.say("the graphics device was lost; here is another");
        Ok(())
    }

    /// Draws a frame, if there is something to draw on.
    fn frame(&mut self, events: &ActiveEventLoop) -> Result<()> {
        let mut snaps = Vec::new();
        if let Some(player) = &mut self.player {
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
                    (Request::Snap(file), _) => snaps.push(file),
                    _ => {}
                }
            }
            if done {
                self.report = self.player.take().map(|player| player.finish(&self.app));
                events.exit();
                return Ok(());
            }
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
        for file in snaps {
            if !open.readable {
                return Err(Error::Script("snap: the window cannot be read here; use import or a screenshot".into()));
            }
            let bytes = stage.gpu.read(&texture.texture)?;
            let swapped = open.config.format == wgpu::TextureFormat::Bgra8Unorm;
            let pixels = bytes.as_chunks::<4>().0.iter();
            let data = pixels.flat_map(|[a, b, c, _]| if swapped { [*c, *b, *a] } else { [*a, *b, *c] });
            let data = data.map(|byte| f32::from(byte) / 255.0).collect();
            scene::write::write_png(&file, &scene::Image { width: size.0, height: size.1, data })?;
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

    fn renew_surface(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let surface = self.instance.create_surface(Arc::clone(&open.window));
        open.surface = surface.map_err(|e| Error::Graphics(e.to_string()))?;
        self.reconfigure();
        Ok(())
    }

    fn reconfigure(&mut self) {
        if let (Some(open), Some(stage)) = (&self.open, self.app.stage()) {
            open.surface.configure(&stage.gpu.device, &open.config);
            open.window.request_redraw();
        }
    }

    fn resize(&mut self, size: PhysicalSize<u32>) {
        let Some(open) = &mut self.open else { return };
        if size.width > 0 && size.height > 0 {
            let limit = self.app.stage().map_or(2048, |stage| stage.gpu.device.limits().max_texture_dimension_2d);
            (open.config.width, open.config.height) = (size.width.min(limit), size.height.min(limit));
            let points = size.to_logical::<f64>(open.window.scale_factor());
            self.app.settings.window = [points.width, points.height];
            self.reconfigure();
        }
    }

    /// A point of the window, in the ui's points.
    fn point(&self, at: [f64; 2]) -> Pos2 {
        let scale = self.ui.context().pixels_per_point();
        pos2(at[0] as f32 / scale, at[1] as f32 / scale)
    }

    fn mouse_button(&mut self, button: MouseButton, state: ElementState) {
        let (at, point) = (self.mouse.at, self.point(self.mouse.at));
        match state {
            ElementState::Pressed if self.ui.is_picture(point) => self.mouse.pressed = Some((button, at)),
            ElementState::Pressed => {}
            ElementState::Released => {
                let Some((pressed, from)) = self.mouse.pressed.take() else { return };
                let still = (at[0] - from[0]).hypot(at[1] - from[1]) < STILL;
                if pressed != button || !still || button != MouseButton::Left {
                    return;
                }
                let again = self.mouse.clicked.take().is_some_and(|(then, there)| {
                    then.elapsed() < DOUBLE && (at[0] - there[0]).hypot(at[1] - there[1]) < STILL
                });
                if again {
                    self.app.perform(Command::Pivot(self.ui.in_picture(point)));
                } else if let Some(view) = self.ui.hovered() {
                    self.app.perform(Command::GoToView(view));
                } else {
                    self.mouse.clicked = Some((Instant::now(), at));
                }
            }
        }
    }

    fn mouse_moved(&mut self, at: [f64; 2]) {
        let pixels = [at[0] - self.mouse.at[0], at[1] - self.mouse.at[1]];
        self.mouse.at = at;
        match self.mouse.pressed {
            Some((MouseButton::Left, _)) if !self.modifiers.shift_key() => self.app.perform(Command::Turn(pixels)),
            Some(_) => self.app.perform(Command::Pan(pixels)),
            None => {}
        }
    }

    /// What a key does; those of the flight as long as they are held.
    fn key(&mut self, code: KeyCode, text: Option<&str>, pressed: bool, repeat: bool) {
        let flight = matches!(
            code,
            KeyCode::KeyW | KeyCode::KeyA | KeyCode::KeyS | KeyCode::KeyD | KeyCode::KeyE | KeyCode::KeyQ
        );
        let control = self.modifiers.control_key() || self.modifiers.super_key();
        if control {
            match code {
                KeyCode::KeyS if pressed && !repeat => {
                    let file = free_name("view", |file| file.exists());
                    self.app.perform(Command::Screenshot(file));
                }
                KeyCode::KeyC if pressed && !repeat => self.app.perform(Command::CopyPose),
                _ => {}
            }
            return;
        }
        if flight {
            if pressed {
                self.held.insert(code);
                if self.app.controls.mode == Mode::Orbit {
                    self.app.perform(Command::Move(Mode::Fly));
                }
            } else {
                self.held.remove(&code);
            }
            let along = |plus, minus| {
                f64::from(u8::from(self.held.contains(&plus))) - f64::from(u8::from(self.held.contains(&minus)))
            };
            let along = [
                along(KeyCode::KeyD, KeyCode::KeyA),
                along(KeyCode::KeyQ, KeyCode::KeyE),
                along(KeyCode::KeyW, KeyCode::KeyS),
            ];
            self.app.perform(Command::Fly(along));
            return;
        }
        if !pressed {
            return;
        }
        let name = match code {
            KeyCode::ArrowLeft => "left",
            KeyCode::ArrowRight => "right",
            KeyCode::Escape => "escape",
            KeyCode::Space => "space",
            _ if repeat => return,
            _ => text.unwrap_or_default(),
        };
        if let Some(command) = ui::key(&self.app, &name.to_lowercase()) {
            self.app.perform(command);
        }
    }
}

/// The first of `name.png`, `name-2.png` and so on that is not taken.
fn free_name(name: &str, taken: impl Fn(&PathBuf) -> bool) -> PathBuf {
    let mut names =
        (1..).map(|i| PathBuf::from(if i == 1 { format!("{name}.png") } else { format!("{name}-{i}.png") }));
    names.find(|file| !taken(file)).unwrap_or_default()
}

impl ApplicationHandler<Wake> for Viewer {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        if self.open.is_none()
            && let Err(problem) = self.open(events)
        {
            self.fail(events, problem);
        }
    }

    fn user_event(&mut self, _: &ActiveEventLoop, _: Wake) {
        // Fetched also while the window is hidden, so that a path goes on.
        self.app.tick(0.0);
        self.open.iter().for_each(|open| open.window.request_redraw());
    }

    fn window_event(&mut self, events: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        let Some(open) = &mut self.open else { return };
        let response = open.state.on_window_event(&open.window, &event);
        if response.repaint {
            open.window.request_redraw();
        }
        let typing = self.ui.context().egui_wants_keyboard_input();
        match event {
            WindowEvent::RedrawRequested => {
                if let Err(problem) = self.frame(events) {
                    return self.fail(events, problem);
                }
                if self.app.quit {
                    events.exit();
                }
                return;
            }
            WindowEvent::CloseRequested => return events.exit(),
            WindowEvent::Resized(size) => self.resize(size),
            WindowEvent::ModifiersChanged(modifiers) => {
                self.modifiers = modifiers.state();
                self.app.controls.held.fast = self.modifiers.shift_key();
            }
            WindowEvent::CursorMoved { position, .. } => self.mouse_moved([position.x, position.y]),
            WindowEvent::MouseInput { button, state, .. } => self.mouse_button(button, state),
            WindowEvent::MouseWheel { delta, .. } if self.ui.is_picture(self.point(self.mouse.at)) => {
                let lines = match delta {
                    MouseScrollDelta::LineDelta(_, y) => f64::from(y),
                    MouseScrollDelta::PixelDelta(pixels) => pixels.y / 40.0,
                };
                self.app.perform(Command::Wheel(lines));
            }
            WindowEvent::PinchGesture { delta, .. } => self.app.perform(Command::Zoom((2.0 * delta).exp())),
            WindowEvent::PanGesture { delta, .. } => {
                self.app.perform(Command::Pan([f64::from(delta.x), f64::from(delta.y)]));
            }
            WindowEvent::KeyboardInput { event, .. } if !typing || event.state == ElementState::Released => {
                if let PhysicalKey::Code(code) = event.physical_key {
                    let text = event.text.as_ref().map(|text| text.as_str());
                    self.key(code, text, event.state == ElementState::Pressed, event.repeat);
                }
            }
            WindowEvent::Focused(false) => {
                // Nobody tells when a key is let go of elsewhere.
                self.held.clear();
                self.app.controls.held = Default::default();
                self.mouse.pressed = None;
            }
            _ => {}
        }
        self.open.iter().for_each(|open| open.window.request_redraw());
    }

    fn about_to_wait(&mut self, events: &ActiveEventLoop) {
        let Some(open) = &self.open else { return };
        let scripted = self.player.is_some();
        let moves = !self.app.controls.rests() || self.app.playing.is_some();
        if scripted && open.window.is_minimized() == Some(true) {
            // No frame comes that would go on with the script.
            if let Err(problem) = self.frame(events) {
                self.fail(events, problem);
            }
            events.set_control_flow(ControlFlow::WaitUntil(Instant::now() + Duration::from_millis(10)));
        } else if scripted || moves {
            open.window.request_redraw();
            events.set_control_flow(ControlFlow::Poll);
        } else {
            // A camera that has just come to rest is asked about a little later, and messages fade.
            let soon = Instant::now() + Duration::from_millis(if self.app.awaits_network() { 20 } else { 500 });
            let next = self.again.map_or(soon, |again| again.min(soon));
            let due = self.app.awaits_network() || self.again.is_some_and(|again| again <= Instant::now());
            if due || self.app.tick(0.0) {
                open.window.request_redraw();
            }
            events.set_control_flow(ControlFlow::WaitUntil(next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screenshots_replace_nothing() {
        assert_eq!(free_name("view", |_| false), PathBuf::from("view.png"));
        let taken = ["view.png", "view-2.png"].map(PathBuf::from);
        assert_eq!(free_name("view", |file| taken.contains(file)), PathBuf::from("view-3.png"));
    }
}
