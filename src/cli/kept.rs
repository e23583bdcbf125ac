//! The options that shape what a folder holds, kept in it: the same command goes on, another one says what differs.

use super::made::{difference, listed};
use anyhow::{Context, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Name of the file, in the folder of a run.
pub const FILE: &str = "options.json";

/// Longest file that is read: several times that of the longest command.
const MOST_BYTES: u64 = 1 << 20;

/// The options that `folder` keeps, if it keeps any.
///
/// # Errors
/// If there is a file that cannot be read or is none of these.
pub fn read<T: DeserializeOwned>(folder: &Path) -> anyhow::Result<Option<T>> {
    let path = folder.join(FILE);
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let bytes = scene::file::read_limited(&path, MOST_BYTES)?;
    let problem = || format!("{}: expected the options that made this folder", path.display());
    serde_json::from_slice(&bytes).map(Some).with_context(problem)
}

/// Writes the options that shape `folder`.
///
/// # Errors
/// If the file cannot be written.
pub fn write(folder: &Path, options: &impl Serialize) -> anyhow::Result<()> {
    Ok(scene::write::write_bytes(&folder.join(FILE), &text(options)?)?)
}

/// What [`write()`] writes.
///
/// # Errors
/// None in practice; that of the JSON library.
pub fn text(options: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(options)?;
    text.push(b'\n');
    Ok(text)
}

/// The command whose options `folder` keeps, by an option that no other command has; none if it keeps no options.
///
/// # Errors
/// If there is a file that cannot be read.
fn maker(folder: &Path) -> anyhow::Result<Option<&'static str>> {
    let path = folder.join(FILE);
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let options: Map<String, Value> =
        serde_json::from_slice(&scene::file::read_limited(&path, MOST_BYTES)?).unwrap_or_default();
    let known = [
        ("showcase", "shiftray synth"),
        ("stages", "shiftray reparam"),
        ("finetuned", "shiftray finetune"),
        ("from", "shiftray train"),
    ];
    let found = known.into_iter().find(|(option, _)| options.contains_key(*option));
    Ok(Some(found.map_or("another program", |(_, command)| command)))
}

/// Checks that `folder` keeps no options, or those of `command`, such as `shiftray train`.
///
/// # Errors
/// Says whose options there are.
pub fn expect_maker(folder: &Path, command: &str) -> anyhow::Result<()> {
    match maker(folder)? {
        Some(found) if found != command => bail!(
            "{}: expected a folder without {FILE}, or with that of {command}, found that of {found}; {HINT}",
            folder.display()
        ),
        _ => Ok(()),
    }
}

/// What helps where a folder holds something else.
pub const HINT: &str = "choose another folder";

/// Checks that `given` are the options in `kept`, of the same form.
///
/// # Errors
/// One line for each option that differs, with both values: expected is what is given, found what is kept.
pub fn expect_same(folder: &Path, kept: &impl Serialize, given: &impl Serialize) -> anyhow::Result<()> {
    compare(folder, &object(kept)?, &object(given)?, HINT)
}

/// As [`expect_same`], for a run that is gone on with; what is not given contradicts nothing.
///
/// # Errors
/// As [`expect_same`].
pub fn expect_no_other(folder: &Path, kept: &impl Serialize, given: &impl Serialize) -> anyhow::Result<()> {
    let mut given = object(given)?;
    given.retain(|_, value| !value.is_null());
    compare(folder, &object(kept)?, &given, "leave these options out, or begin another run in another folder")
}

/// Options by name, as a file has them.
fn object(options: &impl Serialize) -> anyhow::Result<Map<String, Value>> {
    Ok(serde_json::from_slice(&serde_json::to_vec(options)?)?)
}

fn compare(folder: &Path, kept: &Map<String, Value>, given: &Map<String, Value>, hint: &str) -> anyhow::Result<()> {
    let word = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    let differences: Vec<String> = given
        .iter()
        .filter_map(|(name, value)| {
            let before = kept.get(name).unwrap_or(&Value::Null);
            let option = format!("--{}", name.replace('_', "-"));
            (value != before).then(|| difference(&option, word(value), word(before)))
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    let (folder, list) = (folder.display(), listed(&differences));
    bail!("{folder}: made with other options; {hint}. What differs:{list}")
}

/// Those of `paths` that are not there: what a command makes, and can [`take_back`] if it fails before it has got anywhere.
pub fn absent<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<PathBuf> {
    let absent = |path: &&Path| !path.as_os_str().is_empty() && path.symlink_metadata().is_err();
    paths.into_iter().filter(absent).map(Path::to_owned).collect()
}

/// Removes files and folders, in this order; folders that hold anything stay.
pub fn take_back(paths: &[PathBuf]) {
    for path in paths {
        let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Options {
        seed: Option<u64>,
        depth_weight: Option<f32>,
        views: Option<Vec<u32>>,
    }

    #[test]
    fn only_what_was_not_there_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a/b");
        let folders = absent(out.ancestors());
        assert_eq!(folders, [out.clone(), dir.path().join("a")]);
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(out.join("mine"), "x").unwrap();
        let files = absent([out.join("mine"), out.join("new")].iter().map(PathBuf::as_path));
        std::fs::write(out.join("new"), "x").unwrap();
        take_back(&files);
        take_back(&folders);
        assert!(out.join("mine").exists() && !out.join("new").exists());
        std::fs::remove_file(out.join("mine")).unwrap();
        take_back(&folders);
        assert!(!dir.path().join("a").exists() && dir.path().exists());
    }

    #[test]
    fn options_of_other_commands_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        expect_maker(dir.path(), "shiftray train").unwrap();
        for (text, found) in [
            ("{\"showcase\": false}", "shiftray synth"),
            ("{\"stages\": \"ray\"}", "shiftray reparam"),
            ("{\"mine\": 1}", "another program"),
            ("mine", "another program"),
        ] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let message = expect_maker(dir.path(), "shiftray train").unwrap_err().to_string();
            assert!(message.contains(found) && message.contains(HINT), "{message}");
        }
        std::fs::write(dir.path().join(FILE), "{\"from\": null}").unwrap();
        expect_maker(dir.path(), "shiftray train").unwrap();
    }

    #[test]
    fn options_are_kept_and_contradictions_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read::<Options>(dir.path()).unwrap(), None);
        let kept = Options { seed: Some(7), depth_weight: Some(0.1), views: Some(vec![1, 3]) };
        write(dir.path(), &kept).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(Options { ..kept }));
        let kept = read::<Options>(dir.path()).unwrap().unwrap();
        expect_same(dir.path(), &kept, &kept).unwrap();
        for same in [Options::default(), Options { depth_weight: Some(0.1), ..Options::default() }] {
            expect_no_other(dir.path(), &kept, &same).unwrap();
            let message = expect_same(dir.path(), &kept, &same).unwrap_err().to_string();
            assert!(message.contains("--seed: expected none, found 7"), "{message}");
            assert!(message.contains(HINT), "{message}");
        }
        let other = Options { seed: Some(8), depth_weight: Some(0.1), views: Some(vec![1, 4]) };
        let message = expect_same(dir.path(), &kept, &other).unwrap_err().to_string();
        assert!(message.contains("--seed: expected 8, found 7"), "{message}");
        assert!(message.contains("--views: expected 1 4, found 1 3") && !message.contains("depth"), "{message}");
        std::fs::write(dir.path().join(FILE), "{\"seed\": -1}").unwrap();
        assert!(format!("{:#}", read::<Options>(dir.path()).unwrap_err()).contains(FILE));
    }
}
