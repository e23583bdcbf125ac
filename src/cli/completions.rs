//! `shiftray completions`: what a shell needs to complete commands and options.

use super::{Cli, output};
use anyhow::Context;
use clap::CommandFactory;
use clap_complete::{Generator, Shell};
use std::path::PathBuf;

/// The program's name.
const NAME: &str = "shiftray";

/// Print completions of commands and options for a shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
    /// Folder for a file under the name that the shell looks for, instead of printing; created where it is missing
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints or writes the completions.
///
/// # Errors
/// If the file cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let text = script(args.shell);
    let Some(folder) = args.out else { return output::line(text.trim_end()) };
    std::fs::create_dir_all(&folder).with_context(|| format!("--out {}", folder.display()))?;
    Ok(scene::write::write_bytes(&folder.join(args.shell.file_name(NAME)), text.as_bytes())?)
}

/// The completions for a shell.
fn script(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_knows_every_subcommand() {
        for shell in Shell::value_variants() {
            let text = script(*shell);
            for subcommand in Cli::command().get_subcommands() {
                assert!(text.contains(subcommand.get_name()), "{shell}: {}", subcommand.get_name());
            }
            assert!(text.contains("points-confidence"), "{shell}");
        }
    }
}
