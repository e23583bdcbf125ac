//! A short run of the recipe by which the embedded networks were trained; `src/train/README.md` states its loss.

use crate::support::Place;
use std::fs;

/// The embedded network's kinds of parts, a quarter of its size.
const SMALL: &str = r#"{"width": 16, "depth": 2, "heads": 2, "mlp_ratio": 2, "attention_hidden": 8, "start": "stats",
    "position": {"ray": {"frequencies": 4}}, "head": "blend", "axes": "target", "visibility": true, "samples": 24, "views": 8,
    "features": {"stem_width": 16, "stem_stride": 1, "widths": [16, 16, 16], "blocks": [1, 1, 1], "channels": 16}}"#;

/// Steps of the run, and between lines of its log.
const STEPS: usize = 200;
const LINES: usize = 20;

/// Mean squared error of the last half that is stated. Measured: 0.0058; instruction sets round differently.
const STATED: f64 = 0.0064;

/// Scenes as captures are, guided steps, surface maps and depth, as for the embedded networks.
#[test]
fn a_short_run_reaches_the_stated_loss() {
    let place = Place::new();
    fs::write(place.path("small.json"), SMALL).unwrap();
    place.ok("synth --out corpus --scenes 6 --views 8 --size 96x72 --seed 500");
    place.ok(&format!(
        "train --data corpus --out run --config small.json --guided 12 --guided-share 0.75 --samples 24 --rays 128 \
         --views 4 6 --rate 3e-3 --depth-weight 0.005 --steps {STEPS} --seed 1 --log-every {LINES} --device cpu"
    ));
    let log = fs::read_to_string(place.path("run/log.jsonl")).unwrap();
    let colours: Vec<f64> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["colour"].as_f64().unwrap())
        .collect();
    assert_eq!(colours.len(), STEPS / LINES, "{log}");
    let mean = |lines: &[f64]| lines.iter().sum::<f64>() / lines.len() as f64;
    let (first, last) = (mean(&colours[..2]), mean(&colours[STEPS / LINES / 2..]));
    assert!(last < STATED && last < 0.75 * first, "mean squared error of the first steps {first}, of the last {last}");
}
