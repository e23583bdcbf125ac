//! Whole runs on a tiny scene, and the optimiser against the official code's step.

use crate::adam::Adam;
use crate::data::{Dataset, Draw};
use crate::guided::GuidedSteps;
use crate::run::{LOG_FILE, Run, RunOptions, RunSettings, STATE_FILE};
use crate::schedule::Schedule;
use crate::state::State;
use crate::testing::{config, dataset, options, plan};
use gnt::testing::{fixture, small_model};
use std::path::Path;

#[test]
fn a_resumed_run_equals_an_uninterrupted_one_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(&dir.path().join("data"));
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    Run::start(config(), options(), None).unwrap().train(&data, &plan(&whole, 8, 2), |_| {}).unwrap();
    Run::start(config(), options(), None).unwrap().train(&data, &plan(&parts, 3, 2), |_| {}).unwrap();
    // Another number of threads must not matter either.
    Run::resume(&parts).unwrap().train(&data, &plan(&parts, 8, 1), |_| {}).unwrap();
    let read = |run: &Path, file: &str| std::fs::read(run.join(file)).unwrap();
    assert_eq!(State::read(&whole.join(STATE_FILE)).unwrap().step, 8);
    for file in [STATE_FILE, "model.safetensors"] {
        assert_eq!(read(&whole, file), read(&parts, file), "{file}");
    }
    assert_eq!(std::fs::read_to_string(whole.join(LOG_FILE)).unwrap().lines().count(), 4);
}

#[test]
fn a_checkpoint_comes_with_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(&dir.path().join("data"));
    let scene = scene::formats::load(&dir.path().join("data/scene_0"), &scene::LoadOptions::default()).unwrap();
    let out = dir.path().join("run");
    let plan = RunSettings { save_every: 2, validation: Some(scene), ..plan(&out, 2, 2) };
    Run::start(config(), options(), None).unwrap().train(&data, &plan, |_| {}).unwrap();
    let picture = scene::view::read_image(&out.join("validation/step_000002.png"), scene::Alpha::Ignore).unwrap();
    assert_eq!((picture.width, picture.height), (130, 47));
    assert!(std::fs::read_to_string(out.join(LOG_FILE)).unwrap().contains("\"validation\":\"scene_0\""));
}

#[test]
fn the_loss_goes_down() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let mut run = Run::start(config(), options(), None).unwrap();
    let mut colour = Vec::new();
    for _ in 0..40 {
        let (losses, norm) = run.step(&data, 2).unwrap();
        assert!(losses.colour.is_finite() && losses.depth > 0.0 && norm > 0.0);
        colour.push(losses.depth);
    }
    let (early, late): (f64, f64) = (colour[..8].iter().sum(), colour[32..].iter().sum());
    assert!(late < 0.95 * early, "{early} {late}");
}

#[test]
fn batches_repeat_and_hold_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let how = Draw { rays: 31, views: (2, 4), axes: Default::default(), visibility: false, sharpening: 0 };
    let batch = data.draw(5, how).unwrap();
    assert_eq!(batch.colours, data.draw(5, how).unwrap().colours);
    assert_ne!(batch.colours, data.draw(6, how).unwrap().colours);
    let sharp = data.draw(5, Draw { sharpening: 40, ..how }).unwrap();
    assert_eq!(sharp.colours, batch.colours, "what is wanted stays as it is");
    for ((_, image), (_, sharp)) in batch.sources.iter().zip(&sharp.sources) {
        assert_eq!(*sharp, gnt::sharpened(image, 40));
    }
    assert_eq!((batch.rays.len(), batch.colours.len()), (31, 93));
    let depths = batch.depths.unwrap();
    assert!(depths.iter().all(|z| *z > batch.depth_range.0 * 0.9 && *z < batch.depth_range.1 * 1.5), "{depths:?}");
    assert!((2..=4).contains(&batch.sources.len()));
    assert!(Dataset::open(&dir.path().join("nothing")).is_err());
}

/// A run that is given a time ends when it has had it, in one piece or in two, and its rate has fallen by then.
#[test]
fn a_run_in_time_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(&dir.path().join("data"));
    let out = dir.path().join("run");
    let in_time = RunOptions { seconds: Some(3.0), ..options() };
    let forever = RunSettings { log_every: 1, ..plan(&out, u64::MAX, 1) };
    Run::start(config(), in_time, None)
        .unwrap()
        .train(&data, &RunSettings { seconds: Some(0.3), ..forever.clone() }, |_| {})
        .unwrap();
    let mut run = Run::resume(&out).unwrap();
    let before = run.state().clone();
    assert!(before.seconds > 0.0 && before.step > 0 && !run.is_over(), "{} s", before.seconds);
    let mut rates = Vec::new();
    run.train(&data, &forever, |line| rates.push(line.rate)).unwrap();
    assert!(run.is_over() && run.state().seconds >= 3.0 && run.state().step > before.step);
    assert!(rates.windows(2).all(|pair| pair[1] <= pair[0]) && rates[rates.len() - 1] < 0.2 * rates[0], "{rates:?}");
    let steps = run.state().step;
    run.train(&data, &forever, |_| {}).unwrap();
    assert_eq!(run.state().step, steps, "it is over");
}

#[test]
fn damaged_states_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::start(config(), options(), None).unwrap();
    run.save(dir.path()).unwrap();
    let path = dir.path().join(STATE_FILE);
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(State::read(&path).unwrap(), *run.state());
    for cut in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let message = State::read(&path).unwrap_err().to_string();
        assert!(message.contains(STATE_FILE), "{message}");
    }
    let width = b"\\\"width\\\":16";
    let at = whole.windows(width.len()).position(|w| w == width).expect("the config is in the header");
    let mut bytes = whole.clone();
    bytes[at + width.len() - 1] = b'7';
    std::fs::write(&path, bytes).unwrap();
    assert!(State::read(&path).unwrap_err().to_string().contains("width"));
}

/// Parameters after one step of the official optimiser, from the official gradients.
#[test]
fn adam_takes_the_official_step() {
    let (model, mut params) = small_model();
    let step = fixture("small_train_step");
    let mut grads = vec![0.0; model.layout.len()];
    for entry in model.layout.entries() {
        if let Some((_, values)) = step.get(&format!("grad.{}", entry.name)) {
            entry.slot.of_mut(&mut grads).copy_from_slice(values);
        }
    }
    let features = model.layout.find("feature_net.conv1.weight").unwrap().slot.offset;
    Adam::new(params.len()).update(1, &mut params, &grads, |i| if i < features { 5e-4 } else { 1e-3 });
    let mut compared = 0;
    for entry in model.layout.entries() {
        if let (Some((_, want)), Some(_)) =
            (step.get(&format!("adam1.{}", entry.name)), step.get(&format!("grad.{}", entry.name)))
        {
            for (got, want) in entry.slot.of(&params).iter().zip(want) {
                assert!((got - want).abs() < 2e-6, "{}: {got}, reference {want}", entry.name);
            }
            compared += 1;
        }
    }
    assert!(compared >= 80, "{compared}");
}

/// Weights that are numbers, and too large to compute with: the run stops, and its folder keeps what it had.
#[test]
fn a_loss_that_is_not_finite_stops_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(&dir.path().join("data"));
    let out = dir.path().join("run");
    let mut run = Run::start(config(), options(), None).unwrap();
    run.train(&data, &plan(&out, 2, 2), |_| {}).unwrap();
    let mut state = run.state().clone();
    state.params.fill(1e30);
    state.write(&out.join(STATE_FILE)).unwrap();
    let mut run = Run::resume(&out).unwrap();
    let message = run.train(&data, &plan(&out, 40, 2), |_| {}).unwrap_err().to_string();
    assert!(message.starts_with("step 2: expected a finite loss"), "{message}");
    assert_eq!(State::read(&out.join(STATE_FILE)).unwrap(), state);
    assert_eq!(*run.state(), state, "the weights are left as they were");
    // What is no number is not saved.
    state.average[3] = f32::INFINITY;
    assert!(!state.is_finite());
}

#[test]
fn options_that_cannot_be_used_are_refused() {
    let good = options();
    let rate = |peak| RunOptions { schedule: Schedule { peak, ..good.schedule }, ..good.clone() };
    for (wrong, wanted) in [
        (RunOptions { rays: 0, ..good.clone() }, "rays"),
        (RunOptions { rays: usize::MAX, ..good.clone() }, "rays"),
        (RunOptions { samples: 1, ..good.clone() }, "samples"),
        (RunOptions { views: (0, 3), ..good.clone() }, "views"),
        (RunOptions { views: (3, 2), ..good.clone() }, "views"),
        (RunOptions { depth_weight: f32::NAN, ..good.clone() }, "depth weight"),
        (rate(f32::INFINITY), "rate"),
        (rate(-1.0), "rate"),
        (RunOptions { guided: Some(GuidedSteps { samples: 3, share: 0.5 }), ..good.clone() }, "guided samples"),
        (RunOptions { guided: Some(GuidedSteps { samples: 257, share: 0.5 }), ..good.clone() }, "guided samples"),
        (
            RunOptions { guided: Some(GuidedSteps { samples: 16, share: 1.01 }), ..good.clone() },
            "share of guided steps",
        ),
        (
            RunOptions { guided: Some(GuidedSteps { samples: 16, share: -0.1 }), ..good.clone() },
            "share of guided steps",
        ),
        (
            RunOptions { guided: Some(GuidedSteps { samples: 16, share: f32::NAN }), ..good.clone() },
            "share of guided steps",
        ),
        (RunOptions { balance: Some(([f32::NAN, 1.0], 1.0)), ..good.clone() }, "latency share"),
    ] {
        let message = Run::start(config(), wrong, None).unwrap_err().to_string();
        assert!(message.contains(wanted) && message.contains("expected"), "{message}");
    }
}

#[test]
fn images_too_small_for_the_feature_network_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    data.expect_sides(47).unwrap();
    let message = data.expect_sides(48).unwrap_err().to_string();
    for part in ["scene_0", "000", "48 pixels", "65x47"] {
        assert!(message.contains(part), "{message}");
    }
}

/// Only what the network needs is read of a state, and what is not a number is refused.
#[test]
fn states_are_bounded_by_their_networks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(STATE_FILE);
    Run::start(config(), options(), None).unwrap().save(dir.path()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    // A terabyte that takes no room.
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(State::read(&path).unwrap_err().to_string().contains("bytes for its network"));
    let mut bytes = whole.clone();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    assert!(State::read(&path).unwrap_err().to_string().contains("expected numbers, found NaN"));
    let rays = b"\\\"rays\\\":37";
    let at = whole.windows(rays.len()).position(|w| w == rays).expect("the options are in the header");
    let mut bytes = whole;
    bytes[at + rays.len() - 2..at + rays.len()].copy_from_slice(b" 0");
    std::fs::write(&path, &bytes).unwrap();
    assert!(State::read(&path).unwrap_err().to_string().contains("rays: expected 1 to"));
    assert!(State::read(dir.path()).unwrap_err().to_string().contains("found a folder"));
}

/// A hidden folder is a scene that is being made.
#[test]
fn hidden_folders_are_no_scenes() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(dataset(dir.path()).len(), 2);
    std::fs::rename(dir.path().join("scene_1"), dir.path().join(".scene_1.4294967295")).unwrap();
    assert_eq!(Dataset::open(dir.path()).unwrap().len(), 1);
}

/// What cannot be read in the middle of a run stops it, and the steps that were done are in its folder.
#[test]
fn a_photograph_that_breaks_during_a_run_loses_no_step() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let data = dataset(&root);
    let out = dir.path().join("run");
    let mut run = Run::start(config(), options(), None).unwrap();
    let once = RunSettings { log_every: 1, ..plan(&out, 40, 2) };
    // The first step has read photographs of one scene; those of the other one are broken by then.
    let break_all = |_: &crate::run::LogLine| {
        for scene in ["scene_0", "scene_1"] {
            for view in 0..5 {
                std::fs::write(root.join(scene).join(format!("images/{view:03}.png")), b"broken").unwrap();
            }
        }
    };
    let message = run.train(&data, &once, break_all).unwrap_err().to_string();
    assert!(message.contains(".png"), "{message}");
    assert!(run.state().step > 0);
    assert_eq!(State::read(&out.join(STATE_FILE)).unwrap(), *run.state());
}

#[test]
fn files_are_checked_before_the_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    data.check_files(2).unwrap();
    assert!(data.has_depth() && data.fewest_views().unwrap().1 == 5);
    let depth = dir.path().join("scene_1/depth/003.npy");
    scene::write::write_npy(&depth, 47, 65, &[1.0; 47 * 65]).unwrap();
    let message = data.check_files(2).unwrap_err().to_string();
    assert!(message.contains("003.npy") && message.contains("65x47"), "{message}");
    std::fs::remove_dir_all(dir.path().join("scene_1/depth")).unwrap();
    data.check_files(2).unwrap();
    std::fs::write(dir.path().join("scene_1/images/002.png"), b"broken").unwrap();
    let message = data.check_files(2).unwrap_err().to_string();
    assert!(message.contains("002.png"), "{message}");
}
