//! PSNR by scene as bars of the models.

use super::canvas::{self, Axis, Canvas, INK, LARGE, MUTED, SMALL, Side, WIDTH, chart, draw, fit, write};
use super::{Failure, Plot, models, paint};
use crate::report::colours::Rgb;
use crate::report::data::Metrics;
use crate::report::figures::{Row, distinct, scene_label};
use crate::report::numbers::{count, fixed};
use plotters::element::Rectangle;
use plotters::style::Color;

const TOP: i32 = 8;
/// Height of a bar in pixels.
const BAR: i32 = 13;
/// Pixels between groups.
const BETWEEN: i32 = 12;
/// Pixels below the last group, for numbers and unit.
const FOOT: i32 = 42;
/// Pixels right of the longest bar, for its figure.
const FIGURE: i32 = 46;

/// Bars of one scene, or of the mean.
struct Group {
    name: String,
    is_mean: bool,
    bars: Vec<(f64, Rgb)>,
}

/// One plot for every number of views.
pub fn psnr_by_scene(metrics: &Metrics, rows: &[Row]) -> Vec<Plot> {
    let views = distinct(rows.iter().map(|row| row.summary.views));
    if views.is_empty() {
        return vec![Plot::new("PSNR by scene", "Left out: there are no images.")];
    }
    let several = views.len() > 1;
    let plot = |views: u32| {
        let title = match several {
            true => format!("PSNR by scene, {}", count(views.into(), "source view")),
            false => "PSNR by scene".to_owned(),
        };
        let rows: Vec<&Row> = rows.iter().filter(|row| row.summary.views == views).collect();
        let groups = groups(metrics, &rows);
        let Some((low, high)) = limits(&groups) else {
            return Plot::new(title, "Left out: PSNR is no number.");
        };
        // The scale of decibels has no natural zero: bars from 0 would hide what there is to see.
        let from = (5.0 * ((low - 1.0) / 5.0).floor()).min(low);
        let note = format!("Mean over a scene's images in dB; longer is better. Bars begin at {} dB.", fixed(from, 0));
        let bars: usize = groups.iter().map(|group| group.bars.len()).sum();
        let height = TOP + bars as i32 * (BAR + 2) + groups.len() as i32 * BETWEEN + FOOT;
        let axis = Axis::even(from, high.max(from + 1.0), 6, |v| fixed(v, 0));
        let svg = draw(&title, height, |canvas| picture(canvas, &groups, &axis, height));
        Plot::new(title, note).drawn(models(&rows), svg)
    };
    views.into_iter().map(plot).collect()
}

fn groups(metrics: &Metrics, rows: &[&Row]) -> Vec<Group> {
    let cases = || rows.iter().flat_map(|row| row.cases.iter().map(move |case| (*row, *case)));
    // Splits of a scene one after the other, scenes in their order.
    let place = |name: &str| metrics.scenes.iter().position(|s| s.name == name).unwrap_or(metrics.scenes.len());
    let mut scenes = distinct(cases().map(|(_, case)| (&case.key.scene, &case.key.split)));
    scenes.sort_by_key(|(scene, _)| place(scene));
    let mut groups = Vec::new();
    for (scene, split) in &scenes {
        let here = || cases().filter(|(_, case)| (&case.key.scene, &case.key.split) == (*scene, *split));
        let bars = here().map(|(row, case)| (case.mean.psnr, row.colour())).filter(|(psnr, _)| psnr.is_finite());
        let name = here().next().map(|(_, case)| scene_label(&case.key)).unwrap_or_default();
        groups.push(Group { name, is_mean: false, bars: bars.collect() });
    }
    let splits = distinct(rows.iter().map(|row| &row.summary.split));
    for split in &splits {
        let here: Vec<&&Row> = rows.iter().filter(|row| row.summary.split == **split).collect();
        // The mean of one scene is that scene.
        if here.iter().all(|row| row.cases.len() < 2) {
            continue;
        }
        let name = if splits.len() > 1 { format!("mean ({split})") } else { "mean".to_owned() };
        let bars = here.iter().map(|row| (row.summary.mean_over_scenes.psnr, row.colour()));
        groups.push(Group { name, is_mean: true, bars: bars.filter(|(psnr, _)| psnr.is_finite()).collect() });
    }
    groups
}

/// Smallest and largest value.
fn limits(groups: &[Group]) -> Option<(f64, f64)> {
    let values = || groups.iter().flat_map(|group| group.bars.iter().map(|bar| bar.0));
    values().next()?;
    Some((values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)))
}

fn picture(canvas: &Canvas, groups: &[Group], x: &Axis, height: i32) -> Result<(), Failure> {
    let longest = groups.iter().map(|group| canvas::text_width(&group.name, LARGE)).max().unwrap_or_default();
    let left = longest.clamp(40, 150) + 14;
    let (right, bottom) = (WIDTH - FIGURE, height - FOOT + 2);
    let y = Axis { range: 0.0..1.0, ticks: Vec::new() };
    let chart = chart(canvas, (x, &y), (left..right, bottom..TOP));
    canvas::grid_x(canvas, &chart, x, (TOP, bottom))?;
    write(canvas, "PSNR, dB", (right, height - 8), Side::Right, SMALL, (INK, MUTED))?;
    let mut top = TOP + BETWEEN / 2;
    for group in groups {
        let tall = group.bars.len() as i32 * (BAR + 2);
        if group.is_mean {
            let ground = [(0, top - BETWEEN / 2 + 2), (WIDTH, top + tall + BETWEEN / 2 - 4)];
            canvas.draw(&Rectangle::new(ground, INK.mix(0.06).filled()))?;
        }
        let opacity = if group.is_mean { 1.0 } else { 0.9 };
        let name = fit(&group.name, left - 10, LARGE);
        write(canvas, &name, (left - 8, top + tall / 2), Side::Right, LARGE, (INK, opacity))?;
        for (psnr, colour) in &group.bars {
            let (end, _) = chart.map_coordinate(&(*psnr, 0.0));
            canvas.draw(&Rectangle::new([(left, top), (end.max(left + 1), top + BAR)], paint(*colour).filled()))?;
            write(canvas, &fixed(*psnr, 2), (end + 5, top + BAR / 2), Side::Left, SMALL, (INK, opacity))?;
            top += BAR + 2;
        }
        top += BETWEEN;
    }
    Ok(())
}
