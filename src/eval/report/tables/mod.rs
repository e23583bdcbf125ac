//! Tables of the page: likeness and costs by model, scene and image.

mod costs;

pub use costs::{energy, experts, latency};

use super::colours;
use super::data::{Case, CaseKey, Metrics, Scores};
use super::figures::{self, COLUMNS, Column, Line, Mean, Row, distinct, scene_label};
use super::name::name;
use super::numbers::{NONE, count, fixed, whole};
use maud::{Markup, html};

/// Lines of a table that are compared with one another.
struct Body {
    title: Markup,
    lines: Vec<(Markup, Line)>,
    /// Likeness and modelled energy are means over the same scenes.
    comparable: bool,
    /// Times and measured energy are as well.
    timed: bool,
}

impl Body {
    /// The columns as text, and what of them is best.
    fn columns(&self) -> Vec<Vec<(String, bool)>> {
        let lines: Vec<Line> = self.lines.iter().map(|(_, line)| *line).collect();
        let cells = |(i, column): (usize, &Column)| {
            let mut cells = column.cells(&lines);
            // Which is best is unknown where the means are over unlike scenes.
            let known = self.comparable && (self.timed || !(4..8).contains(&i));
            cells.iter_mut().for_each(|cell| cell.1 &= known);
            cells
        };
        COLUMNS.iter().enumerate().map(cells).collect()
    }
}

/// A table of all figures, the best of each body and column marked.
fn figures_table(first: &str, bodies: &[Body], lpips: bool) -> Markup {
    html! {
        div .wide {
            table .figures {
                thead {
                    tr .groups {
                        th {}
                        th colspan="4" { "Likeness" }
                        th colspan="3" { "Time" }
                        th colspan="2" { "Energy" }
                    }
                    tr {
                        th scope="col" { (first) }
                        @for column in &COLUMNS {
                            th scope="col" {
                                (column.name) " " span .arrow { (if column.higher { "↑" } else { "↓" }) }
                                @if !column.unit.is_empty() { small { (column.unit) } }
                                @if column.name == "LPIPS" && !lpips { small { "no weights given" } }
                            }
                        }
                    }
                }
                @for body in bodies {
                    @let columns = body.columns();
                    tbody {
                        tr .title { th colspan="10" scope="rowgroup" { (body.title) } }
                        @for (i, (label, _)) in body.lines.iter().enumerate() {
                            tr {
                                th scope="row" { (label) }
                                @for (column, cells) in COLUMNS.iter().zip(&columns) {
                                    @let (text, best) = &cells[i];
                                    @if column.name == "measured" && text == NONE {
                                        td .muted { small { "not available" } }
                                    } @else {
                                        td .best[*best] { (text) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn has_lpips(metrics: &Metrics) -> bool {
    metrics.cases.iter().any(|case| case.mean.lpips.is_some())
}

/// Means of every model over scenes and over images.
pub fn headline(metrics: &Metrics) -> Markup {
    let rows = figures::rows(metrics);
    if rows.is_empty() {
        return html! { p .absent { "There are no images." } };
    }
    let settings = distinct(rows.iter().map(|row| (&row.summary.split, row.summary.views)));
    let mut bodies = Vec::new();
    for (split, views) in &settings {
        let here: Vec<&Row> =
            rows.iter().filter(|row| (&row.summary.split, row.summary.views) == (*split, *views)).collect();
        let several = settings.len() > 1;
        let setting =
            if several { format!("{split}, {}: ", count((*views).into(), "source view")) } else { String::new() };
        let one_device = distinct(here.iter().filter_map(|row| row.device())).len() < 2;
        type Number = fn(&Row) -> u64;
        let means: [(&str, Number, Mean); 2] = [
            ("scene", |row| row.summary.num_scenes, |row| row.over_scenes()),
            ("image", |row| row.summary.num_images, |row| row.over_images()),
        ];
        // One scene: both means are the same.
        let one_scene = here.iter().all(|row| row.summary.num_scenes == 1);
        for (what, number, mean) in means.into_iter().skip(usize::from(one_scene)) {
            let numbers = distinct(here.iter().map(|row| number(row)));
            let line = |row: &&Row| {
                let label = html! {
                    (name(&row.summary.model, row.colour()))
                    @if numbers.len() > 1 { " " small .muted { (count(number(row), what)) } }
                    @if !row.latencies.is_empty() && row.latencies.len() < row.cases.len() {
                        " " small .muted { (row.latencies.len()) " of " (count(row.cases.len() as u64, "scene")) " timed" }
                    }
                };
                (label, mean(row))
            };
            let title = match &numbers[..] {
                [number] => html! { (setting) "mean over " (count(*number, what)) },
                _ => html! { (setting) "mean over " (what) "s" },
            };
            let lines = here.iter().map(line).collect();
            let comparable = figures::comparable(&here);
            let timed = comparable && !here.iter().any(|row| row.is_mixed()) && one_device;
            bodies.push(Body { title, lines, comparable, timed });
        }
    }
    let meters = distinct(metrics.latencies.iter().filter(|l| l.joules.is_none()).map(|l| l.meter.as_str()));
    html! {
        (figures_table("Model", &bodies, has_lpips(metrics)))
        p .note {
            "Times and energy are those of a whole image. The best of a column is " b .best { "marked" } ". "
            @if metrics.latencies.is_empty() { "No times were measured. " }
            @for meter in meters.iter().filter(|m| !m.is_empty()) { "Measured energy: " (meter) ". " }
            @if rows.iter().any(Row::is_mixed) {
                "Some times cover a part of the scenes or several devices: see Latency; those of unlike devices have no mean. "
            }
            "Modelled energy is a model of an accelerator, not of the device that ran: see Energy."
        }
    }
}

/// Figures by scene.
pub fn scenes(metrics: &Metrics) -> Markup {
    let body = |(title, cases): (String, Vec<&Case>)| {
        let latency = |case: &&Case| figures::latency(metrics, &case.key);
        let indices = |case: &&Case| case.images.iter().map(|image| image.index).collect::<Vec<_>>();
        let [width, height] = cases[0].size;
        Body {
            title: html! { (title) " " span .muted { (number_of_images(cases[0])) ", " (width) " × " (height) } },
            lines: cases.iter().map(|case| (model(metrics, &case.key), Line::of(case, latency(case)))).collect(),
            comparable: distinct(cases.iter().map(indices)).len() < 2,
            timed: distinct(cases.iter().filter_map(latency).map(|l| (&l.device, l.threads))).len() < 2,
        }
    };
    let bodies: Vec<Body> = by_scene(metrics).into_iter().map(body).collect();
    if bodies.is_empty() {
        return html! { p .absent { "There are no images." } };
    }
    figures_table("Model", &bodies, has_lpips(metrics))
}

/// Cases with images by scene, split and number of views, in the order of the scenes; each with its title.
fn by_scene(metrics: &Metrics) -> Vec<(String, Vec<&Case>)> {
    let cases = || metrics.cases.iter().filter(|case| !case.images.is_empty());
    let several = distinct(cases().map(|case| case.key.views)).len() > 1;
    let key = |case: &'_ Case| (case.key.scene.clone(), case.key.split.clone(), case.key.views);
    let mut keys = distinct(cases().map(key));
    keys.sort_by_key(|(scene, ..)| metrics.scenes.iter().position(|s| s.name == *scene));
    let of = |wanted| {
        let cases: Vec<&Case> = cases().filter(|case| key(case) == wanted).collect();
        let views = if several { format!(", {}", count(wanted.2.into(), "source view")) } else { String::new() };
        (scene_label(&cases[0].key) + &views, cases)
    };
    keys.into_iter().map(of).collect()
}

/// Figures by image, folded by scene.
pub fn images(metrics: &Metrics) -> Markup {
    let scenes = by_scene(metrics);
    html! {
        @for (title, cases) in &scenes {
            details {
                summary { (title) " " span .muted { (number_of_images(cases[0])) } }
                (image_table(metrics, cases))
            }
        }
        @if scenes.is_empty() { p .absent { "There are no images." } }
    }
}

/// Name of a case's model.
pub fn model(metrics: &Metrics, key: &CaseKey) -> Markup {
    name(&key.model, colours::model(figures::model_index(metrics, &key.model)))
}

/// How many images a case has, and of how many if it lacks some.
fn number_of_images(case: &Case) -> String {
    let found = case.images.len() as u64;
    if found < u64::from(case.total) {
        format!("{} of {}", whole(found), count(case.total.into(), "image"))
    } else {
        count(found, "image")
    }
}

fn image_table<'a>(metrics: &Metrics, cases: &[&'a Case]) -> Markup {
    let names = distinct(cases.iter().flat_map(|case| case.images.iter().map(|image| image.name.as_str())));
    let seconds = |case: &Case, image: &str| {
        let times = &figures::latency(metrics, &case.key)?.images.iter().find(|time| time.name == image)?.seconds;
        figures::mean(times.iter().copied())
    };
    let result = |case: &&'a Case, name: &str| Some((*case, case.images.iter().find(|image| image.name == name)?));
    let unmasked = |share: Option<f64>| share.map_or(NONE.into(), |share| format!("{} %", fixed(100.0 * share, 1)));
    html! {
        div .wide {
            table .figures {
                thead {
                    tr {
                        th scope="col" { "Image" }
                        th scope="col" .left { "Model" }
                        @for column in &COLUMNS[..4] { th scope="col" { (column.name) } }
                        th scope="col" { "s/image" }
                        th scope="col" { "Unmasked" }
                        th scope="col" .left { "Sources" }
                        th scope="col" .left { "SHA-256 of colours" }
                    }
                }
                @for image in names {
                    @let results: Vec<_> = cases.iter().filter_map(|case| result(case, image)).collect();
                    @let lines: Vec<Line> = results.iter().map(|(case, result)| {
                        Line { scores: result.scores, median: seconds(case, image), ..Line::default() }
                    }).collect();
                    @let columns: Vec<_> = COLUMNS[..5].iter().map(|column| column.cells(&lines)).collect();
                    tbody {
                        @for (i, (case, result)) in results.iter().enumerate() {
                            tr {
                                @if i == 0 { th scope="rowgroup" rowspan=(results.len()) { (image) } }
                                td .left { (model(metrics, &case.key)) }
                                @for column in &columns { td .best[column[i].1] { (column[i].0) } }
                                td { (unmasked(result.unmasked)) }
                                td .left { span title=(result.sources.join(", ")) { (result.sources.len()) } }
                                td .left { code { (result.sha256.chars().take(12).collect::<String>()) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Scores of an image in a line.
pub fn scores(scores: &Scores) -> String {
    let line = Line { scores: *scores, ..Line::default() };
    let texts = COLUMNS[..4].iter().filter_map(|column| {
        let value = (column.get)(&line)?;
        let unit = if column.unit.is_empty() { String::new() } else { format!(" {}", column.unit) };
        Some(format!("{} {}{unit}", column.name, (column.text)(value)))
    });
    texts.collect::<Vec<_>>().join(" · ")
}
