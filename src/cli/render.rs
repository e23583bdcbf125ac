//! `shiftray render`: frames along a camera path.

pub mod files;
mod path;
mod report;

use super::device::Device;
use anyhow::{Context, bail};
use clap::value_parser;
use files::FrameFiles;
use gnt::renderer::{Renderer, Settings};
use report::{FrameReport, Quality, Report};
use scene::view::{Alpha, read_image};
use scene::{FAR_EVAL, FAR_RENDER, Frame, LoadOptions, PathKind, Scene, paths};
use std::path::{Path, PathBuf};

/// Render new views of a scene.
///
/// Frames are PNG files, named after the photograph on the test path and by number elsewhere. Each is written whole or
/// not at all; frames that are there already are skipped, so an interrupted run goes on where it stopped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scene: a folder, or a name that is looked up in --scenes, SHIFTRAY_SCENES and scenes/
    #[arg(long, value_name = "NAME|DIR")]
    scene: String,
    /// Folder of scenes; may be repeated
    #[arg(long, value_name = "DIR")]
    scenes: Vec<PathBuf>,
    /// Model: a built-in name or a file
    #[arg(long, default_value = gnt::builtin::NAMES[0], value_name = "NAME|FILE")]
    model: String,
    /// Folder for the frames
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Camera path: auto (what suits the photographs), spiral, orbit, interpolate, test (the held-out photographs) or
    /// FILE.json
    #[arg(long, default_value = "auto", value_parser = parse_path, value_name = "PATH")]
    path: PathKind,
    /// Coordinates of FILE.json's poses; by default what the file says, else those of the scene's files
    #[arg(long, value_name = "FRAME")]
    path_frame: Option<path::PathFrame>,
    /// The dataparser_transforms.json of a path from nerfstudio's viewer; by default that beside the path or in the scene
    #[arg(long, value_name = "FILE")]
    dataparser: Option<PathBuf>,
    /// Reduction of the photographs; by default that of images_8, images_4 or images, whichever comes first
    #[arg(long, value_parser = value_parser!(u32).range(1..=1024))]
    factor: Option<u32>,
    /// Number of frames, 120 by default; at most as many of the test path or a file
    #[arg(long, value_parser = value_parser!(u32).range(1..=paths::MAX_FRAMES as i64))]
    frames: Option<u32>,
    /// Size of the rendered views; by default that of the photographs, or the path file's. Pixels keep their shape: of
    /// another shape of picture the longer side is cropped
    #[arg(long, value_parser = super::synth::parse_size, value_name = "WxH")]
    size: Option<(u32, u32)>,
    /// Source views; by default those of the model
    #[arg(long, value_parser = value_parser!(u16).range(1..=1000))]
    views: Option<u16>,
    /// Samples a ray; by default those of the model
    #[arg(long, value_parser = value_parser!(u16).range(2..=4096))]
    samples: Option<u16>,
    /// Samples of a second pass, placed where the first found something
    #[arg(long, default_value_t = 0, value_parser = value_parser!(u16).range(0..=4096))]
    importance: u16,
    /// Render every N-th pixel in x and y only, as the GNT evaluation does with 2
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=1024), value_name = "N")]
    stride: u32,
    /// Leave pixels that no source view sees as they come out, instead of fading them to the background
    #[arg(long)]
    no_fade: bool,
    /// Also make an animation of all frames
    #[arg(long, value_parser = parse_video, value_name = "FILE.gif")]
    video: Option<PathBuf>,
    /// Frames a second of the animation, 0.1 to 50
    #[arg(long, default_value_t = 25.0, value_parser = parse_rate)]
    fps: f32,
    /// Also write depth: NAME_depth.npy (along the optical axis), NAME_range.npy (along the ray), NAME_depth.png
    #[arg(long)]
    depth: bool,
    /// Print one JSON object instead of a summary
    #[arg(long)]
    json: bool,
    /// Render frames again that are there already
    #[arg(long)]
    overwrite: bool,
    /// Threads; the images do not depend on it
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// How products are computed
    #[arg(long, default_value = "auto")]
    precision: super::device::PrecisionArg,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: Device,
}

fn parse_path(text: &str) -> Result<PathKind, String> {
    text.parse().map_err(|e: scene::Error| e.to_string())
}

fn parse_video(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension() {
        Some(e) if e.eq_ignore_ascii_case("gif") => Ok(path),
        _ => Err("expected a file name that ends in .gif".into()),
    }
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
    let threads = args.threads.map_or_else(tensor::parallel::available, usize::from).max(1);
    let root = scene::locate(&args.scene, &args.scenes)?;
    let scene = scene::formats::load(&root, &LoadOptions { factor: args.factor, ..LoadOptions::default() })?;
    let mut warnings = scene.warnings.clone();
    let (path, frames) = path::plan(&args, &scene, &mut warnings)?;

    let (model, params, model_name) = gnt::builtin::load(&args.model)?;
    let far = if path == PathKind::Test { FAR_EVAL } else { FAR_RENDER };
    let [near, far] = scene.depth_range(far);
    let settings = Settings {
        samples: args.samples.map_or(model.config.samples, usize::from),
        importance: usize::from(args.importance),
        views: args.views.map_or(model.config.views, usize::from),
        threads,
        stride: args.stride,
        depth_range: (near, far),
        routing: false,
    };
    settings.validate()?;
    let coverage = path::coverage(&scene, &frames, settings.views, [near, far], &mut warnings)?;
    warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    let (engine, device) = args.precision.engine(args.device, threads, model, &params)?;
    let files = files::name_all(&args.out, &frames, args.depth)?;
    files::prepare_folder(&args.out, &scene)?;
    check_video(&args, &frames)?;
    let todo = to_render(&args, &frames, &files)?;
    let fade = if args.no_fade { None } else { Some(path::Fade::of(&scene)?) };

    let mut report = Report {
        scene: scene.name.clone(),
        model: model_name,
        device: device.to_string(),
        precision: engine.precision(),
        cpu_level: tensor::level().name(),
        threads,
        size: frames.first().map_or([0; 2], |frame| image_size(frame, args.stride).into()),
        stride: args.stride,
        views: settings.views,
        samples: settings.samples,
        importance: settings.importance,
        path: path_name(&path),
        depth_range: [near, far],
        scene_scale: scene.scene_from_file.scale as f32,
        // One scale for all frames; the farthest depth is the highest level.
        depth_png_scale: args.depth.then_some(f32::from(u16::MAX) / far),
        frames: Vec::with_capacity(frames.len()),
        video: None,
        seconds_features: 0.0,
        seconds_per_frame: None,
        rays_per_second: None,
        mean_psnr: None,
        mean_ssim: None,
        warnings,
    };
    let mut renderer = Renderer::new(engine, scene);
    render_all(&mut renderer, &settings, &frames, &files, &todo, fade, &mut report)?;
    path::write(&args.out, renderer.scene(), &path, &frames)?;
    for (frame, coverage) in report.frames.iter_mut().zip(coverage) {
        (frame.coverage, frame.coverage_two) = (coverage.one, coverage.two);
    }
    if let Some(video) = &args.video {
        let images = files.iter().map(|files| read_image(&files.image, Alpha::Ignore));
        scene::write::write_gif(video, args.fps, images)?;
        report.video = Some(video.clone());
    }
    report.summarise();
    let text = if args.json { serde_json::to_string(&report)? } else { report.words() };
    super::output::line(&text)
}

/// The photograph that a frame can be compared with.
fn photograph<'a>(scene: &'a Scene, frame: &Frame) -> Option<&'a scene::View> {
    let view = scene.views.get(frame.truth?)?;
    let same = (view.camera.width, view.camera.height) == (frame.camera.width, frame.camera.height);
    same.then_some(view)
}

/// Size of a frame's image.
fn image_size(frame: &Frame, stride: u32) -> (u32, u32) {
    (frame.camera.width.div_ceil(stride), frame.camera.height.div_ceil(stride))
}

/// Checks that the animation can be made, before the time for its frames is spent.
fn check_video(args: &Args, frames: &[Frame]) -> anyhow::Result<()> {
    let Some(video) = &args.video else { return Ok(()) };
    let size = |frame: &Frame| (frame.camera.width, frame.camera.height);
    if let Some(pair) = frames.windows(2).find(|pair| size(&pair[0]) != size(&pair[1])) {
        let (a, b) = (size(&pair[0]), size(&pair[1]));
        bail!("--video: expected frames of one size, found {}x{} and {}x{}; see --size", a.0, a.1, b.0, b.1);
    }
    let folder = video.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    files::probe(folder).with_context(|| format!("--video {}: cannot be written", video.display()))
}

/// For each frame, whether it must be rendered.
fn to_render(args: &Args, frames: &[Frame], files: &[FrameFiles]) -> anyhow::Result<Vec<bool>> {
    let needed =
        |(frame, files): (&Frame, &FrameFiles)| Ok(args.overwrite || !files.complete(image_size(frame, args.stride))?);
    frames.iter().zip(files).map(needed).collect()
}

fn render_all(
    renderer: &mut Renderer,
    settings: &Settings,
    frames: &[Frame],
    files: &[FrameFiles],
    todo: &[bool],
    fade: Option<path::Fade>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let rays = |frame: &Frame| {
        let (width, height) = image_size(frame, settings.stride);
        u64::from(width) * u64::from(height)
    };
    let total = frames.iter().zip(todo).filter(|(_, todo)| **todo).map(|(frame, _)| rays(frame)).sum();
    let bar = super::progress(total, "rays");
    for ((frame, files), todo) in frames.iter().zip(files).zip(todo) {
        let mut out = FrameReport {
            name: frame.name.clone(),
            file: files.image.clone(),
            skipped: !todo,
            depth_files: files.depth.clone(),
            ..FrameReport::default()
        };
        let image = if *todo {
            bar.set_message(frame.name.clone());
            let mut rendered = renderer.render(frame, settings, &|rays| bar.inc(rays as u64))?;
            // Photographs are compared with what comes out.
            if let Some(fade) = fade.filter(|_| frame.truth.is_none()) {
                fade.apply(&mut rendered, renderer.scene(), frame, settings.stride);
            }
            files.write(&rendered, report.depth_png_scale.unwrap_or(1.0))?;
            report.seconds_features += rendered.seconds_features;
            out.seconds = Some(rendered.seconds_rays);
            out.rays = rendered.rays;
            out.rays_per_second = report::per_second(rendered.rays, rendered.seconds_rays);
            out.sources = rendered.sources.iter().map(|id| renderer.scene().views[*id].name.clone()).collect();
            Some(rendered.image)
        } else {
            None
        };
        if let Some(view) = photograph(renderer.scene(), frame) {
            let image = image.map_or_else(|| read_image(&files.image, Alpha::Ignore), Ok)?;
            out.quality = Some(Quality::measure(&image, view, settings.stride)?);
        }
        report.frames.push(out);
    }
    bar.finish_and_clear();
    Ok(())
}

fn path_name(path: &PathKind) -> String {
    match path {
        PathKind::Auto => "auto".into(),
        PathKind::Spiral => "spiral".into(),
        PathKind::Test => "test".into(),
        PathKind::Interpolate => "interpolate".into(),
        PathKind::Orbit => "orbit".into(),
        PathKind::File(file) => file.display().to_string(),
    }
}
