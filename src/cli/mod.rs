//! The command line: one file per subcommand.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

pub mod import;
pub mod synth;
pub mod train;

/// New views of a scene from a few posed photographs.
#[derive(Parser)]
#[command(version)]
pub enum Cli {
    /// Convert an official PyTorch checkpoint into a model file
    Import(import::Args),
    /// Render procedural scenes in LLFF layout
    Synth(synth::Args),
    /// Train a dense model
    Train(train::Args),
}

impl Cli {
    /// Runs the chosen subcommand.
    ///
    /// # Errors
    /// Whatever the subcommand fails with.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Import(args) => import::run(args),
            Self::Synth(args) => synth::run(args),
            Self::Train(args) => train::run(args),
        }
    }
}

/// A progress bar with the time left, on a terminal; hidden elsewhere.
pub fn progress(len: u64, unit: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}} {unit}, {{eta}} left {{msg}}"));
    ProgressBar::new(len).with_style(style.expect("a fixed template"))
}
