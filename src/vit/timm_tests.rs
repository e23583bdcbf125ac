//! Against timm, by the fixtures of `tests/fixtures/vit/make.py`.

use super::*;
use crate::model::{Scratch, Tape};
use safetensors::tensor::Dtype;
use std::path::PathBuf;

/// Differences of sums in another order, relative to the largest value.
const TOLERANCE: f32 = 1e-4;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/vit").join(name)
}

/// The model's part of a fixture as a checkpoint of its own, and the rest.
fn parts(name: &str) -> (tempfile::TempDir, PathBuf, Tensors) {
    let all = tensors(&fixture(name)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let data: Vec<(String, Vec<usize>, Vec<u8>)> = all
        .iter()
        .filter_map(|(n, t)| {
            let bytes = t.data.iter().flat_map(|v| v.to_le_bytes()).collect();
            Some((n.strip_prefix("model.")?.to_owned(), t.shape.clone(), bytes))
        })
        .collect();
    let views = data
        .iter()
        .map(|(n, shape, bytes)| (n, safetensors::tensor::TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    (dir, path, all)
}

fn expect_parity(name: &str, sizes: &[(usize, usize)]) {
    let (_dir, path, all) = parts(name);
    for &(height, width) in sizes {
        let checkpoint = read(&path, Some((height, width))).unwrap();
        let model = Model::new(checkpoint.description.config, compute::Products::F32).unwrap();
        let key = format!("{height}x{width}");
        let folded = model.fold(&checkpoint.params);
        let (mut tape, mut scratch) = (Tape::default(), Scratch::default());
        (tape.deit.after_blocks, tape.pvt.after_blocks) = (Some(Vec::new()), Some(Vec::new()));
        model.forward(&folded, 1, &all[&format!("{key}.image")].data, None, &mut tape, &mut scratch);
        let after = [&tape.deit.after_blocks, &tape.pvt.after_blocks].map(|list| list.clone().unwrap()).concat();
        let blocks = all.keys().filter(|name| name.starts_with(&format!("{key}.block"))).count();
        assert!(blocks > 0 && after.len() == blocks, "{name} {key}: {blocks} {}", after.len());
        let pairs = after.iter().enumerate().map(|(i, states)| (format!("{key}.block{i}"), &states[..]));
        for (part, got) in pairs.chain([(format!("{key}.logits"), model.logits(&tape))]) {
            let wanted = &all[&part].data;
            assert_eq!(got.len(), wanted.len(), "{name} {part}");
            let largest = wanted.iter().fold(1.0f32, |m, v| m.max(v.abs()));
            for (got, want) in got.iter().zip(wanted) {
                assert!((got - want).abs() <= TOLERANCE * largest, "{name} {part}: {got} {want}");
            }
        }
    }
}

#[test]
fn deit_at_its_size_and_another() {
    expect_parity("deit.safetensors", &[(32, 32), (48, 48)]);
}

#[test]
fn distilled_deit() {
    expect_parity("distilled.safetensors", &[(32, 32)]);
}

#[test]
fn pvt_at_a_size_that_is_no_multiple_of_32() {
    expect_parity("pvt.safetensors", &[(64, 64), (50, 71)]);
}

#[test]
fn linear_pvt() {
    expect_parity("pvt_linear.safetensors", &[(64, 64)]);
}

/// A checkpoint that lacks a tensor, has one more, or one that is not finite, is named.
#[test]
fn wrong_checkpoints_are_named() {
    let (dir, path, _) = parts("deit.safetensors");
    assert!(read(&path, Some((33, 32))).unwrap_err().to_string().contains("multiple of 8"));
    let other = dir.path().join("other.safetensors");
    std::fs::write(&other, b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F{}").unwrap();
    assert!(read(&other, None).unwrap_err().to_string().contains("safetensors header"));
    std::fs::write(&other, &std::fs::read(&path).unwrap()[..1000]).unwrap();
    assert!(read(&other, None).is_err());
}
