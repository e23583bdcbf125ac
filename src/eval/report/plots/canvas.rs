//! What all plots share: the size of the drawing and of its letters, its scales and its axes.

use super::svg::{Elements, Paint, Side};
use std::ops::Range;

/// Width of all plots in pixels.
pub const WIDTH: i32 = 500;

/// Opacity of lines that guide the eye.
const GRID: f64 = 0.16;
/// Opacity of text that explains.
pub const MUTED: f64 = 0.68;

/// Pixels of a character of the given size, on the wide side: real widths are known to the browser only.
const CHARACTER: f64 = 0.58;
/// Font size of labels in pixels.
pub const SMALL: f64 = 12.0;
/// Font size of names in pixels.
pub const LARGE: f64 = 13.0;

/// Draws an SVG element of [`WIDTH`] by `height` pixels that takes the page's width and text colour; `name` is what screen
/// readers say.
pub fn draw(name: &str, height: i32, body: impl FnOnce(&mut Elements)) -> String {
    let mut elements = Elements::default();
    body(&mut elements);
    elements.finish(name, (WIDTH, height))
}

/// Width of a text in pixels, on the wide side.
pub fn text_width(text: &str, size: f64) -> i32 {
    (text.chars().count() as f64 * size * CHARACTER).ceil() as i32
}

/// As much of a text as fits.
pub fn fit(text: &str, width: i32, size: f64) -> String {
    super::super::numbers::short(text, (f64::from(width) / (size * CHARACTER)) as usize)
}

/// Values of an axis over pixels, which may run backwards.
struct Scale {
    values: Range<f64>,
    pixels: Range<i32>,
}

impl Scale {
    /// The pixel of a value. Rounds towards the start, where a value a thousandth of a pixel before a pixel is on it.
    fn pixel(&self, value: f64) -> i32 {
        let share = (value - self.values.start) / (self.values.end - self.values.start);
        let Range { start, end } = self.pixels;
        if share.is_infinite() {
            return if share > 0.0 { end } else { start };
        }
        let along = f64::from(end - start) * share;
        start + if end > start { (along + 1e-3).floor() } else { (along - 1e-3).ceil() } as i32
    }
}

/// A rectangle of pixels with the values of two axes.
pub struct Chart {
    x: Scale,
    y: Scale,
}

impl Chart {
    /// Lays two axes over columns and rows of pixels.
    pub fn new((x, y): (&Axis, &Axis), (columns, rows): (Range<i32>, Range<i32>)) -> Self {
        Self {
            x: Scale { values: x.range.clone(), pixels: columns },
            y: Scale { values: y.range.clone(), pixels: rows },
        }
    }

    /// The column of a value.
    pub fn x(&self, value: f64) -> i32 {
        self.x.pixel(value)
    }

    /// The row of a value.
    pub fn y(&self, value: f64) -> i32 {
        self.y.pixel(value)
    }
}

/// Draws vertical lines and numbers for `x`.
pub fn grid_x(elements: &mut Elements, chart: &Chart, axis: &Axis, (top, bottom): (i32, i32)) {
    for (value, label) in &axis.ticks {
        let x = chart.x(*value);
        elements.line([(x, top), (x, bottom)], 1, (Paint::Ink, GRID));
        elements.text(label, (x, bottom + 12), Side::Middle, SMALL, (Paint::Ink, MUTED));
    }
}

/// Draws pieces of vertical lines without numbers.
pub fn guides(elements: &mut Elements, chart: &Chart, axis: &Axis, (top, bottom): (i32, i32)) {
    for (value, _) in &axis.ticks {
        let x = chart.x(*value);
        elements.line([(x, top), (x, bottom)], 1, (Paint::Ink, GRID));
    }
}

/// Draws horizontal lines and numbers for `y`.
pub fn grid_y(elements: &mut Elements, chart: &Chart, axis: &Axis, (left, right): (i32, i32)) {
    for (value, label) in &axis.ticks {
        let y = chart.y(*value);
        elements.line([(left, y), (right, y)], 1, (Paint::Ink, GRID));
        elements.text(label, (left - 8, y), Side::Right, SMALL, (Paint::Ink, MUTED));
    }
}

/// Range and ticks of an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// From and to, never equal.
    pub range: Range<f64>,
    /// Where numbers stand.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An even axis from `low` to `high`, about `most` ticks; `text` writes the numbers. Equal ends are moved apart.
    pub fn even(low: f64, high: f64, most: u32, text: fn(f64) -> String) -> Self {
        let (low, high) = if low < high { (low, high) } else { (low, low + low.abs().max(1.0)) };
        let step = step((high - low) / f64::from(most));
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        let count = (last - first).clamp(0.0, f64::from(2 * most)) as u32;
        let at = |i: u32| (first + f64::from(i)) * step;
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        // Steps below one need their decimals to be told apart.
        let label =
            |v: f64| if decimals > 0 && step < 1.0 { super::super::numbers::fixed(v, decimals) } else { text(v) };
        Self { range: low..high, ticks: (0..=count).map(at).map(|v| (v, label(v))).collect() }
    }

    /// The logarithms to base 10 of values above 0 from `low` to `high`, ticks at 1, 2 and 5 times powers of ten, or at
    /// powers only where these would be many.
    pub fn logarithmic(low: f64, high: f64) -> Self {
        let (from, to) = (low.log10(), high.log10());
        let (from, to) = if from < to { (from, to) } else { (from - 0.5, from + 0.5) };
        let steps: &[f64] = if to - from < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        // More than ten decades: every second, and so on.
        let every = ((to - from) / 10.0).ceil().max(1.0) as usize;
        let powers = (from.floor() as i32..=to.ceil() as i32).step_by(every);
        let values = powers.flat_map(|p| steps.iter().map(move |s| (f64::from(p) + s.log10(), *s, p)));
        let within = values.filter(|(at, ..)| (from..=to).contains(at));
        let label = |s: f64, p: i32| match p {
            -4..0 => super::super::numbers::fixed(s * 10f64.powi(p), -p as usize),
            0..6 => super::super::numbers::fixed(s * 10f64.powi(p), 0),
            _ => format!("{s}e{p}"),
        };
        Self { range: from..to, ticks: within.map(|(at, s, p)| (at, label(s, p))).collect() }
    }
}

/// The next larger of 1, 2 and 5 times a power of ten.
fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].map(|s| s * power).into_iter().find(|s| *s >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::numbers::{fixed, si};

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn even_ticks() {
        let whole = |v| fixed(v, 0);
        assert_eq!(labels(&Axis::even(20.0, 27.3, 5, whole)), ["20", "22", "24", "26"]);
        assert_eq!(labels(&Axis::even(0.0, 1.0, 5, whole)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::even(24.9, 25.0, 4, whole)), ["24.90", "24.95", "25.00"]);
        assert_eq!(labels(&Axis::even(0.0, 3e9, 4, si)), ["0", "1.00 G", "2.00 G", "3.00 G"]);
        assert_eq!(labels(&Axis::even(-4.0, 4.0, 4, whole)), ["-4", "-2", "0", "2", "4"]);
        for (low, high) in [(0.0, 0.0), (30.0, 30.0), (-7.0, -7.0), (5.0, 3.0)] {
            let axis = Axis::even(low, high, 4, whole);
            assert!(axis.range.start < axis.range.end && axis.ticks.len() >= 2, "{axis:?}");
        }
    }

    #[test]
    fn logarithmic_ticks() {
        assert_eq!(labels(&Axis::logarithmic(0.9, 25.0)), ["1", "2", "5", "10", "20"]);
        assert_eq!(labels(&Axis::logarithmic(0.004, 0.11)), ["0.005", "0.01", "0.02", "0.05", "0.1"]);
        assert_eq!(labels(&Axis::logarithmic(0.5, 2000.0)), ["1", "10", "100", "1,000"]);
        assert_eq!(labels(&Axis::logarithmic(3.0, 3.0)), ["1", "2", "5"]);
        assert!(labels(&Axis::logarithmic(1e-20, 1e20)).len() < 12);
        for (at, _) in Axis::logarithmic(1e-3, 1e3).ticks {
            assert!((-3.0..=3.0).contains(&at), "{at}");
        }
    }

    #[test]
    fn values_have_pixels() {
        let axis = |range: Range<f64>| Axis { range, ticks: Vec::new() };
        let chart = Chart::new((&axis(0.0..1.0), &axis(20.0..30.0)), (10..110, Range { start: 200, end: 100 }));
        assert_eq!([0.0, 0.25, 0.2599999, 0.255, 1.0].map(|v| chart.x(v)), [10, 35, 36, 35, 110]);
        assert_eq!([20.0, 22.5, 30.0].map(|v| chart.y(v)), [200, 175, 100]);
        assert_eq!([f64::NEG_INFINITY, f64::INFINITY].map(|v| chart.y(v)), [200, 100]);
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(fit("abcdef", 40, 12.0), "abcd…");
    }
}
