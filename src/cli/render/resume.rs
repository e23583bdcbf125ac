//! What an earlier run left in the folder: which frames are finished, which are in the way, and which stay behind.

use super::files::FrameFiles;
use super::record::{Entry, FrameRecord, FrameSettings, Journal};
use crate::cli::hash;
use crate::cli::made::{difference, listed};
use anyhow::{Context, bail};
use scene::Frame;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// A frame that this run is to have.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// [`Entry::camera`].
    pub camera: String,
    /// Its files.
    pub files: FrameFiles,
}

/// What a run finds in its folder, and so where it begins.
#[derive(Debug)]
pub struct Resumed {
    /// For each frame, what is known of it if it is finished.
    pub finished: Vec<Option<Entry>>,
    /// The record, to which new frames are added.
    pub journal: Journal,
    /// Warnings about what the folder holds.
    pub warnings: Vec<String>,
}

impl Wanted {
    /// The frame with its files.
    pub fn new(frame: &Frame, files: FrameFiles) -> Self {
        // Everything of a frame decides on its pixels: camera, photograph, views that must not be sources.
        Self { name: frame.name.clone(), camera: hash::bytes(format!("{frame:?}").as_bytes()), files }
    }
}

/// Finds what is finished in `folder` of the frames that `now` makes. With `overwrite` nothing is, and nothing is in the way.
///
/// # Errors
/// If files in the folder are in the way: of another command, where what differs is listed, or of unknown origin.
pub fn resume(folder: &Path, now: &FrameSettings, wanted: &[Wanted], overwrite: bool) -> anyhow::Result<Resumed> {
    let record = match FrameRecord::read(folder) {
        Err(_) if overwrite => Ok(FrameRecord::default()),
        read => read.context("what made the frames cannot be told; choose another folder, or --overwrite"),
    };
    let mut record = record?;
    record.frames.retain(|_, entry| entry.files.keys().any(|file| folder.join(file).exists()));
    if !overwrite {
        expect_same_command(folder, now, wanted, &record)?;
    }
    let mut warnings = Vec::new();
    let mut finished = Vec::with_capacity(wanted.len());
    for frame in wanted {
        let entry = record.frames.get(&frame.name).filter(|_| !overwrite);
        finished.push(entry.filter(|entry| is_finished(folder, entry, frame, &mut warnings)).cloned());
    }
    warnings.extend(leftovers(folder, wanted, &finished, &record));
    Ok(Resumed { finished, journal: record.begin(folder, now)?, warnings })
}

fn expect_same_command(
    folder: &Path,
    now: &FrameSettings,
    wanted: &[Wanted],
    record: &FrameRecord,
) -> anyhow::Result<()> {
    const HINT: &str = "choose another folder, or --overwrite renders them again";
    // Nobody knows what made them; a photograph may be among them.
    let known = |frame: &Wanted, file: &str| record.frames.get(&frame.name).is_some_and(|e| e.files.contains_key(file));
    let unknown = |frame: &Wanted| frame.files.names().find(|file| !known(frame, file) && folder.join(file).exists());
    let unknown: Vec<String> = wanted.iter().filter_map(unknown).collect();
    if let Some(first) = unknown.first() {
        let path = folder.join(first);
        bail!("{}{}: exists already, and nothing says what made it; {HINT}", path.display(), and_more(unknown.len()));
    }
    let there: Vec<(&Wanted, &Entry)> =
        wanted.iter().filter_map(|frame| Some((frame, record.frames.get(&frame.name)?))).collect();
    let others = |(frame, entry): &&(&Wanted, &Entry)| entry.settings != now.id || entry.camera != frame.camera;
    let others: Vec<&(&Wanted, &Entry)> = there.iter().filter(others).collect();
    let (first, entry, number) = match (others.first(), record.frames.values().next()) {
        (Some((_, entry)), _) => (entry.files.keys().next(), *entry, others.len()),
        // Frames of other names only: another path.
        (None, Some(entry)) if there.is_empty() => (entry.files.keys().next(), entry, record.frames.len()),
        _ => return Ok(()),
    };
    let before = record.settings_of(entry).context("the record of frames: expected settings of every frame")?;
    let mut differences = now.made.differences(&before.made);
    let moved = there.is_empty() || others.iter().any(|(frame, entry)| entry.camera != frame.camera);
    if moved && now.path != before.path {
        differences.push(difference("path", &now.path, &before.path));
    } else if differences.is_empty() {
        differences.push(format!("path: expected the cameras of {}, found frames of other cameras", now.path));
    }
    let path = folder.join(first.map_or("", String::as_str));
    let (more, list) = (and_more(number), listed(&differences));
    bail!("{}{more}: made by another command; {HINT}. What differs:{list}", path.display())
}

fn and_more(count: usize) -> String {
    if count > 1 { format!(" and {} more", count - 1) } else { String::new() }
}

/// Whether all files of the frame are there as they were written.
fn is_finished(folder: &Path, entry: &Entry, frame: &Wanted, warnings: &mut Vec<String>) -> bool {
    frame.files.names().all(|file| {
        let path = folder.join(&file);
        let expected = entry.files.get(&file).filter(|hash| !hash.is_empty());
        let Some(expected) = expected.filter(|_| path.exists()) else { return false };
        let same = hash::file(&path).is_ok_and(|found| found == *expected);
        if !same {
            warnings.push(format!("{}: was changed after it was rendered: rendered again", path.display()));
        }
        same
    })
}

/// A warning on files of frames that this run does not write.
fn leftovers(folder: &Path, wanted: &[Wanted], finished: &[Option<Entry>], record: &FrameRecord) -> Option<String> {
    let mut ours: HashSet<String> = wanted.iter().flat_map(|frame| frame.files.names()).collect();
    ours.extend(finished.iter().flatten().flat_map(|entry| entry.files.keys().cloned()));
    let mut left: BTreeSet<String> = record.frames.values().flat_map(|entry| entry.files.keys().cloned()).collect();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    left.extend(entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_numbered(name)));
    left.retain(|file| !ours.contains(file) && folder.join(file).exists());
    let (first, last) = (left.first()?, left.last()?);
    let range = if first == last { first.clone() } else { format!("{first} to {last} ({} files)", left.len()) };
    Some(format!("{}: left as they are, since this run does not write them: {range}", folder.display()))
}

/// Whether a file is called as a numbered frame: `frame_0003.png`, `frame_0003_depth.npy`.
fn is_numbered(name: &str) -> bool {
    let stem = name.strip_suffix(".png").or(name.strip_suffix(".npy"));
    let stem = stem.map(|stem| stem.trim_end_matches("_depth").trim_end_matches("_range"));
    let number = stem.and_then(|stem| stem.strip_prefix("frame_"));
    number.is_some_and(|number| number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::super::files::name_all;
    use super::super::files::tests::{frame, rendered};
    use super::*;
    use crate::cli::made::Made;
    use std::fs;

    fn settings(samples: u32) -> FrameSettings {
        let made = Made::default().with("samples", samples);
        FrameSettings { id: made.id().unwrap(), path: "spiral".into(), made }
    }

    fn wanted(folder: &Path, names: &[&str], depth: bool) -> Vec<Wanted> {
        let frames: Vec<Frame> = names.iter().map(|name| frame(name)).collect();
        let files = name_all(folder, &frames, depth).unwrap();
        frames.iter().zip(files).map(|(frame, files)| Wanted::new(frame, files)).collect()
    }

    /// Renders what is missing; returns the names and the warnings.
    fn run(
        folder: &Path,
        now: &FrameSettings,
        wanted: &[Wanted],
        overwrite: bool,
    ) -> anyhow::Result<(Vec<String>, String)> {
        let mut resumed = resume(folder, now, wanted, overwrite)?;
        let mut made = Vec::new();
        for (frame, finished) in wanted.iter().zip(&resumed.finished) {
            if finished.is_none() {
                let (name, camera) = (frame.name.clone(), frame.camera.clone());
                let entry = Entry { name, camera, settings: now.id.clone(), ..Entry::default() };
                frame.files.write(&rendered(0.5), 3.0, entry, &mut resumed.journal)?;
                made.push(frame.name.clone());
            }
        }
        Ok((made, resumed.warnings.join("\n")))
    }

    #[test]
    fn the_same_command_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (now, out) = (settings(3), dir.path());
        let all = wanted(out, &["a", "b", "c"], true);
        assert_eq!(run(out, &now, &all, false).unwrap(), (vec!["a".into(), "b".into(), "c".into()], String::new()));
        assert_eq!(run(out, &now, &all, false).unwrap(), (vec![], String::new()));
        fs::remove_file(out.join("a_range.npy")).unwrap();
        fs::write(out.join("b.png"), &fs::read(out.join("b.png")).unwrap()[..30]).unwrap();
        let (made, warnings) = run(out, &now, &all, false).unwrap();
        assert_eq!(made, ["a", "b"]);
        assert!(warnings.contains("b.png") && warnings.contains("changed") && !warnings.contains("a."), "{warnings}");
        assert_eq!(run(out, &now, &all, true).unwrap().0.len(), 3);
        // Fewer frames are finished, too; the others are named.
        let (made, warnings) = run(out, &now, &all[..1], false).unwrap();
        assert!(made.is_empty() && warnings.contains("b.png to c_range.npy (8 files)"), "{warnings}");
        assert_eq!(run(out, &now, &all, false).unwrap(), (vec![], String::new()));
        // Without depth the frames are as finished, and their depth still belongs to them.
        let plain = wanted(out, &["a", "b", "c"], false);
        assert_eq!(run(out, &now, &plain, false).unwrap(), (vec![], String::new()));
        assert_eq!(run(out, &now, &all, false).unwrap(), (vec![], String::new()));
    }

    #[test]
    fn another_command_stops() {
        let dir = tempfile::tempdir().unwrap();
        let (now, other, out) = (settings(3), settings(4), dir.path());
        run(out, &now, &wanted(out, &["a", "b"], false), false).unwrap();
        let before = fs::read(out.join("a.png")).unwrap();
        let stops = |now: &FrameSettings, wanted: &[Wanted], parts: &[&str]| {
            let message = format!("{:#}", run(out, now, wanted, false).unwrap_err());
            assert!(parts.iter().all(|part| message.contains(part)) && message.contains("--overwrite"), "{message}");
        };
        stops(&other, &wanted(out, &["b", "c"], false), &["b.png", "samples: expected 4, found 3"]);
        // Only other names: another path.
        let orbit = FrameSettings { path: "orbit".into(), ..now.clone() };
        stops(&orbit, &wanted(out, &["x"], false), &["a.png and 1 more", "path: expected orbit, found spiral"]);
        // Other cameras under the same names.
        let mut moved = wanted(out, &["a", "b"], false);
        moved[1].camera = "elsewhere".into();
        stops(&now, &moved, &["b.png:", "cameras"]);
        assert_eq!(fs::read(out.join("a.png")).unwrap(), before);
        // With --overwrite frames are replaced, and those that are not are still known as what they are.
        let (made, warnings) = run(out, &other, &wanted(out, &["b", "c"], false), true).unwrap();
        assert!(made == ["b", "c"] && warnings.contains("them: a.png"), "{warnings}");
        stops(&other, &wanted(out, &["a"], false), &["a.png:", "samples"]);
        // Once the frames are gone, nothing is in the way.
        ["a.png", "b.png", "c.png"].iter().for_each(|name| fs::remove_file(out.join(name)).unwrap());
        assert_eq!(run(out, &now, &wanted(out, &["a"], false), false).unwrap().0, ["a"]);
    }

    #[test]
    fn files_of_unknown_origin_stop() {
        let dir = tempfile::tempdir().unwrap();
        let (now, out) = (settings(3), dir.path());
        fs::write(out.join("a.png"), b"mine").unwrap();
        let frames = wanted(out, &["a"], false);
        let message = run(out, &now, &frames, false).unwrap_err().to_string();
        assert!(message.contains("a.png: exists already") && message.contains("--overwrite"), "{message}");
        fs::write(out.join("frame_0003.png"), b"x").unwrap();
        let (_, warnings) = run(out, &now, &frames, true).unwrap();
        assert!(warnings.contains("frame_0003.png"), "{warnings}");
        // A damaged record is no licence, either.
        fs::write(out.join(super::super::record::FILE), b"nothing\n").unwrap();
        let message = format!("{:#}", run(out, &now, &frames, false).unwrap_err());
        assert!(message.contains("frames.jsonl") && message.contains("--overwrite"), "{message}");
        run(out, &now, &frames, true).unwrap();
        assert!(run(out, &now, &frames, false).unwrap().0.is_empty());
    }

    #[test]
    fn numbered_frames_are_known_by_their_names() {
        let known = [
            "frame_0003.png",
            "frame_12345.png",
            "frame_0003_depth.npy",
            "frame_0003_depth.png",
            "frame_0003_range.npy",
        ];
        assert!(known.iter().all(|name| is_numbered(name)));
        let others = ["frame_3.png", "frame_0003.txt", "frame_.png", "frame_000x.png", "a.png", "myframe_0003.png"];
        assert!(!others.iter().any(|name| is_numbered(name)));
    }
}
