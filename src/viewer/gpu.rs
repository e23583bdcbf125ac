//! The graphics device: found, opened, watched.

use crate::{Error, Result};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// What to install where no adapter is found.
const MISSING: &str = "no Vulkan or OpenGL adapter was found; a graphics driver is missing, or for rendering on the \
                       processor the packages libvulkan1 and mesa-vulkan-drivers (Debian, Ubuntu), vulkan-loader and \
                       mesa-vulkan-drivers (Fedora)";

/// A graphics device.
#[derive(Debug)]
pub struct Gpu {
    /// The device.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    /// The adapter.
    pub adapter: wgpu::Adapter,
    lost: Arc<AtomicBool>,
    problem: Arc<Mutex<Option<String>>>,
}

/// Interfaces in the order in which they are tried: one that is not needed is not even looked for, since OpenGL says on its
/// own what it misses. `WGPU_BACKEND` chooses one, as `vulkan` or `gl`.
pub fn backends() -> Vec<wgpu::Backends> {
    wgpu::Backends::from_env().map_or_else(|| vec![wgpu::Backends::PRIMARY, wgpu::Backends::SECONDARY], |one| vec![one])
}

impl Gpu {
    /// Opens a device without a window: the best adapter of Vulkan, else one of OpenGL.
    ///
    /// # Errors
    /// [`Error::Graphics`] that says what is missing.
    pub fn without_window() -> Result<Self> {
        let mut opened = Err(Error::Graphics(MISSING.into()));
        for backends in backends() {
            let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
            opened = Self::open(&wgpu::Instance::new(wgpu::InstanceDescriptor { backends, ..descriptor }), None);
            if opened.is_ok() {
                break;
            }
        }
        opened
    }

    /// Opens a device of an instance that can draw on `surface`, if there is one.
    ///
    /// # Errors
    /// [`Error::Graphics`] that says what is missing.
    pub fn open(instance: &wgpu::Instance, surface: Option<&wgpu::Surface>) -> Result<Self> {
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            compatible_surface: surface,
            ..Default::default()
        };
        let adapter = wait(instance.request_adapter(&options))
            .ok_or_else(|| Error::Graphics("the driver does not answer".into()))?
            .map_err(|_| Error::Graphics(MISSING.into()))?;
        let limits = wgpu::Limits::downlevel_defaults().using_resolution(adapter.limits());
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("viewer"),
            required_limits: limits,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = wait(adapter.request_device(&descriptor))
            .ok_or_else(|| Error::Graphics("the driver does not answer".into()))?
            .map_err(|e| Error::Graphics(format!("{}: {e}", adapter.get_info().name)))?;
        let (lost, problem) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let flag = Arc::clone(&lost);
        device.set_device_lost_callback(move |_, _| flag.store(true, Ordering::SeqCst));
        let told = Arc::clone(&problem);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            told.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
        }));
        Ok(Self { device, queue, adapter, lost, problem })
    }

    /// Whether the device is gone and another one must be opened.
    pub fn is_lost(&self) -> bool {
        // Loss is told when the device is asked for anything.
        let _ = self.device.poll(wgpu::PollType::Poll);
        self.lost.load(Ordering::SeqCst)
    }

    /// What went wrong since the last call.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Name of the adapter with its interface, such as `llvmpipe (Vulkan)`.
    pub fn name(&self) -> String {
        let info = self.adapter.get_info();
        format!("{} ({})", info.name, info.backend)
    }

    /// Whether the processor does the device's work.
    pub fn is_software(&self) -> bool {
        self.adapter.get_info().device_type == wgpu::DeviceType::Cpu
    }

    /// Waits until everything that was submitted is done.
    pub fn finish(&self) {
        // Of a lost device nothing can be waited for.
        let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
    }

    /// Reads a texture of four bytes a pixel.
    ///
    /// # Errors
    /// [`Error::Graphics`] if the device was lost meanwhile.
    pub fn read(&self, texture: &wgpu::Texture) -> Result<Vec<u8>> {
        let (width, height) = (texture.width(), texture.height());
        let row = (4 * width).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read"),
            size: u64::from(row) * u64::from(height),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None };
        let to = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
        encoder.copy_texture_to_buffer(texture.as_image_copy(), to, texture.size());
        self.queue.submit([encoder.finish()]);
        let (sender, receiver) = std::sync::mpsc::channel();
        buffer.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // Nobody listens any more only if the wait below failed.
            let _ = sender.send(result.is_ok());
        });
        self.finish();
        let lost = || Error::Graphics("the device was lost while a picture was read from it".into());
        if !receiver.try_recv().unwrap_or(false) {
            return Err(lost());
        }
        let mapped = buffer.slice(..).get_mapped_range().map_err(|_| lost())?;
        let rows = mapped.chunks_exact(row as usize).flat_map(|row| &row[..4 * width as usize]);
        Ok(rows.copied().collect())
    }
}

/// What a future gives, asked every millisecond for ten seconds: some drivers answer at once, some on another thread.
fn wait<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    None
}
