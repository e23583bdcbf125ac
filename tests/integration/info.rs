//! `shiftray info`.

use crate::support::Place;

#[test]
fn tells_what_is_built_in() {
    let place = Place::new();
    let text = place.ok("info");
    assert!(text.contains(env!("CARGO_PKG_VERSION")) && text.contains("gnt-dense"), "{text}");
    let info = place.json("info --json");
    assert!(info["threads"].as_u64().unwrap() > 0);
    assert!(["portable", "avx2", "avx512"].contains(&info["cpu_level"].as_str().unwrap()));
    assert!(info.get("model").is_none());
}

#[test]
fn tells_what_a_model_holds() {
    let place = Place::new();
    let info = place.json("info --model gnt-dense --json");
    let model = &info["model"];
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let parameters = &model["parameters"];
    assert_eq!(number(&parameters["transformer"]) + number(&parameters["features"]), number(&parameters["total"]));
    assert_eq!(number(&model["bytes"]), 4 * number(&parameters["total"]));
    let operations = &model["operations"];
    assert_eq!(operations["samples"], model["config"]["samples"]);
    assert!(number(&operations["folded_total"]) < number(&operations["plain_total"]));
    let text = place.ok("info --model gnt-dense");
    assert!(text.contains("folded") && text.contains(&parameters["total"].to_string()), "{text}");
}
