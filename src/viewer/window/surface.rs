//! What a window draws on: its surface and the device of it, made anew when they are lost.

use super::{NO_DISPLAY, Viewer};
use crate::app::stage::Stage;
use crate::gpu::Gpu;
use crate::ui::Ui;
use crate::{Error, Result};
use std::sync::Arc;
use winit::dpi::{LogicalSize, PhysicalSize};
use winit::event_loop::ActiveEventLoop;
use winit::window::Window;

/// A window with what draws on it.
pub(super) struct Open {
    pub window: Arc<Window>,
    pub surface: wgpu::Surface<'static>,
    pub config: wgpu::SurfaceConfiguration,
    pub state: egui_winit::State,
    pub readable: bool,
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
    pub(super) fn recover(&mut self) -> Result<()> {
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

    pub(super) fn renew_surface(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let surface = self.instance.create_surface(Arc::clone(&open.window));
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
            self.app.settings.window = [points.width, points.height];
            self.reconfigure();
        }
    }
}
