//! One network's way to its sources' maps on the device, forward and backward.

use crate::Result;
use compute::cuda::Buffer;
use gnt::Model;
use gnt::features::cuda::{CudaFeatures, CudaTape, DeviceMap, ImageSize};
use gnt::network::NetworkOn;
use gnt::network::cuda::Kernels;
use gnt::network::sources::{CudaMapGrads, CudaSources};
use gnt::surface::SurfaceMap;
use layers::cuda::{SliceMut, Store};
use scene::{Camera, Image};
use std::ops::Range;

/// Feature network, parameters and sources of a network.
#[derive(Debug)]
pub(super) struct NetworkPass {
    features: CudaFeatures,
    /// The folded transformer.
    folded: Store,
    pub sources: CudaSources,
    tapes: Vec<CudaTape>,
    /// Of each run of views.
    maps: Vec<DeviceMap>,
    runs: Vec<Run>,
    images: Store,
    d_map: Store,
}

/// Neighbouring views whose photographs have one size: the feature network treats them at once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    views: Range<usize>,
    size: ImageSize,
}

/// Most pixels of the photographs of a run: kernels count the values of all its maps by `int`, and memory has to hold them.
const MOST_PIXELS: usize = 1 << 22;

/// Views of these sizes, `(width, height)`, in as few runs as there can be.
fn runs_of(sizes: &[(u32, u32)]) -> Vec<Run> {
    let mut first = 0;
    let run = |same: &[(u32, u32)]| {
        let views = first..first + same.len();
        first = views.end;
        let (width, height) = (same[0].0 as usize, same[0].1 as usize);
        Run { views, size: ImageSize { images: same.len(), height, width } }
    };
    let most = |size: (u32, u32)| (MOST_PIXELS / (size.0 as usize * size.1 as usize).max(1)).max(1);
    sizes.chunk_by(PartialEq::eq).flat_map(|same| same.chunks(most(same[0]))).map(run).collect()
}

impl NetworkPass {
    pub fn new(kernels: &Kernels, model: &Model) -> Result<Self> {
        gnt::network::cuda::check(&model.net)?;
        Ok(Self {
            features: CudaFeatures::new(kernels.device(), &model.features)?,
            folded: Store::default(),
            sources: CudaSources::default(),
            tapes: Vec::new(),
            maps: Vec::new(),
            runs: Vec::new(),
            images: Store::default(),
            d_map: Store::default(),
        })
    }

    /// Takes over the feature network's parameters.
    pub fn set_features(&mut self, params: &[f32]) -> Result<()> {
        Ok(self.features.set_params(params)?)
    }

    /// Takes over the other parameters, folded.
    pub fn set_folded(&mut self, kernels: &Kernels, folded: &[f32]) -> Result<()> {
        self.folded.upload(kernels.device(), folded)?;
        Ok(())
    }

    /// The feature network.
    pub fn features(&self) -> &CudaFeatures {
        &self.features
    }

    /// The feature network, to change its parameters.
    pub fn features_mut(&mut self) -> &mut CudaFeatures {
        &mut self.features
    }

    /// The network with these parameters.
    pub fn network<'a>(&'a self, kernels: &'a Kernels, model: &'a Model) -> NetworkOn<'a, Kernels> {
        NetworkOn { executor: kernels, config: &model.config, net: &model.net, params: self.folded.buffer() }
    }

    /// Runs the feature network, once for neighbouring views of one size, and what follows it; with `keep`, for a backward
    /// pass.
    /// `surfaces` is what is told of where the views' own rays end.
    pub fn forward(
        &mut self,
        kernels: &Kernels,
        model: &Model,
        views: &[(Camera, Image)],
        surfaces: &[Option<SurfaceMap>],
        keep: bool,
    ) -> Result<()> {
        self.release_maps();
        self.sources.set_photographs(kernels, views)?;
        if model.config.visibility {
            self.sources.set_surfaces(kernels, surfaces)?;
        }
        let sizes: Vec<_> = views.iter().map(|(_, image)| (image.width, image.height)).collect();
        self.runs = runs_of(&sizes);
        self.tapes.resize_with(if keep { self.runs.len() } else { 0 }, CudaTape::default);
        for (i, Run { views, size }) in self.runs.iter().enumerate() {
            let photographs = self.sources.photographs_of(views.clone());
            self.images.resize(kernels.device(), photographs.len())?;
            kernels.ops.copy(photographs, &mut self.images)?;
            let map = match self.tapes.get_mut(i) {
                Some(tape) => self.features.forward_train(self.images.buffer(), *size, tape)?,
                None => self.features.forward(self.images.buffer(), *size)?,
            };
            self.maps.push(map);
        }
        let sizes: Vec<_> =
            self.maps.iter().flat_map(|map| std::iter::repeat_n((map.width, map.height), map.images)).collect();
        self.sources.set_maps(kernels, &sizes, model.config.width)?;
        let params = self.folded.buffer();
        for (run, map) in self.runs.iter().zip(&self.maps) {
            let (layer, views) = (&model.net.token_features, run.views.clone());
            self.sources.project(kernels, layer, params, views, (&map.data).into())?;
        }
        Ok(self.sources.make_keys(kernels, &model.net, params)?)
    }

    /// Takes the gradients of the sources' maps, `d_maps`, to the folded parameters, `d_folded`, and through the feature network to
    /// `grads` (layout of the parameters).
    pub fn backward(
        &mut self,
        kernels: &Kernels,
        model: &Model,
        d_maps: &mut CudaMapGrads,
        d_folded: &mut Buffer<f32>,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let params = self.folded.buffer();
        self.sources.keys_backward(kernels, &model.net, params, d_maps, d_folded)?;
        for ((run, map), tape) in self.runs.iter().zip(&self.maps).zip(&self.tapes) {
            self.d_map.resize(kernels.device(), map.data.len())?;
            let (layer, d_map, views) = (&model.net.token_features, SliceMut::from(&mut self.d_map), run.views.clone());
            self.sources.map_backward(kernels, layer, params, views, d_maps, (&map.data).into(), d_map, d_folded)?;
            self.features.backward(tape, self.d_map.buffer(), grads)?;
        }
        Ok(())
    }

    /// Gives back memory that is kept between steps.
    pub fn release(&mut self) {
        self.release_maps();
        self.tapes.clear();
        self.features.release_memory();
    }

    fn release_maps(&mut self) {
        self.maps.drain(..).for_each(|map| self.features.recycle(map));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_one_size_are_one_run() {
        let runs = runs_of(&[(8, 6), (8, 6), (6, 8), (8, 6)]);
        let found: Vec<_> = runs.iter().map(|run| (run.views.clone(), run.size)).collect();
        let size = |images, width, height| ImageSize { images, width, height };
        assert_eq!(found, [(0..2, size(2, 8, 6)), (2..3, size(1, 6, 8)), (3..4, size(1, 8, 6))]);
        // Four million pixels are two of these.
        let runs = runs_of(&[(2048, 1000); 5]);
        assert_eq!(runs.iter().map(|run| run.views.clone()).collect::<Vec<_>>(), [0..2, 2..4, 4..5]);
    }
}
