//! The feature network on a CUDA device, forward and backward, in f32.
//!
//! Convolutions are implicit products of matrices, normalisations are fused with the residual and the activation that
//! follow them. Every sum has a fixed order, so a pass repeats to the last bit on the same device. Functions return
//! before the work is done; all of it is in order on the first stream.

mod backward;
mod conv;
mod forward;
#[cfg(test)]
mod layer_tests;
mod norm;
mod pool;
mod resize;
#[cfg(test)]
mod tests;
pub(crate) mod twins;

use super::FeatureNet;
use crate::{Error, Result};
use compute::cuda::{Buffer, CudaError, Device, KernelSource, Module};
use conv::{PackJobs, Product};
pub use forward::CudaTape;
use layers::Slot;
use layers::conv2d::Conv2d;
use pool::Pool;
use std::sync::Arc;

/// How many images there are, one after the other, and their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSize {
    /// Images.
    pub images: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl ImageSize {
    /// As many images of twice the size.
    fn doubled(self) -> Self {
        Self { height: 2 * self.height, width: 2 * self.width, ..self }
    }
}

/// Features of images on a device.
#[derive(Debug)]
pub struct DeviceMap {
    /// Images.
    pub images: usize,
    /// Width, about a quarter of the image's.
    pub width: usize,
    /// Height.
    pub height: usize,
    /// Channels.
    pub channels: usize,
    /// `[images, height, width, channels]`, no more values than that.
    pub data: Buffer<f32>,
}

/// The kernels on one device.
#[derive(Debug)]
struct Kernels {
    conv: Module,
    weights: Module,
    norm: Module,
    norm_back: Module,
    resize: Module,
}

impl Kernels {
    fn new(device: &Device) -> Result<Self> {
        let module = |file| device.module(&KernelSource::plain(file));
        Ok(Self {
            conv: module("features/conv.cu")?,
            weights: module("features/conv_weights.cu")?,
            norm: module("features/norm.cu")?,
            norm_back: module("features/norm_back.cu")?,
            resize: module("features/resize.cu")?,
        })
    }
}

/// The feature network on one device, with its parameters and the memory that calls share.
#[derive(Debug)]
pub struct CudaFeatures {
    net: Arc<FeatureNet>,
    device: Device,
    kernels: Kernels,
    pool: Pool,
    /// The network's own part of the flat parameters.
    params: Buffer<f32>,
    /// Where that part starts.
    first: usize,
    /// Packed weights of all units and of the last convolution.
    forward_weights: Vec<Buffer<f32>>,
    pack_forward: PackJobs,
    /// The same for the gradients of images, but for the stem's; empty before the first backward pass.
    backward_weights: Vec<Buffer<f32>>,
    pack_backward: Option<PackJobs>,
    /// Whether those are of the present parameters.
    backward_ready: bool,
}

/// Where a parameter lies on the device.
fn address(flat: &Buffer<f32>, slot: Slot) -> u64 {
    assert!(slot.offset + slot.len <= flat.len(), "{slot:?} in a flat vector of {}", flat.len());
    flat.address() + (slot.offset * size_of::<f32>()) as u64
}

impl CudaFeatures {
    /// Makes the network ready; its parameters are all zero before [`CudaFeatures::set_params`].
    ///
    /// # Errors
    /// [`Error::Cuda`] if kernels cannot be had or memory is short.
    pub fn new(device: &Device, net: &FeatureNet) -> Result<Self> {
        let slots = || {
            let conv = |c: &Conv2d| [Some(c.weight()), c.bias()];
            let units = net.units.iter().flat_map(move |u| [Some(u.norm.gain()), Some(u.norm.offset())]);
            net.convs().flat_map(conv).chain(units).flatten()
        };
        let first = slots().map(|s| s.offset).min().expect("a network has parameters");
        let end = slots().map(|s| s.offset + s.len).max().expect("a network has parameters");
        let forward_weights: Vec<_> =
            net.convs().map(|c| conv::packed(device, c, Product::Output)).collect::<Result<_>>()?;
        let params = device.zeros(end - first)?;
        let jobs = net.convs().zip(&forward_weights).map(|(conv, packed)| {
            let weight = conv.weight();
            (conv, address(&params, Slot { offset: weight.offset - first, ..weight }), packed)
        });
        Ok(Self {
            kernels: Kernels::new(device)?,
            pool: Pool::new(device),
            pack_forward: PackJobs::new(device, Product::Output, jobs)?,
            pack_backward: None,
            params,
            device: device.clone(),
            net: Arc::new(net.clone()),
            first,
            forward_weights,
            backward_weights: Vec::new(),
            backward_ready: false,
        })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Takes the network's parameters out of the model's flat ones.
    ///
    /// # Panics
    /// If `params` ends before the network's parameters do.
    ///
    /// # Errors
    /// [`Error::Cuda`] if the device fails.
    pub fn set_params(&mut self, params: &[f32]) -> Result<()> {
        let end = self.first + self.params.len();
        assert!(end <= params.len(), "{} parameters, the network's end at {end}", params.len());
        let first = self.first;
        self.change_params(|own| own.write(&params[first..end]))
    }

    /// Which of the model's parameters the network's are.
    pub fn slot(&self) -> Slot {
        Slot { offset: self.first, len: self.params.len() }
    }

    /// Lets `change` change the network's own parameters where they are.
    ///
    /// # Errors
    /// That of `change`, or [`Error::Cuda`] if the device fails.
    pub fn change_params(
        &mut self,
        change: impl FnOnce(&mut Buffer<f32>) -> std::result::Result<(), CudaError>,
    ) -> Result<()> {
        change(&mut self.params)?;
        self.pack()
    }

    /// The network's own parameters.
    ///
    /// # Errors
    /// [`Error::Cuda`] if the device fails.
    pub fn read_params(&self) -> Result<Vec<f32>> {
        Ok(self.params.read()?)
    }

    /// Checks that the network can read images of a size, and that their buffer holds them.
    fn check(&self, buffer: &Buffer<f32>, ImageSize { images, height, width }: ImageSize) -> Result<()> {
        self.net.check_size(height, width)?;
        let expected = images * height * width * 3;
        if buffer.len() < expected {
            return Err(Error::Input(format!(
                "source images: expected {expected} values for {images} of {width}x{height} pixels, found {}",
                buffer.len()
            )));
        }
        Ok(())
    }

    /// Takes a map's memory back for later calls.
    pub fn recycle(&mut self, map: DeviceMap) {
        self.pool.give(map.data);
    }

    /// Gives memory back to the device that was kept for later calls.
    pub fn release_memory(&mut self) {
        self.pool = Pool::new(&self.device);
    }

    /// `slot` of the model's parameters in the network's own part.
    fn own(&self, slot: Slot) -> Slot {
        Slot { offset: slot.offset - self.first, ..slot }
    }

    fn pack(&mut self) -> Result<()> {
        self.backward_ready = false;
        self.kernels.pack(&self.pack_forward)
    }

    /// Packs what only a backward pass reads, once for each change of the parameters.
    fn make_backward_ready(&mut self) -> Result<()> {
        if self.backward_ready {
            return Ok(());
        }
        if self.pack_backward.is_none() {
            let (net, device) = (Arc::clone(&self.net), self.device.clone());
            // Nobody asks for the gradient of the photograph.
            let convs = || net.convs().skip(1);
            self.backward_weights = convs().map(|c| conv::packed(&device, c, Product::Image)).collect::<Result<_>>()?;
            let weights = convs().map(|conv| address(&self.params, self.own(conv.weight())));
            let jobs =
                convs().zip(weights).zip(&self.backward_weights).map(|((conv, weight), packed)| (conv, weight, packed));
            self.pack_backward = Some(PackJobs::new(&device, Product::Image, jobs)?);
        }
        self.kernels.pack(self.pack_backward.as_ref().expect("made before"))?;
        self.backward_ready = true;
        Ok(())
    }
}

impl FeatureNet {
    /// All convolutions, that of unit `i` at `i`, then the last.
    fn convs(&self) -> impl Iterator<Item = &Conv2d> {
        self.units.iter().map(|u| &u.conv).chain([&self.out])
    }
}
