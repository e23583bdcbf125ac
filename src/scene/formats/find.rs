//! Finding the pictures that a file of cameras names, also where the names were made on another system.

use crate::picture::{EXTENSIONS, with_extension};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

/// A file that was found, and what had to be done to its name.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::formats) struct Found {
    pub path: PathBuf,
    pub repair: Option<&'static str>,
}

/// Looks for files below one folder. The name as it is goes first, then the name with its extension added, then repairs.
pub(in crate::formats) struct Finder<'a> {
    root: &'a Path,
    /// Names in the folders that were searched without regard to letter case: in lower case, and as they are.
    names: RefCell<HashMap<PathBuf, Vec<(String, String)>>>,
}

impl<'a> Finder<'a> {
    pub fn new(root: &'a Path) -> Self {
        Self { root, names: RefCell::default() }
    }

    /// The path that a name means as it stands.
    pub fn literal(&self, name: &str) -> PathBuf {
        self.root.join(name.strip_prefix("./").unwrap_or(name))
    }

    /// The file that a name means; `None` if there is none, or two that differ by letter case only.
    pub fn find(&self, name: &str) -> Option<Found> {
        let slashes = name.replace('\\', "/");
        let spelled = percent_decoded(name);
        let both = percent_decoded(&slashes);
        let texts = [
            (name, None, "letter case"),
            (&slashes, Some("backslashes"), "backslashes and letter case"),
            (&spelled, Some("percent signs"), "percent signs and letter case"),
            (&both, Some("backslashes and percent signs"), "backslashes, percent signs and letter case"),
        ];
        let as_written = texts.iter().find_map(|(text, repair, _)| {
            let path = self.literal(text);
            let path = if path.is_file() { Some(path) } else { with_extension(&path) };
            path.map(|path| Found { path, repair: *repair })
        });
        as_written.or_else(|| {
            texts
                .iter()
                .find_map(|(text, _, repair)| self.ignoring_case(text).map(|path| Found { path, repair: Some(repair) }))
        })
    }

    /// The file of a name up to letter case, with an extension added if it has none that is there.
    fn ignoring_case(&self, name: &str) -> Option<PathBuf> {
        let parts: Vec<Component> = Path::new(name).components().collect();
        let (last, folders) = parts.split_last()?;
        let mut folder = self.root.to_owned();
        for part in folders {
            folder = match part {
                Component::Normal(part) if !folder.join(part).is_dir() => {
                    folder.join(self.entry(&folder, |name| *name == part.to_string_lossy().to_lowercase())?)
                }
                part => folder.join(part),
            };
        }
        let Component::Normal(last) = last else { return None };
        let last = last.to_string_lossy().to_lowercase();
        let with_extension = |name: &str| {
            let added = name.strip_prefix(&last).and_then(|rest| rest.strip_prefix('.'));
            added.is_some_and(|extension| EXTENSIONS.contains(&extension))
        };
        let name = self.entry(&folder, |name| *name == last).or_else(|| self.entry(&folder, with_extension))?;
        Some(folder.join(name)).filter(|path| path.is_file())
    }

    /// The only entry of a folder whose lower-case name is as asked for.
    fn entry(&self, folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut all = self.names.borrow_mut();
        let names = all.entry(folder.to_owned()).or_insert_with(|| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            names.map(|name| (name.to_lowercase(), name)).collect()
        });
        let mut wanted = names.iter().filter(|(lower, _)| is_wanted(lower));
        let (_, first) = wanted.next()?;
        wanted.next().is_none().then(|| first.clone())
    }
}

/// The text with `%20` and its kind replaced by the characters they stand for; as it is where that gives no text.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())).map(|d| u8::from_str_radix(d, 16)) {
            Some(Ok(byte)) => {
                out.push(byte);
                rest = &after[2..];
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::folder;

    #[test]
    fn names_of_other_systems_are_found() {
        let dir = folder(&["images/a.jpg", "my images/b c.png", "r_0.5.png", "Bilder/T\u{e4}ler.JPEG"]);
        let finder = Finder::new(dir.path());
        for (name, file, repair) in [
            ("images/a.jpg", "images/a.jpg", None),
            ("./images/a", "images/a.jpg", None),
            ("r_0.5", "r_0.5.png", None),
            (".\\images\\a.jpg", "./images/a.jpg", Some("backslashes")),
            ("my%20images/b%20c", "my images/b c.png", Some("percent signs")),
            ("my%20images\\b c.png", "my images/b c.png", Some("backslashes and percent signs")),
            ("Images/A.JPG", "images/a.jpg", Some("letter case")),
            ("IMAGES\\A", "images/a.jpg", Some("backslashes and letter case")),
            ("bilder/t%C3%A4ler", "Bilder/T\u{e4}ler.JPEG", Some("percent signs and letter case")),
        ] {
            let found = finder.find(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((found.path, found.repair), (dir.path().join(file), repair), "{name}");
        }
        for name in ["", ".", "..", "images", "images/b.jpg", "/a.jpg", "C:\\images\\a.jpg", "%zz", "images/a.jpg/b"] {
            assert_eq!(finder.find(name), None, "{name}");
        }
    }

    #[test]
    fn the_name_as_it_is_goes_first_and_two_are_none() {
        let dir = folder(&["a%20b.png", "a b.png", "x.JPG", "X.jpg"]);
        let finder = Finder::new(dir.path());
        assert_eq!(finder.find("a%20b.png").unwrap().path, dir.path().join("a%20b.png"));
        if !dir.path().join("x.jpg").exists() {
            assert_eq!(finder.find("x.jpg"), None);
        }
    }
}
