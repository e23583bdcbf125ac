//! Tokens on a CUDA device.

use super::{TokenExecutor, Tokens};
use crate::config::Position;
use crate::folded::Folded;
use crate::network::cuda::Kernels;
use crate::network::sources::{CudaMapGrads, CudaSources, RayChunk};
use compute::cuda::{Args, Buffer, Launch, Result};
use layers::cuda::{Footprint, MoreArgs, Store};
use layers::linear::Linear;
use layers::linear::cuda::weight_and_bias;

/// Where the samples of a chunk are, on the device.
#[derive(Debug, Default)]
pub struct CudaPlaces {
    /// `[rays, 6]`: origin and direction.
    rays: Store,
    /// `[T]`, as the host gave them.
    pub depths: Store,
    /// Neighbours in the feature maps and their weights, `[T, V, 4]`.
    index: Store<i32>,
    weight: Store,
}

/// What [`Tokens`] hold on the device.
pub(in crate::network) fn footprint(net: &Folded) -> Footprint {
    let c = net.token_fc2.inputs;
    // A pair's mask, direction, colour and four taps; then tokens and hidden layer with their gradients. A sample's depth.
    let keys = if net.reads_keys { 2 * c } else { 0 };
    Footprint { sample: 1, pair: 16 + 4 * c + keys }
}

impl CudaPlaces {
    /// Adds the neighbours to the arguments of a kernel.
    fn taps(&self, args: Args) -> Args {
        args.store(&self.index).store(&self.weight)
    }
}

impl TokenExecutor for Kernels {
    type Sources<'a> = &'a CudaSources;
    type MapGrads = CudaMapGrads;
    type Places = CudaPlaces;

    fn views(sources: &CudaSources) -> usize {
        sources.len()
    }

    fn project(&self, sources: &CudaSources, chunk: RayChunk, tokens: &mut Tokens<Self>) -> Result<()> {
        let device = self.device();
        let rays: Vec<f32> =
            chunk.rays.iter().flat_map(|r| r.origin.to_array().into_iter().chain(r.direction.to_array())).collect();
        let Tokens { samples, shared, colours, places, .. } = tokens;
        let pairs = shared.pairs();
        places.rays.upload(device, &rays)?;
        places.depths.upload(device, chunk.depths)?;
        places.index.resize(device, pairs * 4)?;
        places.weight.resize(device, pairs * 4)?;
        let args = Args::new().store(&places.rays).store(&places.depths);
        let args = args.store(sources.views()).store(sources.photographs()).store(sources.surfaces());
        let args = args.store(&shared.mask).store(&shared.directions).store(colours);
        let args = places.taps(args).ints([*samples, shared.views, pairs]);
        // SAFETY: rays and depths were just written for these sizes, the outputs made for `pairs`; the sources' views
        // name their parts of the photographs and surface maps.
        unsafe { self.tokens.launch("tokens_project", &Launch::each(pairs), args)? };
        if !sources.asks_visibility() {
            return Ok(());
        }
        let args = Args::new().store(&shared.directions).store(&shared.mask).ints([shared.views, shared.samples]);
        // SAFETY: directions and mask are those of the samples' pairs.
        unsafe { self.tokens.launch("tokens_leave_hidden_out", &Launch::each(shared.samples), args) }
    }

    fn gather(
        &self,
        layer: &Linear,
        params: &Buffer<f32>,
        sources: &CudaSources,
        tokens: &mut Tokens<Self>,
    ) -> Result<()> {
        let (c, pairs) = (layer.outputs, tokens.shared.pairs());
        let (weight, bias) = weight_and_bias(layer, params);
        let args = tokens.places.taps(Args::new().store(sources.map())).store(&tokens.colours);
        let args = args.slice(weight).slice(bias).store(&tokens.hidden).ints([pairs, c]);
        // SAFETY: taps lie inside the maps, whose rows have c channels, a multiple of 4; hidden has `pairs` rows.
        unsafe { self.tokens.launch("tokens_gather", &Launch::each(pairs * c / 4), args) }
    }

    fn gather_keys(&self, channels: usize, sources: &CudaSources, tokens: &mut Tokens<Self>) -> Result<()> {
        let pairs = tokens.shared.pairs();
        let args = tokens.places.taps(Args::new().store(sources.keys())).store(&tokens.shared.keys);
        // SAFETY: taps lie inside the maps, and the key tokens lie like the maps, in rows of `channels`, a multiple of 4.
        unsafe {
            let launch = Launch::each(pairs * channels / 4);
            self.tokens.launch("tokens_keys", &launch, args.ints([pairs, channels]))
        }
    }

    fn scatter(&self, channels: usize, tokens: &Tokens<Self>, d_maps: &mut CudaMapGrads) -> Result<()> {
        self.scatter_rows("tokens_scatter", channels, tokens, &tokens.d_hidden, &mut d_maps.maps)
    }

    fn scatter_keys(&self, channels: usize, tokens: &Tokens<Self>, d_maps: &mut CudaMapGrads) -> Result<()> {
        self.scatter_rows("tokens_keys_scatter", channels, tokens, &tokens.shared.d_keys, &mut d_maps.keys)
    }

    fn encode(&self, position: Position, chunk: RayChunk, tokens: &Tokens<Self>, out: &mut Store) -> Result<()> {
        let (samples, count, places) = (tokens.samples, tokens.shared.samples, &tokens.places);
        let launch = Launch::each(out.len());
        // SAFETY: rays and depths are those of `count` samples, for which `out` was made.
        unsafe {
            match position {
                Position::World { frequencies } => {
                    let args = Args::new().store(&places.rays).store(&places.depths).store(out);
                    self.encoding.launch("encoding_world", &launch, args.ints([samples, frequencies, count]))
                }
                Position::Ray { frequencies } => {
                    let (near, far) = chunk.depth_range;
                    let args = Args::new().store(&places.depths).store(out).int(frequencies);
                    self.encoding.launch("encoding_ray", &launch, args.float(near).float(far).int(count))
                }
            }
        }
    }
}

impl Kernels {
    /// Adds the rows of `d` `[T, V, channels]` to those of the maps' pixels.
    fn scatter_rows(
        &self,
        kernel: &str,
        channels: usize,
        tokens: &Tokens<Self>,
        d: &Store,
        d_map: &mut Store,
    ) -> Result<()> {
        let pairs = tokens.shared.pairs();
        let args = tokens.places.taps(Args::new().store(d)).store(d_map).ints([pairs, channels]);
        // SAFETY: taps lie inside the maps, whose gradients have rows of `channels` as `d` has.
        unsafe { self.tokens.launch(kernel, &Launch::each(pairs * channels), args) }
    }
}
