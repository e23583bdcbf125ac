//! Plots of a report as SVG. Text and grid take the colour of the page, so that they are legible on light and dark; a model
//! has the same colour in all of them.

mod bars;
mod canvas;
pub(super) mod costs;
mod scatter;
mod stacks;

use super::colours::{Rgb, hex};
use super::data::Metrics;
use super::figures::Row;
use canvas::Failure;

/// A plot, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// How to read it, or why it is not there.
    pub note: String,
    /// Names of the colours.
    pub legend: Vec<(String, Rgb)>,
    /// The picture; none where there are no data.
    pub svg: Option<String>,
}

impl Plot {
    fn new(title: impl Into<String>, note: impl Into<String>) -> Self {
        Self { title: title.into(), note: note.into(), legend: Vec::new(), svg: None }
    }

    /// With colours and a picture.
    fn drawn(mut self, legend: Vec<(String, Rgb)>, picture: Result<String, Failure>) -> Self {
        match picture {
            Ok(svg) => (self.legend, self.svg) = (legend, Some(svg)),
            Err(error) => self.note = format!("Left out: it could not be drawn ({error})."),
        }
        self
    }
}

/// All plots, in the order of the page.
pub fn plots(metrics: &Metrics) -> Vec<Plot> {
    let rows = super::figures::rows(metrics);
    let mut plots = scatter::psnr_against_seconds(&rows);
    plots.extend(bars::psnr_by_scene(metrics, &rows));
    plots.push(costs::operations(&rows));
    plots.push(costs::stages(&rows));
    plots.push(costs::energy(&rows));
    plots.extend(costs::experts(&rows));
    plots
}

/// Names and colours of the models of `rows`.
fn models(rows: &[&Row]) -> Vec<(String, Rgb)> {
    super::figures::distinct(rows.iter().map(|row| (row.summary.model.clone(), row.colour())))
}

/// A colour as an SVG attribute wants it.
fn paint(colour: Rgb) -> plotters::style::RGBColor {
    debug_assert_ne!(hex(colour).to_uppercase(), canvas::INK_HEX);
    let [r, g, b] = colour;
    plotters::style::RGBColor(r, g, b)
}

#[cfg(test)]
mod tests;
