//! Bounds of what is read; files that are written are whole, and leave nothing behind.

use super::*;

fn write(path: &Path, text: &str) -> Result<()> {
    replace(path, |out| out.write_all(text.as_bytes()).map_err(io(path)))
}

fn listing(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn what_is_read_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.txt");
    fs::write(&path, "12345").unwrap();
    assert_eq!(read_limited(&path, 5).unwrap(), b"12345");
    assert_eq!(read_text(&path, u64::MAX).unwrap(), "12345");
    let message = read_limited(&path, 4).unwrap_err().to_string();
    assert!(message.ends_with("a.txt: expected at most 4 bytes, found 5"), "{message}");
    fs::write(&path, b"12\xff").unwrap();
    assert!(read_text(&path, 9).unwrap_err().to_string().contains("text"));
    // A sparse file of a terabyte costs nothing.
    File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(read_limited(&path, 1 << 20).unwrap_err().to_string().contains("at most 1048576 bytes"));
    assert!(matches!(read_limited(&dir.path().join("none"), 9), Err(Error::Io { .. })));
}

#[test]
fn only_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let message = read_limited(dir.path(), 9).unwrap_err().to_string();
    assert!(message.ends_with("expected a file, found a folder"), "{message}");
}

#[cfg(unix)]
#[test]
fn devices_and_pipes_are_neither_read_nor_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&pipe, Path::new("/dev/zero")] {
        let message = read_limited(path, 9).unwrap_err().to_string();
        assert!(message.contains("expected a file, found a pipe, socket or device"), "{message}");
        let message = write(path, "new").unwrap_err().to_string();
        assert!(message.contains("expected a regular file to write"), "{message}");
    }
    assert_eq!(listing(dir.path()), ["pipe"]);
}

#[cfg(unix)]
#[test]
fn links_are_read_but_not_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert_eq!(read_limited(&link, 9).unwrap(), b"old");
    for _ in 0..2 {
        assert!(write(&link, "new").unwrap_err().to_string().contains("found a symbolic link"));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // Also where the link leads nowhere.
        let _ = fs::remove_file(&target);
    }
    assert_eq!(listing(dir.path()), ["link"]);
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.txt");
    for text in ["first", "second"] {
        write(&path, text).unwrap();
        assert_eq!(read_text(&path, 9).unwrap(), text);
    }
    let failed = replace(&path, |out| {
        out.write_all(b"third").map_err(io(&path))?;
        Err(Error::Scene("late".into()))
    });
    assert_eq!(failed.unwrap_err().to_string(), "late");
    assert_eq!((read_text(&path, 9).unwrap().as_str(), listing(dir.path())), ("second", vec!["a.txt".to_owned()]));
    assert!(write(dir.path(), "x").unwrap_err().to_string().contains("found a folder"));
    let long = "x".repeat(255);
    write(&dir.path().join(&long), "name").unwrap();
    assert_eq!(read_text(&dir.path().join(&long), 9).unwrap(), "name");
}

/// Leftovers are those that no process holds; what is being written, and what others have written, stays.
#[test]
fn leftovers_of_killed_processes_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mine = [".a.png.tmp", "a.12-3.tmp", ".a.12-3.tmpx", ".a.b-3.tmp", ".a.12-.tmp", ".hidden"];
    for name in mine {
        fs::write(dir.path().join(name), "mine").unwrap();
    }
    fs::create_dir(dir.path().join(".a.12-4.tmp")).unwrap();
    fs::write(dir.path().join(".a.png.12-3.tmp"), "left").unwrap();
    let path = dir.path().join("b.txt");
    let during = replace(&path, |out| {
        remove_leftovers(dir.path());
        assert_eq!(listing(dir.path()).len(), mine.len() + 2, "{:?}", listing(dir.path()));
        out.write_all(b"text").map_err(io(&path))
    });
    during.unwrap();
    let mut expected = mine.map(str::to_owned).to_vec();
    expected.extend([".a.12-4.tmp".to_owned(), "b.txt".to_owned()]);
    expected.sort();
    assert_eq!(listing(dir.path()), expected);
}
