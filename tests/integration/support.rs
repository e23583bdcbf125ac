//! A folder to work in, and the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A network that trains and renders in milliseconds.
pub const TINY: &str = r#"{"width": 16, "depth": 1, "heads": 2, "mlp_ratio": 1, "attention_hidden": 4,
    "start": "stats", "position": {"ray": {"frequencies": 2}}, "head": "blend", "samples": 8, "views": 4,
    "features": {"stem_width": 8, "stem_stride": 2, "widths": [8, 8, 8], "blocks": [1, 1, 1], "channels": 8}}"#;

/// A temporary folder; commands run in it.
pub struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// An empty folder.
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A folder with the scene `scenes/tiny`: `views` photographs of 64x48, called `000.png` and so on.
    pub fn with_scene(views: usize) -> Self {
        Self::with_rig(views, "forward")
    }

    /// As [`Place::with_scene`] with the views placed `forward` or in an `orbit`.
    pub fn with_rig(views: usize, rig: &str) -> Self {
        Self::with_synth(&format!("--views {views} --size 64x48 --rig {rig}"))
    }

    /// A folder with the scene `scenes/tiny`, made with `options` of `shiftray synth`.
    pub fn with_synth(options: &str) -> Self {
        let place = Self::new();
        place.ok(&format!("synth --out made --scenes 1 --spp 1 {options}"));
        fs::create_dir(place.path("scenes")).unwrap();
        fs::rename(place.path("made/scene_00000"), place.path("scenes/tiny")).unwrap();
        place
    }

    /// The scene `scenes/tiny` once more, as `scenes/NAME`.
    pub fn copy_scene(&self, name: &str) {
        let (from, to) = (self.path("scenes/tiny"), self.path("scenes").join(name));
        for entry in fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()) {
            let files = if entry.is_dir() { self.list(entry.to_str().unwrap()) } else { vec![String::new()] };
            for file in files {
                let source = if file.is_empty() { entry.clone() } else { entry.join(file) };
                let target = to.join(source.strip_prefix(&from).unwrap());
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::copy(source, target).unwrap();
            }
        }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program with arguments separated by spaces.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shiftray"));
        command.args(arguments.split_whitespace()).current_dir(self.dir.path());
        command.env_remove("SHIFTRAY_SCENES").stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed; returns its stdout.
    pub fn ok(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "shiftray {arguments}\n{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// As [`Place::ok`], for commands that print one JSON object.
    pub fn json(&self, arguments: &str) -> serde_json::Value {
        let text = self.ok(arguments);
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Runs the program, which must fail with this exit code, one line that starts with `error: ` and contains all of
    /// `wanted`, nothing on stdout, and no temporary file left. Returns stderr.
    pub fn fails(&self, code: i32, arguments: &str, wanted: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "shiftray {arguments}\n{errors}");
        assert!(output.stdout.is_empty(), "shiftray {arguments} wrote to stdout");
        assert_eq!(errors.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{errors}");
        assert!(!errors.contains("panicked") && !errors.contains("RUST_BACKTRACE"), "{errors}");
        let message = &errors[errors.find("error: ").unwrap()..];
        for text in wanted {
            assert!(message.contains(text), "shiftray {arguments}: expected {text:?} in\n{errors}");
        }
        self.assert_no_litter();
        errors
    }

    /// Waits until a file is there that `child`, which must still be at work, is about to make.
    pub fn wait_for(&self, child: &mut Child, file: &str) {
        while !self.path(file).exists() {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before it made {file}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Names of the files in a folder, sorted.
    pub fn list(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Checks that no temporary file is left anywhere.
    pub fn assert_no_litter(&self) {
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let name = entry.file_name().into_string().unwrap();
                assert!(!name.starts_with('.') && !name.contains(".tmp"), "left behind: {}", entry.path().display());
                if entry.path().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
    }
}

/// An image file's pixels.
pub fn pixels(path: &Path) -> scene::Image {
    scene::view::read_image(path, scene::Alpha::Ignore).unwrap()
}
