//! Training steps on the CPU: rays are shared out to threads in micro-batches that fit in cache.

use super::chunk::{ChunkPass, Gradients, StepOn};
use super::losses::CpuLosses;
use super::view_pass::ViewPass;
use super::{Losses, Step, add};
use crate::distillation::lesson::TeacherOn;
use compute::parallel;
use gnt::Model;
use gnt::features::Prepared;
use gnt::network::sources::{MapGrads, sources};
use gnt::network::{Cpu, NetworkOn};
use std::ops::Range;

/// Buffers of training steps on the CPU, reused between steps.
#[derive(Debug, Default)]
pub struct Stepper {
    shards: Vec<Shard>,
    views: Vec<ViewPass>,
    groups: Vec<Vec<f32>>,
}

/// One share of the rays. The number of shares is fixed, so that sums do not depend on the number of threads.
#[derive(Debug, Default)]
struct Shard {
    pass: ChunkPass,
    grads: Vec<f32>,
    d_maps: MapGrads,
    losses: Losses,
}

const SHARDS: usize = 8;
const FEATURE_GROUPS: usize = 4;

impl Stepper {
    /// Adds the gradients of the batch's loss to `grads` (layout of the parameters) and returns its parts.
    pub fn run(&mut self, step: Step, grads: &mut [f32]) -> Losses {
        let Step { model, params, teacher, batch, how, seed } = step;
        let folded = model.fold(params);
        let prepared = model.features.prepare(params);
        self.views.resize_with(batch.sources.len(), ViewPass::default);
        // With frozen features, pupil and teacher have the same tokens.
        let teaches_features = teacher.filter(|_| !how.freeze_features);
        parallel::for_each(&mut self.views, how.threads, |v, pass| {
            let surface = batch.surfaces[v].as_ref();
            pass.forward(model, &prepared, &folded, &batch.sources[v].1, surface);
            if let Some(teacher) = teaches_features {
                pass.taught = teacher.map(&batch.sources[v].1);
                pass.taught.surface = surface.cloned();
            }
        });

        let own = sources(&batch.sources, self.views.iter().map(|pass| &pass.own));
        let taught = teaches_features.map(|_| sources(&batch.sources, self.views.iter().map(|pass| &pass.taught)));
        let teacher = teacher.map(|t| TeacherOn { network: t.network(), sources: taught.as_deref() });
        let step = StepOn { network: NetworkOn::cpu(model, &folded), sources: &own, teacher, batch, how, seed };
        self.shards.resize_with(SHARDS, Shard::default);
        let rays = batch.rays.len();
        parallel::for_each(&mut self.shards, how.threads, |i, shard| {
            shard.grads.clear();
            shard.grads.resize(model.net.layout.len(), 0.0);
            shard.d_maps.reset(&own);
            shard.losses = Losses::default();
            let (first, last) = (i * rays / SHARDS, (i + 1) * rays / SHARDS);
            for start in (first..last).step_by(how.micro_batch) {
                shard.run(&step, start..(start + how.micro_batch).min(last));
            }
        });

        let mut losses = Losses::default();
        let mut folded_grads = vec![0.0; model.net.layout.len()];
        for shard in &self.shards {
            losses.add(&shard.losses);
            add(&mut folded_grads, &shard.grads);
        }
        if !how.freeze_features {
            self.feature_backward(model, &prepared, &folded, how.threads, &mut folded_grads, grads);
        }
        model.unfold(params, &folded_grads, grads);
        losses
    }

    /// Takes the gradients of the sources' maps through the feature network.
    fn feature_backward(
        &mut self,
        model: &Model,
        prepared: &Prepared,
        folded: &[f32],
        threads: usize,
        folded_grads: &mut [f32],
        grads: &mut [f32],
    ) {
        let shards: Vec<&MapGrads> = self.shards.iter().map(|s| &s.d_maps).collect();
        parallel::for_each(&mut self.views, threads, |v, pass| pass.map_backward(&model.net, folded, v, &shards));
        self.views.iter().for_each(|pass| add(folded_grads, &pass.d_folded));

        self.groups.resize_with(FEATURE_GROUPS.min(self.views.len()), Vec::new);
        let mut groups: Vec<(&mut Vec<f32>, Vec<&mut ViewPass>)> =
            self.groups.iter_mut().map(|g| (g, Vec::new())).collect();
        let count = groups.len();
        for (v, pass) in self.views.iter_mut().enumerate() {
            groups[v % count].1.push(pass);
        }
        parallel::for_each(&mut groups, threads, |_, (grads, passes)| {
            grads.clear();
            grads.resize(model.layout.len(), 0.0);
            for pass in passes {
                model.features.backward(prepared, &mut pass.tape, &pass.d_map, grads);
            }
        });
        groups.iter().for_each(|(g, _)| add(grads, g));
    }
}

impl Shard {
    fn run(&mut self, step: &StepOn<Cpu>, rays: Range<usize>) {
        let mut losses = CpuLosses { colours: &step.batch.colours, depths: step.batch.depths.as_deref() };
        let maps = (!step.how.freeze_features).then_some(&mut self.d_maps);
        let grads = Gradients { maps, folded: &mut self.grads[..] };
        let Ok(()) = self.pass.run(step, rays, &mut losses, &mut self.losses, grads);
    }
}
