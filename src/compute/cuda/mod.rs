//! CUDA devices: memory, kernels and launches.
//!
//! A [`Driver`] is what the rest of the program sees of a device. One is a real GPU ([`real`]); another, the `kernels-host`
//! crate, runs the same kernels on the CPU, so that their logic is tested on machines without a GPU.

pub mod buffer;
pub mod cache;
pub mod error;
pub mod launch;
pub mod nvrtc;
pub mod prebuilt;
pub mod real;
pub mod sources;
pub mod twin;

pub use buffer::{Buffer, Plain};
pub use error::{CudaError, Result};
pub use launch::{Args, Launch};

use std::ffi::c_void;
use std::fmt::Debug;
use std::sync::Arc;

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Name as the driver tells it.
    pub name: String,
    /// Which card it is and which driver runs it: what is known of the one need not hold for another.
    pub identity: String,
    /// Compute capability, such as `(9, 0)`.
    pub capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Most bytes of shared memory that a block can have.
    pub shared_per_block: u32,
    /// Bytes of shared memory of a multiprocessor.
    pub shared_per_multiprocessor: u32,
    /// Bytes of memory.
    pub memory: u64,
}

/// A kernel file with the constants it is compiled for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelSource {
    /// Path below `kernels/`, such as `features/conv.cu`.
    pub file: &'static str,
    /// Macros with their values, in the order in which they are written.
    pub defines: Vec<(&'static str, i64)>,
    /// Most registers a thread may have; no limit if none.
    pub registers: Option<u32>,
}

impl KernelSource {
    /// A file that is compiled as it is.
    pub fn plain(file: &'static str) -> Self {
        Self { file, defines: Vec::new(), registers: None }
    }

    /// A name for the file with its constants: `features/conv.cu` or `render/render.cu WIDTH=64 HEADS=4`.
    pub fn label(&self) -> String {
        let defines = self.defines.iter().map(|(name, value)| format!(" {name}={value}"));
        std::iter::once(self.file.to_owned()).chain(defines).collect()
    }
}

/// Number of streams of a device. Work of one stream is done in order; two streams may overlap.
pub const STREAMS: usize = 2;

/// What a device can do. Addresses are the device's own.
pub trait Driver: Send + Sync + Debug {
    /// What the device is.
    fn info(&self) -> &DeviceInfo;
    /// Bytes of memory that are free now.
    ///
    /// # Errors
    /// If the device does not answer.
    fn free_memory(&self) -> Result<u64>;
    /// Allocates `bytes` (more than 0) bytes, aligned to 256, and fills them with zeros.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`] if there is not so much.
    fn allocate(&self, bytes: usize) -> Result<u64>;
    /// Gives memory back.
    ///
    /// # Safety
    /// `address` came from [`Driver::allocate`], and nothing uses it any more.
    unsafe fn free(&self, address: u64);
    /// Copies to the device, after all earlier work of `stream`; returns when `bytes` may be changed.
    ///
    /// # Safety
    /// The memory at `address` is allocated for as many bytes.
    ///
    /// # Errors
    /// If the copy fails, or work before it did.
    unsafe fn write(&self, stream: usize, address: u64, bytes: &[u8]) -> Result<()>;
    /// Copies from the device, after all earlier work of `stream`; returns when `bytes` is filled.
    ///
    /// # Safety
    /// The memory at `address` is allocated for as many bytes.
    ///
    /// # Errors
    /// If the copy fails, or work before it did.
    unsafe fn read(&self, stream: usize, address: u64, bytes: &mut [u8]) -> Result<()>;
    /// Fills memory with zeros, after all earlier work of `stream`.
    ///
    /// # Safety
    /// The memory at `address` is allocated for as many bytes.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn zero(&self, stream: usize, address: u64, bytes: usize) -> Result<()>;
    /// Makes the kernels of `source` ready; the same source gives the same number.
    ///
    /// # Errors
    /// If they cannot be compiled or loaded.
    fn module(&self, source: &KernelSource) -> Result<usize>;
    /// Starts a kernel; returns before it is done.
    ///
    /// # Safety
    /// `args` are those of the kernel, and the memory they point to is large enough.
    ///
    /// # Errors
    /// If there is no such kernel, or the launch is refused.
    unsafe fn launch(&self, module: usize, kernel: &str, how: &Launch, args: &mut [*mut c_void]) -> Result<()>;
    /// Waits until all work of `stream` is done.
    ///
    /// # Errors
    /// If some of it failed.
    fn synchronise(&self, stream: usize) -> Result<()>;
    /// Marks this point of `stream`'s work; the number is an argument of [`Driver::seconds_between`].
    ///
    /// # Errors
    /// If the device fails.
    fn mark(&self, stream: usize) -> Result<usize>;
    /// Seconds between two marks, after waiting for the second. Both are forgotten.
    ///
    /// # Errors
    /// If the device fails.
    fn seconds_between(&self, first: usize, second: usize) -> Result<f64>;
}

/// A device, shared by everything that lives on it.
#[derive(Clone, Debug)]
pub struct Device(pub Arc<dyn Driver>);

/// The kernels of one [`KernelSource`] on a device.
#[derive(Clone, Debug)]
pub struct Module {
    device: Device,
    number: usize,
}

impl Device {
    /// What the device is.
    pub fn info(&self) -> &DeviceInfo {
        self.0.info()
    }

    /// Makes the kernels of `source` ready.
    ///
    /// # Errors
    /// If they cannot be compiled or loaded.
    pub fn module(&self, source: &KernelSource) -> Result<Module> {
        Ok(Module { device: self.clone(), number: self.0.module(source)? })
    }

    /// Memory for `len` values, all zero.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`] if there is not so much.
    pub fn zeros<T: Plain>(&self, len: usize) -> Result<Buffer<T>> {
        Buffer::zeros(self, len)
    }

    /// A copy of `values` on the device.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`] if there is not so much memory.
    pub fn upload<T: Plain>(&self, values: &[T]) -> Result<Buffer<T>> {
        let mut buffer = Buffer::zeros(self, values.len())?;
        buffer.write(values)?;
        Ok(buffer)
    }

    /// Waits until all work is done.
    ///
    /// # Errors
    /// If some of it failed.
    pub fn synchronise(&self) -> Result<()> {
        (0..STREAMS).try_for_each(|stream| self.0.synchronise(stream))
    }
}

impl Module {
    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Starts a kernel; returns before it is done.
    ///
    /// # Safety
    /// `args` are those of the kernel, in order, and the buffers among them are large enough for what it touches.
    ///
    /// # Errors
    /// If there is no such kernel, or the launch is refused.
    pub unsafe fn launch(&self, kernel: &str, how: &Launch, mut args: Args) -> Result<()> {
        // SAFETY: the caller vouches for the arguments.
        unsafe { self.device.0.launch(self.number, kernel, how, &mut args.pointers()) }
    }
}
