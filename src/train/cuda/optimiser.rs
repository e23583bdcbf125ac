//! The optimiser of the feature network, whose parameters stay on the device between steps: they are nearly all of a large
//! network's, and the host would take longer for them than the device for the rest of the step.

use crate::Result;
use crate::adam::{BETA1, BETA2, EPS, corrections, follow};
use crate::state::State;
use compute::cuda::{Args, Buffer, Device, KernelSource, Launch, Module};
use gnt::features::cuda::CudaFeatures;
use layers::Slot;
use layers::cuda::BLOCK;

/// How the optimiser takes a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    /// Number of the step, from 1.
    pub step: u64,
    /// Learning rate.
    pub rate: f32,
    /// What the gradient is multiplied by.
    pub clip: f32,
    /// What the running average keeps of itself.
    pub average_decay: f32,
}

/// Moments and running average of the parameters in `slot`.
#[derive(Debug)]
pub(super) struct FeatureOptimiser {
    module: Module,
    slot: Slot,
    first: Buffer<f32>,
    second: Buffer<f32>,
    average: Buffer<f32>,
    /// Bits of partial sums in f64.
    partials: Buffer<u64>,
}

/// Blocks that a sum of squares is shared out to, at most.
const SUM_BLOCKS: usize = 512;

impl FeatureOptimiser {
    /// Takes the feature network's part of `state` over; its parameters go to `features`.
    pub fn new(device: &Device, features: &mut CudaFeatures, state: &State) -> Result<Self> {
        let slot = features.slot();
        features.set_params(&state.params)?;
        let blocks = slot.len.div_ceil(BLOCK).clamp(1, SUM_BLOCKS);
        Ok(Self {
            module: device.module(&KernelSource::plain("training/optimiser.cu"))?,
            slot,
            first: device.upload(slot.of(&state.adam.first))?,
            second: device.upload(slot.of(&state.adam.second))?,
            average: device.upload(slot.of(&state.average))?,
            partials: device.zeros(blocks)?,
        })
    }

    /// Sum of the squares of the gradients, of which `grads` has all of the network.
    pub fn squares(&mut self, grads: &Buffer<f32>) -> Result<f64> {
        let args = Args::new().value(self.address(grads)).buffer(&self.partials).value(self.slot.len as u64);
        // SAFETY: the slot lies within the gradients (checked), and each block has a partial sum.
        unsafe { self.module.launch("optimiser_squares", &Launch::new(self.partials.len(), BLOCK as u32), args)? };
        Ok(self.partials.read()?.into_iter().map(f64::from_bits).sum())
    }

    /// A step of Adam and of the average.
    pub fn update(&mut self, features: &mut CudaFeatures, grads: &Buffer<f32>, how: Update) -> Result<()> {
        let (first, second) = corrections(how.step);
        let rate = (f64::from(how.rate) / first) as f32;
        let grads = self.address(grads);
        let Self { module, slot, first, second: moment, average, .. } = self;
        Ok(features.change_params(|params| {
            let args = Args::new().buffer(params).buffer(first).buffer(moment).buffer(average).value(grads);
            let args = args.float(BETA1).float(BETA2).float(EPS).float(how.clip).float(rate).float(second);
            let args = args.float(follow(how.step - 1, how.average_decay)).value(slot.len as u64);
            // SAFETY: all vectors have as many values as the slot, and each thread changes its own.
            unsafe { module.launch("optimiser_adam", &Launch::each(slot.len), args) }
        })?)
    }

    /// Brings what has changed on the device back to `state`.
    pub fn store(&self, features: &CudaFeatures, state: &mut State) -> Result<()> {
        let (params, first) = (features.read_params()?, self.first.read()?);
        let (second, average) = (self.second.read()?, self.average.read()?);
        // Only when all of it is there: half of a state would be none.
        self.slot.of_mut(&mut state.params).copy_from_slice(&params);
        self.slot.of_mut(&mut state.adam.first).copy_from_slice(&first);
        self.slot.of_mut(&mut state.adam.second).copy_from_slice(&second);
        self.slot.of_mut(&mut state.average).copy_from_slice(&average);
        Ok(())
    }

    fn address(&self, grads: &Buffer<f32>) -> u64 {
        let Slot { offset, len } = self.slot;
        assert!(offset + len <= grads.len(), "{:?} of {} gradients", self.slot, grads.len());
        grads.address() + (offset * size_of::<f32>()) as u64
    }
}
