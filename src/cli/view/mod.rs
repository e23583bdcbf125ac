//! `shiftray view`: a window on a scene, or pictures of what it would show.

#[cfg(feature = "viewer")]
mod open;
#[cfg(feature = "viewer")]
mod source;

use super::one_scene::SceneArgs;
use clap::value_parser;
use std::path::PathBuf;

/// Look around in a scene while it renders.
///
/// A picture is there at once: photographs projected through depth, then the network at every fourth, second, and each pixel.
/// H lists all keys and what the mouse does. Without a window, --headless makes the same pictures as files or follows a
/// script.
#[derive(Debug, clap::Args)]
#[command(override_usage = "shiftray view <SCENE> [OPTIONS]")]
pub struct Args {
    #[command(flatten)]
    scene: SceneArgs,
    /// Model to begin with: a built-in name or a file
    #[arg(long, default_value = gnt::builtin::NAMES[0], value_name = "NAME|FILE", help_heading = "Scene and model")]
    model: String,
    /// Reduction of the photographs that is rendered from, as 8 or 1/8
    #[arg(long, visible_alias = "scale", value_parser = super::usage::parse_scale, value_name = "N|1/N", help_heading = "Scene and model")]
    factor: Option<u32>,
    /// Where to start: the first three rows of a camera's matrix in the coordinates of the scene's files (x right, y up,
    /// z backwards), 12 numbers with commas
    #[arg(long, value_parser = parse_pose, value_name = "POSE", allow_hyphen_values = true, help_heading = "Camera path")]
    pose: Option<Pose>,
    /// Make pictures without a window
    #[arg(long, help_heading = "Output")]
    headless: bool,
    /// With --headless: number of pictures along the path that suits the scene, 1 by default
    #[arg(long, value_parser = value_parser!(u32).range(1..=10_000), requires = "headless", conflicts_with = "pose", help_heading = "Camera path")]
    frames: Option<u32>,
    /// With --headless: folder for the pictures
    #[arg(short, long, value_name = "DIR", requires = "headless", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Size of the window, or of the pictures without one, in pixels
    #[arg(long, value_parser = super::synth::parse_size, value_name = "WxH", help_heading = "Output")]
    size: Option<(u32, u32)>,
    /// A list of steps as JSON that is followed instead of a user; the report of it is printed
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["frames", "out"], help_heading = "Output")]
    script: Option<PathBuf>,
    /// How products are computed
    #[arg(long, default_value = "auto", help_heading = "Quality")]
    precision: super::device::PrecisionArg,
    /// Threads
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024), value_name = "N", help_heading = "Machine")]
    threads: Option<u16>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", help_heading = "Machine")]
    device: super::device::Device,
}

/// A 4×4 matrix, row by row; without the feature nothing reads it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "viewer"), expect(dead_code))]
struct Pose([f64; 16]);

fn parse_pose(text: &str) -> Result<Pose, String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let numbers = numbers.filter(|n| matches!(n.len(), 12 | 16) && n.iter().all(|v| v.is_finite()));
    let numbers = numbers.ok_or("expected 12 or 16 numbers with commas between them")?;
    let mut pose = [0.0; 16];
    pose[15] = 1.0;
    pose[..12].copy_from_slice(&numbers[..12]);
    Ok(Pose(pose))
}

/// Opens the window, or does without.
///
/// # Errors
/// If an input cannot be used, no window can be opened, or no graphics adapter is found.
#[cfg(feature = "viewer")]
pub fn run(args: Args) -> anyhow::Result<()> {
    open::run(args)
}

/// Says what is missing.
///
/// # Errors
/// Always: this build has no viewer.
#[cfg(not(feature = "viewer"))]
pub fn run(_: Args) -> anyhow::Result<()> {
    anyhow::bail!("this build has no viewer: it was made without the cargo feature `viewer`, which is on by default")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poses_are_parsed() {
        let rows = "1,0,0,-0.5, 0,1,0,2e0, 0,0,1,-3";
        assert_eq!(parse_pose(rows).unwrap().0[..4], [1.0, 0.0, 0.0, -0.5]);
        assert_eq!(parse_pose(&format!("{rows},0,0,0,1")).unwrap().0[15], 1.0);
        for bad in ["", "1,2,3", "a", &format!("{rows},inf")] {
            assert!(parse_pose(bad).is_err(), "{bad}");
        }
    }
}
