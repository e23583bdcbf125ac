//! `shiftray bench`: that it runs and says what it measured; the figures themselves are not checked.

use crate::support::Place;

const BRIEF: &str = "--seconds 0.1 --repeat 1 --size 64x48 --samples 8 --threads 1 --json";

#[test]
fn experts_are_reported_where_there_are_any() {
    let place = Place::new();
    let report = place.json(&format!("bench --random compact-shiftadd {BRIEF}"));
    assert_eq!((&report["model"], &report["samples"]), (&"random compact-shiftadd".into(), &8.into()));
    assert_eq!((&report["size"], &report["repetitions"]), (&serde_json::json!([64, 48]), &1.into()));
    for key in ["rays_per_second", "seconds_per_frame", "seconds_features"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}: {report}");
    }
    let share = report["multiply_expert_share"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&share), "{report}");
    let latencies = report["expert_nanoseconds_a_row"].as_array().unwrap();
    assert_eq!(latencies.len(), 2);
    assert!(latencies.iter().all(|l| l.as_f64().unwrap() > 0.0), "{report}");
    let shares = report["ray_stage_shares"].as_object().unwrap();
    let sum: f64 = shares.values().map(|s| s.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{report}");
}

#[test]
fn a_dense_network_has_no_experts() {
    let place = Place::new();
    place.fails(2, "bench --model gnt-dense --random full", &["--model", "--random"]);
    place.fails(2, "bench --seconds NaN", &["--seconds"]);
    let report = place.json(&format!("bench --random compact {BRIEF}"));
    assert!(report["rays_per_second"].as_f64().unwrap() > 0.0);
    assert!(report["multiply_expert_share"].is_null() && report["expert_nanoseconds_a_row"].is_null(), "{report}");
}

#[test]
fn guided_samples_are_measured_on_whole_frames() {
    let place = Place::new();
    let brief = BRIEF.replace("--samples 8", "");
    let report = place.json(&format!("bench --random compact {brief} --samples 4:7+5 --device cpu"));
    assert_eq!((&report["samples"], &report["guided"]), (&5.into(), &"4:7+5".into()));
    let frame = report["seconds_per_frame"].as_f64().unwrap();
    assert!((frame * report["rays_per_second"].as_f64().unwrap() - 64.0 * 48.0).abs() < 1e-3, "{report}");
    let report = place.json(&format!("bench --random compact {brief} --samples auto --device cpu"));
    assert_eq!((&report["samples"], &report["guided"]), (&12.into(), &"8:48+12".into()));
    assert!(place.json(&format!("bench --random compact {BRIEF}"))["guided"].is_null());
    place.fails(2, "bench --samples many", &["--samples", "auto", "CELL:COARSE+SAMPLES"]);
}

#[test]
fn the_default_model_is_measured() {
    let place = Place::new();
    assert_eq!(place.json(&format!("bench {BRIEF}"))["model"], "gnt-shiftadd");
    let help = place.ok("bench --help");
    assert!(help.contains("Examples:") && help.contains("[default: gnt-shiftadd]"), "{help}");
}
