//! `shiftray render`: frames along a camera path.

mod cloud;
pub mod files;
mod format;
mod maps;
mod outputs;
mod panorama;
mod path;
mod picture;
pub mod record;
mod report;
mod resume;
mod shots;
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
use eval::report::data::Shard;
use glam::DVec3;
use gnt::renderer::{Renderer, Samples, Settings};
use maps::DepthScale;
use outputs::OutputArgs;
use panorama::Panorama;
use record::{Entry, FrameSettings};
use report::RenderReport;
use resume::Wanted;
use scene::coverage::Coverage;
use scene::fade::Fade;
use scene::paths::posed::GivenPose;
use scene::{FAR_EVAL, Frame, PathKind, paths};
use shots::{Baseline, Shot, ShotOptions, StereoLayout};
use std::borrow::Cow;
use std::path::PathBuf;
use video::FrameFile;
use work::Work;

/// Render new views of a scene.
///
/// Frames are named after the photograph on the test path and by number elsewhere. Each is written whole or
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
    /// Camera path: auto (what suits the photographs), spiral, orbit, ellipse, interpolate, test (the held-out photographs)
    /// or a file: FILE.json of frames, key frames (ours or nerfstudio's) or matrices, or FILE.txt of matrices
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
    /// Coordinates of a file's poses or of --pose; by default what the file says, else those of the scene's files
    #[arg(long, value_name = "FRAME", help_heading = "Camera path")]
    path_frame: Option<path::PathFrame>,
    /// The dataparser_transforms.json of a path from nerfstudio's viewer; by default that beside the path or in the scene
    #[arg(long, value_name = "FILE", help_heading = "Camera path")]
    dataparser: Option<PathBuf>,
    /// Number of frames, 120 by default; of the test path and of a file's frames at most as many as there are
    #[arg(long, value_parser = value_parser!(u32).range(1..=paths::MAX_FRAMES as i64), help_heading = "Camera path")]
    frames: Option<u32>,
    /// Size of the rendered views; by default that of the photographs, or the path file's. Pixels keep their shape: of
    /// another shape of picture the longer side is cropped
    #[arg(long, value_parser = super::synth::parse_size, value_name = "WxH", help_heading = "Camera path")]
    size: Option<(u32, u32)>,
    /// Vertical field of view of the rendered views, in degrees; by default that of the photographs, or the path file's
    #[arg(long, value_parser = parse_fov, value_name = "DEGREES", conflicts_with = "panorama", help_heading = "Camera path")]
    fov: Option<f64>,
    /// Render every N-th frame of the path only
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=paths::MAX_FRAMES as i64), value_name = "N", help_heading = "Camera path")]
    every: u32,
    /// Render part I of N of the frames only, from 1/N to N/N; what is made of all frames is made without it, once all
    /// parts are there
    #[arg(long, value_parser = super::numbers::parse_shard, value_name = "I/N", help_heading = "Camera path")]
    shard: Option<Shard>,
    /// Render two eyes this far apart, in units of the scene's files; by default 1/30 of its nearest depth
    #[arg(long, num_args = 0..=1, default_missing_value = "auto", value_name = "BASELINE", help_heading = "Camera path")]
    stereo: Option<Baseline>,
    /// How the two eyes are written
    #[arg(
        long,
        default_value = "side-by-side",
        requires = "stereo",
        value_name = "LAYOUT",
        help_heading = "Camera path"
    )]
    stereo_layout: StereoLayout,
    /// Render all that is around the camera as an equirectangular picture of this width and half the height
    #[arg(long, value_name = "WIDTH", conflicts_with_all = ["stereo", "size"], help_heading = "Camera path")]
    panorama: Option<Panorama>,
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
    #[command(flatten)]
    outputs: OutputArgs,
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

fn parse_fov(text: &str) -> Result<f64, String> {
    let found = text.parse().ok().filter(|fov: &f64| (1.0..=170.0).contains(fov));
    found.ok_or_else(|| format!("expected 1 to 170 degrees, found {text:?}"))
}

fn parse_point(text: &str) -> Result<DVec3, String> {
    scene::paths::posed::parse_point(text).map_err(|e| e.to_string())
}

/// Renders the frames and reports on them.
///
/// # Errors
/// If an input cannot be used, which shows before anything is rendered, or a file cannot be read or written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let name = args.scene.name("render")?;
    let out = args.outputs.out.clone().ok_or_else(|| usage::missing_out("render", "the folder for the frames"))?;
    output::be_quiet(args.outputs.quiet);
    let (shard, format) = (args.shard, args.outputs.frame_format);
    let stereo = args.stereo.map(|baseline| (baseline, args.stereo_layout));
    let is_beside = stereo.is_some_and(|(_, layout)| layout == StereoLayout::SideBySide);
    args.outputs.check(shard.is_some(), stereo.is_some(), is_beside)?;
    args.panorama.map_or(Ok(()), |_| args.outputs.check_panorama())?;
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
        confidence: args.outputs.confidence,
    };
    settings.validate()?;
    let seen: Cow<[Frame]> = match args.panorama {
        Some(panorama) => frames.iter().flat_map(|frame| panorama.faces(frame)).collect(),
        None => Cow::from(&frames[..]),
    };
    let coverage = path::coverage(&scene, &seen, settings.views, [near, far], &mut warnings)?;
    let coverage: Vec<Coverage> = coverage.chunks(seen.len() / frames.len().max(1)).map(panorama::mean).collect();
    let fades = path::fades(args.no_fade, model.config.head, &frames);
    let model_hash = hash::model(&model.config, &params)?;
    let (engine, device) = args.precision.engine(args.device, threads, model, &params)?;
    let shot_options = ShotOptions { stereo, panorama: args.panorama, every: args.every as usize, shard };
    let (shots, layout) = shots::of(&frames, &scene, &shot_options)?;
    layout.iter().for_each(|words| output::say_once(words));
    let sizes: Vec<(u32, u32)> = shots.iter().map(|shot| shot.size(args.stride)).collect();
    sizes.iter().try_for_each(|size| format.check_size(*size))?;
    let files = files::name_all(&out, shots.iter().map(|shot| shot.name.as_str()), format, &args.outputs.maps())?;
    let inputs = Inputs::of(&scene);
    inputs.expect_other_folder("--out", &out)?;
    let lock = FolderLock::take(&out, "render").map_err(|problem| problem.context("--out"))?;
    // Once more, now that the folder is there: its name may lead through links.
    inputs.expect_other_folder("--out", &out)?;
    let video_note = video::check(&args.outputs, &out, &sizes, &inputs)?;
    let num_chosen = shots.iter().filter(|shot| shot.chosen).count();
    let sheet_note = args.outputs.contact_sheet.as_ref().and_then(|_| video::sheet_note(num_chosen));
    video_note.iter().chain(&sheet_note).for_each(|note| output::say_once(note));
    cloud::check(&args.outputs, &shots, args.stride, &inputs)?;
    let size = sizes.first().map_or([0; 2], |size| (*size).into());
    let made = Made::rendering(&Rendering {
        scene: (&scene.name, &hash::files(&scene.root, &scene::formats::files(&scene))?),
        photographs: scene.size(),
        model: (&model_name, &model_hash),
        device: device.kind(),
        precision: engine.precision(),
        settings: &settings,
    });
    let fade = fades.then(|| Fade::of(&scene, args.panorama.is_some())).transpose()?;
    let made =
        made.with("size", format!("{}x{}", size[0], size[1])).with("fade", fades).with("frame format", format.name());
    let now = FrameSettings { id: made.id()?, path: format!("{}, {} frames", path_name(&path), frames.len()), made };
    let wanted: Vec<Wanted> = shots.iter().zip(files).map(|(shot, files)| Wanted::new(shot, files)).collect();
    let resumed = resume::resume(&out, &now, &wanted, args.outputs.overwrite)?;
    resumed.warnings.iter().for_each(|warning| output::warn(warning));
    path::expect_free(&out, &args)?;
    scene::file::check_replaceable(&resumed.journal.path)?;
    let is_missing = |(frame, finished): &(&Wanted, &Option<Entry>)| frame.here && finished.is_none();
    for (frame, _) in wanted.iter().zip(&resumed.finished).filter(is_missing) {
        frame.files.expect_replaceable()?;
    }
    warnings.extend(resumed.warnings);

    // One scale for all frames; the farthest depth is the highest level.
    let scale = DepthScale { levels: f32::from(u16::MAX) / far, range: [near, far] };
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
        stereo: layout.clone().filter(|_| args.stereo.is_some()),
        panorama: layout.filter(|_| args.panorama.is_some()),
        frame_format: format.name(),
        depth_range: [near, far],
        scene_scale: scene.scene_from_file.scale as f32,
        scene_from_file: scene.scene_from_file.rows(),
        depth_png_scale: args.outputs.depth.then_some(scale.levels),
        record: resumed.journal.path.clone(),
        frames: Vec::with_capacity(shots.len()),
        video: args.outputs.video.clone(),
        contact_sheet: args.outputs.contact_sheet.clone(),
        seconds_features: 0.0,
        seconds_per_frame: None,
        rays_per_second: None,
        mean_psnr: None,
        mean_ssim: None,
        warnings,
    };
    let rays = |(i, pair): (usize, (&Wanted, &Option<Entry>))| {
        if is_missing(&pair) { u64::from(sizes[i].0) * u64::from(sizes[i].1) } else { 0 }
    };
    if wanted.iter().zip(&resumed.finished).any(|pair| is_missing(&pair)) {
        scene.check_images(threads)?;
    }
    let rays = wanted.iter().zip(&resumed.finished).enumerate().map(rays).sum();
    let progress = Progress::new(rays, args.outputs.quiet);
    let renderer = Renderer::new(engine, scene);
    let (told, id, journal) = (args.outputs.told(), now.id, resumed.journal);
    let mut work = Work { renderer, settings, fade, format, told, scale, id, journal, progress };
    work.check_photographs(&shots, &resumed.finished)?;
    let found = resumed.finished.into_iter().zip(resumed.kept);
    let pictures = shots.iter().zip(&wanted).zip(found).filter(|((shot, _), _)| shot.wanted);
    let total = shots.iter().filter(|shot| shot.wanted).count();
    for (i, (pair, found)) in pictures.enumerate() {
        work.progress.begin(format!("frame {} of {total}", i + 1));
        work.shot(pair, found, coverage[pair.0.frame], &mut report)?;
        if i == 0 {
            path::write(&out, work.renderer.scene(), &path, &frames)?;
        }
    }
    work.progress.finish();
    let chosen = || shots.iter().zip(&wanted).filter(|(shot, _)| shot.chosen);
    let cloud_files: Vec<_> = chosen().map(|(shot, wanted)| (shot, &wanted.files)).collect();
    let scene_from_file = &work.renderer.scene().scene_from_file;
    if let Some(count) = cloud::write(&args.outputs, &cloud_files, (format, args.stride), scene_from_file)? {
        let file = args.outputs.points.as_deref().unwrap_or(&out).display();
        output::say_once(&format!("points: {count} in {file}"));
    }
    let image = |(shot, frame): (&Shot, &Wanted)| (frame.files.image.clone(), shot.size(args.stride));
    let images: Vec<FrameFile> = chosen().map(image).collect();
    video::make(&args.outputs, format, &images, &mut work.journal)?;
    drop(lock);
    report.summarise();
    let text = if args.outputs.json { serde_json::to_string(&report)? } else { report.words() };
    output::line(&text)
}

fn path_name(path: &PathKind) -> String {
    match path {
        PathKind::Auto => "auto".into(),
        PathKind::Spiral => "spiral".into(),
        PathKind::Test => "test".into(),
        PathKind::Interpolate => "interpolate".into(),
        PathKind::Orbit => "orbit".into(),
        PathKind::Ellipse => "ellipse".into(),
        PathKind::File(file) => file.display().to_string(),
        PathKind::Poses => "poses".into(),
    }
}
