//! What goes to stdout.

use anyhow::Context;
use std::io::Write;

/// Writes `text` and a line break to stdout; unlike `println!`, a closed pipe is an error and no panic.
///
/// # Errors
/// If stdout cannot be written.
pub fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("stdout could not be written")
}
