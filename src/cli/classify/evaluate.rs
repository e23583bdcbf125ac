//! Accuracy of a classifier on labelled pictures.

use super::{Args, Classifier, confusion};
use crate::cli::{kept, output};
use anyhow::Context;
use compute::parallel;
use eval::energy::{Accelerator, Op, network};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;
use vit::data::Labelled;
use vit::engine::EngineScratch;
use vit::operations::{dense, of_image};

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
    /// Milliseconds of one picture alone (on one thread), the median.
    latency_ms: f64,
    /// Pictures a second on all threads, or on the device.
    throughput: f64,
    /// Threads.
    threads: usize,
    /// The CUDA device; none on the processor.
    #[serde(default)]
    device: Option<String>,
    /// How products are computed.
    #[serde(default)]
    precision: String,
    /// Energy of one picture.
    #[serde(default)]
    energy: Energy,
    /// Part of the rows of each block that its shift expert ran; empty without experts.
    shift_shares: Vec<f64>,
    /// Classes in order.
    classes: Vec<String>,
    /// Pictures of each class (rows) that were taken for each class (columns).
    confusion: Vec<Vec<usize>>,
}

/// Joules of one picture.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Energy {
    /// On the modelled accelerator, by the operations of the network and the rows that its routers sent where.
    modelled: f64,
    /// The same of the dense network of these sizes.
    modelled_dense: f64,
    /// And of that in 8-bit integers.
    modelled_dense_8_bit: f64,
    /// Of the whole processor or GPU while all pictures were classified, where it tells.
    measured: Option<f64>,
    /// What measured, or why nothing did.
    meter: String,
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
    let metrics = measure(classifier, &data, names, threads)?;
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
    counts: Vec<[u64; 2]>,
    problem: Option<anyhow::Error>,
}

fn measure(classifier: &Classifier, data: &Labelled, classes: Vec<String>, threads: usize) -> anyhow::Result<Metrics> {
    let mut scratch = EngineScratch::default();
    let at_once = classifier.runner.images_at_once();
    if classifier.runner.device().is_some() {
        // Memory of whole batches is made before anything is timed.
        let first: Vec<&[u8]> = (0..data.len().min(at_once)).map(|i| data.picture(i)).collect();
        classifier.probabilities(&first, &mut scratch)?;
    }
    let mut times: Vec<f64> = (0..data.len().min(TIMED))
        .map(|i| {
            let started = Instant::now();
            classifier.probabilities(&[data.picture(i)], &mut scratch)?;
            Ok(started.elapsed().as_secs_f64() * 1000.0)
        })
        .collect::<anyhow::Result<_>>()?;
    times.sort_by(f64::total_cmp);
    let mut parts: Vec<Part> = (0..data.len())
        .step_by(at_once)
        .map(|first| Part { pictures: first..(first + at_once).min(data.len()), ..Part::default() })
        .collect();
    let meter = classifier.runner.meter().start();
    let started = Instant::now();
    parallel::for_each_with(&mut parts, threads, EngineScratch::default, |scratch, _, part| {
        let pictures: Vec<&[u8]> = part.pictures.clone().map(|i| data.picture(i)).collect();
        let probabilities = match classifier.probabilities(&pictures, scratch) {
            Ok((probabilities, counts)) => {
                part.counts = counts;
                probabilities
            }
            Err(problem) => return part.problem = Some(problem),
        };
        for (i, probabilities) in part.pictures.clone().zip(probabilities.chunks_exact(classes.len())) {
            let best = (0..probabilities.len()).fold(0, |b, c| if probabilities[c] > probabilities[b] { c } else { b });
            let own = probabilities[data.labels[i] as usize];
            let better = probabilities.iter().filter(|p| **p > own).count();
            part.found.push((best, better < 5));
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let measured = meter.joules();
    let mut confusion = vec![vec![0; classes.len()]; classes.len()];
    let (mut right, mut near) = (0, 0);
    let mut counts: Vec<[u64; 2]> = Vec::new();
    if let Some(problem) = parts.iter_mut().find_map(|part| part.problem.take()) {
        return Err(problem);
    }
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
    let shares: Vec<f64> = shares.collect();
    let config = classifier.checkpoint.description.config;
    let mut accelerator = Accelerator::default();
    let mut modelled = |config, op| {
        let steps = of_image(&config, &shares);
        network::image(&mut accelerator, &steps, op, 1).map(|cost| cost.energy.total())
    };
    let energy = Energy {
        modelled: modelled(config, Op::Multiply)?,
        modelled_dense: modelled(dense(&config), Op::Multiply)?,
        modelled_dense_8_bit: modelled(dense(&config), Op::Multiply8)?,
        measured: measured.map(|joules| joules / n),
        meter: meter.describe().to_owned(),
    };
    Ok(Metrics {
        pictures: data.len(),
        skipped: data.skipped.len(),
        accuracy: right as f64 / n,
        top5: near as f64 / n,
        latency_ms: times[times.len() / 2],
        throughput: n / seconds,
        threads,
        device: classifier.runner.device().map(str::to_owned),
        precision: classifier.runner.precision().to_owned(),
        energy,
        shift_shares: shares,
        classes,
        confusion,
    })
}

fn report(metrics: &Metrics, before: Option<&Metrics>) -> anyhow::Result<()> {
    let change = |then: Option<f64>| then.map_or(String::new(), |then| format!(" (before {then:.2})"));
    let Metrics { pictures, skipped, accuracy, top5, latency_ms, throughput, threads, precision, .. } = metrics;
    let then = change(before.map(|b| 100.0 * b.accuracy));
    output::line(&format!("accuracy     {:.2} %{then} of {pictures} pictures, {skipped} left out", 100.0 * accuracy))?;
    output::line(&format!("among five   {:.2} %", 100.0 * top5))?;
    let [one, all] = match &metrics.device {
        None => ["one thread".to_owned(), format!("{threads} threads")],
        Some(device) => [device.clone(), device.clone()],
    };
    output::line(&format!("latency      {latency_ms:.2} ms on {one}{}", change(before.map(|b| b.latency_ms))))?;
    let then = change(before.map(|b| b.throughput));
    output::line(&format!("throughput   {throughput:.0} pictures a second on {all}, {precision}{then}"))?;
    let Energy { modelled, modelled_dense, modelled_dense_8_bit, measured, meter } = &metrics.energy;
    let [own, dense, bytes] = [modelled, modelled_dense, modelled_dense_8_bit].map(|joules| 1e6 * joules);
    let said = "µJ a picture modelled";
    output::line(&format!("energy       {own:.1} {said}; dense {dense:.1}, dense in 8 bits {bytes:.1}"))?;
    output::line(&match measured {
        Some(joules) => format!("             {:.1} mJ a picture measured ({meter})", 1e3 * joules),
        None => format!("             not measured: {meter}"),
    })?;
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
