//! Pictures of the page: every photograph once, and beside it what each model made of it.

use super::colours::{self, Scale};
use super::data::{Case, Metrics, Scores};
use super::figures::{self, distinct, scene_label};
use super::name::name;
use super::numbers::{count, fixed, significant};
use super::sheet::{ERROR_RANGE, Sheet};
use super::tables;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

/// With more photographs than this only the first scene is unfolded.
const UNFOLDED: usize = 24;

/// Sheets of one photograph.
type Photograph<'a> = Vec<&'a Sheet>;

/// All sheets by scene and photograph.
pub fn gallery(metrics: &Metrics, sheets: &[Sheet]) -> Markup {
    if sheets.is_empty() {
        return html! { p .absent { "The page was made without pictures." } };
    }
    let scenes = by_scene(metrics, sheets);
    let photographs: usize = scenes.iter().map(Vec::len).sum();
    html! {
        p .lead {
            "Click a picture to enlarge it and to move between ours and truth; "
            "point at ours to see the truth in its place."
        }
        @for (i, scene) in scenes.iter().enumerate() {
            details .scene open[i == 0 || photographs <= UNFOLDED] {
                summary { (scene_label(&scene[0][0].key)) " " span .muted { (count(scene.len() as u64, "image")) } }
                @for photograph in scene { (card(metrics, photograph)) }
            }
        }
    }
}

/// Photographs by scene and split in the order of the scenes, each with its sheets in the order of the models.
fn by_scene<'a>(metrics: &Metrics, sheets: &'a [Sheet]) -> Vec<Vec<Photograph<'a>>> {
    let mut keys = distinct(sheets.iter().map(|s| (&s.key.scene, &s.key.split)));
    keys.sort_by_key(|(scene, _)| metrics.scenes.iter().position(|s| s.name == **scene).unwrap_or(usize::MAX));
    let scene = |(scene, split)| {
        let here = || sheets.iter().filter(move |s| (&s.key.scene, &s.key.split) == (scene, split));
        // Photographs that differ do not share a truth, even under one name.
        let images = distinct(here().map(|s| (&s.image, s.size, &s.truth)));
        let photograph = |(image, size, truth)| {
            let mut sheets: Photograph =
                here().filter(|s| (&s.image, s.size, &s.truth) == (image, size, truth)).collect();
            sheets.sort_by_key(|s| (figures::model_index(metrics, &s.key.model), s.key.views));
            sheets
        };
        images.into_iter().map(photograph).collect()
    };
    keys.into_iter().map(scene).collect()
}

fn card(metrics: &Metrics, photograph: &[&Sheet]) -> Markup {
    let first = photograph[0];
    let several = distinct(photograph.iter().map(|s| s.key.views)).len() > 1;
    let routed = photograph.iter().any(|sheet| sheet.routing.is_some());
    html! {
        article .photograph {
            h4 { (first.image) " " span .muted { (first.size[0]) " × " (first.size[1]) } }
            div .strip {
                div .truth { (panel(first, "truth", "truth", &first.truth, html! {})) }
                div .models {
                    @for sheet in photograph {
                        @let model = label(sheet, several);
                        @let colour = colours::model(figures::model_index(metrics, &sheet.key.model));
                        div .model {
                            h5 {
                                (name(&model, colour))
                                @if let Some(scores) = scores(metrics, sheet) {
                                    " " span .muted { (tables::scores(&scores)) }
                                }
                            }
                            div .panels .three[!routed] { (panels(sheet, &model)) }
                        }
                    }
                }
            }
        }
    }
}

/// Name of a sheet's model, with the number of views where there are several.
fn label(sheet: &Sheet, several: bool) -> String {
    let views = if several { format!(", {}", count(sheet.key.views.into(), "view")) } else { String::new() };
    format!("{}{views}", sheet.key.model)
}

fn panels(sheet: &Sheet, model: &str) -> Markup {
    let [near, far] = sheet.depth_range.map(|d| significant(d.into()));
    html! {
        (panel(sheet, "ours", model, &sheet.ours, html! {}))
        (panel(sheet, "error", model, &sheet.error, legend(Scale::Error, "0", &fixed(ERROR_RANGE, 2))))
        (panel(sheet, "depth", model, &sheet.depth, legend(Scale::Depth, &near, &far)))
        @if let Some(routing) = &sheet.routing {
            (panel(sheet, "routing", model, routing, legend(Scale::Routing, "shift", "multiply")))
        }
    }
}

/// A picture with its scale; `kind` is what it shows.
fn panel(sheet: &Sheet, kind: &str, model: &str, jpeg: &[u8], legend: Markup) -> Markup {
    let [width, height] = sheet.size;
    let what = if kind == "truth" {
        format!("truth of {}", sheet.image)
    } else {
        format!("{kind} of {}, {model}", sheet.image)
    };
    html! {
        figure data-kind=(kind) data-model=(model) {
            button type="button" .open aria-label={ "Enlarge " (what) } {
                img alt=(what) width=(width) height=(height) loading="lazy" decoding="async"
                    src={ "data:image/jpeg;base64," (STANDARD.encode(jpeg)) };
            }
            figcaption { span .kind { (kind) } (legend) }
        }
    }
}

fn legend(scale: Scale, from: &str, to: &str) -> Markup {
    html! { span .range { (from) span class={ "scale scale-" (scale.name()) } {} (to) } }
}

/// Scores of the sheet's image, if its case has it.
fn scores(metrics: &Metrics, sheet: &Sheet) -> Option<Scores> {
    let case: &Case = metrics.cases.iter().find(|case| case.key == sheet.key)?;
    case.images.iter().find(|image| image.name == sheet.image).map(|image| image.scores)
}

/// The window in which pictures are enlarged; the script fills it.
pub fn viewer() -> Markup {
    html! {
        dialog #viewer aria-label="Enlarged picture" {
            div .bar {
                strong #viewer-title {}
                div #viewer-tabs {}
                button type="button" #viewer-close aria-label="Close" { "×" }
            }
            div #viewer-stage {
                img #viewer-base alt="" src="data:,";
                img #viewer-truth alt="" src="data:," hidden;
            }
            label #viewer-wipe {
                "ours"
                input type="range" min="0" max="100" value="50" aria-label="Boundary between ours and truth";
                "truth"
            }
            p #viewer-legend {}
        }
    }
}
