//! From one classifier to another of the same outline, whose blocks are made of other parts.

use crate::checkpoint::{Checkpoint, Description};
use crate::model::{Net, Tape};
use crate::{Error, Model, Result};
use compute::Products;
use layers::ray_attention::reparam::{RayStatistics, RaySums};
use layers::{FeedForwardKind, LinearKind, RayAttentionKind};

/// A model with a new head for other classes, which `seed` starts; all else is as it was.
///
/// # Errors
/// [`Error::Config`] if there are too few or too many classes.
pub fn with_classes(checkpoint: &Checkpoint, classes: &[String], seed: u64) -> Result<Checkpoint> {
    let old = Model::new(checkpoint.description.config, Products::F32)?;
    let new = Model::new(checkpoint.description.config.with_classes(classes.len()), Products::F32)?;
    let mut params = new.layout.initialise(seed);
    let is_head = |name: &str| name.starts_with("head");
    for entry in new.layout.entries().iter().filter(|entry| !is_head(&entry.name)) {
        let same = old.layout.find(&entry.name).expect("only the heads differ");
        entry.slot.of_mut(&mut params).copy_from_slice(same.slot.of(&checkpoint.params));
    }
    let description = Description { config: new.config, classes: classes.to_vec(), ..checkpoint.description.clone() };
    Ok(Checkpoint { description, params, origin: checkpoint.origin.clone() })
}

/// Checks that `old` can become `new`.
///
/// # Errors
/// [`Error::Config`] if the two differ in more than their parts, or a part would have to be turned back.
pub fn expect_convertible(old: &Model, new: &Model) -> Result<()> {
    let (before, after) = (old.config.kinds(), new.config.kinds());
    if new.config.with_kinds(before) != old.config {
        return Err(Error::Config(format!("expected the outline {:?}, found {:?}", old.config, new.config)));
    }
    let changes = after.attention != before.attention;
    let turned_back = [
        ("the attention", changes && before.attention != RayAttentionKind::Softmax),
        ("the shift layers", before.linears != LinearKind::Dense && after.linears == LinearKind::Dense),
        (
            "the feed-forward parts",
            before.feed_forward != FeedForwardKind::Dense && after.feed_forward != before.feed_forward,
        ),
    ];
    match turned_back.into_iter().find(|(_, wrong)| *wrong) {
        Some((what, _)) => Err(Error::Config(format!("{what} of the model cannot be turned back"))),
        None => Ok(()),
    }
}

/// Sums for what the attentions of a model compute, until another takes their place.
#[derive(Clone, Debug)]
pub struct AttentionSums(Vec<RaySums>);

impl AttentionSums {
    /// For the attentions of `model`.
    pub fn new(model: &Model) -> Self {
        let count = match &model.net {
            Net::Compact(net) => net.blocks.len(),
            Net::Deit(net) => net.blocks.len(),
            Net::Pvt(net) => net.attentions(),
        };
        Self(vec![RaySums::default(); count])
    }

    /// Adds what `model` computed on one image, as its `tape` has it, for attentions of the kind `next`. Codes can only be
    /// scored once their thresholds are `known`, so it takes two passes over the images to learn all.
    pub fn add(
        &mut self,
        model: &Model,
        folded: &[f32],
        tape: &Tape,
        next: RayAttentionKind,
        known: Option<&[RayStatistics]>,
    ) {
        match &model.net {
            Net::Compact(net) => net.add_statistics(&tape.compact, &mut self.0, known),
            Net::Deit(net) => net.add_statistics(&tape.deit, &mut self.0, known),
            Net::Pvt(net) => {
                let all = matches!(next, RayAttentionKind::LinearAngular { .. });
                net.add_statistics(folded, &tape.pvt, all, &mut self.0, known);
            }
        }
    }

    /// The statistics of all that was added, attention by attention.
    pub fn finish(&self) -> Vec<RayStatistics> {
        self.0.iter().map(RaySums::finish).collect()
    }
}

/// Parameters of `new`, started from the parameters `old_params` of `old`: what has the same name and shape is copied, codes
/// start from the `statistics` of the attentions that they replace, experts from the part that they replace, and `seed`
/// starts what has no forerunner.
///
/// # Errors
/// As [`expect_convertible`].
///
/// # Panics
/// If there are no statistics and the attention is another.
pub fn start(
    new: &Model,
    (old, old_params): (&Model, &[f32]),
    statistics: Option<&[RayStatistics]>,
    seed: u64,
) -> Result<Vec<f32>> {
    expect_convertible(old, new)?;
    let changes = new.config.kinds().attention != old.config.kinds().attention;
    assert!(statistics.is_some() || !changes, "statistics of the attentions that are replaced");
    let statistics = statistics.filter(|_| changes);
    let mut params = new.layout.initialise(seed);
    new.layout.copy_same(&mut params, (&old.layout, old_params));
    match (&new.net, &old.net) {
        (Net::Compact(new), Net::Compact(old)) => new.start(&mut params, (old, old_params), statistics),
        (Net::Deit(new), Net::Deit(old)) => new.start(&mut params, old, statistics),
        (Net::Pvt(new), Net::Pvt(old)) => new.start(&mut params, old, statistics),
        _ => unreachable!("both have the same outline"),
    }
    Ok(params)
}
