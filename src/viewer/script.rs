//! Scripts: what a user would do, as a JSON list, for windows and without one; and the report of what came of it.

use crate::app::Command;
use crate::work::parts::Level;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Longest script, in bytes.
const LONGEST: u64 = 1 << 20;
/// Longest side of a window, in pixels.
const LARGEST: u32 = 16_384;

/// A step of a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A wish of the user.
    Do(Command),
    /// Presses a key by its name, such as `"h"` or `"right"`.
    Press(String),
    /// Drags over so many pixels, evenly in time; the frames meanwhile are counted in the report.
    Drag {
        /// Pixels to the right and downwards.
        pixels: [f64; 2],
        /// How long.
        seconds: f64,
    },
    /// Waits until something is there.
    Wait(Until),
    /// Gives the window another size, in pixels; 0 by 0 for none at all.
    Resize([u32; 2]),
    /// Saves the picture up to a level, without what is painted over it.
    Save(Level, PathBuf),
    /// Compares the picture, up to a level, with the photograph at which one stands.
    Measure(Level),
    /// Saves the window as it is, with everything that is painted over the picture.
    Snap(PathBuf),
    /// The memory of the process goes into the report.
    Memory,
    /// Does steps several times.
    Repeat(u32, Vec<Step>),
}

/// What a script waits for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// As many seconds.
    Seconds(f64),
    /// A first picture.
    Picture,
    /// The camera's rest.
    Rest,
    /// A complete picture of what is wanted.
    Full,
    /// All photographs with their depth.
    Photographs,
    /// The end of the path that is rendered.
    Path,
    /// All screenshots that were asked for.
    Screenshots,
}

/// Reads a script.
///
/// # Errors
/// [`Error::Script`] naming the file, if it cannot be read or understood.
pub fn load(path: &Path) -> Result<Vec<Step>> {
    let fail = |problem: String| Error::Script(format!("{}: {problem}", path.display()));
    let text = scene::file::read_text(path, LONGEST).map_err(|e| fail(e.to_string()))?;
    let steps: Vec<Step> = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    check(&steps).map_err(fail)?;
    Ok(steps)
}

/// Whether steps stay within what a window can do and a user would.
fn check(steps: &[Step]) -> std::result::Result<(), String> {
    for step in steps {
        match step {
            Step::Drag { pixels, seconds }
                if !(0.0..=3600.0).contains(seconds) || pixels.iter().any(|pixels| pixels.abs() > 1e6) =>
            {
                return Err(format!(
                    "drag: expected at most an hour and 1000000 pixels, found {seconds} and {pixels:?}"
                ));
            }
            Step::Resize([width, height]) if *width.max(height) > LARGEST => {
                return Err(format!("resize: expected at most {LARGEST} pixels, found {width}x{height}"));
            }
            Step::Repeat(_, steps) => check(steps)?,
            _ => {}
        }
    }
    Ok(())
}

/// How good a level's picture is.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The photograph.
    pub view: String,
    /// The highest level of the picture.
    pub level: Level,
    /// Likeness in dB.
    pub psnr: f64,
}

/// Frames while a script dragged.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Dragged {
    /// Frames.
    pub frames: usize,
    /// How long, in seconds.
    pub seconds: f64,
    /// Frames a second.
    pub frames_per_second: f64,
    /// Milliseconds from an input to the end of the frame that answers it: mean, 95 of 100, and worst.
    pub input_to_present_ms: [f64; 3],
    /// Milliseconds of processor time of all threads for a frame; of use where other processes take part of the cores.
    pub processor_ms: Option<f64>,
}

/// What came of a script.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The graphics adapter.
    pub adapter: String,
    /// Where the network runs.
    pub device: String,
    /// Width and height of the picture.
    pub size: [u32; 2],
    /// Seconds from the loaded scene to the first picture.
    pub first_picture_seconds: Option<f64>,
    /// Each drag.
    pub drags: Vec<Dragged>,
    /// Seconds from the camera's rest to every fourth, every second and every pixel, each time a script waited for it.
    pub level_seconds: Vec<[Option<f64>; 3]>,
    /// Likeness to photographs.
    pub measured: Vec<Measured>,
    /// Resident memory in MiB, each time a script asked.
    pub memory_mib: Vec<f64>,
    /// Frames drawn in each pause of some seconds: none, unless something goes on.
    pub frames_in_pauses: Vec<usize>,
    /// Frames drawn.
    pub frames: usize,
    /// Seconds that all took.
    pub seconds: f64,
}

/// Resident memory of the process in MiB; none where the system does not tell it as Linux does.
pub fn memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Seconds of processor time that all threads took so far; none where the system does not tell it as Linux does.
pub fn processor_seconds() -> Option<f64> {
    /// Ticks a second, which Linux shows to programs on every machine.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, which may hold spaces, ends with the last bracket.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::Kind;

    #[test]
    fn scripts_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let text = r#"[
            {"wait": "picture"}, {"drag": {"pixels": [200, 30], "seconds": 1.5}}, {"do": {"show": "depth"}},
            {"press": "f"}, {"do": "home"}, {"wait": {"seconds": 0.5}}, {"measure": "proxy"}, {"resize": [0, 0]},
            {"do": {"pivot": [10, 20]}}, "memory", {"repeat": [2, [{"snap": "a.png"}]]}
        ]"#;
        std::fs::write(&path, text).unwrap();
        let steps = load(&path).unwrap();
        assert_eq!(steps[0], Step::Wait(Until::Picture));
        assert_eq!(steps[2], Step::Do(Command::Show(Kind::Depth)));
        assert_eq!(steps[4], Step::Do(Command::Home));
        assert_eq!(steps[10], Step::Repeat(2, vec![Step::Snap("a.png".into())]));
        std::fs::write(&path, r#"[{"jump": 3}]"#).unwrap();
        let problem = load(&path).unwrap_err().to_string();
        assert!(problem.contains("a.json") && problem.contains("jump"), "{problem}");
        for (text, word) in [
            (r#"[{"repeat": [2, [{"resize": [4294967295, 1]}]]}]"#, "resize"),
            (r#"[{"drag": {"pixels": [1, 1], "seconds": 1e300}}]"#, "hour"),
            (r#"[{"drag": {"pixels": [1e300, 1], "seconds": -1}}]"#, "hour"),
        ] {
            std::fs::write(&path, text).unwrap();
            let problem = load(&path).unwrap_err().to_string();
            assert!(problem.contains("a.json") && problem.contains(word), "{problem}");
        }
    }
}
