//! Scenes in zip files: unpacked once into the user's cache, since loaders read folders.

use crate::demo::cache;
use crate::file::open_regular;
use crate::formats::is_scene;
use crate::{Error, Result, picture};
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Most entries of an archive.
const MAX_ENTRIES: u64 = 200_000;
/// Bytes that an archive may hold in any case, and how many times its own size: photographs hardly shrink, tables of poses
/// do by ten times.
const FREE_BYTES: u64 = 64 << 20;
const MAX_GROWTH: u64 = 20;
/// How deep in an archive a scene's folder may lie.
const DEPTH: usize = 4;
/// Extensions of files that tell poses.
const TABLES: [&str; 6] = ["json", "bin", "txt", "npy", "csv", "xml"];

/// Whether a path has the extension of a zip file.
pub(crate) fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip")) && path.is_file()
}

/// The folder of the scene in a zip file, unpacked if it was not yet. Only pictures and files of poses are.
///
/// # Errors
/// [`Error::Io`] if a file cannot be read or written; [`Error::Format`] for what is no zip file, is damaged, would fill the
/// disk, or holds no scene or several.
pub(crate) fn folder(path: &Path) -> Result<PathBuf> {
    let root = unpack_below(path, &cache().join("shiftray")).or_else(|error| match error {
        // A cache that cannot be written is no reason to go without.
        Error::Io { path: at, .. } if at != path => unpack_below(path, &std::env::temp_dir().join("shiftray")),
        other => Err(other),
    })?;
    only_scene(&root).map_err(|problem| bad(path, problem))
}

/// The one scene below a folder.
fn only_scene(root: &Path) -> std::result::Result<PathBuf, String> {
    let mut scenes = Vec::new();
    find_scenes(root, DEPTH, &mut scenes);
    match &scenes[..] {
        [] => Err("expected a zip file of a scene (photographs and poses), found no scene in it".into()),
        [one] => Ok(one.clone()),
        [first, second, ..] => {
            let [first, second] = [first, second].map(|path| path.strip_prefix(root).unwrap_or(path).display());
            let count = scenes.len();
            Err(format!(
                "expected one scene in it, found {count}, such as {first} and {second}: unpack it and name one"
            ))
        }
    }
}

fn bad(path: &Path, problem: impl Into<String>) -> Error {
    Error::Format { path: path.to_owned(), problem: problem.into() }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// Adds the uppermost folders that hold a scene to `found`, in order of names.
fn find_scenes(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if is_scene(folder) {
        return found.push(folder.to_owned());
    }
    if depth == 0 {
        return;
    }
    let mut below: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    below.retain(|path| path.is_dir());
    below.sort();
    below.iter().for_each(|path| find_scenes(path, depth - 1, found));
}

/// Unpacks into a folder below `parent` that is named after the archive's content and holds a folder of the archive's name;
/// one that is there is used as it is.
fn unpack_below(path: &Path, parent: &Path) -> Result<PathBuf> {
    let mut file = open_regular(path)?;
    let (hash, length) = hash(path, &mut file)?;
    let name = path.file_stem().map_or_else(|| "scene".into(), |stem| stem.to_owned());
    let whole = parent.join(format!("zip-{hash:016x}"));
    if whole.join(&name).is_dir() {
        return Ok(whole.join(name));
    }
    let new = parent.join(format!(".zip.{hash:016x}.{}", std::process::id()));
    let to = new.join(&name);
    fs::create_dir_all(&to).map_err(io(&to))?;
    let unpacked = unpack(path, file, length, &to).and_then(|()| {
        // Another process may have been as quick.
        match fs::rename(&new, &whole) {
            Err(_) if whole.join(&name).is_dir() => Ok(()),
            renamed => renamed.map_err(io(&whole)),
        }
    });
    let _ = fs::remove_dir_all(&new);
    unpacked.map(|()| whole.join(name))
}

/// Hash and length of the whole file.
fn hash(path: &Path, file: &mut File) -> Result<(u64, u64)> {
    let (mut hasher, mut length, mut buffer) = (DefaultHasher::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer).map_err(io(path))?;
        if read == 0 {
            return Ok((hasher.finish(), length));
        }
        hasher.write(&buffer[..read]);
        length += read as u64;
    }
}

/// Unpacks pictures and files of poses.
fn unpack(path: &Path, mut file: File, length: u64, to: &Path) -> Result<()> {
    check_claim(&mut file, length).map_err(|problem| bad(path, problem))?;
    file.seek(SeekFrom::Start(0)).map_err(io(path))?;
    let no_zip = |e| bad(path, format!("expected a zip file, found: {e}"));
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(no_zip)?;
    let most = FREE_BYTES.max(MAX_GROWTH.saturating_mul(length));
    let mut left = most;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| bad(path, format!("entry {index}: {e}")))?;
        if entry.is_dir() || entry.is_symlink() {
            continue;
        }
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let shown: String = name.chars().take(80).collect();
        let Some(name) = entry.enclosed_name() else {
            return Err(bad(path, format!("expected names of files in it, found {shown:?}, which leads out of it")));
        };
        let extension = name.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        let hidden = name.components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            part.starts_with('.') || part == "__MACOSX"
        });
        if hidden || !(TABLES.contains(&extension.as_str()) || picture::is_read(&name) || picture::is_unread(&name)) {
            continue;
        }
        let target = to.join(&name);
        let above = target.parent().unwrap_or(to);
        fs::create_dir_all(above).map_err(io(above))?;
        let mut out = File::create(&target).map_err(io(&target))?;
        // One byte more than is allowed shows that there is more.
        let copied = std::io::copy(&mut entry.by_ref().take(left.saturating_add(1)), &mut out);
        let copied = copied.map_err(|e| bad(path, format!("{shown:?} in it: {e}")))?;
        let Some(rest) = left.checked_sub(copied) else {
            return Err(bad(path, format!("expected at most {most} bytes in a zip file of {length}, found more")));
        };
        left = rest;
    }
    Ok(())
}

/// Refuses end records that claim more entries than the file has room for, before a reader makes room for all of them. An
/// entry takes 46 bytes in the directory at least.
fn check_claim(file: &mut File, length: u64) -> std::result::Result<(), String> {
    const TAIL: u64 = 22 + 20 + 56 + u16::MAX as u64;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).map_err(|e| e.to_string())?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail).map_err(|e| e.to_string())?;
    let most = MAX_ENTRIES.min(length / 46);
    for record in tail.windows(40).filter(|window| window.starts_with(b"PK\x06\x06")) {
        let found = record[32..40].iter().rfold(0u64, |n, byte| n << 8 | u64::from(*byte));
        if found > most {
            return Err(format!("expected at most {most} entries in {length} bytes, found a claim of {found}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn archive(dir: &Path, entries: &[(&str, &[u8])]) -> PathBuf {
        let path = dir.join("scan.zip");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    #[test]
    fn a_scene_is_unpacked_once_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 5] = [
            ("a/b/transforms.json", b"{}"),
            ("a/b/images/0.png", b"x"),
            ("a/b/model.ply", b"x"),
            ("__MACOSX/a/b/transforms.json", b"x"),
            ("a/.hidden.json", b"x"),
        ];
        let path = archive(dir.path(), &files);
        let (root, parent) = (dir.path().join("cache"), dir.path().join("cache"));
        let unpacked = unpack_below(&path, &parent).unwrap();
        assert!(unpacked.starts_with(&root) && unpacked.ends_with("scan"));
        let scene = only_scene(&unpacked).unwrap();
        assert!(scene.ends_with("scan/a/b") && scene.join("images/0.png").is_file());
        assert!(!scene.join("model.ply").exists() && !unpacked.join("__MACOSX").exists());
        assert_eq!(unpack_below(&path, &parent).unwrap(), unpacked);
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 1);
    }

    #[test]
    fn of_several_scenes_none_is_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let problem = |files: &[(&str, &[u8])]| {
            let unpacked = unpack_below(&archive(dir.path(), files), &dir.path().join("cache")).unwrap();
            only_scene(&unpacked).unwrap_err()
        };
        let two = problem(&[("all/b/transforms.json", b"{}"), ("all/a/transforms.json", b"{}")]);
        assert!(two.contains("found 2, such as all/a and all/b") && two.contains("name one"), "{two}");
        assert!(problem(&[("notes.txt", b"none")]).contains("found no scene"));
    }

    #[test]
    fn hostile_archives_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("cache");
        let message = |path: &Path| unpack_below(path, &parent).unwrap_err().to_string();
        let path = archive(dir.path(), &[("../../out.json", b"{}")]);
        assert!(message(&path).contains("leads out of it"), "{}", message(&path));
        // A hundred megabytes of zeros in some hundred kilobytes.
        let path = archive(dir.path(), &[("a.json", &vec![0; 100 << 20])]);
        assert!(message(&path).contains("found more"), "{}", message(&path));
        let good = fs::read(archive(dir.path(), &[("transforms.json", b"{\"frames\": []}")])).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert!(message(&path).contains("scan.zip"));
        }
        // A 64-bit end record that claims more entries than there are bytes.
        let mut claim = good.clone();
        claim.extend(b"PK\x06\x06");
        claim.extend([0; 28]);
        claim.extend(u64::MAX.to_le_bytes());
        claim.extend([0; 60]);
        fs::write(&path, claim).unwrap();
        assert!(message(&path).contains("found a claim of"), "{}", message(&path));
        // Nothing is left of them.
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
    }
}
