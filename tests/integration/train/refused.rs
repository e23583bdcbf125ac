//! What is refused at the start of a run, and what a run never writes to.

use super::*;

#[test]
fn images_too_small_for_the_network_are_refused_at_the_start() {
    let place = Place::with_synth("--views 4 --size 40x16");
    fs::write(place.path("tiny.json"), TINY).unwrap();
    let wanted = ["tiny", "000", "at least 17 pixels", "40x16"];
    place.fails(1, "train --data scenes --out run --config tiny.json --steps 2 --rays 3 --views 1 2", &wanted);
    assert!(!place.path("run").exists());
    let place = Place::with_synth("--views 4 --size 40x8");
    let wanted = ["tiny", "000", "at least 9 pixels", "40x8"];
    place.fails(1, "reparam --model gnt-dense --data scenes --out run --steps 2 --rays 3 --views 1 2", &wanted);
    assert!(!place.path("run").exists());
}

#[test]
fn numbers_are_checked() {
    let (place, line) = cheap();
    for option in [
        "--depth-weight nan",
        "--depth-weight -1",
        "--depth-weight inf",
        "--rate nan",
        "--rate 0",
        "--rate inf",
        "--rays 0",
        "--rays 99999999999999",
        "--samples 1",
        "--samples 5000",
        "--steps 0",
        "--minutes nan",
        "--minutes -1",
        "--save-every 0",
        "--log-every 0",
        "--threads 0",
    ] {
        let name = option.split(' ').next().unwrap();
        // Options that the line has already are replaced.
        let words: Vec<&str> = line.split(' ').collect();
        let line = match words.iter().position(|word| *word == name) {
            Some(at) => [&words[..at], &words[at + 2..]].concat().join(" "),
            None => line.clone(),
        };
        place.fails(2, &format!("{line} --out run {}", option.replace(" -", "=-")), &[name]);
    }
    place.fails(2, "train --data scenes --out run --steps 0", &["--steps", "a number of steps from 1 on", "\"0\""]);
    // Depth is learned by a head that blends colours alone.
    fs::write(place.path("mean.json"), TINY.replace("blend", "mean")).unwrap();
    let mean = line.replace("tiny.json", "mean.json");
    place.fails(1, &format!("{mean} --out run --depth-weight 0.1"), &["--depth-weight", "blends", "mean.json"]);
    assert!(!place.path("run").exists());
    place.ok(&format!("{mean} --out run"));
}

/// Heads of more channels than a code has bits would train, and could not be rendered.
#[test]
fn networks_that_could_not_be_rendered_are_not_trained() {
    let (place, line) = cheap();
    let wide = TINY.replace("\"width\": 16", "\"width\": 128").replace("\"heads\": 2", "\"heads\": 1");
    let coded = wide.replace("\"head\"", "\"ray_attention\": \"hamming\", \"head\"");
    fs::write(place.path("wide.json"), coded).unwrap();
    place.fails(1, &format!("{} --out run", line.replace("tiny", "wide")), &["wide.json", "heads", "at most 64"]);
    fs::write(place.path("wide.json"), wide).unwrap();
    place.ok(&format!("{} --out dense", line.replace("tiny", "wide")));
    let reparam = "reparam --model dense/model.safetensors --out run --data scenes --steps 1 --rays 3 --views 1 2";
    place.fails(1, &format!("{reparam} --stages shift,ray"), &["--stages: ray", "at most 64"]);
    assert!(!place.path("run").exists(), "nothing is trained before all stages are known to fit");
}

#[cfg(unix)]
#[test]
fn links_and_devices_in_a_run_are_not_written_to() {
    use std::os::unix::fs::symlink;
    let (place, line) = cheap();
    for file in ["state.safetensors", "model.safetensors", "log.jsonl", "options.json"] {
        fs::create_dir(place.path("run")).unwrap();
        fs::write(place.path("mine"), b"mine").unwrap();
        symlink(place.path("mine"), place.path("run").join(file)).unwrap();
        let output = place.run(&format!("{line} --out run --log-every 1"));
        assert!(!output.status.success(), "{file}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(file), "{file}");
        assert_eq!(fs::read(place.path("mine")).unwrap(), b"mine", "{file}");
        fs::remove_dir_all(place.path("run")).unwrap();
    }
    place.ok(&format!("{line} --out run --stop-at 1"));
    for file in ["state.safetensors", "options.json"] {
        let path = place.path("run").join(file);
        let good = fs::read(&path).unwrap();
        for device in ["/dev/zero", "/dev/full"] {
            fs::remove_file(&path).unwrap();
            symlink(device, &path).unwrap();
            place.fails(1, "train --resume run", &[file, "device"]);
        }
        fs::remove_file(&path).unwrap();
        // A file of a terabyte that takes no room.
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        place.fails(1, "train --resume run", &[file]);
        fs::write(&path, good).unwrap();
    }
    for config in ["/dev/zero", "/dev/stdin"] {
        place.fails(1, &format!("{} --out other", line.replace("tiny.json", config)), &["--config", config]);
    }
    place.ok("train --resume run --device cpu");
}

#[test]
fn one_training_at_a_time_in_a_folder() {
    let (place, line) = cheap();
    let long = line.replace("--steps 2", "--steps 1000000");
    let mut first = place.command(&format!("{long} --out run")).stderr(std::process::Stdio::null()).spawn().unwrap();
    place.wait_for(&mut first, "run/state.safetensors");
    let output = place.run("train --resume run");
    first.kill().unwrap();
    first.wait().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("run") && errors.contains("shiftray train"), "{errors}");
    // The lock of a killed run is no obstacle.
    place.ok("train --resume run --stop-at 1 --device cpu");
}

/// What another command made is neither replaced nor taken for a part of the run.
#[test]
fn folders_of_other_commands_are_refused() {
    let (place, line) = cheap();
    place.ok("synth --out set --views 3 --size 24x18 --spp 1");
    place.ok(&format!("{line} --out dense"));
    let reparam = "reparam --model dense/model.safetensors --out shiftadd --data scenes --stages ray";
    place.ok(&format!("{reparam} --steps 1 --rays 3 --views 1 2"));
    for (folder, found) in [("set", "shiftray synth"), ("shiftadd", "shiftray reparam")] {
        let before = fs::read(place.path(&format!("{folder}/options.json"))).unwrap();
        let wanted = [folder, "options.json", found, "choose another folder"];
        place.fails(1, &format!("{line} --out {folder}"), &wanted);
        assert_eq!(fs::read(place.path(&format!("{folder}/options.json"))).unwrap(), before);
    }
    fs::create_dir(place.path("mine")).unwrap();
    fs::write(place.path("mine/model.safetensors"), b"mine").unwrap();
    let wanted = ["mine", "found model.safetensors and no state.safetensors", "choose another folder"];
    place.fails(1, &format!("{line} --out mine"), &wanted);
    assert_eq!(fs::read(place.path("mine/model.safetensors")).unwrap(), b"mine");
    assert_eq!(place.list("mine"), ["model.safetensors"]);
    // A run that was killed before its first state begins anew.
    fs::remove_file(place.path("dense/state.safetensors")).unwrap();
    fs::remove_file(place.path("dense/model.safetensors")).unwrap();
    place.ok(&format!("{line} --out dense"));
}
