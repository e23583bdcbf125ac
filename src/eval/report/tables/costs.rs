//! Tables of what images cost: time, memory, energy, and the work of the experts.

use super::model;
use crate::report::data::{Latency, Metrics};
use crate::report::figures::{self, Row, distinct, scene_label};
use crate::report::name::name;
use crate::report::numbers::{NONE, bytes, fixed, si, significant, whole};
use crate::report::plots::costs::{Number, OPERATIONS, STAGES, case_mean, part_name, routed};
use maud::{Markup, html};

/// Times, memory and stages of every case.
pub fn latency(metrics: &Metrics) -> Markup {
    if metrics.latencies.is_empty() {
        return html! { p .absent { "No times were measured." } };
    }
    let label = |l: &Latency| {
        html! {
            th scope="row" { (scene_label(&l.key)) }
            td .left { (model(metrics, &l.key)) }
            td { (l.key.views) }
        }
    };
    let heads = html! {
        th scope="col" { "Scene" }
        th scope="col" .left { "Model" }
        th scope="col" { "Views" }
    };
    let share = |l: &Latency, stage: &str| {
        let share = l.stages.iter().find(|(name, _)| name == stage);
        share.map_or(NONE.into(), |(_, share)| format!("{} %", fixed(100.0 * share, 1)))
    };
    let memory = |value: Option<u64>| value.map_or(NONE.to_owned(), bytes);
    let clocks = distinct(metrics.runs.iter().filter_map(|run| {
        let mhz = run.processor_mhz.map(|mhz| format!("processor at {} MHz", whole(mhz.round() as u64)));
        let clocks: Vec<String> = mhz.into_iter().chain(run.device_details.clone()).collect();
        (!clocks.is_empty()).then(|| clocks.join(", "))
    }));
    html! {
        div .wide {
            table .figures {
                thead {
                    tr {
                        (heads)
                        th scope="col" .left { "Device" }
                        @for title in ["Threads", "Timed", "Median", "p95", "Fastest", "Slowest", "Rays/s"] {
                            th scope="col" { (title) }
                        }
                        th scope="col" { "Features" small { "s/source" } }
                        th scope="col" { "Host" small { "peak" } }
                        th scope="col" { "Device" small { "memory" } }
                    }
                }
                tbody {
                    @for l in &metrics.latencies {
                        tr {
                            (label(l))
                            td .left { (l.device) }
                            td { (l.threads) }
                            td { (whole(l.timed)) }
                            @for value in [l.median, l.p95, l.min, l.max, l.rays_per_second] {
                                td { (significant(value)) }
                            }
                            td { (l.seconds_a_source.map_or(NONE.into(), significant)) }
                            td { (memory(l.peak_memory)) }
                            td { (memory(l.device_memory)) }
                        }
                    }
                }
            }
        }
        p .note {
            "Seconds an image; features of the source views are computed once and not in them. "
            @if clocks.is_empty() { "Clocks were not readable." } @else { "Clocks: " (clocks.join("; ")) "." }
        }
        @if metrics.latencies.iter().any(|l| !l.stages.is_empty()) {
            h3 { "Shares of a ray's time by stage" }
            div .wide {
                table .figures {
                    thead {
                        tr {
                            (heads)
                            @for (_, title) in &STAGES[1..] { th scope="col" { (title) } }
                        }
                    }
                    tbody {
                        @for l in metrics.latencies.iter().filter(|l| !l.stages.is_empty()) {
                            tr {
                                (label(l))
                                @for (stage, _) in &STAGES[1..] {
                                    td { (share(l, stage)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Modelled and measured energy with what the model leaves out.
pub fn energy(metrics: &Metrics) -> Markup {
    let rows = figures::rows(metrics);
    let joules = |row: &Row| {
        let all = case_mean(row, |c| c.modelled.joules);
        let dense = case_mean(row, |c| c.modelled.dense_joules);
        let parts = [
            case_mean(row, |c| c.modelled.memory),
            case_mean(row, |c| c.modelled.on_chip),
            case_mean(row, |c| c.modelled.compute),
            dense,
            case_mean(row, |c| c.modelled.dense_8_bit_joules),
        ];
        let text = |value: Option<f64>| value.map_or(NONE.to_owned(), significant);
        let ratio = all.zip(dense).map(|(all, dense)| 100.0 * (all / dense)).filter(|share| share.is_finite());
        let mut cells = vec![text(all)];
        cells.extend(parts.map(text));
        cells.push(ratio.map_or(NONE.into(), |share| format!("{} %", fixed(share, 1))));
        cells
    };
    let measured = |row: &Row| match row.over_scenes().measured {
        Some(joules) => significant(joules),
        None => NONE.into(),
    };
    let meters = |row: &Row| distinct(row.latencies.iter().map(|l| l.meter.as_str())).join("; ");
    html! {
        @if !rows.is_empty() {
            div .wide {
                table .figures {
                    thead {
                        tr .groups {
                            th {}
                            th colspan="4" { "Modelled, J/image" }
                            th colspan="3" { "Dense, same sizes" }
                            th colspan="2" { "Measured, J/image" }
                        }
                        tr {
                            th scope="col" { "Model" }
                            @for title in ["all", "memory", "on chip", "compute", "32 bits", "8 bits"] {
                                th scope="col" { (title) }
                            }
                            th scope="col" { "all" small { "of 32 bits" } }
                            th scope="col" { "all" small { "idle included" } }
                            th scope="col" .left { "by" }
                        }
                    }
                    tbody {
                        @for row in &rows {
                            tr {
                                th scope="row" { (name(&row.label, row.colour())) }
                                @for cell in joules(row) { td { (cell) } }
                                td { (measured(row)) }
                                td .left .wrap { (meters(row)) }
                            }
                        }
                    }
                }
            }
            p .note { "Means over scenes." }
        }
        (operations(&rows))
        @if !metrics.definitions.energy.is_empty() {
            h3 { "What the model assumes and leaves out" }
            ul .biases { @for bias in &metrics.definitions.energy { li { (bias) } } }
        }
    }
}

/// Operations of a ray by kind, and what the matrices hold.
fn operations(rows: &[Row]) -> Markup {
    let mean = |row: &Row, number: Number, text: fn(f64) -> String| {
        case_mean(row, |case| number(&case.operations) as f64).map_or(NONE.into(), text)
    };
    html! {
        @if !rows.is_empty() {
            h3 { "Operations of a ray" }
            div .wide {
                table .figures {
                    thead {
                        tr {
                            th scope="col" { "Model" }
                            @for title in ["Multiplies", "Shifts", "Additions", "Look-ups"] { th scope="col" { (title) } }
                            th scope="col" { "Matrices" }
                        }
                    }
                    tbody {
                        @for row in rows {
                            tr {
                                th scope="row" { (name(&row.label, row.colour())) }
                                @for (_, number) in OPERATIONS { td { (mean(row, number, si)) } }
                                td { (mean(row, |o| o.weight_bytes, |b| bytes(b.round() as u64))) }
                            }
                        }
                    }
                }
            }
            p .note { "Of a ray whose samples are seen by all source views; means over scenes." }
        }
    }
}

/// Rows of every feed-forward part that went to either expert.
pub fn experts(metrics: &Metrics) -> Markup {
    let rows = figures::rows(metrics);
    let split: Vec<_> = rows.iter().filter_map(|row| Some((row, routed(&row.cases)?))).collect();
    if split.is_empty() {
        return html! { p .absent { "No model has experts whose rows were counted." } };
    }
    let share = |[multiply, shift]: [u64; 2]| {
        let share = 100.0 * multiply as f64 / (multiply as f64 + shift as f64);
        if share.is_finite() { format!("{} %", fixed(share, 1)) } else { NONE.into() }
    };
    html! {
        p .lead { "Rows (tokens) of the feed-forward parts by the expert that took them, over all images." }
        @for (row, parts) in split {
            details open[parts.len() <= 16] {
                summary { (name(&row.label, row.colour())) }
                div .wide .slim {
                    table .figures {
                        thead {
                            tr {
                                @for title in ["Part", "Multiply", "Shift", "Multiply share"] {
                                    th scope="col" { (title) }
                                }
                            }
                        }
                        tbody {
                            @for (i, part) in parts.iter().enumerate() {
                                tr {
                                    th scope="row" { (part_name(i)) }
                                    td { (whole(part[0])) }
                                    td { (whole(part[1])) }
                                    td { (share(*part)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
