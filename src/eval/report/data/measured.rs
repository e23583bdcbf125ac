//! Measured times, memory and energy, and the commands that measured them.

use super::{CaseKey, Shard};
use serde::{Deserialize, Serialize};

/// Measured times, memory and energy of a case on one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The case that was timed.
    #[serde(flatten)]
    pub key: CaseKey,
    /// What computed, such as `cpu (AMD EPYC)` or `cuda:0 (NVIDIA H200)`.
    pub device: String,
    /// Threads of the host.
    pub threads: u32,
    /// Times of the images, in the order of the split.
    pub images: Vec<ImageTime>,
    /// Images that were timed, repetitions included.
    pub timed: u64,
    /// Seconds an image, features excluded.
    pub median: f64,
    /// 95 % of the images took no longer.
    pub p95: f64,
    /// Seconds of the fastest image.
    pub min: f64,
    /// Seconds of the slowest image.
    pub max: f64,
    /// Rays of the images over their seconds.
    pub rays_per_second: f64,
    /// Seconds for the features of one source view, which are computed once a scene.
    pub seconds_a_source: Option<f64>,
    /// Shares of a ray's time by stage, which add up to 1: `gather`, `view_blocks`, `position`, `ray_blocks`, `experts`
    /// (the feed-forward parts), `head`; empty where they were not measured.
    pub stages: Vec<(String, f64)>,
    /// Largest resident memory of the host's process while it rendered, in bytes; LPIPS weights lie in it, too.
    pub peak_memory: Option<u64>,
    /// Memory in use on the device, in bytes.
    pub device_memory: Option<u64>,
    /// Measured joules an image, idle power included.
    pub joules: Option<f64>,
    /// What measured it, or why there is no figure.
    pub meter: String,
}

/// Times of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageTime {
    /// As [`super::ImageResult::index`].
    pub index: u32,
    /// Name of the photograph.
    pub name: String,
    /// Rays of the image.
    pub rays: u64,
    /// Seconds for the rays, one number a repetition.
    pub seconds: Vec<f64>,
    /// Seconds for features of sources that were not there yet, and how many these were.
    pub features: (f64, u64),
    /// Measured joules of the rays, mean over the repetitions.
    pub joules: Option<f64>,
}

/// One command that contributed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommandRun {
    /// The command line.
    pub command: String,
    /// Which part of the work it did, where the work was shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Version of the program.
    pub version: String,
    /// Beginning of the SHA-256 of the program's file.
    #[serde(default)]
    pub build: String,
    /// Beginning, in UTC: `2026-11-24T09:00:00Z`.
    pub started: String,
    /// Seconds in all.
    pub seconds: f64,
    /// Images that it rendered itself; the others were there already.
    pub rendered: u64,
    /// Operating system and architecture.
    pub system: String,
    /// Name of the processor.
    pub processor: String,
    /// Name of the processor's instruction set that was used.
    pub instructions: String,
    /// Threads that computed.
    pub threads: u32,
    /// Megahertz of the processor as the system tells it, at the end of the run.
    pub processor_mhz: Option<f64>,
    /// Name of the device that computed.
    pub device: String,
    /// Driver and clocks of the device, where it tells them.
    pub device_details: Option<String>,
}
