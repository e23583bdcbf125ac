//! New views of a scene from a few posed photographs.

mod cli;

use clap::Parser;
use cli::output;
use std::process::ExitCode;

fn main() -> ExitCode {
    let run = match cli::Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(wrong) => Err(wrong.into()),
    };
    let Err(error) = run else { return ExitCode::SUCCESS };
    match error.downcast::<clap::Error>() {
        // Wrong usage, or the help that was asked for. Where nobody reads it, that is no error.
        Ok(wrong) => {
            let _ = wrong.print();
            ExitCode::from(u8::try_from(wrong.exit_code()).unwrap_or(1))
        }
        Err(error) => {
            output::note(&format!("error: {}", message(&error)));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes on one line; a cause that the text before it already tells is not told again.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
