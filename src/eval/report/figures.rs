//! Figures of a report by model, split and number of views.

use super::colours::{self, Rgb};
use super::data::{Case, CaseKey, Latency, Metrics, Scores, Summary};
use super::numbers::{NONE, count, fixed, significant};

/// One model on all scenes of one split with one number of source views.
pub struct Row<'a> {
    /// Means of its scores.
    pub summary: &'a Summary,
    /// Its cases with images, one a scene.
    pub cases: Vec<&'a Case>,
    /// The times of these cases.
    pub latencies: Vec<&'a Latency>,
    /// Place among the models.
    pub model: usize,
    /// Name with what tells it from the other rows.
    pub label: String,
}

/// A mean of a row's figures: [`Row::over_scenes`] or [`Row::over_images`].
pub type Mean = fn(&Row) -> Line;

/// The rows in the order of [`Metrics::summaries`].
pub fn rows(metrics: &Metrics) -> Vec<Row<'_>> {
    let splits = differ(metrics.summaries.iter().map(|s| &s.split));
    let views = differ(metrics.summaries.iter().map(|s| s.views));
    let row = |summary: &'_ Summary| {
        let mut label = summary.model.clone();
        if views {
            label += &format!(", {}", count(u64::from(summary.views), "view"));
        }
        if splits {
            label += &format!(", {}", summary.split);
        }
        label
    };
    let of = |summary: &Summary, key: &CaseKey| {
        (&summary.model, &summary.split, summary.views) == (&key.model, &key.split, key.views)
    };
    let rows = metrics.summaries.iter().map(|summary| Row {
        summary,
        cases: metrics.cases.iter().filter(|case| of(summary, &case.key) && !case.images.is_empty()).collect(),
        latencies: metrics.latencies.iter().filter(|l| of(summary, &l.key) && l.timed > 0).collect(),
        model: model_index(metrics, &summary.model),
        label: row(summary),
    });
    rows.collect()
}

/// The rows cover the same images: only then is one mean better than another.
pub fn comparable(rows: &[&Row]) -> bool {
    let images = |row: &Row| {
        let mut images: Vec<(String, Vec<u32>)> = Vec::new();
        for case in &row.cases {
            images.push((case.key.scene.clone(), case.images.iter().map(|image| image.index).collect()));
        }
        images.sort();
        images
    };
    distinct(rows.iter().map(|row| images(row))).len() < 2
}

impl Row<'_> {
    /// Colour of the model.
    pub fn colour(&self) -> Rgb {
        colours::model(self.model)
    }

    /// The device, where it is one.
    pub fn device(&self) -> Option<&str> {
        let first = self.latencies.first()?;
        let same = |l: &&Latency| (&l.device, l.threads) == (&first.device, first.threads);
        self.latencies.iter().all(same).then_some(&first.device)
    }

    /// Its times belong to some of its cases only, or to more than one device.
    pub fn is_mixed(&self) -> bool {
        !self.latencies.is_empty() && (self.device().is_none() || self.latencies.len() < self.cases.len())
    }

    /// Every case counts the same.
    pub fn over_scenes(&self) -> Line {
        self.line(self.summary.mean_over_scenes, |_| 1.0, |_| 1.0)
    }

    /// Every image counts the same.
    pub fn over_images(&self) -> Line {
        let line = self.line(self.summary.mean_over_images, |case| case.images.len() as f64, |l| l.images.len() as f64);
        // Rays of all images over their seconds: a mean of rates would favour quick scenes.
        let seconds = |l: &Latency| l.images.iter().flat_map(|image| &image.seconds).sum::<f64>();
        let all: f64 = self.latencies.iter().map(|l| seconds(l)).sum();
        let rays: f64 = self.latencies.iter().map(|l| l.rays_per_second * seconds(l)).sum();
        Line { rays: line.rays.and(Some(rays / all).filter(|rate| rate.is_finite())), ..line }
    }

    fn line(&self, scores: Scores, of_case: fn(&Case) -> f64, of_latency: fn(&Latency) -> f64) -> Line {
        // Times of unlike devices have no meaning in sum.
        let latencies: &[&Latency] = if self.device().is_some() { &self.latencies } else { &[] };
        let time = |value: &dyn Fn(&Latency) -> Option<f64>| {
            weighted(latencies.iter().map(|l| value(l).map(|v| (v, of_latency(l)))))
        };
        Line {
            scores,
            median: time(&|l| Some(l.median)),
            p95: time(&|l| Some(l.p95)),
            rays: time(&|l| Some(l.rays_per_second)),
            measured: time(&|l| l.joules),
            modelled: weighted(self.cases.iter().map(|c| Some((c.modelled.joules, of_case(c))))),
        }
    }
}

/// One line of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// Likeness to the photographs.
    pub scores: Scores,
    /// Seconds an image.
    pub median: Option<f64>,
    /// Seconds that 95 % of the images do not exceed.
    pub p95: Option<f64>,
    /// Rays a second.
    pub rays: Option<f64>,
    /// Joules an image as measured.
    pub measured: Option<f64>,
    /// Joules an image as modelled.
    pub modelled: Option<f64>,
}

impl Line {
    /// Line of one case.
    pub fn of(case: &Case, latency: Option<&Latency>) -> Self {
        let latency = latency.filter(|l| l.timed > 0);
        Self {
            scores: case.mean,
            median: latency.map(|l| l.median),
            p95: latency.map(|l| l.p95),
            rays: latency.map(|l| l.rays_per_second),
            measured: latency.and_then(|l| l.joules),
            modelled: Some(case.modelled.joules),
        }
    }
}

/// A column of figures.
pub struct Column {
    /// Heading of the column.
    pub name: &'static str,
    /// Its unit, or empty.
    pub unit: &'static str,
    /// Whether larger is better.
    pub higher: bool,
    /// The figure of a line.
    pub get: fn(&Line) -> Option<f64>,
    /// How a figure is written.
    pub text: fn(f64) -> String,
}

/// Columns of the tables; the first four are scores, the first seven those of the terminal.
pub const COLUMNS: [Column; 9] = [
    column("PSNR", "dB", true, |l| Some(l.scores.psnr), |v| fixed(v, 2)),
    column("SSIM", "", true, |l| Some(l.scores.ssim), |v| fixed(v, 4)),
    column("LPIPS", "", false, |l| l.scores.lpips, |v| fixed(v, 4)),
    column("FLIP", "", false, |l| Some(l.scores.flip), |v| fixed(v, 4)),
    column("median", "s/image", false, |l| l.median, significant),
    column("p95", "s/image", false, |l| l.p95, significant),
    column("rays/s", "", true, |l| l.rays, significant),
    column("measured", "J/image", false, |l| l.measured, significant),
    column("modelled", "J/image", false, |l| l.modelled, significant),
];

const fn column(
    name: &'static str,
    unit: &'static str,
    higher: bool,
    get: fn(&Line) -> Option<f64>,
    text: fn(f64) -> String,
) -> Column {
    Column { name, unit, higher, get, text }
}

impl Column {
    /// The column as text, and which of it are best: none where all are alike.
    pub fn cells(&self, lines: &[Line]) -> Vec<(String, bool)> {
        let values: Vec<Option<f64>> = lines.iter().map(|l| (self.get)(l).filter(|v| v.is_finite())).collect();
        let texts: Vec<String> = values.iter().map(|v| v.map_or(NONE.into(), self.text)).collect();
        let order = |a: &&usize, b: &&usize| {
            let ordering = values[**a].partial_cmp(&values[**b]).unwrap_or(std::cmp::Ordering::Equal);
            if self.higher { ordering } else { ordering.reverse() }
        };
        let there: Vec<usize> = (0..lines.len()).filter(|i| values[*i].is_some()).collect();
        let best = there.iter().max_by(order).map(|i| texts[*i].clone());
        // As printed: a difference that nobody sees is none.
        let alike = there.iter().all(|i| Some(&texts[*i]) == best.as_ref());
        let mark = |text: String| (!alike && Some(&text) == best.as_ref(), text);
        texts.into_iter().map(mark).map(|(best, text)| (text, best)).collect()
    }
}

/// The measured side of a case, if there is one; the first where several devices ran it.
pub fn latency<'a>(metrics: &'a Metrics, key: &CaseKey) -> Option<&'a Latency> {
    metrics.latencies.iter().find(|l| l.key == *key)
}

/// Place of a model; one that is not listed comes after all.
pub fn model_index(metrics: &Metrics, name: &str) -> usize {
    metrics.models.iter().position(|m| m.name == name).unwrap_or(metrics.models.len())
}

/// Name of a scene, with its split where that is not the held-out views.
pub fn scene_label(key: &CaseKey) -> String {
    if key.split == "held-out" { key.scene.clone() } else { format!("{} ({})", key.scene, key.split) }
}

/// The different values in the order in which they come first.
pub fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

fn differ<T: PartialEq>(values: impl IntoIterator<Item = T>) -> bool {
    distinct(values).len() > 1
}

/// Mean of values with weights; none if there are none, if one is missing or if it is no number.
fn weighted(values: impl Iterator<Item = Option<(f64, f64)>>) -> Option<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for value in values {
        let (v, w) = value?;
        sum += v * w;
        weight += w;
    }
    Some(sum / weight).filter(|mean| mean.is_finite())
}

/// Mean; none if there are none or if it is no number.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    weighted(values.into_iter().map(|v| Some((v, 1.0))))
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
