//! `shiftray man`: manual pages, made of the same text as the help.

use super::{Cli, output};
use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::path::PathBuf;

/// Print the manual page, or write those of all subcommands.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the pages of the program and of its subcommands, such as /usr/local/share/man/man1; created where it is
    /// missing
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the program's page, or writes all.
///
/// # Errors
/// If a file cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let pages = pages();
    let Some(folder) = args.out else { return output::line(pages[0].1.trim_end()) };
    std::fs::create_dir_all(&folder).with_context(|| format!("--out {}", folder.display()))?;
    for (name, page) in &pages {
        scene::write::write_bytes(&folder.join(name), page.as_bytes())?;
    }
    output::line(&format!("{} pages in {}", pages.len(), folder.display()))
}

/// File name and text of every page, the program's first.
fn pages() -> Vec<(String, String)> {
    // Pages of `help` would only say that there is help.
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    add(program, &mut pages);
    pages
}

/// Adds the page of a command and those of its subcommands.
fn add(command: Command, pages: &mut Vec<(String, String)>) {
    let subcommands: Vec<Command> = command.get_subcommands().cloned().collect();
    let man = Man::new(command).manual("Shiftray").source(concat!("shiftray ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    // Nothing fails in memory.
    let _ = man.render(&mut page);
    pages.push((man.get_filename(), String::from_utf8_lossy(&page).into_owned()));
    for subcommand in subcommands {
        add(subcommand, pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program's page names every subcommand, and each has a page with its options.
    #[test]
    fn nothing_is_left_out() {
        let pages = pages();
        let (name, program) = &pages[0];
        assert_eq!(name, "shiftray.1");
        for subcommand in Cli::command().get_subcommands() {
            let file = format!("shiftray-{}.1", subcommand.get_name());
            assert!(program.contains(&file[..file.len() - 2].replace('-', "\\-")), "{file}");
            let page = pages.iter().find(|(name, _)| *name == file).map(|(_, page)| page.as_str()).unwrap_or_default();
            for long in subcommand.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(page.contains(&long.replace('-', "\\-")), "{file}: --{long}");
            }
            assert!(page.contains("Examples:"), "{file}");
        }
        let classifier = pages.iter().find(|(name, _)| name == "shiftray-train-classifier.1");
        assert!(classifier.is_some_and(|(_, page)| page.contains("mixup")));
        assert!(pages.iter().all(|(_, page)| page.starts_with(".ie") || page.contains(".TH")));
    }
}
