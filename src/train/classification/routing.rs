//! Holds the routers of a classifier as [`crate::routing`] holds those of the renderer.

use super::step::MICRO_BATCH;
use crate::routing::{self, HOLD_EVERY, LAST, STEP};
use compute::parallel;
use vit::Model;
use vit::data::Labelled;
use vit::model::{Scratch, Tape};

/// Pictures that an adjustment on the way looks at, and those at the end of a run.
const FEW: usize = 128;
const MANY: usize = 2048;

/// Moves the thresholds of all routers to where `share` of the tokens go to the multiply expert, if it is time after `step`
/// steps: every few steps part of the way, after the last all of it.
pub(super) fn hold(
    model: &Model,
    params: &mut [f32],
    data: (&Labelled, &[[f32; 256]; 3]),
    (share, step, is_last): (f32, u64, bool),
    threads: usize,
) {
    let (rounds, count, part) = match is_last {
        true => (LAST, MANY, 1.0),
        false if step.is_multiple_of(HOLD_EVERY) => (1, FEW, STEP),
        false => return,
    };
    (0..rounds).for_each(|_| adjust(model, params, data, (count, step), (share, part), threads));
}

/// Takes the routers' biases out of a gradient.
pub(super) fn clear_gradient(model: &Model, grads: &mut [f32]) {
    model.router_biases().into_iter().for_each(|bias| bias.of_mut(grads).fill(0.0));
}

fn adjust(
    model: &Model,
    params: &mut [f32],
    (data, table): (&Labelled, &[[f32; 256]; 3]),
    (count, step): (usize, u64),
    (share, part): (f32, f32),
    threads: usize,
) {
    let folded = model.fold(params);
    let count = count.min(data.len());
    // Spread over all pictures, others at each step.
    let picture = |i: usize| (i * data.len() / count + step as usize) % data.len();
    let mut found: Vec<Vec<Vec<f32>>> = vec![Vec::new(); count.div_ceil(MICRO_BATCH)];
    let buffers = || (Tape::default(), Scratch::default(), Vec::new());
    parallel::for_each_with(&mut found, threads, buffers, |(tape, scratch, pixels), batch, margins| {
        let pictures = batch * MICRO_BATCH..((batch + 1) * MICRO_BATCH).min(count);
        pixels.clear();
        for i in pictures.clone() {
            let values = data.picture(picture(i)).iter().enumerate();
            pixels.extend(values.map(|(j, v)| table[j % 3][usize::from(*v)]));
        }
        model.forward(&folded, pictures.len(), pixels, None, tape, scratch);
        *margins = model.router_margins(tape);
    });
    for (router, bias) in model.router_biases().into_iter().enumerate() {
        let mut margins: Vec<f32> = found.iter().flat_map(|batch| batch[router].iter().copied()).collect();
        routing::move_bias(bias.of_mut(params), &mut margins, share, part);
    }
}
