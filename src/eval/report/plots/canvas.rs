//! What all plots share: the drawing area, its axes and its text.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{PathElement, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle};
use std::ops::Range;

/// Width of all plots in pixels.
pub const WIDTH: i32 = 500;

/// Stands for the colour of the page's text until [`draw`] replaces it; no palette has it.
pub const INK: RGBColor = RGBColor(1, 2, 3);
/// [`INK`] as the SVG backend writes it.
pub const INK_HEX: &str = "#010203";

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

/// Drawing into a string does not fail in itself, but the backend could.
pub type Failure = DrawingAreaErrorKind<std::io::Error>;

/// A drawing area in pixels.
pub type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A drawing area in units of data.
pub type Chart<'a> = DrawingArea<SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws an SVG element of [`WIDTH`] by `height` pixels that takes the page's width and text colour; `name` is what screen
/// readers say.
///
/// # Errors
/// What `body` meets.
pub fn draw(name: &str, height: i32, body: impl FnOnce(&Canvas<'_>) -> Result<(), Failure>) -> Result<String, Failure> {
    let mut svg = String::new();
    {
        let canvas = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32)).into_drawing_area();
        body(&canvas)?;
        canvas.present()?;
    }
    // The element stands within HTML: it needs no name space, and the page sets its size.
    let elements = svg.split_once('>').map_or("", |(_, rest)| rest).trim();
    // Quotes within text are escaped, so this can only be an attribute.
    let elements = elements.replace(&format!("\"{INK_HEX}\""), "\"currentColor\"");
    let mut label = String::new();
    maud::Render::render_to(name, &mut label);
    Ok(format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">\n{elements}"))
}

/// Where text stands relative to its point.
#[derive(Clone, Copy)]
pub enum Side {
    /// It begins there.
    Left,
    /// It is centred there.
    Middle,
    /// It ends there.
    Right,
}

/// Writes text whose middle height is at `y`.
pub fn write(
    canvas: &Canvas,
    text: &str,
    (x, y): (i32, i32),
    side: Side,
    size: f64,
    (colour, opacity): (RGBColor, f64),
) -> Result<(), Failure> {
    let horizontal = match side {
        Side::Left => HPos::Left,
        Side::Middle => HPos::Center,
        Side::Right => HPos::Right,
    };
    // The backend writes a font's size divided by 1.24.
    let font = FontDesc::new(FontFamily::SansSerif, size * 1.24, FontStyle::Normal);
    let colour = colour.mix(opacity);
    let style = TextStyle::from(font).color(&colour).pos(Pos::new(horizontal, VPos::Center));
    canvas.draw(&Text::new(text.to_owned(), (x, y), style))
}

/// Width of a text in pixels, on the wide side.
pub fn text_width(text: &str, size: f64) -> i32 {
    (text.chars().count() as f64 * size * CHARACTER).ceil() as i32
}

/// As much of a text as fits.
pub fn fit(text: &str, width: i32, size: f64) -> String {
    super::super::numbers::short(text, (f64::from(width) / (size * CHARACTER)) as usize)
}

/// A drawing area in units of data over a rectangle of pixels.
pub fn chart<'a>(canvas: &Canvas<'a>, (x, y): (&Axis, &Axis), pixels: (Range<i32>, Range<i32>)) -> Chart<'a> {
    let (horizontal, vertical) = pixels;
    canvas.apply_coord_spec(Cartesian2d::<RangedCoordf64, RangedCoordf64>::new(
        x.range.clone(),
        y.range.clone(),
        (horizontal, vertical),
    ))
}

/// Draws vertical lines and numbers for `x`.
pub fn grid_x(canvas: &Canvas, chart: &Chart, axis: &Axis, (top, bottom): (i32, i32)) -> Result<(), Failure> {
    for (value, label) in &axis.ticks {
        let (x, _) = chart.map_coordinate(&(*value, chart.get_y_range().start));
        canvas.draw(&PathElement::new(vec![(x, top), (x, bottom)], INK.mix(GRID)))?;
        write(canvas, label, (x, bottom + 12), Side::Middle, SMALL, (INK, MUTED))?;
    }
    Ok(())
}

/// Draws pieces of vertical lines without numbers.
pub fn guides(canvas: &Canvas, chart: &Chart, axis: &Axis, (top, bottom): (i32, i32)) -> Result<(), Failure> {
    for (value, _) in &axis.ticks {
        let (x, _) = chart.map_coordinate(&(*value, chart.get_y_range().start));
        canvas.draw(&PathElement::new(vec![(x, top), (x, bottom)], INK.mix(GRID)))?;
    }
    Ok(())
}

/// Draws horizontal lines and numbers for `y`.
pub fn grid_y(canvas: &Canvas, chart: &Chart, axis: &Axis, (left, right): (i32, i32)) -> Result<(), Failure> {
    for (value, label) in &axis.ticks {
        let (_, y) = chart.map_coordinate(&(chart.get_x_range().start, *value));
        canvas.draw(&PathElement::new(vec![(left, y), (right, y)], INK.mix(GRID)))?;
        write(canvas, label, (left - 8, y), Side::Right, SMALL, (INK, MUTED))?;
    }
    Ok(())
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
    fn text_keeps_its_quotes() {
        let name = "a\"#010203\" <b>&";
        let svg = draw(name, 31, |canvas| write(canvas, name, (1, 2), Side::Left, SMALL, (INK, 1.0))).unwrap();
        assert!(svg.contains("fill=\"currentColor\""));
        assert!(svg.contains("a&quot;#010203&quot; &lt;b&gt;&amp;"), "{svg}");
        assert!(svg.starts_with("<svg viewBox=\"0 0 500 31\"") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert_eq!(fit("abcdef", 40, 12.0), "abcd…");
    }
}
