//! Real photographs, where `SHIFTRAY_SCENES` names them.

use crate::support::Place;

/// A plane sweep without any learning reaches 20.8 dB on these photographs.
#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn held_out_views_of_fern_are_better_than_a_plane_sweep() {
    let place = Place::new();
    let scenes = std::env::var("SHIFTRAY_SCENES").expect("SHIFTRAY_SCENES names a folder of scenes");
    let root = std::fs::canonicalize(scenes).expect("SHIFTRAY_SCENES exists");
    let out = place.json(&format!(
        "render --scene llff/fern --scenes {} --factor 8 --path test --stride 6 --out frames --json",
        root.display()
    ));
    let names: Vec<&str> = out["frames"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["image000", "image008", "image016"]);
    assert!(out["mean_psnr"].as_f64().unwrap() > 21.5, "{}", out["mean_psnr"]);
}
