//! Joining the parts of an evaluation.

use super::data::{Case, Latency, Metrics};
use super::summary::{complete, summaries};
use std::collections::BTreeSet;

/// Joins parts, each with its name for messages, in any order; whole evaluations count as parts too.
///
/// What follows from scenes, models and settings is then the same as from one run without shards, but for
/// [`Case::modelled`], which the caller fills in: it depends on the rows that all images routed.
///
/// # Errors
/// A sentence that names the parts, if they are of different evaluations, if they disagree on an image, or if images are
/// missing in all of them.
pub fn merge(parts: &[(String, Metrics)]) -> Result<Metrics, String> {
    let Some((first_name, first)) = parts.first() else {
        return Err("expected parts to merge, found none".into());
    };
    let mut whole = Metrics { shard: None, ..first.clone() };
    for (name, part) in &parts[1..] {
        let differ = |what: &str| format!("{name}: expected {what} like those of {first_name}, found others");
        same(&part.settings, &first.settings).then_some(()).ok_or_else(|| differ("settings"))?;
        same(&part.definitions, &first.definitions).then_some(()).ok_or_else(|| differ("definitions"))?;
        same(&part.models, &first.models).then_some(()).ok_or_else(|| differ("models"))?;
        same(&part.scenes, &first.scenes).then_some(()).ok_or_else(|| differ("scenes"))?;
        let keys = |metrics: &Metrics| metrics.cases.iter().map(|case| case.key.clone()).collect::<Vec<_>>();
        same(&keys(part), &keys(first)).then_some(()).ok_or_else(|| differ("cases"))?;
        for (into, case) in whole.cases.iter_mut().zip(&part.cases) {
            join_case(into, case).map_err(|problem| format!("{name}: {problem}"))?;
        }
        part.latencies.iter().for_each(|latency| join_latency(&mut whole.latencies, latency));
        for run in &part.runs {
            if !whole.runs.contains(run) {
                whole.runs.push(run.clone());
            }
        }
    }
    finish(&mut whole);
    match missing(&whole, parts) {
        Some(problem) => Err(problem),
        None => Ok(whole),
    }
}

/// Brings images, latencies and runs into their order and fills in all means.
pub fn finish(metrics: &mut Metrics) {
    for case in &mut metrics.cases {
        case.images.sort_by_key(|image| image.index);
        complete(case);
    }
    let order: Vec<_> = metrics.cases.iter().map(|case| &case.key).collect();
    let place = |latency: &Latency| order.iter().position(|key| **key == latency.key);
    metrics.latencies.sort_by(|a, b| (place(a), &a.device, a.threads).cmp(&(place(b), &b.device, b.threads)));
    for latency in &mut metrics.latencies {
        latency.images.sort_by_key(|image| image.index);
        latency.complete();
    }
    metrics.runs.sort_by(|a, b| {
        (&a.started, a.shard.map(|s| s.index), &a.command).cmp(&(&b.started, b.shard.map(|s| s.index), &b.command))
    });
    metrics.summaries = summaries(&metrics.cases);
}

/// Equality of what is written: floats that JSON rounds the same are the same.
fn same<T: serde::Serialize>(a: &T, b: &T) -> bool {
    match (serde_json::to_string(a), serde_json::to_string(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

fn join_case(into: &mut Case, part: &Case) -> Result<(), String> {
    // What the images add up to is computed anew.
    let frame = |case: &Case| Case {
        images: Vec::new(),
        mean: Default::default(),
        routed: Vec::new(),
        modelled: Default::default(),
        operations: Default::default(),
        ..case.clone()
    };
    let name = |case: &Case| {
        let key = &case.key;
        format!("{} ({}) by {} from {} views", key.scene, key.split, key.model, key.views)
    };
    if !same(&frame(into), &frame(part)) {
        return Err(format!("{}: expected the same samples, sizes and precision in all parts", name(part)));
    }
    for image in &part.images {
        match into.images.iter().find(|other| other.index == image.index) {
            None => into.images.push(image.clone()),
            Some(other) if same(other, image) => {}
            Some(other) => {
                return Err(format!(
                    "{}, image {}: expected the result of the other part, PSNR {} with pixels {}, found {} with {}",
                    name(part),
                    image.name,
                    other.scores.psnr,
                    other.sha256,
                    image.scores.psnr,
                    image.sha256
                ));
            }
        }
    }
    Ok(())
}

/// Adds the times of a part to those of the same case, device and number of threads.
pub fn join_latency(all: &mut Vec<Latency>, part: &Latency) {
    let same = |l: &&mut Latency| (&l.key, &l.device, l.threads) == (&part.key, &part.device, part.threads);
    let Some(into) = all.iter_mut().find(same) else {
        all.push(part.clone());
        return;
    };
    let (a, b) = (into.images.len() as f64, part.images.len() as f64);
    if into.stages.is_empty() {
        into.stages.clone_from(&part.stages);
    } else if into.stages.iter().map(|s| &s.0).eq(part.stages.iter().map(|s| &s.0)) {
        for (into, part) in into.stages.iter_mut().zip(&part.stages) {
            into.1 = (a * into.1 + b * part.1) / (a + b).max(1.0);
        }
    }
    into.peak_memory = into.peak_memory.max(part.peak_memory);
    into.device_memory = into.device_memory.max(part.device_memory);
    for image in &part.images {
        match into.images.iter_mut().find(|other| other.index == image.index) {
            None => into.images.push(image.clone()),
            // The same files may be read twice; other times are further repetitions.
            Some(other) => {
                let known = |seconds: &&f64| other.seconds.contains(seconds);
                let new: Vec<f64> = image.seconds.iter().filter(|s| !known(s)).copied().collect();
                other.seconds.extend(new);
            }
        }
    }
}

/// A sentence about images that no part has.
fn missing(whole: &Metrics, parts: &[(String, Metrics)]) -> Option<String> {
    let lacking: Vec<String> = whole
        .cases
        .iter()
        .filter(|case| case.images.len() < case.total as usize)
        .map(|case| {
            let (key, found) = (&case.key, case.images.len());
            format!("{} ({}) by {} has {found} of {} images", key.scene, key.split, key.model, case.total)
        })
        .collect();
    if lacking.is_empty() {
        return None;
    }
    let shards: Vec<_> = parts.iter().filter_map(|(_, part)| part.shard).collect();
    let count = shards.iter().map(|shard| shard.count).max().unwrap_or_default();
    let there: BTreeSet<u32> = shards.iter().map(|shard| shard.index).collect();
    let absent: Vec<String> = (1..=count).filter(|i| !there.contains(i)).map(|i| format!("{i}/{count}")).collect();
    let hint = if absent.is_empty() { String::new() } else { format!("; not given: part {}", absent.join(", ")) };
    Some(format!("expected all images in some part, found that {}{hint}", lacking.join(", ")))
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
