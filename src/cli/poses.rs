//! `shiftray poses`: camera poses of photographs, found by COLMAP.

use super::{output, usage};
use anyhow::{Context, bail};
use clap::value_parser;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Find the camera poses of photographs with COLMAP.
///
/// Runs COLMAP, or its Python package pycolmap, where one is installed, on the photographs in FOLDER/images or FOLDER; else
/// prints the commands that install and run it. What it finds is FOLDER/sparse, which all commands read.
#[derive(Debug, clap::Args)]
#[command(override_usage = "shiftray poses <FOLDER> [OPTIONS]")]
pub struct Args {
    /// Folder of photographs, or one with a folder images
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// How COLMAP is run: auto (colmap, else pycolmap with python3), colmap, pycolmap, or none to print commands only
    #[arg(long, value_enum, default_value_t = Program::Auto)]
    with: Program,
    /// Python interpreter that has pycolmap
    #[arg(long, default_value = "python3", value_name = "PROGRAM")]
    python: PathBuf,
    /// Camera model, such as SIMPLE_RADIAL, OPENCV, or OPENCV_FISHEYE for fisheye lenses
    #[arg(long, default_value = "SIMPLE_RADIAL", value_parser = parse_model, value_name = "MODEL")]
    camera_model: String,
    /// The photographs are of several cameras or focal lengths: each gets its own; by default all share one
    #[arg(long)]
    several_cameras: bool,
    /// Threads
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024), value_name = "N")]
    threads: Option<u16>,
    /// Say nothing about progress
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Program {
    Auto,
    Colmap,
    Pycolmap,
    None,
}

/// Photographs from which on every one is matched with those taken before and after it, and not with all others.
const MANY: usize = 200;

/// The steps with pycolmap. Arguments: images, database, output, camera model, one camera (1) or several (0), threads
/// (-1: all), sequential (1) or exhaustive (0).
const SCRIPT: &str = r#"
import sys, pathlib, pycolmap
images, database, out, model, one, threads, sequential = sys.argv[1:8]
threads = int(threads)
def step(text):
    print("step: " + text, flush=True)
step("features")
reader = pycolmap.ImageReaderOptions()
reader.camera_model = model
mode = pycolmap.CameraMode.SINGLE if one == "1" else pycolmap.CameraMode.PER_IMAGE
pycolmap.extract_features(database, images, camera_mode=mode, reader_options=reader)
step("matches")
if sequential == "1":
    pycolmap.match_sequential(database)
else:
    pycolmap.match_exhaustive(database)
step("poses")
options = pycolmap.IncrementalPipelineOptions()
options.num_threads = threads
pathlib.Path(out).mkdir(parents=True, exist_ok=True)
models = pycolmap.incremental_mapping(database, images, out, options)
for number, model in sorted(models.items()):
    print("model: %d %d %d %.3f" % (number, model.num_reg_images(), model.num_points3D(),
          model.compute_mean_reprojection_error()), flush=True)
"#;

fn parse_model(text: &str) -> Result<String, String> {
    let model = text.to_uppercase();
    let known = scene::formats::colmap::model_names();
    if known.contains(&model.as_str()) {
        return Ok(model);
    }
    Err(format!("expected one of {}", known.join(", ")))
}

/// What is run, and where.
struct Job<'a> {
    args: &'a Args,
    images: PathBuf,
    database: PathBuf,
    out: PathBuf,
    count: usize,
}

/// Finds the poses, or prints what to do.
///
/// # Errors
/// If there are no photographs, the folder has a model already, or a step of COLMAP fails.
pub fn run(args: Args) -> anyhow::Result<()> {
    output::be_quiet(args.quiet);
    let folder = args.folder.clone();
    if !folder.is_dir() {
        bail!("{}: expected a folder of photographs, found none", folder.display());
    }
    let images = if folder.join("images").is_dir() { folder.join("images") } else { folder.clone() };
    let count = scene::formats::photographs_in(&images)?;
    if count < 3 {
        bail!("{}: expected at least 3 photographs, better 20, found {count}", images.display());
    }
    let out = folder.join("sparse");
    if fs::read_dir(&out).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{}: exists already; move it away to find the poses anew", out.display());
    }
    let job = Job { images, database: folder.join("database.db"), out, count, args: &args };
    let has_colmap = || answers(Command::new("colmap").arg("help"));
    let has_pycolmap = || answers(Command::new(&args.python).args(["-c", "import pycolmap"]));
    match args.with {
        Program::Auto if has_colmap() => job.colmap(),
        Program::Auto if has_pycolmap() => job.pycolmap(),
        Program::Colmap if has_colmap() => job.colmap(),
        Program::Pycolmap if has_pycolmap() => job.pycolmap(),
        Program::Colmap => Err(job.not_found("colmap")),
        Program::Pycolmap => Err(job.not_found("pycolmap")),
        Program::Auto => {
            output::note("neither colmap nor pycolmap is installed; these commands install and run it:");
            job.print()
        }
        Program::None => job.print(),
    }
}

/// Whether a program is there and does not fail.
fn answers(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

impl Job<'_> {
    fn not_found(&self, program: &str) -> anyhow::Error {
        let message = format!("{program} is not installed, or does not answer; --with none prints the commands for it");
        usage::error("poses", clap::error::ErrorKind::InvalidValue, &message)
    }

    /// The commands that install and run pycolmap.
    fn print(&self) -> anyhow::Result<()> {
        let folder = self.args.folder.display();
        output::line("python3 -m pip install pycolmap")?;
        output::line(&format!("shiftray poses '{folder}' --with pycolmap --camera-model {}", self.args.camera_model))
    }

    fn threads(&self) -> String {
        self.args.threads.map_or_else(|| "-1".to_owned(), |threads| threads.to_string())
    }

    fn colmap(&self) -> anyhow::Result<()> {
        let path = |path: &Path| path.as_os_str().to_owned();
        let one = if self.args.several_cameras { "0" } else { "1" };
        let matcher = if self.count > MANY { "sequential_matcher" } else { "exhaustive_matcher" };
        fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        for (i, (word, step)) in
            [("features", "feature_extractor"), ("matches", matcher), ("poses", "mapper")].iter().enumerate()
        {
            output::say_once(&format!("step {} of 3: {word} (colmap {step})", i + 1));
            let mut command = Command::new("colmap");
            command.arg(step).arg("--database_path").arg(path(&self.database));
            if i != 1 {
                command.arg("--image_path").arg(path(&self.images));
            }
            match i {
                0 => command.args([
                    "--ImageReader.single_camera",
                    one,
                    "--ImageReader.camera_model",
                    &self.args.camera_model,
                ]),
                2 => command.arg("--output_path").arg(path(&self.out)),
                _ => &mut command,
            };
            self.finish(&mut command, &format!("colmap {step}"))?;
        }
        self.tell(&[])
    }

    fn pycolmap(&self) -> anyhow::Result<()> {
        output::say_once(&format!(
            "{} photographs in {}: features, matches and poses with pycolmap, which takes minutes",
            self.count,
            self.images.display()
        ));
        let mut command = Command::new(&self.args.python);
        command.args(["-c", SCRIPT]).arg(&self.images).arg(&self.database).arg(&self.out);
        let flags = [!self.args.several_cameras, self.count > MANY].map(|flag| if flag { "1" } else { "0" });
        command.args([&self.args.camera_model, flags[0], &self.threads(), flags[1]]);
        let told = self.finish(&mut command, "pycolmap")?;
        self.tell(&told)
    }

    /// Runs a step and tells its steps as they come; its last words are shown if it fails.
    fn finish(&self, command: &mut Command, what: &str) -> anyhow::Result<Vec<String>> {
        use std::io::{BufRead, BufReader};
        let log = self.args.folder.join("colmap.log");
        let errors = fs::OpenOptions::new().create(true).append(true).open(&log);
        let errors = errors.with_context(|| log.display().to_string())?;
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn();
        let mut child = spawned.with_context(|| format!("{what} cannot be started"))?;
        let mut told = Vec::new();
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(step) = line.strip_prefix("step: ") {
                    output::say_once(&format!("pycolmap: {step}"));
                } else if let Some(model) = line.strip_prefix("model: ") {
                    told.push(model.to_owned());
                }
            }
        }
        let status = child.wait().with_context(|| format!("{what} cannot be waited for"))?;
        if !status.success() {
            bail!("{what} failed ({status}); its last words are in {}", log.display());
        }
        Ok(told)
    }

    /// Says what was found.
    fn tell(&self, models: &[String]) -> anyhow::Result<()> {
        for model in models {
            let words: Vec<&str> = model.split(' ').collect();
            if let [number, images, points, error] = words[..] {
                output::say_once(&format!(
                    "model {number}: {images} of {} photographs have poses, {points} points, mean error {error} pixels",
                    self.count
                ));
            }
        }
        if !scene::formats::holds(&self.args.folder, scene::Format::Colmap) {
            bail!(
                "{}: COLMAP found no poses; photographs need to overlap by more than half, be sharp, and show texture",
                self.args.folder.display()
            );
        }
        output::line(&format!(
            "poses in {}: `shiftray check {}` looks at them",
            self.out.display(),
            self.args.folder.display()
        ))
    }
}
