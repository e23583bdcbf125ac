//! Arguments that several subcommands have, and errors in their use.

use super::Cli;
use clap::CommandFactory;
use clap::error::ErrorKind;

/// An error in how `subcommand` is used; `main` shows it like the parser's own.
pub fn error(subcommand: &str, kind: ErrorKind, message: &str) -> anyhow::Error {
    let mut command = Cli::command();
    command.build();
    match command.find_subcommand_mut(subcommand) {
        Some(command) => command.error(kind, message).into(),
        None => command.error(kind, message).into(),
    }
}

/// The error for a missing `--out`, which is `what`.
pub fn missing_out(subcommand: &str, what: &str) -> anyhow::Error {
    let message = format!("expected --out DIR, {what}, such as `-o {subcommand}ed`, found none");
    error(subcommand, ErrorKind::MissingRequiredArgument, &message)
}

/// The scene that is given in first place or with `--scene`.
///
/// # Errors
/// If both are given and differ, or none is.
pub fn one_scene<'a>(subcommand: &str, place: Option<&'a str>, option: Option<&'a str>) -> anyhow::Result<&'a str> {
    let (place, option) = (place.as_slice(), option.as_slice());
    let scenes = scenes(subcommand, place, option)?;
    let missing = || error(subcommand, ErrorKind::MissingRequiredArgument, "expected a scene, found none");
    scenes.first().copied().ok_or_else(missing)
}

/// The scenes that are given in first place or with `--scene`.
///
/// # Errors
/// If both are given and differ.
pub fn scenes<'a, T: AsRef<str>>(subcommand: &str, place: &'a [T], option: &'a [T]) -> anyhow::Result<&'a [T]> {
    let same = place.iter().map(AsRef::as_ref).eq(option.iter().map(AsRef::as_ref));
    if !place.is_empty() && !option.is_empty() && !same {
        let [place, option] =
            [place, option].map(|list| list.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(" "));
        let message =
            format!("the scene is given twice: expected the same one, found {place:?} and --scene {option:?}");
        return Err(error(subcommand, ErrorKind::ArgumentConflict, &message));
    }
    Ok(if place.is_empty() { option } else { place })
}

/// A reduction of photographs, as 8 or 1/8.
///
/// # Errors
/// What was expected, if it is anything else.
pub fn parse_scale(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix("1/").unwrap_or(text).parse().ok();
    number.filter(|n| (1..=1024).contains(n)).ok_or_else(|| "expected N or 1/N with N from 1 to 1024".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_parsed() {
        assert_eq!((parse_scale("8"), parse_scale("1/4")), (Ok(8), Ok(4)));
        for bad in ["", "0", "1/0", "2/8", "1/", "-4", "0.5", "1025"] {
            assert!(parse_scale(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_scene_is_given_once() {
        assert_eq!(one_scene("render", Some("a"), None).unwrap(), "a");
        assert_eq!(one_scene("render", Some("a"), Some("a")).unwrap(), "a");
        assert!(one_scene("render", Some("a"), Some("b")).unwrap_err().to_string().contains("twice"));
        assert!(one_scene("render", None, None).is_err());
        assert_eq!(scenes("eval", &["a", "b"], &[]).unwrap(), ["a", "b"]);
    }

    #[test]
    fn the_parser_is_sound() {
        Cli::command().debug_assert();
    }
}
