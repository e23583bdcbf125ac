//! What a trained network computes on real batches, as far as the start of a reparameterised one depends on it.

use crate::data::{Dataset, Draw};
use crate::{Result, guided};
use gnt::network::sources::{RayChunk, Source, SourceMap, sources};
use gnt::network::{NetworkOn, Workspace};
use gnt::projection::{taps, toward};
use gnt::{Model, sampling};
use layers::params::SplitMix;
use layers::ray_attention::reparam::{RayStatistics, RaySums};
use layers::view_attention::reparam::{ViewStatistics, ViewSums};

/// Statistics of one block; what the block has no part for stays empty.
#[derive(Clone, Debug, Default)]
pub struct BlockStats {
    /// Of the attention along the ray.
    pub ray: RayStatistics,
    /// Of the attention over source views.
    pub view: ViewStatistics,
}

/// Running sums behind [`BlockStats`].
#[derive(Default)]
struct BlockSums {
    ray: RaySums,
    view: ViewSums,
}

/// Rays of a batch, and batches: some ten thousand samples.
const RAYS: usize = 48;
pub(crate) const BATCHES: u64 = 6;

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
        let mut sums: Vec<BlockSums> = (0..model.config.depth).map(|_| BlockSums::default()).collect();
        observe(model, params, data, Batches { count: BATCHES, views, samples, guided: false, seed }, |seen| {
            let keys = seen.keys();
            for (i, (block, tape)) in model.net.blocks.iter().zip(&seen.workspace.trunk.blocks).enumerate() {
                sums[i].view.add(&block.view, &tape.view, params, &keys);
                sums[i].ray.add(&block.ray, &tape.ray, samples, (pass == 1).then_some(&stats[i].ray));
            }
        })?;
        stats = sums.iter().map(|s| BlockStats { ray: s.ray.finish(), view: s.view.finish() }).collect();
    }
    Ok(stats)
}

/// One batch that a network has run on.
pub(crate) struct Seen<'a> {
    pub sources: &'a [Source<'a>],
    pub chunk: RayChunk<'a>,
    pub workspace: &'a Workspace,
}

/// Batches that a network is run on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches {
    /// How many, of some dozen rays each.
    pub count: u64,
    /// Fewest and most source views.
    pub views: (usize, usize),
    /// Samples a ray.
    pub samples: usize,
    /// Whether they lie where a coarse pass would have them, where that is known.
    pub guided: bool,
    /// Seed of all that is random in them.
    pub seed: u64,
}

/// Shows `each` what `model` computes on every batch, without the noise of training.
pub(crate) fn observe(
    model: &Model,
    params: &[f32],
    data: &Dataset,
    Batches { count, views, samples, guided, seed }: Batches,
    mut each: impl FnMut(Seen),
) -> Result<()> {
    let folded = model.fold(params);
    let prepared = model.features.prepare_inference(params);
    for number in 1..=count {
        let batch = data.draw(seed ^ number, Draw::of(&model.config, RAYS, views))?;
        let maps: Vec<SourceMap> = batch
            .sources
            .iter()
            .zip(&batch.surfaces)
            .map(|((_, image), surface)| {
                let map = model.features.forward(&prepared, &image.data, image.height as usize, image.width as usize);
                let mut made = SourceMap::default();
                made.surface.clone_from(surface);
                made.forward(&model.net, &folded, image, (map.width, map.height), &map.data);
                // Statistics of keys are wanted also where no layer reads them yet.
                made.make_keys(&model.net, &folded, image);
                made
            })
            .collect();
        let sources = sources(&batch.sources, &maps);
        let depths = match batch.corners.as_ref().filter(|_| guided) {
            Some(corners) => {
                let mut rng = SplitMix(seed ^ !number);
                let mut depths = Vec::with_capacity(RAYS * samples);
                for corners in corners {
                    guided::depths(corners, batch.depth_range, samples, &mut rng, &mut depths);
                }
                depths
            }
            None => sampling::inverse_depth(batch.depth_range.0, batch.depth_range.1, samples).repeat(RAYS),
        };
        let chunk = RayChunk { rays: &batch.rays, depths: &depths, depth_range: batch.depth_range };
        let mut workspace = Workspace::default();
        let Ok(()) = workspace.forward(NetworkOn::cpu(model, &folded), &sources, chunk);
        each(Seen { sources: &sources, chunk, workspace: &workspace });
    }
    Ok(())
}

impl Seen<'_> {
    /// The tokens that keys of a Hamming attention are made of, one for each sample and view that sees it,
    /// `[pairs, C]`: whatever the network's own attention reads.
    fn keys(&self) -> Vec<f32> {
        let Workspace { tokens, .. } = self.workspace;
        let (views, samples) = (self.sources.len(), self.chunk.samples());
        let c = tokens.shared.tokens.len() / tokens.shared.mask.len();
        let mut keys = Vec::new();
        for (at, _) in tokens.shared.mask.iter().enumerate().filter(|(_, m)| **m != 0.0) {
            let (point, source) = (tokens.places.points[at / views], &self.sources[at % views]);
            let p = source.projector.project(point, toward(point, self.chunk.rays[at / views / samples].origin));
            let size = (source.image.width as usize, source.image.height as usize);
            let pixel = taps(p.pixel, size, source.map_size).nearest() as usize;
            keys.extend_from_slice(&source.keys[pixel * c..][..c]);
        }
        keys
    }
}

#[cfg(test)]
#[path = "calibration_tests.rs"]
mod tests;
