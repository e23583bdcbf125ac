//! A trained classifier becomes the starting point of one with attention on codes, shift layers and experts, by the same
//! pieces as the renderer's networks; how each layer starts is told beside it, in `layers`.

use crate::reparam::Piece;
use crate::{Error, Result};
use compute::Products;
use layers::ray_attention::reparam::RayStatistics;
use layers::{FeedForwardKind, LinearKind, RayAttentionKind};
use vit::checkpoint::Checkpoint;
use vit::config::Kinds;
use vit::data::Labelled;
use vit::model::{Scratch, Tape};
use vit::reparam::{AttentionSums, expect_convertible, start};
use vit::{Config, Model};

/// Pictures whose queries and keys thresholds are learned from.
const PICTURES: usize = 256;

/// `config` with a piece replaced; `bits` is that of shift layers.
///
/// # Errors
/// [`Error::Run`] if it has no such part.
pub fn apply(piece: Piece, config: Config, bits: u8) -> Result<Config> {
    let kinds = config.kinds();
    Ok(config.with_kinds(match piece {
        Piece::Ray => Kinds { attention: RayAttentionKind::Hamming, ..kinds },
        Piece::RayLinear => Kinds { attention: RayAttentionKind::LinearAngular { branch: true }, ..kinds },
        Piece::Shift => Kinds { linears: LinearKind::Shift { bits }, ..kinds },
        Piece::MlpShift => Kinds { feed_forward: FeedForwardKind::Shift { bits }, ..kinds },
        Piece::Experts => Kinds { feed_forward: FeedForwardKind::Experts { bits }, ..kinds },
        Piece::View => return Err(Error::Run("view: expected a piece of a classifier, which has no views".into())),
    }))
}

/// Parameters of a classifier of shape `to`, started from `from`; `seed` starts what has no forerunner. Thresholds of codes
/// are learned from some pictures of `data`.
///
/// # Errors
/// If the two differ in more than their pieces, or a piece would have to be turned back.
pub fn convert(from: &Checkpoint, to: Config, data: &Labelled, seed: u64) -> Result<Vec<f32>> {
    let old = Model::new(from.description.config, Products::F32)?;
    let new = Model::new(to, Products::F32)?;
    expect_convertible(&old, &new)?;
    let changes = to.kinds().attention != old.config.kinds().attention;
    let statistics = changes.then(|| calibrate(&old, from, to.kinds().attention, data, seed));
    Ok(start(&new, (&old, &from.params), statistics.as_deref(), seed)?)
}

/// What the attention of each block computes on some pictures.
fn calibrate(
    model: &Model,
    from: &Checkpoint,
    next: RayAttentionKind,
    data: &Labelled,
    seed: u64,
) -> Vec<RayStatistics> {
    let folded = model.fold(&from.params);
    let step = (data.len() / PICTURES).max(1);
    let offset = seed as usize % step;
    let mut statistics: Option<Vec<RayStatistics>> = None;
    // Scores need a second pass: codes can only be compared once their thresholds are known.
    let passes = if next == RayAttentionKind::Hamming { 2 } else { 1 };
    for _ in 0..passes {
        let mut sums = AttentionSums::new(model);
        let (mut tape, mut scratch, mut pixels) = (Tape::default(), Scratch::default(), Vec::new());
        for i in (offset..data.len()).step_by(step).take(PICTURES) {
            pixels.clear();
            from.description.preprocess.normalise(data.picture(i), &mut pixels);
            model.forward(&folded, 1, &pixels, None, &mut tape, &mut scratch);
            sums.add(model, &folded, &tape, next, statistics.as_deref());
        }
        statistics = Some(sums.finish());
    }
    statistics.unwrap_or_default()
}
