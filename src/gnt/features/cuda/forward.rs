//! The pass from an image to its map.

use super::norm::Affine;
use super::pool::{Map, Pool, View};
use super::{CudaFeatures, DeviceMap, ImageSize, address};
use crate::Result;
use compute::cuda::Buffer;
use layers::Slot;
use std::sync::Arc;

/// Activations of images on the device, reused between calls.
#[derive(Debug, Default)]
pub struct CudaTape {
    pub(super) units: Vec<UnitTape>,
    pub(super) image: Option<Map>,
    pub(super) decoder: [DecodeTape; 2],
    /// Whether a forward pass has left everything that a backward pass needs.
    pub(super) complete: bool,
}

/// What a unit leaves for the backward pass.
#[derive(Debug, Default)]
pub(super) struct UnitTape {
    convolved: Option<Map>,
    stats: Option<Buffer<f32>>,
    output: Option<Map>,
}

#[derive(Debug, Default)]
pub(super) struct DecodeTape {
    pub upsampled: Option<Map>,
    pub joined: Option<Map>,
}

impl UnitTape {
    pub fn output(&self) -> View<'_> {
        self.output.as_ref().expect("a unit that has run and is still read").view()
    }

    /// What the normalisation read, its statistics and what it left.
    pub fn kept(&self) -> (View<'_>, &Buffer<f32>, View<'_>) {
        let convolved = self.convolved.as_ref().expect("kept by a forward pass for training");
        (convolved.view(), self.stats.as_ref().expect("kept with the map"), self.output())
    }

    fn forget(&mut self, pool: &mut Pool) {
        pool.give_map(self.convolved.take());
        pool.give_map(self.output.take());
        if let Some(stats) = self.stats.take() {
            pool.give(stats);
        }
    }
}

impl CudaTape {
    /// Gives all memory back.
    fn clear(&mut self, pool: &mut Pool) {
        self.complete = false;
        self.units.iter_mut().for_each(|u| u.forget(pool));
        pool.give_map(self.image.take());
        for decode in &mut self.decoder {
            pool.give_map(decode.upsampled.take());
            pool.give_map(decode.joined.take());
        }
    }
}

impl CudaFeatures {
    /// Features of images `[images, height, width, 3]` of one size with colours in `[0, 1]`. Maps between are given up as soon
    /// as nothing reads them any more.
    ///
    /// # Errors
    /// [`crate::Error::Input`] if the images are too small, too large, or not all in the buffer;
    /// [`crate::Error::Cuda`] if memory is short or the device fails.
    pub fn forward(&mut self, image: &Buffer<f32>, size: ImageSize) -> Result<DeviceMap> {
        self.check(image, size)?;
        let mut tape = CudaTape::default();
        let doubled = self.doubled(image, size)?;
        let map = match &doubled {
            Some(doubled) => self.pass(&doubled.data, size.doubled(), &mut tape, false),
            None => self.pass(image, size, &mut tape, false),
        };
        self.pool.give_map(doubled);
        tape.clear(&mut self.pool);
        map
    }

    /// As [`CudaFeatures::forward`], keeping in `tape` what [`CudaFeatures::backward`] needs, the image included.
    ///
    /// # Errors
    /// As [`CudaFeatures::forward`].
    pub fn forward_train(&mut self, image: &Buffer<f32>, size: ImageSize, tape: &mut CudaTape) -> Result<DeviceMap> {
        tape.clear(&mut self.pool);
        self.check(image, size)?;
        // As they are read.
        let (read, size) = match self.doubled(image, size)? {
            Some(doubled) => (doubled, size.doubled()),
            None => {
                let ImageSize { images, height, width } = size;
                let copy = self.pool.map(images, height, width, 3)?;
                self.kernels.copy(image.address(), &copy.data, copy.view().len())?;
                (copy, size)
            }
        };
        let map = self.pass(&read.data, size, tape, true)?;
        tape.image = Some(read);
        tape.complete = true;
        Ok(map)
    }

    /// The images at twice their size, where the network reads them so.
    fn doubled(&mut self, image: &Buffer<f32>, size: ImageSize) -> Result<Option<Map>> {
        let ImageSize { images, height, width } = size;
        if !self.net.doubles(height, width) {
            return Ok(None);
        }
        let doubled = self.pool.map(images, 2 * height, 2 * width, 3)?;
        self.kernels.upsample(View { images, height, width, channels: 3, data: image }, doubled.view())?;
        Ok(Some(doubled))
    }

    fn pass(&mut self, image: &Buffer<f32>, size: ImageSize, tape: &mut CudaTape, keep: bool) -> Result<DeviceMap> {
        let net = Arc::clone(&self.net);
        let ImageSize { images, height, width } = size;
        let CudaTape { units, decoder, .. } = tape;
        units.resize_with(net.units.len(), UnitTape::default);
        units[0] = self.unit(0, View { images, height, width, channels: 3, data: image }, None, keep)?;
        let mut last = 0;
        for block in net.stages.iter().flatten() {
            units[block.first] = self.unit(block.first, units[last].output(), None, keep)?;
            if let Some(shortcut) = block.shortcut {
                units[shortcut] = self.unit(shortcut, units[last].output(), None, keep)?;
            }
            let residual = units[block.shortcut.unwrap_or(last)].output();
            units[block.second] = self.unit(block.second, units[block.first].output(), Some(residual), keep)?;
            if !keep {
                let joined_later = net.decoder.iter().any(|d| net.stage_end(d.stage) == last);
                let done = [Some(block.first), block.shortcut, (!joined_later).then_some(last)];
                done.into_iter().flatten().for_each(|u| units[u].forget(&mut self.pool));
            }
            last = block.second;
        }
        for (step, tape) in net.decoder.iter().zip(decoder) {
            let skip = net.stage_end(step.stage);
            let small = units[last].output();
            let upsampled = self.pool.map(images, 2 * small.height, 2 * small.width, small.channels)?;
            self.kernels.upsample(small, upsampled.view())?;
            units[step.up] = self.unit(step.up, upsampled.view(), None, keep)?;
            let (up, skipped) = (units[step.up].output(), units[skip].output());
            let joined = self.pool.map(images, up.height, up.width, up.channels + skipped.channels)?;
            self.kernels.join(up, skipped, joined.view())?;
            if !keep {
                [last, skip, step.up].into_iter().for_each(|u| units[u].forget(&mut self.pool));
            }
            units[step.merge] = self.unit(step.merge, joined.view(), None, keep)?;
            (tape.upsampled, tape.joined) = (Some(upsampled), Some(joined));
            if !keep {
                self.pool.give_map(tape.upsampled.take());
                self.pool.give_map(tape.joined.take());
            }
            last = step.merge;
        }
        let top = units[last].output();
        let (height, width, channels) = (top.height, top.width, net.out.out_channels());
        let data = self.pool.take_exact(images * height * width * channels)?;
        let map = DeviceMap { images, width, height, channels, data };
        let bias = net.out.bias().map(|slot| address(&self.params, self.own(slot)));
        let weights = self.forward_weights.last().expect("the last convolution has weights");
        self.kernels.convolve(&net.out, weights, bias, top, map.view())?;
        Ok(map)
    }

    /// Runs unit `u`. Without `keep` the normalisation works in place and leaves only its output.
    fn unit(&mut self, u: usize, input: View, residual: Option<View>, keep: bool) -> Result<UnitTape> {
        let unit = self.net.units[u];
        let (height, width) = unit.conv.output_size(input.height, input.width);
        let convolved = self.pool.map(input.images, height, width, unit.conv.out_channels())?;
        let bias = unit.conv.bias().map(|slot| address(&self.params, self.own(slot)));
        self.kernels.convolve(&unit.conv, &self.forward_weights[u], bias, input, convolved.view())?;
        let output =
            if keep { Some(self.pool.map(input.images, height, width, unit.conv.out_channels())?) } else { None };
        let target = output.as_ref().unwrap_or(&convolved).view();
        let (gain, offset): (Slot, Slot) = (self.own(unit.norm.gain()), self.own(unit.norm.offset()));
        let affine = Affine { flat: &self.params, gain, offset };
        let stats =
            self.kernels.normalise(&mut self.pool, affine, unit.activation, convolved.view(), residual, target)?;
        if keep {
            return Ok(UnitTape { convolved: Some(convolved), stats: Some(stats), output });
        }
        self.pool.give(stats);
        Ok(UnitTape { output: Some(convolved), ..UnitTape::default() })
    }
}

impl DeviceMap {
    fn view(&self) -> View<'_> {
        View { images: self.images, height: self.height, width: self.width, channels: self.channels, data: &self.data }
    }
}
