//! The command line: one file per subcommand.

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

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
#[command(version, bin_name = "shiftray")]
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

/// How far a job of many steps is: a bar with the time left on a terminal, now and then a plain line elsewhere.
#[derive(Debug)]
pub struct Steps {
    bar: ProgressBar,
    unit: &'static str,
    /// Where the job began, which is later than 0 for one that is gone on with.
    first: u64,
    started: Instant,
    /// When the last line was written; none on a terminal.
    line: Option<Cell<Instant>>,
}

/// Time between two lines of [`Steps`].
const BETWEEN_LINES: Duration = Duration::from_secs(30);

impl Steps {
    /// A job of `len` steps of which `first` are done; `unit` is what they are called, such as `views`.
    pub fn new(len: u64, first: u64, unit: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}} {unit}, {{eta}} left {{msg}}"));
        // The template is fixed; without it there would still be a bar.
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(len), target).with_style(style).with_position(first);
        bar.reset_eta();
        let started = Instant::now();
        Self { bar, unit, first, started, line: (!terminal).then(|| Cell::new(started)) }
    }

    /// So many are done; `about` says how it goes.
    pub fn set(&self, done: u64, about: String) {
        self.bar.set_position(done);
        if let Some(last) = &self.line
            && last.get().elapsed() >= BETWEEN_LINES
        {
            last.set(Instant::now());
            let all = self.bar.length().unwrap_or(0);
            output::note(&steps_line(self.unit, self.first, done, all, self.started.elapsed(), &about));
        }
        self.bar.set_message(about);
    }

    /// The end: the bar stays.
    pub fn finish(&self) {
        self.bar.finish();
    }

    /// The end: the bar goes away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// `steps: 60 of 600, about 270 s left, PSNR 20.00`.
fn steps_line(unit: &str, first: u64, done: u64, all: u64, elapsed: Duration, about: &str) -> String {
    let left = match done.checked_sub(first) {
        None | Some(0) => "an unknown time".to_owned(),
        Some(now) => format!("about {:.0} s", elapsed.as_secs_f64() / now as f64 * all.saturating_sub(done) as f64),
    };
    let comma = if about.is_empty() { "" } else { ", " };
    format!("{unit}: {done} of {all}, {left} left{comma}{about}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_what_is_left() {
        let after = Duration::from_secs(30);
        assert_eq!(steps_line("steps", 0, 60, 600, after, "PSNR 20"), "steps: 60 of 600, about 270 s left, PSNR 20");
        assert_eq!(steps_line("views", 0, 3, 3, after, ""), "views: 3 of 3, about 0 s left");
        // What an earlier command did took no time of this one.
        assert_eq!(steps_line("steps", 500, 510, 600, after, ""), "steps: 510 of 600, about 270 s left");
        assert_eq!(steps_line("steps", 500, 500, 600, after, ""), "steps: 500 of 600, an unknown time left");
    }

    #[test]
    fn help_is_in_the_imperative_and_out_is_short_everywhere() {
        use clap::CommandFactory;
        for command in Cli::command().get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let first = about.split(' ').next().unwrap_or_default();
            assert!(!first.is_empty() && !first.ends_with('s'), "{}: {about}", command.get_name());
            for argument in command.get_arguments().filter(|argument| argument.get_long() == Some("out")) {
                assert_eq!(argument.get_short(), Some('o'), "{}", command.get_name());
            }
        }
    }
}
