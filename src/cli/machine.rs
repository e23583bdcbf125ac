//! The machine that a command ran on, and the command itself, as reports have them.

use super::device::Chosen;
use super::hash;
use eval::power::Meter;
use eval::power::gpu::Gpu;
use eval::report::data::{CommandRun, Shard};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};
use sysinfo::{CpuRefreshKind, RefreshKind, System};

/// Last second of the year 9999, counted from 1970.
const LAST_SECOND: u64 = 253_402_300_799;

/// A date as it is recorded; a clock that is set to before 1970 or after 9999 counts as that, since such dates have no form.
fn date(time: SystemTime) -> String {
    let first = SystemTime::UNIX_EPOCH;
    let time = time.clamp(first, first + Duration::from_secs(LAST_SECOND));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The clocks and counters of a run at its beginning.
pub struct Started {
    at: Instant,
    date: String,
}

impl Started {
    /// Reads clocks and counters now.
    pub fn now() -> Self {
        Self { at: Instant::now(), date: date(SystemTime::now()) }
    }

    /// What is recorded of a run that ends now.
    pub fn finish(
        &self,
        (shard, threads): (Option<Shard>, usize),
        device: &str,
        details: Option<String>,
        rendered: u64,
    ) -> CommandRun {
        // A system that tells nothing leaves these fields empty.
        let system =
            System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_frequency()))
                .ok();
        let cpus = system.as_ref().map(System::cpus).unwrap_or_default();
        let mhz = cpus.iter().map(sysinfo::Cpu::frequency).max().filter(|mhz| *mhz > 0);
        CommandRun {
            command: command(),
            shard,
            version: env!("CARGO_PKG_VERSION").into(),
            build: short_build().into(),
            started: self.date.clone(),
            seconds: self.at.elapsed().as_secs_f64(),
            rendered,
            system: format!(
                "{} {}",
                System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.into()),
                std::env::consts::ARCH
            ),
            processor: processor().to_owned(),
            instructions: compute::isa().name().into(),
            threads: threads as u32,
            processor_mhz: mhz.map(|mhz| mhz as f64),
            device: device.to_owned(),
            device_details: details,
        }
    }
}

/// SHA-256 of this program, so that what another build made is not taken for its own; `unknown` where the system does not
/// let it be read.
pub fn build() -> &'static str {
    static BUILD: LazyLock<String> = LazyLock::new(|| {
        // The running program, even where its file was replaced meanwhile; elsewhere than on Linux, its file.
        let running = std::fs::read("/proc/self/exe").or_else(|_| std::fs::read(std::env::current_exe()?));
        running.map_or_else(|_| "unknown".into(), |bytes| hash::bytes(&bytes))
    });
    &BUILD
}

/// The beginning of [`build`], as reports have it.
pub fn short_build() -> &'static str {
    build().get(..16).unwrap_or(build())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_wrong_have_dates() {
        let first = SystemTime::UNIX_EPOCH;
        assert_eq!(date(first - Duration::from_secs(1 << 33)), "1970-01-01T00:00:00Z");
        assert_eq!(date(first + Duration::from_secs(1 << 30)), "2004-01-10T13:37:04Z");
        assert_eq!(date(first + Duration::from_secs(1 << 40)), "9999-12-31T23:59:59Z");
    }
}
