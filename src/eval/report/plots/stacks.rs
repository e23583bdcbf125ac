//! Bars that are made of parts.

use super::canvas::{self, Axis, Canvas, INK, LARGE, MUTED, SMALL, Side, WIDTH, chart, draw, fit, text_width, write};
use super::{Failure, paint};
use crate::report::colours::{Rgb, readable_on};
use crate::report::numbers::si;
use plotters::element::Rectangle;
use plotters::style::Color;

/// Height of a bar in pixels.
const BAR: i32 = 20;
/// Pixels from one bar to the next where names stand above them, and where they stand beside them.
const PITCH: [i32; 2] = [48, 23];
/// Pixels for names beside bars.
const BESIDE: i32 = 110;

/// A bar.
pub struct Stack {
    /// What it is.
    pub name: String,
    /// What it comes to.
    pub total: String,
    /// Its parts and what stands in them where there is room.
    pub parts: Vec<(f64, String)>,
    /// Stands for comparison only.
    pub faded: bool,
}

/// How bars are laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// On one scale of this unit, names above.
    Amounts(&'static str),
    /// Every bar as long as the others, names above.
    Shares,
    /// Every bar as long as the others, short names beside them.
    CompactShares,
}

/// Draws bars whose parts have the given colours; the values are not negative.
pub fn stacks(name: &str, colours: &[Rgb], stacks: &[Stack], layout: Layout) -> Result<String, Failure> {
    let above = layout != Layout::CompactShares;
    let pitch = PITCH[usize::from(!above)];
    let amounts = matches!(layout, Layout::Amounts(_));
    let height = stacks.len() as i32 * pitch + if amounts { 40 } else { 6 };
    draw(name, height, |canvas| {
        let left = match layout {
            // Room for half of the axis's first number.
            Layout::Amounts(_) => 6,
            Layout::Shares => 2,
            Layout::CompactShares => BESIDE,
        };
        let right = WIDTH - if amounts { 24 } else { 2 };
        let longest = stacks.iter().map(sum).fold(0.0, f64::max);
        let x = match layout {
            Layout::Amounts(_) => Axis::even(0.0, longest, 5, si),
            _ => Axis { range: 0.0..1.0, ticks: Vec::new() },
        };
        let bottom = stacks.len() as i32 * pitch + 4;
        let y = Axis { range: 0.0..1.0, ticks: Vec::new() };
        let chart = chart(canvas, (&x, &y), (left..right, bottom..0));
        canvas::grid_x(canvas, &chart, &x, (bottom, bottom + 3))?;
        if let Layout::Amounts(unit) = layout {
            write(canvas, unit, (WIDTH - 2, height - 8), Side::Right, SMALL, (INK, MUTED))?;
        }
        for (i, stack) in stacks.iter().enumerate() {
            let top = i as i32 * pitch + 2;
            let bar = if above { top + 24 } else { top + 1 };
            if above {
                let total = text_width(&stack.total, LARGE);
                let label = fit(&stack.name, WIDTH - total - 24, LARGE);
                write(canvas, &label, (left, top + 13), Side::Left, LARGE, (INK, 0.95))?;
                write(canvas, &stack.total, (WIDTH - 2, top + 13), Side::Right, LARGE, (INK, 0.95))?;
            } else {
                let label = fit(&stack.name, BESIDE - 10, SMALL);
                write(canvas, &label, (BESIDE - 8, bar + BAR / 2), Side::Right, SMALL, (INK, 0.9))?;
            }
            // Not through the names.
            canvas::guides(canvas, &chart, &x, (bar - 3, bar + BAR + 3))?;
            let scale = if amounts { 1.0 } else { sum(stack) };
            let end = |value: f64| chart.map_coordinate(&(value / scale, 0.0)).0;
            parts(canvas, stack, colours, bar, end)?;
        }
        Ok(())
    })
}

/// Draws the parts of a bar; `end` tells the pixel of a value.
fn parts(canvas: &Canvas, stack: &Stack, colours: &[Rgb], top: i32, end: impl Fn(f64) -> i32) -> Result<(), Failure> {
    assert!(stack.parts.len() <= colours.len(), "{} parts, {} colours", stack.parts.len(), colours.len());
    let mut before = 0.0;
    for ((value, text), colour) in stack.parts.iter().zip(colours) {
        if *value <= 0.0 {
            continue;
        }
        let (from, to) = (end(before), end(before + value));
        before += value;
        let opacity = if stack.faded { 0.45 } else { 1.0 };
        // A pixel between parts, but none of them vanishes.
        let corners = [(from, top), ((to - 1).max(from + 1), top + BAR)];
        canvas.draw(&Rectangle::new(corners, paint(*colour).mix(opacity).filled()))?;
        if text_width(text, SMALL) + 6 <= to - from {
            let ink = if stack.faded { INK } else { paint(readable_on(*colour)) };
            write(canvas, text, ((from + to) / 2, top + BAR / 2), Side::Middle, SMALL, (ink, 0.95))?;
        }
    }
    Ok(())
}

fn sum(stack: &Stack) -> f64 {
    stack.parts.iter().map(|part| part.0).sum()
}
