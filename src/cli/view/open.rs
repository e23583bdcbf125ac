//! Opens the viewer: in a window, or without one.

use super::source::{self, Models};
use super::{Args, Pose};
use crate::cli::guard::Inputs;
use crate::cli::{device, output, usage};
use anyhow::Context;
use scene::{PathKind, Scene, paths};
use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Instant;
use viewer::Start;
use viewer::app::MakeSource;
use viewer::app::files::{MayWrite, Target};
use viewer::eye::{Eye, Lens};
use viewer::settings::{self, Settings};

/// As [`super::run`].
///
/// # Errors
/// As there.
pub fn run(args: Args) -> anyhow::Result<()> {
    let name = args.scene.name("view")?;
    let threads = args.threads.map_or_else(compute::parallel::available, usize::from).max(1);
    let scene = args.scene.load(name, args.factor)?;
    let loaded = Instant::now();
    let steps = args.script.as_deref().map(viewer::script::load).transpose()?;
    let eye = args.pose.map(|pose| eye(&scene, pose)).transpose()?;
    // A script and pictures do not depend on what somebody chose in a window.
    let remembers = steps.is_none() && !args.headless;
    let folder = if remembers { settings::folder() } else { None };
    // What cannot be is said before a window is opened.
    gnt::builtin::load(&args.model)?;
    let chosen = format!("{} on {threads} threads", device::choose(args.device, threads)?);
    let start = Start {
        choices: source::choices(&args.model, chosen),
        make: source(&args, scene.clone(), threads),
        may_write: may_write(scene.clone()),
        scene: Arc::new(scene),
        threads,
        scene_arguments: std::iter::once(name.to_owned())
            .chain(args.factor.into_iter().flat_map(|factor| ["--factor".to_owned(), factor.to_string()]))
            .collect(),
        eye,
        settings: folder.as_deref().map(Settings::load).unwrap_or_default(),
        settings_folder: folder,
        loaded,
    };
    let report = match (args.headless, steps) {
        (true, Some(steps)) => {
            let size = args.size.unwrap_or_else(|| start.scene.size());
            Some(viewer::headless::run(start, size, steps)?)
        }
        (true, None) => Some(pictures(&args, start)?),
        (false, steps) => viewer::window::run(start, args.size, steps)?,
    };
    report.map_or(Ok(()), |report| output::line(&serde_json::to_string(&report)?))
}

/// Makes the source on the thread that uses it, so that the window need not wait for weights.
fn source(args: &Args, scene: Scene, threads: usize) -> MakeSource {
    let names = source::choices(&args.model, String::new()).models;
    let (device, precision) = (args.device, args.precision);
    Box::new(move || Ok(Box::new(Models::new(names, scene, device, precision, threads))))
}

/// Keeps what is written away from the files of the scene, which are looked for when something is written first.
fn may_write(scene: Scene) -> MayWrite {
    let inputs = OnceCell::new();
    Box::new(move |target| {
        let inputs = inputs.get_or_init(|| Inputs::of(&scene));
        let checked = match target {
            Target::Folder(folder) => inputs.expect_other_folder("folder", folder),
            Target::File(file) => {
                inputs.expect_other_file("file", file).and_then(|()| inputs.expect_unread_file("file", file))
            }
        };
        checked.map_err(|problem| format!("{problem:#}"))
    })
}

/// The camera of `--pose`, with the lens of the first photograph.
fn eye(scene: &Scene, pose: Pose) -> anyhow::Result<Eye> {
    let view = scene.views.first().with_context(|| format!("{}: expected views, found none", scene.name))?;
    viewer::keys::eye_in_file(scene, &pose.0, Lens::of(&view.camera))
        .context("--pose: expected a matrix that turns and moves, found another")
}

/// The pictures of `--frames`.
fn pictures(args: &Args, start: Start) -> anyhow::Result<viewer::script::Report> {
    let missing = || usage::missing_out("view", "the folder for the pictures");
    let out = args.out.as_deref().ok_or_else(missing)?;
    Inputs::of(&start.scene).expect_other_folder("--out", out)?;
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let size = args.size.unwrap_or_else(|| start.scene.size());
    let frames = match &start.eye {
        Some(eye) => {
            let camera = eye.camera(size);
            vec![scene::Frame::new("frame_0000", camera)]
        }
        None => paths::frames(&start.scene, &PathKind::Auto, Some(args.frames.unwrap_or(1) as usize))?,
    };
    let shots = viewer::headless::along(&frames, out, size);
    let say = |file: &std::path::Path, made| {
        let file = file.display();
        output::say_once(&if made { format!("wrote {file}") } else { format!("{file} is there already, and stays") });
    };
    Ok(viewer::headless::pictures(start, &shots, say)?)
}
