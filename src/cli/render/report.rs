//! What a run of `shiftray render` tells: per frame, on the whole, as JSON and in words.

use crate::cli::compared::Quality;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that `--json` prints.
#[derive(Debug, Serialize)]
pub struct RenderReport {
    /// Name of the scene.
    pub scene: String,
    /// Name or file of the model.
    pub model: String,
    /// Name of the device that rendered.
    pub device: String,
    /// Name of the precision of its products.
    pub precision: &'static str,
    /// Name of the processor's instruction set that was used.
    pub cpu_level: &'static str,
    /// Threads.
    pub threads: usize,
    /// Width and height of the first frame's image.
    pub size: [u32; 2],
    /// Pixels of the full grid from one ray to the next.
    pub stride: u32,
    /// Source views that were asked for; frames list those that were used.
    pub views: usize,
    /// Samples a ray.
    pub samples: usize,
    /// The coarse grid that guides them, CELL:COARSE+SAMPLES; none where they are spread evenly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guided: Option<String>,
    /// Samples of the second pass.
    pub importance: usize,
    /// The camera path.
    pub path: String,
    /// Why this path was chosen; none if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_reason: Option<String>,
    /// What became of the field of view at the size that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_note: Option<String>,
    /// Distance of the eyes, in words; none for one eye.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stereo: Option<String>,
    /// What a panorama consists of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub panorama: Option<String>,
    /// Format of the frames.
    pub frame_format: &'static str,
    /// Near and far bound of the samples in scene units.
    pub depth_range: [f32; 2],
    /// Scene units per unit of the scene's files; divide depths by it.
    pub scene_scale: f32,
    /// From the coordinates of the scene's files to those of depths and cameras here, row by row.
    pub scene_from_file: [[f64; 4]; 4],
    /// Levels of the 16-bit depth images per scene unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth_png_scale: Option<f32>,
    /// The file that says what made the frames.
    pub record: PathBuf,
    /// The frames.
    pub frames: Vec<FrameReport>,
    /// The video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<PathBuf>,
    /// All frames in one picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_sheet: Option<PathBuf>,
    /// Seconds for all feature maps of source views.
    pub seconds_features: f64,
    /// Mean over the frames that were rendered; none if all were there already.
    pub seconds_per_frame: Option<f64>,
    /// Rays of these frames over their seconds, without feature maps.
    pub rays_per_second: Option<f64>,
    /// Mean over the frames with a photograph.
    pub mean_psnr: Option<f64>,
    /// Mean over the frames with a photograph.
    pub mean_ssim: Option<f64>,
    /// Warnings: what was guessed, repaired or ignored.
    pub warnings: Vec<String>,
}

/// One frame.
#[derive(Debug, Default, Serialize)]
pub struct FrameReport {
    /// Its name.
    pub name: String,
    /// The image.
    pub file: PathBuf,
    /// Whether it was there already.
    pub skipped: bool,
    /// Seconds for its rays; feature maps are counted apart.
    pub seconds: Option<f64>,
    /// Rays a second.
    pub rays_per_second: Option<f64>,
    /// Rays cast.
    #[serde(skip)]
    pub rays: usize,
    /// Part of its pixels that one of its sources at least sees in some depth.
    pub coverage: f32,
    /// Part that two of them see in one depth.
    pub coverage_two: f32,
    /// Names of the source views, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Against the photograph, if there is one.
    #[serde(flatten)]
    pub quality: Option<Quality>,
    /// Files beside the image: `depth_files`, `normal_files` and `confidence_files`, each by what they hold.
    #[serde(flatten)]
    pub maps: BTreeMap<&'static str, BTreeMap<&'static str, PathBuf>>,
}

impl RenderReport {
    /// Fills in the means over the frames.
    pub fn summarise(&mut self) {
        let mean = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let timed = || self.frames.iter().filter_map(|f| f.seconds.map(|s| (s, f.rays)));
        self.seconds_per_frame = mean(timed().map(|(s, _)| s).collect());
        let (seconds, rays) = timed().fold((0.0, 0), |(a, b), (s, r)| (a + s, b + r));
        self.rays_per_second = per_second(rays, seconds);
        self.mean_psnr = mean(self.frames.iter().filter_map(|f| f.quality).map(|q| q.psnr).collect());
        self.mean_ssim = mean(self.frames.iter().filter_map(|f| f.quality).map(|q| q.ssim).collect());
    }

    /// The report in a few lines for people.
    pub fn words(&self) -> String {
        let mut lines = Vec::new();
        for frame in &self.frames {
            if let Some(Quality { psnr, ssim }) = frame.quality {
                lines.push(format!("{:24} PSNR {psnr:6.2} dB  SSIM {ssim:.4}", frame.name));
            }
        }
        if let (Some(psnr), Some(ssim)) = (self.mean_psnr, self.mean_ssim) {
            lines.push(format!("{:24} PSNR {psnr:6.2} dB  SSIM {ssim:.4}", "mean"));
        }
        let skipped = self.frames.iter().filter(|f| f.skipped).count();
        let ([width, height], rendered) = (self.size, self.frames.len() - skipped);
        lines.push(format!(
            "{}, path {}: {rendered} frames of {width}x{height} rendered, {skipped} were there already",
            self.scene, self.path
        ));
        if let (Some(seconds), Some(rate)) = (self.seconds_per_frame, self.rays_per_second) {
            let samples = self.guided.clone().unwrap_or_else(|| self.samples.to_string());
            lines.push(format!(
                "{seconds:.2} s a frame and {:.2} s for source views; {rate:.0} rays/s at {samples} samples with {}, {} threads",
                self.seconds_features, self.model, self.threads
            ));
        }
        lines.extend(self.video.iter().map(|video| format!("video {}", video.display())));
        lines.extend(self.contact_sheet.iter().map(|sheet| format!("contact sheet {}", sheet.display())));
        lines.join("\n")
    }
}

/// A rate, if any time was measured.
pub fn per_second(count: usize, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| count as f64 / seconds)
}
