use super::super::Storage;
use super::super::infer::tests::{small, tensors};
use super::*;
use crate::Error;
use proptest::prelude::*;
use std::sync::LazyLock;

/// A small checkpoint and its bytes in f32.
static SMALL: LazyLock<(Checkpoint, Vec<u8>)> = LazyLock::new(|| {
    let mut tensors = tensors(&small());
    tensors.retain(|name, _| name.starts_with("net_coarse.rgb_fc") || name.starts_with("feature_net.bn1"));
    let metadata = BTreeMap::from([("history".to_owned(), "step 7: \"loss\" 0.5\n\u{e9}".to_owned())]);
    let checkpoint = Checkpoint { config: Config::compact(), tensors, metadata, origin: "small".into() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    checkpoint.write(&path, Storage::F32).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    (checkpoint, bytes)
});

/// A file with the given header text and number of data bytes.
fn file(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

fn refuse(bytes: &[u8], wanted: &str) {
    let error = Checkpoint::from_bytes("x.safetensors", bytes).unwrap_err().to_string();
    assert!(error.starts_with("x.safetensors: ") && error.contains(wanted), "expected {wanted:?} in {error:?}");
}

#[test]
fn f32_is_exact_and_repeatable() {
    let (checkpoint, bytes) = &*SMALL;
    let found = Checkpoint::from_bytes("small", bytes).unwrap();
    assert_eq!(&found, checkpoint);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.safetensors");
    std::fs::write(&path, b"what was there before").unwrap();
    found.write(&path, Storage::F32).unwrap();
    assert_eq!(&std::fs::read(&path).unwrap(), bytes);
    assert_eq!(Checkpoint::read(&path).unwrap().tensors, checkpoint.tensors);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "temporary files stay behind");
}

/// What other programs read is what the crate of the format reads.
#[test]
fn other_readers_agree() {
    let (checkpoint, bytes) = &*SMALL;
    let other = safetensors::SafeTensors::deserialize(bytes).unwrap();
    assert_eq!(other.len(), checkpoint.tensors.len());
    for (name, view) in other.iter() {
        let tensor = &checkpoint.tensors[name];
        let data: Vec<u8> = tensor.data.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!((view.shape(), view.data(), view.dtype()), (&tensor.shape[..], &data[..], Dtype::F32));
    }
}

#[test]
fn halves_round_and_overflow_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.safetensors");
    let mut checkpoint = SMALL.0.clone();
    checkpoint.tensors.get_mut("net_coarse.rgb_fc.bias").unwrap().data = vec![1.0 / 3.0, 65504.0, -0.0];
    checkpoint.write(&path, Storage::F16).unwrap();
    let found = Checkpoint::read(&path).unwrap();
    assert_eq!(found.tensors["net_coarse.rgb_fc.bias"].data, [0.33325195, 65504.0, -0.0]);
    checkpoint.tensors.get_mut("net_coarse.rgb_fc.bias").unwrap().data[1] = 7e4;
    let error = checkpoint.write(&path, Storage::F16).unwrap_err().to_string();
    assert!(error.contains("\"net_coarse.rgb_fc.bias\": expected weights up to 65504 for f16, found 70000"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "temporary files stay behind");
    assert_eq!(Checkpoint::read(&path).unwrap(), found, "the file from before is gone");
    let error = checkpoint.write(&folder.path().join("no/such/folder.safetensors"), Storage::F32).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("no/such/folder"));
}

#[test]
fn bfloat_is_read_and_other_types_are_not() {
    let config = serde_json::to_string(&serde_json::to_string(&Config::compact()).unwrap()).unwrap();
    let header = |dtype: &str| {
        format!(
            r#"{{"__metadata__":{{"config":{config}}},"a":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,2]}}}}"#
        )
    };
    let mut bytes = file(&header("BF16"), 2);
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&[0x40, 0xc0]);
    assert_eq!(Checkpoint::from_bytes("b", &bytes).unwrap().tensors["a"].data, [-3.0]);
    refuse(&file(&header("I16"), 2), "\"a\": expected F32, F16 or BF16, found I16");
    refuse(&file(&header("F128"), 2), "\"a\": unknown variant `F128`");
    refuse(&file(&header("F32"), 2), "\"a\": expected 4 bytes for [1], found 2");
}

#[test]
fn official_names_need_no_config() {
    let official = Checkpoint { config: small(), tensors: tensors(&small()), ..SMALL.0.clone() };
    let views = official.tensors.iter().map(|(name, t)| {
        let bytes: Vec<u8> = t.data.iter().flat_map(|v| v.to_le_bytes()).collect();
        (name, t.shape.clone(), bytes)
    });
    let views: Vec<_> = views.collect();
    let views = views.iter().map(|(name, shape, bytes)| {
        (name.as_str(), safetensors::tensor::TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    let found = Checkpoint::from_bytes("official", &bytes).unwrap();
    assert_eq!((found.config, found.tensors), (small(), official.tensors));
    refuse(&file("{}", 0), "no config in the metadata, and from the names: found no tensor");
}

#[test]
fn hostile_headers() {
    refuse(b"", "expected a safetensors file, found 0 bytes");
    refuse(b"PK\x03\x04 a zip container", "use `shiftray import`");
    refuse(&u64::MAX.to_le_bytes(), "at most 0 bytes, found a claim of 18446744073709551615");
    refuse(&[&9u64.to_le_bytes()[..], b"{}"].concat(), "at most 2 bytes, found a claim of 9");
    refuse(&file("not json", 0), "safetensors header: ");
    refuse(&file("[1]", 0), "expected an object of tensors");
    refuse(&file(&"[".repeat(100_000), 0), "safetensors header: ");
    let one = |name: &str, shape: &str, offsets: &str| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let tensor = |shape: &str, offsets: &str, data| file(&format!("{{{}}}", one("a", shape, offsets)), data);
    refuse(&tensor("[-1]", "[0,4]", 4), "\"a\": invalid value");
    refuse(&tensor("[1]", "[0,4]", 3), "\"a\": expected data within 3 bytes, found 0 to 4");
    refuse(&tensor("[1]", "[0,4]", 5), "expected 4 bytes of tensor data, found 5");
    refuse(&tensor("[1]", "[4,0]", 4), "\"a\": expected its data at byte 0, found 4");
    refuse(&tensor("[1]", "[0,18446744073709551615]", 4), "found 0 to 18446744073709551615");
    refuse(&tensor("[4611686018427387904,4]", "[0,0]", 0), "expected more than any memory bytes");
    refuse(&tensor("[2305843009213693952]", "[0,4]", 4), "\"a\": expected 9223372036854775808 bytes");
    refuse(&tensor("[1,1,1,1,1,1,1,1,1]", "[0,4]", 4), "\"a\": expected at most 8 dimensions, found 9");
    let overlap = format!("{{{},{}}}", one("a", "[2]", "[0,8]"), one("b", "[2]", "[4,12]"));
    refuse(&file(&overlap, 12), "\"b\": expected its data at byte 8, found 4");
    let twice = format!("{{{},{}}}", one("a", "[1]", "[0,4]"), one("a", "[1]", "[0,4]"));
    refuse(&file(&twice, 4), "\"a\" is there twice");
}

#[test]
fn hostile_configs() {
    let with = |key: &str, value: &str| {
        let value = serde_json::to_string(value).unwrap();
        file(&format!(r#"{{"__metadata__":{{"{key}":{value}}}}}"#), 0)
    };
    refuse(&with("config", "{"), "config in the metadata: ");
    let good = serde_json::to_string(&Config::compact()).unwrap();
    assert!(Checkpoint::from_bytes("x", &with("config", &good)).is_ok());
    refuse(&with("config", &good.replace("\"depth\":2", "\"depth\":65")), "depth: expected 1 to 64, found 65");
    refuse(&with("config", &good.replace("\"depth\":2", "\"depth\":1e99")), "config in the metadata: ");
    refuse(&with("config", &good.replace("\"depth\"", "\"deep\"")), "unknown field `deep`");
    refuse(&file(r#"{"__metadata__":{"format":"shiftray","version":"3"}}"#, 0), "version 1 to 2, found \"3\"");
    refuse(&file(r#"{"__metadata__":{"format":"shiftray"}}"#, 0), "version 1 to 2, found \"\"");
    refuse(&file(r#"{"__metadata__":{"config":7}}"#, 0), "\"__metadata__\": invalid type");
}

#[test]
fn folders_are_not_files() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Checkpoint::read(folder.path()).unwrap_err().to_string().contains("found a folder"));
    assert!(matches!(Checkpoint::read(&folder.path().join("none")), Err(Error::Io { .. })));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = &SMALL.1;
    for len in 0..bytes.len() {
        assert!(Checkpoint::from_bytes("cut", &bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
}

proptest! {
    /// Damage gives an error or values, never a panic; memory stays that of the file.
    #[test]
    fn damage_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), in_header in any::<bool>()) {
        let (_, bytes) = &*SMALL;
        let mut damaged = bytes.clone();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let at = at.index(if in_header { header } else { bytes.len() });
        damaged[at] = byte;
        if let Ok(found) = Checkpoint::from_bytes("damaged", &damaged) {
            prop_assert!(found.num_params() * 2 <= bytes.len());
        }
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Checkpoint::from_bytes("any", &bytes);
    }
}
