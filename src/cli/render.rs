//! `shiftray render`: frames along a camera path.

pub mod files;
mod path;
pub mod record;
mod report;
mod resume;

use super::compared::{Truth, as_saved, expect_numbers};
use super::device::Device;
use super::folder::{self, FolderLock};
use super::guard::Inputs;
use super::made::{Made, Rendering};
use super::progress::Progress;
use super::samples::Samples;
use super::{hash, output, usage};
use anyhow::{Context, bail};
use clap::value_parser;
use gnt::renderer::{Renderer, Settings};
use record::{Entry, Journal, Record};
use report::{FrameReport, Quality, Report};
use resume::Wanted;
use scene::coverage::Coverage;
use scene::view::{Alpha, read_image};
use scene::{FAR_EVAL, Frame, Image, LoadOptions, PathKind, Scene, paths};
use std::path::{Path, PathBuf};

/// Render new views of a scene.
///
/// Frames are PNG files, named after the photograph on the test path and by number elsewhere. Each is written whole or
/// not at all, and frames.jsonl beside them says what made them: the same command goes on where it stopped, another one
/// says what differs and stops.
#[derive(Debug, clap::Args)]
#[command(override_usage = "shiftray render <SCENE> --out <DIR> [OPTIONS]")]
pub struct Args {
    /// Scene: a folder, or a name that is looked up in --scenes, SHIFTRAY_SCENES and scenes/
    #[arg(value_name = "SCENE")]
    place: Option<String>,
    /// The scene, in another way
    #[arg(long, value_name = "NAME|DIR", help_heading = "Scene and model", required_unless_present = "place")]
    scene: Option<String>,
    /// Folder of scenes; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "Scene and model")]
    scenes: Vec<PathBuf>,
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
    /// Coordinates of FILE.json's poses; by default what the file says, else those of the scene's files
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
    /// Samples a ray: auto (16, guided by a coarse grid of rays), N (even in inverse depth), or CELL:COARSE+SAMPLES
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
    let name = usage::one_scene("render", args.place.as_deref(), args.scene.as_deref())?;
    let out = args.out.clone().ok_or_else(|| usage::missing_out("render", "the folder for the frames"))?;
    output::be_quiet(args.quiet);
    let threads = args.threads.map_or_else(tensor::parallel::available, usize::from).max(1);
    let root = scene::locate(name, &args.scenes)?;
    let scene = scene::formats::load(&root, &LoadOptions { factor: args.factor, ..LoadOptions::default() })?;
    // At once: what was guessed may be why a step below cannot go on.
    scene.warnings.iter().for_each(|warning| output::warn(warning));
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
    check_video(&args, &out, &frames, &inputs)?;
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
    let now = record::Settings { id: made.id()?, path: format!("{}, {} frames", path_name(&path), frames.len()), made };
    let wanted: Vec<Wanted> = frames.iter().zip(files).map(|(frame, files)| Wanted::new(frame, files)).collect();
    let resumed = resume::resume(&out, &now, &wanted, args.overwrite)?;
    resumed.warnings.iter().for_each(|warning| output::warn(warning));
    path::expect_free(&out, &args)?;
    scene::file::check_replaceable(&resumed.journal.path)?;
    for (frame, _) in wanted.iter().zip(&resumed.finished).filter(|(_, finished)| finished.is_none()) {
        frame.files.expect_replaceable()?;
    }
    warnings.extend(resumed.warnings);

    let mut report = Report {
        scene: scene.name.clone(),
        model: model_name,
        device: device.to_string(),
        precision: engine.precision(),
        cpu_level: tensor::level().name(),
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

/// Checks that the animation can be made, before the time for its frames is spent, and that it takes the place of nothing but
/// an earlier one of the frames in `out`.
fn check_video(args: &Args, out: &Path, frames: &[Frame], inputs: &Inputs) -> anyhow::Result<()> {
    let Some(video) = &args.video else { return Ok(()) };
    let size = |frame: &Frame| (frame.camera.width, frame.camera.height);
    if let Some(pair) = frames.windows(2).find(|pair| size(&pair[0]) != size(&pair[1])) {
        let (a, b) = (size(&pair[0]), size(&pair[1]));
        bail!("--video: expected frames of one size, found {}x{} and {}x{}; see --size", a.0, a.1, b.0, b.1);
    }
    inputs.expect_unread_file("--video", video)?;
    scene::file::check_replaceable(video).context("--video")?;
    // A record that cannot be read is told where the frames are looked for.
    let own = video.exists() && Record::read(out).unwrap_or_default().is_own_video(video);
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

/// What lasts for all frames.
struct Work {
    renderer: Renderer,
    settings: Settings,
    fade: Option<path::Fade>,
    /// [`Entry::settings`].
    id: String,
    journal: Journal,
    progress: Progress,
}

impl Work {
    /// Reads the photographs and masks that frames are compared with: whether a mask leaves a pixel depends on the stride.
    fn check_photographs(&self, frames: &[Frame], finished: &[Option<Entry>]) -> anyhow::Result<()> {
        for (frame, finished) in frames.iter().zip(finished) {
            if let (Some(view), None) = (photograph(self.renderer.scene(), frame), finished) {
                Truth::load(view, self.settings.stride)?;
            }
        }
        Ok(())
    }

    /// Renders, compares, writes and records a frame, or finds it finished.
    fn frame(
        &mut self,
        frame: &Frame,
        wanted: &Wanted,
        (finished, coverage): (Option<Entry>, Coverage),
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let files = &wanted.files;
        let mut out = FrameReport {
            name: frame.name.clone(),
            file: files.image.clone(),
            skipped: finished.is_some(),
            depth_files: files.depth.clone(),
            coverage: coverage.one,
            coverage_two: coverage.two,
            ..FrameReport::default()
        };
        if let Some(entry) = finished {
            out.sources = entry.sources;
            out.quality = match entry.quality {
                Some(quality) => Some(quality),
                None => self.compare(frame, || Ok(read_image(&files.image, Alpha::Ignore)?))?,
            };
        } else {
            let Self { renderer, settings, progress, fade, .. } = self;
            let mut rendered = renderer.render(frame, settings, &|rays| progress.add(rays as u64))?;
            expect_numbers(&rendered, &format!("frame {} by {}", frame.name, report.model))?;
            // Photographs are compared with what comes out.
            if let Some(fade) = fade.filter(|_| frame.truth.is_none()) {
                fade.apply(&mut rendered, renderer.scene(), frame, settings.stride);
            }
            report.seconds_features += rendered.seconds_features;
            out.seconds = Some(rendered.seconds_rays);
            out.rays = rendered.rays;
            out.rays_per_second = report::per_second(rendered.rays, rendered.seconds_rays);
            out.sources = rendered.sources.iter().map(|id| renderer.scene().views[*id].name.clone()).collect();
            out.quality = self.compare(frame, || as_saved(&rendered.image))?;
            let entry = Entry {
                name: frame.name.clone(),
                settings: self.id.clone(),
                camera: wanted.camera.clone(),
                files: Default::default(),
                sources: out.sources.clone(),
                quality: out.quality,
            };
            files.write(&rendered, report.depth_png_scale.unwrap_or(1.0), entry, &mut self.journal)?;
        }
        report.frames.push(out);
        Ok(())
    }

    /// Likeness to the photograph of a frame, where it has one.
    fn compare(&self, frame: &Frame, image: impl FnOnce() -> anyhow::Result<Image>) -> anyhow::Result<Option<Quality>> {
        let view = photograph(self.renderer.scene(), frame);
        view.map(|view| Quality::measure(&image()?, view, self.settings.stride)).transpose()
    }
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
