//! `shiftray import`: official PyTorch checkpoints of GNT, and classifiers of timm, become model files.

use anyhow::{Context, Result, bail};
use gnt::checkpoint::{Storage, torch};
use std::path::{Path, PathBuf};
use vit::checkpoint::Checkpoint;

/// Convert an official PyTorch checkpoint of GNT, or a classifier, into a model file.
///
/// Only the weights are kept; nothing in the checkpoint is executed. The sizes of the network are found from the weights.
/// Classifiers are DeiT and PVTv2 of timm, whose preprocessing and names of classes are read from a config.json beside
/// them, and those of `shiftray train classifier`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The checkpoint, such as `model_720000.pth`, as `torch.save` of PyTorch 1.6 or later writes it, or, of a classifier,
    /// a safetensors file
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
    scene::file::remove_leftovers(folder.unwrap_or(Path::new(".")));
    let ending = args.checkpoint.extension();
    if ending.is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors")) {
        return import_classifier(&args, &vit::builtin::read(&args.checkpoint, None)?);
    }
    let checkpoint = match torch::read_torch(&args.checkpoint) {
        Ok(checkpoint) => checkpoint,
        // Asked only now, for it reads the file once more; a file that is none of either is refused as one of GNT.
        Err(_) if vit::timm::is_one(&args.checkpoint).unwrap_or(false) => {
            return import_classifier(&args, &vit::timm::read(&args.checkpoint, None)?);
        }
        Err(problem) => return Err(problem.into()),
    };
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

fn import_classifier(args: &Args, checkpoint: &Checkpoint) -> Result<()> {
    let written = if args.half { checkpoint.write_half(&args.out) } else { checkpoint.write(&args.out) };
    written.context("the model file could not be written")?;
    let (config, bytes) = (&checkpoint.description.config, std::fs::metadata(&args.out)?.len());
    let (height, width) = config.image_size();
    super::output::line(&format!(
        "classifier  {}\nimages      {width}x{height}\nclasses     {}\nparameters  {}\nwritten     {} ({bytes} bytes, {})",
        config.name(),
        config.classes(),
        checkpoint.params.len(),
        args.out.display(),
        if args.half { "f16" } else { "f32" }
    ))
}
