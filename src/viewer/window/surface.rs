//! What a window draws on: its surface and the device of it, made anew when they are lost.

use super::{NO_DISPLAY, Viewer};
use crate::app::stage::Stage;
use crate::gpu::{self, Gpu};
use crate::ui::Ui;
use crate::{Error, Result};
use std::sync::Arc;
use winit::dpi::{LogicalSize, PhysicalSize};
use winit::event_loop::ActiveEventLoop;
use winit::window::Window;

/// A window with what draws on it.
pub(super) struct Open {
    pub window: Arc<Window>,
    instance: wgpu::Instance,
    pub surface: wgpu::Surface<'static>,
    pub config: wgpu::SurfaceConfiguration,
    pub state: egui_winit::State,
    pub readable: bool,
}

/// A device and what it draws on.
struct Canvas {
    instance: wgpu::Instance,
    surface: wgpu::Surface<'static>,
    gpu: Gpu,
}

impl Viewer {
    /// Opens the window.
    pub(super) fn open(&mut self, events: &ActiveEventLoop) -> Result<()> {
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
        self.install(window)
    }

    /// The first device that can draw on the window.
    fn device(&self, window: &Arc<Window>) -> Result<Canvas> {
        let mut opened = Err(Error::Graphics("there is no interface to graphics".into()));
        for backends in gpu::backends() {
            let display = Box::new(self.display.clone());
            let descriptor = wgpu::InstanceDescriptor::new_with_display_handle_from_env(display);
            let instance = wgpu::Instance::new(wgpu::InstanceDescriptor { backends, ..descriptor });
            let surface = instance.create_surface(Arc::clone(window)).map_err(|e| Error::Graphics(e.to_string()));
            opened = surface
                .and_then(|surface| Ok(Canvas { gpu: Gpu::open(&instance, Some(&surface))?, surface, instance }));
            if opened.is_ok() {
                break;
            }
        }
        opened
    }

    /// Opens a device for the window and puts everything on it.
    fn install(&mut self, window: Arc<Window>) -> Result<()> {
        let Canvas { gpu, surface, instance } = self.device(&window)?;
        let scale = Some(window.scale_factor() as f32);
        let side = Some(gpu.device.limits().max_texture_dimension_2d as usize);
        let context = self.ui.context().clone();
        let state = egui_winit::State::new(context, egui::ViewportId::ROOT, &window, scale, None, side);
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
        self.open = Some(Open { window, instance, surface, config, state, readable });
        Ok(())
    }

    /// Another device after one was lost.
    pub(super) fn recover(&mut self) -> Result<()> {
        let Some(Open { window, surface, .. }) = self.open.take() else { return Ok(()) };
        drop(surface);
        self.ui = Ui::default();
        self.install(window)?;
        self.app.say("the graphics device was lost; here is another");
        Ok(())
    }

    pub(super) fn renew_surface(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let surface = open.instance.create_surface(Arc::clone(&open.window));
        open.surface = surface.map_err(|e| Error::Graphics(e.to_string()))?;
        self.reconfigure();
        Ok(())
    }

    pub(super) fn reconfigure(&mut self) {
        if let (Some(open), Some(stage)) = (&self.open, self.app.stage()) {
            open.surface.configure(&stage.gpu.device, &open.config);
            open.window.request_redraw();
        }
    }

    pub(super) fn resize(&mut self, size: PhysicalSize<u32>) {
        let Some(open) = &mut self.open else { return };
        if size.width > 0 && size.height > 0 {
            let limit = self.app.stage().map_or(2048, |stage| stage.gpu.device.limits().max_texture_dimension_2d);
            (open.config.width, open.config.height) = (size.width.min(limit), size.height.min(limit));
            let points = size.to_logical::<f64>(open.window.scale_factor());
            // A size that was asked for is of this run alone.
            if self.size.is_none() {
                self.app.settings.window = [points.width, points.height];
            }
            self.reconfigure();
        }
    }
}
