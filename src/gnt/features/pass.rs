//! Forward and backward pass over one image.

use super::join::{Shape, join, split};
use super::{Block, FeatureMap, FeatureNet, Prepared};
use layers::conv2d::ConvScratch;
use layers::instance_norm::NormStats;
use layers::upsample::{upsample2, upsample2_backward};

/// Activations of one image and working memory, reused between calls.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    units: Vec<UnitTape>,
    image: Vec<f32>,
    image_size: (usize, usize),
    decoder: [DecodeTape; 2],
    scratch: ConvScratch,
    gradients: Gradients,
}

/// What a unit leaves for the backward pass.
#[derive(Clone, Debug, Default)]
struct UnitTape {
    convolved: Vec<f32>,
    stats: NormStats,
    output: Vec<f32>,
    /// Height and width of the output.
    size: (usize, usize),
}

#[derive(Clone, Debug, Default)]
struct DecodeTape {
    upsampled: Vec<f32>,
    joined: Vec<f32>,
}

#[derive(Clone, Debug, Default)]
struct Gradients {
    /// Of the map that the walk has reached.
    here: Vec<f32>,
    /// Of the unit that is being passed.
    convolved: Vec<f32>,
    /// Of the shortcut of the block that is being passed.
    residual: Vec<f32>,
    /// Of the encoder maps that the decoder joins, by stage.
    skips: [Vec<f32>; 2],
}

impl UnitTape {
    /// Gives the memory of values back that only the backward pass would read.
    fn forget(&mut self) {
        *self = Self { size: self.size, ..Self::default() };
    }
}

impl FeatureNet {
    /// Features of an image `[height, width, 3]` with colours in `[0, 1]`; see [`FeatureNet::min_size`].
    pub fn forward(&self, weights: &Prepared, image: &[f32], height: usize, width: usize) -> FeatureMap {
        if self.doubles(height, width) {
            let mut doubled = Vec::new();
            upsample2(image, height, width, 3, &mut doubled);
            return self.pass(weights, &doubled, 2 * height, 2 * width, &mut Tape::default(), false);
        }
        self.pass(weights, image, height, width, &mut Tape::default(), false)
    }

    /// As [`FeatureNet::forward`], keeping in `tape` what [`FeatureNet::backward`] needs.
    pub fn forward_train(
        &self,
        weights: &Prepared,
        image: &[f32],
        height: usize,
        width: usize,
        tape: &mut Tape,
    ) -> FeatureMap {
        // As it is read.
        let mut read = std::mem::take(&mut tape.image);
        let (height, width) = if self.doubles(height, width) {
            upsample2(image, height, width, 3, &mut read);
            (2 * height, 2 * width)
        } else {
            read.clear();
            read.extend_from_slice(image);
            (height, width)
        };
        tape.image_size = (height, width);
        let map = self.pass(weights, &read, height, width, tape, true);
        tape.image = read;
        map
    }

    fn pass(
        &self,
        weights: &Prepared,
        image: &[f32],
        height: usize,
        width: usize,
        tape: &mut Tape,
        keep: bool,
    ) -> FeatureMap {
        let smallest = self.min_size();
        assert!(height.min(width) >= smallest, "image of {height}x{width}, smallest side {smallest}");
        let Tape { units, decoder, scratch, .. } = tape;
        units.resize_with(self.units.len(), UnitTape::default);
        let mut shared = Vec::new();
        let mut run = |units: &mut [UnitTape], u: usize, input: Input, residual: Option<usize>| {
            let (unit, (conv, norm)) = (&self.units[u], &weights.units[u]);
            // Taken out while the other units are read: a unit never reads itself.
            let mut out = std::mem::take(&mut units[u]);
            let (values, (h, w)) = match input {
                Input::Unit(from) => (&units[from].output[..], units[from].size),
                Input::Values(values, size) => (values, size),
            };
            if !keep {
                std::mem::swap(&mut out.convolved, &mut shared);
            }
            unit.conv.forward(conv, values, h, w, &mut out.convolved, scratch);
            out.size = unit.conv.output_size(h, w);
            let residual = residual.map(|r| &units[r].output[..]);
            unit.norm.forward(norm, &out.convolved, residual, unit.activation, &mut out.output, &mut out.stats);
            if !keep {
                std::mem::swap(&mut out.convolved, &mut shared);
            }
            units[u] = out;
        };
        run(units, 0, Input::Values(image, (height, width)), None);
        let mut last = 0;
        for block in self.stages.iter().flatten() {
            run(units, block.first, Input::Unit(last), None);
            if let Some(shortcut) = block.shortcut {
                run(units, shortcut, Input::Unit(last), None);
            }
            run(units, block.second, Input::Unit(block.first), Some(block.shortcut.unwrap_or(last)));
            if !keep {
                let joined_later = self.decoder.iter().any(|d| self.stage_end(d.stage) == last);
                let done = [Some(block.first), block.shortcut, (!joined_later).then_some(last)];
                done.into_iter().flatten().for_each(|u| units[u].forget());
            }
            last = block.second;
        }
        for (step, tape) in self.decoder.iter().zip(decoder) {
            let Shape { height, width, channels } = self.shape(units, last);
            let size = (2 * height, 2 * width);
            upsample2(&units[last].output, height, width, channels, &mut tape.upsampled);
            run(units, step.up, Input::Values(&tape.upsampled, size), None);
            let skip = self.stage_end(step.stage);
            let (up_shape, skip_shape) = (self.shape(units, step.up), self.shape(units, skip));
            join(&units[step.up].output, up_shape, &units[skip].output, skip_shape, &mut tape.joined);
            if !keep {
                [last, skip, step.up].into_iter().for_each(|u| units[u].forget());
                tape.upsampled = Vec::new();
            }
            run(units, step.merge, Input::Values(&tape.joined, size), None);
            last = step.merge;
        }
        let Shape { height, width, .. } = self.shape(units, last);
        let mut data = Vec::new();
        self.out.forward(&weights.out, &units[last].output, height, width, &mut data, scratch);
        FeatureMap { width, height, channels: self.out.out_channels(), data }
    }

    /// Adds the parameters' gradients to `grads` (flat, the layout of the parameters), given that of the map that
    /// [`FeatureNet::forward_train`] last made with `tape`, `[height, width, channels]`.
    pub fn backward(&self, weights: &Prepared, tape: &mut Tape, d_map: &[f32], grads: &mut [f32]) {
        let Tape { units, image, image_size, decoder, scratch, gradients } = tape;
        let Gradients { here, convolved, residual, skips } = gradients;
        assert_eq!(units.len(), self.units.len(), "units on the tape: backward needs a forward pass that keeps them");
        let last = self.decoder[1].merge;
        let (h, w) = units[last].size;
        self.out.backward(&weights.out, &units[last].output, h, w, d_map, Some(here), grads, scratch);
        // Takes `d`, the gradient of what unit `u` normalised, back to the input of its convolution.
        let mut back = |u: usize, input: Input, d: &mut Vec<f32>, want_input: bool, grads: &mut [f32]| {
            let (unit, (conv, norm), tape) = (&self.units[u], &weights.units[u], &units[u]);
            let (values, (h, w)) = match input {
                Input::Unit(from) => (&units[from].output[..], units[from].size),
                Input::Values(values, size) => (values, size),
            };
            unit.norm.backward(norm, &tape.stats, &tape.convolved, d, grads);
            std::mem::swap(d, convolved);
            unit.conv.backward(conv, values, h, w, convolved, want_input.then_some(d), grads, scratch);
        };
        let activation = |u: usize, d: &mut [f32]| self.units[u].activation.backward(&units[u].output, d);
        for (step, tape) in self.decoder.iter().zip(decoder).rev() {
            let skip = self.stage_end(step.stage);
            let (up_shape, skip_shape) = (self.shape(units, step.up), self.shape(units, skip));
            let size = (up_shape.height, up_shape.width);
            activation(step.merge, here);
            back(step.merge, Input::Values(&tape.joined, size), here, true, grads);
            split(here, up_shape, residual, skip_shape, &mut skips[step.stage]);
            activation(step.up, residual);
            back(step.up, Input::Values(&tape.upsampled, size), residual, true, grads);
            let channels = self.units[step.up].conv.in_channels();
            upsample2_backward(residual, size.0 / 2, size.1 / 2, channels, here);
        }
        let blocks: Vec<Block> = self.stages.iter().flatten().copied().collect();
        for (i, block) in blocks.iter().enumerate().rev() {
            if let Some(step) = self.decoder.iter().find(|d| self.stage_end(d.stage) == block.second) {
                add(here, &skips[step.stage]);
            }
            let input = if i == 0 { 0 } else { blocks[i - 1].second };
            activation(block.second, here);
            residual.clear();
            residual.extend_from_slice(here);
            back(block.second, Input::Unit(block.first), here, true, grads);
            activation(block.first, here);
            back(block.first, Input::Unit(input), here, true, grads);
            if let Some(shortcut) = block.shortcut {
                back(shortcut, Input::Unit(input), residual, true, grads);
            }
            add(here, residual);
        }
        activation(0, here);
        back(0, Input::Values(image, *image_size), here, false, grads);
    }

    fn shape(&self, units: &[UnitTape], unit: usize) -> Shape {
        let (height, width) = units[unit].size;
        Shape { height, width, channels: self.units[unit].conv.out_channels() }
    }

    /// The unit whose output is the output of a stage.
    pub(super) fn stage_end(&self, stage: usize) -> usize {
        self.stages[stage].last().expect("configurations have a block in every stage").second
    }

    /// Output of a unit by the official name of the module it ends, for parity tests.
    #[cfg(test)]
    pub(super) fn stage_output<'a>(&self, tape: &'a Tape, name: &str) -> &'a [f32] {
        let unit = match name {
            "layer1" => self.stage_end(0),
            "layer2" => self.stage_end(1),
            "layer3" => self.stage_end(2),
            "upconv3" => self.decoder[0].up,
            "iconv3" => self.decoder[0].merge,
            "upconv2" => self.decoder[1].up,
            "iconv2" => self.decoder[1].merge,
            _ => 0,
        };
        &tape.units[unit].output
    }
}

/// What a unit reads.
#[derive(Clone, Copy)]
enum Input<'a> {
    /// The output of another unit.
    Unit(usize),
    /// Other values, with height and width.
    Values(&'a [f32], (usize, usize)),
}

/// `target += source`.
fn add(target: &mut [f32], source: &[f32]) {
    assert_eq!(target.len(), source.len(), "gradients of one map");
    target.iter_mut().zip(source).for_each(|(t, s)| *t += s);
}
