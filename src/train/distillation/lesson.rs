//! What a pupil learns from its teacher on a chunk of rays, on any executor.

use super::Distillation;
use crate::step::losses::ChunkLosses;
use gnt::network::sources::RayChunk;
use gnt::network::{Cpu, NetworkOn, RayExecutor, Workspace};

/// A teacher in the memory of an executor.
pub(crate) struct TeacherOn<'a, E: RayExecutor = Cpu> {
    /// Its network.
    pub network: NetworkOn<'a, E>,
    /// The sources with the teacher's own feature maps; none where pupil and teacher share their tokens.
    pub sources: Option<E::Sources<'a>>,
}

/// Buffers of lessons, reused between chunks.
#[derive(Debug)]
pub(crate) struct Lesson<E: RayExecutor = Cpu> {
    teacher: Workspace<E>,
    /// Gradients of the pupil's recorded states.
    pub d_states: Vec<E::Values>,
    /// Gradient of the pupil's tokens, where they are taught.
    pub d_tokens: E::Values,
}

impl<E: RayExecutor> Default for Lesson<E> {
    fn default() -> Self {
        Self { teacher: Default::default(), d_states: Vec::new(), d_tokens: Default::default() }
    }
}

impl<E: RayExecutor> Lesson<E> {
    /// Runs the teacher on the rays that `pupil` has just run and leaves the gradients of the pupil's states and tokens in
    /// `self`. Adds to the gradients of its colours; those of its samples' logits are written, or added to where the flag
    /// beside them is set. Returns the loss, as far as `losses` do not keep it.
    ///
    /// `share` is the part of the step's rays that the chunk holds.
    ///
    /// # Errors
    /// If the device fails or lacks memory; on the CPU none.
    pub fn learn(
        &mut self,
        teacher: &TeacherOn<E>,
        pupil: &Workspace<E>,
        chunk: RayChunk,
        how: Distillation,
        share: f32,
        losses: &mut impl ChunkLosses<E>,
        (d_rgb, d_ray_logits, add_to_logits): (&mut E::Values, &mut E::Values, bool),
    ) -> Result<f64, E::Error> {
        let (network, executor) = (teacher.network, teacher.network.executor);
        let mut sum = 0.0;
        self.teacher.trunk.record = true;
        match teacher.sources {
            Some(sources) => {
                self.teacher.forward(network, sources, chunk)?;
                let (own, wanted) = (&pupil.tokens.shared.tokens, &self.teacher.tokens.shared.tokens);
                executor.resize(&mut self.d_tokens, E::len(own))?;
                losses.distance(own, wanted, how.features * share, &mut self.d_tokens, &mut sum)?;
            }
            None => self.teacher.trunk.forward(network, &pupil.tokens, &pupil.encoding)?,
        }
        let (own, wanted) = (&pupil.trunk, &self.teacher.trunk);
        let weight = how.states * share / own.states.len() as f32;
        self.d_states.resize_with(own.states.len(), E::Values::default);
        for ((own, wanted), d) in own.states.iter().zip(&wanted.states).zip(&mut self.d_states) {
            executor.resize(d, E::len(own))?;
            losses.distance(own, wanted, weight, d, &mut sum)?;
        }
        let (own, wanted) = (&own.head, &wanted.head);
        let scale = how.colour * share / E::len(&own.rgb) as f32;
        losses.taught_colour(&own.rgb, &wanted.rgb, scale, d_rgb, &mut sum)?;
        let (weights, scale) = ((&own.ray_weights, &wanted.ray_weights), how.weights * share / chunk.rays.len() as f32);
        losses.taught_weights(weights, scale, add_to_logits, d_ray_logits, &mut sum)?;
        Ok(sum)
    }
}
