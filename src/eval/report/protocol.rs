//! What is needed to repeat a run: protocol, definitions, models, scenes and versions.

use super::data::{Case, CommandRun, Metrics};
use super::name::name;
use super::numbers::{count, significant, whole};
use super::{colours, tables};
use maud::{Markup, html};

/// Terms and what they stand for.
fn terms(terms: &[(&str, String)]) -> Markup {
    html! {
        dl { @for (term, text) in terms.iter().filter(|t| !t.1.is_empty()) { div { dt { (term) } dd { (text) } } } }
    }
}

/// What was asked for, how figures are defined, and what was done.
pub fn protocol(metrics: &Metrics) -> Markup {
    let (settings, definitions) = (&metrics.settings, &metrics.definitions);
    let given = |value: Option<u32>| value.map_or("as the protocol says".into(), |v| v.to_string());
    let views = settings.views.as_ref().map(|v| v.iter().map(u32::to_string).collect::<Vec<_>>().join(", "));
    let splits = if settings.splits.is_empty() { "all of the scene".into() } else { settings.splits.join(", ") };
    html! {
        div .columns {
            div {
                h3 { "Asked for" }
                (terms(&[
                    ("Protocol", settings.protocol.clone()),
                    ("Splits", splits),
                    ("Source views", views.unwrap_or("as the protocol says".into())),
                    ("Samples", settings.guided.clone().unwrap_or_else(|| given(settings.samples))),
                    ("Second pass", count(settings.importance.into(), "sample")),
                    ("Reduction", given(settings.scale)),
                    ("Stride", given(settings.stride)),
                    ("Images", settings.images.map_or("all".into(), |n| format!("at most {n} of a split"))),
                    ("Precision", settings.precision.clone()),
                    ("SSIM", settings.ssim.clone()),
                    ("LPIPS", settings.lpips.clone().unwrap_or("no weights given".into())),
                ]))
            }
            div {
                h3 { "Definitions" }
                (terms(&[
                    ("Colours", definitions.colours.clone()),
                    ("PSNR", definitions.psnr.clone()),
                    ("SSIM", definitions.ssim.clone()),
                    ("LPIPS", definitions.lpips.clone()),
                    ("FLIP", definitions.flip.clone()),
                    ("Latency", definitions.latency.clone()),
                ]))
            }
        }
        (cases(metrics))
    }
}

/// Models, scenes and runs with their hashes and versions.
pub fn versions(metrics: &Metrics) -> Markup {
    let megahertz = |run: &CommandRun| run.processor_mhz.map(|mhz| format!("{} MHz", significant(mhz)));
    html! {
        h3 { "Models" }
        @for (i, model) in metrics.models.iter().enumerate() {
            div .item {
                p {
                    (name(&model.name, colours::model(i))) " "
                    span .muted { (whole(model.parameters)) " weights, given as " code { (model.given) } }
                }
                p .hash { "SHA-256 " code { (model.sha256) } }
                details { summary { "Configuration" } pre { (format!("{:#}", model.config)) } }
            }
        }
        h3 { "Scenes" }
        @for scene in &metrics.scenes {
            div .item {
                p {
                    b { (scene.name) } " "
                    span .muted {
                        (scene.kind) ", " (count(scene.photographs, "photograph")) ", given as " code { (scene.given) }
                    }
                }
                p .hash { "SHA-256 " code { (scene.sha256) } }
                @for warning in &scene.warnings { p .warning { (warning) } }
            }
        }
        h3 { "Runs" }
        @for run in &metrics.runs {
            div .item {
                pre .command { code { (run.command) } }
                (terms(&[
                    ("Part", run.shard.map(|s| format!("{} of {}", s.index, s.count)).unwrap_or_default()),
                    ("Version", run.version.clone()),
                    ("Build", run.build.clone()),
                    ("Started", run.started.clone()),
                    ("Took", format!("{} s for {}", significant(run.seconds), count(run.rendered, "image"))),
                    ("System", run.system.clone()),
                    ("Processor", run.processor.clone()),
                    ("Clock", megahertz(run).unwrap_or("not readable".into())),
                    ("Instructions", run.instructions.clone()),
                    ("Threads", run.threads.to_string()),
                    ("Device", run.device.clone()),
                    ("Driver and clocks", run.device_details.clone().unwrap_or_default()),
                ]))
            }
        }
        p .muted .small { "Format of metrics.json: " code { (metrics.format) } }
    }
}

/// What was done in every case.
fn cases(metrics: &Metrics) -> Markup {
    let numbers = |case: &Case| {
        let samples = case.guided.clone().unwrap_or_else(|| case.samples.to_string());
        let others = [case.importance, case.scale, case.stride].map(|number| number.to_string());
        [case.key.views.to_string(), samples].into_iter().chain(others)
    };
    let size = |[width, height]: [u32; 2]| format!("{width} × {height}");
    html! {
        @if !metrics.cases.is_empty() {
            h3 { "As it was done" }
            div .wide {
                table .figures {
                    thead {
                        tr {
                            th scope="col" { "Scene" }
                            th scope="col" .left { "Split" }
                            th scope="col" .left { "Model" }
                            @for title in ["Views", "Samples", "Second pass", "Reduction", "Stride"] {
                                th scope="col" { (title) }
                            }
                            @for title in ["Sources", "Compared", "Depth"] { th scope="col" { (title) } }
                            th scope="col" .left { "Precision" }
                        }
                    }
                    tbody {
                        @for case in &metrics.cases {
                            tr {
                                th scope="row" { (case.key.scene) }
                                td .left { (case.key.split) }
                                td .left { (tables::model(metrics, &case.key)) }
                                @for number in numbers(case) { td { (number) } }
                                td { (size(case.source_size)) }
                                td { (size(case.size)) }
                                td { (depths(case.depth_range)) }
                                td .left { (case.precision) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A range of depths in scene units.
fn depths([near, far]: [f32; 2]) -> String {
    format!("{} to {}", significant(near.into()), significant(far.into()))
}
