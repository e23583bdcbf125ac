//! What made the frames of a folder: a file beside them with one line of JSON for each frame, each set of settings and each
//! animation.
//!
//! A line is appended before the image that it describes takes its place, so that a run that is killed leaves no image
//! that nobody knows. Of several lines on a frame the last one counts; a last line that was cut off does not.

use crate::cli::compared::Quality;
use crate::cli::made::Made;
use crate::cli::{hash, own_files};
use anyhow::{Context, bail};
use scene::file::read_limited;
use scene::write::write_bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Name of the file.
pub const FILE: &str = own_files::FRAMES;
/// Name and version of its format.
const FORMAT: &str = "shiftray-frames/1";
/// Longest file that is read: several times that of the most frames that a path may have.
const MOST_BYTES: u64 = 1 << 28;

/// What is known of the frames in a folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameRecord {
    /// What the frames follow from, the newest last.
    pub settings: Vec<FrameSettings>,
    /// The frames by name.
    pub frames: BTreeMap<String, Entry>,
    /// SHA-256 of the animations by their paths as they were given; empty for those that are about to be written.
    pub videos: BTreeMap<String, String>,
}

/// What frames follow from, but for their cameras.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameSettings {
    /// [`Made::id`].
    pub id: String,
    /// The camera path in words.
    pub path: String,
    /// The parts.
    pub made: Made,
}

/// A finished frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// [`FrameSettings::id`].
    pub settings: String,
    /// Hash of its camera and of what may be its sources.
    pub camera: String,
    /// SHA-256 of its files by their names in the folder; empty for those that are about to be written.
    pub files: BTreeMap<String, String>,
    /// Names of the source views, nearest first.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Against the photograph, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// A finished animation, or one that is about to be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Video {
    /// The model's path as it was given.
    file: String,
    /// Its SHA-256; empty before it is written.
    sha256: String,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Format(String),
    Settings(FrameSettings),
    Frame(Entry),
    Video(Video),
}

impl Line {
    fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl FrameRecord {
    /// Reads the record of a folder; an empty one where there is none.
    ///
    /// # Errors
    /// If the file cannot be read or is not of the expected format.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let mut record = Self::default();
        if !path.exists() {
            return Ok(record);
        }
        let bytes = read_limited(&path, MOST_BYTES)?;
        // The last line may have been cut off by the end of a run.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end);
        for (number, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate() {
            let number = number + 1;
            let line = serde_json::from_slice(line)
                .with_context(|| format!("{}: line {number} is not of the record of frames", path.display()))?;
            match line {
                Line::Format(found) if found != FORMAT => {
                    bail!("{}: expected the format {FORMAT:?}, found {found:?}", path.display())
                }
                Line::Format(_) => {}
                Line::Settings(settings) => {
                    record.settings.retain(|known| known.id != settings.id);
                    record.settings.push(settings);
                }
                Line::Frame(entry) => drop(record.frames.insert(entry.name.clone(), entry)),
                Line::Video(video) => drop(record.videos.insert(video.file, video.sha256)),
            }
        }
        Ok(record)
    }

    /// The settings that a frame was made with.
    pub fn settings_of(&self, entry: &Entry) -> Option<&FrameSettings> {
        self.settings.iter().find(|settings| settings.id == entry.settings)
    }

    /// Whether the frames of this record were made into the animation that is at `file`, or were about to be.
    pub fn is_own_video(&self, file: &Path) -> bool {
        let unfinished = self.videos.get(&file.display().to_string()).is_some_and(String::is_empty);
        unfinished || hash::file(file).is_ok_and(|found| self.videos.values().any(|known| *known == found))
    }

    /// The record for frames of `now` to be added; the file is written anew with the first of them.
    ///
    /// # Errors
    /// None in practice; that of the JSON library.
    pub fn begin(mut self, folder: &Path, now: &FrameSettings) -> anyhow::Result<Journal> {
        self.settings.retain(|settings| {
            settings.id != now.id && self.frames.values().any(|entry| entry.settings == settings.id)
        });
        self.settings.push(now.clone());
        let settings = self.settings.into_iter().map(Line::Settings);
        let frames = self.frames.into_values().map(Line::Frame);
        let mut bytes = Line::Format(FORMAT.into()).bytes()?;
        let videos = self.videos.into_iter().map(|(file, sha256)| Line::Video(Video { file, sha256 }));
        for line in settings.chain(frames).chain(videos) {
            bytes.extend(line.bytes()?);
        }
        Ok(Journal { path: folder.join(FILE), known: bytes, file: None })
    }
}

/// The record of a folder while frames are added.
#[derive(Debug)]
pub struct Journal {
    /// The file.
    pub path: PathBuf,
    /// What the file holds so far, to tell whether someone else has changed it.
    known: Vec<u8>,
    file: Option<File>,
}

impl Journal {
    /// Adds a frame, and sees to it that a crash does not lose it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, entry: &Entry) -> anyhow::Result<()> {
        self.append(&Line::Frame(entry.clone()))
    }

    /// Adds an animation with its hash, or with an empty one before it is written.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add_video(&mut self, file: &Path, sha256: &str) -> anyhow::Result<()> {
        self.append(&Line::Video(Video { file: file.display().to_string(), sha256: sha256.to_owned() }))
    }

    fn append(&mut self, line: &Line) -> anyhow::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                write_bytes(&self.path, &self.known)?;
                let file = OpenOptions::new().append(true).open(&self.path);
                self.file.insert(file.with_context(|| self.path.display().to_string())?)
            }
        };
        let bytes = line.bytes()?;
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        written.with_context(|| format!("{}: cannot be written to", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, settings: &str) -> Entry {
        Entry { name: name.into(), settings: settings.into(), ..Entry::default() }
    }

    #[test]
    fn what_is_added_is_read_and_half_a_line_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(FrameRecord::read(dir.path()).unwrap(), FrameRecord::default());
        let now = FrameSettings { id: "i".into(), path: "spiral".into(), made: Made::default().with("samples", 3) };
        let old = FrameSettings { id: "o".into(), ..now.clone() };
        let record = FrameRecord {
            settings: vec![old.clone(), now.clone()],
            frames: [("c".into(), entry("c", "o"))].into(),
            ..FrameRecord::default()
        };
        let mut journal = record.begin(dir.path(), &now).unwrap();
        journal.add(&entry("a", "i")).unwrap();
        journal.add(&entry("b", "i")).unwrap();
        let again = Entry { camera: "x".into(), ..entry("a", "i") };
        journal.add(&again).unwrap();
        journal.file.unwrap().write_all(b"{\"frame\":{\"name\":\"d\"").unwrap();
        let read = FrameRecord::read(dir.path()).unwrap();
        assert_eq!(read.settings, [old, now.clone()]);
        assert_eq!(read.frames.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(read.frames["a"], again);
        // FrameSettings without frames are forgotten, and the cut line is gone.
        let mut kept = read.clone();
        kept.frames.remove("c");
        kept.begin(dir.path(), &now).unwrap().add(&again).unwrap();
        let read = FrameRecord::read(dir.path()).unwrap();
        assert_eq!((read.settings.len(), read.frames.len()), (1, 2));
        assert_eq!(read.settings_of(&read.frames["a"]), Some(&now));
    }

    #[test]
    fn animations_are_known_by_their_content() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("a.gif"), dir.path().join("b.gif"));
        std::fs::write(&file, b"moving").unwrap();
        let now = FrameSettings { id: "i".into(), path: "spiral".into(), made: Made::default() };
        let mut journal = FrameRecord::default().begin(dir.path(), &now).unwrap();
        journal.add(&entry("a", "i")).unwrap();
        journal.add_video(&file, "").unwrap();
        // A run that was killed may have written it.
        assert!(FrameRecord::read(dir.path()).unwrap().is_own_video(&file));
        journal.add_video(&file, &hash::file(&file).unwrap()).unwrap();
        let record = FrameRecord::read(dir.path()).unwrap();
        assert!(record.is_own_video(&file) && !record.is_own_video(&other));
        record.begin(dir.path(), &now).unwrap().add(&entry("b", "i")).unwrap();
        let record = FrameRecord::read(dir.path()).unwrap();
        assert!(record.is_own_video(&file) && record.frames.len() == 2);
        std::fs::write(&file, b"somebody else's").unwrap();
        assert!(!record.is_own_video(&file));
    }

    #[test]
    fn other_files_are_told() {
        let dir = tempfile::tempdir().unwrap();
        for (bytes, wanted) in [
            (&b"{\"format\":\"other/7\"}\n"[..], "other/7"),
            (b"{\"format\":\"shiftray-frames/1\"}\nnothing\n", "line 2"),
        ] {
            std::fs::write(dir.path().join(FILE), bytes).unwrap();
            let message = format!("{:#}", FrameRecord::read(dir.path()).unwrap_err());
            assert!(message.contains(FILE) && message.contains(wanted), "{message}");
        }
    }
}
