//! The options that say what a run writes.

use super::format::FrameFormat;
use super::maps::{CONFIDENCE, DepthFormat, MapKind};
use super::picture::Told;
use anyhow::bail;
use scene::video::{Codec, VideoFormat};
use std::path::PathBuf;

/// What a run writes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Folder for the frames; created where it is missing
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Format of the frames
    #[arg(long, default_value = "png", value_name = "FORMAT")]
    pub frame_format: FrameFormat,
    /// Also make a video of all frames: MP4, or an animated GIF; another file of this name is replaced only with
    /// --overwrite
    #[arg(long, value_parser = parse_video, value_name = "FILE.mp4|FILE.gif")]
    pub video: Option<PathBuf>,
    /// How the pictures of a .mp4 are coded: h264, or av1, which is smaller, free of licences and slow to make
    #[arg(long, value_parser = parse_codec, requires = "video")]
    pub codec: Option<Codec>,
    /// Frames a second of the video: 0.1 to 240, of a GIF to 50
    #[arg(long, default_value_t = 25.0, value_parser = parse_rate, requires = "video")]
    pub fps: f32,
    /// Also make one picture of all frames, small and in order, or of 100 of them where there are more
    #[arg(long, value_parser = parse_png, value_name = "FILE.png")]
    pub contact_sheet: Option<PathBuf>,
    /// Also write depth, in the formats of --depth-format
    #[arg(long)]
    pub depth: bool,
    /// Formats of depth, between commas; in scene units
    #[arg(long, value_delimiter = ',', default_value = "npy,png", requires = "depth", value_name = "FORMATS")]
    pub depth_format: Vec<DepthFormat>,
    /// Also write NAME_normals.png, from depth: red, green and blue are (n + 1) / 2 of the axes x right, y up, z towards the
    /// camera; black where a surface ends
    #[arg(long)]
    pub normals: bool,
    /// Also write how far a frame can be relied on: NAME_confidence.npy and .png, from 0 (depth unknown) to 1 (one depth has
    /// all of the network's weight), and NAME_views.png, the number of source views in whose picture the point lies, which
    /// does not tell whether something hides it from them
    #[arg(long)]
    pub confidence: bool,
    /// Also make a point cloud of all frames, with normals and confidence, in the coordinates of the scene's files
    #[arg(long, value_parser = parse_ply, requires = "depth", value_name = "FILE.ply")]
    pub points: Option<PathBuf>,
    /// Leave points out that fewer of the other frames agree with, as a part of those that see their place
    #[arg(long, default_value_t = 0.5, value_parser = parse_part, requires = "points", value_name = "PART")]
    pub points_confidence: f32,
    /// Print one JSON object instead of a summary
    #[arg(long)]
    pub json: bool,
    /// Say nothing about progress and device
    #[arg(short, long)]
    pub quiet: bool,
    /// Render frames again that are there already, whatever made them
    #[arg(long)]
    pub overwrite: bool,
}

impl OutputArgs {
    /// The files beside each frame.
    pub fn maps(&self) -> Vec<MapKind> {
        let depth = self.depth_format.iter().filter(|_| self.depth).flat_map(|format| format.kinds());
        let normals = self.normals.then_some(&MapKind::Normals);
        let wanted: Vec<&MapKind> = depth.chain(normals).chain(CONFIDENCE.iter().filter(|_| self.confidence)).collect();
        MapKind::ALL.into_iter().filter(|kind| wanted.contains(&kind)).collect()
    }

    /// What is to be told of each pixel.
    pub fn told(&self) -> Told {
        Told { normals: self.normals, confidence: self.confidence }
    }

    /// Checks options against each other.
    ///
    /// # Errors
    /// If a file that is made of all frames is asked for of some of them, or of frames that it cannot be made of.
    pub fn check(&self, is_part: bool, is_stereo: bool, is_beside: bool) -> anyhow::Result<()> {
        let of_all = [("--video", &self.video), ("--contact-sheet", &self.contact_sheet), ("--points", &self.points)];
        if let Some((option, _)) = of_all.iter().find(|(_, file)| is_part && file.is_some()) {
            bail!(
                "{option}: expected all frames of the path, found a part (--shard); once all parts are there, the same command \
                 without --shard makes it and renders nothing again"
            );
        }
        if self.video.is_some() && is_stereo && !is_beside {
            bail!("--video: expected one picture a frame, found two (--stereo-layout files)");
        }
        if self.points.is_some() && is_beside {
            bail!(
                "--points: expected frames of one camera, found two side by side; --stereo-layout files has them apart"
            );
        }
        if self.points.is_some() && !self.depth_format.contains(&DepthFormat::Npy) {
            bail!("--points: expected npy among --depth-format, from which points are made, found none");
        }
        Ok(())
    }
}

impl OutputArgs {
    /// Checks that nothing is asked for that panoramas do not have.
    ///
    /// # Errors
    /// If something is.
    pub fn check_panorama(&self) -> anyhow::Result<()> {
        let not = [("--normals", self.normals), ("--points", self.points.is_some())];
        match not.iter().find(|(_, asked)| *asked) {
            Some((option, _)) => bail!("{option}: expected frames of a pinhole camera, found panoramas (--panorama)"),
            None => Ok(()),
        }
    }
}

fn parse_codec(name: &str) -> Result<Codec, String> {
    let found = Codec::ALL.into_iter().find(|codec| codec.name() == name);
    found.ok_or_else(|| format!("expected {}", Codec::ALL.map(Codec::name).join(" or ")))
}

fn parse_video(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    VideoFormat::of(&path, None).map(|_| path).ok_or_else(|| "expected a file name that ends in .mp4 or .gif".into())
}

fn parse_png(text: &str) -> Result<PathBuf, String> {
    parse_ending(text, "png")
}

fn parse_ply(text: &str) -> Result<PathBuf, String> {
    parse_ending(text, "ply")
}

fn parse_ending(text: &str, ending: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let fits = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending));
    if fits { Ok(path) } else { Err(format!("expected a file name that ends in .{ending}")) }
}

fn parse_part(text: &str) -> Result<f32, String> {
    let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| "expected a number from 0 to 1".into())
}

fn parse_rate(text: &str) -> Result<f32, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=240.0).contains(rate));
    rate.ok_or_else(|| "expected a number from 0.1 to 240".into())
}
