//! Shapes and text as elements of SVG.

use crate::report::colours::Rgb;
use std::fmt::Write;

/// What a shape or a text is painted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// The colour of the page's text.
    Ink,
    /// A colour that the page has no part in.
    Fixed(Rgb),
}

impl std::fmt::Display for Paint {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Ink => f.write_str("currentColor"),
            Self::Fixed([r, g, b]) => write!(f, "#{r:02X}{g:02X}{b:02X}"),
        }
    }
}

/// A paint and its opacity between 0 and 1.
pub type Style = (Paint, f64);

/// A column and a row in pixels, counted from the left and from the top.
pub type Pixel = (i32, i32);

/// Where text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It begins there.
    Left,
    /// It is centred there.
    Middle,
    /// It ends there.
    Right,
}

/// The elements of a picture, the last one on top.
#[derive(Debug, Default)]
pub struct Elements(String);

impl Elements {
    /// Fills the rectangle between two corners.
    pub fn rectangle(&mut self, [a, b]: [Pixel; 2], (paint, opacity): Style) {
        let ((left, right), (top, bottom)) = ((a.0.min(b.0), a.0.max(b.0)), (a.1.min(b.1), a.1.max(b.1)));
        let (width, height) = (right - left, bottom - top);
        self.add(format_args!(
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" opacity=\"{opacity}\" \
             fill=\"{paint}\" stroke=\"none\"/>"
        ));
    }

    /// Draws a line of `width` pixels.
    pub fn line(&mut self, [from, to]: [Pixel; 2], width: u32, (paint, opacity): Style) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(
            "<polyline fill=\"none\" opacity=\"{opacity}\" stroke=\"{paint}\" stroke-width=\"{width}\" \
             points=\"{x1},{y1} {x2},{y2} \"/>"
        ));
    }

    /// Fills a circle.
    pub fn circle(&mut self, (x, y): Pixel, radius: i32, (paint, opacity): Style) {
        self.add(format_args!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" opacity=\"{opacity}\" fill=\"{paint}\" stroke=\"none\" \
             stroke-width=\"1\"/>"
        ));
    }

    /// Writes text, with `size` pixels to a line, whose middle height is at the row of `at`.
    pub fn text(&mut self, text: &str, (x, y): Pixel, side: Side, size: f64, (paint, opacity): Style) {
        let anchor = match side {
            Side::Left => "start",
            Side::Middle => "middle",
            Side::Right => "end",
        };
        let text = escaped(text);
        self.add(format_args!(
            "<text x=\"{x}\" y=\"{y}\" dy=\"0.5ex\" text-anchor=\"{anchor}\" font-family=\"sans-serif\" \
             font-size=\"{size}\" opacity=\"{opacity}\" fill=\"{paint}\">\n{text}\n</text>"
        ));
    }

    /// An element of `width` by `height` units that stands within HTML, which needs no name space and whose page sets the
    /// size; `name` is what screen readers say.
    pub fn finish(self, name: &str, (width, height): (i32, i32)) -> String {
        let (name, elements) = (escaped(name), self.0);
        format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{name}\">\n{elements}</svg>")
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{element}");
    }
}

/// Text in which no character opens a tag, an entity or the end of an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_an_element() {
        let mut elements = Elements::default();
        elements.rectangle([(9, 2), (4, 7)], (Paint::Fixed([1, 171, 255]), 0.5));
        elements.line([(0, 1), (2, 3)], 2, (Paint::Ink, 1.0));
        elements.circle((5, 6), 7, (Paint::Ink, 1.0));
        let svg = elements.finish("three", (10, 20));
        let lines: Vec<&str> = svg.lines().collect();
        assert_eq!(lines[0], "<svg viewBox=\"0 0 10 20\" role=\"img\" aria-label=\"three\">");
        let rectangle =
            "<rect x=\"4\" y=\"2\" width=\"5\" height=\"5\" opacity=\"0.5\" fill=\"#01ABFF\" stroke=\"none\"/>";
        assert_eq!(lines[1], rectangle);
        assert!(lines[2].contains("stroke-width=\"2\" points=\"0,1 2,3 \""), "{svg}");
        assert!(lines[3].contains("cx=\"5\" cy=\"6\" r=\"7\" opacity=\"1\" fill=\"currentColor\""), "{svg}");
        assert_eq!(lines[4..], ["</svg>"]);
    }

    #[test]
    fn text_is_escaped() {
        let name = "a\"' <b>&";
        let mut elements = Elements::default();
        elements.text(name, (1, 2), Side::Left, 12.0, (Paint::Ink, 1.0));
        let svg = elements.finish(name, (500, 31));
        assert_eq!(svg.matches("a&quot;&apos; &lt;b&gt;&amp;").count(), 2, "{svg}");
        assert!(svg.contains("fill=\"currentColor\"") && !svg.contains("<b>"), "{svg}");
    }
}
