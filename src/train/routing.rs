//! Holds routers at the shares of rows that the experts' latencies ask for.
//!
//! The balance losses act on choices that noise has spread. Without the noise, as pictures are rendered, nearly all rows can
//! still lie on one side of a router's threshold, and training does not notice. Two experts of which a row takes one are a
//! threshold on the difference of two logits, so the share is held directly: the router's bias has no gradient, and is moved
//! every few steps so that the wanted share of the rows of real batches lies above it.

use crate::Result;
use crate::calibration::{BATCHES, Batches, observe};
use crate::data::Dataset;
use gnt::Model;
use layers::Slot;
use layers::feed_forward::FeedForward;
use layers::feed_forward::experts::{MULTIPLY, SHIFT};

/// Steps from one adjustment to the next.
pub(crate) const HOLD_EVERY: u64 = 25;

/// Batches that an adjustment looks at, and how much of the way it goes: the rest of the noise of so few rows averages out.
const FEW: u64 = 2;
pub(crate) const STEP: f32 = 0.5;

/// Adjustments at the end of a run: what a part does changes the rows of those after it.
pub(crate) const LAST: usize = 3;

/// Share of the rows that the multiply expert gets where both experts are to take equally long together.
///
/// `alpha` are the latency shares of the multiply and the shift expert, which sum to 1.
pub fn multiply_share(alpha: [f32; 2]) -> f32 {
    alpha[SHIFT]
}

/// Moves the thresholds of all routers part of the way to where `share` of the rows go to the multiply expert.
///
/// # Errors
/// If a batch cannot be read.
pub(crate) fn approach(model: &Model, params: &mut [f32], data: &Dataset, batches: Batches, share: f32) -> Result<()> {
    adjust(model, params, data, Batches { count: FEW, ..batches }, share, STEP)
}

/// Moves the thresholds of all routers to where `share` of the rows go to the multiply expert.
///
/// # Errors
/// If a batch cannot be read.
pub(crate) fn settle(model: &Model, params: &mut [f32], data: &Dataset, batches: Batches, share: f32) -> Result<()> {
    (0..LAST).try_for_each(|_| adjust(model, params, data, Batches { count: BATCHES, ..batches }, share, 1.0))
}

/// Takes the routers' biases out of a gradient.
pub(crate) fn clear_gradient(model: &Model, grads: &mut [f32]) {
    biases(model).into_iter().flatten().for_each(|bias| bias.of_mut(grads).fill(0.0));
}

fn adjust(model: &Model, params: &mut [f32], data: &Dataset, batches: Batches, share: f32, step: f32) -> Result<()> {
    let biases = biases(model);
    let mut margins = vec![Vec::new(); biases.len()];
    observe(model, params, data, batches, |seen| {
        let blocks = &seen.workspace.trunk.blocks;
        let parts = blocks.iter().flat_map(|tape| [&tape.view_ff, &tape.ray_ff]);
        parts.zip(&mut margins).for_each(|(tape, margins)| margins.extend(tape.experts.margins()));
    })?;
    for (bias, margins) in biases.iter().zip(&mut margins) {
        if let Some(bias) = bias {
            move_bias(bias.of_mut(params), margins, share, step);
        }
    }
    Ok(())
}

/// Moves a router's bias the part `step` of the way to where `share` of rows with these `margins` go to the multiply expert.
pub(crate) fn move_bias(bias: &mut [f32], margins: &mut [f32], share: f32, step: f32) {
    let Some(threshold) = threshold(margins, share) else { return };
    bias[MULTIPLY] -= 0.5 * step * threshold;
    bias[SHIFT] += 0.5 * step * threshold;
}

/// A number that `share` of the margins lie above; none without margins, or where one is not a number.
fn threshold(margins: &mut [f32], share: f32) -> Option<f32> {
    if margins.is_empty() || margins.iter().any(|margin| !margin.is_finite()) {
        return None;
    }
    margins.sort_by(f32::total_cmp);
    let below = ((1.0 - share) * margins.len() as f32).round() as usize;
    let [a, b] = [below.saturating_sub(1), below].map(|i| margins[i.min(margins.len() - 1)]);
    Some(0.5 * (a + b))
}

/// The bias of each feed-forward part's router, in the order in which a ray meets the parts.
fn biases(model: &Model) -> Vec<Option<Slot>> {
    let parts = model.net.blocks.iter().flat_map(|block| [&block.view_ff, &block.ray_ff]);
    parts
        .map(|part| match part {
            FeedForward::Experts(experts) => Some(experts.original_router[1]),
            FeedForward::Mlp(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Run;
    use crate::run::RunOptions;
    use crate::schedule::Schedule;
    use crate::testing::{config, dataset, network, options, plan, watch};
    use gnt::checkpoint::Checkpoint;
    use gnt::{Config, FeedForwardKind};

    /// Shares of the rows that each part's multiply expert gets without noise, on batches that the run has not seen.
    fn shares(run: &Run, data: &Dataset) -> Vec<f64> {
        let mut counts = vec![[0usize; 2]; 2 * run.model().net.blocks.len()];
        watch(run.model(), &run.state().average, data, |seen| {
            let blocks = &seen.workspace.trunk.blocks;
            let parts = blocks.iter().flat_map(|tape| [&tape.view_ff, &tape.ray_ff]);
            for (part, counts) in parts.zip(&mut counts) {
                part.experts.margins().for_each(|margin| counts[usize::from(margin > 0.0)] += 1);
            }
        });
        counts.iter().map(|[shift, multiply]| *multiply as f64 / (shift + multiply) as f64).collect()
    }

    /// Routers that send every row to one expert are brought to the share of the latencies, and those that nothing holds stay.
    #[test]
    fn collapsed_routers_are_brought_back() {
        let dir = tempfile::tempdir().unwrap();
        let data = dataset(&dir.path().join("data"));
        let config = Config { mlp: FeedForwardKind::Experts { bits: 4 }, ..config() };
        let (model, mut params) = network(config, 5);
        for bias in biases(&model).into_iter().flatten() {
            bias.of_mut(&mut params).copy_from_slice(&[-9.0, 9.0]);
        }
        let train = |hold_routers: bool| {
            let schedule = Schedule { steps: 52, ..options().schedule };
            let balance = Some(([0.7, 0.3], 0.01));
            let options = RunOptions { hold_routers, balance, schedule, ..options() };
            let start = Checkpoint::from_params(&config, &model.layout, &params);
            let mut run = Run::start(config, options, Some(start)).unwrap();
            run.train(&data, &plan(&dir.path().join(format!("{hold_routers}")), 52, 2), |_| {}).unwrap();
            shares(&run, &data)
        };
        let (held, free) = (train(true), train(false));
        assert!(free.iter().all(|share| *share < 0.01), "{free:?}");
        // Rows of scenes so small are much alike, and these are others than those that the routers were set by.
        assert!(held.iter().all(|share| (share - 0.3).abs() < 0.2), "{held:?}");
    }

    #[test]
    fn the_wanted_share_lies_above_the_threshold() {
        let mut margins: Vec<f32> = (0..40).map(|i| ((i * 7) % 40) as f32).collect();
        for (share, above) in [(0.5, 20), (0.1, 4), (0.25, 10), (0.9, 36)] {
            let threshold = threshold(&mut margins, share).unwrap();
            assert_eq!(margins.iter().filter(|m| **m > threshold).count(), above, "{share}");
        }
        assert_eq!(threshold(&mut [], 0.5), None);
        assert_eq!(threshold(&mut [1.0, f32::NAN], 0.5), None);
        assert_eq!(threshold(&mut [3.0], 0.5), Some(3.0));
        assert_eq!(multiply_share([0.6, 0.4]), 0.4);
    }
}
