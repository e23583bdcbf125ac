//! All that lives on the graphics device, so that it can be made anew when the device is lost.

use crate::Result;
use crate::gpu::Gpu;
use crate::present::{Kind, Made, Present, Wanted, colour_pass};
use crate::proxy::pass::{ProxyPass, Sums, blank};
use crate::proxy::views::Chosen;
use crate::work::parts::Level;
use scene::{Camera, Image};

/// The format of pictures that are read back.
pub const READABLE: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// Device, passes and pictures.
pub struct Stage {
    /// The device.
    pub gpu: Gpu,
    /// The photographs.
    pub proxy: ProxyPass,
    /// Sums of the picture that is shown.
    pub sums: Sums,
    /// What the network made of the shot that is wanted.
    pub made: Option<Made>,
    /// The last complete picture, while a new one is made.
    pub held: Option<Made>,
    present: Present,
    readable: Option<Present>,
    paint: egui_wgpu::Renderer,
    /// Textures of the ui that are not needed after the next frame.
    freed: Vec<egui::TextureId>,
    format: wgpu::TextureFormat,
}

/// What is painted over the picture.
pub struct Paint {
    /// Triangles.
    pub primitives: Vec<egui::ClippedPrimitive>,
    /// Pixels of a point.
    pub scale: f32,
}

/// A picture that is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Its camera, at the size that it has in the window.
    pub camera: &'a Camera,
    /// Nothing nearer is drawn.
    pub near: f32,
    /// Photographs of the proxy.
    pub chosen: &'a [Chosen],
    /// What is shown of it.
    pub kind: Kind,
    /// Nearest and farthest depth of the colour map.
    pub range: [f32; 2],
    /// The highest level that is shown.
    pub level: Level,
    /// The source view that errors are told from, with its camera.
    pub truth: Option<(usize, &'a Camera)>,
}

impl Stage {
    /// Makes everything, for targets of a format.
    pub fn new(gpu: Gpu, format: wgpu::TextureFormat) -> Self {
        let (proxy, present) = (ProxyPass::new(&gpu), Present::new(&gpu, format));
        let sums = proxy.sums(&gpu, (1, 1));
        let paint = egui_wgpu::Renderer::new(&gpu.device, format, egui_wgpu::RendererOptions::default());
        Self { proxy, sums, made: None, held: None, present, readable: None, paint, freed: Vec::new(), format, gpu }
    }

    /// Whether what is shown has all its pixels from the network.
    pub fn is_full(&self) -> bool {
        self.shown().is_some_and(|made| made.full.is_whole())
    }

    /// What is shown of the network's pictures.
    pub fn shown(&self) -> Option<&Made> {
        self.held.as_ref().or(self.made.as_ref())
    }

    /// Takes textures of the ui that changed. They come only once, so that they are taken even if the frame that brings
    /// them cannot be drawn.
    pub fn take_textures(&mut self, mut textures: egui::TexturesDelta) {
        for (id, deltas) in textures.set.drain() {
            for delta in deltas {
                self.paint.update_texture(&self.gpu.device, &self.gpu.queue, id, &delta);
            }
        }
        self.freed.extend(textures.free.drain());
    }

    /// Draws a picture at `origin` of a target of `size`, and what is painted over it.
    pub fn draw(
        &mut self,
        picture: Option<&Picture>,
        paint: &Paint,
        target: &wgpu::TextureView,
        size: (u32, u32),
        origin: (u32, u32),
    ) {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        if let Some(picture) = picture {
            self.draw_proxy(&mut encoder, picture);
            let Self { gpu, proxy, sums, made, held, present, .. } = self;
            let made = held.as_ref().or(made.as_ref());
            let wanted = wanted(proxy, picture, origin);
            present.draw(gpu, &mut encoder, (picture.camera, sums, made), &wanted, target);
        }
        let screen = egui_wgpu::ScreenDescriptor { size_in_pixels: size.into(), pixels_per_point: paint.scale };
        let Self { gpu, paint: renderer, freed, .. } = self;
        let before = renderer.update_buffers(&gpu.device, &gpu.queue, &mut encoder, &paint.primitives, &screen);
        {
            let pass = colour_pass(&mut encoder, "paint", target, picture.is_none());
            renderer.render(&mut pass.forget_lifetime(), &paint.primitives, &screen);
        }
        gpu.queue.submit(before.into_iter().chain([encoder.finish()]));
        freed.drain(..).for_each(|id| renderer.free_texture(&id));
    }

    fn draw_proxy(&mut self, encoder: &mut wgpu::CommandEncoder, picture: &Picture) {
        let size = (picture.camera.width, picture.camera.height);
        if self.sums.size != size {
            self.sums = self.proxy.sums(&self.gpu, size);
        } else if self.is_full() && picture.level == Level::Full {
            return; // Nobody would see it.
        }
        self.proxy.draw(&self.gpu, encoder, picture.camera, picture.near, picture.chosen, &mut self.sums);
    }

    /// A picture as it is shown, without what is painted over it.
    ///
    /// # Errors
    /// [`crate::Error::Graphics`] if the device is lost.
    pub fn read(&mut self, picture: &Picture) -> Result<Image> {
        let (width, height) = (picture.camera.width, picture.camera.height);
        let usage = wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC;
        let target = blank(&self.gpu, (width, height), READABLE, usage, "picture");
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        self.sums = self.proxy.sums(&self.gpu, (width, height));
        self.proxy.draw(&self.gpu, &mut encoder, picture.camera, picture.near, picture.chosen, &mut self.sums);
        let Self { gpu, proxy, sums, made, held, present, readable, format, .. } = self;
        let present = match *format {
            READABLE => present,
            _ => readable.get_or_insert_with(|| Present::new(gpu, READABLE)),
        };
        let made = held.as_ref().or(made.as_ref());
        let wanted = wanted(proxy, picture, (0, 0));
        let view = target.create_view(&Default::default());
        present.draw(gpu, &mut encoder, (picture.camera, sums, made), &wanted, &view);
        self.gpu.queue.submit([encoder.finish()]);
        let bytes = self.gpu.read(&target)?;
        let data = bytes.as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]);
        Ok(Image { width, height, data: data.map(|byte| f32::from(byte) / 255.0).collect() })
    }
}

fn wanted<'a>(proxy: &'a ProxyPass, picture: &Picture<'a>, origin: (u32, u32)) -> Wanted<'a> {
    let truth = picture.truth.and_then(|(view, camera)| Some((camera, proxy.photo(view)?)));
    Wanted { kind: picture.kind, range: picture.range, level: picture.level, truth, origin }
}

/// On a graphics device.
#[cfg(test)]
mod needs_adapter {
    use super::*;

    /// Whether text is painted white on dark.
    fn paints(stage: &mut Stage, paint: &Paint) -> bool {
        let usage = wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC;
        let target = blank(&stage.gpu, (120, 40), READABLE, usage, "target");
        stage.draw(None, paint, &target.create_view(&Default::default()), (120, 40), (0, 0));
        stage.gpu.read(&target).unwrap().iter().any(|byte| *byte > 250)
    }

    /// The font comes with the first frame. A window may have nothing to draw that one on.
    #[test]
    #[ignore = "needs a graphics adapter, such as lavapipe of mesa-vulkan-drivers"]
    fn text_is_painted_though_the_first_frame_was_not_drawn() {
        let mut stage = Stage::new(Gpu::without_window().unwrap(), READABLE);
        let context = egui::Context::default();
        for drawn in [false, true, true] {
            let input = egui::RawInput {
                screen_rect: Some(egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(120.0, 40.0))),
                ..Default::default()
            };
            let output = context.run_ui(input, |ui| {
                ui.label(egui::RichText::new("text").color(egui::Color32::WHITE).size(24.0));
            });
            let scale = output.pixels_per_point;
            let paint = Paint { primitives: context.tessellate(output.shapes, scale), scale };
            stage.take_textures(output.textures_delta);
            assert!(!drawn || paints(&mut stage, &paint));
        }
    }
}
