//! Both passes of a chunk of rays in a training step, on any executor.

use super::losses::ChunkLosses;
use super::{Losses, StepOptions, sample_depths};
use crate::data::Batch;
use crate::distillation::lesson::{Lesson, TeacherOn};
use gnt::network::sources::RayChunk;
use gnt::network::{Cpu, NetworkOn, RayExecutor, RouterTraining, Seeds, Workspace};
use layers::feed_forward::experts::Balance;
use std::ops::Range;

/// A step in the memory of its executor.
pub(crate) struct StepOn<'a, E: RayExecutor> {
    /// The network that learns.
    pub network: NetworkOn<'a, E>,
    /// Source views as it reads them.
    pub sources: E::Sources<'a>,
    /// Whom it learns from.
    pub teacher: Option<TeacherOn<'a, E>>,
    pub batch: &'a Batch,
    pub how: StepOptions,
    pub seed: u64,
}

/// Where the gradients of a chunk are added.
pub(crate) struct Gradients<'a, E: RayExecutor> {
    /// Of the sources' maps; without them, what lies before the tokens (and the token layers) gets none.
    pub maps: Option<&'a mut E::MapGrads>,
    /// Of the parameters (folded layout).
    pub folded: &'a mut E::Flat,
}

/// Activations and gradients of a chunk, reused between chunks.
#[derive(Debug)]
pub(crate) struct ChunkPass<E: RayExecutor = Cpu> {
    pub workspace: Workspace<E>,
    lesson: Lesson<E>,
    d_rgb: E::Values,
    d_ray_logits: E::Values,
    depths: Vec<f32>,
}

impl<E: RayExecutor> Default for ChunkPass<E> {
    fn default() -> Self {
        Self {
            workspace: Default::default(),
            lesson: Default::default(),
            d_rgb: Default::default(),
            d_ray_logits: Default::default(),
            depths: Vec::new(),
        }
    }
}

impl<E: RayExecutor> ChunkPass<E> {
    /// Runs the step's rays `rays` forward and backward: adds to `sums` what they contribute to the step's losses, and to
    /// `grads` their gradients.
    ///
    /// # Errors
    /// If the device fails or lacks memory; on the CPU none.
    pub fn run(
        &mut self,
        step: &StepOn<E>,
        rays: Range<usize>,
        losses: &mut impl ChunkLosses<E>,
        sums: &mut Losses,
        grads: Gradients<E>,
    ) -> Result<(), E::Error> {
        let Self { workspace, lesson, d_rgb, d_ray_logits, depths } = self;
        let StepOn { network, sources, ref teacher, batch, how, seed } = *step;
        depths.clear();
        sample_depths(batch, rays.clone(), how, seed, depths);
        let chunk = RayChunk { rays: &batch.rays[rays.clone()], depths, depth_range: batch.depth_range };
        let share = rays.len() as f32 / batch.rays.len() as f32;
        // The balance of a chunk counts by its share of the rays.
        let balance = how.balance.map(|b| Balance { weight: b.weight * share, ..b });
        workspace.trunk.routers = RouterTraining::new(seed.wrapping_add(rays.start as u64), balance);
        workspace.trunk.record = teacher.is_some();
        workspace.forward(network, sources, chunk)?;
        sums.usage.add(&workspace.trunk.usage(network.net));

        let (executor, head) = (network.executor, &workspace.trunk.head);
        executor.resize(d_rgb, E::len(&head.rgb))?;
        executor.resize(d_ray_logits, E::len(&head.ray_weights))?;
        losses.colour(rays.clone(), &head.rgb, d_rgb, &mut sums.colour)?;
        let knows_depth = batch.depths.is_some() && network.net.blend.is_some() && how.depth_weight > 0.0;
        if knows_depth {
            losses.depth(rays, chunk, workspace, how.depth_weight, d_ray_logits, &mut sums.depth)?;
        }
        if let Some(teacher) = teacher {
            let d_out = (&mut *d_rgb, &mut *d_ray_logits, knows_depth);
            sums.distillation += lesson.learn(teacher, workspace, chunk, how.distillation, share, losses, d_out)?;
        }
        let seeds = Seeds {
            rgb: d_rgb,
            ray_logits: (knows_depth || teacher.is_some()).then_some(&*d_ray_logits),
            states: teacher.as_ref().map(|_| &lesson.d_states[..]),
            tokens: teacher.as_ref().and_then(|t| t.sources).map(|_| &lesson.d_tokens),
        };
        workspace.backward(network, seeds, grads.maps, grads.folded)
    }
}
