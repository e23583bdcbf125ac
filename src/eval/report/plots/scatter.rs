//! PSNR against time.

use super::canvas::{self, Axis, Canvas, INK, LARGE, MUTED, SMALL, Side, WIDTH, chart, draw, write};
use super::{Failure, Plot, models, paint};
use crate::report::colours::Rgb;
use crate::report::figures::{Row, distinct, mean};
use crate::report::numbers::{count, fixed, short};
use plotters::element::{Circle, PathElement};
use plotters::style::Color;
use std::ops::Range;

const HEIGHT: i32 = 340;
const LEFT: i32 = 44;
const RIGHT: i32 = WIDTH - 12;
const TOP: i32 = 30;
const BOTTOM: i32 = HEIGHT - 44;
/// Radius of a point in pixels.
const POINT: i32 = 6;
/// Longest label in characters.
const LABEL: usize = 34;

/// One model with one number of views.
#[derive(Clone, Debug, PartialEq)]
struct Point {
    label: String,
    model: String,
    colour: Rgb,
    seconds: f64,
    psnr: f64,
}

/// A rectangle of pixels: left, top, right, bottom.
type Area = [i32; 4];

/// PSNR against seconds an image, means over the scenes that have both; one plot for every split.
pub fn psnr_against_seconds(rows: &[Row]) -> Vec<Plot> {
    let splits = distinct(rows.iter().map(|row| row.summary.split.as_str()));
    let plot = |split: &&str| {
        let title =
            if splits.len() > 1 { format!("PSNR against time, {split}") } else { "PSNR against time".to_owned() };
        let rows: Vec<&Row> = rows.iter().filter(|row| row.summary.split == **split).collect();
        let several = distinct(rows.iter().map(|row| row.summary.views)).len() > 1;
        let shown: Vec<(&Row, Point)> = rows.iter().filter_map(|row| Some((*row, point(row, several)?))).collect();
        if shown.is_empty() {
            return Plot::new(title, "Left out: no times were measured.");
        }
        let mut note =
            String::from("Mean over scenes of PSNR and of the median seconds an image; up and left is better.");
        if shown.len() < rows.len() {
            note += " What has no times of one single device is not shown.";
        }
        let (rows, points): (Vec<&Row>, Vec<Point>) = shown.into_iter().unzip();
        let picture = draw(&title, HEIGHT, |canvas| picture(canvas, &points));
        Plot::new(title, note).drawn(models(&rows), picture)
    };
    if splits.is_empty() {
        return vec![Plot::new("PSNR against time", "Left out: no times were measured.")];
    }
    splits.iter().map(plot).collect()
}

/// `several`: the legend tells the models, the label the views.
fn point(row: &Row, several: bool) -> Option<Point> {
    row.device()?;
    let timed = |scene: &str| row.latencies.iter().any(|l| l.key.scene == scene);
    let psnr = mean(row.cases.iter().filter(|c| timed(&c.key.scene)).map(|c| c.mean.psnr))?;
    let seconds = mean(row.latencies.iter().map(|l| l.median)).filter(|s| *s > 0.0)?;
    Some(Point {
        label: if several { count(row.summary.views.into(), "view") } else { row.summary.model.clone() },
        model: row.summary.model.clone(),
        colour: row.colour(),
        seconds,
        psnr,
    })
}

fn picture(canvas: &Canvas, points: &[Point]) -> Result<(), Failure> {
    let range = |value: fn(&Point) -> f64| {
        let values = points.iter().map(value);
        (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
    };
    let ((fast, slow), (low, high)) = (range(|p| p.seconds), range(|p| p.psnr));
    let room = (0.18 * (high - low)).max(0.4);
    // A third of a decade on each side: space for labels.
    let x = Axis::logarithmic(fast / 2.2, slow * 2.2);
    let y = Axis::even(low - room, high + room, 6, |v| fixed(v, 0));
    // Rows are counted from the top, and values grow from the bottom.
    let rows = Range { start: BOTTOM, end: TOP };
    let chart = chart(canvas, (&x, &y), (LEFT..RIGHT, rows));
    canvas::grid_x(canvas, &chart, &x, (TOP, BOTTOM))?;
    canvas::grid_y(canvas, &chart, &y, (LEFT, RIGHT))?;
    write(canvas, "PSNR, dB", (LEFT, 13), Side::Left, SMALL, (INK, MUTED))?;
    write(canvas, "seconds an image, logarithmic", (RIGHT, HEIGHT - 10), Side::Right, SMALL, (INK, MUTED))?;

    let at: Vec<(i32, i32)> = points.iter().map(|p| chart.map_coordinate(&(p.seconds.log10(), p.psnr))).collect();
    // Points of one model are joined in the order of their views.
    for (i, point) in points.iter().enumerate() {
        if let Some(next) = (i + 1..points.len()).find(|j| points[*j].model == point.model) {
            canvas.draw(&PathElement::new(vec![at[i], at[next]], paint(point.colour).mix(0.5).stroke_width(2)))?;
        }
    }
    for (point, at) in points.iter().zip(&at) {
        canvas.draw(&Circle::new(*at, POINT, paint(point.colour).filled()))?;
    }
    let texts: Vec<String> = points.iter().map(|p| short(&p.label, LABEL)).collect();
    for (text, place) in texts.iter().zip(places(&texts, &at)) {
        if let Some([left, top, ..]) = place {
            write(canvas, text, (left, top + 8), Side::Left, LARGE, (INK, 0.9))?;
        }
    }
    Ok(())
}

/// Where labels stand without covering points or one another; none where there is no room, since the legend has the name.
fn places(texts: &[String], points: &[(i32, i32)]) -> Vec<Option<Area>> {
    let disc = |(x, y): &(i32, i32)| [x - POINT, y - POINT, x + POINT, y + POINT];
    let mut taken: Vec<Area> = points.iter().map(disc).collect();
    let apart = |a: &Area, b: &Area| a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
    let mut place = |text: &String, &(x, y): &(i32, i32)| {
        let width = canvas::text_width(text, LARGE);
        let corners = [
            (x + POINT + 4, y - 8),
            (x - POINT - 4 - width, y - 8),
            (x - width / 2, y - POINT - 20),
            (x - width / 2, y + POINT + 4),
            (x + POINT, y + POINT),
            (x - POINT - width, y + POINT),
            (x + POINT, y - POINT - 16),
            (x - POINT - width, y - POINT - 16),
        ];
        let boxes = corners.map(|(left, top)| [left, top, left + width, top + 16]);
        let inside = |b: &Area| b[0] >= LEFT && b[2] <= RIGHT && b[1] >= TOP && b[3] <= BOTTOM;
        let free = boxes.into_iter().find(|b| inside(b) && taken.iter().all(|t| apart(b, t)));
        taken.extend(free);
        free
    };
    texts.iter().zip(points).map(|(text, at)| place(text, at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_overlap() {
        let texts = ["gnt-dense", "gnt-shiftadd", "gnt-dense-8bit", "x", "x"].map(str::to_owned);
        let points = [(300, 150), (310, 152), (305, 140), (RIGHT - 1, TOP + 1), (LEFT, BOTTOM)];
        let found: Vec<Area> = places(&texts, &points).into_iter().map(|p| p.expect("there is room")).collect();
        for (i, a) in found.iter().enumerate() {
            assert!(a[0] >= LEFT && a[2] <= RIGHT && a[1] >= TOP && a[3] <= BOTTOM, "{a:?}");
            for b in &found[..i] {
                assert!(a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1], "{a:?} covers {b:?}");
            }
        }
        // Thirty names on one spot do not fit.
        let crowd = places(&vec!["name".to_owned(); 30], &[(300, 150); 30]);
        assert!(crowd[0].is_some() && crowd[29].is_none());
    }
}
