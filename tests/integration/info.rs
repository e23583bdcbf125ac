//! `shiftray info`.

use crate::support::Place;

#[test]
fn tells_what_is_built_in() {
    let place = Place::new();
    let text = place.ok("info");
    assert!(text.contains(env!("CARGO_PKG_VERSION")) && text.contains("gnt-dense"), "{text}");
    let info = place.json("info --json");
    assert!(info["threads"].as_u64().unwrap() > 0);
    let cpu_level = info["cpu_level"].as_str().unwrap();
    assert!(compute::Isa::available().any(|isa| isa.name() == cpu_level), "{cpu_level}");
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
    assert!(operations.get("rendered_shift_shares").is_none());
    let text = place.ok("info --model gnt-dense");
    assert!(
        text.contains("folded") && text.contains("not measured") && text.contains(&parameters["total"].to_string()),
        "{text}"
    );
}

/// Where a network's routers send the rows is measured on pictures, written into its file, and counted.
#[test]
fn measures_how_rows_are_routed() {
    let place = Place::with_scene(9);
    let line = "info --model gnt-shiftadd --measure-shares tiny --out measured.safetensors --json";
    let measured = place.json(line)["model"].clone();
    let shares = measured["operations"]["rendered_shift_shares"].as_array().unwrap();
    assert_eq!(shares.len(), 4, "two feed-forward parts in each of two blocks");
    assert!(shares.iter().all(|share| (0.0..=1.0).contains(&share.as_f64().unwrap())), "{shares:?}");
    // The file tells the same, and is the same network.
    let told = place.json("info --model measured.safetensors --json")["model"].clone();
    assert_eq!((&told["parameters"], &told["config"]), (&measured["parameters"], &measured["config"]));
    assert_eq!(told["operations"]["before"], measured["operations"]["before"]);
    let counted = |model: &serde_json::Value| model["operations"]["after"]["total"]["shifts"].as_f64().unwrap();
    assert!((counted(&told) / counted(&measured) - 1.0).abs() < 1e-4, "shares are kept with six digits");
    // A second measurement gives the same file, whatever the number of threads.
    let bytes = std::fs::read(place.path("measured.safetensors")).unwrap();
    place.ok("info --model measured.safetensors --measure-shares tiny --out again.safetensors");
    assert!(std::fs::read(place.path("again.safetensors")).unwrap() == bytes);
    let text = place.ok("info --model measured.safetensors");
    assert!(text.contains("Rows in experts of shifts, as pictures were rendered"), "{text}");
    place.fails(1, "info --model gnt-dense --measure-shares tiny", &["--measure-shares", "experts"]);
    place.fails(2, "info --measure-shares tiny", &["--model"]);
    place.fails(2, "info --model gnt-shiftadd --out x", &["--measure-shares"]);
}
