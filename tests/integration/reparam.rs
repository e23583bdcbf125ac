//! `shiftray reparam`, from a tiny dense model.

use crate::support::{Place, TINY};
use std::fs;

/// All pieces in two stages of a few steps. Latencies are given, since measured ones differ from run to run.
const STAGES: &str = "--stages ray+view,shift+experts --alpha 6:4";
const CHEAP: &str = "--data scenes --steps 3 --rays 31 --views 1 3 --seed 5";

/// A folder with a scene and the dense model `dense/model.safetensors`.
fn place() -> Place {
    let place = Place::with_scene(4);
    fs::write(place.path("tiny.json"), TINY).unwrap();
    place.ok("train --data scenes --out dense --config tiny.json --steps 2 --rays 31 --views 1 3");
    place
}

fn line(out: &str) -> String {
    format!("reparam --model dense/model.safetensors --out {out} {CHEAP} {STAGES}")
}

#[test]
fn a_dense_model_becomes_one_of_codes_shifts_and_experts() {
    let place = place();
    place.ok(&line("run"));
    assert_eq!(place.list("run"), ["1-ray+view", "2-shift+experts", "model.safetensors", "options.json"]);
    for stage in ["1-ray+view", "2-shift+experts"] {
        assert_eq!(place.list(&format!("run/{stage}")), ["model.safetensors", "state.safetensors"]);
    }
    place.assert_no_litter();

    let info = place.json("info --model run/model.safetensors --json");
    let config = &info["model"]["config"];
    let bits = serde_json::json!({"bits": 4});
    assert_eq!((&config["ray_attention"], &config["view_attention"]), (&"hamming".into(), &"hamming".into()));
    assert_eq!((&config["linears"]["shift"], &config["mlp"]["experts"]), (&bits, &bits));
    assert_eq!(config["width"], 16);
    let shifts = |network: &str| info["model"]["operations"][network]["total"]["shifts"].as_u64().unwrap();
    assert!(shifts("before") == 0 && shifts("after") > 0, "{info}");

    // Packed: codes in place of floats for shift layers only, so that less than half of the bytes are left, names aside.
    let packed = fs::read(place.path("run/model.safetensors")).unwrap();
    let floats = fs::read(place.path("run/2-shift+experts/model.safetensors")).unwrap();
    let holds = |bytes: &[u8], name: &str| bytes.windows(name.len()).any(|w| w == name.as_bytes());
    for part in ["view_crosstrans.0.attn.q_fc", "view_selftrans.0.attn.v_fc", "view_crosstrans.0.shift.fc1"] {
        let name = format!("net_coarse.{part}.weight.codes");
        assert!(holds(&packed, &name) && !holds(&floats, &name), "{name}");
    }
    assert!(!holds(&packed, "net_coarse.view_crosstrans.0.mult.fc1.weight.codes"));
    let weights = |bytes: &[u8]| {
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        bytes.len() - 8 - header
    };
    assert!(2 * weights(&packed) < weights(&floats), "{} of {} bytes", weights(&packed), weights(&floats));
    assert!(holds(&packed, "reparameterised from model.safetensors"));
    assert!(holds(&packed, "0.6000:0.4000"));
    // Where rows go in pictures was measured: one share for each of the two feed-forward parts.
    let shares = info["model"]["operations"]["rendered_shift_shares"].as_array().unwrap();
    assert_eq!(shares.len(), 2, "{info}");

    place.ok("render --scene tiny --out out --model run/model.safetensors --frames 1 --size 9x7 --device cpu");
    assert_eq!(place.list("out"), ["frame_0000.png", "frames.jsonl", "path.json"]);
}

#[test]
fn the_same_command_again_does_nothing() {
    let place = place();
    place.ok(&line("run"));
    let files = ["model.safetensors", "1-ray+view/state.safetensors", "2-shift+experts/state.safetensors"];
    let read = || files.map(|file| fs::read(place.path(&format!("run/{file}"))).unwrap());
    let written =
        || files[1..].iter().map(|f| fs::metadata(place.path(&format!("run/{f}"))).unwrap().modified().unwrap());
    let (before, times) = (read(), written().collect::<Vec<_>>());
    place.ok(&line("run"));
    assert!(read() == before, "a finished run was changed");
    assert_eq!(written().collect::<Vec<_>>(), times, "a finished stage was written again");
    // The folder is not taken for another command's.
    for (option, wanted) in [
        ("--bits 5", "--bits: expected 5, found 4"),
        ("--distil 0.5", "--distil: expected 0.5, found 0.1"),
        ("--balance 0.5", "--balance: expected 0.5, found 0.01"),
        ("--rate 0.5", "--rate: expected 0.5, found 0.001"),
        ("--train-features", "--train-features: expected true, found false"),
    ] {
        place.fails(1, &format!("{} {option}", line("run")), &["run", wanted]);
    }
    let other = line("run").replace("--seed 5", "--seed 6").replace("--steps 3", "--steps 4");
    place.fails(1, &other, &["--seed: expected 6, found 5", "--steps: expected 4, found 3"]);
    place.ok("train --data scenes --out other --config tiny.json --steps 3 --rays 31 --views 1 3");
    place.fails(1, &line("run").replace("dense/", "other/"), &["--model: expected model.safetensors (", "found"]);
    place.fails(1, &other, &["run", "choose another folder"]);
    assert!(read()[1..] == before[1..]);
    // Stages without the options that they were trained with are not gone on with.
    fs::remove_file(place.path("run/options.json")).unwrap();
    place.fails(1, &line("run"), &["found model.safetensors and no options.json", "choose another folder"]);
    fs::remove_file(place.path("run/model.safetensors")).unwrap();
    place.fails(1, &line("run"), &["found 1-ray+view and no options.json", "choose another folder"]);
    assert_eq!(place.list("run"), ["1-ray+view", "2-shift+experts"]);
    place.fails(1, &line("other"), &["other", "shiftray reparam", "found that of shiftray train"]);
}

/// A run that is stopped before its first step, and then again and again, ends with the bits of one that is not.
#[test]
fn an_interrupted_run_equals_an_uninterrupted_one() {
    let place = place();
    place.ok(&format!("{} --threads 2", line("whole")));
    let brief = |minutes: f64| {
        let output = place.run(&format!("{} --threads 1 --minutes {minutes}", line("parts")));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        errors
    };
    let errors = brief(0.0);
    assert!(errors.contains("stopped at step 0 of stage ray+view; the same command goes on"), "{errors}");
    assert_eq!(place.list("parts"), ["1-ray+view", "options.json"]);
    // A little more time with each try, so that a slow machine gets there too.
    let mut minutes = 2e-5;
    while !brief(minutes).contains("model in parts/model.safetensors") {
        assert!(minutes < 1.0, "no progress");
        minutes *= 1.6;
    }
    for file in ["model.safetensors", "1-ray+view/state.safetensors", "2-shift+experts/state.safetensors"] {
        let read = |run: &str| fs::read(place.path(&format!("{run}/{file}"))).unwrap();
        assert!(read("whole") == read("parts"), "{file} differs");
    }
    place.assert_no_litter();
}

/// Exponents and signs are trained where asked for, and kept with the run.
#[test]
fn shift_layers_train_in_either_form() {
    let place = place();
    let run = |form: &str| {
        let stages = "--stages shift+mlp-shift --bits 5 --rate 0.1";
        place.ok(&format!("reparam --model dense/model.safetensors --out {form} {CHEAP} {stages} --form {form}"));
        let state = fs::read(place.path(&format!("{form}/1-shift+mlp-shift/state.safetensors"))).unwrap();
        let holds = state.windows(9).any(|w| w == b"ps.values");
        (holds, fs::read(place.path(&format!("{form}/model.safetensors"))).unwrap())
    };
    let ((q_holds, q), (ps_holds, ps)) = (run("q"), run("ps"));
    assert!(!q_holds && ps_holds);
    assert!(q != ps, "both forms gave the same model");
    for form in ["q", "ps"] {
        let info = place.json(&format!("info --model {form}/model.safetensors --json"));
        assert_eq!(info["model"]["config"]["mlp"]["shift"]["bits"], 5);
    }
}

#[test]
fn bad_requests_are_refused() {
    let place = place();
    let base = format!("reparam --model dense/model.safetensors --out run {CHEAP}");
    place.fails(2, &format!("{base} --stages ray,nothing"), &["--stages", "\"nothing\"", "ray-linear", "experts"]);
    place.fails(2, &format!("{base} --stages ray+"), &["--stages", "\"\""]);
    for alpha in ["6", "0:1", "6:-4", "a:b", "nan:1"] {
        place.fails(2, &format!("{base} --alpha {alpha}"), &["--alpha", "two positive numbers", alpha]);
    }
    place.fails(2, &format!("{base} --bits 3"), &["--bits", "3"]);
    place.fails(2, &format!("{base} --form x"), &["--form", "q", "ps"]);
    place.fails(1, &base.replace("dense/model", "none"), &["none.safetensors", "gnt-dense"]);
    place.fails(1, &base.replace("--data scenes", "--data empty"), &["empty"]);
    for samples in [0, 1, 5000] {
        let wanted = format!("found {samples}");
        place.fails(1, &format!("{base} --samples {samples}"), &["--samples", "2 to 4096", &wanted]);
    }
    place.fails(1, &base.replace("--views 1 3", "--views 3 1"), &["MIN"]);
    for option in ["--rate nan", "--distil -1", "--balance inf", "--depth-weight nan", "--scenes 0", "--minutes nan"] {
        let name = option.split(' ').next().unwrap();
        place.fails(2, &format!("{base} {}", option.replace(" -", "=-")), &[name]);
    }
    // Later stages are checked before the first is trained.
    place.fails(1, &format!("{base} --stages ray,experts,ray-linear"), &["--stages: ray-linear", "turned back"]);
    assert!(!place.path("run").exists());
}

/// What has been replaced cannot be replaced again: the model must be dense, or what it is is said.
#[test]
fn models_that_are_not_dense_are_refused() {
    let place = place();
    place.ok(&format!("reparam --model dense/model.safetensors --out run {CHEAP} --stages ray+experts --alpha 6:4"));
    let line = |model: &str| format!("reparam --model {model} --out again {CHEAP} --stages view");
    let wanted = ["run/model.safetensors", "expected a dense model", "Hamming attention along rays", "experts"];
    place.fails(1, &line("run/model.safetensors"), &wanted);
    place.fails(1, &line("gnt-shiftadd"), &["gnt-shiftadd", "dense", "shift layers", "experts"]);
    assert!(!place.path("again").exists());
}

/// Depth maps that cannot be read are found before anything is written, also where the folder was there.
#[test]
fn a_failed_run_leaves_nothing() {
    let place = place();
    for i in 0..4 {
        fs::write(place.path(&format!("scenes/tiny/depth/{i:03}.npy")), b"not an array").unwrap();
    }
    place.fails(1, &line("run"), &["npy"]);
    assert!(!place.path("run").exists());
    fs::create_dir(place.path("run")).unwrap();
    place.fails(1, &line("run"), &["npy"]);
    assert!(place.list("run").is_empty());
}
