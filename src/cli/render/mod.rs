//! `shiftray render`: frames along a camera path.

mod cloud;
pub mod files;
mod path;
pub mod record;
mod report;
mod resume;
mod video;
mod work;

use super::device::Device;
use super::folder::FolderLock;
use super::guard::Inputs;
use super::made::{Made, Rendering};
use super::one_scene::SceneArgs;
use super::progress::Progress;
use super::{hash, output, usage};
use clap::value_parser;
use glam::DVec3;
use gnt::renderer::{Renderer, Samples, Settings};
use record::{Entry, FrameSettings};
use report::RenderReport;
use resume::Wanted;
use scene::paths::posed::GivenPose;
use scene::view::{Alpha, read_image};
use scene::{FAR_EVAL, Frame, PathKind, paths};
use std::path::PathBuf;
use work::Work;

/// Render new views of a scene.
///
/// Frames are PNG files, named after the photograph on the test path and by number elsewhere. Each is written whole or
/// not at all, and frames.jsonl beside them says what made them: the same command goes on where it stopped, another one
/// says what differs and stops.
#[derive(Debug, clap::Args)]
#[command(override_usage = "shiftray render <SCENE> --out <DIR> [OPTIONS]")]
pub struct Args {
    #[command(flatten)]
    scene: SceneArgs,
    /// Model: a built-in name or a file
    #[arg(long, default_value = gnt::builtin::NAMES[0], value_name = "NAME|FILE", help_heading = "Scene and model")]
    model: String,
    /// Reduction of the photographs that is rendered from, as 8 or 1/8; by default that of images_8, images_4 or images,
    /// whichever comes first
    #[arg(long, visible_alias = "scale", value_parser = super::usage::parse_scale, value_name = "N|1/N", help_heading = "Scene and model")]
    factor: Option<u32>,
    /// Folder for the frames; created where it is missing
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Camera path: auto (what suits the photographs), spiral, orbit, interpolate, test (the held-out photographs) or
    /// FILE.json
    #[arg(long, default_value = "auto", value_parser = parse_path, value_name = "PATH", help_heading = "Camera path")]
    path: PathKind,
    /// One frame from a camera here, instead of a path; may be repeated. X,Y,Z with --look-at, or the 12 or 16 numbers of a
    /// camera-to-world matrix, row by row, x right, y up, z backwards; in the coordinates of --path-frame, by default those
    /// of the scene's files
    #[arg(long, value_parser = parse_pose, value_name = "X,Y,Z|MATRIX", allow_hyphen_values = true, conflicts_with = "path", help_heading = "Camera path")]
    pose: Vec<GivenPose>,
    /// The point that cameras of --pose X,Y,Z look at
    #[arg(long, value_parser = parse_point, value_name = "X,Y,Z", allow_hyphen_values = true, requires = "pose", help_heading = "Camera path")]
    look_at: Option<DVec3>,
    /// Coordinates of FILE.json's poses or of --pose; by default what the file says, else those of the scene's files
    #[arg(long, value_name = "FRAME", help_heading = "Camera path")]
    path_frame: Option<path::PathFrame>,
    /// The dataparser_transforms.json of a path from nerfstudio's viewer; by default that beside the path or in the scene
    #[arg(long, value_name = "FILE", help_heading = "Camera path")]
    dataparser: Option<PathBuf>,
    /// Number of frames, 120 by default; at most as many of the test path or a file
    #[arg(long, value_parser = value_parser!(u32).range(1..=paths::MAX_FRAMES as i64), help_heading = "Camera path")]
    frames: Option<u32>,
    /// Size of the rendered views; by default that of the photographs, or the path file's. Pixels keep their shape: of
    /// another shape of picture the longer side is cropped
    #[arg(long, value_parser = super::synth::parse_size, value_name = "WxH", help_heading = "Camera path")]
    size: Option<(u32, u32)>,
    /// Source views; by default those of the model
    #[arg(long, value_parser = value_parser!(u16).range(1..=1000), value_name = "N", help_heading = "Quality")]
    views: Option<u16>,
    /// Samples a ray: auto (12, guided by a coarse grid of rays), N (even in inverse depth), or CELL:COARSE+SAMPLES
    #[arg(long, default_value = "auto", value_name = "SAMPLES", help_heading = "Quality")]
    samples: Samples,
    /// Samples of a second pass, placed where the first found something
    #[arg(long, default_value_t = 0, value_parser = value_parser!(u16).range(0..=4096), value_name = "N", help_heading = "Quality")]
    importance: u16,
    /// Render every N-th pixel in x and y only, as the GNT evaluation does with 2
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=1024), value_name = "N", help_heading = "Quality")]
    stride: u32,
    /// Leave pixels that no source view sees as they come out, instead of fading them to the background
    #[arg(long, help_heading = "Quality")]
    no_fade: bool,
    /// How products are computed
    #[arg(long, default_value = "auto", help_heading = "Quality")]
    precision: super::device::PrecisionArg,
    /// Also make an animation of all frames; another file of this name is replaced only with --overwrite
    #[arg(long, value_parser = parse_video, value_name = "FILE.gif", help_heading = "Output")]
    video: Option<PathBuf>,
    /// Frames a second of the animation, 0.1 to 50
    #[arg(long, default_value_t = 25.0, value_parser = parse_rate, requires = "video", help_heading = "Output")]
    fps: f32,
    /// Also write depth: NAME_depth.npy (along the optical axis), NAME_range.npy (along the ray), NAME_depth.png
    #[arg(long, help_heading = "Output")]
    depth: bool,
    /// Also make a point cloud of all frames, with normals and confidence, in the coordinates of the scene's files
    #[arg(long, value_parser = parse_ply, requires = "depth", value_name = "FILE.ply", help_heading = "Output")]
    points: Option<PathBuf>,
    /// Leave points out that fewer of the other frames agree with, as a part of those that see their place
    #[arg(long, default_value_t = 0.5, value_parser = parse_part, requires = "points", value_name = "PART", help_heading = "Output")]
    points_confidence: f32,
    /// Print one JSON object instead of a summary
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Say nothing about progress and device
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
    /// Render frames again that are there already, whatever made them
    #[arg(long, help_heading = "Output")]
    overwrite: bool,
    /// Threads; the images do not depend on it
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024), value_name = "N", help_heading = "Machine")]
    threads: Option<u16>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", help_heading = "Machine")]
    device: Device,
}

fn parse_path(text: &str) -> Result<PathKind, String> {
    text.parse().map_err(|e: scene::Error| e.to_string())
}

fn parse_pose(text: &str) -> Result<GivenPose, String> {
    text.parse().map_err(|e: scene::Error| e.to_string())
}

fn parse_point(text: &str) -> Result<DVec3, String> {
    scene::paths::posed::parse_point(text).map_err(|e| e.to_string())
}

fn parse_video(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension() {
        Some(e) if e.eq_ignore_ascii_case("gif") => Ok(path),
        _ => Err("expected a file name that ends in .gif".into()),
    }
}

fn parse_ply(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_ply = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ply"));
    if is_ply { Ok(path) } else { Err("expected a file name that ends in .ply".into()) }
}

fn parse_part(text: &str) -> Result<f32, String> {
    let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| "expected a number from 0 to 1".into())
}

fn parse_rate(text: &str) -> Result<f32, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=50.0).contains(rate));
    rate.ok_or_else(|| "expected a number from 0.1 to 50".into())
}

/// Renders the frames and reports on them.
///
/// # Errors
/// If an input cannot be used, which shows before anything is rendered, or a file cannot be read or written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let name = args.scene.name("render")?;
    let out = args.out.clone().ok_or_else(|| usage::missing_out("render", "the folder for the frames"))?;
    output::be_quiet(args.quiet);
    let threads = args.threads.map_or_else(compute::parallel::available, usize::from).max(1);
    let scene = args.scene.load(name, args.factor)?;
    let mut warnings = scene.warnings.clone();
    let path::Planned { kind: path, frames, reason, size_note } = path::plan(&args, &scene, &mut warnings)?;

    let (model, params, model_name) = gnt::builtin::load(&args.model)?;
    let [near, far] = scene.depth_range(FAR_EVAL);
    let (samples, guided) = args.samples.of(&model.config, args.stride, usize::from(args.importance));
    let settings = Settings {
        samples,
        guided,
        importance: usize::from(args.importance),
        views: args.views.map_or(model.config.views, usize::from),
        threads,
        stride: args.stride,
        depth_range: (near, far),
        routing: false,
    };
    settings.validate()?;
    let coverage = path::coverage(&scene, &frames, settings.views, [near, far], &mut warnings)?;
    let fades = path::Fade::is_applied(args.no_fade, model.config.head, &frames);
    let model_hash = hash::model(&model.config, &params)?;
    let (engine, device) = args.precision.engine(args.device, threads, model, &params)?;
    let files = files::name_all(&out, &frames, args.depth)?;
    let inputs = Inputs::of(&scene);
    inputs.expect_other_folder("--out", &out)?;
    let lock = FolderLock::take(&out, "render").map_err(|problem| problem.context("--out"))?;
    // Once more, now that the folder is there: its name may lead through links.
    inputs.expect_other_folder("--out", &out)?;
    video::check(&args, &out, &frames, &inputs)?;
    cloud::check(&args, &frames, &inputs)?;
    let size = frames.first().map_or([0; 2], |frame| image_size(frame, args.stride).into());
    let made = Made::rendering(&Rendering {
        scene: (&scene.name, &hash::files(&scene.root, &scene::formats::files(&scene))?),
        photographs: scene.size(),
        model: (&model_name, &model_hash),
        device: device.kind(),
        precision: engine.precision(),
        settings: &settings,
    });
    let fade = fades.then(|| path::Fade::of(&scene)).transpose()?;
    let made = made.with("size", format!("{}x{}", size[0], size[1])).with("fade", fades);
    let now = FrameSettings { id: made.id()?, path: format!("{}, {} frames", path_name(&path), frames.len()), made };
    let wanted: Vec<Wanted> = frames.iter().zip(files).map(|(frame, files)| Wanted::new(frame, files)).collect();
    let resumed = resume::resume(&out, &now, &wanted, args.overwrite)?;
    resumed.warnings.iter().for_each(|warning| output::warn(warning));
    path::expect_free(&out, &args)?;
    scene::file::check_replaceable(&resumed.journal.path)?;
    for (frame, _) in wanted.iter().zip(&resumed.finished).filter(|(_, finished)| finished.is_none()) {
        frame.files.expect_replaceable()?;
    }
    warnings.extend(resumed.warnings);

    let mut report = RenderReport {
        scene: scene.name.clone(),
        model: model_name,
        device: device.to_string(),
        precision: engine.precision(),
        cpu_level: compute::isa().name(),
        threads,
        size,
        stride: args.stride,
        views: settings.views,
        samples: settings.samples,
        guided: settings.guided.map(|_| Samples::from(settings).to_string()),
        importance: settings.importance,
        path: path_name(&path),
        path_reason: reason,
        size_note,
        depth_range: [near, far],
        scene_scale: scene.scene_from_file.scale as f32,
        scene_from_file: scene.scene_from_file.rows(),
        // One scale for all frames; the farthest depth is the highest level.
        depth_png_scale: args.depth.then_some(f32::from(u16::MAX) / far),
        record: resumed.journal.path.clone(),
        frames: Vec::with_capacity(frames.len()),
        video: None,
        seconds_features: 0.0,
        seconds_per_frame: None,
        rays_per_second: None,
        mean_psnr: None,
        mean_ssim: None,
        warnings,
    };
    let rays = |(frame, finished): (&Frame, &Option<Entry>)| {
        let (width, height) = image_size(frame, args.stride);
        if finished.is_none() { u64::from(width) * u64::from(height) } else { 0 }
    };
    if resumed.finished.contains(&None) {
        scene.check_images(threads)?;
    }
    let progress = Progress::new(frames.iter().zip(&resumed.finished).map(rays).sum(), args.quiet);
    let renderer = Renderer::new(engine, scene);
    let mut work = Work { renderer, settings, fade, id: now.id, journal: resumed.journal, progress };
    work.check_photographs(&frames, &resumed.finished)?;
    for (i, (frame, finished)) in frames.iter().zip(resumed.finished).enumerate() {
        work.progress.begin(format!("frame {} of {}", i + 1, frames.len()));
        work.frame(frame, &wanted[i], (finished, coverage[i]), &mut report)?;
        if i == 0 {
            path::write(&out, work.renderer.scene(), &path, &frames)?;
        }
    }
    work.progress.finish();
    let cloud_files: Vec<_> = wanted.iter().map(|frame| &frame.files).collect();
    if let Some(count) = cloud::write(&args, &frames, &cloud_files, &work.renderer.scene().scene_from_file)? {
        output::say_once(&format!("points: {count} in {}", args.points.as_deref().unwrap_or(&out).display()));
    }
    if let Some(video) = &args.video {
        let images = wanted.iter().map(|frame| read_image(&frame.files.image, Alpha::Ignore));
        work.journal.add_video(video, "")?;
        scene::write::write_gif(video, args.fps, images)?;
        work.journal.add_video(video, &hash::file(video)?)?;
        report.video = Some(video.clone());
    }
    drop(lock);
    report.summarise();
    let text = if args.json { serde_json::to_string(&report)? } else { report.words() };
    output::line(&text)
}

/// Size of a frame's image.
fn image_size(frame: &Frame, stride: u32) -> (u32, u32) {
    (frame.camera.width.div_ceil(stride), frame.camera.height.div_ceil(stride))
}

fn path_name(path: &PathKind) -> String {
    match path {
        PathKind::Auto => "auto".into(),
        PathKind::Spiral => "spiral".into(),
        PathKind::Test => "test".into(),
        PathKind::Interpolate => "interpolate".into(),
        PathKind::Orbit => "orbit".into(),
        PathKind::File(file) => file.display().to_string(),
        PathKind::Poses => "poses".into(),
    }
}
