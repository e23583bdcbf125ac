use super::*;
use crate::reparam::Piece;
use vit::Config;
use vit::checkpoint::{Checkpoint, Description};
use vit::config::{CompactConfig, DeitConfig, Kinds, PvtConfig};
use vit::data::Labelled;
use vit::preprocess::Preprocess;

/// Pictures whose class is their brightest channel.
fn data() -> Labelled {
    data_of(8)
}

/// The same, `side` pixels high and wide.
fn data_of(side: usize) -> Labelled {
    let mut pixels = Vec::new();
    let labels: Vec<u32> = (0..48).map(|i| i % 3).collect();
    for (i, label) in labels.iter().enumerate() {
        pixels.extend(
            (0..side * side * 3)
                .map(|p| ((p * 31 + i * 17) % 90) as u8 + if p % 3 == *label as usize { 120 } else { 0 }),
        );
    }
    let classes = ["red", "green", "blue"].map(str::to_owned).into();
    Labelled {
        classes,
        size: (side, side),
        pixels,
        names: vec![String::new(); labels.len()],
        labels,
        skipped: Vec::new(),
    }
}

fn start(options: ClassifyOptions) -> ClassifyRun {
    let config = CompactConfig {
        image_size: 8,
        classes: 3,
        stem: [8, 16],
        width: 16,
        depth: 1,
        heads: 2,
        ..CompactConfig::embedded()
    };
    let description =
        Description { config: Config::Compact(config), preprocess: Preprocess::cifar(), classes: data().classes };
    ClassifyRun::start(description, options, data().len(), None).unwrap()
}

fn settings(out: &std::path::Path, until: u64, threads: usize) -> ClassifySettings {
    ClassifySettings { out: out.to_owned(), until, seconds: None, save_every: 1, log_every: 5, threads }
}

fn options() -> ClassifyOptions {
    ClassifyOptions {
        epochs: 12,
        batch: 16,
        warmup: 1.0,
        rate: 5e-3,
        crop: 1,
        cutout: 2,
        average_decay: 0.9,
        ..Default::default()
    }
}

#[test]
fn learns_resumes_and_ignores_threads() {
    for (_, optimiser) in Optimiser::NAMES {
        learns_and_resumes(ClassifyOptions { optimiser, ..options() });
    }
}

fn learns_and_resumes(options: ClassifyOptions) {
    let (dir, data) = (tempfile::tempdir().unwrap(), data());
    let mut whole = start(options);
    whole.train(&data, Some(&data), &settings(&dir.path().join("a"), 36, 3), |_| {}).unwrap();
    assert!(whole.evaluate(&data, 2).unwrap().share() > 0.9);
    let mut part = start(options);
    part.train(&data, None, &settings(&dir.path().join("b"), 17, 1), |_| {}).unwrap();
    let mut rest = ClassifyRun::resume(&dir.path().join("b")).unwrap();
    assert_eq!(rest.state().step, 17);
    rest.train(&data, None, &settings(&dir.path().join("b"), 36, 2), |_| {}).unwrap();
    assert_eq!(whole.state(), rest.state());
    let written = Checkpoint::read(&dir.path().join("b/model.safetensors")).unwrap();
    assert_eq!(written.params, whole.state().average);
    let log = std::fs::read_to_string(dir.path().join("a/log.jsonl")).unwrap();
    let last: ClassifyLine = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!((last.step, last.held_out.is_some()), (36, true));
}

#[test]
fn mixup_colour_and_a_teacher_train() {
    let (dir, data) = (tempfile::tempdir().unwrap(), data());
    let teacher = start(options()).checkpoint();
    let options = ClassifyOptions { mixup: 0.5, colour: 0.2, distillation: 0.5, ..options() };
    let mut run = start(options).with_teacher(&teacher).unwrap();
    let before = run.step(&data, 2).unwrap().0.mean_loss();
    run.train(&data, None, &settings(dir.path(), 36, 2), |_| {}).unwrap();
    assert!(run.evaluate(&data, 2).unwrap().mean_loss() < before);
}

/// Every piece alone, and all after one another: what starts from a trained model is no worse than guessing, and a few
/// steps of training bring it near.
#[test]
fn pieces_start_from_the_dense_model() {
    let (dir, data) = (tempfile::tempdir().unwrap(), data());
    let mut dense = start(options());
    dense.train(&data, None, &settings(dir.path(), 36, 2), |_| {}).unwrap();
    let dense = dense.checkpoint();
    let mut all = dense.clone();
    for (name, piece) in Piece::ALL {
        let to = reparam::apply(piece, dense.description.config, 4);
        if piece == Piece::View {
            assert!(to.unwrap_err().to_string().contains("no views"));
            continue;
        }
        let params = reparam::convert(&dense, to.unwrap(), &data, 1).unwrap();
        let description = Description { config: to_config(piece, &dense), ..dense.description.clone() };
        let balance = Some(([0.6, 0.4], 0.01));
        let options = ClassifyOptions { rate: 1e-3, distillation: 0.3, balance, ..options() };
        let run = ClassifyRun::start(description, options, data.len(), Some(params)).unwrap();
        let mut run = run.with_teacher(&dense).unwrap();
        run.train(&data, None, &settings(&dir.path().join(name), 18, 2), |_| {}).unwrap();
        let found = run.evaluate(&data, 2).unwrap();
        assert!(found.share() > 0.8, "{name}: {}", found.share());
        if piece == Piece::Ray {
            all = run.checkpoint();
        }
    }
    let to =
        reparam::apply(Piece::Experts, reparam::apply(Piece::Shift, all.description.config, 4).unwrap(), 4).unwrap();
    let params = reparam::convert(&all, to, &data, 1).unwrap();
    assert!(reparam::convert(&all, dense.description.config, &data, 1).is_err());
    let description = Description { config: to, ..all.description.clone() };
    let mut run = ClassifyRun::start(description, options(), data.len(), Some(params)).unwrap();
    run.train(&data, None, &settings(&dir.path().join("all"), 18, 2), |_| {}).unwrap();
    let found = run.evaluate(&data, 2).unwrap();
    assert!(found.share() > 0.7 && found.usage.counts[0] + found.usage.counts[1] > 0, "{found:?}");
}

/// Published networks too, every piece alone and then all together.
#[test]
fn deit_and_pvt_start_from_dense_models() {
    let Kinds { attention, linears, feed_forward } = Kinds::default();
    let deit = DeitConfig {
        image: (8, 8),
        patch: 2,
        classes: 3,
        width: 16,
        depth: 2,
        heads: 2,
        distilled: false,
        attention,
        linears,
        feed_forward,
    };
    let pvt = PvtConfig {
        image: (32, 32),
        classes: 3,
        widths: [16, 16, 80, 32],
        depths: [1; 4],
        linear: false,
        attention,
        linears,
        feed_forward,
    };
    for config in [Config::Deit(deit), Config::Pvt(pvt)] {
        let (dir, data) = (tempfile::tempdir().unwrap(), data_of(config.image_size().0));
        let options = ClassifyOptions { rate: 2e-3, crop: 0, cutout: 0, ..options() };
        let description = Description { config, preprocess: Preprocess::cifar(), classes: data.classes.clone() };
        let mut dense = ClassifyRun::start(description.clone(), options, data.len(), None).unwrap();
        dense.train(&data, None, &settings(&dir.path().join("dense"), 36, 2), |_| {}).unwrap();
        assert!(dense.evaluate(&data, 2).unwrap().share() > 0.9, "{config:?}");
        let dense = dense.checkpoint();
        let run = |name: &str, from: &Checkpoint, to: Config| {
            let params = reparam::convert(from, to, &data, 1).unwrap();
            let description = Description { config: to, ..description.clone() };
            let balance = Some(([0.6, 0.4], 0.01));
            let options = ClassifyOptions { rate: 1e-3, balance, hold_routers: true, ..options };
            let mut run = ClassifyRun::start(description, options, data.len(), Some(params)).unwrap();
            run.train(&data, None, &settings(&dir.path().join(name), 36, 2), |_| {}).unwrap();
            let found = run.evaluate(&data, 2).unwrap();
            assert!(found.share() > 0.8, "{name} {config:?}: {}", found.share());
            (run.checkpoint(), found.usage)
        };
        for (name, piece) in Piece::ALL.into_iter().filter(|(_, piece)| *piece != Piece::View) {
            let (_, usage) = run(name, &dense, reparam::apply(piece, config, 4).unwrap());
            assert_eq!(usage.counts[0] + usage.counts[1] > 0, piece == Piece::Experts);
            // Held at two fifths of the tokens of the pictures that it learned from.
            let share = usage.share(0);
            assert!(piece != Piece::Experts || (share - 0.4).abs() < 0.05, "{config:?}: {share}");
        }
        let (codes, _) = run("codes", &dense, reparam::apply(Piece::Ray, config, 4).unwrap());
        let mut all = codes.description.config;
        for piece in [Piece::Shift, Piece::Experts] {
            all = reparam::apply(piece, all, 4).unwrap();
        }
        let (all, _) = run("all", &codes, all);
        assert!(reparam::convert(&all, config, &data, 1).unwrap_err().to_string().contains("turned back"));
        // What is written is read again.
        let path = dir.path().join("all.safetensors");
        all.write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path).unwrap().description, all.description);
    }
}

fn to_config(piece: Piece, dense: &Checkpoint) -> Config {
    reparam::apply(piece, dense.description.config, 4).unwrap()
}

#[test]
fn damaged_states_are_named() {
    let dir = tempfile::tempdir().unwrap();
    start(options()).save(dir.path()).unwrap();
    let path = dir.path().join("state.safetensors");
    let whole = std::fs::read(&path).unwrap();
    for len in [0, 7, 100, whole.len() - 4] {
        std::fs::write(&path, &whole[..len]).unwrap();
        let error = ClassifyRun::resume(dir.path()).unwrap_err().to_string();
        assert!(error.contains("state.safetensors"), "{error}");
    }
    std::fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    assert!(ClassifyRun::resume(dir.path()).unwrap_err().to_string().contains("expected at most"));
}
