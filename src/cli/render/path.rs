//! The camera path of a run: planned, said, checked against what the photographs see, and written beside the frames.

use super::{Args, record};
use crate::cli::compared::photograph;
use crate::cli::output;
use anyhow::{Context, bail};
use gnt::Head;
use scene::Scene;
use scene::coverage::{Coverage, Probe};
use scene::paths::file::{self, PathCoordinates, PathFileOptions};
use scene::paths::{self, Frame, PathKind, PathPlan, size};
use std::path::Path;

/// The name of the path's file beside the frames.
pub const FILE: &str = "path.json";
/// Part of a frame that two sources must see; below it a frame is named in a warning.
const POOR: f32 = 0.8;
/// Frames named in that warning.
const NAMED: usize = 3;

/// A path that is ready to be rendered.
#[derive(Debug)]
pub struct Planned {
    /// The path; of [`PathKind::Auto`] the one that was chosen.
    pub kind: PathKind,
    /// Its frames, at the size that is asked for.
    pub frames: Vec<Frame>,
    /// Why it was chosen; none if it was asked for.
    pub reason: Option<String>,
    /// What `--size` did to the field of view.
    pub size_note: Option<String>,
}

/// The coordinates of a path file's poses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PathFrame {
    /// Coordinates of the scene's own files
    File,
    /// Those of the loaded scene, as depths are
    Scene,
}

/// Says a warning at once, since a later step may fail because of it, and keeps it for the report.
fn warn(warnings: &mut Vec<String>, warning: String) {
    output::warn(&warning);
    warnings.push(warning);
}

/// The path at the size that is asked for, each frame with at least one source view. What was chosen is said.
///
/// # Errors
/// If the path does not suit the scene, its file cannot be used, or a frame has no source.
pub fn plan(args: &Args, scene: &Scene, warnings: &mut Vec<String>) -> anyhow::Result<Planned> {
    let count = args.frames.map(|n| n as usize);
    let frame = args.path_frame.map(|frame| match frame {
        PathFrame::File => PathCoordinates::File,
        PathFrame::Scene => PathCoordinates::Scene,
    });
    let options = PathFileOptions { frame, dataparser: args.dataparser.clone(), panoramas: args.panorama.is_some() };
    let mut plan = if args.pose.is_empty() {
        paths::plan(scene, &args.path, count, &options)?
    } else {
        let in_scene = args.path_frame == Some(PathFrame::Scene);
        let frames = paths::posed::frames(scene, &args.pose, args.look_at, in_scene)?;
        PathPlan { kind: PathKind::Poses, reason: None, frames, warnings: Vec::new() }
    };
    if let Some(reason) = &plan.reason {
        output::say_once(&format!("path: {reason}"));
    }
    plan.warnings.drain(..).for_each(|warning| warn(warnings, warning));
    let is_file = matches!(args.path, PathKind::File(_));
    if !is_file && (args.path_frame.is_some() && args.pose.is_empty() || args.dataparser.is_some()) {
        warn(warnings, "--path-frame and --dataparser are for path files: ignored".into());
    }
    let mut size_note = args.size.map(|size| resize(&mut plan.frames, scene, size));
    if let Some(fov) = args.fov {
        if plan.frames.iter().any(|frame| frame.truth.is_some()) {
            bail!("--fov: expected a path of new views, found that of held-out photographs, which have their own");
        }
        for frame in &mut plan.frames {
            frame.camera = size::with_fov(&frame.camera, fov).map_err(anyhow::Error::msg)?;
        }
        // What became of the photographs' field of view does not matter any more.
        size_note =
            args.size.map(|(width, height)| format!("--size {width}x{height} with a field of view of {fov} degrees"));
    }
    size_note.iter().for_each(|note| output::say_once(note));
    for frame in &plan.frames {
        let candidates = paths::source_candidates(scene, frame);
        scene::nearest_sources(scene, &frame.camera, &candidates, 1)
            .with_context(|| format!("frame {} cannot be rendered", frame.name))?;
    }
    if plan.frames.iter().any(|frame| frame.truth.is_some() && photograph(scene, frame).is_none()) {
        warn(warnings, "--size differs from that of the photographs: PSNR and SSIM are left out".into());
    }
    Ok(Planned { kind: plan.kind, frames: plan.frames, reason: plan.reason, size_note })
}

/// Gives all frames a size and tells what became of the field of view.
fn resize(frames: &mut [Frame], scene: &Scene, (width, height): (u32, u32)) -> String {
    let mut worst = size::Cropped::default();
    let old = frames.first().map_or((0, 0), |frame| (frame.camera.width, frame.camera.height));
    for frame in frames {
        let (camera, cropped) = size::fitted(&frame.camera, width, height);
        frame.camera = camera;
        worst = if cropped.width + cropped.height > worst.width + worst.height { cropped } else { worst };
    }
    let what = if old == scene.size() { "photographs" } else { "frames" };
    format!("--size {width}x{height} of {}x{} {what}: {}", old.0, old.1, worst.words())
}

/// How much of each frame its sources see; frames of which they see little are told in one warning.
///
/// # Errors
/// If a frame has no source.
pub fn coverage(
    scene: &Scene,
    frames: &[Frame],
    views: usize,
    depth_range: [f32; 2],
    warnings: &mut Vec<String>,
) -> anyhow::Result<Vec<Coverage>> {
    let mut all = Vec::with_capacity(frames.len());
    let mut poor = Vec::new();
    for frame in frames {
        let candidates = paths::source_candidates(scene, frame);
        let sources = scene::nearest_sources(scene, &frame.camera, &candidates, views)?;
        let cameras = sources.iter().map(|id| &scene.views[*id].camera);
        let coverage = Probe::new(&frame.camera, depth_range).coverage(cameras);
        let share = if sources.len() == 1 { coverage.one } else { coverage.two };
        if share < POOR {
            poor.push((share, &frame.name));
        }
        all.push(coverage);
    }
    if !poor.is_empty() {
        poor.sort_by(|a, b| a.0.total_cmp(&b.0));
        let named = |(share, name): &(f32, &String)| format!("{name} ({:.0} %)", 100.0 * share);
        let names: Vec<String> = poor.iter().take(NAMED).map(named).collect();
        let warning = format!(
            "poor coverage in {} of {} frames: less than {:.0} % of their pixels are seen by two photographs, worst in {}",
            poor.len(),
            frames.len(),
            100.0 * POOR,
            names.join(", ")
        );
        warn(warnings, warning);
    }
    Ok(all)
}

/// Whether any frame is faded: photographs are compared with what comes out, and the mean over a ray's samples has no depth
/// at which a pixel could be seen or not.
pub fn fades(no_fade: bool, head: Head, frames: &[Frame]) -> bool {
    !no_fade && head != Head::Mean && frames.iter().any(|frame| frame.truth.is_none())
}

/// Checks that the path may be written beside the frames: no file that this program did not write has its name.
///
/// # Errors
/// If there is one, and `--overwrite` is not given; if something else than a file is there.
pub fn expect_free(folder: &Path, args: &Args) -> anyhow::Result<()> {
    let file = folder.join(FILE);
    let read = matches!(&args.path, PathKind::File(read) if read.canonicalize().ok() == file.canonicalize().ok());
    if !read {
        scene::file::check_replaceable(&file)?;
    }
    if file.exists() && !read && !args.outputs.overwrite && !folder.join(record::FILE).exists() {
        let file = file.display();
        bail!(
            "{file}: exists already, and nothing says what made it; choose another folder, or --overwrite replaces it"
        );
    }
    Ok(())
}

/// Writes the path beside the frames, unless it was read from there.
///
/// # Errors
/// If the file cannot be written.
pub fn write(folder: &Path, scene: &Scene, kind: &PathKind, frames: &[Frame]) -> anyhow::Result<()> {
    let file = folder.join(FILE);
    let same = |read: &Path| read.canonicalize().ok() == file.canonicalize().ok();
    if matches!(kind, PathKind::File(read) if file.exists() && same(read)) {
        return Ok(());
    }
    Ok(file::write(&file, scene, frames)?)
}

#[cfg(test)]
mod tests {
    use super::super::files::tests::frame;
    use super::*;

    /// The same command with and without `--no-fade`, where nothing is faded.
    #[test]
    fn only_frames_with_depth_and_without_photograph_are_faded() {
        let (free, held_out) = (frame("a"), Frame { truth: Some(0), ..frame("b") });
        assert!(fades(false, Head::Blend, std::slice::from_ref(&free)));
        assert!(fades(false, Head::Blend, &[held_out.clone(), free.clone()]));
        assert!(!fades(true, Head::Blend, std::slice::from_ref(&free)));
        assert!(!fades(false, Head::Mean, &[free]));
        assert!(!fades(false, Head::Blend, &[held_out]));
    }
}
