//! A GPU's energy, power, clocks and temperature, through NVML, which is part of NVIDIA's driver.

use super::Counter;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::{Device, Nvml};
use std::time::{Duration, Instant};

/// How often power is sampled where a GPU counts no energy; NVML's own value changes no faster.
const SAMPLING: Duration = Duration::from_millis(20);

/// A GPU that NVML shows.
pub struct Gpu {
    nvml: Nvml,
    /// By which NVML finds it again: its handles borrow from `nvml`.
    uuid: String,
    name: String,
    driver: String,
    /// Whether it is cut into instances, which share the counters.
    partitioned: bool,
}

/// What a GPU does at a moment; none of what it does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Power of the board in watts.
    pub watts: Option<f64>,
    /// Clock of the multiprocessors in MHz.
    pub sm_mhz: Option<u32>,
    /// Clock of the memory in MHz.
    pub memory_mhz: Option<u32>,
    /// Temperature in degrees Celsius.
    pub celsius: Option<u32>,
}

/// What names a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// NVML's number: the order of the PCI bus, whatever `CUDA_VISIBLE_DEVICES` says.
    Number(u32),
    /// `GPU-…`, or a beginning of it that only one GPU has.
    Uuid(String),
    /// Address such as `0000:65:00.0`.
    Pci(String),
}

impl Gpu {
    /// Opens the GPU that CUDA gives this number in this process.
    ///
    /// CUDA numbers the GPUs that `CUDA_VISIBLE_DEVICES` lists, else all; without `CUDA_DEVICE_ORDER=PCI_BUS_ID` it may
    /// put the fastest first, which NVML does not tell: where GPUs differ, compare [`Gpu::name`].
    ///
    /// # Errors
    /// As [`Gpu::open`], or if the list has no such entry or an entry that is no GPU.
    pub fn of_cuda(number: u32) -> Result<Self, String> {
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        Self::open(&from_visible(number, visible.as_deref())?)
    }

    /// Opens a GPU.
    ///
    /// # Errors
    /// A sentence that says what is missing: the library, the driver, or the GPU.
    pub fn open(name: &Name) -> Result<Self, String> {
        let nvml = Nvml::init().map_err(|problem| format!("NVML: {}", one_line(&problem.to_string())))?;
        let of = |problem: nvml_wrapper::error::NvmlError| format!("NVML: {name:?}: {problem}");
        let uuid = match name {
            Name::Number(number) => nvml.device_by_index(*number).and_then(|d| d.uuid()).map_err(of)?,
            Name::Pci(address) => nvml.device_by_pci_bus_id(address.as_str()).and_then(|d| d.uuid()).map_err(of)?,
            Name::Uuid(start) => {
                let all = 0..nvml.device_count().map_err(of)?;
                let mut found = all.filter_map(|i| nvml.device_by_index(i).and_then(|d| d.uuid()).ok());
                let mut matching = found.by_ref().filter(|uuid| uuid.starts_with(start.as_str()));
                match (matching.next(), matching.next()) {
                    (Some(uuid), None) => uuid,
                    (Some(_), Some(_)) => return Err(format!("NVML: several GPUs begin with {start}")),
                    (None, _) => return Err(format!("NVML: no GPU {start}")),
                }
            }
        };
        let device = nvml.device_by_uuid(uuid.as_str()).map_err(of)?;
        let name = device.name().unwrap_or_else(|_| "a GPU without a name".into());
        let partitioned = device.mig_mode().is_ok_and(|mode| mode.current != 0);
        let driver = nvml.sys_driver_version().unwrap_or_else(|_| "unknown".into());
        Ok(Self { nvml, uuid, name, driver, partitioned })
    }

    /// Name of the product.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Version of the driver.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// Name, driver, and what must be known to read the figures.
    pub fn describe(&self) -> String {
        let shared = if self.partitioned { ", all its instances together" } else { "" };
        format!("{} ({}), driver {}{shared}", self.name, self.uuid, self.driver)
    }

    /// Joules since the driver was loaded; none before Volta.
    pub fn joules(&self) -> Option<f64> {
        let millijoules = self.device()?.total_energy_consumption().ok()?;
        Some(millijoules as f64 * 1e-3)
    }

    /// Power, clocks and temperature now.
    pub fn reading(&self) -> Reading {
        let Some(device) = self.device() else { return Reading::default() };
        Reading {
            watts: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) * 1e-3),
            sm_mhz: device.clock_info(Clock::SM).ok(),
            memory_mhz: device.clock_info(Clock::Memory).ok(),
            celsius: device.temperature(TemperatureSensor::Gpu).ok(),
        }
    }

    fn device(&self) -> Option<Device<'_>> {
        self.nvml.device_by_uuid(self.uuid.as_str()).ok()
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Gpu").field("name", &self.name).field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

impl Counter for Gpu {
    fn joules(&mut self) -> Option<f64> {
        Self::joules(self)
    }
}

/// Energy of a GPU that tells only its power: the sum of trapezoids between samples.
#[derive(Debug)]
pub(super) struct IntegratedPower {
    gpu: Gpu,
    integral: Integral,
}

impl IntegratedPower {
    /// None if the GPU does not tell its power either.
    pub fn new(gpu: Gpu) -> Option<Self> {
        gpu.reading().watts?;
        Some(Self { gpu, integral: Integral::default() })
    }
}

impl Counter for IntegratedPower {
    fn joules(&mut self) -> Option<f64> {
        let watts = self.gpu.reading().watts?;
        Some(self.integral.add(Instant::now(), watts))
    }

    fn interval(&self) -> Option<Duration> {
        Some(SAMPLING)
    }
}

/// The area below samples of power.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Integral {
    joules: f64,
    last: Option<(Instant, f64)>,
}

impl Integral {
    /// Adds a sample; returns the joules since the first.
    pub fn add(&mut self, now: Instant, watts: f64) -> f64 {
        if let Some((then, before)) = self.last {
            self.joules += 0.5 * (before + watts) * now.saturating_duration_since(then).as_secs_f64();
        }
        self.last = Some((now, watts));
        self.joules
    }
}

/// Which GPU CUDA gives a number, where `CUDA_VISIBLE_DEVICES` has this value.
pub(super) fn from_visible(number: u32, visible: Option<&str>) -> Result<Name, String> {
    let Some(visible) = visible else { return Ok(Name::Number(number)) };
    let entry = visible.split(',').map(str::trim).nth(number as usize).filter(|entry| !entry.is_empty());
    let wrong = || format!("CUDA_VISIBLE_DEVICES={visible}: no GPU with number {number}");
    let entry = entry.ok_or_else(wrong)?;
    if entry.starts_with("GPU-") {
        return Ok(Name::Uuid(entry.to_owned()));
    }
    if entry.starts_with("MIG-") {
        return Err(format!("{entry} is an instance of a GPU, and only the whole GPU has counters"));
    }
    entry.parse().map(Name::Number).map_err(|_| wrong())
}

/// Errors of the loader come with line breaks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
