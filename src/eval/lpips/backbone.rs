//! The networks whose features are compared: the convolutions of torchvision's VGG-16 and AlexNet.

use super::conv::{Conv, Shape};
use super::map::{Map, pooled};
use std::collections::BTreeMap;
use torchfile::Tensor;

/// Number of layers whose features are compared.
pub(super) const TAPS: usize = 5;

/// The layers up to one whose features are compared.
#[derive(Clone, Copy, Debug)]
struct StageShape {
    /// Window and stride of the max pooling before the convolutions.
    pool: Option<[usize; 2]>,
    /// Place in torchvision's list of layers, and sizes.
    convs: &'static [(usize, Shape)],
}

/// A network, without weights.
#[derive(Debug)]
struct Architecture {
    name: &'static str,
    stages: [StageShape; TAPS],
}

/// A convolution of VGG: 3 x 3 pixels, and as many come out as go in.
const fn vgg(index: usize, inputs: usize, outputs: usize) -> (usize, Shape) {
    (index, Shape { inputs, outputs, kernel: 3, stride: 1, pad: 1 })
}

/// Simonyan and Zisserman, configuration D.
static VGG: Architecture = {
    let halve = Some([2, 2]);
    Architecture {
        name: "vgg",
        stages: [
            StageShape { pool: None, convs: &[vgg(0, 3, 64), vgg(2, 64, 64)] },
            StageShape { pool: halve, convs: &[vgg(5, 64, 128), vgg(7, 128, 128)] },
            StageShape { pool: halve, convs: &[vgg(10, 128, 256), vgg(12, 256, 256), vgg(14, 256, 256)] },
            StageShape { pool: halve, convs: &[vgg(17, 256, 512), vgg(19, 512, 512), vgg(21, 512, 512)] },
            StageShape { pool: halve, convs: &[vgg(24, 512, 512), vgg(26, 512, 512), vgg(28, 512, 512)] },
        ],
    }
};

/// Krizhevsky's "one weird trick" variant, as torchvision has it.
static ALEX: Architecture = {
    let pool = Some([3, 2]);
    Architecture {
        name: "alex",
        stages: [
            StageShape { pool: None, convs: &[(0, Shape { inputs: 3, outputs: 64, kernel: 11, stride: 4, pad: 2 })] },
            StageShape { pool, convs: &[(3, Shape { inputs: 64, outputs: 192, kernel: 5, stride: 1, pad: 2 })] },
            StageShape { pool, convs: &[vgg(6, 192, 384)] },
            StageShape { pool: None, convs: &[vgg(8, 384, 256)] },
            StageShape { pool: None, convs: &[vgg(10, 256, 256)] },
        ],
    }
};

/// A network with its weights.
#[derive(Clone, Debug)]
pub(super) struct Backbone {
    architecture: &'static Architecture,
    stages: Vec<Vec<Conv>>,
}

impl Backbone {
    /// Takes the weights `features.N.weight` and `features.N.bias`, whose shapes tell the network; they are freed one by
    /// one.
    ///
    /// # Errors
    /// A sentence naming the tensor, expected and found.
    pub fn new(mut tensors: BTreeMap<String, Tensor>) -> Result<Self, String> {
        const FIRST: &str = "features.0.weight";
        let first = tensors.get(FIRST).map(|t| t.shape.as_slice());
        let architecture = match first {
            Some([64, 3, 3, 3]) => &VGG,
            Some([64, 3, 11, 11]) => &ALEX,
            Some(other) => {
                return Err(format!(
                    "{FIRST:?}: expected [64, 3, 3, 3] of VGG-16 or [64, 3, 11, 11] of AlexNet, found {other:?}"
                ));
            }
            None => return Err(format!("{FIRST:?}: expected torchvision's VGG-16 or AlexNet, found no such tensor")),
        };
        let mut stages = Vec::with_capacity(TAPS);
        for stage in &architecture.stages {
            let mut convs = Vec::with_capacity(stage.convs.len());
            for &(index, shape) in stage.convs {
                let Shape { inputs, outputs, kernel, .. } = shape;
                let names = ["weight", "bias"].map(|part| format!("features.{index}.{part}"));
                let weight = take(&mut tensors, &names[0], &[outputs, inputs, kernel, kernel])?;
                let bias = take(&mut tensors, &names[1], &[outputs])?;
                convs.push(Conv::new(shape, &weight, &bias));
            }
            stages.push(convs);
        }
        expect_none_left(architecture.name, &tensors)?;
        Ok(Self { architecture, stages })
    }

    /// `vgg` or `alex`, as the package calls them.
    pub fn name(&self) -> &'static str {
        self.architecture.name
    }

    /// Channels of each layer that is compared.
    pub fn channels(&self) -> [usize; TAPS] {
        std::array::from_fn(|tap| self.stages[tap].last().map_or(0, |conv| conv.shape.outputs))
    }

    /// Height or width of each layer that is compared, for that of an image; 0 for layers without pixels.
    pub fn sizes(&self, mut n: usize) -> [usize; TAPS] {
        std::array::from_fn(|tap| {
            let stage = &self.architecture.stages[tap];
            n = stage.pool.map_or(n, |[size, stride]| pooled(n, size, stride));
            n = if n == 0 { 0 } else { stage.convs.iter().fold(n, |n, (_, shape)| shape.output_len(n)) };
            n
        })
    }

    /// Smallest height and width of an image.
    pub fn min_size(&self) -> usize {
        (1..).find(|&n| !self.sizes(n).contains(&0)).unwrap_or(usize::MAX)
    }

    /// Padding that the network's first convolution wants around an image.
    pub fn pad(&self) -> usize {
        self.stages[0][0].shape.pad
    }

    /// The features of layer `tap` from those of the layer before, or from the image with its padding.
    pub fn features(&self, tap: usize, mut map: Map, threads: usize) -> Map {
        let convs = &self.stages[tap];
        if let Some(window) = self.architecture.stages[tap].pool {
            map = map.max_pool(window, convs[0].shape.pad, threads);
        }
        for conv in convs {
            map = conv.forward(&map, threads);
        }
        map
    }
}

/// Removes the values of a tensor of that shape, which must be finite.
pub(super) fn take(tensors: &mut BTreeMap<String, Tensor>, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let found = tensors.remove(name).ok_or_else(|| format!("{name:?}: expected {shape:?}, found no such tensor"))?;
    if found.shape != shape || found.data.len() != shape.iter().product::<usize>() {
        let (len, found) = (found.data.len(), found.shape);
        return Err(format!("{name:?}: expected {shape:?}, found {found:?} with {len} values"));
    }
    match found.data.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(format!("{name:?}: expected finite weights, found {} at index {i}", found.data[i])),
        None => Ok(found.data),
    }
}

/// What a network of that name lacks could mean that it is another.
pub(super) fn expect_none_left(name: &str, tensors: &BTreeMap<String, Tensor>) -> Result<(), String> {
    match tensors.keys().next() {
        None => Ok(()),
        Some(first) => Err(format!("{first:?}: expected only tensors of {name}, found {} others", tensors.len())),
    }
}
