use super::*;
use crate::testing::{self, Form, Pickler, TORCH1};
use proptest::prelude::*;
use std::io::Cursor;
use std::sync::LazyLock;

pub(crate) type Tensors = BTreeMap<String, Tensor>;

pub(crate) fn read(bytes: &[u8]) -> std::result::Result<Tensors, String> {
    read_from(Cursor::new(bytes), bytes.len() as u64, |root| select::walk(root, &|_| true))
}

pub(crate) fn refuse(bytes: &[u8], wanted: &str) {
    let error = read(bytes).unwrap_err();
    assert!(error.contains(wanted), "expected {wanted:?} in {error:?}");
}

/// Weights of a training checkpoint in odd shapes, distinct and exact in every type.
pub(crate) fn weights() -> Tensors {
    let shapes: [(&str, &[usize]); 8] = [
        ("net_coarse.norm.weight", &[31]),
        ("net_coarse.norm.bias", &[1]),
        ("net_coarse.attn.0.weight", &[33, 5]),
        ("net_coarse.scale", &[]),
        ("feature_net.conv1.weight", &[7, 3, 3, 3]),
        ("feature_net.empty", &[0, 5]),
        ("feature_net.wide", &[1, 255]),
        ("feature_net.bn.bias", &[7]),
    ];
    let mut next = (0..=510).cycle().map(|i| i as f32 - 255.0);
    let mut tensor = |shape: &[usize]| {
        let data = next.by_ref().take(shape.iter().product()).collect();
        Tensor { shape: shape.to_vec(), data }
    };
    shapes.into_iter().map(|(name, shape)| (name.to_owned(), tensor(shape))).collect()
}

/// A path of the repository.
fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

/// The same dict as PyTorch writes it in both formats: see `tests/fixtures/torch_files.py`.
#[test]
fn files_of_pytorch_are_read() {
    let value = |i: usize| i as f32 * 0.25 - 3.0;
    let tensor = |shape: &[usize], at: &dyn Fn(usize) -> usize| {
        let data = (0..shape.iter().product()).map(|i| value(at(i))).collect();
        Tensor { shape: shape.to_vec(), data }
    };
    let whole: [(&str, Tensor); 9] = [
        ("weight", tensor(&[5, 7], &|i| i)),
        ("rows", tensor(&[2, 7], &|i| i + 7)),
        ("transposed", tensor(&[7, 5], &|i| i % 5 * 7 + i / 5)),
        ("half", tensor(&[31], &|i| i)),
        ("bfloat", tensor(&[3, 1, 3], &|i| i)),
        ("double", tensor(&[33], &|i| i)),
        ("scalar", tensor(&[], &|_| 5)),
        ("empty", tensor(&[0, 3], &|i| i)),
        ("parameter", tensor(&[1, 1], &|_| 9)),
    ];
    for name in ["torch_legacy.pth", "torch_zip.pth"] {
        let path = fixture(name);
        let all = super::read(&path, |_| true).unwrap();
        let mut expected: Tensors = whole.iter().map(|(name, t)| (format!("model.{name}"), t.clone())).collect();
        expected.insert("best".into(), tensor(&[1], &|_| 12));
        assert_eq!(all, expected, "{name}");
        let one = super::read(&path, |name| name.ends_with(".half")).unwrap();
        assert_eq!(one, Tensors::from([("model.half".to_owned(), expected["model.half"].clone())]), "{name}");
        // The moments of the optimizer are found only by those who ask for them in the file's own structure.
        let error = read_selected(&path, |root| {
            let model = root.pairs().unwrap().find(|(key, _)| key.text() == Some("model")).unwrap().1;
            let mut selection = Selection::new();
            for (key, item) in model.pairs().unwrap().filter(|(key, _)| key.text() == Some("steps")) {
                selection.add(key.text().unwrap().to_owned(), item)?;
            }
            Ok(selection)
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("\"steps\": expected floating-point weights"), "{error}");
    }
}

/// Buffers of small integers lie beside weights and are left out; their values need not even be there.
#[test]
fn integers_of_all_kinds_are_left_out() {
    for legacy in [false, true] {
        for kind in ["ByteStorage", "CharStorage", "BoolStorage", "ShortStorage", "IntStorage", "LongStorage"] {
            let weight = Tensor { shape: vec![3], data: vec![0.5, -1.0, 2.0] };
            let mut p = if legacy { Pickler::legacy() } else { Pickler::new() };
            p.state_dict(|p| {
                p.text("weight");
                p.tensor("FloatStorage", &weight);
                p.text("mask");
                p.tensor(kind, &Tensor { shape: vec![5], data: vec![1.0; 5] });
            });
            p.op(b".");
            let bytes = if legacy {
                let values = p.storages.iter().zip([3, 5]).map(|(bytes, count)| (count, bytes.as_slice()));
                testing::legacy_of(true, &p.out, &["0".to_owned(), "1".to_owned()], values)
            } else {
                testing::container(&p, true)
            };
            assert_eq!(read(&bytes), Ok(Tensors::from([("weight".to_owned(), weight)])), "{kind}");
        }
    }
}

/// A message does not repeat what a file repeats.
#[test]
fn messages_stay_short() {
    let mut p = Pickler::new();
    p.state_dict(|p| {
        p.text(&"k".repeat(1 << 20));
        p.tensor("FloatStorage", &Tensor { shape: vec![1], data: vec![0.0] });
    });
    p.op(b".");
    let error = read(&testing::container(&p, true)).unwrap_err();
    assert!(error.contains("expected names of less than") && error.len() < 500, "{} bytes", error.len());
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let error = super::read(Path::new("/nowhere/model.pth"), |_| true).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("/nowhere/model.pth"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = super::read(folder.path(), |_| true).unwrap_err().to_string();
    assert!(error.contains("expected a file, found a folder"), "{error}");
    let path = folder.path().join("huge.pth");
    std::fs::File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    let error = super::read(&path, |_| true).unwrap_err().to_string();
    assert!(error.contains("huge.pth: expected at most 2147483648 bytes, found 2147483649"), "{error}");
}

#[test]
fn every_form_gives_the_same_weights() {
    let tensors = weights();
    for torch2 in [false, true] {
        for storage in ["FloatStorage", "HalfStorage", "BFloat16Storage", "DoubleStorage"] {
            let form = Form { torch2, storage, ..TORCH1 };
            assert_eq!(read(&testing::container(&testing::checkpoint(&tensors, form), torch2)).unwrap(), tensors);
        }
        // Integers are no weights.
        let form = Form { torch2, storage: "LongStorage", ..TORCH1 };
        assert!(read(&testing::container(&testing::checkpoint(&tensors, form), torch2)).unwrap().is_empty());
    }
}

/// Dicts that hold each other or many ways to one tensor end at a bound.
#[test]
fn nested_dicts_are_bounded() {
    let view = |p: &mut Pickler| p.view("FloatStorage", "0", 1, 0, &[1], &[1]);
    let file = |p: &Pickler| testing::zip_of(&entries(&p.out, &[("data/0", vec![0; 4])]));
    let nested = |depth: usize| {
        let mut p = Pickler::new();
        for _ in 1..depth {
            p.op(b"}X\x01\0\0\0d");
        }
        p.op(b"}X\x01\0\0\0w");
        view(&mut p);
        p.op(&b"s".repeat(depth)).op(b".");
        file(&p)
    };
    assert!(read(&nested(8)).unwrap().contains_key("d.d.d.d.d.d.d.w"));
    refuse(&nested(9), "expected dicts at most 8 deep");
    refuse(&file(Pickler::new().op(b"}q\0X\x01\0\0\0ah\0s.")), "expected dicts at most 8 deep");

    // Five dicts of 64 names for the next one: 2^30 ways to the innermost.
    let mut p = Pickler::new();
    p.op(b"}(");
    for level in 0..6u8 {
        p.op(&[b'K', level, b'}', b'q', level, b'(']);
        for i in (0..64).filter(|_| level > 0) {
            p.op(&[b'X', 1, 0, 0, 0, b'0' + i, b'h', level - 1]);
        }
        p.op(b"u");
    }
    p.op(b"X\x01\0\0\0ah\x05u.");
    refuse(&file(&p), "expected dicts of at most 1048576 values in all");

    let long = "n".repeat(256);
    let mut p = Pickler::new();
    p.dict(|p| {
        p.text(&long);
        view(p);
    });
    p.op(b".");
    refuse(&file(&p), "expected names of less than 256 bytes");
}

pub(crate) fn entries(pickle: &[u8], storages: &[(&str, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let mut entries = vec![("archive/data.pkl".to_owned(), pickle.to_vec())];
    entries.extend(storages.iter().map(|(key, bytes)| (format!("archive/{key}"), bytes.clone())));
    entries
}

/// A plain state dict of one weight with the given view, and its pickle.
pub(crate) fn one_weight(numel: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let mut p = Pickler::new();
    p.dict(|p| {
        p.text("norm.weight");
        p.view("FloatStorage", "0", numel, 0, shape, strides);
    });
    p.op(b".");
    p.out
}

#[test]
fn other_files_are_told_apart() {
    refuse(
        b"",
        "expected a PyTorch checkpoint (a zip container, or the older format with its magic number), found the bytes []",
    );
    refuse(b"\x1f\x8b\x08\x08zipped", "found the bytes [1f, 8b, 08, 08]");
    refuse(b"\x80\x02}q\0.", "expected a PyTorch checkpoint");
    // Files of PyTorch 0.1.1 and earlier.
    refuse(b"storages0000644\0", "found the bytes [73, 74, 6f, 72]");
    refuse(b"PK\x03\x04", "zip: ");
    refuse(&testing::zip_of(&[]), "found the bytes [50, 4b, 05, 06]");
    refuse(&testing::zip_of(&[("a/b.txt".into(), b"x".to_vec())]), "a zip without data.pkl");
    refuse(&testing::zip_of(&[("data.pkl".into(), b"N.".to_vec())]), "a zip without data.pkl");
    let two = [("a/data.pkl".into(), b"N.".to_vec()), ("b/data.pkl".into(), b"N.".to_vec())];
    refuse(&testing::zip_of(&two), "expected one data.pkl, found \"a/\" and \"b/\"");
    refuse(&testing::zip_of(&entries(b"\x80\x02N.", &[])), "expected a dict of tensors, found None");
    assert!(read(&testing::zip_of(&entries(b"\x80\x02}X\x05\0\0\0otherNs.", &[]))).unwrap().is_empty());
    let system = b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.";
    refuse(&testing::zip_of(&entries(system, &[])), "global os.system");
    let big = [("byteorder", b"big".to_vec())];
    refuse(&testing::zip_of(&entries(b"\x80\x02}.", &big)), "byteorder: expected little, found \"big\"");
    let long = [("byteorder", vec![b'x'; 17])];
    refuse(&testing::zip_of(&entries(b"\x80\x02}.", &long)), "\"byteorder\": expected at most 16 bytes, found 17");
}

static SMALL: LazyLock<(Tensors, Vec<u8>)> = LazyLock::new(|| {
    let tensors = weights();
    let bytes = testing::container(&testing::checkpoint(&tensors, Form { torch2: true, ..TORCH1 }), true);
    (tensors, bytes)
});

#[test]
fn every_truncation_of_the_directory_is_refused() {
    let bytes = &SMALL.1;
    let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    for len in (0..directory).step_by(257).chain((directory..bytes.len()).step_by(3)) {
        assert!(read(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Sums guard names, pickle and weights: a damaged file is refused or the damage was in nothing that is read.
    #[test]
    fn flipped_bits_never_change_weights(at in any::<prop::sample::Index>(), bit in 0u8..8, tail in any::<bool>()) {
        let (tensors, bytes) = &*SMALL;
        let mut damaged = bytes.clone();
        let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        let at = if tail { directory + at.index(bytes.len() - directory) } else { at.index(bytes.len()) };
        damaged[at] ^= 1 << bit;
        if let Ok(found) = read(&damaged) {
            prop_assert_eq!(&found, tensors);
        }
    }

    /// Pickles damaged before their sum was taken.
    #[test]
    fn damaged_pickles_never_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        static PICKLE: LazyLock<Pickler> = LazyLock::new(|| testing::checkpoint(&SMALL.0, TORCH1));
        let mut pickle = PICKLE.out.clone();
        for (at, byte) in edits {
            let at = at.index(pickle.len());
            pickle[at] = byte;
        }
        if let Some(cut) = cut {
            pickle.truncate(cut.index(pickle.len()));
        }
        let storages = PICKLE.storages.iter().enumerate();
        let mut all = entries(&pickle, &[]);
        all.extend(storages.map(|(i, bytes)| (format!("archive/data/{i}"), bytes.clone())));
        let bytes = testing::zip_of(&all);
        if let Ok(found) = read(&bytes) {
            prop_assert!(found.values().map(|t| t.data.len()).sum::<usize>() <= bytes.len() / 2);
        }
    }
}
