//! Chunks of rays: buffers, launches, results.

use super::batch::{RayBatch, Rays, Want};
use super::forced::{DecisionTable, Uploaded};
use super::instance::{Place, render_source};
use super::launch::RayLaunch;
use super::source::RaySource;
use super::{CudaEngine, CudaSource};
use crate::stage::Stage;
use crate::{Error, FeedForwardKind, Result};
use compute::cuda::twin::{Address, Out, Pointee};
use compute::cuda::{Args, Buffer, CudaError, Device, Launch, Module, Plain, STREAMS};
use compute::twin;

twin! {
    /// The rays of a launch, and where their results go.
    pub(super) struct RayJob {
        sources: Address<RaySource>,
        /// `[rays, 6]`: origin and direction.
        rays: Address<f32>,
        /// `[samples]`, or of each ray.
        depths: Address<f32>,
        /// A part for each block.
        workspace: Address<Out<u8>>,
        /// `[rays, 3]`.
        rgb: Address<Out<f32>>,
        /// `[rays, samples]`, or null.
        weights: Address<Out<f32>>,
        /// `[rays]`.
        depth: Address<Out<f32>>,
        /// `[1 + 3 depth, rays, samples, C]`, or null: the start, and after each view block, position layer and ray block.
        states: Address<Out<f32>>,
        /// By STAGE: cycles spent; or null.
        cycles: Address<Out<u64>>,
        /// `[2 depth]`: rows that the multiply expert of each feed-forward part ran, added up; or null.
        routed: Address<Out<u64>>,
        /// `[rays]`: rows of a ray that all multiply experts ran; written where there is `routed`.
        multiplied: Address<Out<u32>>,
        /// What is decided elsewhere; null, and not read, where the instance is not FORCED.
        decisions: Address<DecisionTable>,
        /// Bytes of the workspace of a block.
        workspace_stride: u64,
        near: f32,
        far: f32,
        num_rays: i32,
        num_samples: i32,
        num_views: i32,
        /// Depths of a ray from those of the next; 0 where all rays have the same.
        depth_stride: i32,
    }
}

/// Buffers of launches, kept between them.
#[derive(Debug)]
pub(super) struct Buffers {
    streams: [StreamBuffers; STREAMS],
    /// By [`Stage`].
    cycles: Buffer<u64>,
}

/// What a stream's launch reads and writes; another stream has its own, so that one can be read while the other runs.
#[derive(Debug)]
struct StreamBuffers {
    sources: Buffer<RaySource>,
    rays: Buffer<f32>,
    depths: Buffer<f32>,
    workspace: Buffer<u8>,
    rgb: Buffer<f32>,
    depth: Buffer<f32>,
    weights: Buffer<f32>,
    states: Buffer<f32>,
    /// By feed-forward part.
    routed: Buffer<u64>,
    multiplied: Buffer<u32>,
    pending: Option<Pending>,
}

/// A launch whose results are not fetched yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    rays: usize,
    samples: usize,
    stages: usize,
    /// Feed-forward parts whose rows are counted.
    parts: usize,
    want: Want,
}

impl Buffers {
    pub fn new(device: &Device) -> Result<Self> {
        let streams = [StreamBuffers::new(device)?, StreamBuffers::new(device)?];
        Ok(Self { streams, cycles: device.zeros(Stage::ALL.len())? })
    }
}

/// Numbers of values that a launch needs.
#[derive(Clone, Copy, Debug)]
struct Room {
    sources: usize,
    rays: usize,
    depths: usize,
    weights: usize,
    states: usize,
    parts: usize,
}

impl StreamBuffers {
    fn new(device: &Device) -> Result<Self> {
        let floats = || device.zeros::<f32>(0);
        Ok(Self {
            sources: device.zeros(0)?,
            rays: floats()?,
            depths: floats()?,
            workspace: device.zeros(0)?,
            rgb: floats()?,
            depth: floats()?,
            weights: floats()?,
            states: floats()?,
            routed: device.zeros(0)?,
            multiplied: device.zeros(0)?,
            pending: None,
        })
    }

    /// Makes room for a launch, and workspace for as many of `blocks` blocks as the rest of the memory allows; tells how
    /// many those are.
    fn make(&mut self, room: Room, workspace: usize, mut blocks: usize) -> Result<usize> {
        fit(&mut self.sources, room.sources)?;
        fit(&mut self.rays, 6 * room.rays)?;
        fit(&mut self.depths, room.depths)?;
        fit(&mut self.rgb, 3 * room.rays)?;
        fit(&mut self.depth, room.rays)?;
        fit(&mut self.weights, room.weights)?;
        fit(&mut self.states, room.states)?;
        fit(&mut self.routed, room.parts)?;
        fit(&mut self.multiplied, if room.parts > 0 { room.rays } else { 0 })?;
        while let Err(error) = fit(&mut self.workspace, workspace * blocks) {
            match error {
                Error::Cuda(CudaError::OutOfMemory { .. }) if blocks > 1 => blocks = blocks.div_ceil(2),
                other => return Err(other),
            }
        }
        Ok(blocks)
    }
}

/// Makes room for `len` values; what is there is lost where the buffer is too small.
fn fit<T: Plain>(buffer: &mut Buffer<T>, len: usize) -> Result<()> {
    if buffer.len() < len {
        let device = buffer.device().clone();
        // The old memory goes first: both together might be too much.
        *buffer = device.zeros(0)?;
        *buffer = device.zeros(len)?;
    }
    Ok(())
}

/// Where results go that are wanted; null for others.
fn wanted<T: Plain>(wanted: bool, buffer: &Buffer<T>) -> Address<Out<T>>
where
    Out<T>: Pointee,
{
    if wanted { buffer.into() } else { Address::NULL }
}

/// Copies the first `len` values.
fn fetch<T: Plain + Default>(stream: usize, buffer: &Buffer<T>, len: usize) -> Result<Vec<T>> {
    let mut values = vec![T::default(); len];
    buffer.read_on(stream, 0, &mut values)?;
    Ok(values)
}

impl CudaEngine {
    /// Renders rays and waits for them.
    ///
    /// # Errors
    /// If no source is given, the depths do not fit the rays, or the device fails.
    pub fn render(&mut self, sources: &[&CudaSource], rays: Rays, want: Want) -> Result<RayBatch> {
        self.start(0, sources, rays, want)?;
        self.finish(0)
    }

    /// Starts to render rays on a stream, whose results before must have been fetched; the sources must live until its
    /// own are. Where memory is short, fewer blocks run at once.
    ///
    /// # Errors
    /// As [`CudaEngine::render`].
    ///
    /// # Panics
    /// If the stream's results were not fetched.
    pub(crate) fn start(&mut self, stream: usize, sources: &[&CudaSource], rays: Rays, want: Want) -> Result<()> {
        self.start_with(stream, sources, rays, want, None)
    }

    /// The same with the decisions of another device.
    pub(super) fn start_with(
        &mut self,
        stream: usize,
        sources: &[&CudaSource],
        rays: Rays,
        want: Want,
        decisions: Option<&Uploaded>,
    ) -> Result<()> {
        let (count, samples) = (rays.rays.len(), rays.samples);
        let per_ray = rays.depths.len() != samples;
        if sources.is_empty() || count == 0 {
            return Err(Error::Input(format!("expected rays and source views, found {count} and {}", sources.len())));
        }
        if samples < 2 || (per_ray && rays.depths.len() != count * samples) {
            let found = rays.depths.len();
            return Err(Error::Input(format!("depths of {count} rays with {samples} samples: found {found}")));
        }
        let launch =
            RayLaunch::new(&self.config, self.tuning, self.precision, self.device.info(), samples, sources.len())?;
        let module = self.render_module(launch.place, decisions.is_some())?;
        let stages = if want.states { 1 + 3 * self.config.depth } else { 0 };
        let experts = matches!(self.config.mlp, FeedForwardKind::Experts { .. });
        let parts = if want.routing && experts { 2 * self.config.depth } else { 0 };
        let Buffers { streams, cycles } = &mut self.buffers;
        let b = &mut streams[stream];
        assert!(b.pending.is_none(), "results of stream {stream} were not fetched");

        let views: Vec<RaySource> = sources.iter().map(|s| s.view).collect();
        let room = Room {
            sources: views.len(),
            rays: count,
            depths: rays.depths.len(),
            weights: if want.weights { count * samples } else { 0 },
            states: stages * count * samples * self.config.width,
            parts,
        };
        let mut blocks = match b.make(room, launch.workspace, launch.blocks.min(count)) {
            Ok(blocks) => blocks,
            Err(error) => {
                // What was made for more rays would be in the way of fewer.
                *b = StreamBuffers::new(&self.device)?;
                return Err(error);
            }
        };
        b.sources.write_on(stream, 0, &views)?;
        let flat: Vec<f32> =
            rays.rays.iter().flat_map(|r| [r.origin, r.direction]).flat_map(|v| v.to_array()).collect();
        b.rays.write_on(stream, 0, &flat)?;
        b.depths.write_on(stream, 0, rays.depths)?;
        b.routed.clear(stream)?;
        let mut job = RayJob {
            sources: (&b.sources).into(),
            rays: (&b.rays).into(),
            depths: (&b.depths).into(),
            workspace: (&b.workspace).into(),
            rgb: (&b.rgb).into(),
            weights: wanted(want.weights, &b.weights),
            depth: (&b.depth).into(),
            states: wanted(want.states, &b.states),
            cycles: wanted(want.cycles, cycles),
            routed: wanted(parts > 0, &b.routed),
            multiplied: wanted(parts > 0, &b.multiplied),
            decisions: decisions.map_or(Address::NULL, |decisions| (&decisions.table).into()),
            workspace_stride: launch.workspace as u64,
            near: rays.depth_range.0,
            far: rays.depth_range.1,
            num_rays: i32::try_from(count).map_err(|_| Error::Input(format!("{count} rays are too many")))?,
            num_samples: samples as i32,
            num_views: sources.len() as i32,
            depth_stride: if per_ray { samples as i32 } else { 0 },
        };
        let how = |blocks| {
            let usual = Launch::new(blocks, launch.threads).shared(launch.shared).on(stream);
            if launch.shared > 0 { usual.resident(launch.resident) } else { usual }
        };
        loop {
            let args = Args::new().value(job).value(self.network.weights);
            // SAFETY: the kernel's two arguments; buffers were made as large as the counts in the job say, the
            // workspace for as many blocks as are launched; sources and weights live as long as `self` and the caller's
            // borrow, and results are fetched before anything is dropped.
            match unsafe { module.launch("render_rays", &how(blocks), args) } {
                Err(CudaError::OutOfMemory { .. }) if blocks > 1 => {
                    // Spilled registers need memory too: the workspace of half of the blocks may be room enough.
                    blocks = blocks.div_ceil(2);
                    b.workspace = self.device.zeros(0)?;
                    b.workspace = self.device.zeros(launch.workspace * blocks)?;
                    job.workspace = (&b.workspace).into();
                }
                launched => break launched?,
            }
        }
        b.pending = Some(Pending { rays: count, samples, stages, parts, want });
        Ok(())
    }

    /// The ray kernel for rays whose things lie in a place.
    fn render_module(&mut self, place: Place, forced: bool) -> Result<Module> {
        if let Some(module) = self.render.get(&(place, forced)) {
            return Ok(module.clone());
        }
        let source = render_source(&self.config, self.tuning, self.precision, place, forced)?;
        let module = self.device.module(&source)?;
        self.render.insert((place, forced), module.clone());
        Ok(module)
    }

    /// Waits for what was started on a stream and fetches it.
    ///
    /// # Errors
    /// If the device failed.
    ///
    /// # Panics
    /// If nothing was started.
    pub(crate) fn finish(&mut self, stream: usize) -> Result<RayBatch> {
        let c = self.config.width;
        let b = &mut self.buffers.streams[stream];
        let Pending { rays, samples, stages, parts, want } = b.pending.take().expect("rays were started on the stream");
        Ok(RayBatch {
            rgb: fetch(stream, &b.rgb, 3 * rays)?,
            depth: fetch(stream, &b.depth, rays)?,
            weights: fetch(stream, &b.weights, if want.weights { rays * samples } else { 0 })?,
            states: fetch(stream, &b.states, stages * rays * samples * c)?,
            routed: fetch(stream, &b.routed, parts)?,
            multiplied: fetch(stream, &b.multiplied, if parts > 0 { rays } else { 0 })?,
        })
    }

    /// Gives the memory of launches back; the next ones take what they need.
    ///
    /// # Errors
    /// If the device fails.
    pub fn release_buffers(&mut self) -> Result<()> {
        self.device.synchronise()?;
        self.features.release_memory();
        self.buffers = Buffers::new(&self.device)?;
        Ok(())
    }

    /// Waits for everything that was started and forgets its results.
    pub(crate) fn abandon(&mut self) {
        // Whatever failed before has been told already.
        let _ = self.device.synchronise();
        self.buffers.streams.iter_mut().for_each(|b| b.pending = None);
    }

    /// Clock cycles of the blocks by [`Stage`], in launches with [`Want::cycles`] since the last call. In loops over the
    /// tiles of a ray, the first warp's cycles stand for those of all.
    ///
    /// # Errors
    /// If the device failed.
    pub fn stage_cycles(&mut self) -> Result<[u64; Stage::ALL.len()]> {
        self.device.synchronise()?;
        let all = self.buffers.cycles.read()?;
        self.buffers.cycles.clear(0)?;
        Ok(std::array::from_fn(|i| all[i]))
    }
}
