use super::*;
use crate::testing::{self, Form, Pickler, TORCH1};
use crate::tests::{Tensors, read, refuse, weights};
use proptest::prelude::*;
use std::sync::LazyLock;

static SMALL: LazyLock<(Tensors, Vec<u8>)> = LazyLock::new(|| {
    let tensors = weights();
    let pickle = testing::checkpoint_in(Pickler::legacy(), &tensors, TORCH1);
    (tensors, testing::legacy_file(&pickle, 4))
});

#[test]
fn every_type_gives_the_same_weights() {
    assert_eq!(read(&SMALL.1).unwrap(), SMALL.0);
    for (storage, width) in [("FloatStorage", 4), ("HalfStorage", 2), ("BFloat16Storage", 2), ("DoubleStorage", 8)] {
        let form = Form { storage, plain: true, ..TORCH1 };
        let pickle = testing::checkpoint_in(Pickler::legacy(), &SMALL.0, form);
        assert_eq!(read(&testing::legacy_file(&pickle, width)).unwrap(), SMALL.0, "{storage}");
    }
    // Five-item ids, as in containers, say the same.
    let pickle = testing::checkpoint(&SMALL.0, TORCH1);
    assert_eq!(read(&testing::legacy_file(&pickle, 4)).unwrap(), SMALL.0);
}

/// A state dict of the tensors that `items` writes, with keys and values of its storages.
fn file(items: impl FnOnce(&mut Pickler), keys: &[&str], values: &[(i64, &[u8])]) -> Vec<u8> {
    let mut p = Pickler::legacy();
    p.dict(items);
    p.op(b".");
    let keys: Vec<_> = keys.iter().map(|&key| key.to_owned()).collect();
    testing::legacy_of(true, &p.out, &keys, values.iter().copied())
}

fn one_weight(p: &mut Pickler) {
    p.text("norm.weight");
    p.view("HalfStorage", "94", 3, 1, &[2], &[1]);
}

#[test]
fn storages_must_fit_their_claims() {
    let (one, half) = ([0x00, 0x3c], [0x00, 0x38]);
    let bytes = [half, one, half].concat();
    let good = file(one_weight, &["94"], &[(3, &bytes)]);
    assert_eq!(read(&good).unwrap()["norm.weight"].data, [1.0, 0.5]);
    refuse(&file(one_weight, &["94"], &[(3, &bytes[..5])]), "expected 3 elements of F16, found 5 bytes");
    refuse(&[&good[..], b"\0"].concat(), "up to the end of the last storage");
    for count in [2, 4, 0, -1, i64::MIN, i64::MAX] {
        refuse(&file(one_weight, &["94"], &[(count, &bytes)]), "expected 3 elements at byte");
    }
    refuse(&file(one_weight, &["95"], &[(3, &bytes)]), "expected one of the pickle, found \"95\"");
    refuse(&file(one_weight, &["94", "94"], &[(3, &bytes), (3, &bytes)]), "expected its values once");
    let two = |p: &mut Pickler| {
        one_weight(p);
        p.text("norm.bias");
        p.view("HalfStorage", "7", 1, 0, &[1], &[1]);
    };
    refuse(&file(two, &["94"], &[(3, &bytes)]), "storage \"7\": expected it among the keys");
    let all = read(&file(two, &["7", "94"], &[(1, &half), (3, &bytes)])).unwrap();
    assert_eq!((&all["norm.bias"].data[..], &all["norm.weight"].data[..]), (&[0.5][..], &[1.0, 0.5][..]));
    // Two tensors may share a storage, but not disagree about it.
    let shared = |storage: &'static str, count| {
        move |p: &mut Pickler| {
            one_weight(p);
            p.text("norm.bias");
            p.view(storage, "94", count, 2, &[1], &[1]);
        }
    };
    assert_eq!(read(&file(shared("HalfStorage", 3), &["94"], &[(3, &bytes)])).unwrap()["norm.bias"].data, [0.5]);
    for (storage, count) in [("FloatStorage", 3), ("HalfStorage", 4), ("LongStorage", 3)] {
        refuse(&file(shared(storage, count), &["94"], &[(3, &bytes)]), "expected one type and length");
    }
}

/// Counts far beyond the file, and elements repeated for ever, must not become memory.
#[test]
fn absurd_counts_are_refused() {
    let claim = |count: i64, shape: &[i64], strides: &[i64], bytes: &[u8]| {
        let items = |p: &mut Pickler| {
            p.text("w");
            p.view("DoubleStorage", "1", count, 0, shape, strides);
        };
        file(items, &["1"], &[(count, bytes)])
    };
    let bytes = [0; 8];
    assert!(read(&claim(1, &[1], &[1], &bytes)).is_ok());
    refuse(&claim(1 << 40, &[1], &[1], &bytes), "expected 1099511627776 elements of F64, found 8 bytes");
    refuse(&claim(i64::MAX, &[1], &[1], &bytes), "elements of F64, found 8 bytes");
    refuse(&claim(1 << 61, &[1], &[1], &bytes), "elements of F64, found 8 bytes");
    refuse(&claim(1, &[1 << 40], &[0], &bytes), "expected fewer weights than the file's");
}

/// A storage that is part of another, as PyTorch 0.1 could write it.
#[test]
fn parts_of_storages_are_read() {
    let mut p = Pickler::legacy();
    p.op(b"}X\x01\0\0\0wctorch._utils\n_rebuild_tensor\n(");
    p.op(b"(U\x07storagectorch\nFloatStorage\nU\x013U\x03cpuK\x05U\x014K\x01K\x04\x87tQ");
    p.op(b"K\x01K\x02K\x02\x86K\x01K\x01\x86tRs.");
    let bytes: Vec<u8> = [9.0, 8.0, 7.0, 6.0, 5.0f32].iter().flat_map(|v| v.to_le_bytes()).collect();
    let file = testing::legacy_of(true, &p.out, &["3".into()], [(5, &bytes[..])]);
    let tensor = &read(&file).unwrap()["w"];
    assert_eq!((&tensor.shape[..], &tensor.data[..]), (&[2, 2][..], &[7.0, 6.0, 6.0, 5.0][..]));
}

#[test]
fn heads_that_differ_are_named() {
    let good = file(one_weight, &["94"], &[(3, &[0; 6])]);
    let version = MAGIC.len() + 3;
    let mut other = good.clone();
    other[version] = 0xe8;
    refuse(&other, "version: expected 1001, found 1000");
    let mut other = good.clone();
    other[3] = 9;
    refuse(&other, "expected a PyTorch checkpoint");
    let pickle = b"\x80\x02}.";
    refuse(&testing::legacy_of(false, pickle, &[], []), "little_endian: expected true, found false");
    assert!(read(&testing::legacy_of(true, pickle, &[], [])).unwrap().is_empty());
    refuse(&testing::legacy_of(true, b"\x80\x02]K\x01a.", &[], []), "expected a dict of tensors, found a list of 1");
    let system = b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.";
    refuse(&testing::legacy_of(true, system, &[], []), "byte 2: global os.system");
    let module = b"\x80\x02(U\x06moduleNNNtQ.";
    refuse(&testing::legacy_of(true, module, &[], []), "persistent id: expected a storage, found a tuple of 4");
    let head = &good[..MAGIC.len() + 6];
    refuse(&[head, b"\x80\x02N."].concat(), "system: expected a dict, found None");
    refuse(&[head, b"\x80\x02}."].concat(), "system: expected little_endian, found no such key");
    let with = |keys: &[u8]| [head, b"\x80\x02}U\x0dlittle_endian\x88s.\x80\x02}.\x80\x02", keys].concat();
    refuse(&with(b"}."), "keys of storages: expected a list, found a dict of 0");
    refuse(&with(b"]K\x07a."), "expected one of the pickle, found 7");
    assert!(read(&with(b"].")).unwrap().is_empty());
}

#[test]
fn every_truncation_is_refused() {
    let bytes = &SMALL.1;
    for len in 0..bytes.len() {
        assert!(read(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
}

/// Nothing guards the bytes: damage may change weights, but neither their number nor the memory that they take.
#[test]
fn every_damaged_byte_gives_tensors_or_an_error() {
    let (tensors, bytes) = &*SMALL;
    let elements: usize = tensors.values().map(|t| t.data.len()).sum();
    let mut damaged = bytes.clone();
    let mut refused = 0;
    for at in 0..bytes.len() {
        for bits in [0x01, 0x80, 0xff] {
            damaged[at] ^= bits;
            match read(&damaged) {
                Ok(found) => assert!(found.values().map(|t| t.data.len()).sum::<usize>() <= bytes.len() / 2),
                Err(problem) => {
                    assert!(!problem.is_empty());
                    refused += 1;
                }
            }
            damaged[at] = bytes[at];
        }
    }
    assert!(refused > 3 * MAGIC.len() && refused < 3 * bytes.len(), "{refused} refused; {elements} weights");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_files_never_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let (_, bytes) = &*SMALL;
        let mut damaged = bytes.clone();
        for (at, byte) in edits {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(damaged.len()));
        }
        if let Ok(found) = read(&damaged) {
            prop_assert!(found.values().map(|t| t.data.len()).sum::<usize>() <= bytes.len() / 2);
        }
    }
}
