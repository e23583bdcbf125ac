//! The loss of a lesson with its gradients, and whole runs with a teacher.

use super::lesson::{Lesson, TeacherOn};
use super::*;
use crate::calibration::Seen;
use crate::data::Dataset;
use crate::reparam::convert;
use crate::run::{LOG_FILE, LogLine, MODEL_FILE, Run, RunOptions, STATE_FILE};
use crate::step::losses::CpuLosses;
use crate::testing::{config, dataset, network, options, plan, stats, watch};
use gnt::checkpoint::Checkpoint;
use gnt::network::Workspace;
use gnt::network::sources::{RayChunk, Source};
use layers::params::SplitMix;

const ALL: Distillation = Distillation { features: 0.7, states: 0.5, colour: 2.0, weights: 0.3 };
/// Part of the step's rays that a lesson holds.
const SHARE: f32 = 0.375;

/// What a lesson gives: its loss and the gradients of colours, weights' logits, states and tokens.
type Learned = (f64, Vec<f32>, Vec<f32>, Vec<Vec<f32>>, Vec<f32>);

fn learn(
    teacher: &Teacher,
    taught: Option<&[Source]>,
    pupil: &Workspace,
    chunk: RayChunk,
    how: Distillation,
) -> Learned {
    let mut lesson = Lesson::default();
    let (mut d_rgb, mut d_logits) = (vec![0.0; pupil.trunk.head.rgb.len()], vec![0.0; chunk.depths.len()]);
    let loss = add_lesson(&mut lesson, (teacher, taught), pupil, chunk, how, (&mut d_rgb, &mut d_logits, false));
    (loss, d_rgb, d_logits, lesson.d_states, lesson.d_tokens)
}

fn add_lesson(
    lesson: &mut Lesson,
    (teacher, sources): (&Teacher, Option<&[Source]>),
    pupil: &Workspace,
    chunk: RayChunk,
    how: Distillation,
    d_out: (&mut Vec<f32>, &mut Vec<f32>, bool),
) -> f64 {
    let teacher = TeacherOn { network: teacher.network(), sources };
    let Ok(loss) = lesson.learn(&teacher, pupil, chunk, how, SHARE, &mut CpuLosses::default(), d_out);
    loss
}

/// A pupil before the first calibration batch.
struct Meeting<'a> {
    network: NetworkOn<'a>,
    sources: &'a [Source<'a>],
    /// The sources with the teacher's own maps.
    taught: Vec<Source<'a>>,
    chunk: RayChunk<'a>,
}

impl Meeting<'_> {
    /// The pupil's forward pass, with its states recorded.
    fn pupil(&self) -> Workspace {
        let mut pupil = Workspace::default();
        pupil.trunk.record = true;
        let Ok(()) = pupil.forward(self.network, self.sources, self.chunk);
        pupil
    }
}

/// Shows `each` a pupil and the teacher's view of its sources.
fn meet(data: &Dataset, (model, params): (&Model, &[f32]), teacher: &Teacher, mut each: impl FnMut(Meeting)) {
    let folded = model.fold(params);
    let mut first = true;
    watch(model, params, data, |Seen { sources, chunk, .. }| {
        if std::mem::take(&mut first) {
            let maps: Vec<_> = sources.iter().map(|source| teacher.map(source.image)).collect();
            let taught = sources.iter().zip(&maps);
            let taught = taught.map(|(source, map)| Source { map: &map.projected, keys: &map.keys, ..*source });
            each(Meeting { network: NetworkOn::cpu(model, &folded), sources, taught: taught.collect(), chunk });
        }
    });
}

/// Distances and gradients are zero, to the last bit: only the entropy of the weights is left.
#[test]
fn a_pupil_like_its_teacher_has_nothing_to_learn() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    for config in [config(), config().shift_add()] {
        let (model, params) = network(config, 5);
        let teacher = Teacher::new(model.clone(), &params);
        let mut met = 0;
        meet(&data, (&model, &params), &teacher, |meeting| {
            let (pupil, chunk) = (meeting.pupil(), meeting.chunk);
            for taught in [None, Some(&meeting.taught[..])] {
                let (loss, d_rgb, d_logits, d_states, d_tokens) =
                    learn(&teacher, taught, &pupil, chunk, Distillation { weights: 0.0, ..ALL });
                assert_eq!(loss, 0.0);
                assert!(d_rgb.iter().chain(&d_logits).chain(&d_tokens).all(|d| *d == 0.0));
                assert_eq!((d_states.len(), d_tokens.is_empty()), (4 * config.depth, taught.is_none()));
                assert!(d_states.iter().flatten().all(|d| *d == 0.0));
                let (loss, _, d_logits, ..) = learn(&teacher, taught, &pupil, chunk, ALL);
                let weights = &pupil.trunk.head.ray_weights;
                let entropy: f64 = weights.iter().map(|w| -f64::from(w * w.max(1e-12).ln())).sum();
                let want = f64::from(ALL.weights * SHARE) * entropy / chunk.rays.len() as f64;
                assert!((loss - want).abs() < 1e-5 * want, "{loss}, expected {want}");
                assert_eq!(d_logits.len(), weights.len());
                assert!(d_logits.iter().all(|d| *d == 0.0));
            }
            met += 1;
        });
        assert_eq!(met, 1);
    }
}

/// The gradient of `loss(nudge)` at 0 by differences; all but the weights' part are squares, for which any nudge is
/// exact, so it is chosen large against rounding.
fn slope(loss: impl Fn(f32) -> f64, nudge: f32) -> f64 {
    (loss(nudge) - loss(-nudge)) / (2.0 * f64::from(nudge))
}

#[test]
fn gradients_match_differences() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let (dense, dense_params) = network(config(), 5);
    let teacher = Teacher::new(dense, &dense_params);
    let (model, params) = network(config().shift_add(), 6);
    meet(&data, (&model, &params), &teacher, |meeting| {
        let (pupil, chunk, own) = (meeting.pupil(), meeting.chunk, &meeting.taught[..]);
        let mut rng = SplitMix(2);
        let (_, d_rgb, d_logits, d_states, _) = learn(&teacher, None, &pupil, chunk, ALL);
        let (.., d_tokens) = learn(&teacher, Some(own), &pupil, chunk, ALL);
        let check =
            |what: &str, got: f32, taught: Option<&[Source]>, nudge: f32, change: &dyn Fn(&mut Workspace, f32)| {
                let loss = |by: f32| {
                    let mut moved = meeting.pupil();
                    change(&mut moved, by);
                    learn(&teacher, taught, &moved, chunk, ALL).0
                };
                let want = slope(loss, nudge);
                assert!((f64::from(got) - want).abs() < 1e-3 * want.abs() + 1e-7, "{what}: {got}, differences {want}");
            };
        for _ in 0..5 {
            let i = rng.below(d_rgb.len());
            check("colour", d_rgb[i], None, 0.5, &|w, by| w.trunk.head.rgb[i] += by);
            let (place, at) = (rng.below(d_states.len()), rng.below(d_states[0].len()));
            check("state", d_states[place][at], None, 8.0, &|w, by| w.trunk.states[place][at] += by);
            let i = rng.below(d_tokens.len());
            check("token", d_tokens[i], Some(own), 8.0, &|w, by| w.tokens.shared.tokens[i] += by);
            let i = rng.below(d_logits.len());
            check("logit", d_logits[i], None, 0.05, &|w, by| {
                let ray = i / chunk.samples() * chunk.samples();
                let weights = &mut w.trunk.head.ray_weights[ray..][..chunk.samples()];
                weights[i - ray] *= by.exp();
                let sum: f32 = weights.iter().sum();
                weights.iter_mut().for_each(|w| *w /= sum);
            });
        }
    });
}

/// A lesson adds to the gradients of colours and logits that are there.
#[test]
fn gradients_are_added() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let (dense, dense_params) = network(config(), 5);
    let teacher = Teacher::new(dense, &dense_params);
    let (model, params) = network(config(), 6);
    meet(&data, (&model, &params), &teacher, |meeting| {
        let (pupil, chunk) = (meeting.pupil(), meeting.chunk);
        let (_, d_rgb, d_logits, ..) = learn(&teacher, None, &pupil, chunk, ALL);
        let (mut rgb, mut logits) = (vec![1.0; d_rgb.len()], vec![-1.0; d_logits.len()]);
        add_lesson(&mut Lesson::default(), (&teacher, None), &pupil, chunk, ALL, (&mut rgb, &mut logits, true));
        assert_eq!(rgb, d_rgb.iter().map(|d| 1.0 + d).collect::<Vec<_>>());
        assert_eq!(logits, d_logits.iter().map(|d| -1.0 + d).collect::<Vec<_>>());
    });
}

/// A run of the ShiftAdd network that comes from a dense one, which teaches it.
fn start(data: &Dataset, options: RunOptions) -> Run {
    let (dense, params) = network(config(), 5);
    let (pupil, start) = convert(&dense, &params, config().shift_add(), &stats(&dense, &params, data), 1).unwrap();
    let checkpoint = Checkpoint::from_params(&pupil.config, &pupil.layout, &start);
    Run::start(pupil.config, options, Some(checkpoint)).unwrap().with_teacher(teacher()).unwrap()
}

fn teacher() -> Teacher {
    let (dense, params) = network(config(), 5);
    Teacher::new(dense, &params)
}

fn taught_options(freeze_features: bool) -> RunOptions {
    RunOptions { freeze_features, distillation: ALL, balance: Some(([0.6, 0.4], 0.01)), ..options() }
}

#[test]
fn a_resumed_lesson_equals_an_uninterrupted_one_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(&dir.path().join("data"));
    for freeze in [true, false] {
        let place = |name: &str| dir.path().join(format!("{name}-{freeze}"));
        let (whole, parts) = (place("whole"), place("parts"));
        start(&data, taught_options(freeze)).train(&data, &plan(&whole, 6, 2), |_| {}).unwrap();
        start(&data, taught_options(freeze)).train(&data, &plan(&parts, 3, 2), |_| {}).unwrap();
        let resumed = Run::resume(&parts).unwrap().with_teacher(teacher());
        resumed.unwrap().train(&data, &plan(&parts, 6, 1), |_| {}).unwrap();
        for file in [STATE_FILE, MODEL_FILE] {
            let read = |run: &std::path::Path| std::fs::read(run.join(file)).unwrap();
            assert!(read(&whole) == read(&parts), "{file} differs, features frozen: {freeze}");
        }
        let log = std::fs::read_to_string(whole.join(LOG_FILE)).unwrap();
        for line in log.lines() {
            let line: LogLine = serde_json::from_str(line).unwrap();
            assert!(line.distillation > 0.0 && (0.05..0.95).contains(&line.multiply_share), "{line:?}");
        }
    }
}

/// Neither the feature network nor the layers that make tokens move, also not in the average, and all else does.
#[test]
fn frozen_features_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let mut run = start(&data, taught_options(true));
    let before = run.state().params.clone();
    for _ in 0..3 {
        run.step(&data, 2).unwrap();
    }
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let mut frozen = 0;
    for entry in run.model().layout.entries() {
        let old = bits(entry.slot.of(&before));
        let [now, average] = [&run.state().params, &run.state().average].map(|p| bits(entry.slot.of(p)));
        if entry.name.starts_with("feature_net.") || entry.name.starts_with("net_coarse.rgbfeat_fc.") {
            frozen += 1;
            assert!(old == now && old == average, "{} moved", entry.name);
        } else {
            assert!(old != now && old != average, "{} stayed", entry.name);
        }
    }
    assert!(frozen > 20, "{frozen}");
    // Without the option they do move.
    let mut run = start(&data, taught_options(false));
    run.step(&data, 2).unwrap();
    let moved = |name: &str| {
        let slot = run.model().layout.find(name).unwrap().slot;
        slot.of(&run.state().params) != slot.of(&before)
    };
    assert!(moved("feature_net.conv1.weight") && moved("net_coarse.rgbfeat_fc.2.weight"));
}

#[test]
fn a_pupil_comes_closer_to_its_teacher() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    for freeze in [true, false] {
        // Without the weights' part, of which the teacher's entropy would remain.
        let distillation = Distillation { weights: 0.0, ..ALL };
        let mut run = start(&data, RunOptions { distillation, ..taught_options(freeze) });
        let distances: Vec<f64> = (0..30).map(|_| run.step(&data, 2).unwrap().0.distillation).collect();
        let (early, late): (f64, f64) = (distances[..6].iter().sum(), distances[24..].iter().sum());
        assert!(late < 0.9 * early, "{early} to {late}, features frozen: {freeze}");
    }
}

#[test]
fn teachers_of_another_outline_are_refused() {
    let (dense, params) = network(config(), 5);
    let refusal = |pupil: gnt::Config, options: RunOptions, teacher: Teacher| {
        Run::start(pupil, options, None).unwrap().with_teacher(teacher).unwrap_err().to_string()
    };
    for pupil in [
        gnt::Config { depth: 1, ..config() },
        gnt::Config { width: 32, ..config() },
        gnt::Config { axes: gnt::Axes::World, ..config() },
        gnt::Config { features: gnt::FeatureConfig { stem_stride: 1, ..config().features }, ..config() },
    ] {
        let message = refusal(pupil, options(), Teacher::new(dense.clone(), &params));
        assert!(message.contains("teacher: expected the pupil's outline"), "{message}");
    }
    let (codes, params) = network(config().shift_add(), 5);
    let message = refusal(config(), taught_options(true), Teacher::new(codes, &params));
    assert!(message.contains("Subtract") && message.contains("Hamming"), "{message}");
}

/// A teacher may itself read keys, of its own features or, where they are frozen, of the pupil's.
#[test]
fn teachers_may_be_shift_add() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    for freeze in [true, false] {
        let (codes, params) = network(config().shift_add(), 5);
        let mut run = Run::start(config().shift_add(), taught_options(freeze), None).unwrap();
        run = run.with_teacher(Teacher::new(codes, &params)).unwrap();
        let (losses, norm) = run.step(&data, 2).unwrap();
        assert!(losses.distillation > 0.0 && norm.is_finite(), "{losses:?}, {norm}");
    }
}
