//! A trained classifier becomes the starting point of one with attention on codes, shift layers and experts, by the same
//! pieces as the renderer's networks; how each layer starts is told beside it, in `layers`.

use crate::reparam::Piece;
use crate::{Error, Result};
use compute::Products;
use layers::ray_attention::reparam::{RayStatistics, RaySums};
use layers::{FeedForwardKind, LinearKind, RayAttentionKind};
use vit::checkpoint::Checkpoint;
use vit::config::CompactConfig;
use vit::data::Labelled;
use vit::model::{Net, Scratch, Tape};
use vit::{Config, Model};

/// Pictures whose queries and keys thresholds are learned from.
const PICTURES: usize = 256;

/// `config` with a piece replaced; `bits` is that of shift layers.
///
/// # Errors
/// [`Error::Run`] if it has no such part.
pub fn apply(piece: Piece, config: Config, bits: u8) -> Result<Config> {
    let config = compact(config)?;
    let replaced = match piece {
        Piece::Ray => CompactConfig { attention: RayAttentionKind::Hamming, ..config },
        Piece::RayLinear => CompactConfig { attention: RayAttentionKind::LinearAngular { branch: true }, ..config },
        Piece::Shift => CompactConfig { linears: LinearKind::Shift { bits }, ..config },
        Piece::MlpShift => CompactConfig { feed_forward: FeedForwardKind::Shift { bits }, ..config },
        Piece::Experts => CompactConfig { feed_forward: FeedForwardKind::Experts { bits }, ..config },
        Piece::View => return Err(Error::Run("view: expected a piece of a classifier, which has no views".into())),
    };
    Ok(Config::Compact(replaced))
}

/// The sizes of a compact model, whose pieces can be replaced.
fn compact(config: Config) -> Result<CompactConfig> {
    match config {
        Config::Compact(config) => Ok(config),
        _ => Err(Error::Run("reparameterisation: expected a compact model, found another".into())),
    }
}

/// Parameters of a classifier of shape `to`, started from `from`; `seed` starts what has no forerunner. Thresholds of codes
/// are learned from some pictures of `data`.
///
/// # Errors
/// [`Error::Run`] if the two differ in more than their pieces, or a piece would have to be turned back.
pub fn convert(from: &Checkpoint, to: Config, data: &Labelled, seed: u64) -> Result<Vec<f32>> {
    let (old, new) = (compact(from.description.config)?, compact(to)?);
    let outline =
        CompactConfig { attention: old.attention, linears: old.linears, feed_forward: old.feed_forward, ..new };
    if outline != old {
        return Err(Error::Run(format!("reparameterisation: expected the outline {old:?}, found {new:?}")));
    }
    let changes = new.attention != old.attention;
    let turned_back = [
        ("the attention", changes && old.attention != RayAttentionKind::Softmax),
        ("the shift layers", old.linears != LinearKind::Dense && new.linears == LinearKind::Dense),
        ("the feed-forward parts", old.feed_forward != FeedForwardKind::Dense && new.feed_forward != old.feed_forward),
    ];
    if let Some((what, _)) = turned_back.into_iter().find(|(_, wrong)| *wrong) {
        return Err(Error::Run(format!("reparameterisation: {what} of the model cannot be turned back")));
    }
    let dense = Model::new(from.description.config, Products::F32)?;
    let model = Model::new(to, Products::F32)?;
    let mut params = model.layout.initialise(seed);
    for entry in model.layout.entries() {
        if let Some(same) = dense.layout.find(&entry.name).filter(|e| e.shape == entry.shape) {
            entry.slot.of_mut(&mut params).copy_from_slice(same.slot.of(&from.params));
        }
    }
    let statistics = if changes { calibrate(&dense, from, data, seed) } else { Vec::new() };
    let (Net::Compact(old), Net::Compact(new)) = (&dense.net, &model.net) else { unreachable!("both are compact") };
    for (i, (new, old)) in new.blocks.iter().zip(&old.blocks).enumerate() {
        if changes {
            new.attention.start(&mut params, &statistics[i]);
        }
        new.feed_forward.start(&mut params, &old.feed_forward, &from.params);
    }
    Ok(params)
}

/// What the attention of each block computes on some pictures.
fn calibrate(model: &Model, from: &Checkpoint, data: &Labelled, seed: u64) -> Vec<RayStatistics> {
    let folded = model.fold(&from.params);
    let Net::Compact(net) = &model.net else { unreachable!("the model is compact") };
    let mut statistics = vec![RayStatistics::default(); net.blocks.len()];
    let step = (data.len() / PICTURES).max(1);
    let offset = seed as usize % step;
    // Two passes: codes can only be scored once their thresholds are known.
    for pass in 0..2 {
        let mut sums: Vec<RaySums> = net.blocks.iter().map(|_| RaySums::default()).collect();
        let (mut tape, mut scratch, mut pixels) = (Tape::default(), Scratch::default(), Vec::new());
        for i in (offset..data.len()).step_by(step).take(PICTURES) {
            pixels.clear();
            from.description.preprocess.normalise(data.picture(i), &mut pixels);
            model.forward(&folded, 1, &pixels, None, &mut tape, &mut scratch);
            for (b, block) in net.blocks.iter().enumerate() {
                let known = (pass == 1).then_some(&statistics[b]);
                sums[b].add(&block.attention, tape.compact.attention(b), net.tokens(), known);
            }
        }
        statistics = sums.iter().map(RaySums::finish).collect();
    }
    statistics
}
