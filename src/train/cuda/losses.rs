//! Losses of a chunk of rays and their gradients, on the device.

use crate::data::Batch;
use crate::step::Losses;
use crate::step::losses::ChunkLosses;
use compute::cuda::{Args, Device, KernelSource, Launch, Module, Result};
use gnt::network::Workspace;
use gnt::network::cuda::Kernels;
use gnt::network::sources::RayChunk;
use layers::cuda::{BLOCK, MoreArgs, Slice, Store, warps};
use std::ops::Range;

/// Which of the step's losses a sum belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Colour,
    Depth,
    Distillation,
    /// What another kernel reads.
    Helper,
}

/// Losses of a step's chunks on the device, against what the step is to show.
#[derive(Debug)]
pub(super) struct CudaLosses {
    /// True colours of the step's rays `[rays, 3]`.
    colours: Store,
    /// Their true depths, where they are known.
    depths: Store,
    sums: Sums,
}

/// The kernels, and sums that stay on the device until the end of the step.
#[derive(Debug)]
struct Sums {
    module: Module,
    partials: Store,
    totals: Store,
    /// What each total is a part of, and the factor that it counts with.
    parts: Vec<(Part, f64)>,
}

impl CudaLosses {
    pub fn new(device: &Device) -> Result<Self> {
        let module = device.module(&KernelSource::plain("training/losses.cu"))?;
        let sums = Sums { module, partials: Store::default(), totals: Store::default(), parts: Vec::new() };
        Ok(Self { colours: Store::default(), depths: Store::default(), sums })
    }

    /// Takes over what the step is to show, and forgets all sums; at most `count` follow.
    pub fn start(&mut self, batch: &Batch, count: usize) -> Result<()> {
        let device = self.sums.module.device();
        self.colours.upload(device, &batch.colours)?;
        if let Some(depths) = &batch.depths {
            self.depths.upload(device, depths)?;
        }
        self.sums.parts.clear();
        self.sums.totals.resize(device, count)?;
        Ok(())
    }

    /// Adds up what there is, after all earlier work.
    pub fn read(&self, losses: &mut Losses) -> Result<()> {
        for ((part, factor), total) in self.sums.parts.iter().zip(self.sums.totals.read()?) {
            let loss = factor * f64::from(total);
            match part {
                Part::Colour => losses.colour += loss,
                Part::Depth => losses.depth += loss,
                Part::Distillation => losses.distillation += loss,
                Part::Helper => {}
            }
        }
        Ok(())
    }

    /// Rays of the step.
    fn total_rays(&self) -> f32 {
        (self.colours.len() / 3) as f32
    }
}

impl Sums {
    /// Sums the first `count` partial sums; returns the place of the total.
    fn total(&mut self, count: usize, part: Part, factor: f64) -> Result<usize> {
        let place = self.parts.len();
        assert!(place < self.totals.len(), "more than {} sums", self.totals.len());
        self.parts.push((part, factor));
        let args = Args::new().store(&self.partials).store(&self.totals).ints([place, count]);
        // SAFETY: `count` partial sums were just written, and there is a total at `place`.
        unsafe { self.module.launch("losses_total", &Launch::new(1, BLOCK as u32), args)? };
        Ok(place)
    }

    /// Room for a partial sum of each block of `count` values.
    fn blocks(&mut self, count: usize) -> Result<(usize, Launch)> {
        let blocks = count.div_ceil(BLOCK).max(1);
        self.partials.resize(self.module.device(), blocks)?;
        Ok((blocks, Launch::new(blocks, BLOCK as u32)))
    }

    /// `scale · Σ (own − wanted)²`; writes its gradient, or adds it with `add`.
    fn squares(&mut self, own: &Store, wanted: Slice, d: &mut Store, scale: f32, add: bool, part: Part) -> Result<()> {
        assert_eq!((own.len(), d.len()), (wanted.len(), wanted.len()), "values, targets and gradients");
        let (blocks, launch) = self.blocks(own.len())?;
        let args = Args::new().store(own).slice(wanted).store(d);
        let args = args.store(&self.partials).float(scale).int(usize::from(add)).int(own.len());
        // SAFETY: three vectors of one length (checked), and a partial sum a block.
        unsafe { self.module.launch("losses_squares", &launch, args)? };
        self.total(blocks, part, f64::from(scale)).map(drop)
    }
}

impl ChunkLosses<Kernels> for CudaLosses {
    fn colour(&mut self, rays: Range<usize>, own: &Store, d: &mut Store, _: &mut f64) -> Result<()> {
        let truth = self.colours.slice().part(rays.start * 3..rays.end * 3);
        self.sums.squares(own, truth, d, 1.0 / (3.0 * self.total_rays()), false, Part::Colour)
    }

    fn depth(
        &mut self,
        rays: Range<usize>,
        chunk: RayChunk,
        pass: &Workspace<Kernels>,
        weight: f32,
        d: &mut Store,
        _: &mut f64,
    ) -> Result<()> {
        let (rays_here, samples, total) = (rays.len(), chunk.samples(), self.total_rays());
        let (z, weights) = (&pass.tokens.places.depths, &pass.trunk.head.ray_weights);
        let values = rays_here * samples;
        assert_eq!((z.len(), weights.len(), d.len()), (values, values, values), "depths, weights and gradients");
        self.sums.partials.resize(self.sums.module.device(), rays_here)?;
        let args = Args::new().store(z).store(weights).slice(self.depths.slice().part(rays));
        let (near, far) = chunk.depth_range;
        let args = args.store(d).store(&self.sums.partials).float(near).float(far).float(weight / total);
        // SAFETY: `samples` values a ray in each array (checked), a depth and a loss a ray.
        unsafe { self.sums.module.launch("losses_depth", &warps(rays_here), args.ints([rays_here, samples]))? };
        self.sums.total(rays_here, Part::Depth, 1.0 / f64::from(total)).map(drop)
    }

    fn distance(&mut self, own: &Store, wanted: &Store, weight: f32, d: &mut Store, _: &mut f64) -> Result<()> {
        let count = own.len();
        assert_eq!((wanted.len(), d.len()), (count, count), "states of pupil and teacher, and gradients");
        let (blocks, launch) = self.sums.blocks(count)?;
        let args = Args::new().store(wanted).store(&self.sums.partials).int(count);
        // SAFETY: `count` values and a partial sum a block.
        unsafe { self.sums.module.launch("losses_norm", &launch, args)? };
        let square = self.sums.total(blocks, Part::Helper, 0.0)?;
        let args = Args::new().store(own).store(wanted).store(&self.sums.totals).int(square);
        let args = args.store(d).store(&self.sums.partials).float(weight).int(count);
        // SAFETY: three vectors of `count` values; the total at `square` is complete before this kernel starts.
        unsafe { self.sums.module.launch("losses_distance", &launch, args)? };
        self.sums.total(blocks, Part::Distillation, 1.0).map(drop)
    }

    fn taught_colour(&mut self, own: &Store, wanted: &Store, scale: f32, d: &mut Store, _: &mut f64) -> Result<()> {
        self.sums.squares(own, wanted.slice(), d, scale, true, Part::Distillation)
    }

    fn taught_weights(
        &mut self,
        (own, wanted): (&Store, &Store),
        scale: f32,
        add: bool,
        d: &mut Store,
        _: &mut f64,
    ) -> Result<()> {
        let count = own.len();
        assert_eq!((wanted.len(), d.len()), (count, count), "weights of pupil and teacher, and gradients");
        let (blocks, launch) = self.sums.blocks(count)?;
        let args = Args::new().store(own).store(wanted).store(d);
        let args = args.store(&self.sums.partials).float(scale).int(usize::from(add)).int(count);
        // SAFETY: three vectors of `count` values (checked), and a partial sum a block.
        unsafe { self.sums.module.launch("losses_entropy", &launch, args)? };
        self.sums.total(blocks, Part::Distillation, 1.0).map(drop)
    }
}

/// Most sums that a chunk needs.
pub(super) fn sums_of_chunk(depth: usize) -> usize {
    // Colours and depths; of a lesson, colours, weights, and two sums for the tokens and each state.
    4 + 2 * (4 * depth + 1)
}
