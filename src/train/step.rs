//! One training step: loss and gradients of a batch.

use crate::data::Batch;
use gnt::features::{FeatureMap, Tape};
use gnt::network::Workspace;
use gnt::network::tokens::{RayChunk, Source};
use gnt::projection::Projector;
use gnt::{Model, encoding, sampling};
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
    grads: Vec<f32>,
    d_maps: Vec<Vec<f32>>,
    losses: Losses,
    z: Vec<f32>,
}

/// One source view's way through the feature network.
#[derive(Debug, Default)]
struct ViewPass {
    tape: Tape,
    map: Option<FeatureMap>,
    projected: Vec<f32>,
    d_map: Vec<f32>,
    d_folded: Vec<f32>,
}

/// Mean losses of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// Mean squared error of the colours.
    pub colour: f64,
    /// Cross entropy of the samples' weights against the true depth; 0 where there is none.
    pub depth: f64,
}

/// How a step is computed.
#[derive(Clone, Copy, Debug)]
pub struct StepOptions {
    /// Samples a ray.
    pub samples: usize,
    /// Rays of one micro-batch: as many as keep its activations in cache.
    pub micro_batch: usize,
    /// Weight of the depth loss.
    pub depth_weight: f32,
    /// Threads; the result does not depend on it.
    pub threads: usize,
    /// Move samples at random within their cells.
    pub jitter: bool,
}

const SHARDS: usize = 8;
const FEATURE_GROUPS: usize = 4;

impl Stepper {
    /// Adds the gradients of the batch's loss to `grads` (layout of the parameters) and returns its parts.
    pub fn run(
        &mut self,
        model: &Model,
        params: &[f32],
        batch: &Batch,
        how: StepOptions,
        seed: u64,
        grads: &mut [f32],
    ) -> Losses {
        let folded = model.fold(params);
        let prepared = model.features.prepare(params);
        let c = model.config.width;
        let views = batch.sources.len();
        self.views.resize_with(views, ViewPass::default);
        let features = model.net.token_features;
        parallel::for_each(&mut self.views, how.threads, |v, pass| {
            let image = &batch.sources[v].1;
            let (h, w) = (image.height as usize, image.width as usize);
            let map = model.features.forward_train(&prepared, &image.data, h, w, &mut pass.tape);
            pass.projected.resize(map.width * map.height * c, 0.0);
            features.forward(&folded, &map.data, &mut pass.projected, false);
            pass.map = Some(map);
        });

        let sources: Vec<Source> = batch
            .sources
            .iter()
            .zip(&self.views)
            .map(|((camera, image), pass)| Source {
                projector: Projector::new(camera),
                image,
                map_size: pass.map.as_ref().map_or((1, 1), |m| (m.width, m.height)),
                map: &pass.projected,
            })
            .collect();
        self.shards.resize_with(SHARDS, Shard::default);
        let rays = batch.rays.len();
        parallel::for_each(&mut self.shards, how.threads, |i, shard| {
            shard.grads.clear();
            shard.grads.resize(model.net.layout.len(), 0.0);
            shard.d_maps.resize_with(views, Vec::new);
            for (d_map, pass) in shard.d_maps.iter_mut().zip(&self.views) {
                d_map.clear();
                d_map.resize(pass.projected.len(), 0.0);
            }
            shard.losses = Losses::default();
            let (first, last) = (i * rays / SHARDS, (i + 1) * rays / SHARDS);
            for start in (first..last).step_by(how.micro_batch) {
                let range = start..(start + how.micro_batch).min(last);
                shard.micro_batch(model, &folded, &sources, batch, range, how, seed);
            }
        });
        drop(sources);

        let mut losses = Losses::default();
        let mut folded_grads = vec![0.0; model.net.layout.len()];
        for shard in &self.shards {
            losses.colour += shard.losses.colour;
            losses.depth += shard.losses.depth;
            add(&mut folded_grads, &shard.grads);
        }
        let shards = &self.shards;
        parallel::for_each(&mut self.views, how.threads, |v, pass| {
            let map = pass.map.as_ref().expect("the forward pass made it");
            let mut d_projected = shards[0].d_maps[v].clone();
            shards[1..].iter().for_each(|s| add(&mut d_projected, &s.d_maps[v]));
            pass.d_map.resize(map.data.len(), 0.0);
            pass.d_folded.clear();
            pass.d_folded.resize(model.net.layout.len(), 0.0);
            features.backward(&folded, &map.data, &d_projected, Some((&mut pass.d_map, false)), &mut pass.d_folded);
        });
        self.views.iter().for_each(|pass| add(&mut folded_grads, &pass.d_folded));

        self.groups.resize_with(FEATURE_GROUPS.min(views), Vec::new);
        let mut groups: Vec<(&mut Vec<f32>, Vec<&mut ViewPass>)> =
            self.groups.iter_mut().map(|g| (g, Vec::new())).collect();
        let count = groups.len();
        for (v, pass) in self.views.iter_mut().enumerate() {
            groups[v % count].1.push(pass);
        }
        parallel::for_each(&mut groups, how.threads, |_, (grads, passes)| {
            grads.clear();
            grads.resize(model.layout.len(), 0.0);
            for pass in passes {
                model.features.backward(&prepared, &mut pass.tape, &pass.d_map, grads);
            }
        });
        groups.iter().for_each(|(g, _)| add(grads, g));
        model.unfold(params, &folded_grads, grads);
        losses
    }
}

impl Shard {
    fn micro_batch(
        &mut self,
        model: &Model,
        folded: &[f32],
        sources: &[Source],
        batch: &Batch,
        range: std::ops::Range<usize>,
        how: StepOptions,
        seed: u64,
    ) {
        let (near, far) = batch.depth_range;
        self.z.clear();
        for ray in range.clone() {
            let mut z = sampling::inverse_depth(near, far, how.samples);
            if how.jitter {
                let mut rng = SplitMix(seed ^ (ray as u64).wrapping_mul(0xD134_2543_DE82_EF95));
                sampling::jitter(&mut z, || rng.uniform());
            }
            self.z.extend(z);
        }
        let chunk = RayChunk { rays: &batch.rays[range.clone()], depths: &self.z, depth_range: batch.depth_range };
        self.workspace.forward(&model.config, &model.net, folded, sources, chunk);
        let total = batch.rays.len() as f32;
        let truth = &batch.colours[range.start * 3..range.end * 3];
        let mut d_rgb = self.workspace.head.rgb.clone();
        for (d, t) in d_rgb.iter_mut().zip(truth) {
            let error = *d - t;
            self.losses.colour += f64::from(error * error) / f64::from(3.0 * total);
            *d = 2.0 * error / (3.0 * total);
        }
        let d_logits = match &batch.depths {
            Some(depths) if model.net.blend.is_some() && how.depth_weight > 0.0 => {
                let weights = &self.workspace.head.ray_weights;
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
        self.workspace.backward(
            &model.config,
            &model.net,
            folded,
            how.samples,
            sources.len(),
            &d_rgb,
            d_logits.as_deref(),
            &mut self.d_maps,
            &mut self.grads,
        );
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

fn add(sum: &mut [f32], term: &[f32]) {
    sum.iter_mut().zip(term).for_each(|(s, t)| *s += t);
}
