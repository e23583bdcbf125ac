//! Tar archives of a folder per class, plain or compressed by gzip or xz.

use super::folder::is_picture;
use super::{Bytes, Found, MOST_FILE_BYTES};
use crate::{Error, Result};
use std::io::{BufReader, Read, Seek};
use std::path::Path;

/// Memory that an xz stream may ask for, in KiB; `xz -9` needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 256 << 10;
/// Most bytes that an archive may hold.
const MOST_UNPACKED: u64 = 1 << 40;

/// Hands out every picture of the archive `path`.
pub(super) fn read(path: &Path, found: &mut dyn FnMut(Found) -> Result<()>) -> Result<()> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut file = scene::file::open_regular(path)?;
    let mut magic = [0; 6];
    let length = file.read(&mut magic).map_err(io)?;
    file.rewind().map_err(io)?;
    let file = BufReader::new(file);
    let stream: Box<dyn Read> = match &magic[..length] {
        [0x1F, 0x8B, ..] => Box::new(flate2::read::MultiGzDecoder::new(file)),
        [0xFD, b'7', b'z', b'X', b'Z', 0] => Box::new(lzma_rust2::XzReader::new_mem_limit(file, true, XZ_MEMORY_KIB)),
        _ => Box::new(file),
    };
    let bad = |problem: String| Error::File { path: path.to_owned(), problem };
    let mut archive = tar::Archive::new(stream.take(MOST_UNPACKED));
    let entries = archive.entries().map_err(|e| bad(format!("expected a tar archive, found: {e}")))?;
    for entry in entries {
        let mut entry = entry.map_err(|e| bad(format!("expected a tar archive (plain, gz or xz), found: {e}")))?;
        let name = entry.path().map_err(|e| bad(format!("a name that is none: {e}")))?.into_owned();
        if !entry.header().entry_type().is_file() || !is_picture(&name) {
            continue;
        }
        let class = name.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        if class.is_empty() {
            return Err(bad(format!("expected pictures in a folder per class, found {}", name.display())));
        }
        if entry.size() > MOST_FILE_BYTES {
            let size = entry.size();
            return Err(bad(format!("{}: expected at most {MOST_FILE_BYTES} bytes, found {size}", name.display())));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| bad(format!("{}: {e}", name.display())))?;
        found(Found { class, name: format!("{}/{}", path.display(), name.display()), bytes: Bytes::Encoded(bytes) })?;
    }
    Ok(())
}
