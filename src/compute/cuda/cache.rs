//! Compiled kernels on disk, so that a source is compiled once per card.
//!
//! Files lie in `$SHIFTRAY_CACHE`, or else in the folder `shiftray` of `$XDG_CACHE_HOME` or `~/.cache`. Any of them may
//! be deleted at any time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

/// A hash of parts, 32 hexadecimal digits, the same in every build: FNV-1a of 128 bits.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = 0x6c62272e07bb014262b821756295c58d_u128;
    let mut add = |byte: u8| hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000000001000000000000000000013b);
    for part in parts {
        // The length keeps ["ab", "c"] and ["a", "bc"] apart.
        (part.len() as u64).to_le_bytes().iter().chain(part).for_each(|byte| add(*byte));
    }
    format!("{hash:032x}")
}

/// A folder of files that are found by a key.
#[derive(Clone, Debug)]
pub struct Cache {
    /// None: nothing is kept.
    folder: Option<PathBuf>,
}

impl Cache {
    /// That of the user.
    pub fn of_user() -> Self {
        let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = || named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")));
        Self { folder: named("SHIFTRAY_CACHE").or_else(|| base().map(|base| base.join("shiftray"))) }
    }

    /// That of a folder, which is made when something is kept.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// What was kept under `key`; none if there is nothing, or it is damaged.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.folder.as_ref()?.join(key)).ok()?;
        let start = bytes.len().checked_sub(32)?;
        let sum = bytes.split_off(start);
        (fingerprint([&bytes[..]]).as_bytes() == sum).then_some(bytes)
    }

    /// Keeps `bytes` under `key`, if the folder can be written; else the next run does the work again.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Some(folder) = &self.folder else { return };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{key}.{}.{number}", process::id()));
        let sum = fingerprint([bytes]);
        // Renamed when it is whole: other processes may read at the same time.
        let kept = fs::create_dir_all(folder)
            .and_then(|()| fs::write(&temporary, [bytes, sum.as_bytes()].concat()))
            .and_then(|()| fs::rename(&temporary, folder.join(key)));
        if kept.is_err() {
            let _ = fs::remove_file(&temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_tell_parts_apart() {
        let all = [vec![&b""[..]], vec![b"ab", b"c"], vec![b"a", b"bc"], vec![b"abc"], vec![b"abc", b""], vec![]];
        let mut sums: Vec<String> = all.into_iter().map(fingerprint).collect();
        // FNV-1a of nothing is its offset basis.
        assert_eq!(sums[5], "6c62272e07bb014262b821756295c58d");
        sums.sort();
        sums.dedup();
        assert_eq!(sums.len(), 6);
    }

    #[test]
    fn keeps_what_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("a/b"));
        assert_eq!(cache.get("key"), None);
        for bytes in [&b""[..], b"x", &[7; 1000]] {
            cache.put("key", bytes);
            assert_eq!(cache.get("key").as_deref(), Some(bytes));
        }
        let path = folder.path().join("a/b/key");
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[500] ^= 1;
        for damaged in [&whole[..whole.len() - 1], &whole[1..], &whole[..31], b"", &flipped] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(cache.get("key"), None, "{} bytes", damaged.len());
        }
        cache.put("key", b"new");
        assert_eq!(cache.get("key").as_deref(), Some(&b"new"[..]));
        assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 1, "temporary files are left");
    }

    #[test]
    fn goes_on_where_nothing_can_be_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        for cache in [Cache::at(file.join("below")), Cache { folder: None }] {
            cache.put("key", b"x");
            assert_eq!(cache.get("key"), None);
        }
    }
}
