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
    let [plain, before] = ["plain", "before"].map(|network| number(&operations[network]["total"]["multiplies"]));
    assert!(before < plain, "{before} multiplies of {plain} are left after folding");
    // A dense network is its own "before".
    assert_eq!(operations["after"], operations["before"]);
    assert_eq!(operations["after"]["ray_attention"]["shifts"], 0);
    let joules = |network: &str| model["energy"][network]["joules"].as_f64().unwrap();
    assert!(joules("before_8_bit") < joules("before") && joules("before") < joules("plain"));
    let text = place.ok("info --model gnt-dense");
    assert!(
        text.contains("folded") && text.contains("not measured") && text.contains(&parameters["total"].to_string()),
        "{text}"
    );
}
