//! `shiftray synth`: procedural scenes in the LLFF layout or another.

use super::folder::FolderLock;
use super::steps::Steps;
use super::{kept, output};
use anyhow::{Context, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::value_parser;
use scene::Format;
use scene::procedural::{
    Album, Capture, Rig, RigKind, World, WorldOptions, WriteOptions, cameras, is_complete, write_llff_with,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use train::data::Dataset;

/// Render procedural scenes in LLFF layout or another.
///
/// Each scene is a folder `scene_00000`, .. with images, poses_bounds.npy (or what --format has) and exact depths, and `options.json` beside them
/// keeps what shapes them. The same seed gives the same scenes; complete ones are skipped, so an interrupted run goes on
/// where it stopped, and a set can be made larger. Another set is not mixed into it.
///
/// Depths are exact at the pixels of the pictures. With `--capture real` the poses are not: they are off a little, as those
/// of structure from motion are.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write to
    #[arg(short, long)]
    out: PathBuf,
    /// Number of scenes
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=MOST_SCENES))]
    scenes: u32,
    #[command(flatten)]
    shape: SceneArgs,
}

/// Most scenes of a set.
pub const MOST_SCENES: i64 = 100_000;

// What shapes the scenes; their folder keeps it. No doc comment: it would be taken for the help of the command.
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
struct SceneArgs {
    /// Seed of the first scene; scene i has seed + i
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Views per scene
    #[arg(long, default_value_t = 12, value_parser = value_parser!(u16).range(1..=1000))]
    views: u16,
    /// Size of a view
    #[arg(long, default_value = "320x240", value_parser = parse_size, value_name = "WxH")]
    size: (u32, u32),
    /// How the views are placed; mixed gives every fifth scene an orbit
    #[arg(long, value_enum, default_value_t = RigChoice::Mixed)]
    rig: RigChoice,
    /// Rays per pixel
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u32).range(1..=1024))]
    spp: u32,
    /// Write the hand-composed demonstration scene, straight into the folder
    #[arg(long, conflicts_with_all = ["scenes", "rig"])]
    showcase: bool,
    /// Store JPEG of this quality instead of PNG
    #[arg(long, num_args = 0..=1, default_missing_value = "94", value_name = "QUALITY",
          value_parser = value_parser!(u8).range(1..=100))]
    jpeg: Option<u8>,
    /// Layout of the files: that of LLFF, which training reads, or of another format that is read
    #[arg(long, default_value = Format::Llff.name(),
          value_parser = PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(Layout::try_from))]
    #[serde(default)]
    format: Layout,
    /// Leave out the exact depths
    #[arg(long)]
    no_depth: bool,
    /// What pictures and poses look like; the demonstration scene is always ideal
    #[arg(long, value_enum, default_value_t = CaptureChoice::Real)]
    #[serde(default)]
    capture: CaptureChoice,
    /// Folder of pictures of materials (searched with its sub-folders), which most surfaces wear then
    #[arg(long, value_name = "DIR", conflicts_with = "showcase")]
    #[serde(skip)]
    textures: Option<PathBuf>,
    /// Hash of these pictures: a set goes on with the same ones, wherever they lie.
    #[arg(skip)]
    #[serde(default, rename = "textures")]
    textures_hash: Option<String>,
}

// Folders that were made before there was a choice hold ideal pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CaptureChoice {
    /// As people take them: places with a foreground and a far background, exposure and colour that differ a little
    /// between views, lens, noise, JPEG, and poses that are off by 0.1 to 0.3 pixels
    Real,
    /// As computed: equal light in all views, exact poses
    #[default]
    Ideal,
}

// A format by its name, on the command line and in kept options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct Layout(Format);

impl Default for Layout {
    fn default() -> Self {
        Self(Format::Llff)
    }
}

impl From<Layout> for String {
    fn from(Layout(format): Layout) -> Self {
        format.name().to_owned()
    }
}

impl TryFrom<String> for Layout {
    type Error = scene::Error;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse().map(Self)
    }
}

impl From<CaptureChoice> for Capture {
    fn from(choice: CaptureChoice) -> Self {
        match choice {
            CaptureChoice::Real => Self::Real,
            CaptureChoice::Ideal => Self::Ideal,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RigChoice {
    /// Side by side, all facing forward
    Forward,
    /// Around the scene, facing its centre
    Orbit,
    /// Four forward scenes to one orbit
    Mixed,
}

impl RigChoice {
    fn kind(self, index: u64) -> RigKind {
        match self {
            Self::Forward => RigKind::Forward,
            Self::Orbit => RigKind::Orbit,
            Self::Mixed if index % 5 == 4 => RigKind::Orbit,
            Self::Mixed => RigKind::Forward,
        }
    }
}

/// The largest width or height that is accepted.
const LARGEST: u32 = 8192;

/// Reads `WIDTHxHEIGHT`.
///
/// # Errors
/// What was expected, if it is anything else.
pub fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let expected = || format!("expected WIDTHxHEIGHT with numbers from 1 to {LARGEST}, such as 320x240");
    let (width, height) = text.split_once('x').ok_or_else(expected)?;
    let number = |s: &str| s.parse().ok().filter(|n| (1..=LARGEST).contains(n)).ok_or_else(expected);
    Ok((number(width)?, number(height)?))
}

/// Renders the scenes.
///
/// # Errors
/// When the folder holds other scenes, or a scene cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let Args { out, scenes, mut shape } = args;
    if shape.showcase {
        shape.capture = CaptureChoice::Ideal;
        return showcase(&out, &shape);
    }
    let album = shape.textures.as_deref().map(Album::open).transpose().context("--textures")?;
    shape.textures_hash = album.as_ref().map(|album| format!("{:016x}", album.fingerprint()));
    let lock = FolderLock::take(&out, "synth")?;
    let ours = |folder: &PathBuf| {
        *folder == out || folder.file_name().is_some_and(|name| is_scene_name(&name.to_string_lossy()))
    };
    expect_own(&out, &shape, || Ok(Dataset::folders(&out)?.into_iter().find(ours)))?;
    kept::write(&out, &shape)?;
    let views = u64::from(shape.views);
    let bar = Steps::new(u64::from(scenes) * views, 0, "views");
    for index in 0..u64::from(scenes) {
        let kind = shape.rig.kind(index);
        let seed = shape.seed.wrapping_add(index);
        let options = WorldOptions { seed, kind, capture: shape.capture.into(), album: album.as_ref() };
        let world = || World::compose(&options);
        write(&out.join(format!("scene_{index:05}")), &shape, world, kind, seed, &[], &|n| {
            bar.set(index * views + n as u64, String::new());
        })?;
        bar.set((index + 1) * views, String::new());
    }
    bar.clear();
    drop(lock);
    say_done(scenes, &out);
    Ok(())
}

fn say_done(scenes: u32, out: &Path) {
    output::note(&format!("{scenes} {} in {}", if scenes == 1 { "scene" } else { "scenes" }, out.display()));
}

/// Whether a folder is called as the scenes of a set are.
fn is_scene_name(name: &str) -> bool {
    name.strip_prefix("scene_").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Renders the demonstration scene; its folder is there only once it is complete, with its options.
fn showcase(out: &Path, shape: &SceneArgs) -> anyhow::Result<()> {
    let Some(name) = out.file_name() else {
        bail!("--out {}: expected a folder name to write to, found none", out.display());
    };
    // Beside it: the folder itself is not there before it is complete.
    let beside = out.with_file_name(format!(".{}.lock", name.to_string_lossy()));
    let folders = kept::absent(beside.ancestors());
    let lock = FolderLock::take(&beside, "synth")?;
    let done = write_showcase(out, shape);
    drop(lock);
    kept::take_back(&[beside]);
    match &done {
        Ok(()) => say_done(1, out),
        Err(_) => kept::take_back(&folders),
    }
    done
}

fn write_showcase(out: &Path, shape: &SceneArgs) -> anyhow::Result<()> {
    expect_own(out, shape, || Ok(is_complete(out, shape.format.0).then(|| out.to_owned())))?;
    let (bar, options) = (Steps::new(shape.views.into(), 0, "views"), kept::text(shape)?);
    let files = [(kept::FILE, options.as_slice())];
    write(out, shape, World::showcase, RigKind::Forward, shape.seed, &files, &|n| bar.set(n as u64, String::new()))?;
    bar.clear();
    Ok(())
}

/// Checks that the scenes in `out` are those of the options in `shape`; `scene` tells one that is there.
fn expect_own(
    out: &Path,
    shape: &SceneArgs,
    scene: impl FnOnce() -> anyhow::Result<Option<PathBuf>>,
) -> anyhow::Result<()> {
    kept::expect_maker(out, "shiftray synth")?;
    match (kept::read::<SceneArgs>(out)?, scene()?) {
        (Some(before), _) => kept::expect_same(out, &before, shape),
        (None, Some(scene)) => {
            let problem = format!("found {} and no {}; {}", scene.display(), kept::FILE, kept::HINT);
            bail!("--out {}: expected a folder without scenes, or those of this command, {problem}", out.display())
        }
        (None, None) => Ok(()),
    }
}

/// Writes a scene with further files, unless it is there.
fn write(
    dir: &Path,
    shape: &SceneArgs,
    world: impl FnOnce() -> World,
    kind: RigKind,
    seed: u64,
    files: &[(&str, &[u8])],
    progress: &dyn Fn(usize),
) -> anyhow::Result<()> {
    if is_complete(dir, shape.format.0) {
        return Ok(());
    }
    let options = WriteOptions {
        samples_per_pixel: shape.spp,
        jpeg_quality: shape.jpeg,
        depth: !shape.no_depth,
        format: shape.format.0,
        ..WriteOptions::default()
    };
    let (width, height) = shape.size;
    let (views, world) = (usize::from(shape.views), world());
    let placed = cameras(&world, &Rig { width, height, views, kind, samples_per_pixel: shape.spp }, seed);
    let written = write_llff_with(dir, &world, &placed, &options, files, progress);
    written.with_context(|| format!("cannot write the scene {}", dir.display()))
}

/// Renders `scenes` random scenes for training into `out`, with exact depth.
///
/// # Errors
/// As [`run`].
pub fn generate(out: &Path, scenes: u32, seed: u64) -> anyhow::Result<()> {
    // A run that an earlier program began goes on with the scenes that it has.
    let capture = kept::read::<SceneArgs>(out)?.map_or(CaptureChoice::Real, |before| before.capture);
    let shape = SceneArgs {
        seed,
        views: 12,
        size: (320, 240),
        rig: RigChoice::Mixed,
        spp: 4,
        showcase: false,
        jpeg: None,
        format: Layout::default(),
        no_depth: false,
        capture,
        textures: None,
        textures_hash: None,
    };
    run(Args { out: out.to_owned(), scenes, shape })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_two_positive_numbers() {
        assert_eq!(parse_size("320x240"), Ok((320, 240)));
        for bad in ["", "320", "0x5", "5x0", "x", "-1x3", "3x4x5", "9000x1", "99999999999999x1", "3.5x2"] {
            assert!(parse_size(bad).unwrap_err().contains("WIDTHxHEIGHT"), "{bad}");
        }
    }

    #[test]
    fn one_scene_in_five_is_an_orbit() {
        let orbits = (0..100).filter(|i| RigChoice::Mixed.kind(*i) == RigKind::Orbit).count();
        assert_eq!(orbits, 20);
    }
}
