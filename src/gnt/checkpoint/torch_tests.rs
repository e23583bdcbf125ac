use super::super::Tensor;
use super::super::infer::tests::{small, tensors};
use super::*;
use crate::Config;
use torchfile::testing::{self, Form, Pickler, TORCH1};

type Tensors = BTreeMap<String, Tensor>;

/// Writes a file and reads it as the program does.
fn read_bytes(bytes: &[u8]) -> Result<Checkpoint> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model_720000.pth");
    std::fs::write(&path, bytes).unwrap();
    read_torch(&path)
}

/// A checkpoint in a container, written and read.
fn through_file(tensors: &Tensors, form: Form) -> Result<Checkpoint> {
    read_bytes(&testing::container(&testing::checkpoint(tensors, form), form.torch2))
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

/// Training with PyTorch before 1.6 gives the same checkpoints in another format.
#[test]
fn the_older_format_gives_the_same_weights() {
    let original = tensors(&small());
    for plain in [false, true] {
        let form = Form { plain, key_prefix: "module.", ..TORCH1 };
        let pickle = testing::checkpoint_in(Pickler::legacy(), &original, form);
        let checkpoint = read_bytes(&testing::legacy_file(&pickle, 4)).unwrap();
        assert_eq!((checkpoint.tensors, checkpoint.config), (original.clone(), small()));
    }
}

#[test]
fn other_dicts_are_refused() {
    let refuse = |pickle: &[u8], wanted: &str| {
        let entries = [("archive/data.pkl".to_owned(), pickle.to_vec())];
        let error = read_bytes(&testing::zip_of(&entries)).unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains("model_720000.pth: "), "expected {wanted:?} in {error}");
    };
    refuse(b"\x80\x02N.", "expected a dict of state dicts, found None");
    refuse(b"\x80\x02}.", "expected the state dicts");
    refuse(b"\x80\x02}X\x05\0\0\0otherNs.", "found keys \"other\"");
    refuse(b"\x80\x02}X\x0a\0\0\0net_coarseNs.", "expected a state dict, found None");
    refuse(b"\x80\x02}X\x0a\0\0\0net_coarse}K\x01Nss.", "net_coarse: expected names, found 1");
    refuse(b"\x80\x02}X\x0c\0\0\0net_coarse.aNs.", "\"net_coarse.a\": expected a tensor, found None");
    refuse(b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.", "global os.system");
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
