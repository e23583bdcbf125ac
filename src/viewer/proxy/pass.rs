//! The proxy on the graphics device.

use super::depth::DepthMap;
use super::mesh::{Corner, Mesh};
use super::views::{Chosen, MOST};
use crate::gpu::Gpu;
use bytemuck::{Pod, Zeroable};
use glam::{Mat4, Vec4};
use scene::Camera;
use std::collections::HashMap;

/// What the sums of the second pass are kept in: floats can be blended.
const SUMS: wgpu::TextureFormat = wgpu::TextureFormat::Rgba16Float;
const DEPTH: wgpu::TextureFormat = wgpu::TextureFormat::Depth32Float;
/// Part of a depth by which a surface may lie behind the nearest one and still be blended with it.
pub const THICK: f32 = 0.03;
/// Against those on surfaces, the weight of triangles that span an edge of depth.
pub const ACROSS: f32 = 0.003;
/// Bytes from one set of uniforms to the next.
const STRIDE: u64 = 256;

/// Twin of `Frame` in proxy.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct FrameUniforms {
    clip_from_world: [f32; 16],
    eye: [f32; 4],
}

/// Twin of `View` in proxy.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ViewUniforms {
    center: [f32; 4],
    weight: [f32; 4],
}

/// Clip space from world space of a camera: depth is 0 at `near` and 1 at infinity. With it what is added to the depth in
/// clip space to let through what lies [`THICK`] behind the nearest surface.
pub fn clip_from_world(camera: &Camera, near: f32) -> (Mat4, f32) {
    let (width, height) = (camera.width as f32, camera.height as f32);
    let (f, c) = (camera.focal, camera.center + 0.5);
    let clip_from_camera = Mat4::from_cols(
        Vec4::new(2.0 * f.x / width, 0.0, 0.0, 0.0),
        Vec4::new(0.0, -2.0 * f.y / height, 0.0, 0.0),
        Vec4::new(2.0 * c.x / width - 1.0, 1.0 - 2.0 * c.y / height, 1.0, 1.0),
        Vec4::new(0.0, 0.0, -near, 0.0),
    );
    (clip_from_camera * camera.world_from_camera.inverse(), -near * (1.0 / (1.0 - THICK) - 1.0))
}

/// A photograph on the device.
#[derive(Debug)]
struct Photo {
    texture: wgpu::TextureView,
    group: wgpu::BindGroup,
    center: [f32; 4],
    mesh: Option<Uploaded>,
    /// When it was last drawn, in frames.
    used: u64,
}

#[derive(Debug)]
struct Uploaded {
    corners: wgpu::Buffer,
    indices: wgpu::Buffer,
    on_surfaces: u32,
    count: u32,
}

/// The sums of a picture.
#[derive(Debug)]
pub struct Sums {
    /// Width and height.
    pub size: (u32, u32),
    /// Weighted colour, and weight.
    pub colour: wgpu::TextureView,
    /// Weighted depth, and which view has most.
    pub depth: wgpu::TextureView,
    front: wgpu::TextureView,
    drawn: Option<Drawn>,
}

/// What sums were drawn of.
#[derive(Clone, Debug, PartialEq)]
struct Drawn {
    camera: Camera,
    near: f32,
    chosen: Vec<Chosen>,
    changes: u64,
}

/// Pipelines, photographs and meshes.
#[derive(Debug)]
pub struct ProxyPass {
    front: wgpu::RenderPipeline,
    blend: wgpu::RenderPipeline,
    frame: wgpu::Buffer,
    frame_group: wgpu::BindGroup,
    views: wgpu::Buffer,
    view_layout: wgpu::BindGroupLayout,
    sampler: wgpu::Sampler,
    photos: HashMap<usize, Photo>,
    frames: u64,
    /// How often a photograph or its depth changed.
    changes: u64,
    /// Most corners in a row of a mesh.
    corners: usize,
}

/// Most photographs that are kept on the device.
pub const MOST_PHOTOS: usize = 48;

impl ProxyPass {
    /// Makes the pipelines.
    pub fn new(gpu: &Gpu) -> Self {
        let device = &gpu.device;
        let shader = device.create_shader_module(wgpu::include_wgsl!("../../../shaders/viewer/proxy.wgsl"));
        let uniform = |binding, dynamic| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::VERTEX_FRAGMENT,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: dynamic,
                min_binding_size: None,
            },
            count: None,
        };
        let fragment = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty,
            count: None,
        };
        let frame_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("proxy frame"),
            entries: &[uniform(0, false)],
        });
        let view_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("proxy view"),
            entries: &[
                uniform(0, true),
                fragment(
                    1,
                    wgpu::BindingType::Texture {
                        sample_type: wgpu::TextureSampleType::Float { filterable: true },
                        view_dimension: wgpu::TextureViewDimension::D2,
                        multisampled: false,
                    },
                ),
                fragment(2, wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering)),
            ],
        });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("proxy"),
            bind_group_layouts: &[Some(&frame_layout), Some(&view_layout)],
            immediate_size: 0,
        });
        let attributes = wgpu::vertex_attr_array![0 => Float32x3, 1 => Float32x2, 2 => Float32];
        let buffers = [Some(wgpu::VertexBufferLayout {
            array_stride: size_of::<Corner>() as u64,
            step_mode: wgpu::VertexStepMode::Vertex,
            attributes: &attributes,
        })];
        let sum = |colour: wgpu::BlendOperation, alpha: wgpu::BlendOperation| {
            let component = |operation| wgpu::BlendComponent {
                src_factor: wgpu::BlendFactor::One,
                dst_factor: wgpu::BlendFactor::One,
                operation,
            };
            Some(wgpu::ColorTargetState {
                format: SUMS,
                blend: Some(wgpu::BlendState { color: component(colour), alpha: component(alpha) }),
                write_mask: wgpu::ColorWrites::ALL,
            })
        };
        let add = wgpu::BlendOperation::Add;
        let targets = [sum(add, add), sum(add, wgpu::BlendOperation::Max)];
        let pipeline = |vertex, fragment, targets: &[Option<wgpu::ColorTargetState>], writes: bool| {
            device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: Some(vertex),
                layout: Some(&layout),
                vertex: wgpu::VertexState {
                    module: &shader,
                    entry_point: Some(vertex),
                    compilation_options: Default::default(),
                    buffers: &buffers,
                },
                primitive: Default::default(),
                depth_stencil: Some(wgpu::DepthStencilState {
                    format: DEPTH,
                    depth_write_enabled: Some(writes),
                    depth_compare: Some(wgpu::CompareFunction::LessEqual),
                    stencil: Default::default(),
                    bias: Default::default(),
                }),
                multisample: Default::default(),
                fragment: Some(wgpu::FragmentState {
                    module: &shader,
                    entry_point: Some(fragment),
                    compilation_options: Default::default(),
                    targets,
                }),
                multiview_mask: None,
                cache: None,
            })
        };
        let front = pipeline("front_vertex", "front_fragment", &[], true);
        let blend = pipeline("blend_vertex", "blend_fragment", &targets, false);
        let buffer = |label, size| {
            let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
        };
        let frame = buffer("proxy frame", size_of::<FrameUniforms>() as u64);
        let frame_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("proxy frame"),
            layout: &frame_layout,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: frame.as_entire_binding() }],
        });
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("photograph"),
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        Self {
            front,
            blend,
            frame,
            frame_group,
            views: buffer("proxy views", 2 * MOST as u64 * STRIDE),
            view_layout,
            sampler,
            photos: HashMap::new(),
            frames: 0,
            changes: 0,
            corners: if gpu.is_software() { 40 } else { 192 },
        }
    }

    /// Puts a photograph on the device: `[height, width]` of four bytes. Of more than [`MOST_PHOTOS`] those that are not
    /// among the `wanted` are given up, those that were not drawn for longest first; returns them.
    pub fn put_photo(
        &mut self,
        gpu: &Gpu,
        (view, camera): (usize, &Camera),
        size: (u32, u32),
        rgba: &[u8],
        wanted: &[usize],
    ) -> Vec<usize> {
        self.changes += 1;
        let texture = upload(gpu, size, wgpu::TextureFormat::Rgba8Unorm, rgba).create_view(&Default::default());
        let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.views,
            offset: 0,
            size: std::num::NonZeroU64::new(size_of::<ViewUniforms>() as u64),
        });
        let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("proxy view"),
            layout: &self.view_layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource },
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::TextureView(&texture) },
                wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::Sampler(&self.sampler) },
            ],
        });
        let center = camera.origin().extend((view % 64) as f32).into();
        self.photos.insert(view, Photo { texture, group, center, mesh: None, used: self.frames });
        let mut given_up = Vec::new();
        while self.photos.len() > MOST_PHOTOS {
            let others = self.photos.iter().filter(|(other, _)| **other != view);
            let Some(oldest) = others
                .min_by_key(|(other, photo)| (wanted.contains(other), photo.used, **other))
                .map(|(other, _)| *other)
            else {
                break;
            };
            self.photos.remove(&oldest);
            given_up.push(oldest);
        }
        given_up
    }

    /// Gives a photograph its depth; returns whether it is there.
    pub fn put_depth(&mut self, gpu: &Gpu, view: usize, map: &DepthMap) -> bool {
        let Some(photo) = self.photos.get_mut(&view) else { return false };
        self.changes += 1;
        let mesh = Mesh::of(map, self.corners);
        // Not mapped when it is made: on a device that has just been lost that would panic.
        let buffer = |contents: &[u8], usage| {
            let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("mesh"),
                size: contents.len().max(4) as u64,
                usage: usage | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            gpu.queue.write_buffer(&buffer, 0, contents);
            buffer
        };
        photo.mesh = Some(Uploaded {
            corners: buffer(bytemuck::cast_slice(&mesh.corners), wgpu::BufferUsages::VERTEX),
            indices: buffer(bytemuck::cast_slice(&mesh.indices), wgpu::BufferUsages::INDEX),
            on_surfaces: mesh.on_surfaces,
            count: mesh.indices.len() as u32,
        });
        true
    }

    /// A photograph on the device.
    pub fn photo(&self, view: usize) -> Option<&wgpu::TextureView> {
        self.photos.get(&view).map(|photo| &photo.texture)
    }

    /// Views that can be drawn.
    pub fn ready(&self) -> Vec<usize> {
        let mut ready: Vec<usize> =
            self.photos.iter().filter(|(_, photo)| photo.mesh.is_some()).map(|(view, _)| *view).collect();
        ready.sort_unstable();
        ready
    }

    /// Textures for a picture.
    pub fn sums(&self, gpu: &Gpu, size: (u32, u32)) -> Sums {
        let texture = |format, label| {
            let usage = wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING;
            blank(gpu, size, format, usage, label).create_view(&Default::default())
        };
        Sums {
            size,
            colour: texture(SUMS, "proxy colour"),
            depth: texture(SUMS, "proxy depth"),
            front: texture(DEPTH, "proxy front"),
            drawn: None,
        }
    }

    /// Draws a picture of the chosen views as `camera` sees it, unless that is what the sums hold already; nothing nearer
    /// than `near` is drawn.
    pub fn draw(
        &mut self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        camera: &Camera,
        near: f32,
        chosen: &[Chosen],
        sums: &mut Sums,
    ) {
        self.frames += 1;
        for one in chosen {
            if let Some(photo) = self.photos.get_mut(&one.view) {
                photo.used = self.frames;
            }
        }
        let drawn = Drawn { camera: *camera, near, chosen: chosen.to_vec(), changes: self.changes };
        if sums.drawn.as_ref() == Some(&drawn) {
            return;
        }
        sums.drawn = Some(drawn);
        let (clip_from_world, behind) = clip_from_world(camera, near);
        let eye = camera.origin().extend(behind).into();
        let uniforms = FrameUniforms { clip_from_world: clip_from_world.to_cols_array(), eye };
        gpu.queue.write_buffer(&self.frame, 0, bytemuck::bytes_of(&uniforms));
        let mut drawn = Vec::new();
        for one in chosen.iter().take(MOST) {
            let Some(photo) = self.photos.get(&one.view).filter(|photo| photo.mesh.is_some()) else { continue };
            let at = drawn.len() as u64 * 2 * STRIDE;
            for (offset, weight) in [(0, 1.0), (STRIDE, ACROSS)] {
                let fills = if one.fills { 1.0 } else { 0.0 };
                let uniforms = ViewUniforms { center: photo.center, weight: [weight, fills, 0.0, 0.0] };
                gpu.queue.write_buffer(&self.views, at + offset, bytemuck::bytes_of(&uniforms));
            }
            drawn.push(*one);
        }
        let depth = |load| wgpu::RenderPassDepthStencilAttachment {
            view: &sums.front,
            depth_ops: Some(wgpu::Operations { load, store: wgpu::StoreOp::Store }),
            stencil_ops: None,
        };
        {
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                label: Some("proxy front"),
                depth_stencil_attachment: Some(depth(wgpu::LoadOp::Clear(1.0))),
                ..Default::default()
            });
            pass.set_pipeline(&self.front);
            self.draw_views(&mut pass, &drawn, false);
        }
        let colour = |view| {
            let ops =
                wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT), store: wgpu::StoreOp::Store };
            Some(wgpu::RenderPassColorAttachment { view, depth_slice: None, resolve_target: None, ops })
        };
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("proxy blend"),
            color_attachments: &[colour(&sums.colour), colour(&sums.depth)],
            depth_stencil_attachment: Some(depth(wgpu::LoadOp::Load)),
            ..Default::default()
        });
        pass.set_pipeline(&self.blend);
        self.draw_views(&mut pass, &drawn, true);
    }

    fn draw_views(&self, pass: &mut wgpu::RenderPass, drawn: &[Chosen], blend: bool) {
        pass.set_bind_group(0, &self.frame_group, &[]);
        for (i, one) in drawn.iter().enumerate() {
            let photo = &self.photos[&one.view];
            // What fills holes hides nothing.
            let Some(mesh) = photo.mesh.as_ref().filter(|_| blend || !one.fills) else { continue };
            pass.set_vertex_buffer(0, mesh.corners.slice(..));
            pass.set_index_buffer(mesh.indices.slice(..), wgpu::IndexFormat::Uint32);
            let at = (2 * i as u64 * STRIDE) as u32;
            pass.set_bind_group(1, &photo.group, &[at]);
            pass.draw_indexed(0..mesh.on_surfaces, 0, 0..1);
            if blend && mesh.count > mesh.on_surfaces {
                pass.set_bind_group(1, &photo.group, &[at + STRIDE as u32]);
                pass.draw_indexed(mesh.on_surfaces..mesh.count, 0, 0..1);
            }
        }
    }
}

/// A texture without content.
pub fn blank(
    gpu: &Gpu,
    (width, height): (u32, u32),
    format: wgpu::TextureFormat,
    usage: wgpu::TextureUsages,
    label: &str,
) -> wgpu::Texture {
    gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d { width: width.max(1), height: height.max(1), depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage,
        view_formats: &[],
    })
}

/// A texture with content.
pub fn upload(gpu: &Gpu, size: (u32, u32), format: wgpu::TextureFormat, data: &[u8]) -> wgpu::Texture {
    let usage = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST;
    let texture = blank(gpu, size, format, usage, "uploaded");
    write(gpu, &texture, (0, 0), size, data);
    texture
}

/// Writes a rectangle of a texture.
pub fn write(gpu: &Gpu, texture: &wgpu::Texture, (x, y): (u32, u32), (width, height): (u32, u32), data: &[u8]) {
    let bytes = texture.format().block_copy_size(None).unwrap_or(4);
    gpu.queue.write_texture(
        wgpu::TexelCopyTextureInfo { origin: wgpu::Origin3d { x, y, z: 0 }, ..texture.as_image_copy() },
        data,
        wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(bytes * width), rows_per_image: None },
        wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
    );
}
