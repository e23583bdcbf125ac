//! A processor's energy, as Linux shows its counters (RAPL: Intel, and AMD since Zen).

use super::Counter;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where Linux shows the counters.
pub const FOLDER: &str = "/sys/class/powercap";

/// The smallest ranges in use are 65 kJ: a minute at 1 kW.
const INTERVAL: Duration = Duration::from_secs(10);

/// The counters of all packages and of the memory beside them.
#[derive(Debug)]
pub struct Rapl {
    zones: Vec<Zone>,
    joules: f64,
}

/// A counter that starts again at 0 after its range.
#[derive(Debug)]
struct Zone {
    name: String,
    file: PathBuf,
    /// Microjoules after which it is 0 again.
    range: u64,
    last: u64,
}

impl Rapl {
    /// Opens the counters below `folder`.
    ///
    /// # Errors
    /// A sentence that says what is missing, or what may not be read.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut zones = Vec::new();
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let Some(level) = path.file_name().and_then(|name| level(&name.to_string_lossy())) else { continue };
            let Ok(name) = fs::read_to_string(path.join("name")) else { continue };
            // A package holds its cores and graphics, but not its memory; "psys" holds the packages.
            let name = name.trim();
            if (level == 1 && name.starts_with("package")) || (level == 2 && name == "dram") {
                zones.push(Zone::open(name, &path)?);
            }
        }
        if zones.is_empty() {
            return Err(format!("{}: no counter of a processor", folder.display()));
        }
        zones.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(Self { zones, joules: 0.0 })
    }

    /// The counters that are added up.
    pub fn describe(&self) -> String {
        let names: Vec<&str> = self.zones.iter().map(|zone| zone.name.as_str()).collect();
        format!("RAPL: {}", names.join(", "))
    }
}

impl Counter for Rapl {
    fn joules(&mut self) -> Option<f64> {
        let now: Vec<u64> = self.zones.iter().map(|zone| number(&zone.file).ok()).collect::<Option<_>>()?;
        for (zone, now) in self.zones.iter_mut().zip(now) {
            let past = if now >= zone.last { now - zone.last } else { (zone.range - zone.last.min(zone.range)) + now };
            self.joules += past as f64 * 1e-6;
            zone.last = now;
        }
        Some(self.joules)
    }

    fn interval(&self) -> Option<Duration> {
        Some(INTERVAL)
    }
}

impl Zone {
    fn open(name: &str, folder: &Path) -> Result<Self, String> {
        let file = folder.join("energy_uj");
        let range = number(&folder.join("max_energy_range_uj"))?;
        let last = number(&file)?;
        Ok(Self { name: name.to_owned(), file, range, last })
    }
}

/// 1 for `intel-rapl:0`, 2 for `intel-rapl:0:2`; none for what counts the same once more, such as `intel-rapl-mmio:0`.
fn level(name: &str) -> Option<usize> {
    let numbers = name.strip_prefix("intel-rapl:")?;
    numbers.split(':').all(|n| n.parse::<u32>().is_ok()).then(|| numbers.split(':').count())
}

fn number(file: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(file).map_err(|e| match e.kind() {
        std::io::ErrorKind::PermissionDenied => format!("{}: only root may read it", file.display()),
        _ => format!("{}: {e}", file.display()),
    })?;
    text.trim().parse().map_err(|_| format!("{}: expected a number, found {:?}", file.display(), text.trim()))
}
