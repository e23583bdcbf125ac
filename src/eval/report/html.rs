//! The report as one page: figures, plots, pictures and what is needed to repeat them, without anything to load.

use super::colours::{self, Scale};
use super::data::{CommandRun, Metrics};
use super::name::name;
use super::numbers::count;
use super::plots::{Plot, plots};
use super::sheet::Sheet;
use super::{gallery, protocol, tables};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The browser loads nothing but what is in the page, whatever names and settings hold.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Sections with their addresses in the page.
const SECTIONS: [(&str, &str); 10] = [
    ("results", "Results"),
    ("plots", "Plots"),
    ("scenes", "By scene"),
    ("images", "By image"),
    ("latency", "Latency"),
    ("energy", "Energy"),
    ("experts", "Experts"),
    ("protocol", "Protocol"),
    ("versions", "Versions"),
    ("pictures", "Pictures"),
];

/// The page as HTML. Its size is that of the sheets and a third, plus a few hundred kilobytes.
pub fn page(metrics: &Metrics, sheets: &[Sheet]) -> String {
    let content: [(Option<&str>, Markup); 10] = [
        (None, tables::headline(metrics)),
        (None, cards(&plots(metrics))),
        (Some("Means over each scene's images."), tables::scenes(metrics)),
        (None, tables::images(metrics)),
        (Some(&metrics.definitions.latency), tables::latency(metrics)),
        (None, tables::energy(metrics)),
        (None, tables::experts(metrics)),
        (None, protocol::protocol(metrics)),
        (None, protocol::versions(metrics)),
        (None, gallery::gallery(metrics, sheets)),
    ];
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                title { "shiftray eval: " (subject(metrics)) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) (PreEscaped(scales())) }
            }
            body {
                (header(metrics))
                main {
                    @for ((id, title), (lead, content)) in SECTIONS.iter().zip(&content) {
                        section id=(id) {
                            h2 { (title) }
                            @if let Some(lead) = lead.filter(|lead| !lead.is_empty()) { p .lead { (lead) } }
                            (content)
                        }
                    }
                }
                (gallery::viewer())
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn subject(metrics: &Metrics) -> String {
    let [models, scenes] = [metrics.models.len(), metrics.scenes.len()].map(|n| n as u64);
    format!("{} on {}", count(models, "model"), count(scenes, "scene"))
}

/// Colour scales as classes.
fn scales() -> String {
    let class = |scale: &Scale| format!(".scale-{}{{background:{}}}\n", scale.name(), scale.gradient());
    Scale::ALL.iter().map(class).collect()
}

fn header(metrics: &Metrics) -> Markup {
    let images: usize = metrics.cases.iter().map(|case| case.images.len()).sum();
    html! {
        header .top {
            p .eyebrow {
                "shiftray eval"
                @if let Some(shard) = metrics.shard { " · part " (shard.index) " of " (shard.count) }
            }
            h1 { (subject(metrics)) }
            p .subjects {
                @for (i, model) in metrics.models.iter().enumerate() { (name(&model.name, colours::model(i))) " " }
            }
            p .muted {
                @for (i, scene) in metrics.scenes.iter().enumerate() { @if i > 0 { ", " } (scene.name) }
                " · " (count(images as u64, "rendered image"))
                " · protocol " (metrics.settings.protocol)
            }
            @for run in metrics.runs.iter().take(1) { (command(run)) }
            @if metrics.runs.len() > 1 {
                details {
                    summary { "and " (count(metrics.runs.len() as u64 - 1, "more command")) }
                    @for run in &metrics.runs[1..] { (command(run)) }
                }
            }
            nav aria-label="Sections" {
                @for (id, title) in SECTIONS { a href={ "#" (id) } { (title) } " " }
            }
        }
    }
}

fn command(run: &CommandRun) -> Markup {
    html! {
        pre .command { code { (run.command) } }
        p .muted .small {
            "shiftray " (run.version) " · " (run.started) " · " (run.device)
            @if !run.processor.is_empty() { " · " (run.processor) }
        }
    }
}

fn cards(plots: &[Plot]) -> Markup {
    html! {
        div .cards {
            @for plot in plots {
                @if let Some(svg) = &plot.svg {
                    figure .card {
                        h3 { (plot.title) }
                        @if plot.legend.len() > 1 {
                            ul .legend {
                                @for (text, colour) in &plot.legend { li { (name(text, *colour)) } }
                            }
                        }
                        div .plot { (PreEscaped(svg)) }
                        figcaption { (plot.note) }
                    }
                } @else {
                    div .card .absent { h3 { (plot.title) } p { (plot.note) } }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
