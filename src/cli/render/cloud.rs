//! The point cloud of a run's frames, made from their files, so that frames of an earlier run take part.

use super::files::FrameFiles;
use super::format::FrameFormat;
use super::maps::MapKind;
use super::outputs::OutputArgs;
use super::shots::Shot;
use crate::cli::folder;
use crate::cli::guard::Inputs;
use anyhow::{Context, bail};
use scene::Similarity;
use scene::cloud::{self, DepthFrame};
use std::path::Path;

/// Most points of a cloud before those without confidence are taken out.
const MOST_POINTS: u64 = 20_000_000;
/// Most pixels of all frames together, which are in memory at once with their depths.
const MOST_PIXELS: u64 = 1 << 28;

/// Checks that the cloud can be made, before the time for its frames is spent.
///
/// # Errors
/// If it cannot be made, or its file is there already.
pub fn check(args: &OutputArgs, shots: &[Shot], stride: u32, inputs: &Inputs) -> anyhow::Result<()> {
    let Some(points) = &args.points else { return Ok(()) };
    let pixels: u64 = shots
        .iter()
        .filter(|shot| shot.chosen)
        .map(|shot| shot.size(stride))
        .map(|(w, h)| u64::from(w) * u64::from(h))
        .sum();
    if pixels > MOST_PIXELS {
        bail!(
            "--points: expected frames of at most {MOST_PIXELS} pixels together, found {pixels}; fewer --frames or a smaller \
               --size have fewer"
        );
    }
    inputs.expect_unread_file("--points", points)?;
    inputs.expect_other_file("--points", points)?;
    scene::file::check_replaceable(points).context("--points")?;
    if points.exists() && !args.overwrite {
        bail!("--points {}: exists already; choose another name, or --overwrite replaces it", points.display());
    }
    let beside = points.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder::probe(beside).with_context(|| format!("--points {}: cannot be written", points.display()))
}

/// Writes the cloud and tells how many points it has.
///
/// # Errors
/// If a file of a frame cannot be read, or the cloud's cannot be written.
pub fn write(
    args: &OutputArgs,
    shots: &[(&Shot, &FrameFiles)],
    (format, stride): (FrameFormat, u32),
    scene_from_file: &Similarity,
) -> anyhow::Result<Option<usize>> {
    let Some(path) = &args.points else { return Ok(None) };
    let mut all = Vec::with_capacity(shots.len());
    for (shot, files) in shots {
        let (Some(depth), Some(frame)) = (files.map(MapKind::DepthNpy), shot.single()) else {
            bail!("--points: expected frames with depth, found none of {}", shot.name)
        };
        let size = shot.size(stride);
        all.push(DepthFrame {
            camera: frame.camera,
            stride,
            image: format.read(&files.image, size)?,
            depth: scene::depth::read_npy(depth, (size.0 as usize, size.1 as usize))?,
        });
    }
    let pixels: u64 = all.iter().map(|frame| frame.depth.len() as u64).sum();
    let every = ((pixels as f64 / MOST_POINTS as f64).sqrt().ceil() as u32).max(1);
    let points = cloud::of_frames(&all, scene_from_file, args.points_confidence, every)?;
    cloud::write_ply(path, &points)?;
    Ok(Some(points.len()))
}
