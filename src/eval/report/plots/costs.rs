//! What a model's images cost: operations, time by stage, modelled energy, and the experts' shares.

use super::Plot;
use super::stacks::{Layout, Stack, stacks};
use crate::report::colours::{KINDS, MULTIPLY, Rgb, SHIFT};
use crate::report::data::{Case, Latency, ModelledEnergy, Operations};
use crate::report::figures::{Row, distinct, mean};
use crate::report::numbers::{fixed, si, significant, whole};

/// Stages in the order of a ray, the features of the sources first.
pub const STAGES: [(&str, &str); 7] = [
    ("features", "features"),
    ("gather", "gather"),
    ("view_blocks", "view blocks"),
    ("position", "position"),
    ("ray_blocks", "ray blocks"),
    ("experts", "experts"),
    ("head", "head"),
];

/// How many operations of a kind there are.
pub type Number = fn(&Operations) -> u64;

/// The kinds of operations.
pub const OPERATIONS: [(&str, Number); 4] = [
    ("multiplies", |o| o.multiplies),
    ("shifts", |o| o.shifts),
    ("additions", |o| o.additions),
    ("look-ups", |o| o.lookups),
];

/// Operations of a ray by kind.
pub fn operations(rows: &[Row]) -> Plot {
    let title = "Operations of a ray";
    let colours = [MULTIPLY, SHIFT, KINDS[0], KINDS[3]];
    let kinds: [(&str, Rgb); 4] = std::array::from_fn(|i| (OPERATIONS[i].0, colours[i]));
    let parts = |row: &Row| {
        let parts = OPERATIONS.iter().map(|(_, count)| case_mean(row, |case| count(&case.operations) as f64));
        parts.collect::<Option<Vec<f64>>>()
    };
    let bar = |(name, parts)| bar(name, parts, si, "");
    let bars: Vec<Stack> = alike(rows, parts).into_iter().filter_map(bar).collect();
    if bars.is_empty() {
        return Plot::new(title, "Left out: no operations were counted.");
    }
    let note = "A ray whose samples are seen by all source views; mean over scenes.";
    let svg = stacks(title, &colours, &bars, Layout::Amounts("operations"));
    Plot::new(title, note).drawn(legend(&kinds), svg)
}

/// Time by stage.
pub fn stages(rows: &[Row]) -> Plot {
    let title = "Where the time goes";
    let bar = |row: &Row| {
        row.device()?;
        let seconds: Vec<[f64; 7]> = row.latencies.iter().filter_map(|l| stage_seconds(l)).collect();
        let parts = (0..STAGES.len()).map(|i| mean(seconds.iter().map(|s| s[i])));
        let parts = parts.collect::<Option<Vec<f64>>>()?;
        let sum: f64 = parts.iter().sum();
        let mut stack = bar(row.label.clone(), parts, significant, " s")?;
        for part in &mut stack.parts {
            part.1 = format!("{} %", fixed(100.0 * part.0 / sum, 0));
        }
        Some(stack)
    };
    let bars: Vec<Stack> = rows.iter().filter_map(bar).collect();
    if bars.is_empty() {
        return Plot::new(title, "Left out: the time of the stages was not measured.");
    }
    let kinds: Vec<(&str, Rgb)> = STAGES.iter().zip(KINDS).map(|(stage, colour)| (stage.1, colour)).collect();
    let note = "Seconds an image, mean over scenes. Features are computed once for a source view; their time is spread \
                over the images of the run.";
    let svg = stacks(title, &KINDS, &bars, Layout::Shares);
    Plot::new(title, note).drawn(legend(&kinds), svg)
}

/// Seconds an image by [`STAGES`]; none where the stages were not measured.
fn stage_seconds(latency: &Latency) -> Option<[f64; 7]> {
    if latency.stages.is_empty() {
        return None;
    }
    let features: f64 = latency.images.iter().map(|image| image.features.0).sum();
    let mut seconds = [0.0; 7];
    seconds[0] = features / latency.images.len().max(1) as f64;
    for (name, share) in &latency.stages {
        let stage = STAGES.iter().position(|stage| stage.0 == name)?;
        seconds[stage] += share * latency.median;
    }
    Some(seconds)
}

/// Modelled energy by where it goes, beside dense networks of the same sizes.
pub fn energy(rows: &[Row]) -> Plot {
    let title = "Modelled energy of an image";
    let kinds = [("memory", KINDS[1]), ("on chip", KINDS[0]), ("compute", KINDS[2]), ("dense, same sizes", KINDS[6])];
    let places: [fn(&ModelledEnergy) -> f64; 3] = [|e| e.memory, |e| e.on_chip, |e| e.compute];
    let of = |row: &Row, joules: fn(&ModelledEnergy) -> f64| case_mean(row, |case| joules(&case.modelled));
    let parts = |row: &Row| {
        let mut parts = places.iter().map(|place| of(row, *place)).collect::<Option<Vec<f64>>>()?;
        // The references come last.
        parts.extend([of(row, |e| e.dense_joules)?, of(row, |e| e.dense_8_bit_joules)?]);
        Some(parts)
    };
    let mut bars = Vec::new();
    let mut references: Vec<(String, Vec<f64>)> = Vec::new();
    for (name, mut parts) in alike(rows, parts) {
        let dense = parts.split_off(places.len());
        if let Some(stack) = bar(name.clone(), parts, significant, " J") {
            bars.push(stack);
            references.push((name, dense));
        }
    }
    if bars.is_empty() {
        return Plot::new(title, "Left out: no energy was modelled.");
    }
    // Models of the same sizes share their references.
    let sizes = distinct(references.iter().map(|(_, dense)| texts(dense)));
    for size in &sizes {
        let Some((name, dense)) = references.iter().find(|(_, dense)| texts(dense) == *size) else { continue };
        let of = if sizes.len() > 1 { format!(" as {name}") } else { String::new() };
        for (joules, bits) in dense.iter().zip(["32 bits", "8 bits"]).filter(|(joules, _)| **joules > 0.0) {
            let mut parts = vec![(0.0, String::new()); places.len()];
            parts.push((*joules, String::new()));
            let name = format!("dense network of the same sizes{of}, {bits}");
            bars.push(Stack { name, total: format!("{} J", significant(*joules)), parts, faded: true });
        }
    }
    let note = "By the Eyeriss-like model, without the feature network; mean over scenes. A model, no measurement: its \
                biases are printed below.";
    let svg = stacks(title, &kinds.map(|k| k.1), &bars, Layout::Amounts("joules"));
    Plot::new(title, note).drawn(legend(&kinds), svg)
}

/// Where rows of the feed-forward parts went, one plot for every model with experts.
pub fn experts(rows: &[Row]) -> Vec<Plot> {
    let kinds = [("multiply expert", MULTIPLY), ("shift expert", SHIFT)];
    let plot = |model: &String| {
        let of_model = rows.iter().filter(|row| row.summary.model == *model);
        let parts = routed(&of_model.flat_map(|row| row.cases.iter().copied()).collect::<Vec<_>>())?;
        let percent = |rows: u64, sum: u64| format!("{} %", fixed(100.0 * rows as f64 / sum as f64, 1));
        let bar = |(i, [multiply, shift]): (usize, &[u64; 2])| {
            let sum = multiply.saturating_add(*shift);
            let parts = [*multiply, *shift].map(|rows| (rows as f64, percent(rows, sum))).to_vec();
            (sum > 0).then(|| Stack { name: part_name(i), total: whole(sum), parts, faded: false })
        };
        let bars: Vec<Stack> = parts.iter().enumerate().filter_map(bar).collect();
        let title = format!("Experts of {model}");
        let svg = stacks(&title, &kinds.map(|k| k.1), &bars, Layout::CompactShares);
        let note = "Share of the rows (tokens) of each feed-forward part that went to either expert, over all images.";
        (!bars.is_empty()).then(|| Plot::new(title, note).drawn(legend(&kinds), svg))
    };
    let models = distinct(rows.iter().map(|row| &row.summary.model));
    let plots: Vec<Plot> = models.into_iter().filter_map(plot).collect();
    if plots.is_empty() {
        return vec![Plot::new("Experts", "Left out: no model has experts whose rows were counted.")];
    }
    plots
}

/// Rows of each part over all cases; none where cases differ in their number of parts or have none.
pub fn routed(cases: &[&Case]) -> Option<Vec<[u64; 2]>> {
    let mut sum = vec![[0u64; 2]; cases.first()?.routed.len()];
    for case in cases {
        if case.routed.len() != sum.len() || sum.is_empty() {
            return None;
        }
        for (sum, rows) in sum.iter_mut().zip(&case.routed) {
            *sum = [sum[0].saturating_add(rows[0]), sum[1].saturating_add(rows[1])];
        }
    }
    Some(sum)
}

/// Name of a feed-forward part.
pub fn part_name(index: usize) -> String {
    format!("block {} {}", index / 2, if index.is_multiple_of(2) { "view" } else { "ray" })
}

/// Mean over the cases of a row.
pub fn case_mean(row: &Row, value: impl Fn(&Case) -> f64) -> Option<f64> {
    mean(row.cases.iter().map(|case| value(case)))
}

/// Figures as they are printed.
fn texts(values: &[f64]) -> Vec<String> {
    values.iter().map(|v| significant(*v)).collect()
}

/// Values of the rows, where rows of one model with the same figures are one; named by what tells them apart.
fn alike(rows: &[Row], values: impl Fn(&Row) -> Option<Vec<f64>>) -> Vec<(String, Vec<f64>)> {
    let found: Vec<(&Row, Vec<f64>)> = rows.iter().filter_map(|row| Some((row, values(row)?))).collect();
    let groups = distinct(found.iter().map(|(row, values)| (&row.summary.model, texts(values))));
    let one = |(model, figures): (&String, Vec<String>)| {
        let of_model = || found.iter().filter(move |(row, _)| row.summary.model == *model);
        let here = || of_model().filter(|(_, values)| texts(values) == figures);
        let mut name = model.clone();
        let views = distinct(here().map(|(row, _)| row.summary.views));
        if views != distinct(of_model().map(|(row, _)| row.summary.views)) {
            let list: Vec<String> = views.iter().map(u32::to_string).collect();
            name += &format!(", {} {}", list.join(", "), if views == [1] { "view" } else { "views" });
        }
        let splits = distinct(here().map(|(row, _)| row.summary.split.as_str()));
        if splits != distinct(of_model().map(|(row, _)| row.summary.split.as_str())) {
            name += &format!(", {}", splits.join(", "));
        }
        Some((name, here().next()?.1.clone()))
    };
    groups.into_iter().filter_map(one).collect()
}

/// A bar; none where it has no length or a part is negative.
fn bar(name: String, parts: Vec<f64>, text: fn(f64) -> String, unit: &str) -> Option<Stack> {
    let sum: f64 = parts.iter().sum();
    let drawable = sum > 0.0 && sum.is_finite() && parts.iter().all(|v| *v >= 0.0);
    let parts = parts.into_iter().map(|v| (v, text(v))).collect();
    drawable.then(|| Stack { name, total: format!("{}{unit}", text(sum)), parts, faded: false })
}

fn legend(kinds: &[(&str, Rgb)]) -> Vec<(String, Rgb)> {
    kinds.iter().map(|(name, colour)| ((*name).to_owned(), *colour)).collect()
}
