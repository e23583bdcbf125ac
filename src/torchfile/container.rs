//! The zip file that `torch.save` writes: all entries stored, under one root folder.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

/// Most entries; a network of 64 blocks with its optimizer state has a tenth of it.
const MAX_ENTRIES: u64 = 1 << 16;

/// An opened container; names of entries are relative to its root folder.
pub(crate) struct Container<R> {
    archive: ZipArchive<R>,
    /// Index in the archive and size in bytes, by name.
    entries: BTreeMap<String, (usize, u64)>,
}

impl<R: Read + Seek> Container<R> {
    /// Reads the directory of a zip file of `len` bytes.
    pub fn open(mut reader: R, len: u64) -> Result<Self, String> {
        bound_entries(&mut reader, len)?;
        let from_start = Config { archive_offset: ArchiveOffset::Known(0) };
        let archive = ZipArchive::with_config(from_start, reader).map_err(|e| format!("zip: {e}"))?;
        if archive.has_duplicate_names() {
            return Err("zip: expected entries with different names, found one twice".into());
        }
        let mut all = BTreeMap::new();
        let mut claimed = 0u64;
        for index in 0..archive.len() {
            let entry = archive.by_index_data(index).map_err(|e| format!("zip directory: {e}"))?;
            let name = std::str::from_utf8(entry.name_raw()).map_err(|e| format!("zip: name of an entry: {e}"))?;
            if entry.compression() != CompressionMethod::Stored || entry.size() != entry.compressed_size() {
                let (method, size, packed) = (entry.compression(), entry.size(), entry.compressed_size());
                return Err(format!(
                    "{name:?}: expected an uncompressed entry as torch.save writes it, found {method:?} with {size} bytes in {packed}"
                ));
            }
            // Entries that overlap, or claim more than there is, could make reading take for ever.
            claimed = claimed.saturating_add(entry.size());
            if claimed > len {
                return Err(format!(
                    "{name:?}: expected entries within the file's {len} bytes, found a claim of {claimed}"
                ));
            }
            all.insert(name.to_owned(), (index, entry.size()));
        }

        let root = find_root(all.keys())?;
        let strip = |(name, entry): (String, _)| Some((name.strip_prefix(root.as_str())?.to_owned(), entry));
        let entries = all.into_iter().filter_map(strip).collect();
        Ok(Self { archive, entries })
    }

    /// Whether there is an entry `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The bytes of the entry `name`, which must not be longer than `limit`.
    pub fn read(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, String> {
        let &(index, size) = self.entries.get(name).ok_or_else(|| format!("{name:?}: found no such entry"))?;
        if size > limit {
            return Err(format!("{name:?}: expected at most {limit} bytes, found {size}"));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        // Reading to the end also checks the sum of the entry.
        let mut file = self.archive.by_index(index).map_err(|e| format!("{name:?}: {e}"))?;
        file.read_to_end(&mut bytes).map_err(|e| format!("{name:?}: {e}"))?;
        if bytes.len() as u64 != size {
            return Err(format!("{name:?}: expected {size} bytes, found {}", bytes.len()));
        }
        Ok(bytes)
    }
}

/// Refuses a 64-bit end record that is out of place or claims too many entries: the zip crate makes room for all that it
/// claims, up to one per byte of the file. The 16-bit count of the ordinary end record needs no bound.
fn bound_entries<R: Read + Seek>(reader: &mut R, len: u64) -> Result<(), String> {
    const END: usize = 22;
    const LOCATOR: usize = 20;
    const END64: usize = 56;
    let tail_start = len.saturating_sub((END64 + LOCATOR + END + usize::from(u16::MAX)) as u64);
    let mut tail = Vec::new();
    let mut read = || {
        reader.seek(SeekFrom::Start(tail_start))?;
        reader.take(len - tail_start).read_to_end(&mut tail)
    };
    read().map_err(|e| e.to_string())?;
    let number = |at: usize| tail.get(at..at + 8).map(|b| b.iter().rfold(0u64, |n, &b| n << 8 | u64::from(b)));
    // Every place that could be taken for the end: a comment may hold further ones.
    for end in tail.windows(4).enumerate().filter(|(_, w)| w == b"PK\x05\x06").map(|(i, _)| i) {
        let Some(locator) = end.checked_sub(LOCATOR).filter(|&at| tail[at..].starts_with(b"PK\x06\x07")) else {
            continue;
        };
        let record = locator.checked_sub(END64).filter(|&at| tail[at..].starts_with(b"PK\x06\x06"));
        let record = record.filter(|&at| number(locator + 8) == Some(tail_start + at as u64));
        let found = record.and_then(|at| number(at + 32));
        let found = found.ok_or("zip: expected the 64-bit end record at the end, where torch.save writes it")?;
        if found > MAX_ENTRIES {
            return Err(format!("zip: expected at most {MAX_ENTRIES} entries, found a claim of {found}"));
        }
    }
    Ok(())
}

/// The root folder with its slash: `archive/` up to torch 1.10, later the stem of the file's name.
fn find_root<'a>(names: impl Iterator<Item = &'a String>) -> Result<String, String> {
    let roots: Vec<_> =
        names.filter_map(|name| name.strip_suffix("data.pkl")).filter(|root| root.ends_with('/')).collect();
    match roots[..] {
        [root] => Ok(root.to_owned()),
        [] => Err("expected a PyTorch checkpoint, found a zip without data.pkl".into()),
        [first, second, ..] => Err(format!("expected one data.pkl, found {first:?} and {second:?}")),
    }
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
