//! The command line: one file per subcommand.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

pub mod bench;
pub mod compared;
pub mod device;
pub mod eval;
pub mod examples;
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
pub mod samples;
pub mod selftest;
pub mod synth;
pub mod train;
pub mod usage;

/// New views of a scene from a few posed photographs.
#[derive(Parser)]
#[command(version)]
// Each subcommand is described where its arguments are.
pub enum Cli {
    #[command(after_help = examples::BENCH)]
    Bench(bench::Args),
    #[command(after_help = examples::EVAL)]
    Eval(Box<eval::Args>),
    #[command(after_help = examples::IMPORT)]
    Import(import::Args),
    #[command(after_help = examples::INFO)]
    Info(info::Args),
    #[command(after_help = examples::RENDER)]
    Render(render::Args),
    #[command(after_help = examples::REPARAM)]
    Reparam(reparam::Args),
    #[command(after_help = examples::SELFTEST)]
    Selftest(selftest::Args),
    #[command(after_help = examples::SYNTH)]
    Synth(synth::Args),
    #[command(after_help = examples::TRAIN)]
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
