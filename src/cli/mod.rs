//! The command line: one file per subcommand.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

pub mod bench;
pub mod compared;
pub mod device;
pub mod eval;
pub mod folder;
pub mod guard;
pub mod hash;
pub mod import;
pub mod info;
pub mod kept;
pub mod machine;
pub mod made;
pub mod memory;
pub mod names;
pub mod numbers;
pub mod output;
pub mod progress;
pub mod render;
pub mod reparam;
pub mod selftest;
pub mod synth;
pub mod train;
pub mod usage;

/// New views of a scene from a few posed photographs.
#[derive(Parser)]
#[command(version)]
pub enum Cli {
    /// Measure rays a second
    Bench(bench::Args),
    /// Measure quality, latency and energy on held-out photographs
    Eval(Box<eval::Args>),
    /// Convert an official PyTorch checkpoint into a model file
    Import(import::Args),
    /// Say what this program can use, and what a model holds
    Info(info::Args),
    /// Render new views of a scene
    Render(render::Args),
    /// Turn a dense model into one with additive attention, shift layers and experts
    Reparam(reparam::Args),
    /// Compare what the device computes with the processor's reference
    Selftest(selftest::Args),
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
        tensor::check_level().map_err(anyhow::Error::msg)?;
        match self {
            Self::Bench(args) => bench::run(args),
            Self::Eval(args) => eval::run(*args),
            Self::Import(args) => import::run(args),
            Self::Info(args) => info::run(args),
            Self::Render(args) => render::run(args),
            Self::Reparam(args) => reparam::run(args),
            Self::Selftest(args) => selftest::run(args),
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
