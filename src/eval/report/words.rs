//! The report in words: a summary for the terminal and tables for a README.

use super::data::{CaseKey, Metrics};
use super::figures::{self, COLUMNS, Column, Line, Mean, Row, distinct, scene_label};
use super::numbers::{NONE, count, short};
use std::fmt::Write;

/// Most characters of a line.
const WIDTH: usize = 120;
/// Most characters of the first column.
const NAME: usize = 44;

/// The summary for the terminal: a table by scene and model with the means, at most 120 characters wide.
pub fn words(metrics: &Metrics) -> String {
    let columns: Vec<&Column> = columns(metrics, 7).collect();
    // Tables of (title, lines) that are compared with one another.
    let mut bodies: Vec<(String, Vec<(String, Line)>)> = Vec::new();
    let mut scenes: Vec<(&str, &str)> = Vec::new();
    let several = distinct(metrics.cases.iter().map(|case| case.key.views)).len() > 1;
    for case in metrics.cases.iter().filter(|case| !case.images.is_empty()) {
        let views = if several { format!(", {}", count(case.key.views.into(), "view")) } else { String::new() };
        let line = (format!("{}{views}", case.key.model), Line::of(case, figures::latency(metrics, &case.key)));
        let scene = (case.key.scene.as_str(), case.key.split.as_str());
        match scenes.iter().position(|other| *other == scene) {
            Some(place) => bodies[place].1.push(line),
            None => {
                let title = format!("{}, {}", scene_label(&case.key), count(case.images.len() as u64, "image"));
                scenes.push(scene);
                bodies.push((title, vec![line]));
            }
        }
    }
    let rows = figures::rows(metrics);
    if rows.is_empty() {
        return "No images were evaluated.\n".to_owned();
    }
    let means: [(&str, Mean); 2] =
        [("Mean over scenes", |row| row.over_scenes()), ("Mean over images", |row| row.over_images())];
    for (title, mean) in means {
        bodies.push((title.to_owned(), rows.iter().map(|row| (row.label.clone(), mean(row))).collect()));
    }

    let mut text = table(&bodies, &columns);
    if metrics.settings.lpips.is_none() {
        text += "LPIPS: no weights given.\n";
    }
    let meters = distinct(metrics.latencies.iter().filter(|l| l.joules.is_none()).map(|l| l.meter.as_str()));
    for meter in meters.into_iter().filter(|meter| !meter.is_empty()) {
        text += &format!("Measured energy: {}\n", short(meter, WIDTH - 20));
    }
    text
}

/// The first columns, LPIPS only where there is one.
fn columns(metrics: &Metrics, number: usize) -> impl Iterator<Item = &'static Column> {
    let lpips = metrics.cases.iter().any(|case| case.mean.lpips.is_some());
    COLUMNS[..number].iter().filter(move |column| lpips || column.name != "LPIPS")
}

fn table(bodies: &[(String, Vec<(String, Line)>)], columns: &[&Column]) -> String {
    let heads: Vec<String> = columns
        .iter()
        .map(|column| match column.unit {
            "" => column.name.to_owned(),
            unit => format!("{} {}", column.name, unit.trim_end_matches("/image")),
        })
        .collect();
    let cells: Vec<Vec<Vec<(String, bool)>>> = bodies
        .iter()
        .map(|(_, lines)| {
            let lines: Vec<Line> = lines.iter().map(|(_, line)| *line).collect();
            columns.iter().map(|column| column.cells(&lines)).collect()
        })
        .collect();
    let width = |i: usize| {
        let longest = cells.iter().flat_map(|body| &body[i]).map(|(text, _)| text.chars().count()).max();
        longest.unwrap_or_default().max(heads[i].chars().count()) + 2
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let rest = WIDTH.saturating_sub(widths.iter().sum()).max(8);
    let longest = bodies.iter().flat_map(|(_, lines)| lines.iter().map(|(name, _)| name.chars().count() + 2)).max();
    let names = longest.unwrap_or_default().clamp(8, NAME).min(rest);

    let mut text = " ".repeat(names);
    for (head, width) in heads.iter().zip(&widths) {
        // Writing to a string cannot fail, here and below.
        let _ = write!(text, "{head:>width$}");
    }
    text.push('\n');
    for ((title, lines), body) in bodies.iter().zip(&cells) {
        let _ = writeln!(text, "{}", short(title, WIDTH));
        for (i, (name, _)) in lines.iter().enumerate() {
            let _ = write!(text, "  {:<1$}", short(name, names - 2), names - 2);
            for (column, width) in body.iter().zip(&widths) {
                let _ = write!(text, "{:>width$}", column[i].0);
            }
            text.push('\n');
        }
    }
    text
}

/// Markdown tables of PSNR, SSIM, LPIPS where there is one, and FLIP: scenes as columns, models as rows, the best of a
/// column in bold (of means only where they are over the same images); one table for every split and number of views.
pub fn markdown(metrics: &Metrics) -> String {
    let rows = figures::rows(metrics);
    let settings = distinct(rows.iter().map(|row| (&row.summary.split, row.summary.views)));
    let mut text = String::new();
    for column in columns(metrics, 4) {
        for (split, views) in &settings {
            let here: Vec<&Row> =
                rows.iter().filter(|row| (&row.summary.split, row.summary.views) == (*split, *views)).collect();
            let unit = if column.unit.is_empty() { String::new() } else { format!(" ({})", column.unit) };
            let arrow = if column.higher { "higher" } else { "lower" };
            if !text.is_empty() {
                text.push('\n');
            }
            let views = count((*views).into(), "source view");
            text += &format!("**{}**{unit}, {arrow} is better; {}, {views}\n\n", column.name, escaped(split));
            text += &markdown_table(metrics, &here, column);
        }
    }
    text
}

fn markdown_table(metrics: &Metrics, rows: &[&Row], column: &Column) -> String {
    let mut scenes = distinct(rows.iter().flat_map(|row| row.cases.iter().map(|case| &case.key.scene)));
    scenes.sort_by_key(|name| metrics.scenes.iter().position(|s| s.name == **name).unwrap_or(usize::MAX));
    let marked = |lines: &[Option<Line>]| -> Vec<String> {
        let there: Vec<Line> = lines.iter().flatten().copied().collect();
        let mut cells = column.cells(&there).into_iter();
        let cell = |line: &Option<Line>| match line.and_then(|_| cells.next()) {
            Some((text, true)) => format!("**{text}**"),
            Some((text, false)) => text,
            None => NONE.to_owned(),
        };
        lines.iter().map(cell).collect()
    };
    let of = |row: &Row, scene: &String| {
        let is = |key: &CaseKey| key.scene == *scene;
        row.cases.iter().find(|case| is(&case.key)).map(|case| Line::of(case, None))
    };
    let mut columns: Vec<Vec<String>> =
        scenes.iter().map(|scene| marked(&rows.iter().map(|row| of(row, scene)).collect::<Vec<_>>())).collect();
    let mut means = marked(&rows.iter().map(|row| Some(row.over_scenes())).collect::<Vec<_>>());
    if !figures::comparable(rows) {
        means.iter_mut().for_each(|mean| *mean = mean.trim_matches('*').to_owned());
    }
    columns.push(means);

    let mut text = String::from("| model |");
    for scene in &scenes {
        text += &format!(" {} |", escaped(scene));
    }
    text += &format!(" mean |\n|---|{}\n", "---:|".repeat(columns.len()));
    for (i, row) in rows.iter().enumerate() {
        text += &format!("| {} |", escaped(&row.summary.model));
        for column in &columns {
            text += &format!(" {} |", column[i]);
        }
        text.push('\n');
    }
    text
}

/// A name that Markdown takes as it is.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for c in short(name, usize::MAX).chars() {
        if "\\`*_{}[]<>()#+!|&~".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
