//! Comparing an evaluation with an earlier one.

use super::data::{Case, ImageResult, Latency, Metrics, Scores};
use std::fmt::Write;

/// Largest differences that count as equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// dB, of an image and of the mean of a case.
    pub psnr: f64,
    /// Of SSIM, LPIPS and FLIP, of an image and of the mean of a case.
    pub likeness: f64,
    /// Largest ratio of the median times, slower to faster; none to print them only.
    pub time: Option<f64>,
    /// Differences to the better are never too large.
    pub allow_better: bool,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// A table for people.
    pub words: String,
    /// A sentence for every difference past the tolerance.
    pub failures: Vec<String>,
    /// Cases that both have.
    pub compared: usize,
}

/// Compares the cases of `new` with those of the same scene, split, model and number of views in `old`.
///
/// Everything that makes figures incomparable is a failure: other samples, sizes, definitions or photographs, an image that
/// `new` lacks, no common case at all. Another hash of a model of the same name is none, it is what one compares for.
pub fn compare(new: &Metrics, old: &Metrics, tolerance: &Tolerance) -> Comparison {
    let mut out = Comparison::default();
    let definitions = [
        ("PSNR", &new.definitions.psnr, &old.definitions.psnr),
        ("SSIM", &new.definitions.ssim, &old.definitions.ssim),
        ("FLIP", &new.definitions.flip, &old.definitions.flip),
    ];
    for (what, new, old) in definitions {
        if new != old {
            out.failures.push(format!("{what} is another figure in the baseline: expected {new:?}, found {old:?}"));
        }
    }
    // Name, range of colours and weights; where one side has none, there is nothing to compare.
    match (&new.settings.lpips, &old.settings.lpips) {
        (Some(new), Some(old)) if new != old => {
            out.failures.push(format!("LPIPS is another figure in the baseline: expected {new:?}, found {old:?}"));
        }
        (None, Some(_)) => out.words += "LPIPS is not compared: this run has none\n",
        (Some(_), None) => out.words += "LPIPS is not compared: the baseline has none\n",
        _ => {}
    }
    let _ = writeln!(out.words, "{:44} {:>16} {:>18} {:>18}", "against the baseline", "PSNR", "SSIM", "seconds");
    for case in &new.cases {
        // A part of an evaluation may have no image of a case.
        let there = |other: &&Case| other.key == case.key && !other.images.is_empty();
        let Some(before) = old.cases.iter().find(there) else { continue };
        out.compared += 1;
        case_pair(new, old, case, before, tolerance, &mut out);
    }
    let only_old = old.cases.iter().filter(|case| !new.cases.iter().any(|other| other.key == case.key)).count();
    let only_new = new.cases.len() - out.compared;
    if only_old + only_new > 0 {
        let _ =
            writeln!(out.words, "not compared: {only_new} cases that only this run has, {only_old} of the baseline");
    }
    if out.compared == 0 {
        out.failures.push(format!(
            "expected a case of the baseline (such as {}), found none of them here",
            old.cases.first().map_or_else(|| "none".to_owned(), name)
        ));
    }
    out
}

fn name(case: &Case) -> String {
    let key = &case.key;
    format!("{} ({}), {}, {} views", key.scene, key.split, key.model, key.views)
}

fn case_pair(new: &Metrics, old: &Metrics, case: &Case, before: &Case, tolerance: &Tolerance, out: &mut Comparison) {
    let name = name(case);
    let pairs = [
        ("samples", case.samples.to_string(), before.samples.to_string()),
        ("samples of the second pass", case.importance.to_string(), before.importance.to_string()),
        ("images of the size", format!("{:?}", case.size), format!("{:?}", before.size)),
        ("photographs of the size", format!("{:?}", case.source_size), format!("{:?}", before.source_size)),
        ("photographs", case.photographs.clone(), before.photographs.clone()),
    ];
    for (what, new, old) in pairs {
        if new != old {
            out.failures.push(format!("{name}: expected {what} as in the baseline, {old}, found {new}"));
            return;
        }
    }
    let mut both: Vec<(&ImageResult, &ImageResult)> = Vec::new();
    for old in &before.images {
        match case.images.iter().find(|image| image.name == old.name) {
            Some(image) => both.push((image, old)),
            None => out.failures.push(format!("{name}: expected image {} of the baseline, found none", old.name)),
        }
    }
    if both.is_empty() {
        return;
    }
    for (image, old) in &both {
        score_pair(&format!("{name}, image {}", image.name), &image.scores, &old.scores, tolerance, out);
    }
    let [mean, mean_before] = [0, 1].map(|side| {
        super::summary::mean(both.iter().map(|pair| if side == 0 { &pair.0.scores } else { &pair.1.scores }))
    });
    score_pair(&format!("{name}, mean"), &mean, &mean_before, tolerance, out);
    // Times of unlike devices, or with other threads, are not compared.
    let of_case = |l: &&Latency| l.key == case.key && l.timed > 0;
    let time = new.latencies.iter().find(of_case);
    let alike = |time: &Latency| {
        let same = |l: &&Latency| of_case(l) && (&l.device, l.threads) == (&time.device, time.threads);
        old.latencies.iter().find(same)
    };
    if let (Some(time), None, Some(_)) = (time, time.and_then(alike), tolerance.time) {
        let Latency { device, threads, .. } = time;
        let problem = format!("expected a time on {device} with {threads} threads in the baseline, found none");
        out.failures.push(format!("{name}: {problem}"));
    }
    let time = match (time.map(|l| l.median), time.and_then(alike).map(|l| l.median)) {
        (Some(new), Some(old)) if old > 0.0 && new > 0.0 => {
            if tolerance.time.is_some_and(|most| new / old > most || (!tolerance.allow_better && old / new > most)) {
                out.failures.push(format!("{name}: expected about {old:.3} s an image, found {new:.3} s"));
            }
            format!("{new:.3} ({:+.0} %)", (new / old - 1.0) * 100.0)
        }
        (Some(new), _) => format!("{new:.3}"),
        _ => String::new(),
    };
    let _ = writeln!(
        out.words,
        "{name:44} {:7.3} ({:+.3}) {:9.5} ({:+.5}) {time:>18}",
        mean.psnr,
        mean.psnr - mean_before.psnr,
        mean.ssim,
        mean.ssim - mean_before.ssim,
    );
}

fn score_pair(what: &str, new: &Scores, old: &Scores, tolerance: &Tolerance, out: &mut Comparison) {
    let mut check = |figure: &str, new: f64, old: f64, most: f64, higher_is_better: bool| {
        let better = if higher_is_better { new - old } else { old - new };
        // Written so that NaN fails.
        let within = (new - old).abs() <= most || (tolerance.allow_better && better > 0.0);
        if !within {
            let side = if better > 0.0 { "better" } else { "worse" };
            out.failures.push(format!(
                "{what}: expected {figure} {old:.4} within {most}, found {new:.4}, {side} by {:.4}",
                better.abs()
            ));
        }
    };
    check("PSNR", new.psnr, old.psnr, tolerance.psnr, true);
    check("SSIM", new.ssim, old.ssim, tolerance.likeness, true);
    check("FLIP", new.flip, old.flip, tolerance.likeness, false);
    if let (Some(new), Some(old)) = (new.lpips, old.lpips) {
        check("LPIPS", new, old, tolerance.likeness, false);
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
