//! Files that claim to hold packed weights and are damaged or contradict themselves.

use super::super::{Checkpoint, Storage};
use super::tests::{bits, bytes, config, header, join, master, refuse};
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Parts of a file that can be changed one by one; the data is laid end to end when it is joined.
#[derive(Clone)]
struct Parts {
    metadata: Value,
    tensors: BTreeMap<String, (String, Vec<usize>, Vec<u8>)>,
}

impl Parts {
    fn join(&self) -> Vec<u8> {
        let (mut header, mut data) = (json!({ "__metadata__": self.metadata }), Vec::new());
        for (name, (dtype, shape, bytes)) in &self.tensors {
            let offsets = [data.len(), data.len() + bytes.len()];
            header[name] = json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
            data.extend_from_slice(bytes);
        }
        join(&header, &data)
    }

    fn put(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: &[u8]) {
        self.tensors.insert(name.into(), (dtype.into(), shape.to_vec(), bytes.to_vec()));
    }
}

const FOUR: &str = "net_coarse.view_crosstrans.0.attn.v_fc.weight";
const FIVE: &str = "net_coarse.view_selftrans.0.shift.fc2.weight";
const PLAIN: &str = "net_coarse.norm.bias";

/// A few tensors of a packed model and the bytes of their file.
static SMALL: LazyLock<(Checkpoint, Vec<u8>)> = LazyLock::new(|| {
    let (model, params) = master(config(4, 5));
    let mut checkpoint = Checkpoint::from_params(&model.config, &model.layout, &params);
    checkpoint.tensors.retain(|name, _| [FOUR, FIVE, PLAIN].contains(&name.as_str()));
    let stored = bytes(&checkpoint, Storage::Packed);
    (checkpoint, stored)
});

fn parts() -> Parts {
    let (header, data) = header(&SMALL.1);
    let mut tensors = header.as_object().unwrap().clone();
    let metadata = tensors.remove("__metadata__").unwrap();
    let part = |(name, info): (String, Value)| {
        let numbers = |key: &str| -> Vec<usize> { serde_json::from_value(info[key].clone()).unwrap() };
        let range = numbers("data_offsets");
        let dtype = info["dtype"].as_str().unwrap().to_owned();
        (name, (dtype, numbers("shape"), data[range[0]..range[1]].to_vec()))
    };
    Parts { metadata, tensors: tensors.into_iter().map(part).collect() }
}

#[test]
fn hostile_parts() {
    let check = |change: &dyn Fn(&mut Parts), wanted: &str| {
        let mut bad = parts();
        change(&mut bad);
        refuse(&bad.join(), wanted);
    };
    let (codes, scale, codes5) = (format!("{FOUR}.codes"), format!("{FOUR}.scale"), format!("{FIVE}.codes"));
    let (codes, scale, codes5) = (codes.as_str(), scale.as_str(), codes5.as_str());
    assert_eq!(parts().tensors.keys().collect::<Vec<_>>(), [PLAIN, codes, scale, codes5]);
    assert!(Checkpoint::from_bytes("x", &parts().join()).is_ok());

    // Types and shapes.
    check(
        &|p| p.put(codes, "I8", &[16, 10], &[0x77; 160]),
        &format!("{codes:?}: expected U8 [16, 10], found I8 [16, 10]"),
    );
    check(
        &|p| p.put(codes, "F32", &[16, 19], &[0; 1216]),
        &format!("{codes:?}: expected U8 [16, 10], found F32 [16, 19]"),
    );
    check(&|p| p.put(codes, "U8", &[160], &[0x77; 160]), "expected U8 [16, 10], found U8 [160]");
    check(&|p| p.put(codes, "U8", &[10, 16], &[0x77; 160]), "expected U8 [16, 10], found U8 [10, 16]");
    check(
        &|p| p.put(codes, "U8", &[16, 10], &[0x77; 159]),
        &format!("{codes:?}: expected 160 bytes for [16, 10], found 159"),
    );
    check(&|p| p.put(codes, "U8", &[usize::MAX, 2], &[]), "expected U8 [16, 10], found U8 [18446744073709551615, 2]");
    check(&|p| p.put(codes, "U8", &[1; 9], &[0]), &format!("{codes:?}: expected at most 8 dimensions, found 9"));
    check(&|p| p.put(codes5, "U8", &[16, 10], &[0; 160]), &format!("{codes5:?}: expected U8 [160], found U8 [16, 10]"));
    check(&|p| p.put(codes5, "U8", &[159], &[0; 159]), "expected U8 [160], found U8 [159]");
    check(&|p| p.put(codes5, "BF16", &[160], &[0; 320]), "expected U8 [160], found BF16 [160]");
    check(&|p| p.put(scale, "U8", &[16], &[0; 16]), &format!("{scale:?}: expected I8 [16], found U8 [16]"));
    check(&|p| p.put(scale, "I8", &[16, 1], &[0; 16]), &format!("{scale:?}: expected I8 [16], found I8 [16, 1]"));
    check(&|p| p.put(scale, "I8", &[16], &[0; 17]), &format!("{scale:?}: expected 16 bytes for [16], found 17"));
    check(&|p| p.put(scale, "F16", &[8], &[0; 16]), &format!("{scale:?}: expected I8 [16], found F16 [8]"));
    check(&|p| p.put(PLAIN, "U8", &[16], &[0; 16]), &format!("{PLAIN:?}: expected F32, F16 or BF16, found U8"));

    // What belongs together.
    check(&|p| drop(p.tensors.remove(scale)), &format!("{scale:?}: expected I8 [16], found no such tensor"));
    check(&|p| drop(p.tensors.remove(codes)), &format!("{codes:?}: expected U8 [16, 10], found no such tensor"));
    check(&|p| p.put(&format!("{FIVE}.scale"), "I8", &[16], &[0; 16]), "expected no scale of 5-bit weights, found one");
    for (name, found) in [(FOUR, codes), (FIVE, codes5)] {
        let wanted = format!("{name:?}: expected floats or codes, found both it and {found:?}");
        check(&|p| p.put(name, "F16", &[1], &[0; 2]), &wanted);
    }
    for name in ["codes", "scale", ".codes", "no.such.weight.codes", "net_coarse.norm.bias.scale"] {
        let wanted = if name.contains('.') { "expected codes of shift layers alone, found" } else { "found U8" };
        check(&|p| p.put(name, "U8", &[1], &[0]), wanted);
    }
    let mult = "net_coarse.view_selftrans.0.mult.fc2.weight";
    check(&|p| p.put(&format!("{mult}.codes"), "U8", &[160], &[0; 160]), &format!("found {mult:?}, which is none"));
    let with = |p: &mut Parts, config: Config| p.metadata["config"] = serde_json::to_string(&config).unwrap().into();
    check(&|p| with(p, Config::compact()), &format!("{codes:?}: expected codes of shift layers alone"));
    check(&|p| with(p, config(5, 5)), &format!("{codes:?}: expected U8 [190], found U8 [16, 10]"));
    check(
        &|p| with(p, Config { width: 32, ..config(4, 5) }),
        &format!("{codes:?}: expected U8 [32, 18], found U8 [16, 10]"),
    );
    check(&|p| with(p, config(4, 6)), "mlp bits: expected 4 to 5, found 6");
    let none = format!("{codes:?}: expected a config in the metadata beside packed weights, found none");
    check(&|p| drop(p.metadata.as_object_mut().unwrap().remove("config")), &none);
    check(&|p| p.metadata = json!({}), &none);

    // Codes and scales.
    fn byte<'a>(p: &'a mut Parts, name: &str, at: usize) -> &'a mut u8 {
        &mut p.tensors.get_mut(name).unwrap().2[at]
    }
    for bad in [121, -127i8, 127, -128] {
        let wanted = format!("{scale:?}: scale of row 7: expected -126 to 120, found {bad}");
        check(&|p| *byte(p, scale, 7) = bad.cast_unsigned(), &wanted);
    }
    check(&|p| *byte(p, codes, 12) = 0x7F, &format!("{codes:?}: code at row 1, column 4: 15 is not in use"));
    check(&|p| *byte(p, codes, 9) = 0x07, &format!("{codes:?}: code at row 0, column 19: 0 is not in use"));
    check(&|p| *byte(p, codes5, 0) = 0x1F, &format!("{codes5:?}: code at row 0, column 0: 31 is not in use"));
    // Seven powers of two in a row: the network would use six of them.
    let seven = |p: &mut Parts| (*byte(p, codes, 150), *byte(p, scale, 15)) = (0x60, 1);
    check(
        &seven,
        "row 15, column 0: expected a power of two that the network uses in this row, such as 4e0, found 2e0",
    );
    let large = |p: &mut Parts| (*byte(p, codes, 150), *byte(p, scale, 15)) = (0x66, 120);
    check(&large, "row 15, column 0: expected a power of two");
}

#[test]
fn every_truncation_is_refused() {
    let stored = &SMALL.1;
    for len in 0..stored.len() {
        assert!(Checkpoint::from_bytes("cut", &stored[..len]).is_err(), "{len} of {} bytes", stored.len());
    }
    // Cut where a tensor ends, with a header that says so: what is left must be whole by itself.
    for name in parts().tensors.keys() {
        let mut cut = parts();
        cut.tensors.remove(name);
        let whole = Checkpoint::from_bytes("cut", &cut.join());
        let single = [PLAIN.to_owned(), format!("{FIVE}.codes")].contains(name);
        assert_eq!(whole.is_ok(), single, "without {name:?}: {whole:?}");
        cut = parts();
        cut.tensors.get_mut(name).unwrap().2.pop();
        let error = Checkpoint::from_bytes("cut", &cut.join()).unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?}")), "{error}");
    }
}

/// Every entry of the header with every of these changes: an error that names the tensor or its neighbour, or
/// counts the bytes that no tensor claims.
#[test]
fn damaged_entries_are_refused() {
    let (good, data) = header(&SMALL.1);
    for name in parts().tensors.keys() {
        let [start, end] = [0, 1].map(|i| good[name]["data_offsets"][i].as_u64().unwrap());
        let changes = [
            ("dtype", ["U8", "I8", "F16", "F32", "BF16", "I64", "F4", "", "u8"].map(Value::from).to_vec()),
            (
                "shape",
                vec![json!([]), json!([0]), json!([u64::MAX]), json!([16, 9]), json!([-1]), json!("16"), json!(null)],
            ),
            (
                "data_offsets",
                vec![
                    json!([start, end + 1]),
                    json!([start + 1, end]),
                    json!([end, start]),
                    json!([0, 0]),
                    json!([start]),
                ],
            ),
        ];
        for (key, values) in changes {
            for value in values {
                let mut bad = good.clone();
                if bad[name][key] == value {
                    continue;
                }
                bad[name][key] = value.clone();
                // 16-bit floats of both kinds are read.
                if (name.as_str(), &value) == (PLAIN, &Value::from("BF16")) {
                    continue;
                }
                let found = Checkpoint::from_bytes("damaged", &join(&bad, data));
                let error = found.map(|_| ()).expect_err(&format!("{name:?} with {key} {value}")).to_string();
                let told = error.contains("\"net_coarse.") || error.contains("bytes of tensor data, found");
                assert!(told, "{name:?} with {key} {value}: {error}");
            }
            let mut bad = good.clone();
            bad[name].as_object_mut().unwrap().remove(key);
            let error = Checkpoint::from_bytes("damaged", &join(&bad, data)).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}: missing field `{key}`")), "{error}");
        }
    }
}

proptest! {
    /// Damage gives an error or powers of two, never a panic; memory stays that of the file.
    #[test]
    fn damage_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), in_header in any::<bool>()) {
        let mut damaged = SMALL.1.clone();
        let header = 8 + u64::from_le_bytes(damaged[..8].try_into().unwrap()) as usize;
        let at = at.index(if in_header { header } else { damaged.len() });
        damaged[at] = byte;
        if let Ok(found) = Checkpoint::from_bytes("damaged", &damaged) {
            prop_assert!(found.num_params() <= 2 * damaged.len());
            for name in [FOUR, FIVE] {
                let powers = found.tensors.get(name).into_iter().flat_map(|t| &t.data);
                prop_assert!(powers.into_iter().all(|v| *v == 0.0 || (v.is_normal() && v.to_bits() & 0x7F_FFFF == 0)));
            }
        }
    }

    /// Any master weights come back as the network rounds them.
    #[test]
    fn any_finite_weights_survive(
        values in proptest::collection::vec(prop::num::f32::ANY.prop_filter("finite", |v| v.is_finite()), 31),
        start in 0usize..200,
    ) {
        let mut checkpoint = SMALL.0.clone();
        for name in [FOUR, FIVE] {
            checkpoint.tensors.get_mut(name).unwrap().data[start..start + 31].copy_from_slice(&values);
        }
        let found = Checkpoint::from_bytes("any", &bytes(&checkpoint, Storage::Packed)).unwrap();
        for (name, inputs, format) in [(FOUR, 19, 4), (FIVE, 16, 5)] {
            let weight = &checkpoint.tensors[name].data;
            let mut rounded = vec![0.0; weight.len()];
            shift::quantise(weight, inputs, format, &mut rounded);
            prop_assert_eq!(bits(&found.tensors[name].data), bits(&rounded));
        }
    }
}
