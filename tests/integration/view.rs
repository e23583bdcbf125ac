//! The viewer: with a real window in an X server of its own, without a window, and where it cannot be opened.

use super::support::{Place, pixels};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// An X server without a screen.
struct Server {
    child: Child,
    display: String,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "900x700x24", "-nolisten", "tcp"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("Xvfb is installed");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, display: format!(":{}", line.trim()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script(place: &Place, steps: &str) {
    fs::write(place.path("script.json"), steps).unwrap();
}

/// Moves, resizes, toggles, loses the device, saves screenshots, records a path and renders it, in a real window.
#[test]
#[ignore = "needs a display: Xvfb, and lavapipe of mesa-vulkan-drivers"]
fn needs_display_a_window_follows_a_script() {
    let (place, server) = (Place::with_scene(6), Server::start());
    script(
        &place,
        r#"[
        {"wait": "picture"}, {"wait": "full"}, {"wait": "photographs"}, {"wait": {"seconds": 1}}, {"wait": {"seconds": 3}},
        {"drag": {"pixels": [120, 20], "seconds": 0.5}}, {"wait": "full"},
        {"do": {"screenshot": "turned.png"}}, {"wait": "screenshots"},
        {"do": "add_key"}, {"press": "f"}, {"wait": "rest"}, {"do": "add_key"},
        {"resize": [300, 220]}, {"wait": "full"}, {"resize": [0, 0]}, {"wait": {"seconds": 0.3}}, {"resize": [260, 200]},
        {"press": "p"}, {"press": "c"}, {"press": "2"}, {"do": {"toggle_view": 1}}, {"wait": "full"},
        {"snap": "depth.png"}, {"press": "1"}, {"press": "h"}, {"wait": {"seconds": 0.2}}, {"snap": "help.png"},
        {"press": "escape"}, {"do": {"path_seconds": 0.2}}, {"do": {"save_path": "path.json"}},
        {"do": {"render_path": "flight"}}, {"drag": {"pixels": [-60, 0], "seconds": 0.3}}, {"wait": "path"},
        {"do": "lose_device"}, {"wait": "full"}, {"snap": "again.png"}, {"do": {"show": "error"}},
        {"do": {"go_to_view": 2}}, {"wait": "full"}, {"snap": "error.png"}, {"do": {"show": "colour"}},
        {"do": "add_key"}, {"do": {"render_path": "flight"}}, {"do": {"screenshot": "turned.png"}}, {"do": "close"},
        {"wait": {"seconds": 0.2}}, {"snap": "asked.png"}, {"do": "stay"}, {"do": {"save_path": "path-2.json"}},
        {"do": "close"}, {"do": "close_when_done"}, {"wait": {"seconds": 500}}
        ]"#,
    );
    let mut command = place.command("view scenes/tiny --size 420x260 --device cpu --script script.json");
    command.env("DISPLAY", &server.display).env_remove("WAYLAND_DISPLAY").env("XDG_RUNTIME_DIR", place.path(""));
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["first_picture_seconds"].as_f64().unwrap() > 0.0, "{report}");
    assert_eq!(report["drags"].as_array().unwrap().len(), 2);
    assert!(report["drags"][0]["frames"].as_u64().unwrap() > 2, "{report}");
    // A window in which nothing goes on is not drawn again and again.
    assert!(report["frames_in_pauses"][1].as_u64().unwrap() < 20, "{report}");
    // The panel takes its part of the window; without it the picture is all of it.
    let turned = pixels(&place.path("turned.png"));
    assert!(turned.width < 420 && turned.height == 260, "{}x{}", turned.width, turned.height);
    for name in ["depth.png", "help.png", "again.png", "error.png", "asked.png"] {
        let image = pixels(&place.path(name));
        assert_eq!((image.width, image.height), (260, 200), "{name}");
        let mean = image.data.iter().sum::<f32>() / image.data.len() as f32;
        let spread = image.data.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / image.data.len() as f32;
        assert!(spread > 1e-3, "{name} shows something: {spread}");
    }
    assert_ne!(pixels(&place.path("depth.png")), pixels(&place.path("help.png")));
    // What was under way when the viewer was to be closed is there, and nothing that was there before was replaced.
    assert_eq!(place.list("flight-2").len(), 5);
    assert_eq!(pixels(&place.path("turned-2.png")).height, 200);
    // The path was rendered by the viewer, and renders the same way from its file.
    assert_eq!(place.list("flight").len(), 5);
    place.ok("render scenes/tiny --path path.json -o again --device cpu -q");
    let frames = place.list("again").into_iter().filter(|name| name.ends_with(".png"));
    assert_eq!(frames.collect::<Vec<_>>(), place.list("flight"));
    for name in place.list("flight") {
        let (ours, theirs) = (place.path("flight").join(&name), place.path("again").join(&name));
        let (ours, theirs) = (pixels(&ours), pixels(&theirs));
        assert_eq!((ours.width, ours.height), (theirs.width, theirs.height));
    }
    place.assert_no_litter();
}

/// The same pipeline without a window: the complete picture is the one that `render` makes.
#[test]
#[ignore = "needs a graphics adapter, such as lavapipe of mesa-vulkan-drivers"]
fn needs_adapter_pictures_without_a_window_are_those_of_render() {
    let place = Place::with_scene(6);
    let report = place.json("view scenes/tiny --headless --frames 2 -o pictures --device cpu");
    assert_eq!(report["level_seconds"].as_array().unwrap().len(), 2);
    place.ok("render scenes/tiny --frames 2 -o frames --device cpu -q");
    for name in ["frame_0000.png", "frame_0001.png"] {
        let (ours, theirs) = (pixels(&place.path("pictures").join(name)), pixels(&place.path("frames").join(name)));
        assert_eq!((ours.width, ours.height), (theirs.width, theirs.height));
        let off = ours.data.iter().zip(&theirs.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // The camera went through other arithmetic: a step of 8 bits or two.
        assert!(off < 0.02, "{name}: {off}");
    }
    place.assert_no_litter();
}

/// Without a display one message says what is missing.
#[test]
fn without_a_display_it_says_so() {
    let place = Place::with_scene(3);
    if cfg!(not(feature = "viewer")) {
        place.fails(1, "view scenes/tiny", &["feature `viewer`"]);
        return;
    }
    let mut command = place.command("view scenes/tiny --device cpu");
    let output = command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("error: window: ") && errors.contains("--headless"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn wrong_arguments_are_told() {
    let place = Place::with_scene(3);
    place.fails(2, "view scenes/tiny --frames 3", &["--headless"]);
    if cfg!(feature = "viewer") {
        fs::write(place.path("bad.json"), "[{\"jump\": 1}]").unwrap();
        place.fails(1, "view scenes/tiny --headless --script bad.json", &["bad.json", "jump"]);
        fs::write(place.path("large.json"), "[{\"resize\": [99999, 9]}]").unwrap();
        place.fails(1, "view scenes/tiny --headless --script large.json", &["large.json", "resize", "99999x9"]);
        place.fails(1, "view scenes/tiny --headless -o scenes/tiny/images", &["--out"]);
        place.fails(2, "view scenes/tiny --headless", &["--out DIR"]);
    }
}
