//! What a trained network computes on real batches, as far as the start of a reparameterised one depends on it.

use crate::Result;
use crate::data::{Dataset, Draw};
use crate::reparam::Channels;
use gnt::network::key_map::KeyMap;
use gnt::network::parameters::{Block, RayLayer, ViewLayer};
use gnt::network::tokens::{RayChunk, Source};
use gnt::network::{BlockTape, Workspace};
use gnt::projection::{Projector, taps, toward};
use gnt::{Model, sampling};
use tensor::{Mat, MatMut, matmul};

/// Statistics of one block; what the block has no part for stays empty.
#[derive(Clone, Debug, Default)]
pub struct BlockStats {
    /// Queries of the ray attention. Their mean counts as 0: a code's threshold on a query is not free as that on a key
    /// is, whose constant part cancels in the softmax.
    pub ray_query: Channels,
    /// Keys of the ray attention.
    pub ray_key: Channels,
    /// Least-squares factor from code scores to logits, one a head.
    pub ray_tau: Vec<f32>,
    /// Queries of the view attention.
    pub view_query: Channels,
    /// Keys of the view attention.
    pub view_key: Channels,
}

/// Running sums behind [`BlockStats`].
#[derive(Default)]
struct Sums {
    ray_query: Moments,
    ray_key: Moments,
    view_query: Moments,
    view_key: Moments,
    /// Σ logit·score and Σ score², one pair a head.
    fit: Vec<[f64; 2]>,
}

/// Rays of a batch, and batches: some ten thousand samples.
const RAYS: usize = 48;
const BATCHES: u64 = 6;

/// Runs `model` on batches of `data`.
///
/// # Errors
/// If a batch cannot be read.
pub fn calibrate(
    model: &Model,
    params: &[f32],
    data: &Dataset,
    views: (usize, usize),
    samples: usize,
    seed: u64,
) -> Result<Vec<BlockStats>> {
    // Two passes: codes can only be scored once their thresholds are known.
    let mut stats: Vec<BlockStats> = vec![BlockStats::default(); model.config.depth];
    for pass in 0..2 {
        let mut sums: Vec<Sums> = (0..model.config.depth).map(|_| Sums::default()).collect();
        observe(model, params, data, views, samples, seed, |seen| {
            let keys = seen.keys();
            for (i, (block, tape)) in model.net.blocks.iter().zip(&seen.workspace.trunk.blocks).enumerate() {
                sums[i].view(model, params, &format!("view_crosstrans.{i}.attn"), block, tape, &keys);
                sums[i].ray(block, tape, samples, (pass == 1).then_some(&stats[i]));
            }
        })?;
        stats = sums.iter().map(Sums::finish).collect();
    }
    Ok(stats)
}

/// One batch that a network has run on.
pub(crate) struct Seen<'a> {
    pub sources: &'a [Source<'a>],
    pub chunk: RayChunk<'a>,
    pub workspace: &'a Workspace,
}

/// Shows `each` what `model` computes on every batch.
pub(crate) fn observe(
    model: &Model,
    params: &[f32],
    data: &Dataset,
    views: (usize, usize),
    samples: usize,
    seed: u64,
    mut each: impl FnMut(Seen),
) -> Result<()> {
    let folded = model.fold(params);
    let prepared = model.features.prepare_inference(params);
    for batch in 0..BATCHES {
        let batch = data.draw(seed ^ (batch + 1), Draw { rays: RAYS, views, axes: model.config.axes })?;
        let maps: Vec<((usize, usize), Vec<f32>, KeyMap)> = batch
            .sources
            .iter()
            .map(|(_, image)| {
                let map = model.features.forward(&prepared, &image.data, image.height as usize, image.width as usize);
                let size = (map.width, map.height);
                let mut projected = vec![0.0; size.0 * size.1 * model.config.width];
                model.net.token_features.forward(&folded, &map.data, &mut projected, false);
                let mut keys = KeyMap::default();
                keys.forward(&model.net, &folded, image, size, &projected);
                (size, projected, keys)
            })
            .collect();
        let sources: Vec<Source> = batch
            .sources
            .iter()
            .zip(&maps)
            .map(|((camera, image), (map_size, map, keys))| Source {
                projector: Projector::new(camera),
                image,
                map_size: *map_size,
                map,
                keys: &keys.tokens,
            })
            .collect();
        let (near, far) = batch.depth_range;
        let depths = sampling::inverse_depth(near, far, samples).repeat(RAYS);
        let chunk = RayChunk { rays: &batch.rays, depths: &depths, depth_range: batch.depth_range };
        let mut workspace = Workspace::default();
        workspace.forward(&model.config, &model.net, &folded, &sources, chunk);
        each(Seen { sources: &sources, chunk, workspace: &workspace });
    }
    Ok(())
}

impl Seen<'_> {
    /// The tokens that keys of a view attention on codes are made of, one for each sample and view that sees it,
    /// `[pairs, C]`: whatever the network's own attention reads.
    fn keys(&self) -> Vec<f32> {
        let Workspace { tokens, .. } = self.workspace;
        let (views, samples) = (self.sources.len(), self.chunk.samples());
        let c = tokens.tokens.len() / tokens.mask.len();
        let mut keys = Vec::new();
        for (at, _) in tokens.mask.iter().enumerate().filter(|(_, m)| **m != 0.0) {
            let (point, source) = (tokens.points[at / views], &self.sources[at % views]);
            let p = source.projector.project(point, toward(point, self.chunk.rays[at / views / samples].origin));
            let size = (source.image.width as usize, source.image.height as usize);
            let pixel = taps(p.pixel, size, source.map_size).nearest() as usize;
            keys.extend_from_slice(&source.keys[pixel * c..][..c]);
        }
        keys
    }
}

impl Sums {
    fn view(&mut self, model: &Model, params: &[f32], name: &str, block: &Block, tape: &BlockTape, keys: &[f32]) {
        if !matches!(block.view, ViewLayer::Subtract(_)) {
            return;
        }
        let c = model.config.width;
        let project = |part: &str, x: &[f32]| -> Vec<f32> {
            let full = format!("net_coarse.{name}.{part}.weight");
            let weight = model.layout.find(&full).expect("part of a subtraction attention").slot.of(params);
            let mut y = vec![0.0; x.len()];
            let rows = x.len() / c;
            matmul(1.0, Mat::new(x, rows, c), Mat::new(weight, c, c).t(), MatMut::new(&mut y, rows, c), false);
            y
        };
        self.view_query.add(&project("q_fc", &tape.subtract.norm.y), c, 0, c);
        self.view_key.add(&project("k_fc", keys), c, 0, c);
    }

    fn ray(&mut self, block: &Block, tape: &BlockTape, samples: usize, known: Option<&BlockStats>) {
        let RayLayer::Softmax(layer) = &block.ray else { return };
        let (c, heads, qkv) = (layer.out.inputs, layer.heads, &tape.softmax.qkv);
        let d = c / heads;
        // The queries carry the factor of the scores, which their weights in the checkpoint do not.
        let unscale = (d as f32).sqrt();
        let queries: Vec<f32> = qkv.chunks_exact(3 * c).flat_map(|row| row[..c].iter().map(|q| q * unscale)).collect();
        self.ray_query.add(&queries, c, 0, c);
        self.ray_key.add(qkv, 3 * c, c, c);
        self.fit.resize(heads, [0.0; 2]);
        let Some(known) = known else { return };
        for ray in qkv.chunks_exact(samples * 3 * c) {
            for head in 0..heads {
                for q in ray.chunks_exact(3 * c) {
                    let pairs: Vec<(f32, f32)> = ray
                        .chunks_exact(3 * c)
                        .map(|k| {
                            let (mut logit, mut score) = (0.0, 0.0);
                            for i in head * d..(head + 1) * d {
                                logit += q[i] * k[c + i];
                                score += if (q[i] > 0.0) == (k[c + i] > known.ray_key.mean[i]) { 1.0 } else { -1.0 };
                            }
                            (logit, score)
                        })
                        .collect();
                    // A constant over the keys cancels in the softmax.
                    let n = pairs.len() as f32;
                    let (l, s) = pairs.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / n, sum.1 + p.1 / n));
                    for (logit, score) in pairs {
                        self.fit[head][0] += f64::from((logit - l) * (score - s));
                        self.fit[head][1] += f64::from((score - s) * (score - s));
                    }
                }
            }
        }
    }

    fn finish(&self) -> BlockStats {
        let around_zero = |m: &Moments| {
            let Channels { mean, deviation } = m.finish();
            let deviation = deviation.iter().zip(&mean).map(|(d, m)| (d * d + m * m).sqrt()).collect();
            Channels { mean: vec![0.0; mean.len()], deviation }
        };
        BlockStats {
            ray_query: around_zero(&self.ray_query),
            ray_key: self.ray_key.finish(),
            ray_tau: self.fit.iter().map(|[a, b]| if *b > 0.0 { (a / b) as f32 } else { 0.0 }).collect(),
            view_query: self.view_query.finish(),
            view_key: self.view_key.finish(),
        }
    }
}

/// Sums of a channel's values and squares.
#[derive(Default)]
struct Moments {
    count: f64,
    sums: Vec<[f64; 2]>,
}

impl Moments {
    /// Adds channels `first .. first + c` of rows that are `stride` apart.
    fn add(&mut self, x: &[f32], stride: usize, first: usize, c: usize) {
        self.sums.resize(c, [0.0; 2]);
        for row in x.chunks_exact(stride) {
            self.count += 1.0;
            for (sum, x) in self.sums.iter_mut().zip(&row[first..first + c]) {
                sum[0] += f64::from(*x);
                sum[1] += f64::from(*x) * f64::from(*x);
            }
        }
    }

    fn finish(&self) -> Channels {
        let n = self.count.max(1.0);
        let mean = self.sums.iter().map(|s| (s[0] / n) as f32).collect();
        let deviation = self.sums.iter().map(|s| (s[1] / n - (s[0] / n).powi(2)).max(0.0).sqrt() as f32).collect();
        Channels { mean, deviation }
    }
}

#[cfg(test)]
#[path = "calibration_tests.rs"]
mod tests;
