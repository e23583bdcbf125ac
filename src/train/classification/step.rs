//! One step: batches are shared out to threads; and evaluation, which is the same without a gradient.

use super::augment::{augment, beta};
use super::loss::{cross_entropy, largest};
use super::{ClassifyOptions, ClassifyState};
use crate::Result;
use compute::parallel;
use layers::feed_forward::experts::{Balance, Usage};
use layers::params::SplitMix;
use layers::softmax::softmax_rows;
use std::ops::Range;
use std::sync::Mutex;
use vit::Model;
use vit::data::Labelled;
use vit::model::{Scratch, Tape};

/// Shares of a batch. Their number is fixed, so that sums do not depend on the number of threads.
const SHARDS: usize = 8;
/// Pictures that go through the network together.
pub(super) const MICRO_BATCH: usize = 16;

/// Sums over the pictures of a batch, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Accuracy {
    /// Pictures.
    pub count: usize,
    /// Those whose class was found.
    pub right: usize,
    /// Sum of the cross entropies.
    pub loss: f64,
    /// What the routers did.
    pub usage: Usage,
}

impl Accuracy {
    pub(super) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.right += other.right;
        self.loss += other.loss;
        self.usage.add(&other.usage);
    }

    /// Part of the pictures whose class was found.
    pub fn share(&self) -> f64 {
        self.right as f64 / self.count.max(1) as f64
    }

    /// Mean cross entropy.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.count.max(1) as f64
    }
}

/// Who is learned from beside the labels: a model and its folded parameters.
#[derive(Clone, Debug)]
pub(super) struct Teacher {
    pub model: Model,
    pub folded: Vec<f32>,
}

/// Buffers of steps, kept between them.
#[derive(Debug, Default)]
pub(super) struct Stepper {
    shards: Vec<Shard>,
    workers: Mutex<Vec<Worker>>,
}

#[derive(Debug, Default)]
struct Shard {
    grads: Vec<f32>,
    sums: Accuracy,
}

/// What one thread works with.
#[derive(Debug, Default)]
struct Worker {
    tape: Tape,
    scratch: Scratch,
    teacher: Tape,
    pixels: Vec<f32>,
    targets: Vec<f32>,
}

/// What a step is computed from.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub model: &'a Model,
    pub folded: &'a [f32],
    pub options: &'a ClassifyOptions,
    pub data: &'a Labelled,
    pub table: &'a [[f32; 256]; 3],
    pub teacher: Option<&'a Teacher>,
    /// Pictures of this step.
    pub pictures: &'a [u32],
    /// Counts passes over the pictures.
    pub epoch: u64,
    /// Of all that is random in the step.
    pub seed: u64,
}

impl Stepper {
    /// Adds the gradient of the batch's mean loss by the folded parameters to `grads`.
    pub fn run(&mut self, batch: Batch, threads: usize, grads: &mut [f32]) -> Accuracy {
        self.shards.resize_with(SHARDS, Shard::default);
        let (count, workers) = (batch.pictures.len(), &self.workers);
        parallel::for_each(&mut self.shards, threads, |i, shard| {
            let mut worker =
                workers.lock().expect("no thread panics while it holds the list").pop().unwrap_or_default();
            shard.grads.clear();
            shard.grads.resize(batch.folded.len(), 0.0);
            shard.sums = Accuracy::default();
            let (first, last) = (i * count / SHARDS, (i + 1) * count / SHARDS);
            for start in (first..last).step_by(MICRO_BATCH) {
                shard.run(&batch, start..(start + MICRO_BATCH).min(last), &mut worker);
            }
            workers.lock().expect("no thread panics while it holds the list").push(worker);
        });
        let mut sums = Accuracy::default();
        for shard in &self.shards {
            sums.add(&shard.sums);
            grads.iter_mut().zip(&shard.grads).for_each(|(g, s)| *g += s);
        }
        sums
    }
}

impl Shard {
    fn run(&mut self, batch: &Batch, range: Range<usize>, worker: &mut Worker) {
        let Worker { tape, scratch, teacher, pixels, targets } = worker;
        let (options, classes) = (batch.options, batch.model.config.classes());
        let count = range.len();
        let labels = prepare(batch, range.clone(), pixels, targets, classes);
        if let (Some(teaching), true) = (batch.teacher, options.distillation > 0.0) {
            teaching.model.forward(&teaching.folded, count, pixels, None, teacher, scratch);
            for (target, logits) in
                targets.chunks_exact_mut(classes).zip(teaching.model.logits(teacher).chunks_exact(classes))
            {
                let mut taught = logits.to_vec();
                softmax_rows(compute::isa(), &mut taught, classes);
                target.iter_mut().zip(taught).for_each(|(t, p)| *t += options.distillation * (p - *t));
            }
        }
        let seed = SplitMix(batch.seed ^ (range.start as u64 + 1).wrapping_mul(0xD134_2543_DE82_EF95)).bits();
        batch.model.forward(batch.folded, count, pixels, Some(seed), tape, scratch);
        let mut d_logits = batch.model.logits(tape).to_vec();
        let scale = 1.0 / batch.pictures.len() as f32;
        for ((logits, target), label) in
            d_logits.chunks_exact_mut(classes).zip(targets.chunks_exact(classes)).zip(labels)
        {
            self.sums.right += usize::from(largest(logits) == label as usize);
            self.sums.loss += cross_entropy(logits, target, scale);
        }
        self.sums.count += count;
        batch.model.usage(tape).into_iter().for_each(|usage| self.sums.usage.add(&usage));
        // The balance losses do not shrink with the number of rows, so each micro-batch has its part of them.
        let part = count as f32 * scale;
        let balance = options.balance.map(|(alpha, weight)| Balance { alpha, weight: weight * part });
        batch.model.backward(batch.folded, pixels, tape, &d_logits, balance, scratch, &mut self.grads);
    }
}

/// Fills pixels and targets of some pictures of the batch; returns their labels.
fn prepare(
    batch: &Batch,
    range: Range<usize>,
    pixels: &mut Vec<f32>,
    targets: &mut Vec<f32>,
    classes: usize,
) -> Vec<u32> {
    let Batch { options, data, table, pictures, epoch, seed, .. } = *batch;
    pixels.clear();
    targets.clear();
    let spread = options.smoothing / classes as f32;
    let changed = |place: usize, stream: u64, out: &mut Vec<f32>| {
        let picture = pictures[place] as usize;
        let mut rng = SplitMix(seed ^ (place as u64 * 2 + stream + 1).wrapping_mul(0xA076_1D64_78BD_642F));
        // Every second epoch mirrors what the first did not (alternating flip).
        let turn = SplitMix(picture as u64 ^ options.seed).bits().wrapping_add(epoch) % 2 == 1;
        augment(options, data.picture(picture), data.size, table, turn, &mut rng, out);
        picture
    };
    let mut other = Vec::new();
    range
        .map(|place| {
            let first = pixels.len();
            let picture = changed(place, 0, pixels);
            let label = data.labels[picture];
            targets.resize(targets.len() + classes, spread);
            let target = targets.len() - classes;
            let mut own = 1.0;
            if options.mixup > 0.0 {
                let mut rng = SplitMix(seed ^ (place as u64 + 1).wrapping_mul(0x9E6C_63D0_876A_46EB));
                own = beta(options.mixup, &mut rng);
                own = own.max(1.0 - own);
                other.clear();
                let partner = changed((place + 1 + rng.below(pictures.len())) % pictures.len(), 1, &mut other);
                pixels[first..].iter_mut().zip(&other).for_each(|(a, b)| *a = own * *a + (1.0 - own) * b);
                targets[target + data.labels[partner] as usize] += (1.0 - own) * (1.0 - options.smoothing);
            }
            targets[target + label as usize] += own * (1.0 - options.smoothing);
            label
        })
        .collect()
}

/// Classifies all pictures of `data`; `params` are those of the model's layout. The loss has no smoothing.
///
/// # Errors
/// None today; pictures have the size that they were read with, which is that of the model.
pub fn evaluate(
    model: &Model,
    params: &[f32],
    table: &[[f32; 256]; 3],
    data: &Labelled,
    threads: usize,
) -> Result<Accuracy> {
    let folded = model.fold(params);
    let classes = model.config.classes();
    let mut parts: Vec<(Range<usize>, Accuracy)> =
        (0..data.len()).step_by(64).map(|first| (first..(first + 64).min(data.len()), Accuracy::default())).collect();
    parallel::for_each_with(&mut parts, threads, Worker::default, |worker, _, (range, sums)| {
        for start in range.clone().step_by(MICRO_BATCH) {
            let pictures = start..(start + MICRO_BATCH).min(range.end);
            worker.pixels.clear();
            for i in pictures.clone() {
                worker.pixels.extend(data.picture(i).iter().enumerate().map(|(j, v)| table[j % 3][usize::from(*v)]));
            }
            model.forward(&folded, pictures.len(), &worker.pixels, None, &mut worker.tape, &mut worker.scratch);
            for (logits, i) in model.logits(&worker.tape).chunks_exact(classes).zip(pictures) {
                let label = data.labels[i] as usize;
                let mut target = vec![0.0; classes];
                target[label] = 1.0;
                sums.right += usize::from(largest(logits) == label);
                sums.loss += cross_entropy(&mut logits.to_vec(), &target, 1.0);
                sums.count += 1;
            }
            model.usage(&worker.tape).into_iter().for_each(|usage| sums.usage.add(&usage));
        }
    });
    let mut all = Accuracy::default();
    parts.iter().for_each(|(_, sums)| all.add(sums));
    Ok(all)
}

/// The pictures of a step, a part of a permutation of its epoch.
pub(super) fn pictures_of(
    state: &ClassifyState,
    permutation: &mut Vec<u32>,
    permuted: &mut Option<u64>,
) -> (Range<usize>, u64) {
    let (steps, batch) = (state.epoch_steps(), state.options.batch as usize);
    let (epoch, place) = (state.step / steps, (state.step % steps) as usize);
    if *permuted != Some(epoch) {
        permutation.clear();
        permutation.extend(0..state.pictures as u32);
        let mut rng = SplitMix(state.options.seed ^ (epoch + 1).wrapping_mul(0x9FB2_1C65_1E98_DF25));
        for i in (1..permutation.len()).rev() {
            permutation.swap(i, rng.below(i + 1));
        }
        *permuted = Some(epoch);
    }
    let first = place * batch;
    (first..(first + batch).min(permutation.len()), epoch)
}
