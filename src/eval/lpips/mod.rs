//! LPIPS: how differently two images look to a network that was trained to recognise things.
//!
//! Zhang, Isola, Efros, Shechtman, Wang: "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR
//! 2018, in version 0.1 as the authors' package `lpips` computes it. The weights are not part of this program: those of
//! the network are torchvision's, those of its channels come with the package.

mod backbone;
mod conv;
mod map;
mod tap;

use crate::error::{check, clipped};
use crate::{Error, Mask, Result};
use backbone::{Backbone, TAPS};
use map::Map;
use scene::Image;
use std::collections::BTreeMap;
use std::path::Path;
use torchfile::Tensor;

/// Mean and spread of the colours that the networks were trained with, after scaling to `[-1, 1]`, as the package has them.
const SHIFT: [f64; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f64; 3] = [0.458, 0.448, 0.450];

/// What the colours `[0, 1]` of an image become before they are given to the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColourRange {
    /// `[-1, 1]`, as the package expects them.
    #[default]
    Scaled,
    /// `[0, 1]`, as the GNT evaluation gives them; numbers differ from those of other papers.
    Unscaled,
}

/// The metric with its weights.
#[derive(Clone, Debug)]
pub struct Lpips {
    backbone: Backbone,
    /// Weights of the channels of each layer that is compared.
    lin: [Vec<f32>; TAPS],
}

impl Lpips {
    /// Reads the weights: torchvision's VGG-16 or AlexNet, told apart by its shapes, and the package's file for the same
    /// network. The classifier of the network is not read.
    ///
    /// # Errors
    /// [`Error::Weights`] naming the file and the tensor.
    pub fn read(backbone_file: &Path, lin_file: &Path) -> Result<Self> {
        let read = |path: &Path, wanted: &dyn Fn(&str) -> bool| {
            torchfile::read(path, wanted).map_err(|e| Error::Weights(e.to_string()))
        };
        let numbered = |name: &str| {
            let rest = name.strip_prefix("lin");
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let backbone = read(backbone_file, &|name| name.starts_with("features."))?;
        let lin = read(lin_file, &numbered)?;
        let [backbone_file, lin_file] = [backbone_file, lin_file].map(|path| path.display().to_string());
        Self::new([&backbone_file, &lin_file], backbone, lin)
    }

    /// Takes the weights under torchvision's and the package's names: `features.N.weight` and `.bias`, and
    /// `linN.model.1.weight`.
    ///
    /// # Errors
    /// [`Error::Weights`] naming the tensor that is missing, superfluous, of another shape or not finite.
    pub fn from_tensors(backbone: BTreeMap<String, Tensor>, lin: BTreeMap<String, Tensor>) -> Result<Self> {
        Self::new(["network", "weights of channels"], backbone, lin)
    }

    fn new(origins: [&str; 2], backbone: BTreeMap<String, Tensor>, lin: BTreeMap<String, Tensor>) -> Result<Self> {
        let [in_backbone, in_lin] =
            origins.map(|origin| move |problem: String| Error::Weights(format!("{origin}: {problem}")));
        let backbone = Backbone::new(backbone).map_err(in_backbone)?;
        let lin = channel_weights(&backbone, lin).map_err(in_lin)?;
        Ok(Self { backbone, lin })
    }

    /// The network, as the package calls it: `vgg` or `alex`.
    pub fn name(&self) -> &'static str {
        self.backbone.name()
    }

    /// Least width and height of images.
    pub fn min_size(&self) -> u32 {
        self.backbone.min_size() as u32
    }

    /// The distance of two images whose colours are clipped to `[0, 1]`: 0 for equal images, larger the more they differ.
    ///
    /// The features of five layers are compared pixel by pixel and averaged over the pixels of each layer; the distance is
    /// the sum over layers. With a mask, pixels of a layer weigh as much as the part of them that the mask admits: it is
    /// averaged over areas to the size of each layer. Features see their surroundings, so what does not count can still
    /// show in pixels that do. The result does not depend on the number of threads. With VGG about 800 bytes a pixel are
    /// in use: 150 MB for 504 x 378 pixels.
    ///
    /// # Errors
    /// [`Error::Shape`] if the images are empty, differ in size or are too small for the network (VGG needs 16 x 16
    /// pixels, AlexNet 31 x 31), or if the mask has another size or admits nothing.
    pub fn distance(
        &self,
        image: &Image,
        reference: &Image,
        range: ColourRange,
        mask: Option<&Mask>,
        threads: usize,
    ) -> Result<f64> {
        Ok(self.layer_distances(image, reference, range, mask, threads)?.iter().sum())
    }

    /// The terms of [`Lpips::distance`], from the first layer to the last.
    ///
    /// # Errors
    /// As [`Lpips::distance`].
    pub fn layer_distances(
        &self,
        image: &Image,
        reference: &Image,
        range: ColourRange,
        mask: Option<&Mask>,
        threads: usize,
    ) -> Result<[f64; TAPS]> {
        check(image, reference)?;
        Mask::check(mask, image)?;
        let least = self.min_size();
        if image.width.min(image.height) < least {
            let (name, found) = (self.name(), format!("{}x{}", image.width, image.height));
            let expected = format!("at least {least}x{least} pixels for LPIPS on {name}");
            return Err(Error::Shape { what: "image", expected, found });
        }
        let mut maps = [image, reference].map(|image| network_input(image, range, self.backbone.pad()));
        let mut distances = [0.0; TAPS];
        for (tap, distance) in distances.iter_mut().enumerate() {
            // One image after the other: the first convolutions have the largest maps.
            maps = maps.map(|map| self.backbone.features(tap, map, threads));
            let [a, b] = &maps;
            let weights = mask.map(|mask| tap::area_average(mask, a.height, a.width));
            *distance = tap::distance(a, b, &self.lin[tap], weights.as_deref(), threads);
        }
        Ok(distances)
    }
}

/// The weights of the channels of each layer that is compared.
fn channel_weights(
    backbone: &Backbone,
    mut tensors: BTreeMap<String, Tensor>,
) -> std::result::Result<[Vec<f32>; TAPS], String> {
    let mut lin = [const { Vec::new() }; TAPS];
    for (tap, (lin, channels)) in lin.iter_mut().zip(backbone.channels()).enumerate() {
        let name = format!("lin{tap}.model.1.weight");
        let found = backbone::take(&mut tensors, &name, &[1, channels, 1, 1]);
        *lin = found.map_err(|problem| format!("{problem} (for {})", backbone.name()))?;
    }
    backbone::expect_none_left(backbone.name(), &tensors)?;
    Ok(lin)
}

/// The colours as the network was trained with them, inside a border of zeros.
fn network_input(image: &Image, range: ColourRange, pad: usize) -> Map {
    let mut map = Map::zeros(image.height as usize, image.width as usize, 3, pad);
    let (from_len, to_len) = (image.width as usize * 3, map.row_len());
    let rows = image.data.chunks_exact(from_len).zip(map.rows_mut().chunks_exact_mut(to_len));
    for (from, to) in rows {
        for (i, (from, to)) in from.iter().zip(&mut to[pad * 3..]).enumerate() {
            let colour = match range {
                ColourRange::Scaled => 2.0 * clipped(*from) - 1.0,
                ColourRange::Unscaled => clipped(*from),
            };
            *to = ((colour - SHIFT[i % 3]) / SCALE[i % 3]) as f32;
        }
    }
    map
}

#[cfg(test)]
mod tests;
