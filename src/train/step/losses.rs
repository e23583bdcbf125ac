//! The losses of a chunk of rays, each with its gradient: what each device has to know, and the CPU's.

use gnt::encoding;
use gnt::network::sources::RayChunk;
use gnt::network::{Cpu, RayExecutor, Workspace};
use std::convert::Infallible;
use std::ops::Range;

/// Losses on an executor, against the colours and depths of the whole step. `rays` are those of the chunk among the step's.
///
/// Each verb writes a gradient, which has its size already, or adds to it where it says so. It adds its loss to `sum`,
/// unless the executor keeps sums of its own until the end of the step.
pub(crate) trait ChunkLosses<E: RayExecutor> {
    /// Mean squared error of the colours `own` `[rays, 3]` over the step.
    fn colour(&mut self, rays: Range<usize>, own: &E::Values, d: &mut E::Values, sum: &mut f64)
    -> Result<(), E::Error>;

    /// Mean cross entropy over the step of the samples' weights in `pass` against the true depths, which must be known;
    /// `d` is the gradient of the samples' logits `[rays, samples]`, times `weight`.
    fn depth(
        &mut self,
        rays: Range<usize>,
        chunk: RayChunk,
        pass: &Workspace<E>,
        weight: f32,
        d: &mut E::Values,
        sum: &mut f64,
    ) -> Result<(), E::Error>;

    /// `weight · mean((own − wanted)²) / mean(wanted²)`, of states or tokens of pupil and teacher.
    fn distance(
        &mut self,
        own: &E::Values,
        wanted: &E::Values,
        weight: f32,
        d: &mut E::Values,
        sum: &mut f64,
    ) -> Result<(), E::Error>;

    /// `scale · Σ (own − wanted)²` of the colours of pupil and teacher; adds to the gradient.
    fn taught_colour(
        &mut self,
        own: &E::Values,
        wanted: &E::Values,
        scale: f32,
        d: &mut E::Values,
        sum: &mut f64,
    ) -> Result<(), E::Error>;

    /// `−scale · Σ wanted · ln own` of the samples' weights of pupil and teacher; the gradient is that of the logits of
    /// `own`, added to what is there with `add`.
    fn taught_weights(
        &mut self,
        pupil_and_teacher: (&E::Values, &E::Values),
        scale: f32,
        add: bool,
        d: &mut E::Values,
        sum: &mut f64,
    ) -> Result<(), E::Error>;
}

/// Losses on the CPU.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuLosses<'a> {
    /// True colours of the step's rays `[rays, 3]`.
    pub colours: &'a [f32],
    /// Their true depths, where they are known.
    pub depths: Option<&'a [f32]>,
}

impl CpuLosses<'_> {
    /// Rays of the step.
    fn total(&self) -> f32 {
        (self.colours.len() / 3) as f32
    }
}

impl ChunkLosses<Cpu> for CpuLosses<'_> {
    fn colour(
        &mut self,
        rays: Range<usize>,
        own: &Vec<f32>,
        d: &mut Vec<f32>,
        sum: &mut f64,
    ) -> Result<(), Infallible> {
        let truth = &self.colours[rays.start * 3..rays.end * 3];
        let count = 3.0 * self.total();
        for ((d, own), truth) in d.iter_mut().zip(own).zip(truth) {
            let error = own - truth;
            *sum += f64::from(error * error) / f64::from(count);
            *d = 2.0 * error / count;
        }
        Ok(())
    }

    fn depth(
        &mut self,
        rays: Range<usize>,
        chunk: RayChunk,
        pass: &Workspace,
        weight: f32,
        d: &mut Vec<f32>,
        sum: &mut f64,
    ) -> Result<(), Infallible> {
        let (samples, total) = (chunk.samples(), self.total());
        let truth = &self.depths.expect("true depths, which the caller has looked for")[rays];
        let weights = pass.trunk.head.ray_weights.chunks_exact(samples);
        let z = chunk.depths.chunks_exact(samples);
        for (((d, weights), z), truth) in d.chunks_exact_mut(samples).zip(weights).zip(z).zip(truth) {
            *sum += f64::from(depth_loss(z, weights, *truth, chunk.depth_range, d) / total);
        }
        d.iter_mut().for_each(|d| *d *= weight / total);
        Ok(())
    }

    fn distance(
        &mut self,
        own: &Vec<f32>,
        wanted: &Vec<f32>,
        weight: f32,
        d: &mut Vec<f32>,
        sum: &mut f64,
    ) -> Result<(), Infallible> {
        let mean_square: f32 = wanted.iter().map(|w| w * w).sum::<f32>() / wanted.len().max(1) as f32;
        let scale = weight / (mean_square.max(1e-6) * own.len().max(1) as f32);
        let mut squares = 0.0f64;
        for ((d, own), wanted) in d.iter_mut().zip(own).zip(wanted) {
            *d = 2.0 * scale * (own - wanted);
            squares += f64::from((own - wanted) * (own - wanted));
        }
        *sum += squares * f64::from(scale);
        Ok(())
    }

    fn taught_colour(
        &mut self,
        own: &Vec<f32>,
        wanted: &Vec<f32>,
        scale: f32,
        d: &mut Vec<f32>,
        sum: &mut f64,
    ) -> Result<(), Infallible> {
        for ((d, own), wanted) in d.iter_mut().zip(own).zip(wanted) {
            *d += 2.0 * scale * (own - wanted);
            *sum += f64::from(scale * (own - wanted) * (own - wanted));
        }
        Ok(())
    }

    fn taught_weights(
        &mut self,
        (own, wanted): (&Vec<f32>, &Vec<f32>),
        scale: f32,
        add: bool,
        d: &mut Vec<f32>,
        sum: &mut f64,
    ) -> Result<(), Infallible> {
        if !add {
            d.fill(0.0);
        }
        for ((d, own), wanted) in d.iter_mut().zip(own).zip(wanted) {
            *d += scale * (own - wanted);
            *sum -= f64::from(scale * wanted * own.max(1e-12).ln());
        }
        Ok(())
    }
}

/// Cross entropy of the samples' weights against the true depth, which is shared between its two neighbours in
/// inverse depth; writes the gradient of the samples' logits.
fn depth_loss(z: &[f32], weights: &[f32], depth: f32, range: (f32, f32), d_logits: &mut [f32]) -> f32 {
    let above = z.partition_point(|z| *z < depth);
    let mut target = [(0, 1.0), (0, 0.0)];
    if above == z.len() {
        target[0].0 = z.len() - 1;
    } else if above > 0 {
        let (a, b) = (encoding::nearness(z[above - 1], range), encoding::nearness(z[above], range));
        let t = if a > b { ((a - encoding::nearness(depth, range)) / (a - b)).clamp(0.0, 1.0) } else { 0.5 };
        target = [(above - 1, 1.0 - t), (above, t)];
    }
    d_logits.copy_from_slice(weights);
    let mut loss = 0.0;
    for (i, t) in target {
        d_logits[i] -= t;
        if t > 0.0 {
            loss -= t * weights[i].max(1e-12).ln();
        }
    }
    loss
}
