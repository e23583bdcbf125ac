//! `shiftray selftest` of the processor; devices are tested by its unit tests and on machines that have one.

use crate::support::Place;

#[test]
fn the_processor_passes() {
    let place = Place::new();
    let report = place.json("selftest --device cpu --quick --json");
    assert_eq!((&report["device"], &report["passed"], &report["failed"]), (&"cpu".into(), &true.into(), &0.into()));
    let checks = report["checks"].as_array().unwrap();
    assert!(report["judged"].as_u64().unwrap() >= 16 && checks.len() >= 16, "{report}");
    assert!(checks.iter().all(|check| check["found"].is_number() && check["passed"] == true), "{report}");
}
