//! The kernel sources, embedded in the program, and the list of what it launches from them.
//!
//! The list is `kernels/prebuilt.txt`. What it names is compiled in tests, and most of it is carried as PTX for machines without
//! NVRTC; a source that it does not name still works where NVRTC is present.

use super::{CudaError, KernelSource, Result};
use std::fmt::Write;
use std::sync::OnceLock;

/// Every file of `kernels/` but those of the emulation: path below that folder, and text. Sorted.
pub static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/kernel_files.rs"));

/// What the program launches, see the head of the file.
const LIST: &str = include_str!("../../../kernels/prebuilt.txt");

/// A line of `kernels/prebuilt.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What is compiled.
    pub source: KernelSource,
    /// Bytes of registers that any kernel of it may spill, stores and loads each.
    pub spill: u32,
    /// Whether `prebuilt.zip` carries it.
    pub carried: bool,
}

/// What `kernels/prebuilt.txt` names.
pub fn listed() -> &'static [Listed] {
    static PARSED: OnceLock<Vec<Listed>> = OnceLock::new();
    PARSED.get_or_init(|| parse(LIST).unwrap_or_else(|problem| panic!("kernels/prebuilt.txt: {problem}")))
}

/// A listed source that takes the compiler little time.
#[cfg(test)]
pub(crate) fn small() -> &'static KernelSource {
    let text = |entry: &&Listed| {
        if !entry.carried { usize::MAX } else { flatten(entry.source.file).map_or(usize::MAX, |text| text.len()) }
    };
    &listed().iter().min_by_key(text).expect("kernels/prebuilt.txt names something").source
}

/// The lines of a list: a label as [`KernelSource::label`] writes it, then ` | registers=N`, ` | spill<=N` and ` | not carried`
/// as needed.
fn parse(text: &'static str) -> std::result::Result<Vec<Listed>, String> {
    let mut list: Vec<Listed> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let entry = parse_line(line).map_err(|problem| format!("line {}: {problem}", number + 1))?;
        if list.iter().any(|l| l.source.label() == entry.source.label()) {
            return Err(format!("line {}: {} is there twice", number + 1, entry.source.label()));
        }
        list.push(entry);
    }
    Ok(list)
}

fn parse_line(line: &'static str) -> std::result::Result<Listed, String> {
    let mut parts = line.split('|').map(str::trim);
    let mut words = parts.next().unwrap_or("").split_whitespace();
    let mut entry = Listed { source: KernelSource::plain(words.next().ok_or("no file")?), spill: 0, carried: true };
    for word in words {
        let define = word.split_once('=').and_then(|(name, value)| Some((name, value.parse().ok()?)));
        entry.source.defines.push(define.ok_or_else(|| format!("expected NAME=NUMBER, found {word:?}"))?);
    }
    for part in parts {
        if let Some(number) = part.strip_prefix("registers=") {
            entry.source.registers = Some(number.parse().map_err(|_| format!("expected a number, found {part:?}"))?);
        } else if let Some(number) = part.strip_prefix("spill<=") {
            entry.spill = number.parse().map_err(|_| format!("expected a number, found {part:?}"))?;
        } else if part == "not carried" {
            entry.carried = false;
        } else {
            return Err(format!("expected registers=N, spill<=N or \"not carried\", found {part:?}"));
        }
    }
    Ok(entry)
}

/// One text of a file and all that it includes, each file once, as NVRTC takes it. `#line` directives keep the names and
/// lines of the files in the compiler's messages.
///
/// An include is followed even where a condition would skip it, so conditions belong into the included file.
///
/// # Errors
/// [`CudaError::Kernels`] if a file is not among [`FILES`].
pub fn flatten(file: &str) -> Result<String> {
    flatten_from(FILES, file)
}

fn flatten_from(files: &[(&str, &str)], file: &str) -> Result<String> {
    let mut text = String::new();
    append(files, file, &mut Vec::new(), &mut text)
        .map_err(|problem| CudaError::Kernels { label: file.to_owned(), problem })?;
    Ok(text)
}

fn append<'a>(
    files: &[(&'a str, &'a str)],
    file: &str,
    seen: &mut Vec<&'a str>,
    text: &mut String,
) -> std::result::Result<(), String> {
    let Some((path, content)) = files.iter().find(|(path, _)| *path == file) else {
        return Err(format!("there is no {file} among the embedded sources"));
    };
    if seen.contains(path) {
        return Ok(());
    }
    seen.push(path);
    let place = |text: &mut String, line: usize| writeln!(text, "#line {line} \"{path}\"").expect("a string grows");
    place(text, 1);
    for (index, line) in content.lines().enumerate() {
        let directive = line.trim_start();
        if let Some(name) = directive.strip_prefix("#include") {
            let name = name.trim().strip_prefix('"').and_then(|n| n.split('"').next());
            let Some(name) = name else {
                return Err(format!("{path}:{}: only files of kernels/ can be included", index + 1));
            };
            append(files, name, seen, text).map_err(|problem| format!("{path}:{}: {problem}", index + 1))?;
            place(text, index + 2);
        } else if directive.starts_with("#pragma once") {
            text.push('\n');
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
