//! The animation of a run's frames.

use super::Args;
use super::record::FrameRecord;
use crate::cli::folder;
use crate::cli::guard::Inputs;
use anyhow::{Context, bail};
use scene::Frame;
use std::path::Path;

/// Checks that the animation can be made, before the time for its frames is spent, and that it takes the place of nothing but
/// an earlier one of the frames in `out`.
///
/// # Errors
/// If it cannot be made, or its file is something else.
pub fn check(args: &Args, out: &Path, frames: &[Frame], inputs: &Inputs) -> anyhow::Result<()> {
    let Some(video) = &args.video else { return Ok(()) };
    let size = |frame: &Frame| (frame.camera.width, frame.camera.height);
    if let Some(pair) = frames.windows(2).find(|pair| size(&pair[0]) != size(&pair[1])) {
        let (a, b) = (size(&pair[0]), size(&pair[1]));
        bail!("--video: expected frames of one size, found {}x{} and {}x{}; see --size", a.0, a.1, b.0, b.1);
    }
    inputs.expect_unread_file("--video", video)?;
    scene::file::check_replaceable(video).context("--video")?;
    // A record that cannot be read is told where the frames are looked for.
    let own = video.exists() && FrameRecord::read(out).unwrap_or_default().is_own_video(video);
    if !own {
        inputs.expect_other_file("--video", video)?;
    }
    if video.exists() && !own && !args.overwrite {
        bail!(
            "--video {}: exists already, and the record of these frames does not say that it was made of them; choose \
             another name, or --overwrite replaces it",
            video.display()
        );
    }
    let beside = video.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder::probe(beside).with_context(|| format!("--video {}: cannot be written", video.display()))
}
