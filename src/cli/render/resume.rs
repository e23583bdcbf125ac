//! What an earlier run left in the folder: which frames are finished, which are in the way, and which stay behind.

use super::files::{FrameFiles, is_numbered};
use super::record::{Entry, FrameRecord, FrameSettings, Journal};
use super::shots::Shot;
use crate::cli::hash;
use crate::cli::made::{difference, listed};
use anyhow::{Context, bail};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

/// A frame of the path of this run.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// [`Entry::camera`].
    pub camera: String,
    /// Its files.
    pub files: FrameFiles,
    /// Whether this run is to have it, or leaves it to others.
    pub here: bool,
}

/// What a run finds in its folder, and so where it begins.
#[derive(Debug)]
pub struct Resumed {
    /// For each frame, what is known of it if it is finished.
    pub finished: Vec<Option<Entry>>,
    /// For each frame, hashes by their names of files that it has besides and that are to be known further on.
    pub kept: Vec<BTreeMap<String, String>>,
    /// The record, to which new frames are added.
    pub journal: Journal,
    /// Warnings about what the folder holds.
    pub warnings: Vec<String>,
}

impl Wanted {
    /// The frame with its files.
    pub fn new(shot: &Shot, files: FrameFiles) -> Self {
        // Everything of a frame decides on its pixels: cameras, photograph, views that must not be sources.
        let cameras = format!("{:?}", shot.parts);
        Self { name: shot.name.clone(), camera: hash::bytes(cameras.as_bytes()), files, here: shot.wanted }
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
    let mut kept = Vec::with_capacity(wanted.len());
    for frame in wanted {
        let entry = record.frames.get(&frame.name).filter(|_| frame.here);
        let whole = |entry: &&Entry| !overwrite && is_finished(folder, entry, frame, &mut warnings);
        finished.push(entry.filter(whole).cloned());
        // The same pixels, of which other files were asked for.
        let same = entry.filter(|entry| entry.settings == now.id && entry.camera == frame.camera);
        let mut others = same.map(|entry| entry.files.clone()).unwrap_or_default();
        frame.files.names().for_each(|name| drop(others.remove(&name)));
        others.retain(|name, hash| !hash.is_empty() && folder.join(name).exists());
        kept.push(others);
    }
    warnings.extend(leftovers(folder, wanted, &kept, &finished, &record));
    Ok(Resumed { finished, kept, journal: record.begin(folder, now)?, warnings })
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
fn leftovers(
    folder: &Path,
    wanted: &[Wanted],
    kept: &[BTreeMap<String, String>],
    finished: &[Option<Entry>],
    record: &FrameRecord,
) -> Option<String> {
    let mut ours: HashSet<String> = wanted.iter().flat_map(|frame| frame.files.names()).collect();
    ours.extend(finished.iter().flatten().flat_map(|entry| entry.files.keys().cloned()));
    ours.extend(kept.iter().flat_map(|files| files.keys().cloned()));
    let elsewhere = wanted.iter().filter(|frame| !frame.here).filter_map(|frame| record.frames.get(&frame.name));
    ours.extend(elsewhere.flat_map(|entry| entry.files.keys().cloned()));
    let mut left: BTreeSet<String> = record.frames.values().flat_map(|entry| entry.files.keys().cloned()).collect();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    left.extend(entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_numbered(name)));
    left.retain(|file| !ours.contains(file) && folder.join(file).exists());
    let (first, last) = (left.first()?, left.last()?);
    let range = if first == last { first.clone() } else { format!("{first} to {last} ({} files)", left.len()) };
    Some(format!("{}: left as they are, since this run does not write them: {range}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::super::files::name_all;
    use super::super::files::tests::{depth_maps, frame};
    use super::super::format::FrameFormat;
    use super::super::maps::{DepthScale, MapKind};
    use super::super::picture::tests::picture;
    use super::*;
    use crate::cli::made::Made;
    use std::fs;

    fn settings(samples: u32) -> FrameSettings {
        let made = Made::default().with("samples", samples);
        FrameSettings { id: made.id().unwrap(), path: "spiral".into(), made }
    }

    fn wanted(folder: &Path, names: &[&str], depth: bool) -> Vec<Wanted> {
        wanted_with(folder, names, &depth_maps(depth))
    }

    fn wanted_with(folder: &Path, names: &[&str], maps: &[MapKind]) -> Vec<Wanted> {
        let files = name_all(folder, names.iter().copied(), FrameFormat::Png, maps).unwrap();
        let shot = |(i, name): (usize, &&str)| Shot {
            name: (*name).to_owned(),
            parts: vec![frame(name)],
            panorama: None,
            frame: i,
            chosen: true,
            wanted: true,
        };
        let shots = names.iter().enumerate().map(shot);
        shots.zip(files).map(|(shot, files)| Wanted::new(&shot, files)).collect()
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
        let scale = DepthScale { levels: 3.0, range: [1.0, 9.0] };
        for ((frame, finished), kept) in wanted.iter().zip(&resumed.finished).zip(resumed.kept) {
            if finished.is_none() && frame.here {
                let (name, camera) = (frame.name.clone(), frame.camera.clone());
                let entry = Entry { name, camera, settings: now.id.clone(), files: kept, ..Entry::default() };
                frame.files.write(&picture(0.5), scale, entry, &mut resumed.journal)?;
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

    /// Other files of the same frames: they are rendered again, and the files that were there are still theirs.
    #[test]
    fn other_files_of_the_same_frames_are_added() {
        let dir = tempfile::tempdir().unwrap();
        let (now, out) = (settings(3), dir.path());
        let (npy, exr) = ([MapKind::DepthNpy, MapKind::RangeNpy], [MapKind::DepthExr]);
        let of = |maps: &[MapKind]| wanted_with(out, &["a"], maps);
        assert_eq!(run(out, &now, &of(&npy), false).unwrap().0, ["a"]);
        assert_eq!(run(out, &now, &of(&exr), false).unwrap(), (vec!["a".into()], String::new()));
        for maps in [&npy[..], &exr, &[MapKind::DepthExr, MapKind::DepthNpy], &[]] {
            assert_eq!(run(out, &now, &of(maps), false).unwrap(), (vec![], String::new()), "{maps:?}");
        }
    }

    /// Parts of a path in one folder, one after the other, and then all of it.
    #[test]
    fn parts_of_a_path_are_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let (now, out) = (settings(3), dir.path());
        let all = wanted(out, &["a", "b", "c"], true);
        let part = |here: &[usize]| -> Vec<Wanted> {
            all.iter().enumerate().map(|(i, frame)| Wanted { here: here.contains(&i), ..frame.clone() }).collect()
        };
        assert_eq!(run(out, &now, &part(&[1, 2]), false).unwrap(), (vec!["b".into(), "c".into()], String::new()));
        assert_eq!(run(out, &now, &part(&[0]), false).unwrap(), (vec!["a".into()], String::new()));
        assert_eq!(run(out, &now, &all, false).unwrap(), (vec![], String::new()));
        // A part of another command's path is in the way.
        assert!(run(out, &settings(4), &part(&[0]), false).unwrap_err().to_string().contains("another command"));
    }
}
