use super::super::{Checkpoint, Storage};
use super::*;
use crate::{FeatureConfig, FeedForwardKind, LinearKind, RayAttentionKind, ViewAttentionKind};
use half::f16;
use safetensors::SafeTensors;
use serde_json::Value;

/// Shift layers of both formats; `attention_hidden` makes rows of 19 weights.
pub(super) fn config(linears: u8, experts: u8) -> Config {
    Config {
        width: 16,
        depth: 1,
        mlp_ratio: 1,
        attention_hidden: 3,
        view_attention: ViewAttentionKind::Hamming,
        ray_attention: RayAttentionKind::Hamming,
        linears: LinearKind::Shift { bits: linears },
        mlp: FeedForwardKind::Experts { bits: experts },
        features: FeatureConfig { stem_width: 3, stem_stride: 2, widths: [5, 3, 7], blocks: [1, 1, 1], channels: 5 },
        ..Config::compact()
    }
}

/// A model whose shift weights hold extremes and whose other weights are 16-bit floats already.
pub(super) fn master(config: Config) -> (Model, Vec<f32>) {
    let model = Model::new(config).unwrap();
    let mut params: Vec<f32> = model.layout.initialise(3).into_iter().map(|v| f16::from_f32(v).to_f32()).collect();
    let exact = model.layout.initialise(3);
    let extremes = [0.0, -0.0, 1e-45, -1e-30, 3.0e38, -7e4, 1.5, -0.75, f32::MIN_POSITIVE];
    for weight in model.net.shift_weights() {
        let values = weight.slot.of_mut(&mut params);
        values.copy_from_slice(weight.slot.of(&exact));
        // Rows differ: ordinary ones, one with extremes, one of tiny weights and one of zeros.
        values[weight.inputs..weight.inputs + extremes.len()].copy_from_slice(&extremes);
        values[3 * weight.inputs..4 * weight.inputs].fill(1e-40);
        values[5 * weight.inputs..6 * weight.inputs].fill(-0.0);
    }
    (model, params)
}

/// A model whose weights all fit 16-bit floats.
fn ordinary(config: Config) -> Checkpoint {
    let model = Model::new(config).unwrap();
    Checkpoint::from_params(&config, &model.layout, &model.layout.initialise(9))
}

pub(super) fn bytes(checkpoint: &Checkpoint, storage: Storage) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    checkpoint.write(&path, storage).unwrap();
    std::fs::read(&path).unwrap()
}

pub(super) fn refuse(bytes: &[u8], wanted: &str) {
    let error = Checkpoint::from_bytes("x.safetensors", bytes).unwrap_err().to_string();
    assert!(error.starts_with("x.safetensors: ") && error.contains(wanted), "expected {wanted:?} in {error:?}");
}

/// Header and data of a file.
pub(super) fn header(bytes: &[u8]) -> (Value, &[u8]) {
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..end]).unwrap(), &bytes[end..])
}

pub(super) fn join(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

pub(super) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// What is read back computes what the master weights compute, bit for bit.
#[test]
fn packing_loses_nothing_that_the_network_computes_with() {
    for (linears, experts) in [(4, 5), (5, 4)] {
        let (model, params) = master(config(linears, experts));
        let mut checkpoint = Checkpoint::from_params(&model.config, &model.layout, &params);
        checkpoint.metadata = BTreeMap::from([("about".to_owned(), "a \"test\"\n".to_owned())]);
        let stored = bytes(&checkpoint, Storage::Packed);
        let found = Checkpoint::from_bytes("packed", &stored).unwrap();
        assert_eq!((found.config, &found.metadata), (model.config, &checkpoint.metadata));
        assert_eq!(bytes(&found, Storage::Packed), stored, "what was read is written differently");
        let read = found.clone().into_params(&model.layout).unwrap();
        assert_ne!(bits(&read), bits(&params));
        assert_eq!(bits(&model.fold(&read)), bits(&model.fold(&params)));
        for weight in model.net.shift_weights() {
            let mut rounded = vec![0.0; weight.slot.len];
            shift::quantise(weight.slot.of(&params), weight.inputs, weight.bits, &mut rounded);
            assert_eq!(bits(weight.slot.of(&read)), bits(&rounded));
        }
        // Floats keep them too: the rounding is its own rounding.
        let floats = Checkpoint::from_bytes("floats", &bytes(&found, Storage::F32)).unwrap();
        assert_eq!(floats.tensors, found.tensors);
    }
}

/// What other programs read: two names a 4-bit weight, one a 5-bit weight, floats where their type aligns them.
#[test]
fn other_readers_find_codes_and_aligned_floats() {
    let checkpoint = ordinary(config(4, 5));
    let (stored, halves) = (bytes(&checkpoint, Storage::Packed), bytes(&checkpoint, Storage::F16));
    let other = SafeTensors::deserialize(&stored).unwrap();
    let part = |name: &str| {
        let view = other.tensor(&format!("net_coarse.{name}")).unwrap();
        (view.dtype(), view.shape().to_vec(), view.data().to_vec())
    };
    let prefix = "view_crosstrans.0.attn";
    let (dtype, shape, codes) = part(&format!("{prefix}.v_fc.weight.codes"));
    assert_eq!((dtype, shape), (Dtype::U8, vec![16, 10]));
    let (dtype, shape, scale) = part(&format!("{prefix}.v_fc.weight.scale"));
    assert_eq!((dtype, shape), (Dtype::I8, vec![16]));
    let weight = &checkpoint.tensors[&format!("net_coarse.{prefix}.v_fc.weight")].data;
    let mut rounded = vec![0.0; 16 * 19];
    shift::quantise(weight, 19, 4, &mut rounded);
    let packed = shift::pack4(&rounded, 19).unwrap();
    assert_eq!((codes, scale.iter().map(|b| b.cast_signed()).collect()), (packed.codes, packed.scale));
    let (dtype, shape, _) = part("view_selftrans.0.shift.fc1.weight.codes");
    assert_eq!((dtype, shape), (Dtype::U8, vec![16 * 16 * 5 / 8]));
    assert!(other.tensor("net_coarse.view_selftrans.0.shift.fc1.weight.scale").is_err());
    assert!(other.tensor("net_coarse.view_selftrans.0.shift.fc1.weight").is_err());
    assert_eq!(part("view_selftrans.0.mult.fc1.weight").0, Dtype::F16);
    for (name, view) in other.iter() {
        let offset = view.data().as_ptr() as usize - stored.as_ptr() as usize;
        assert!(view.dtype() != Dtype::F16 || offset.is_multiple_of(2), "{name} starts at byte {offset}");
    }
    // All but the shift weights is the same; those shrink to 4 bits and a byte a row, or 5 bits.
    let data = |bytes: &[u8]| bytes.len() - 8 - u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let model = Model::new(checkpoint.config).unwrap();
    let saved = model.net.shift_weights().map(|w| {
        let rows = w.slot.len / w.inputs;
        w.slot.len * 2 - if w.bits == 4 { rows * (w.inputs.div_ceil(2) + 1) } else { w.slot.len * 5 / 8 }
    });
    let saved: usize = saved.sum();
    assert_eq!(data(&stored) + saved, data(&halves));
}

#[test]
fn without_shift_layers_packed_is_f16() {
    let hamming = Config { linears: LinearKind::Dense, mlp: FeedForwardKind::Dense, ..config(4, 4) };
    for (config, version) in [(Config { depth: 1, ..Config::compact() }, 1), (hamming, 2)] {
        let checkpoint = ordinary(config);
        let stored = bytes(&checkpoint, Storage::Packed);
        assert_eq!(stored, bytes(&checkpoint, Storage::F16));
        assert_eq!(header(&stored).0["__metadata__"]["version"], version.to_string());
    }
}

/// Programs that know version 1 only would not understand shift layers, packed or not; this one reads what earlier
/// ones wrote.
#[test]
fn versions() {
    let checkpoint = ordinary(config(5, 4));
    for storage in [Storage::F32, Storage::F16, Storage::Packed] {
        let stored = bytes(&checkpoint, storage);
        let (mut header, data) = header(&stored);
        assert_eq!(header["__metadata__"]["version"], "2");
        header["__metadata__"]["version"] = "1".into();
        let older = Checkpoint::from_bytes("older", &join(&header, data)).unwrap();
        assert_eq!(older.tensors, Checkpoint::from_bytes("newer", &stored).unwrap().tensors);
        // A newer file may hold what cannot be read, so its version is the first thing to say.
        header["__metadata__"]["version"] = "3".into();
        header["net_coarse.norm.bias"]["dtype"] = "I64".into();
        refuse(&join(&header, data), "expected format version 1 to 2, found \"3\"");
    }
}

#[test]
fn no_parameter_is_called_like_a_part() {
    let branch = RayAttentionKind::LinearAngular { branch: true };
    let configs = [
        Config::official(2),
        Config::compact(),
        Config::compact().shift_add(),
        Config { ray_attention: branch, ..config(5, 5) },
        Config { mlp: FeedForwardKind::Shift { bits: 5 }, ..config(4, 4) },
    ];
    for config in configs {
        let model = Model::new(config).unwrap();
        assert!(model.layout.entries().iter().all(|e| !is_part(&e.name)));
        let ShiftNames(names) = ShiftNames::of(&config).unwrap();
        assert_eq!(names.len(), model.net.shift_weights().count());
    }
}

#[test]
fn weights_that_cannot_be_packed() {
    let (model, params) = master(config(4, 5));
    let good = Checkpoint::from_params(&model.config, &model.layout, &params);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let refuse = |change: &dyn Fn(&mut Checkpoint), wanted: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let error = bad.write(&path, Storage::Packed).unwrap_err().to_string();
        assert!(error.contains("m.safetensors: ") && error.contains(wanted), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a file stays behind");
    };
    const NAME: &str = "net_coarse.view_crosstrans.0.attn.v_fc.weight";
    fn weight(checkpoint: &mut Checkpoint) -> &mut Tensor {
        checkpoint.tensors.get_mut(NAME).unwrap()
    }
    refuse(&|c| weight(c).shape = vec![19, 16], "v_fc.weight\": expected [16, 19], found [19, 16]");
    refuse(&|c| weight(c).data[31] = f32::NAN, "v_fc.weight\": expected finite weights, found NaN at index 31");
    refuse(&|c| weight(c).data[0] = f32::NEG_INFINITY, "found -inf at index 0");
    refuse(&|c| c.config.width = 17, "width: expected a multiple of 16");
    let bias = |c: &mut Checkpoint| c.tensors.get_mut("net_coarse.norm.bias").unwrap().data[2] = 7e4;
    refuse(&bias, "\"net_coarse.norm.bias\": expected weights up to 65504 for f16, found 70000 at 2");
}
