//! The zip file that `torch.save` writes: all entries stored, under one root folder.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use zip::read::{Config, OwnedZipFileEntry, ZipIterable};
use zip::{CompressionMethod, ZipReadOptions};

/// Most entries; a network of 64 blocks with its optimizer state has a tenth of it.
const MAX_ENTRIES: usize = 1 << 16;

/// An opened container; names of entries are relative to its root folder.
pub(super) struct Container<R> {
    reader: R,
    entries: BTreeMap<String, OwnedZipFileEntry>,
}

impl<R: Read + Seek> Container<R> {
    /// Reads the directory of a zip file of `len` bytes.
    pub fn open(mut reader: R, len: u64) -> Result<Self, String> {
        let mut archive = ZipIterable::try_new(&mut reader, Config::default()).map_err(|e| format!("zip: {e}"))?;
        if archive.len() > MAX_ENTRIES {
            return Err(format!("zip: expected at most {MAX_ENTRIES} entries, found {}", archive.len()));
        }
        let mut all = BTreeMap::new();
        let mut claimed = 0u64;
        for entry in archive.files().map_err(|e| format!("zip: {e}"))? {
            let entry = entry.map_err(|e| format!("zip directory: {e}"))?;
            let name = std::str::from_utf8(entry.name_raw());
            let name =
                name.map_err(|_| format!("zip: expected names in UTF-8, found {:?}", entry.name_raw()))?.to_owned();
            if entry.compression() != CompressionMethod::Stored || entry.size() != entry.compressed_size() {
                let found = entry.compression();
                return Err(format!("{name:?}: expected an uncompressed entry as torch.save writes it, found {found}"));
            }
            // Entries that overlap, or claim more than there is, could make reading take for ever.
            claimed = claimed.saturating_add(entry.size());
            if claimed > len {
                return Err(format!(
                    "{name:?}: expected entries within the file's {len} bytes, found a claim of {claimed}"
                ));
            }
            if all.insert(name.clone(), OwnedZipFileEntry::from(entry)).is_some() {
                return Err(format!("{name:?}: expected one such entry, found two"));
            }
        }

        let root = find_root(all.keys())?;
        let strip = |(name, entry): (String, _)| Some((name.strip_prefix(root.as_str())?.to_owned(), entry));
        let entries = all.into_iter().filter_map(strip).collect();
        Ok(Self { reader, entries })
    }

    /// Whether there is an entry `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The bytes of the entry `name`, which must not be longer than `limit`.
    pub fn read(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, String> {
        let entry = self.entries.get(name).ok_or_else(|| format!("{name:?}: found no such entry"))?;
        let size = entry.size();
        if size > limit {
            return Err(format!("{name:?}: expected at most {limit} bytes, found {size}"));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        // Reading to the end also checks the sum of the entry.
        let mut file = entry
            .as_ref()
            .with_reader(&mut self.reader, ZipReadOptions::new())
            .map_err(|e| format!("{name:?}: {e}"))?;
        file.read_to_end(&mut bytes).map_err(|e| format!("{name:?}: {e}"))?;
        if bytes.len() as u64 != size {
            return Err(format!("{name:?}: expected {size} bytes, found {}", bytes.len()));
        }
        Ok(bytes)
    }
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
