//! Names with the colours that they have in plots.

use super::colours::{Rgb, hex};
use maud::{Markup, html};

/// A name with a patch of its colour.
pub fn name(text: &str, colour: Rgb) -> Markup {
    html! { span .name { span .patch style={ "background:" (hex(colour)) } {} (text) } }
}
