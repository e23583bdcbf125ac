//! The source views of a step on a CUDA device.

use crate::folded::Folded;
use crate::network::cuda::Kernels;
use crate::surface::SurfaceMap;
use compute::cuda::{Args, Buffer, Launch, Result};
use compute::twin;
use layers::cuda::{MoreArgs, Slice, SliceMut, Store};
use layers::linear::Linear;
use layers::linear::cuda::weight_and_bias;
use scene::{Camera, Image};
use std::ops::Range;

twin! {
    /// One source view of a training step.
    pub(crate) struct TrainingSource {
        /// Column-major.
        pixel_from_world: [f32; 16],
        origin: [f32; 3],
        /// Last column and row that the camera sees.
        limit: [f32; 2],
        /// Width and height.
        image_size: [i32; 2],
        map_size: [i32; 2],
        /// First pixel among those of all photographs.
        image_first: i32,
        /// First pixel among those of all maps.
        map_first: i32,
        /// First cell among those of all surface maps.
        surface_first: i32,
        /// Width and height of the surface map.
        surface_size: [i32; 2],
        /// Pixels from one ray of it to the next; 0 where there is none, negative where the network does not ask.
        surface_cell: i32,
        /// Fills the struct up to a multiple of sixteen bytes.
        unused: i32,
    }
}

/// A cell that no view reads, so that there is memory to point to.
const NO_CELL: [f32; 2] = [0.0, 1.0];

/// The source views of a step. All maps lie one after the other, so that a product treats them at once.
#[derive(Debug, Default)]
pub struct CudaSources {
    cameras: Vec<TrainingSource>,
    views: Store<TrainingSource>,
    photographs: Store,
    /// Cells of all surface maps `[cells, 2]`.
    surfaces: Store,
    /// Pixels of each view's map among all maps'.
    ranges: Vec<Range<usize>>,
    width: usize,
    /// Feature maps times `rgbfeat_fc.0`, `[pixels, C]`.
    map: Store,
    /// Tokens at the maps' pixels `[pixels, C]`, where some layer reads them.
    keys: Store,
    colours: Store,
    hidden: Store,
    d_hidden: Store,
}

/// Gradients of the sources' maps, as the maps lie in [`CudaSources`].
#[derive(Debug, Default)]
pub struct CudaMapGrads {
    /// Of the maps after the first token layer `[pixels, C]`.
    pub maps: Store,
    /// Of the keys `[pixels, C]`, where some layer reads them.
    pub keys: Store,
}

impl CudaMapGrads {
    /// Makes all gradients 0, of the maps that `sources` has.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn reset(&mut self, kernels: &Kernels, sources: &CudaSources) -> Result<()> {
        let device = kernels.device();
        for (d, of) in [(&mut self.maps, &sources.map), (&mut self.keys, &sources.keys)] {
            if !of.is_empty() {
                kernels.ops.fill(0.0, &mut *d.resize(device, of.len())?)?;
            }
        }
        Ok(())
    }
}

impl CudaSources {
    /// Takes over cameras and photographs; [`CudaSources::set_maps`] must follow.
    ///
    /// # Panics
    /// If there is no source.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn set_photographs(&mut self, kernels: &Kernels, sources: &[(Camera, Image)]) -> Result<()> {
        assert!(!sources.is_empty(), "a step without source views");
        self.cameras.clear();
        let mut photographs = Vec::with_capacity(sources.iter().map(|(_, image)| image.data.len()).sum());
        for (camera, image) in sources {
            self.cameras.push(TrainingSource {
                pixel_from_world: camera.pixel_from_world().to_cols_array(),
                origin: camera.origin().to_array(),
                limit: [camera.width as f32 - 1.0, camera.height as f32 - 1.0],
                image_size: [image.width as i32, image.height as i32],
                map_size: [0; 2],
                image_first: index(photographs.len() / 3),
                map_first: 0,
                surface_first: 0,
                surface_size: [0; 2],
                surface_cell: -1,
                unused: 0,
            });
            photographs.extend_from_slice(&image.data);
        }
        self.surfaces.upload(kernels.device(), &NO_CELL)?;
        self.photographs.upload(kernels.device(), &photographs).map(drop)
    }

    /// Takes over where the views' own rays end, as far as it is known, for a network that asks; before
    /// [`CudaSources::set_maps`].
    ///
    /// # Panics
    /// If there is not one for each photograph.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn set_surfaces(&mut self, kernels: &Kernels, surfaces: &[Option<SurfaceMap>]) -> Result<()> {
        assert_eq!(surfaces.len(), self.cameras.len(), "surface maps of as many photographs");
        let mut cells = NO_CELL.to_vec();
        for (view, surface) in self.cameras.iter_mut().zip(surfaces) {
            view.surface_cell = surface.as_ref().map_or(0, |surface| surface.cell() as i32);
            if let Some(surface) = surface {
                view.surface_first = index(cells.len() / 2);
                view.surface_size = [surface.size().0 as i32, surface.size().1 as i32];
                cells.extend(surface.cells().as_flattened());
            }
        }
        self.surfaces.upload(kernels.device(), &cells).map(drop)
    }

    /// Whether the network asks which views a sample is hidden from.
    pub(in crate::network) fn asks_visibility(&self) -> bool {
        self.cameras.iter().any(|view| view.surface_cell >= 0)
    }

    /// The photographs of neighbouring views, each `[height, width, 3]`, one after the other.
    ///
    /// # Panics
    /// If there is no such view.
    pub fn photographs_of(&self, views: Range<usize>) -> Slice<'_> {
        let first = |view: usize| self.cameras.get(view).map_or(self.photographs.len(), |v| 3 * v.image_first as usize);
        self.photographs.slice().part(first(views.start)..first(views.end))
    }

    /// Makes room for maps of these sizes, `(width, height)`, with `width` channels after the first token layer.
    ///
    /// # Panics
    /// If there is not one for each photograph.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn set_maps(&mut self, kernels: &Kernels, sizes: &[(usize, usize)], width: usize) -> Result<()> {
        assert_eq!(sizes.len(), self.cameras.len(), "maps of as many photographs");
        self.ranges.clear();
        self.width = width;
        let mut first = 0;
        for (view, &(map_width, map_height)) in self.cameras.iter_mut().zip(sizes) {
            view.map_size = [map_width as i32, map_height as i32];
            view.map_first = index(first);
            self.ranges.push(first..first + map_width * map_height);
            first += map_width * map_height;
        }
        self.views.upload(kernels.device(), &self.cameras)?;
        self.map.resize(kernels.device(), first * width)?;
        Ok(())
    }

    /// Number of source views.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is no view.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    fn pixels(&self) -> usize {
        self.ranges.last().map_or(0, |r| r.end)
    }

    /// Values of the maps of neighbouring views.
    fn values_of(&self, views: Range<usize>) -> Range<usize> {
        self.ranges[views.start].start * self.width..self.ranges[views.end - 1].end * self.width
    }

    /// Runs the first token layer on the feature maps `[pixels, features]` of neighbouring views.
    ///
    /// # Errors
    /// If the device fails.
    pub fn project(
        &mut self,
        kernels: &Kernels,
        layer: &Linear,
        params: &Buffer<f32>,
        views: Range<usize>,
        features: Slice,
    ) -> Result<()> {
        let range = self.values_of(views);
        kernels.ops.linear(layer, params, features, self.map.slice_mut().part(range), false, false)
    }

    /// Makes the tokens at the maps' pixels where some layer reads them, after all maps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn make_keys(&mut self, kernels: &Kernels, net: &Folded, params: &Buffer<f32>) -> Result<()> {
        if !net.reads_keys {
            return Ok(());
        }
        let (device, pixels, c) = (kernels.device(), self.pixels(), self.width);
        self.colours.resize(device, pixels * 3)?;
        self.hidden.resize(device, pixels * c)?;
        self.keys.resize(device, pixels * c)?;
        let args = Args::new().store(&self.views).store(&self.photographs).store(&self.colours);
        // SAFETY: as many views and pixels as are said; the photographs have the sizes that the views name.
        unsafe {
            let args = args.ints([self.len(), pixels]);
            kernels.tokens.launch("tokens_pixel_colours", &Launch::each(pixels), args)?
        };
        let (weight, bias) = weight_and_bias(&net.token_colour, params);
        let args = Args::new().store(&self.map).store(&self.colours).slice(weight).slice(bias).store(&self.hidden);
        // SAFETY: map and hidden have `pixels` rows of c channels, a multiple of 4; the layer is 3 → c.
        unsafe { kernels.tokens.launch("tokens_pixels", &Launch::each(pixels * c / 4), args.ints([pixels, c]))? };
        kernels.ops.linear(&net.token_fc2, params, &self.hidden, &mut self.keys, false, false)
    }

    /// Takes the gradient of the keys' tokens, where there are any, to the parameters and to the maps'; after the last
    /// chunk of rays.
    ///
    /// # Errors
    /// If the device fails.
    pub fn keys_backward(
        &mut self,
        kernels: &Kernels,
        net: &Folded,
        params: &Buffer<f32>,
        d_maps: &mut CudaMapGrads,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        if !net.reads_keys {
            return Ok(());
        }
        let Self { hidden, d_hidden, colours, .. } = self;
        let (ops, device) = (&kernels.ops, kernels.device());
        d_hidden.resize(device, hidden.len())?;
        let dx = Some((d_hidden.slice_mut(), false));
        ops.linear_backward(&net.token_fc2, params, &*hidden, &d_maps.keys, dx, grads)?;
        ops.relu_backward(&*hidden, &mut *d_hidden)?;
        ops.linear_backward(&net.token_colour, params, &*colours, &*d_hidden, None, grads)?;
        ops.axpy(1.0, &*d_hidden, &mut d_maps.maps)
    }

    /// Takes the gradient of neighbouring views' maps through the first token layer: to its parameters, and to the feature maps
    /// `d_features` `[pixels, features]`, which is overwritten.
    ///
    /// # Errors
    /// If the device fails.
    pub fn map_backward(
        &self,
        kernels: &Kernels,
        layer: &Linear,
        params: &Buffer<f32>,
        views: Range<usize>,
        d_maps: &CudaMapGrads,
        features: Slice,
        d_features: SliceMut,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let d_map = d_maps.maps.slice().part(self.values_of(views));
        kernels.ops.linear_backward(layer, params, features, d_map, Some((d_features, false)), grads)
    }

    pub(in crate::network) fn views(&self) -> &Store<TrainingSource> {
        &self.views
    }

    pub(in crate::network) fn photographs(&self) -> &Store {
        &self.photographs
    }

    pub(in crate::network) fn surfaces(&self) -> &Store {
        &self.surfaces
    }

    pub(in crate::network) fn map(&self) -> &Store {
        &self.map
    }

    pub(in crate::network) fn keys(&self) -> &Store {
        &self.keys
    }
}

fn index(pixel: usize) -> i32 {
    i32::try_from(pixel).expect("fewer than 2^31 pixels")
}
