//! What is written of a frame beside its colours: depths, normals, and how much can be relied on.

use super::picture::Picture;
use anyhow::Context;
use scene::{exr, write};
use std::path::Path;

/// A file beside a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// Depth along the optical axis in scene units, f32 `[height, width]`.
    DepthNpy,
    /// Distance along the ray in scene units, f32 `[height, width]`.
    RangeNpy,
    /// Depth along the optical axis as a 16-bit picture.
    DepthPng,
    /// Channels `Z`, along the optical axis, and `range`, along the ray: 32-bit floats in scene units.
    DepthExr,
    /// Depth in colours, near is bright.
    DepthColour,
    /// Normals; see [`scene::normals::DepthMap::normal_picture`].
    Normals,
    /// How sharply the samples' weights tell the depth, 0 to 1, f32 `[height, width]`.
    ConfidenceNpy,
    /// The same as a 16-bit picture, of which 65535 stands for 1.
    ConfidencePng,
    /// Number of source views in whose picture the point lies, as a 16-bit picture.
    Views,
}

/// A choice of `--depth-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DepthFormat {
    /// NAME_depth.npy and NAME_range.npy, f32
    Npy,
    /// NAME_depth.png, 16 bits
    Png,
    /// NAME_depth.exr with channels Z and range, 32-bit floats
    Exr,
    /// NAME_depth_colour.png, even in inverse depth
    Colour,
}

impl DepthFormat {
    /// The files that are written for it.
    pub fn kinds(self) -> &'static [MapKind] {
        match self {
            Self::Npy => &[MapKind::DepthNpy, MapKind::RangeNpy],
            Self::Png => &[MapKind::DepthPng],
            Self::Exr => &[MapKind::DepthExr],
            Self::Colour => &[MapKind::DepthColour],
        }
    }
}

/// The files that are written for `--confidence`.
pub const CONFIDENCE: [MapKind; 3] = [MapKind::ConfidenceNpy, MapKind::ConfidencePng, MapKind::Views];

impl MapKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::DepthNpy,
        Self::RangeNpy,
        Self::DepthPng,
        Self::DepthExr,
        Self::DepthColour,
        Self::Normals,
        Self::ConfidenceNpy,
        Self::ConfidencePng,
        Self::Views,
    ];

    /// What follows the frame's name in that of the file.
    pub fn ending(self) -> &'static str {
        match self {
            Self::DepthNpy => "_depth.npy",
            Self::RangeNpy => "_range.npy",
            Self::DepthPng => "_depth.png",
            Self::DepthExr => "_depth.exr",
            Self::DepthColour => "_depth_colour.png",
            Self::Normals => "_normals.png",
            Self::ConfidenceNpy => "_confidence.npy",
            Self::ConfidencePng => "_confidence.png",
            Self::Views => "_views.png",
        }
    }

    /// Where the report names it: a group, and a key in it.
    pub fn place(self) -> [&'static str; 2] {
        match self {
            Self::DepthNpy => ["depth_files", "depth"],
            Self::RangeNpy => ["depth_files", "range"],
            Self::DepthPng => ["depth_files", "png"],
            Self::DepthExr => ["depth_files", "exr"],
            Self::DepthColour => ["depth_files", "colour"],
            Self::Normals => ["normal_files", "png"],
            Self::ConfidenceNpy => ["confidence_files", "npy"],
            Self::ConfidencePng => ["confidence_files", "png"],
            Self::Views => ["confidence_files", "views"],
        }
    }
}

/// How depths become pictures, the same way for all frames.
#[derive(Clone, Copy, Debug)]
pub struct DepthScale {
    /// Levels of 16-bit pictures per scene unit.
    pub levels: f32,
    /// Depths at the bright and the dark end of the colours.
    pub range: [f32; 2],
}

/// Writes one of a frame's files.
///
/// # Errors
/// If the picture has no such values, or the file cannot be written.
pub fn write(kind: MapKind, path: &Path, picture: &Picture, scale: DepthScale) -> anyhow::Result<()> {
    let (width, height) = (picture.image.width, picture.image.height);
    let (depth, range) = (&picture.depth, &picture.range);
    let missing = || format!("{}: expected values of this kind with the frame, found none", path.display());
    match kind {
        MapKind::DepthNpy => write::write_npy(path, width, height, depth)?,
        MapKind::RangeNpy => write::write_npy(path, width, height, range)?,
        MapKind::DepthPng => drop(write::write_depth_png(path, width, height, depth, Some(scale.levels))?),
        MapKind::DepthExr => {
            let comment = "Z: along the optical axis; range: along the ray; both in scene units";
            let file = exr::encode_channels((width, height), [("Z", depth), ("range", range)], comment)?;
            write::write_bytes(path, &file)?;
        }
        MapKind::DepthColour => {
            let colours = eval::report::sheet::depth_picture(depth, (width, height), scale.range)?;
            write::write_png(path, &colours)?;
        }
        MapKind::Normals => write::write_png(path, picture.normals.as_ref().with_context(missing)?)?,
        MapKind::ConfidenceNpy => {
            write::write_npy(path, width, height, picture.confidence.as_ref().with_context(missing)?)?;
        }
        MapKind::ConfidencePng => {
            let confidence = picture.confidence.as_ref().with_context(missing)?;
            write::write_depth_png(path, width, height, confidence, Some(f32::from(u16::MAX)))?;
        }
        MapKind::Views => {
            let views: Vec<f32> =
                picture.views.as_ref().with_context(missing)?.iter().map(|count| f32::from(*count)).collect();
            write::write_depth_png(path, width, height, &views, Some(1.0))?;
        }
    }
    Ok(())
}
