//! Losses of a chunk of rays and their gradients, on the device.

use crate::step::Losses;
use layers::cuda::{Ops, Store, View};
use tensor::cuda::{Args, Device, Launch, Module, Result, Source};

/// Threads of a block of the kernels that sum up.
const THREADS: usize = 256;

/// Which of the step's losses a sum belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Colour,
    Depth,
    Distillation,
    /// What another kernel reads.
    Helper,
}

/// The kernels, and sums that stay on the device until the end of the step.
#[derive(Debug)]
pub(super) struct LossSums {
    module: Module,
    partials: Store,
    totals: Store,
    /// What each total is a part of, and the factor that it counts with.
    parts: Vec<(Part, f64)>,
}

impl LossSums {
    pub fn new(device: &Device) -> Result<Self> {
        let module = device.module(&Source::plain("training/losses.cu"))?;
        Ok(Self { module, partials: Store::default(), totals: Store::default(), parts: Vec::new() })
    }

    /// Forgets all sums; at most `count` follow.
    pub fn start(&mut self, count: usize) -> Result<()> {
        self.parts.clear();
        self.totals.resize(self.module.device(), count)?;
        Ok(())
    }

    /// Adds up what there is, after all earlier work.
    pub fn read(&self, losses: &mut Losses) -> Result<()> {
        for ((part, factor), total) in self.parts.iter().zip(self.totals.read()?) {
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

    /// Sums the first `count` partial sums; returns the place of the total.
    fn total(&mut self, count: usize, part: Part, factor: f64) -> Result<usize> {
        let place = self.parts.len();
        assert!(place < self.totals.len(), "more than {} sums", self.totals.len());
        self.parts.push((part, factor));
        let args = Args::new().buffer(self.partials.buffer()).buffer(self.totals.buffer()).int(place).int(count);
        // SAFETY: `count` partial sums were just written, and there is a total at `place`.
        unsafe { self.module.launch("losses_total", &Launch::new(1, THREADS as u32), args)? };
        Ok(place)
    }

    /// Room for a partial sum of each block of `count` values.
    fn blocks(&mut self, count: usize) -> Result<(usize, Launch)> {
        let blocks = count.div_ceil(THREADS).max(1);
        self.partials.resize(self.module.device(), blocks)?;
        Ok((blocks, Launch::new(blocks, THREADS as u32)))
    }

    /// `scale · Σ (own − wanted)²`; writes its gradient, or adds it with `add`.
    pub fn squares(
        &mut self,
        own: &Store,
        wanted: View,
        d: &mut Store,
        scale: f32,
        add: bool,
        part: Part,
    ) -> Result<()> {
        assert_eq!((own.len(), d.len()), (wanted.len(), wanted.len()), "values, targets and gradients");
        let (blocks, launch) = self.blocks(own.len())?;
        let args = Args::new().buffer(own.buffer()).value(wanted.address()).buffer(d.buffer());
        let args = args.buffer(self.partials.buffer()).float(scale).int(usize::from(add)).int(own.len());
        // SAFETY: three vectors of one length (checked), and a partial sum a block.
        unsafe { self.module.launch("losses_squares", &launch, args)? };
        self.total(blocks, part, f64::from(scale)).map(drop)
    }

    /// Cross entropy of the samples' weights against the true depths, times `1 / total` for the loss and times `scale` for
    /// the gradient of the samples' logits, which is written.
    pub fn depth(
        &mut self,
        z: View,
        weights: &Store,
        depths: View,
        range: (f32, f32),
        d_logits: &mut Store,
        (scale, total): (f32, f32),
    ) -> Result<()> {
        let (rays, samples) = (depths.len(), weights.len() / depths.len());
        assert_eq!((z.len(), d_logits.len()), (weights.len(), weights.len()), "depths, weights and gradients");
        self.partials.resize(self.module.device(), rays)?;
        let args = Args::new().value(z.address()).buffer(weights.buffer()).value(depths.address());
        let args = args.buffer(d_logits.buffer()).buffer(self.partials.buffer()).float(range.0).float(range.1);
        let launch = Launch::new(rays.div_ceil(8), 256);
        // SAFETY: `samples` values a ray in each array (checked), a depth and a loss a ray.
        unsafe { self.module.launch("losses_depth", &launch, args.float(scale).int(rays).int(samples))? };
        self.total(rays, Part::Depth, 1.0 / f64::from(total)).map(drop)
    }

    /// `weight · mean((own − wanted)²) / mean(wanted²)`; writes its gradient.
    pub fn distance(&mut self, own: &Store, wanted: &Store, d: &mut Store, weight: f32) -> Result<()> {
        let count = own.len();
        assert_eq!(wanted.len(), count, "states of pupil and teacher");
        d.resize(self.module.device(), count)?;
        let (blocks, launch) = self.blocks(count)?;
        let args = Args::new().buffer(wanted.buffer()).buffer(self.partials.buffer()).int(count);
        // SAFETY: `count` values and a partial sum a block.
        unsafe { self.module.launch("losses_norm", &launch, args)? };
        let square = self.total(blocks, Part::Helper, 0.0)?;
        let args = Args::new().buffer(own.buffer()).buffer(wanted.buffer()).buffer(self.totals.buffer()).int(square);
        let args = args.buffer(d.buffer()).buffer(self.partials.buffer()).float(weight).int(count);
        // SAFETY: three vectors of `count` values; the total at `square` is complete before this kernel starts.
        unsafe { self.module.launch("losses_distance", &launch, args)? };
        self.total(blocks, Part::Distillation, 1.0).map(drop)
    }

    /// `−scale · Σ wanted · ln own`; writes the gradient of the logits of `own`, or adds it with `add`.
    pub fn entropy(&mut self, own: &Store, wanted: &Store, d: &mut Store, scale: f32, add: bool) -> Result<()> {
        let count = own.len();
        assert_eq!((wanted.len(), d.len()), (count, count), "weights of pupil and teacher");
        let (blocks, launch) = self.blocks(count)?;
        let args = Args::new().buffer(own.buffer()).buffer(wanted.buffer()).buffer(d.buffer());
        let args = args.buffer(self.partials.buffer()).float(scale).int(usize::from(add)).int(count);
        // SAFETY: three vectors of `count` values (checked), and a partial sum a block.
        unsafe { self.module.launch("losses_entropy", &launch, args)? };
        self.total(blocks, Part::Distillation, 1.0).map(drop)
    }
}

/// Most sums that a chunk needs.
pub(super) fn sums_of_chunk(depth: usize) -> usize {
    // Colours and depths; of a lesson, colours, weights, and two sums for the tokens and each state.
    4 + 2 * (4 * depth + 1)
}

/// A copy of a part of a step's input.
pub(super) fn copy(ops: &Ops, from: View, to: &mut Store) -> Result<()> {
    to.resize(ops.device(), from.len())?;
    ops.copy(from, to)
}
