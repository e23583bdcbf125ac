//! `shiftray selftest`: whether this machine computes what it should.

mod difference;
mod material;
mod on_cpu;
mod on_cuda;
mod report;
mod stages;
#[cfg(test)]
mod tests;
mod training;
mod trial;

#[cfg(test)]
pub use tests::faulty_device;
pub use trial::trial_step;

use super::device::{self, Chosen, Device};
use super::output;
use anyhow::ensure;
use report::{Live, Report};
use std::time::Instant;

/// Compare what the device computes with the processor's reference.
///
/// On a CUDA device every stage of the network, whole frames and training steps are compared with the processor's, in
/// f32 and in bf16; on the processor, its sets of vector instructions and its precisions with each other. Exit code 1 if
/// anything is out of bounds.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to test
    #[arg(long, default_value = "auto", value_name = "auto|cpu|cuda[:N]")]
    device: Device,
    /// A few small cases only
    #[arg(long)]
    quick: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How much is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// A few small cases only.
    quick: bool,
    /// Whether all memory of the device may be taken away, which no other program on it would forgive.
    starve: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// If the device is not there, or something is out of bounds.
pub fn run(args: Args) -> anyhow::Result<()> {
    let threads = compute::parallel::available();
    let chosen = device::choose(args.device, threads)?;
    let scope = Scope { quick: args.quick, starve: false };
    let started = Instant::now();
    let mut report = Report::new(if args.json { Live::Stderr } else { Live::Stdout });
    match &chosen {
        Chosen::Cpu => on_cpu::run(scope, &mut report)?,
        Chosen::Cuda(_, device) => {
            on_cuda::run(device, scope, &mut report)?;
            training::run(device, scope, &mut report)?;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let device = chosen.to_string();
    output::line(&if args.json { report.json(&device, seconds) } else { report.verdict(&device, seconds) })?;
    let (failed, judged) = report.counts();
    ensure!(failed == 0, "selftest: {failed} of {judged} checks out of bounds");
    Ok(())
}
