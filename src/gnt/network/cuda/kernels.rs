//! The kernels of the training path on one device.

use layers::cuda::{Ops, Store, View};
use layers::linear::Linear;
use tensor::cuda::{Args, Buffer, Device, Launch, Module, Plain, Result, Source};

/// The layers' operations and what is the transformer's own.
#[derive(Debug)]
pub struct Kernels {
    /// Products, normalisation, ray attention, feed-forward parts.
    pub ops: Ops,
    pub(super) tokens: Module,
    pub(super) start: Module,
    pub(super) encoding: Module,
    pub(super) view_attention: Module,
    pub(super) hamming_views: Module,
    pub(super) head: Module,
}

impl Kernels {
    /// Makes the kernels ready.
    ///
    /// # Errors
    /// If they cannot be compiled or loaded.
    pub fn new(device: &Device) -> Result<Self> {
        let module = |file| device.module(&Source::plain(file));
        Ok(Self {
            ops: Ops::new(device)?,
            tokens: module("training/tokens.cu")?,
            start: module("training/start.cu")?,
            encoding: module("training/encoding.cu")?,
            view_attention: module("training/view_attention.cu")?,
            hamming_views: module("training/hamming_views.cu")?,
            head: module("training/head.cu")?,
        })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.ops.device()
    }
}

/// Threads of a block whose warps each have an item.
pub(super) const WARPS: usize = 8;

/// A warp for each of `count` items.
pub(super) fn warps(count: usize) -> Launch {
    Launch::new(count.div_ceil(WARPS).max(1), 32 * WARPS as u32)
}

/// Arguments from addresses and whole numbers, which nearly all kernels have.
pub(super) trait MoreArgs {
    /// A pointer to memory that is kept between steps.
    fn store<T: Plain>(self, store: &Store<T>) -> Self;
    /// A pointer to a part of a buffer.
    fn view(self, view: View) -> Self;
    /// Several `int`s.
    fn ints<const N: usize>(self, values: [usize; N]) -> Self;
}

impl MoreArgs for Args {
    fn store<T: Plain>(self, store: &Store<T>) -> Self {
        self.buffer(store.buffer())
    }

    fn view(self, view: View) -> Self {
        self.value(view.address())
    }

    fn ints<const N: usize>(self, values: [usize; N]) -> Self {
        values.into_iter().fold(self, Self::int)
    }
}

/// Where the parts of a layer with a bias lie.
pub(super) fn weight_and_bias<'a>(layer: &Linear, params: &'a Buffer<f32>) -> (View<'a>, View<'a>) {
    let bias = layer.bias.expect("a layer with a bias");
    (View::of(params, layer.weight), View::of(params, bias))
}

/// Memory that the host writes, kept between steps.
#[derive(Debug)]
pub struct Input<T: Plain = f32> {
    buffer: Option<Buffer<T>>,
    len: usize,
}

impl<T: Plain> Default for Input<T> {
    fn default() -> Self {
        Self { buffer: None, len: 0 }
    }
}

impl<T: Plain> Input<T> {
    /// Replaces the values, after all earlier work.
    ///
    /// # Errors
    /// [`tensor::cuda::CudaError::OutOfMemory`] if there is not so much memory.
    pub fn write(&mut self, device: &Device, values: &[T]) -> Result<()> {
        if self.buffer.as_ref().is_none_or(|b| b.len() < values.len()) {
            self.buffer = None;
            self.buffer = Some(device.zeros(values.len())?);
        }
        self.len = values.len();
        self.buffer.as_mut().expect("made above").write(values)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The memory, which may be longer than what is in use.
    ///
    /// # Panics
    /// If nothing was written yet.
    pub fn buffer(&self) -> &Buffer<T> {
        self.buffer.as_ref().expect("memory that was written")
    }
}
