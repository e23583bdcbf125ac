use crate::testing::{self, Pickler};
use crate::tests::{entries, one_weight, read, refuse};

#[test]
fn storages_must_fit_their_claims() {
    let write = |pickle: &[u8], bytes: usize| testing::zip_of(&entries(pickle, &[("data/0", vec![0; bytes])]));
    let good = one_weight(35, &[5, 7], &[7, 1]);
    assert_eq!(read(&write(&good, 140)).unwrap()["norm.weight"].shape, [5, 7]);
    refuse(&write(&good, 139), "\"norm.weight\" in \"data/0\": expected 35 elements of 4 bytes, found 139");
    refuse(&write(&good, 144), "found 144 bytes");
    refuse(&testing::zip_of(&entries(&good, &[])), "\"data/0\": found no such entry");
    // One element repeated for ever must not become memory.
    refuse(&write(&one_weight(1, &[1 << 40], &[0]), 4), "expected fewer weights than the file's");
    refuse(&write(&one_weight(1 << 62, &[1 << 61], &[1]), 4), "expected fewer weights");
    let twice = {
        let mut p = Pickler::new();
        p.dict(|p| {
            for _ in 0..2 {
                p.text("norm.weight");
                p.view("FloatStorage", "0", 1, 0, &[1], &[1]);
            }
        });
        p.op(b".");
        p.out
    };
    refuse(&write(&twice, 4), "expected one such tensor, found two");
}

/// Edits bytes of every central directory record, relative to its start.
fn edit_directory(bytes: &[u8], edit: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let starts: Vec<_> = bytes.windows(4).enumerate().filter(|(_, w)| w == b"PK\x01\x02").map(|(i, _)| i).collect();
    assert!(!starts.is_empty());
    starts.into_iter().for_each(|start| edit(&mut bytes[start..]));
    bytes
}

#[test]
fn directories_that_lie_are_refused() {
    let good = testing::zip_of(&entries(&one_weight(1, &[1], &[1]), &[("data/0", vec![0; 4])]));
    assert!(read(&good).is_ok());
    let set =
        |at: usize, value: &'static [u8]| move |record: &mut [u8]| record[at..at + value.len()].copy_from_slice(value);
    refuse(&edit_directory(&good, set(10, &[8, 0])), "expected an uncompressed entry");
    // Sizes: unpacked only (a bomb), then both beyond the file.
    refuse(&edit_directory(&good, set(24, &[0xfe, 0xff, 0xff, 0xff])), "expected an uncompressed entry");
    let both = [0xfe, 0xff, 0xff, 0x7f, 0xfe, 0xff, 0xff, 0x7f];
    refuse(
        &edit_directory(&good, |record| record[20..28].copy_from_slice(&both)),
        "expected entries within the file's",
    );
    refuse(&edit_directory(&good, set(16, &[1, 2, 3, 4])), "data.pkl");
    refuse(&edit_directory(&good, set(42, &[1, 2, 3, 0])), "data.pkl");
    // The end record's number of entries and directory size.
    let end = good.len() - 22;
    let mut many = good.clone();
    many[end + 8..end + 16].copy_from_slice(&[0xfe, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert!(read(&many).is_err());
}

/// The end records of large archives, in place and hostile.
#[test]
fn large_archive_records_are_bounded() {
    let good = testing::zip_of(&entries(&one_weight(1, &[1], &[1]), &[("data/0", vec![0; 4])]));
    let (body, end) = good.split_at(good.len() - 22);
    let (size, start) = (end[12..16].try_into().unwrap(), end[16..20].try_into().unwrap());
    let (size, start) = (u32::from_le_bytes(size).into(), u32::from_le_bytes(start).into());
    let large = |claim: u64, directory: u64, place: u64| {
        let mut bytes = [body, b"PK\x06\x06", &44u64.to_le_bytes(), &[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        [claim, claim, directory, start].iter().for_each(|v| bytes.extend(v.to_le_bytes()));
        bytes.extend([b"PK\x06\x07", &[0; 4][..], &place.to_le_bytes(), &[1, 0, 0, 0], b"PK\x05\x06"].concat());
        bytes.extend([[0, 0, 0, 0].as_slice(), &[0xff; 12], &[0, 0]].concat());
        bytes
    };
    let place = body.len() as u64;
    assert_eq!(read(&large(2, size, place)).unwrap(), read(&good).unwrap());
    refuse(&large(1 << 40, size, place), "expected at most 65536 entries, found a claim of 1099511627776");
    refuse(&large(u64::MAX, u64::MAX, place), "expected at most 65536 entries");
    refuse(&large(2, size, place - 1), "64-bit end record at the end");
    assert!(read(&large(65_536, u64::MAX, place)).is_err());
}
