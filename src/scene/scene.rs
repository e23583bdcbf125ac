//! A set of posed photographs and how they may be used.

use crate::{Error, Result, Similarity, Split, View, parallel};
use std::path::PathBuf;

/// Far bound multiplier, on every path alike (GNT: for held-out views and training; 1.5 for others).
pub const FAR_EVAL: f32 = 1.6;

/// The layout of files that a scene was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `poses_bounds.npy` beside folders of images.
    Llff,
    /// `transforms_train.json` and its kind, one file a split.
    Blender,
    /// One `transforms.json`.
    Nerfstudio,
    /// `cameras`, `images` and `points3D` of COLMAP.
    Colmap,
    /// `poses_bounds.npy` of 14 columns with `hwf_cxcy.npy`, of NeX and Shiny.
    Nex,
    /// `rgb`, `pose` and `intrinsics`, of IBRNet's objects and NSVF.
    Ibrnet,
    /// A CSV file of RealityCapture or RealityScan.
    RealityCapture,
    /// `keyframes` of Polycam.
    Polycam,
    /// `metadata.json` of Record3D.
    Record3d,
    /// An XML file of Metashape.
    Metashape,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 10] = [
        Self::Llff,
        Self::Blender,
        Self::Nerfstudio,
        Self::Colmap,
        Self::Nex,
        Self::Ibrnet,
        Self::RealityCapture,
        Self::Polycam,
        Self::Record3d,
        Self::Metashape,
    ];

    /// Its name in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llff => "llff",
            Self::Blender => "blender",
            Self::Nerfstudio => "nerfstudio",
            Self::Colmap => "colmap",
            Self::Nex => "nex",
            Self::Ibrnet => "ibrnet",
            Self::RealityCapture => "realitycapture",
            Self::Polycam => "polycam",
            Self::Record3d => "record3d",
            Self::Metashape => "metashape",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::Scene(format!("format: expected {names}, found {text:?}"))
        })
    }
}

/// What "nearest" means when source views are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceOrder {
    /// Distance between camera centres.
    Distance,
    /// Angle between the camera centres as seen from the place that the cameras look at.
    Direction,
}

/// A loaded scene. World units and axes are those of the loader, which may differ from the files'.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Name of the scene: the last part of its folder.
    pub name: String,
    /// Its folder.
    pub root: PathBuf,
    /// The layout that it was read from, to be named in reports. What follows from it stands in other fields, so that
    /// nobody has to ask for it.
    pub format: Format,
    /// All views; they may differ in size.
    pub views: Vec<View>,
    /// Indices of the views that may be sources when held-out views are rendered.
    pub source_ids: Vec<usize>,
    /// Indices of the views kept for testing.
    pub held_out: Vec<usize>,
    /// What the held-out views are; none if there are none.
    pub split: Option<Split>,
    /// Number of photographs that have a pose and no file, and were left out.
    pub missing: usize,
    /// The files that the poses come from.
    pub pose_files: Vec<PathBuf>,
    /// Smallest depth bound of all views in scene units.
    pub near: f32,
    /// Largest depth bound of all views in scene units.
    pub far: f32,
    /// Whether the depth bounds are those of points that were seen, so that samples must go beyond them.
    pub bounds_are_tight: bool,
    /// Every how many pixels of both axes GNT's published evaluation looks at, at the size that the scene is loaded in.
    pub eval_stride: u32,
    /// From the coordinates of the scene's files to those of the cameras here.
    pub scene_from_file: Similarity,
    /// How source views are ranked.
    pub order: SourceOrder,
    /// What looked odd while loading; for the user to read.
    pub warnings: Vec<String>,
}

impl Scene {
    /// Depth range `[near, far]` to sample: `[0.9·near, far_factor·far]` where [bounds are
    /// tight](Self::bounds_are_tight), else `[near, far]`.
    ///
    /// The factor is [`FAR_EVAL`] wherever pictures are made.
    pub fn depth_range(&self, far_factor: f32) -> [f32; 2] {
        if self.bounds_are_tight { [0.9 * self.near, far_factor * self.far] } else { [self.near, self.far] }
    }

    /// Reads all photographs and masks, `threads` at a time, to see before long work whether each can be used. They are
    /// not kept; pictures in memory together are bounded.
    ///
    /// # Errors
    /// [`Error::Scene`] that counts the views with a fault and says what is wrong with the first of them.
    pub fn check_images(&self, threads: usize) -> Result<()> {
        const SHOWN: usize = 8;
        let checked = parallel::map(self.views.len(), threads, |i| self.views[i].check_files());
        let faults: Vec<Error> = checked.into_iter().filter_map(Result::err).collect();
        let Some(first) = faults.first() else { return Ok(()) };
        if faults.len() == 1 {
            return Err(Error::Scene(first.to_string()));
        }
        let lines: String = faults.iter().take(SHOWN).map(|fault| format!("\n  {fault}")).collect();
        let more = faults.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        let (count, all) = (faults.len(), self.views.len());
        Err(Error::Scene(format!("{}: {count} of {all} photographs cannot be used:{lines}{more}", self.root.display())))
    }

    /// Width and height that most views have, the first of them where several sizes are as frequent; zero if there are no
    /// views.
    pub fn size(&self) -> (u32, u32) {
        let size = |view: &View| (view.camera.width, view.camera.height);
        let mut counts: Vec<((u32, u32), usize)> = Vec::new();
        for view in &self.views {
            match counts.iter_mut().find(|(other, _)| *other == size(view)) {
                Some((_, count)) => *count += 1,
                None => counts.push((size(view), 1)),
            }
        }
        let most = counts.iter().map(|(_, count)| *count).max();
        counts.iter().find(|(_, count)| Some(*count) == most).map_or((0, 0), |(size, _)| *size)
    }
}
