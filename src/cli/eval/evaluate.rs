//! The course of an evaluation: checked, rendered as far as need be, and summed up.

use super::evaluation::Evaluation;
use super::score::Scorer;
use super::work::{Work, truth};
use super::{Args, FolderLock, Inputs, costs, output};
use crate::cli::{hash, machine};
use eval::report::data::{EvalSettings, Metrics};
use eval::report::merge::finish;
use std::collections::BTreeSet;

/// Renders what is not there yet and gathers all figures. The lock of the report's folder comes with them.
///
/// # Errors
/// If scenes, models or metrics cannot be used, which shows before anything is rendered; if a file cannot be read or
/// written, or the device fails. Images that are finished by then stay.
pub fn evaluate(args: &Args) -> anyhow::Result<(Metrics, FolderLock)> {
    let started = machine::Started::now();
    let scorer = Scorer::new(args)?;
    let mut evaluation = Evaluation::new(args, &scorer)?;
    let inputs: Vec<Inputs> = evaluation.targets.iter().map(|target| Inputs::of(&target.scene)).collect();
    let lock = args.take_out(&inputs)?;
    let jobs = evaluation.jobs(args.shard);
    let images = jobs.iter().map(|job| (evaluation.cases[job.case].0.key.clone(), job.image as u32)).collect();
    let earlier = output::earlier(args, &evaluation.metrics, &images)?;
    // A photograph or mask that cannot be used is told before the rays are cast.
    let held_out: BTreeSet<(usize, usize)> = jobs.iter().map(|job| (evaluation.cases[job.case].1, job.image)).collect();
    for target in held_out.iter().map(|(target, _)| *target).collect::<BTreeSet<_>>() {
        evaluation.targets[target].scene.check_images(args.threads())?;
    }
    for (target, image) in held_out {
        let target = &evaluation.targets[target];
        truth(target, &target.frames[image])?;
    }
    let mut work = Work::new(args, scorer, &evaluation, &jobs);
    let mut precisions = vec![String::new(); evaluation.models.len()];
    for t in 0..evaluation.targets.len() {
        for m in 0..evaluation.models.len() {
            work.pair(&mut evaluation, (t, m), &jobs, &mut precisions[m])?;
        }
    }
    let work = work.finish();
    let mut metrics = Metrics { latencies: work.latencies, ..evaluation.metrics };
    metrics.cases = evaluation.cases.into_iter().map(|(case, ..)| case).collect();
    let made_with = (args.shard, args.threads());
    let run = started.finish(made_with, &machine::device(&work.device), work.details, work.rendered);
    // Runs that made the images which were there already; scores may have been computed anew since.
    let same = |old: &&Metrics| {
        let settings = |m: &Metrics| EvalSettings { ssim: String::new(), lpips: None, ..m.settings.clone() };
        let of = |m: &Metrics| hash::json(&(settings(m), &m.models, &m.scenes)).ok();
        work.rendered < jobs.len() as u64 && of(old) == of(&metrics)
    };
    metrics.runs = earlier.as_ref().filter(same).map(|old| old.runs.clone()).unwrap_or_default();
    if work.rendered > 0 || metrics.runs.is_empty() {
        metrics.runs.push(run);
    }
    finish(&mut metrics);
    costs::fill(&mut metrics)?;
    Ok((metrics, lock))
}
