//! The files that `torch.save` of PyTorch before 1.6 wrote: five pickles, then the values of the storages.
//!
//! The pickles are a magic number, the version of the format, the byte order of the machine, what was saved, and the keys
//! of the storages in the order in which their values follow: for each a 64-bit count of elements and the elements, both
//! little-endian. Nothing in the file tells where a storage starts, so all are walked over; only those asked for are read.

use crate::MAX_PICKLE_BYTES;
use crate::pickle::parse;
use crate::tensor::Element;
use crate::value::{Arena, Node, Value};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

/// The first pickle, which is the number 0x1950a86a20f9469cfc6c.
pub(crate) const MAGIC: [u8; 15] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The only version that there is.
const VERSION: i64 = 1001;

/// A file whose pickles have been read.
#[derive(Debug)]
pub(crate) struct Legacy<R> {
    reader: R,
    /// Where the values of a storage start, and their size in bytes, by key.
    places: BTreeMap<String, (u64, u64)>,
}

impl<R: Read + Seek> Legacy<R> {
    /// Reads the pickles of a file of `len` bytes and finds its storages; returns what was saved with them.
    pub fn open(mut reader: R, len: u64) -> Result<(Arena, Value, Self), String> {
        let mut head = Vec::new();
        reader.seek(SeekFrom::Start(0)).map_err(|e| e.to_string())?;
        reader.by_ref().take(MAX_PICKLE_BYTES).read_to_end(&mut head).map_err(|e| e.to_string())?;
        let mut at = MAGIC.len();
        let mut next = |what: &str| {
            let (arena, value, used) =
                parse(&head[at..]).map_err(|problem| format!("{what} from byte {at}, {problem}"))?;
            at += used;
            Ok::<_, String>((arena, value))
        };
        let (arena, version) = next("version")?;
        if version != Value::Int(VERSION) {
            return Err(format!("version: expected {VERSION}, found {}", arena.describe(version)));
        }
        let (arena, system) = next("system")?;
        expect_little_endian(&arena, system)?;
        let (arena, root) = next("pickle")?;
        let (keys_arena, keys) = next("keys of storages")?;
        let Some(Node::List(keys)) = keys_arena.node(keys) else {
            return Err(format!("keys of storages: expected a list, found {}", keys_arena.describe(keys)));
        };
        let start = at as u64;
        drop(head);

        let storages = storages(&arena)?;
        let mut legacy = Self { reader, places: BTreeMap::new() };
        let mut at = start;
        for &key in keys {
            let found = || format!("keys of storages: expected one of the pickle, found {}", keys_arena.describe(key));
            let key = keys_arena.text(key).ok_or_else(found)?;
            let &(element, count) = storages.get(key).ok_or_else(found)?;
            at = legacy.place(key, at, element, count, len)?;
        }
        if let Some(key) = storages.keys().find(|&&key| !legacy.places.contains_key(key)) {
            return Err(format!(
                "storage {key:?}: expected it among the keys of storages, found {} others",
                keys.len()
            ));
        }
        if at != len {
            return Err(format!("expected {at} bytes up to the end of the last storage, found {len}"));
        }
        drop(storages);
        Ok((arena, root, legacy))
    }

    /// Notes that the values of `key`, behind their count, are at `at`; returns where they end.
    fn place(&mut self, key: &str, at: u64, element: Element, count: usize, len: u64) -> Result<u64, String> {
        let start = at + 8;
        if start > len {
            return Err(format!("storage {key:?}: expected its length at byte {at}, found {len} bytes in the file"));
        }
        let mut bytes = [0; 8];
        let read = self.reader.seek(SeekFrom::Start(at)).and_then(|_| self.reader.read_exact(&mut bytes));
        read.map_err(|e| format!("storage {key:?}: {e}"))?;
        let found = i64::from_le_bytes(bytes);
        if u64::try_from(found) != Ok(count as u64) {
            return Err(format!("storage {key:?}: expected {count} elements at byte {at}, found {found}"));
        }
        let size = (count as u64).checked_mul(element.bytes() as u64);
        let Some((size, end)) = size.and_then(|size| Some((size, start.checked_add(size)?))).filter(|s| s.1 <= len)
        else {
            let left = len - start;
            return Err(format!("storage {key:?}: expected {count} elements of {element:?}, found {left} bytes"));
        };
        match self.places.insert(key.to_owned(), (start, size)) {
            None => Ok(end),
            Some(_) => Err(format!("storage {key:?}: expected its values once, found them twice")),
        }
    }

    /// The bytes of the storage `key`.
    pub fn read(&mut self, key: &str) -> Result<Vec<u8>, String> {
        let &(start, size) = self.places.get(key).ok_or_else(|| format!("storage {key:?}: found no such storage"))?;
        let mut bytes = vec![0; size as usize];
        let read = self.reader.seek(SeekFrom::Start(start)).and_then(|_| self.reader.read_exact(&mut bytes));
        read.map_err(|e| format!("storage {key:?}: {e}"))?;
        Ok(bytes)
    }
}

/// The machine that wrote the file must have kept numbers as this format is read.
fn expect_little_endian(arena: &Arena, system: Value) -> Result<(), String> {
    let pairs = arena.dict(system);
    let pairs = pairs.ok_or_else(|| format!("system: expected a dict, found {}", arena.describe(system)))?;
    let order = pairs.iter().find(|(key, _)| arena.text(*key) == Some("little_endian"));
    match order {
        Some((_, Value::Bool(true))) => Ok(()),
        Some(&(_, other)) => Err(format!("little_endian: expected true, found {}", arena.describe(other))),
        None => Err("system: expected little_endian, found no such key".into()),
    }
}

/// Type and number of elements of every storage, by key.
fn storages(arena: &Arena) -> Result<BTreeMap<&str, (Element, usize)>, String> {
    let mut storages = BTreeMap::new();
    for storage in arena.storages() {
        let wanted = (storage.element, storage.total);
        let known = *storages.entry(storage.key.as_str()).or_insert(wanted);
        if known != wanted {
            return Err(format!(
                "storage {:?}: expected one type and length, found {known:?} and {wanted:?}",
                storage.key
            ));
        }
    }
    Ok(storages)
}

#[cfg(test)]
#[path = "legacy_tests.rs"]
mod tests;
