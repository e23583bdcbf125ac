//! The command line: one file per subcommand.

use clap::Parser;

pub mod bench;
pub mod check;
pub mod classifiers;
pub mod classify;
pub mod compared;
pub mod completions;
pub mod device;
pub mod eval;
pub mod examples;
pub mod finetune;
pub mod folder;
pub mod guard;
pub mod hash;
pub mod import;
pub mod info;
pub mod kept;
pub mod machine;
pub mod made;
pub mod man;
pub mod memory;
pub mod names;
pub mod numbers;
pub mod one_scene;
pub mod output;
pub mod own_files;
pub mod poses;
pub mod progress;
pub mod reading;
pub mod render;
pub mod reparam;
pub mod selftest;
pub mod shares;
pub mod steps;
pub mod synth;
pub mod train;
pub mod training_data;
pub mod trial;
pub mod usage;
pub mod view;

/// New views of a scene from a few posed photographs.
#[derive(Parser)]
#[command(version, bin_name = "shiftray")]
// Each subcommand is described where its arguments are.
pub enum Cli {
    #[command(after_help = examples::BENCH)]
    Bench(bench::Args),
    #[command(after_help = examples::CHECK)]
    Check(check::Args),
    #[command(after_help = examples::CLASSIFY)]
    Classify(classify::Args),
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::Args),
    #[command(after_help = examples::EVAL)]
    Eval(Box<eval::Args>),
    #[command(after_help = examples::FINETUNE)]
    Finetune(finetune::Args),
    #[command(after_help = examples::IMPORT)]
    Import(import::Args),
    #[command(after_help = examples::INFO)]
    Info(info::Args),
    #[command(after_help = examples::MAN)]
    Man(man::Args),
    #[command(after_help = examples::POSES)]
    Poses(poses::Args),
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
    #[command(after_help = examples::VIEW)]
    View(Box<view::Args>),
}

impl Cli {
    /// Runs the chosen subcommand.
    ///
    /// # Errors
    /// Whatever the subcommand fails with.
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(ignored) = compute::check_isa().map_err(anyhow::Error::msg)? {
            output::warn(&ignored);
        }
        match self {
            Self::Bench(args) => bench::run(args),
            Self::Check(args) => check::run(args),
            Self::Classify(args) => classify::run(args),
            Self::Completions(args) => completions::run(args),
            Self::Eval(args) => eval::run(*args),
            Self::Finetune(args) => finetune::run(args),
            Self::Import(args) => import::run(args),
            Self::Info(args) => info::run(args),
            Self::Man(args) => man::run(args),
            Self::Poses(args) => poses::run(args),
            Self::Render(args) => render::run(args),
            Self::Reparam(args) => reparam::run(args),
            Self::Selftest(args) => selftest::run(args),
            Self::Synth(args) => synth::run(args),
            Self::Train(args) => train::run(args),
            Self::View(args) => view::run(*args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
