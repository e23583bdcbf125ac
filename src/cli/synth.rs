//! `shiftray synth`: procedural scenes in the LLFF layout.

use anyhow::Context;
use scene::procedural::{Rig, RigKind, World, WriteOptions, cameras, is_complete, write_llff};
use std::path::PathBuf;

/// Render procedural scenes in LLFF layout.
///
/// Each scene is a folder `scene_00000`, .. with images, poses_bounds.npy and exact depths. The same seed gives the
/// same scenes; complete ones are skipped, so an interrupted run goes on where it stopped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write to
    #[arg(long)]
    out: PathBuf,
    /// Number of scenes
    #[arg(long, default_value_t = 1)]
    scenes: usize,
    /// Seed of the first scene; scene i has seed + i
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Views per scene
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=1000))]
    views: u16,
    /// Size of a view
    #[arg(long, default_value = "320x240", value_parser = parse_size, value_name = "WxH")]
    size: (u32, u32),
    /// How the views are placed; mixed gives every fifth scene an orbit
    #[arg(long, value_enum, default_value_t = RigChoice::Mixed)]
    rig: RigChoice,
    /// Rays per pixel
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    spp: u32,
    /// Write the hand-composed demonstration scene, straight into the folder
    #[arg(long, conflicts_with_all = ["scenes", "rig"])]
    showcase: bool,
    /// Store JPEG of this quality instead of PNG
    #[arg(long, num_args = 0..=1, default_missing_value = "94", value_name = "QUALITY",
          value_parser = clap::value_parser!(u8).range(1..=100))]
    jpeg: Option<u8>,
    /// Leave out the exact depths
    #[arg(long)]
    no_depth: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum RigChoice {
    /// Side by side, all facing forward
    Forward,
    /// Around the scene, facing its centre
    Orbit,
    /// Four forward scenes to one orbit
    Mixed,
}

impl RigChoice {
    fn kind(self, index: usize) -> RigKind {
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
/// When a scene cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let scenes = if args.showcase { 1 } else { args.scenes };
    let views = usize::from(args.views);
    let options = WriteOptions {
        samples_per_pixel: args.spp,
        jpeg_quality: args.jpeg,
        depth: !args.no_depth,
        ..WriteOptions::default()
    };
    let bar = super::progress((scenes * views) as u64, "views");
    for index in 0..scenes {
        let (dir, kind) = match args.showcase {
            true => (args.out.clone(), RigKind::Forward),
            false => (args.out.join(format!("scene_{index:05}")), args.rig.kind(index)),
        };
        let done = (index * views) as u64;
        if !is_complete(&dir) {
            let seed = args.seed.wrapping_add(index as u64);
            let world = if args.showcase { World::showcase() } else { World::random(seed, kind) };
            let (width, height) = args.size;
            let rig = Rig { width, height, views, kind, samples_per_pixel: args.spp };
            let placed = cameras(&world, &rig, seed);
            write_llff(&dir, &world, &placed, &options, &|n| bar.set_position(done + n as u64))
                .with_context(|| format!("cannot write the scene {}", dir.display()))?;
        }
        bar.set_position(done + views as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Renders `scenes` random scenes for training into `out`, with exact depth.
///
/// # Errors
/// When a scene cannot be written.
pub fn generate(out: &std::path::Path, scenes: usize, seed: u64) -> anyhow::Result<()> {
    run(Args {
        out: out.to_owned(),
        scenes,
        seed,
        views: 12,
        size: (320, 240),
        rig: RigChoice::Mixed,
        spp: 4,
        showcase: false,
        jpeg: None,
        no_depth: false,
    })
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
