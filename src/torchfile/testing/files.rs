//! Files around pickles and storages.

use super::Pickler;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The container around a pickle and its storages.
pub fn container(p: &Pickler, torch2: bool) -> Vec<u8> {
    let root = if torch2 { "model_720000" } else { "archive" };
    let mut entries = vec![(format!("{root}/data.pkl"), p.out.clone())];
    if torch2 {
        entries.push((format!("{root}/byteorder"), b"little".to_vec()));
    }
    entries.extend(p.storages.iter().enumerate().map(|(i, bytes)| (format!("{root}/data/{i}"), bytes.clone())));
    entries.push((format!("{root}/version"), b"3\n".to_vec()));
    if torch2 {
        entries.push((format!("{root}/.data/serialization_id"), b"1009286733218172361".to_vec()));
    }
    zip_of(&entries)
}

/// A zip of stored entries, each starting at a multiple of 64 bytes as torch does it.
pub fn zip_of(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).with_alignment(64);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The file of PyTorch before 1.6 around a pickle and its storages, whose elements have `width` bytes each.
pub fn legacy_file(p: &Pickler, width: usize) -> Vec<u8> {
    let keys: Vec<_> = (0..p.storages.len()).map(|i| i.to_string()).collect();
    let values = p.storages.iter().map(|bytes| ((bytes.len() / width) as i64, bytes.as_slice()));
    legacy_of(true, &p.out, &keys, values)
}

/// A file of PyTorch before 1.6 with any keys, counts and values.
pub fn legacy_of<'a>(
    little_endian: bool,
    pickle: &[u8],
    keys: &[String],
    values: impl IntoIterator<Item = (i64, &'a [u8])>,
) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    let mut system = Pickler::new();
    system.dict(|p| {
        p.text("protocol_version");
        p.int(1001);
        p.text("little_endian");
        p.op(if little_endian { b"\x88" } else { b"\x89" });
        p.text("type_sizes");
        p.dict(|p| {
            for (name, size) in [("short", 2), ("int", 4), ("long", 4)] {
                p.text(name);
                p.int(size);
            }
        });
    });
    system.op(b".");
    let mut list = Pickler::new();
    list.op(b"]");
    list.put();
    list.op(b"(");
    keys.iter().for_each(|key| list.text(key));
    list.op(b"e.");
    for part in [&system.out, pickle, &list.out] {
        out.extend_from_slice(part);
    }
    for (count, bytes) in values {
        out.extend(count.to_le_bytes());
        out.extend_from_slice(bytes);
    }
    out
}
