//! `shiftray import`: official PyTorch checkpoints become model files.

use anyhow::{Context, Result, bail};
use gnt::checkpoint::{Storage, torch};
use std::path::PathBuf;

/// Convert an official PyTorch checkpoint into a model file.
///
/// Only the weights are kept; nothing in the checkpoint is executed. The sizes of the network are found from the weights.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The checkpoint, such as `model_720000.pth`, as `torch.save` of PyTorch 1.6 or later writes it
    pub checkpoint: PathBuf,
    /// The model file to write, such as `gnt.safetensors`
    #[arg(short, long)]
    pub out: PathBuf,
    /// Store 16-bit floats: half the size, rounded to 11 significant bits
    #[arg(long)]
    pub half: bool,
}

/// Reads the checkpoint, says what it holds and writes the model file.
///
/// # Errors
/// If the checkpoint is not an official one with a single network, or the file cannot be written.
pub fn run(args: Args) -> Result<()> {
    let same = |a: &PathBuf, b: &PathBuf| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
    if same(&args.checkpoint, &args.out) {
        bail!("--out {}: expected another file than the checkpoint", args.out.display());
    }
    // Before the long work: a device or a link is not replaced.
    scene::file::check_replaceable(&args.out).with_context(|| "--out".to_owned())?;
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    scene::file::remove_leftovers(folder.unwrap_or(std::path::Path::new(".")));
    let checkpoint = torch::read_torch(&args.checkpoint)?;
    let precision = if args.half { Storage::F16 } else { Storage::F32 };
    checkpoint.write(&args.out, precision).context("the model file could not be written")?;

    let config = &checkpoint.config;
    let bytes = std::fs::metadata(&args.out).with_context(|| args.out.display().to_string())?.len();
    super::output::line(&format!(
        "depth       {}\nwidth       {}\nfeatures    {} channels\ntensors     {}\nparameters  {}\nwritten     {} ({bytes} bytes, {})",
        config.depth,
        config.width,
        config.features.channels,
        checkpoint.tensors.len(),
        checkpoint.num_params(),
        args.out.display(),
        if args.half { "f16" } else { "f32" }
    ))
}
