//! One training step: loss and gradients of a batch.

use crate::data::Batch;
use crate::distillation::{Distillation, Lesson, Pupil, Teacher};
use crate::guided;
use crate::view_pass::ViewPass;
use gnt::features::Prepared;
use gnt::network::key_map::MapGrads;
use gnt::network::tokens::{RayChunk, Source};
use gnt::network::{Routing, Seeds, Shape, Workspace};
use gnt::{Model, encoding, sampling};
use layers::experts::{Balance, Usage};
use layers::params::SplitMix;
use tensor::parallel;

/// Buffers of a training step, reused between steps.
#[derive(Debug, Default)]
pub struct Stepper {
    shards: Vec<Shard>,
    views: Vec<ViewPass>,
    groups: Vec<Vec<f32>>,
}

/// One share of the rays. The number of shares is fixed, so that sums do not depend on the number of threads.
#[derive(Debug, Default)]
struct Shard {
    workspace: Workspace,
    lesson: Lesson,
    grads: Vec<f32>,
    d_maps: MapGrads,
    losses: Losses,
    z: Vec<f32>,
}

/// Mean losses of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// Mean squared error of the colours.
    pub colour: f64,
    /// Cross entropy of the samples' weights against the true depth; 0 where there is none.
    pub depth: f64,
    /// Distance from the teacher, weighted; 0 without one.
    pub distillation: f64,
    /// What the routers of experts did.
    pub usage: Usage,
}

/// How a step is computed.
#[derive(Clone, Copy, Debug)]
pub struct StepOptions {
    /// Samples a ray.
    pub samples: usize,
    /// Whether they lie where a coarse pass would have them instead of all over the depth range.
    pub guided: bool,
    /// Rays of one micro-batch: as many as keep its activations in cache.
    pub micro_batch: usize,
    /// Weight of the depth loss.
    pub depth_weight: f32,
    /// Threads; the result does not depend on it.
    pub threads: usize,
    /// Move samples at random within their cells.
    pub jitter: bool,
    /// Whether the feature network and the token layers are left as they are.
    pub freeze_features: bool,
    /// Balance of experts, where the network has them.
    pub balance: Option<Balance>,
    /// Weights of what is learned from the teacher, where there is one.
    pub distillation: Distillation,
}

const SHARDS: usize = 8;
const FEATURE_GROUPS: usize = 4;

impl Stepper {
    /// Adds the gradients of the batch's loss to `grads` (layout of the parameters) and returns its parts.
    pub fn run(
        &mut self,
        model: &Model,
        params: &[f32],
        teacher: Option<&Teacher>,
        batch: &Batch,
        how: StepOptions,
        seed: u64,
        grads: &mut [f32],
    ) -> Losses {
        let folded = model.fold(params);
        let prepared = model.features.prepare(params);
        let views = batch.sources.len();
        self.views.resize_with(views, ViewPass::default);
        // With frozen features, pupil and teacher have the same tokens.
        let teaches_features = teacher.filter(|_| !how.freeze_features);
        parallel::for_each(&mut self.views, how.threads, |v, pass| {
            pass.forward(model, &prepared, &folded, &batch.sources[v].1);
            if let Some(teacher) = teaches_features {
                pass.taught = teacher.maps(&batch.sources[v].1);
            }
        });

        let passes = &self.views;
        let sources = |taught: bool| -> Vec<Source> {
            let pairs = batch.sources.iter().zip(passes);
            pairs.map(|((camera, image), pass)| pass.source(camera, image, taught)).collect()
        };
        let (own, taught) = (sources(false), teaches_features.map(|_| sources(true)));
        let pupil = Pupil { teacher, taught: taught.as_deref() };
        self.shards.resize_with(SHARDS, Shard::default);
        let rays = batch.rays.len();
        parallel::for_each(&mut self.shards, how.threads, |i, shard| {
            shard.grads.clear();
            shard.grads.resize(model.net.layout.len(), 0.0);
            shard.d_maps.reset(&own);
            shard.losses = Losses::default();
            let (first, last) = (i * rays / SHARDS, (i + 1) * rays / SHARDS);
            for start in (first..last).step_by(how.micro_batch) {
                let range = start..(start + how.micro_batch).min(last);
                shard.micro_batch(model, &folded, &own, pupil, batch, range, how, seed);
            }
        });
        drop((own, taught));

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

impl Losses {
    fn add(&mut self, other: &Self) {
        self.colour += other.colour;
        self.depth += other.depth;
        self.distillation += other.distillation;
        self.usage.add(&other.usage);
    }
}

impl Shard {
    fn micro_batch(
        &mut self,
        model: &Model,
        folded: &[f32],
        sources: &[Source],
        pupil: Pupil,
        batch: &Batch,
        range: std::ops::Range<usize>,
        how: StepOptions,
        seed: u64,
    ) {
        self.z.clear();
        sample_depths(batch, range.clone(), how, seed, &mut self.z);
        let chunk = RayChunk { rays: &batch.rays[range.clone()], depths: &self.z, depth_range: batch.depth_range };
        let total = batch.rays.len() as f32;
        let share = range.len() as f32 / total;
        // The balance of a micro-batch counts by its share of the rays.
        let balance = how.balance.map(|b| Balance { weight: b.weight * share, ..b });
        self.workspace.trunk.routing = Routing::training(seed.wrapping_add(range.start as u64), balance);
        self.workspace.trunk.record = pupil.teacher.is_some();
        self.workspace.forward(&model.config, &model.net, folded, sources, chunk);
        self.losses.usage.add(&self.workspace.trunk.usage(&model.net));
        let truth = &batch.colours[range.start * 3..range.end * 3];
        let mut d_rgb = self.workspace.trunk.head.rgb.clone();
        for (d, t) in d_rgb.iter_mut().zip(truth) {
            let error = *d - t;
            self.losses.colour += f64::from(error * error) / f64::from(3.0 * total);
            *d = 2.0 * error / (3.0 * total);
        }
        let mut d_logits = match &batch.depths {
            Some(depths) if model.net.blend.is_some() && how.depth_weight > 0.0 => {
                let weights = &self.workspace.trunk.head.ray_weights;
                let mut d = vec![0.0; weights.len()];
                for (i, ray) in range.enumerate() {
                    let at = i * how.samples..(i + 1) * how.samples;
                    let loss = depth_loss(
                        &self.z[at.clone()],
                        &weights[at.clone()],
                        depths[ray],
                        batch.depth_range,
                        &mut d[at],
                    );
                    self.losses.depth += f64::from(loss / total);
                }
                d.iter_mut().for_each(|d| *d *= how.depth_weight / total);
                Some(d)
            }
            _ => None,
        };
        let shape = Shape { samples: how.samples, views: sources.len() };
        let taught = pupil.teacher.is_some();
        if taught {
            let colours = (&mut d_rgb, d_logits.get_or_insert_with(Vec::new));
            let loss = self.lesson.learn(pupil, &self.workspace, chunk, shape, how.distillation, share, colours);
            self.losses.distillation += loss;
        }
        let seeds = Seeds {
            rgb: &d_rgb,
            ray_logits: d_logits.as_deref().filter(|d| !d.is_empty()),
            states: taught.then_some(&self.lesson.d_states),
            tokens: pupil.taught.map(|_| &self.lesson.d_tokens[..]),
        };
        let d_maps = (!how.freeze_features).then_some(&mut self.d_maps);
        self.workspace.backward(&model.config, &model.net, folded, shape, seeds, d_maps, &mut self.grads);
    }
}

/// Appends the depths of the samples of each ray in `rays`, which are the same on every device.
pub(crate) fn sample_depths(
    batch: &Batch,
    rays: std::ops::Range<usize>,
    how: StepOptions,
    seed: u64,
    out: &mut Vec<f32>,
) {
    let (near, far) = batch.depth_range;
    for ray in rays {
        let mut rng = SplitMix(seed ^ (ray as u64).wrapping_mul(0xD134_2543_DE82_EF95));
        if let (true, Some(corners)) = (how.guided, &batch.corners) {
            guided::depths(&corners[ray], batch.depth_range, how.samples, &mut rng, out);
            continue;
        }
        let mut z = sampling::inverse_depth(near, far, how.samples);
        if how.jitter {
            sampling::jitter(&mut z, || rng.uniform());
        }
        out.extend(z);
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

/// `sum += term`.
pub(crate) fn add(sum: &mut [f32], term: &[f32]) {
    sum.iter_mut().zip(term).for_each(|(s, t)| *s += t);
}
