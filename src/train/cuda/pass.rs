//! One network's way to its sources' maps on the device, forward and backward.

use crate::Result;
use compute::cuda::Buffer;
use gnt::Model;
use gnt::features::cuda::{CudaFeatures, CudaTape, DeviceMap};
use gnt::network::NetworkOn;
use gnt::network::cuda::Kernels;
use gnt::network::sources::{CudaMapGrads, CudaSources};
use gnt::surface::SurfaceMap;
use layers::cuda::{SliceMut, Store};
use scene::{Camera, Image};

/// Feature network, parameters and sources of a network.
#[derive(Debug)]
pub(super) struct NetworkPass {
    features: CudaFeatures,
    /// The folded transformer.
    folded: Store,
    pub sources: CudaSources,
    tapes: Vec<CudaTape>,
    maps: Vec<DeviceMap>,
    image: Store,
    d_map: Store,
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
            image: Store::default(),
            d_map: Store::default(),
        })
    }

    /// Takes over the parameters, as they are and folded.
    pub fn set_params(&mut self, kernels: &Kernels, params: &[f32], folded: &[f32]) -> Result<()> {
        self.features.set_params(params)?;
        self.folded.upload(kernels.device(), folded)?;
        Ok(())
    }

    /// The network with these parameters.
    pub fn network<'a>(&'a self, kernels: &'a Kernels, model: &'a Model) -> NetworkOn<'a, Kernels> {
        NetworkOn { executor: kernels, config: &model.config, net: &model.net, params: self.folded.buffer() }
    }

    /// Runs the feature network and what follows it once a view; with `keep`, for a backward pass.
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
        self.tapes.resize_with(if keep { views.len() } else { 0 }, CudaTape::default);
        for (v, (_, image)) in views.iter().enumerate() {
            let photograph = self.sources.photograph(v);
            self.image.resize(kernels.device(), photograph.len())?;
            kernels.ops.copy(photograph, &mut self.image)?;
            let (height, width) = (image.height as usize, image.width as usize);
            let map = match self.tapes.get_mut(v) {
                Some(tape) => self.features.forward_train(self.image.buffer(), height, width, tape)?,
                None => self.features.forward(self.image.buffer(), height, width)?,
            };
            self.maps.push(map);
        }
        let sizes: Vec<_> = self.maps.iter().map(|m| (m.width, m.height)).collect();
        self.sources.set_maps(kernels, &sizes, model.config.width)?;
        let params = self.folded.buffer();
        for (v, map) in self.maps.iter().enumerate() {
            self.sources.project(kernels, &model.net.token_features, params, v, (&map.data).into())?;
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
        for (v, (map, tape)) in self.maps.iter().zip(&self.tapes).enumerate() {
            self.d_map.resize(kernels.device(), map.data.len())?;
            let (layer, d_map) = (&model.net.token_features, SliceMut::from(&mut self.d_map));
            self.sources.map_backward(kernels, layer, params, v, d_maps, (&map.data).into(), d_map, d_folded)?;
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
