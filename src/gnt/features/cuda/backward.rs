//! The pass from a map's gradient to those of the parameters.

use super::forward::{CudaTape, UnitTape};
use super::norm::Affine;
use super::pool::{Map, View};
use super::{CudaFeatures, address};
use crate::Result;
use crate::features::Block;
use compute::cuda::Buffer;
use layers::conv2d::Conv2d;
use std::sync::Arc;

impl CudaFeatures {
    /// Adds the parameters' gradients to `grads` (flat, the layout of the model's parameters), given that of the map
    /// that [`CudaFeatures::forward_train`] last made with `tape`, `[images, height, width, channels]`. The parameters must be
    /// those of that pass.
    ///
    /// # Panics
    /// If `tape` holds no such pass, or a buffer is too small.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`] if memory is short or the device fails.
    pub fn backward(&mut self, tape: &CudaTape, d_map: &Buffer<f32>, grads: &mut Buffer<f32>) -> Result<()> {
        assert!(tape.complete, "backward needs a forward pass that keeps its maps");
        self.make_backward_ready()?;
        let net = Arc::clone(&self.net);
        let CudaTape { units, image, decoder, .. } = tape;
        let top = units[net.decoder[1].merge].output();
        let d_map = View { channels: net.out.out_channels(), data: d_map, ..top };
        self.conv_params_back(&net.out, top, d_map, grads)?;
        let mut here = self.pool.map(top.images, top.height, top.width, top.channels)?;
        self.conv_image_back(net.units.len(), d_map, &here, false)?;
        let mut skips = [None, None, None];
        for (step, tape) in net.decoder.iter().zip(decoder).rev() {
            let (up, skip) = (units[step.up].output(), units[net.stage_end(step.stage)].output());
            let d_joined = self.unit_back(step.merge, &units[step.merge], &tape.joined, here, grads)?;
            let d_up = self.pool.map(up.images, up.height, up.width, up.channels)?;
            let d_skip = self.pool.map(skip.images, skip.height, skip.width, skip.channels)?;
            self.kernels.split(d_joined.view(), d_up.view(), d_skip.view())?;
            self.pool.give_map(Some(d_joined));
            skips[step.stage] = Some(d_skip);
            let d_upsampled = self.unit_back(step.up, &units[step.up], &tape.upsampled, d_up, grads)?;
            let (height, width) = (d_upsampled.height / 2, d_upsampled.width / 2);
            here = self.pool.map(d_upsampled.images, height, width, d_upsampled.channels)?;
            self.kernels.upsample_back(d_upsampled.view(), here.view())?;
            self.pool.give_map(Some(d_upsampled));
        }
        let blocks: Vec<Block> = net.stages.iter().flatten().copied().collect();
        for (i, block) in blocks.iter().enumerate().rev() {
            let input = if i == 0 { 0 } else { blocks[i - 1].second };
            let (first, input_map) = (units[block.first].output(), units[input].output());
            // `here` becomes the gradient of the residual.
            let d_second = self.pool.map(here.images, here.height, here.width, here.channels)?;
            self.norm_back(block.second, &units[block.second], &here, Some(&d_second), grads)?;
            self.conv_params_back(&net.units[block.second].conv, first, d_second.view(), grads)?;
            let d_first = self.pool.map(first.images, first.height, first.width, first.channels)?;
            self.conv_image_back(block.second, d_second.view(), &d_first, false)?;
            self.pool.give_map(Some(d_second));
            self.norm_back(block.first, &units[block.first], &d_first, None, grads)?;
            self.conv_params_back(&net.units[block.first].conv, input_map, d_first.view(), grads)?;
            match block.shortcut {
                None => self.conv_image_back(block.first, d_first.view(), &here, true)?,
                Some(shortcut) => {
                    // Where the decoder has joined the block's input, its gradient is what all others are added to.
                    let stage = net.decoder.iter().map(|d| d.stage).find(|s| net.stage_end(*s) == input);
                    let skip = stage.and_then(|stage| skips[stage].take());
                    let accumulate = skip.is_some();
                    let target = match skip {
                        Some(skip) => skip,
                        None => {
                            self.pool.map(input_map.images, input_map.height, input_map.width, input_map.channels)?
                        }
                    };
                    self.conv_image_back(block.first, d_first.view(), &target, accumulate)?;
                    self.norm_back(shortcut, &units[shortcut], &here, None, grads)?;
                    self.conv_params_back(&net.units[shortcut].conv, input_map, here.view(), grads)?;
                    self.conv_image_back(shortcut, here.view(), &target, true)?;
                    self.pool.give_map(Some(std::mem::replace(&mut here, target)));
                }
            }
            self.pool.give_map(Some(d_first));
        }
        self.norm_back(0, &units[0], &here, None, grads)?;
        let image = image.as_ref().expect("kept by a forward pass for training");
        self.conv_params_back(&net.units[0].conv, image.view(), here.view(), grads)?;
        self.pool.give_map(Some(here));
        Ok(())
    }

    /// Takes `d`, the gradient of unit `u`'s output, back to that of its input.
    fn unit_back(
        &mut self,
        u: usize,
        tape: &UnitTape,
        input: &Option<Map>,
        d: Map,
        grads: &mut Buffer<f32>,
    ) -> Result<Map> {
        let input = input.as_ref().expect("kept by a forward pass for training").view();
        let net = Arc::clone(&self.net);
        self.norm_back(u, tape, &d, None, grads)?;
        self.conv_params_back(&net.units[u].conv, input, d.view(), grads)?;
        let d_input = self.pool.map(input.images, input.height, input.width, input.channels)?;
        self.conv_image_back(u, d.view(), &d_input, false)?;
        self.pool.give_map(Some(d));
        Ok(d_input)
    }

    /// Takes `d` back through activation and normalisation of unit `u`, in place; or into `d_image`, leaving the
    /// gradient of the residual in `d`.
    fn norm_back(
        &mut self,
        u: usize,
        tape: &UnitTape,
        d: &Map,
        d_image: Option<&Map>,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let unit = self.net.units[u];
        let (gain, offset) = (unit.norm.gain(), unit.norm.offset());
        let affine = Affine { flat: &self.params, gain: self.own(gain), offset: self.own(offset) };
        let grads = Affine { flat: grads, gain, offset };
        let d_image = d_image.map(Map::view);
        self.kernels.normalise_back(&mut self.pool, affine, grads, unit.activation, tape.kept(), d.view(), d_image)
    }

    /// Adds the gradients of a convolution's weight and bias.
    fn conv_params_back(&mut self, conv: &Conv2d, input: View, d: View, grads: &mut Buffer<f32>) -> Result<()> {
        let weight = address(grads, conv.weight());
        self.kernels.convolve_back_weight(&mut self.pool, conv, input, d, weight)?;
        match conv.bias() {
            Some(slot) => self.kernels.bias_back(&mut self.pool, d, address(grads, slot)),
            None => Ok(()),
        }
    }

    /// The gradient of the input of convolution `index`, as [`super::FeatureNet::convs`] counts them.
    fn conv_image_back(&mut self, index: usize, d: View, d_input: &Map, accumulate: bool) -> Result<()> {
        let conv = *self.net.convs().nth(index).expect("a convolution of the network");
        self.kernels.convolve_back(&conv, &self.backward_weights[index - 1], d, d_input.view(), accumulate)
    }
}
