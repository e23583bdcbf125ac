//! Names of files and folders for things that have names of their own: no two things share a file.

use super::hash;
use std::collections::{HashMap, HashSet};

/// Longest name in bytes; endings are added to it, and file systems take 255.
const LONGEST: usize = 150;

/// One file name, without an ending, for each of `names`.
///
/// A name that every file system takes as it is stays as it is. Where characters must be replaced, and where another of the
/// names would be the same file to some file system (which differ in upper and lower case, or in how an accent is stored),
/// a short hash of the name is appended.
pub fn for_files<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let names: Vec<&str> = names.into_iter().collect();
    // With and without the hash, since a name may look like another one with its hash.
    let forms = |name: &str| {
        let plain = plain(name);
        let hashed = format!("{plain}-{}", &hash::bytes(name.as_bytes())[..8]);
        [plain, hashed]
    };
    let mut sharing: HashMap<String, HashSet<&str>> = HashMap::new();
    for name in &names {
        for form in forms(name) {
            sharing.entry(alike(&form)).or_default().insert(name);
        }
    }
    let unique = |name: &&str| -> String {
        let [plain, hashed] = forms(name);
        let alone = sharing.get(&alike(&plain)).is_none_or(|names| names.len() < 2);
        if alone && plain == *name { plain } else { hashed }
    };
    names.iter().map(unique).collect()
}

/// A name as one part of a path: characters that a path or some file system gives a meaning become `_`.
fn plain(name: &str) -> String {
    let safe = |c: char| if c.is_control() || r#"/\:*?"<>|"#.contains(c) { '_' } else { c };
    let mut plain: String = name.chars().map(safe).collect();
    if plain.len() > LONGEST {
        plain.truncate(plain.floor_char_boundary(LONGEST));
    }
    // A point in front hides a file; one at the end, or a space, is dropped by Windows.
    if plain.is_empty() || plain.starts_with('.') {
        plain.insert(0, '_');
    }
    if plain.ends_with(['.', ' ']) {
        plain.push('_');
    }
    plain
}

/// What names have in common that are one file to some file system, and sometimes others, too: without case, accents and
/// other characters beyond ASCII, and without the letters that combining accents stand behind.
fn alike(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if ('\u{300}'..='\u{36f}').contains(&c) {
            out.pop();
        } else if c.is_ascii() {
            out.push(c.to_ascii_lowercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_names_stay() {
        let names = ["000", "IMG_4026", "r_0.5", "gnt-shiftadd", "held-out", "a b (1)", "straße"];
        assert_eq!(for_files(names), names);
    }

    #[test]
    fn names_do_not_share_files() {
        let names = ["a/b", "a_b", "a:b", "A_b", "é", "e\u{301}", "ë", "x", "x.", "", ".", "..", "_"];
        let files = for_files(names);
        let folded: std::collections::HashSet<String> = files.iter().map(|file| alike(file)).collect();
        assert_eq!(folded.len(), names.len(), "{files:?}");
        assert_eq!(files[7], "x");
        for file in &files {
            assert!(!file.starts_with('.') && !file.contains(['/', '\\', ':']) && !file.ends_with('.'), "{file}");
        }
        // The same name is the same file, and the order of the others does not matter.
        assert_eq!(for_files(["a/b", "a/b"])[0], files[0]);
        assert_eq!(for_files(["A_b", "a_b"]), [files[3].clone(), files[1].clone()]);
        let long = "ä".repeat(200);
        assert!(for_files([long.as_str()])[0].len() < 200);
        // A name that looks like another one's with its hash.
        let trap = for_files(["a/b"]).remove(0);
        let both = for_files(["a/b", &trap]);
        assert_eq!(both[0], trap);
        assert_ne!(both[0], both[1]);
    }
}
