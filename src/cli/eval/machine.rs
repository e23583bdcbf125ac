//! What computed.

use super::{Args, hash};
use crate::cli::device::Chosen;
use anyhow::Context;
use eval::power::Meter;
use eval::power::gpu::Gpu;
use eval::report::data::Run;
use std::sync::{LazyLock, OnceLock};
use std::time::{Instant, SystemTime};
use sysinfo::{CpuRefreshKind, RefreshKind, System};

/// A run that has begun.
pub struct Started {
    at: Instant,
    date: String,
}

impl Started {
    /// Now.
    pub fn now() -> Self {
        Self { at: Instant::now(), date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string() }
    }

    /// What is recorded of a run that ends now.
    ///
    /// # Errors
    /// If the program cannot read itself.
    pub fn finish(&self, args: &Args, device: &str, details: Option<String>, rendered: u64) -> anyhow::Result<Run> {
        // A system that tells nothing leaves these fields empty.
        let system =
            System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_frequency()))
                .ok();
        let cpus = system.as_ref().map(System::cpus).unwrap_or_default();
        let mhz = cpus.iter().map(sysinfo::Cpu::frequency).max().filter(|mhz| *mhz > 0);
        Ok(Run {
            command: command(),
            shard: args.shard,
            version: env!("CARGO_PKG_VERSION").into(),
            build: build()?.chars().take(16).collect(),
            started: self.date.clone(),
            seconds: self.at.elapsed().as_secs_f64(),
            rendered,
            system: format!(
                "{} {}",
                System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.into()),
                std::env::consts::ARCH
            ),
            processor: processor().to_owned(),
            instructions: tensor::level().name().into(),
            threads: args.threads() as u32,
            processor_mhz: mhz.map(|mhz| mhz as f64),
            device: device.to_owned(),
            device_details: details,
        })
    }
}

/// SHA-256 of this program, so that what another build made is not taken for its own.
///
/// # Errors
/// If it cannot be read.
pub fn build() -> anyhow::Result<&'static str> {
    static BUILD: OnceLock<String> = OnceLock::new();
    if let Some(build) = BUILD.get() {
        return Ok(build);
    }
    let bytes = std::env::current_exe().and_then(std::fs::read).context("the program's own file cannot be read")?;
    Ok(BUILD.get_or_init(|| hash::bytes(&bytes)))
}

/// Name of the processor, or nothing where the system does not tell.
fn processor() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let system = System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing())).ok();
        let first = system.as_ref().and_then(|system| system.cpus().first());
        first.map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default()
    });
    &NAME
}

/// A device by its name: times of unlike devices are kept apart.
pub fn device(chosen: &Chosen) -> String {
    match (chosen, processor()) {
        (Chosen::Cpu, name) if !name.is_empty() => format!("cpu ({name})"),
        _ => chosen.to_string(),
    }
}

/// The command line, quoted where a shell needs it.
fn command() -> String {
    let quoted = |text: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
        if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
    };
    let arguments = std::env::args_os().skip(1).map(|text| quoted(text.to_string_lossy().into_owned()));
    std::iter::once("shiftray".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// What counts the joules of a device.
pub fn meter(device: &Chosen) -> Meter {
    match device {
        Chosen::Cpu => Meter::cpu(),
        Chosen::Cuda(number, _) => Meter::gpu(*number),
    }
}

/// Driver and clocks of a device, where it tells them.
pub fn details(device: &Chosen) -> Option<String> {
    let Chosen::Cuda(number, _) = device else { return None };
    let gpu = Gpu::of_cuda(*number).ok()?;
    let reading = gpu.reading();
    let clock = |name: &str, mhz: Option<u32>| mhz.map(|mhz| format!(", {name} {mhz} MHz")).unwrap_or_default();
    Some(format!("{}{}{}", gpu.describe(), clock("SM", reading.sm_mhz), clock("memory", reading.memory_mhz)))
}
