//! From what is known of a picture to what is shown of it.

#[cfg(test)]
mod reference;

use crate::gpu::Gpu;
use crate::proxy::pass::{Sums, blank, upload, write};
use crate::source::{Opened, Part, Patch, Texel, grid_size};
use crate::work::parts::{Canvas, Level, Of, PASSES};
use bytemuck::{Pod, Zeroable};
use scene::Camera;
use scene::fade::Fade;
use std::collections::HashMap;

/// What is shown of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Its colours.
    #[default]
    Colour,
    /// Its depth, in colours.
    Depth,
    /// Directions of surfaces, from depth.
    Normals,
    /// Its difference from the photograph of the source view at which one stands.
    Error,
    /// Which source view gives most of a pixel.
    View,
    /// How sure the depth is.
    Confidence,
    /// Share of the multiply experts.
    Experts,
}

impl Kind {
    /// All of them, in the order of the number keys.
    pub const ALL: [Self; 7] =
        [Self::Colour, Self::Depth, Self::Normals, Self::Error, Self::View, Self::Confidence, Self::Experts];

    /// Its name in the panel.
    pub fn name(self) -> &'static str {
        match self {
            Self::Colour => "colour",
            Self::Depth => "depth",
            Self::Normals => "normals",
            Self::Error => "error",
            Self::View => "which photograph",
            Self::Confidence => "confidence",
            Self::Experts => "experts",
        }
    }
}

/// Twin of `Settings` in present.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Uniforms {
    shown: [f32; 2],
    made: [f32; 2],
    range: [f32; 2],
    focal: [f32; 2],
    center: [f32; 2],
    truth_scale: [f32; 2],
    truth_offset: [f32; 2],
    origin: [f32; 2],
    gain: f32,
    padding: f32,
}

/// Colour of what nothing is known of; present.wgsl has it too.
pub const BACKGROUND: [f32; 3] = [0.11, 0.11, 0.12];

/// What errors are multiplied by before they are coloured.
pub const ERROR_GAIN: f32 = 4.0;

/// The network's picture on the device and in memory.
#[derive(Debug)]
pub struct Made {
    /// Its camera.
    pub camera: Camera,
    /// Pixels from one point of the coarse grid to the next.
    pub cell: u32,
    /// What is known of the points of the coarse grid, which guides the samples.
    pub guide: Canvas,
    /// What is known of its pixels.
    pub full: Canvas,
    /// As in [`Opened`].
    pub fades: bool,
    /// Whether it is as it is to be: all pixels are known, and what fades has.
    pub complete: bool,
    textures: [wgpu::Texture; 2],
    views: [wgpu::TextureView; 2],
}

/// A brightness as the device's textures have it, clipped.
fn byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

impl Made {
    /// Nothing is known yet.
    pub fn new(gpu: &Gpu, camera: &Camera, opened: &Opened) -> Self {
        let size = (camera.width, camera.height);
        let grid = grid_size(size, opened.cell);
        // Textures start with zeros: an alpha of 0 stands for unknown.
        let texture = |size, format, label| {
            blank(gpu, size, format, wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST, label)
        };
        let (rgba, facts) = (wgpu::TextureFormat::Rgba8Unorm, wgpu::TextureFormat::Rgba32Float);
        let textures = [texture(size, rgba, "colour"), texture(size, facts, "facts")];
        let views = textures.each_ref().map(|texture| texture.create_view(&Default::default()));
        let (camera, cell, fades) = (*camera, opened.cell, opened.fades);
        Self {
            camera,
            cell,
            fades,
            complete: false,
            guide: Canvas::new(grid),
            full: Canvas::new(size),
            textures,
            views,
        }
    }

    /// Puts in what was made.
    pub fn put(&mut self, gpu: &Gpu, of: Of, patch: &Patch) {
        if of == Of::Guide {
            return self.guide.put(patch);
        }
        self.full.put(patch);
        // All of the rectangle, since pixels of other passes lie between: an alpha of 0 stands for those that are not known.
        let (part, full) = (patch.part, &self.full);
        let texels = || Part { every: 1, but: 0, ..part }.places().map(|(x, y)| full.at(x, y));
        let colour = |texel: Option<&Texel>| {
            texel.map_or([0; 4], |texel| {
                let [r, g, b] = texel.rgb.map(byte);
                [r, g, b, 255]
            })
        };
        let fact = |texel: Option<&Texel>| {
            texel.map_or([0.0; 4], |texel| {
                let view = texel.view.map_or(-1.0, |view| (view % 64) as f32);
                [texel.depth, texel.confidence, view, texel.multiplied.unwrap_or(-1.0)]
            })
        };
        let colours: Vec<u8> = texels().flat_map(colour).collect();
        let facts: Vec<f32> = texels().flat_map(fact).collect();
        let (at, size) = ((part.x, part.y), (part.width, part.height));
        write(gpu, &self.textures[0], at, size, &colours);
        write(gpu, &self.textures[1], at, size, bytemuck::cast_slice(&facts));
    }

    /// Fades the pixels of a complete picture that none of `sources` sees.
    pub fn fade(&mut self, gpu: &Gpu, fade: Fade, sources: &[Camera]) {
        self.full.fade(fade, &self.camera, sources);
        let image = self.full.image();
        let rgba = image.data.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [byte(*r), byte(*g), byte(*b), 255]);
        write(gpu, &self.textures[0], (0, 0), self.full.size, &rgba.collect::<Vec<u8>>());
    }

    /// The level that all of it has.
    pub fn level(&self) -> Level {
        self.full.level()
    }

    /// Depth at a pixel of the picture, as far as the network knows it.
    pub fn depth(&self, x: u32, y: u32) -> Option<f32> {
        let around = PASSES.iter().rev().find_map(|every| self.full.at(x - x % every, y - y % every));
        around.or_else(|| self.guide.at(x / self.cell, y / self.cell)).map(|texel| texel.depth)
    }
}

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What of the picture.
    pub kind: Kind,
    /// Nearest and farthest depth of the colour map.
    pub range: [f32; 2],
    /// The highest level that is shown.
    pub level: Level,
    /// Camera and photograph of the source view that errors are told from.
    pub truth: Option<(&'a Camera, &'a wgpu::TextureView)>,
    /// Pixel of the target that is the picture's first.
    pub origin: (u32, u32),
}

/// The pass that shows a picture.
#[derive(Debug)]
pub struct Present {
    /// By what is shown and what can be there; made when they are first needed.
    pipelines: HashMap<(Kind, u32), wgpu::RenderPipeline>,
    shader: wgpu::ShaderModule,
    pipeline_layout: wgpu::PipelineLayout,
    format: wgpu::TextureFormat,
    layout: wgpu::BindGroupLayout,
    uniforms: wgpu::Buffer,
    sampler: wgpu::Sampler,
    /// Stands for textures that are not there.
    nothing: [wgpu::TextureView; 2],
}

impl Present {
    /// Makes the pipeline for targets of a format that holds colours as they are stored in files.
    pub fn new(gpu: &Gpu, format: wgpu::TextureFormat) -> Self {
        let device = &gpu.device;
        let shader = device.create_shader_module(wgpu::include_wgsl!("../../../shaders/viewer/present.wgsl"));
        let texture = |filterable| wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let uniform = wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let sampler = wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering);
        let kinds = [uniform].into_iter().chain([texture(false); 4]).chain([texture(true), sampler]).enumerate().map(
            |(i, ty)| wgpu::BindGroupLayoutEntry {
                binding: i as u32,
                visibility: wgpu::ShaderStages::FRAGMENT,
                ty,
                count: None,
            },
        );
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("present"),
            entries: &kinds.collect::<Vec<_>>(),
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("present"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("present"),
            size: size_of::<Uniforms>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("truth"),
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        let nothing = [(wgpu::TextureFormat::Rgba8Unorm, 4), (wgpu::TextureFormat::Rgba32Float, 16)]
            .map(|(format, bytes)| upload(gpu, (1, 1), format, &vec![0; bytes]).create_view(&Default::default()));
        Self { pipelines: HashMap::new(), shader, pipeline_layout, format, layout, uniforms, sampler, nothing }
    }

    /// The pipeline for what is shown of a picture of which `level` can be there, as the shader counts it.
    fn pipeline(&mut self, gpu: &Gpu, kind: Kind, level: u32) -> &wgpu::RenderPipeline {
        let Self { pipelines, shader, pipeline_layout, format, .. } = self;
        pipelines.entry((kind, level)).or_insert_with(|| {
            let number = Kind::ALL.iter().position(|other| *other == kind).unwrap_or(0);
            let constants = [("kind", number as f64), ("level", f64::from(level))];
            gpu.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: Some("present"),
                layout: Some(pipeline_layout),
                vertex: wgpu::VertexState {
                    module: shader,
                    entry_point: Some("vertex"),
                    compilation_options: Default::default(),
                    buffers: &[],
                },
                primitive: Default::default(),
                depth_stencil: None,
                multisample: Default::default(),
                fragment: Some(wgpu::FragmentState {
                    module: shader,
                    entry_point: Some("fragment"),
                    compilation_options: wgpu::PipelineCompilationOptions {
                        constants: &constants,
                        ..Default::default()
                    },
                    targets: &[Some((*format).into())],
                }),
                multiview_mask: None,
                cache: None,
            })
        })
    }

    /// Shows a picture of `sums` and what the network made of it, in a rectangle of `target`. One call a submission: the
    /// uniforms are written before it.
    pub fn draw(
        &mut self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        (shown, sums, made): (&Camera, &Sums, Option<&Made>),
        wanted: &Wanted,
        target: &wgpu::TextureView,
    ) {
        let uniforms = uniforms(shown, made, wanted);
        gpu.queue.write_buffer(&self.uniforms, 0, bytemuck::bytes_of(&uniforms));
        let [rgba, facts] = &self.nothing;
        let views = made.map_or([rgba, facts], |made| made.views.each_ref());
        let truth = wanted.truth.map_or(rgba, |(_, texture)| texture);
        let textures = [&sums.colour, &sums.depth, views[0], views[1], truth];
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: self.uniforms.as_entire_binding() }];
        entries.extend(textures.into_iter().enumerate().map(|(i, view)| wgpu::BindGroupEntry {
            binding: i as u32 + 1,
            resource: wgpu::BindingResource::TextureView(view),
        }));
        entries.push(wgpu::BindGroupEntry { binding: 6, resource: wgpu::BindingResource::Sampler(&self.sampler) });
        let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("present"),
            layout: &self.layout,
            entries: &entries,
        });
        let level = match (made, wanted.level) {
            (None, _) | (_, Level::Proxy) => 0,
            (Some(_), Level::Coarse) => 1,
            (Some(_), Level::Half) => 2,
            (Some(made), Level::Full) => 3 + u32::from(made.full.is_whole()),
        };
        let pipeline = self.pipeline(gpu, wanted.kind, level);
        let mut pass = colour_pass(encoder, "present", target, true);
        let (x, y) = wanted.origin;
        pass.set_viewport(x as f32, y as f32, shown.width as f32, shown.height as f32, 0.0, 1.0);
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.draw(0..3, 0..1);
    }
}

/// A pass that draws on `target`, on the background or on what is there.
pub fn colour_pass<'a>(
    encoder: &'a mut wgpu::CommandEncoder,
    label: &str,
    target: &wgpu::TextureView,
    clear: bool,
) -> wgpu::RenderPass<'a> {
    let [r, g, b] = BACKGROUND;
    let background = wgpu::Color { r: r.into(), g: g.into(), b: b.into(), a: 1.0 };
    let load = if clear { wgpu::LoadOp::Clear(background) } else { wgpu::LoadOp::Load };
    encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some(label),
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view: target,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load, store: wgpu::StoreOp::Store },
        })],
        ..Default::default()
    })
}

/// What the shader is told.
fn uniforms(shown: &Camera, made: Option<&Made>, wanted: &Wanted) -> Uniforms {
    let size = |(width, height): (u32, u32)| [width as f32, height as f32];
    // Both cameras have one pose: a pixel is scaled and moved.
    let (scale, offset) = wanted.truth.map_or((glam::Vec2::ZERO, glam::Vec2::splat(-1.0)), |(camera, _)| {
        let full = glam::Vec2::new(camera.width as f32, camera.height as f32);
        let scale = camera.focal / shown.focal;
        (scale / full, (camera.center - shown.center * scale + 0.5) / full)
    });
    Uniforms {
        shown: size((shown.width, shown.height)),
        made: made.map_or([1.0; 2], |made| size(made.full.size)),
        range: wanted.range,
        focal: shown.focal.into(),
        center: shown.center.into(),
        truth_scale: scale.into(),
        truth_offset: offset.into(),
        origin: size(wanted.origin),
        gain: ERROR_GAIN,
        padding: 0.0,
    }
}
