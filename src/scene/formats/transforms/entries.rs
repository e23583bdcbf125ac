//! The frames of a scene's files with their pictures, in the order of the views.

use super::file::{CameraFile, CameraFrame};
use super::{LoadOptions, Split, VAL_EVERY};
use crate::Result;
use crate::formats::find::Finder;
use crate::formats::{format_error, photographs_error, posed, split};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// How many missing files are named in a message.
const NAMED: usize = 3;

/// A frame with its picture and its part.
pub(super) struct Entry<'a> {
    pub file: &'a CameraFile,
    pub frame: &'a CameraFrame,
    pub path: PathBuf,
    pub mask: Option<PathBuf>,
    /// Whether there is a file at `path`.
    is_there: bool,
    pub is_source: bool,
    pub is_held_out: bool,
}

impl Entry<'_> {
    /// The frame for messages.
    pub fn what(&self) -> String {
        self.file.what(self.frame)
    }
}

/// The frames in the order of the views.
pub(super) struct Entries<'a> {
    finder: Finder<'a>,
    files: &'a [CameraFile],
    entries: Vec<Entry<'a>>,
    /// Names that were found only after a repair: which, in which frame, and the repair.
    repairs: Vec<(String, String, &'static str)>,
}

impl<'a> Entries<'a> {
    /// No frames yet of the files of a scene in the folder `root`.
    pub fn new(root: &'a Path, files: &'a [CameraFile]) -> Self {
        Self { finder: Finder::new(root), files, entries: Vec::new(), repairs: Vec::new() }
    }

    /// The frames whose pictures are there; says which names were repaired.
    ///
    /// # Errors
    /// [`Error::Photographs`](crate::Error::Photographs) if pictures are missing that are needed. `split` becomes none if it is held
    /// out by default only and pictures of it are missing.
    pub fn with_pictures(
        mut self,
        asked: Option<Split>,
        split: &mut Option<Split>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Entry<'a>>> {
        self.leave_out_missing(asked, split, warnings)?;
        self.say_repairs(warnings);
        Ok(self.entries)
    }

    /// Frames of one file in order of their images' paths.
    pub fn of_one_file(
        &mut self,
        file: &'a CameraFile,
        split: Option<Split>,
        hold_every: usize,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        self.add(file, file.frames.iter())?;
        self.entries.sort_by(|a, b| a.path.cmp(&b.path));
        if !file.has_lists() {
            let (sources, held_out) = split::by_position(self.entries.len(), hold_every);
            sources.into_iter().for_each(|i| self.entries[i].is_source = true);
            held_out.into_iter().for_each(|i| self.entries[i].is_held_out = true);
            return Ok(());
        }
        let ids: HashMap<&Path, usize> = self.entries.iter().map(|entry| entry.path.as_path()).zip(0..).collect();
        let listed = |key: &str, names: &[String]| {
            let id = |name: &String| {
                let path = self.finder.find(name).map_or_else(|| self.finder.literal(name), |found| found.path);
                ids.get(path.as_path()).copied().ok_or_else(|| {
                    format_error(&file.path, format!("{key}: expected the file_path of a frame, found {name:?}"))
                })
            };
            names.iter().map(id).collect::<Result<HashSet<usize>>>()
        };
        let (train, val) = (listed("train_filenames", &file.train)?, listed("val_filenames", &file.val)?);
        let test = listed("test_filenames", &file.test)?;
        for (i, entry) in self.entries.iter_mut().enumerate() {
            entry.is_source =
                if train.is_empty() { !val.contains(&i) && !test.contains(&i) } else { train.contains(&i) };
            entry.is_held_out = match split {
                Some(Split::Test) => test.contains(&i),
                Some(_) => val.contains(&i),
                None => false,
            };
        }
        if split.is_none() {
            warnings.push("no test_filenames or val_filenames: no view is held out".into());
        }
        Ok(())
    }

    /// Training frames, then held-out ones.
    pub fn of_split_files(
        &mut self,
        options: &LoadOptions,
        split: Option<Split>,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        for (i, file) in self.files.iter().enumerate() {
            let every = if i > 0 && options.split == Some(Split::Val) { VAL_EVERY } else { 1 };
            let first = self.entries.len();
            self.add(file, file.frames.iter().step_by(every))?;
            for entry in &mut self.entries[first..] {
                (entry.is_source, entry.is_held_out) = (i == 0, i > 0);
            }
        }
        match (split, options.split) {
            (None, _) => {
                warnings.push("no transforms_test.json or transforms_val.json: no view is held out".to_owned());
            }
            (Some(Split::Val), None) => {
                warnings.push("transforms_test.json is missing: the validation views are held out".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    /// Finds the pictures of frames of one file.
    fn add(&mut self, file: &'a CameraFile, frames: impl Iterator<Item = &'a CameraFrame>) -> Result<()> {
        let (mut first, mut missing_masks) = (HashMap::new(), Vec::new());
        for frame in frames {
            let found = self.find(file, frame, &frame.file_path);
            let mask = frame.mask_path.as_ref().map(|name| self.find(file, frame, name));
            if mask == Some(None) {
                missing_masks.push((frame, frame.mask_path.clone().unwrap_or_default()));
            }
            let is_there = found.is_some();
            let path = found.unwrap_or_else(|| self.finder.literal(&frame.file_path));
            if let Some(other) = first.insert(path.clone(), frame.index) {
                let problem = format!(
                    "frames {other} and {}: expected different images, found {} twice",
                    frame.index,
                    path.display()
                );
                return Err(format_error(&file.path, problem));
            }
            let mask = mask.flatten();
            self.entries.push(Entry { file, frame, path, mask, is_there, is_source: false, is_held_out: false });
        }
        if missing_masks.is_empty() {
            return Ok(());
        }
        let (count, names) = (missing_masks.len(), name_some(&missing_masks));
        Err(format_error(&file.path, format!("expected mask_path to be an image, found {count} missing: {names}")))
    }

    fn find(&mut self, file: &CameraFile, frame: &CameraFrame, name: &str) -> Option<PathBuf> {
        let found = self.finder.find(name)?;
        if let Some(repair) = found.repair {
            self.repairs.push((file.what(frame), name.to_owned(), repair));
        }
        Some(found.path)
    }

    /// Says once that names had to be repaired.
    fn say_repairs(&self, warnings: &mut Vec<String>) {
        let Some((what, name, repair)) = self.repairs.first() else { return };
        let count = self.repairs.len();
        warnings.push(format!("{what}: {name:?} is found only without regard to {repair}; {count} such names in all"));
    }

    /// Leaves frames without a picture out, if that is no error.
    fn leave_out_missing(
        &mut self,
        asked: Option<Split>,
        split: &mut Option<Split>,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        let missing: Vec<&Entry> = self.entries.iter().filter(|entry| !entry.is_there).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        if let Some(unread) = missing.iter().find_map(|entry| crate::picture::unread_sibling(&entry.path)) {
            return Err(crate::picture::unread(&unread));
        }
        let mut of_file: Vec<_> = missing.iter().map(|entry| (entry.frame, entry.frame.file_path.clone())).collect();
        of_file.sort_by_key(|(frame, _)| frame.index);
        let (count, all, names) = (missing.len(), self.entries.len(), name_some(&of_file));
        let problem = format!("expected the pictures of all frames, found {count} of {all} missing: {names}");
        let held_out = missing.iter().any(|entry| entry.is_held_out);
        if missing.iter().any(|entry| entry.is_source) || (held_out && asked.is_some()) {
            return Err(photographs_error(&first.file.path, problem));
        }
        let path = first.file.path.display();
        if held_out {
            *split = None;
            self.entries.iter_mut().for_each(|entry| entry.is_held_out = false);
            warnings.push(format!("{path}: {problem}; no view is held out therefore"));
        } else {
            warnings.push(format!("{path}: {problem}; these frames are left out"));
        }
        self.entries.retain(|entry| entry.is_there);
        Ok(())
    }
}

/// The first of some frames' files, for messages.
fn name_some(files: &[(&CameraFrame, String)]) -> String {
    let name = |(frame, name): &(&CameraFrame, String)| {
        if crate::picture::is_read(Path::new(name)) {
            format!("{name:?} of frame {}", frame.index)
        } else {
            format!("{:?} (or .jpg, ..) of frame {}", format!("{name}.png"), frame.index)
        }
    };
    let mut names: Vec<String> = files.iter().take(NAMED).map(name).collect();
    if files.len() > NAMED {
        names.push("..".into());
    }
    names.join(", ")
}

/// Names of the views: the stems, or where two of a file are the same, the whole paths with `_` between their parts.
pub(super) fn view_names(root: &Path, entries: &[Entry]) -> Vec<String> {
    let same_file = |a: &Entry, b: &Entry| std::ptr::eq(a.file, b.file);
    let mut names = Vec::with_capacity(entries.len());
    for part in entries.chunk_by(same_file) {
        names.extend(posed::view_names(root, &part.iter().map(|entry| entry.path.as_path()).collect::<Vec<_>>()));
    }
    names
}
