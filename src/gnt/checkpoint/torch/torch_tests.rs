use super::super::infer::tests::{small, tensors};
use super::testing::{self, Form, Pickler, TORCH1};
use super::*;
use crate::Config;
use proptest::prelude::*;
use std::io::Cursor;
use std::sync::LazyLock;

type Tensors = BTreeMap<String, Tensor>;

fn read(bytes: &[u8]) -> std::result::Result<Tensors, String> {
    read_tensors(Cursor::new(bytes), bytes.len() as u64)
}

fn refuse(bytes: &[u8], wanted: &str) {
    let error = read(bytes).unwrap_err();
    assert!(error.contains(wanted), "expected {wanted:?} in {error:?}");
}

/// Writes a checkpoint file and reads it as the program does.
fn through_file(tensors: &Tensors, form: Form) -> Result<Checkpoint> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model_720000.pth");
    std::fs::write(&path, testing::container(&testing::checkpoint(tensors, form), form.torch2)).unwrap();
    read_torch(&path)
}

#[test]
fn every_form_gives_the_same_weights() {
    let original = tensors(&small());
    for torch2 in [false, true] {
        for (key_prefix, plain) in [("", false), ("module.", false), ("", true), ("module.", true)] {
            let checkpoint = through_file(&original, Form { torch2, key_prefix, plain, ..TORCH1 }).unwrap();
            assert_eq!(checkpoint.tensors, original);
            assert_eq!(checkpoint.config, small());
            assert_eq!(checkpoint.metadata["about"], "imported from the PyTorch checkpoint model_720000.pth");
        }
    }
}

#[test]
fn other_float_types_are_converted() {
    let mut original = tensors(&small());
    // Whole numbers up to 255 are exact in every type.
    for (i, v) in original.values_mut().flat_map(|t| &mut t.data).enumerate() {
        *v = (i % 511) as f32 - 255.0;
    }
    for storage in ["HalfStorage", "BFloat16Storage", "DoubleStorage"] {
        assert_eq!(through_file(&original, Form { storage, ..TORCH1 }).unwrap().tensors, original);
    }
    for storage in ["LongStorage", "IntStorage"] {
        let error = through_file(&original, Form { storage, ..TORCH1 }).unwrap_err().to_string();
        assert!(error.contains("expected floating-point weights"), "{error}");
    }
}

/// Weights of the official code, in containers of both kinds.
#[test]
fn fixture_weights_come_back() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/small_ckpt_expect.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let fixture = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut all = Tensors::new();
    for (name, view) in fixture.iter().filter(|(name, _)| name.starts_with("net_coarse.")) {
        let data = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        all.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), data });
    }
    assert_eq!(all.len(), 80);
    let mut config = Config::official(2);
    config.features = crate::FeatureConfig { channels: 32, ..small().features };
    all.extend(tensors(&config).into_iter().filter(|(name, _)| name.starts_with("feature_net.")));
    for torch2 in [false, true] {
        let checkpoint = through_file(&all, Form { torch2, ..TORCH1 }).unwrap();
        assert_eq!((&checkpoint.tensors, checkpoint.config), (&all, config));
    }
}

#[test]
fn whole_checkpoints_are_checked() {
    let refuse = |change: &dyn Fn(&mut Tensors), form: Form, wanted: &str| {
        let mut bad = tensors(&small());
        change(&mut bad);
        let error = through_file(&bad, form).unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains("model_720000.pth: "), "expected {wanted:?} in {error}");
    };
    refuse(&|_| {}, Form { two_networks: true, ..TORCH1 }, "found net_fine");
    refuse(
        &|t| drop(t.remove("feature_net.bn1.bias")),
        TORCH1,
        "\"feature_net.bn1.bias\": expected [3], found no such",
    );
    let extra = Tensor { shape: vec![1], data: vec![1.0] };
    refuse(&|t| drop(t.insert("net_coarse.gate".into(), extra.clone())), TORCH1, "lacks: \"net_coarse.gate\"");
    let nan = |t: &mut Tensors| t.get_mut("net_coarse.norm.bias").unwrap().data[6] = f32::NAN;
    refuse(&nan, TORCH1, "\"net_coarse.norm.bias\": expected finite weights, found NaN at index 6");
    refuse(&|t| t.retain(|name, _| name.starts_with("feature_net.")), Form { plain: true, ..TORCH1 }, "crosstrans");
    let error = read_torch(Path::new("/nowhere/model.pth")).unwrap_err();
    assert!(matches!(error, crate::Error::Io { .. }) && error.to_string().contains("/nowhere/model.pth"));
    let folder = tempfile::tempdir().unwrap();
    assert!(read_torch(folder.path()).unwrap_err().to_string().contains("found a folder"));
}

fn entries(pickle: &[u8], storages: &[(&str, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let mut entries = vec![("archive/data.pkl".to_owned(), pickle.to_vec())];
    entries.extend(storages.iter().map(|(key, bytes)| (format!("archive/{key}"), bytes.clone())));
    entries
}

/// A plain state dict of one weight with the given view, and its pickle.
fn one_weight(numel: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let mut p = Pickler::new();
    p.dict(|p| {
        p.text("net_coarse.norm.weight");
        p.view("FloatStorage", "0", numel, 0, shape, strides);
    });
    p.op(b".");
    p.out
}

#[test]
fn other_files_are_told_apart() {
    refuse(b"", "expected a PyTorch checkpoint (a zip container), found the bytes []");
    refuse(b"\x1f\x8b\x08\x08zipped", "found the bytes [1f, 8b, 08, 08]");
    refuse(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "before 1.6");
    refuse(b"PK\x03\x04", "zip: ");
    refuse(&testing::zip_of(&[]), "found the bytes [50, 4b, 05, 06]");
    refuse(&testing::zip_of(&[("a/b.txt".into(), b"x".to_vec())]), "a zip without data.pkl");
    refuse(&testing::zip_of(&[("data.pkl".into(), b"N.".to_vec())]), "a zip without data.pkl");
    let two = [("a/data.pkl".into(), b"N.".to_vec()), ("b/data.pkl".into(), b"N.".to_vec())];
    refuse(&testing::zip_of(&two), "expected one data.pkl, found \"a/\" and \"b/\"");
    refuse(&testing::zip_of(&entries(b"\x80\x02N.", &[])), "expected a dict of state dicts, found None");
    refuse(&testing::zip_of(&entries(b"\x80\x02}.", &[])), "expected the state dicts");
    refuse(&testing::zip_of(&entries(b"\x80\x02}X\x05\0\0\0otherNs.", &[])), "found keys \"other\"");
    refuse(&testing::zip_of(&entries(b"\x80\x02}X\x0a\0\0\0net_coarseNs.", &[])), "expected a state dict, found None");
    let system = b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.";
    refuse(&testing::zip_of(&entries(system, &[])), "global os.system");
    let big = [("byteorder", b"big".to_vec())];
    refuse(&testing::zip_of(&entries(b"\x80\x02}.", &big)), "byteorder: expected little, found \"big\"");
    let long = [("byteorder", vec![b'x'; 17])];
    refuse(&testing::zip_of(&entries(b"\x80\x02}.", &long)), "\"byteorder\": expected at most 16 bytes, found 17");
}

#[test]
fn storages_must_fit_their_claims() {
    let write = |pickle: &[u8], bytes: usize| testing::zip_of(&entries(pickle, &[("data/0", vec![0; bytes])]));
    let good = one_weight(35, &[5, 7], &[7, 1]);
    assert_eq!(read(&write(&good, 140)).unwrap()["net_coarse.norm.weight"].shape, [5, 7]);
    refuse(&write(&good, 139), "\"net_coarse.norm.weight\" in \"data/0\": expected 35 elements of 4 bytes, found 139");
    refuse(&write(&good, 144), "found 144 bytes");
    refuse(&testing::zip_of(&entries(&good, &[])), "\"data/0\": found no such entry");
    // One element repeated for ever must not become memory.
    refuse(&write(&one_weight(1, &[1 << 40], &[0]), 4), "expected fewer weights than the file's");
    refuse(&write(&one_weight(1 << 62, &[1 << 61], &[1]), 4), "expected fewer weights");
    let twice = {
        let mut p = Pickler::new();
        p.dict(|p| {
            for _ in 0..2 {
                p.text("net_coarse.norm.weight");
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

static SMALL: LazyLock<(Tensors, Vec<u8>)> = LazyLock::new(|| {
    let config = Config { depth: 1, ..small() };
    let tensors = tensors(&config);
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

/// A checkpoint that the official code wrote: `SHIFTRAY_PARITY` names the folder with `model.pth`, unpacked.
#[test]
#[ignore = "needs SHIFTRAY_PARITY"]
fn official_file() {
    let folder = std::env::var_os("SHIFTRAY_PARITY").expect("SHIFTRAY_PARITY names a folder");
    let checkpoint = read_torch(&Path::new(&folder).join("model.pth")).unwrap();
    assert_eq!(checkpoint.config, Config::official(2));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/small_ckpt_expect.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let fixture = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut compared = 0;
    for (name, view) in fixture.iter().filter(|(name, _)| name.starts_with("net_coarse.")) {
        let tensor = &checkpoint.tensors[name];
        let data: Vec<u8> = tensor.data.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!((tensor.shape.as_slice(), data.as_slice()), (view.shape(), view.data()), "{name}");
        compared += 1;
    }
    assert_eq!((compared, checkpoint.tensors.len()), (80, 188));
    let features = checkpoint.tensors.iter().filter(|(name, _)| name.starts_with("feature_net."));
    let sum: f64 = features.flat_map(|(_, t)| &t.data).map(|&v| f64::from(v)).sum();
    assert_eq!(sum, 5293.9921875);
}
