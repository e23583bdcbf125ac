//! Names of files by which this program knows a folder that it wrote itself.

/// What made the frames of a folder, beside them.
pub const FRAMES: &str = "frames.jsonl";
/// All figures of an evaluation, in the report's folder.
pub const METRICS: &str = "metrics.json";
