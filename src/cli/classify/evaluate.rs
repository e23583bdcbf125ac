//! Accuracy of a classifier on labelled pictures.

use super::{Args, Classifier, confusion};
use crate::cli::{kept, output};
use anyhow::Context;
use compute::parallel;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;
use vit::data::Labelled;
use vit::model::{Scratch, Tape};

/// Name of the figures in the folder of an evaluation.
const METRICS: &str = "metrics.json";
/// Pictures that are classified one at a time for the latency.
const TIMED: usize = 50;

/// What an evaluation found.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Metrics {
    /// Pictures that were classified.
    pictures: usize,
    /// Pictures that could not be read.
    skipped: usize,
    /// Part whose class was found.
    accuracy: f64,
    /// Part whose class is among the five likeliest.
    top5: f64,
    /// Milliseconds of one picture alone on one thread, the median.
    latency_ms: f64,
    /// Pictures a second on all threads.
    throughput: f64,
    /// Threads.
    threads: usize,
    /// Part of the rows of each block that its shift expert ran; empty without experts.
    shift_shares: Vec<f64>,
    /// Classes in order.
    classes: Vec<String>,
    /// Pictures of each class (rows) that were taken for each class (columns).
    confusion: Vec<Vec<usize>>,
}

/// Classifies the pictures of `path`.
pub fn run(args: &Args, classifier: &Classifier, path: &Path, threads: usize) -> anyhow::Result<()> {
    let description = &classifier.checkpoint.description;
    let mut data = Labelled::read(path, description.config.image_size(), &description.preprocess, threads)?;
    data.skipped.iter().for_each(|line| output::warn(&format!("left out: {line}")));
    let names: Vec<String> = (0..description.config.classes()).map(|i| classifier.class(i)).collect();
    data.relabel(path, &names)?;
    let before = match &args.baseline {
        Some(path) => {
            let text = scene::file::read_text(path, 64 << 20)?;
            Some(serde_json::from_str::<Metrics>(&text).with_context(|| format!("--baseline {}", path.display()))?)
        }
        None => None,
    };
    let metrics = measure(classifier, &data, names, threads);
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
        scene::write::write_bytes(&out.join(METRICS), &kept::text(&metrics)?)?;
        confusion::draw(&metrics.classes, &metrics.confusion, &out.join("confusion.png"))?;
    }
    if args.json {
        return output::line(&serde_json::to_string_pretty(&metrics)?);
    }
    report(&metrics, before.as_ref())
}

#[derive(Default)]
struct Part {
    pictures: std::ops::Range<usize>,
    found: Vec<(usize, bool)>,
    counts: Vec<[usize; 2]>,
}

fn measure(classifier: &Classifier, data: &Labelled, classes: Vec<String>, threads: usize) -> Metrics {
    let buffers = || (Tape::default(), Scratch::default());
    let (mut tape, mut scratch) = buffers();
    let mut times: Vec<f64> = (0..data.len().min(TIMED))
        .map(|i| {
            let started = Instant::now();
            classifier.probabilities(data.picture(i), &mut tape, &mut scratch);
            started.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let mut parts: Vec<Part> = (0..data.len())
        .step_by(32)
        .map(|first| Part { pictures: first..(first + 32).min(data.len()), ..Part::default() })
        .collect();
    let started = Instant::now();
    parallel::for_each_with(&mut parts, threads, buffers, |(tape, scratch), _, part| {
        for i in part.pictures.clone() {
            let probabilities = classifier.probabilities(data.picture(i), tape, scratch);
            let best = (0..probabilities.len()).fold(0, |b, c| if probabilities[c] > probabilities[b] { c } else { b });
            let own = probabilities[data.labels[i] as usize];
            let better = probabilities.iter().filter(|p| **p > own).count();
            part.found.push((best, better < 5));
            for (b, usage) in classifier.model.usage(tape).into_iter().enumerate() {
                part.counts.resize(part.counts.len().max(b + 1), [0; 2]);
                (0..2).for_each(|e| part.counts[b][e] += usage.counts[e]);
            }
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let mut confusion = vec![vec![0; classes.len()]; classes.len()];
    let (mut right, mut near) = (0, 0);
    let mut counts: Vec<[usize; 2]> = Vec::new();
    for part in &parts {
        for (i, (best, in_five)) in part.pictures.clone().zip(&part.found) {
            let label = data.labels[i] as usize;
            confusion[label][*best] += 1;
            right += usize::from(label == *best);
            near += usize::from(*in_five);
        }
        counts.resize(counts.len().max(part.counts.len()), [0; 2]);
        counts.iter_mut().zip(&part.counts).for_each(|(sum, c)| (0..2).for_each(|e| sum[e] += c[e]));
    }
    let n = data.len() as f64;
    let shares = counts.iter().filter(|c| c[0] + c[1] > 0).map(|c| c[1] as f64 / (c[0] + c[1]) as f64);
    Metrics {
        pictures: data.len(),
        skipped: data.skipped.len(),
        accuracy: right as f64 / n,
        top5: near as f64 / n,
        latency_ms: times[times.len() / 2],
        throughput: n / seconds,
        threads,
        shift_shares: shares.collect(),
        classes,
        confusion,
    }
}

fn report(metrics: &Metrics, before: Option<&Metrics>) -> anyhow::Result<()> {
    let change = |then: Option<f64>| then.map_or(String::new(), |then| format!(" (before {then:.2})"));
    let Metrics { pictures, skipped, accuracy, top5, latency_ms, throughput, threads, .. } = metrics;
    let then = change(before.map(|b| 100.0 * b.accuracy));
    output::line(&format!("accuracy     {:.2} %{then} of {pictures} pictures, {skipped} left out", 100.0 * accuracy))?;
    output::line(&format!("among five   {:.2} %", 100.0 * top5))?;
    output::line(&format!("latency      {latency_ms:.2} ms on one thread{}", change(before.map(|b| b.latency_ms))))?;
    let then = change(before.map(|b| b.throughput));
    output::line(&format!("throughput   {throughput:.0} pictures a second on {threads} threads{then}"))?;
    if !metrics.shift_shares.is_empty() {
        let shares: Vec<String> = metrics.shift_shares.iter().map(|s| format!("{:.0} %", 100.0 * s)).collect();
        output::line(&format!("shift expert {} of the rows, block by block", shares.join(", ")))?;
    }
    let widest = metrics.classes.iter().map(|c| c.chars().count()).max().unwrap_or(0);
    output::line(&format!("\n{:widest$}  right     taken for it  most often taken for", "class"))?;
    for (i, (class, row)) in metrics.classes.iter().zip(&metrics.confusion).enumerate() {
        let own: usize = row.iter().sum();
        if own == 0 {
            continue;
        }
        let taken: usize = metrics.confusion.iter().map(|row| row[i]).sum();
        let wrong = (0..row.len()).filter(|j| *j != i).max_by_key(|j| row[*j]).filter(|j| row[*j] > 0);
        let wrong = wrong.map_or(String::new(), |j| format!("{} ({})", metrics.classes[j], row[j]));
        let share = 100.0 * row[i] as f64 / own as f64;
        output::line(&format!("{class:widest$}  {share:6.2} %  {taken:12}  {wrong}"))?;
    }
    Ok(())
}
