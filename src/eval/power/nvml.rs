//! The few functions of NVML, NVIDIA's management library, that tell what a GPU is and what it draws. The library is part
//! of the driver and is looked for when it is needed.

use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_uint, c_ulonglong, c_void};

#[cfg(windows)]
const FILE: &str = "nvml.dll";
#[cfg(not(windows))]
const FILE: &str = "libnvidia-ml.so.1";

/// 0, or the number of an error.
type Status = c_uint;
type Handle = *mut c_void;

/// Bytes that hold every text the library writes; its own longest limit is 96.
const TEXT: usize = 128;

/// A GPU that an [`Nvml`] has found; no other takes it.
#[derive(Clone, Copy, Debug)]
pub struct Device(Handle);

/// A clock of a GPU, by the library's number.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The clock of the multiprocessors.
    Multiprocessors = 1,
    /// The clock of the memory.
    Memory = 2,
}

/// The library's number of the one sensor of temperature that every GPU has.
const CHIP: c_uint = 0;

/// Declares the functions, each with its name in the library.
macro_rules! functions {
    ($($name:ident = $symbol:literal: fn($($argument:ty),*) -> $result:ty;)*) => {
        #[derive(Clone, Copy)]
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Functions {
            /// # Safety
            /// The library must be NVML, and stay loaded while a function is called.
            unsafe fn find(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: NVML declares these functions so.
                unsafe { Ok(Self { $($name: *library.get($symbol)?,)* }) }
            }
        }
    };
}

functions! {
    init = "nvmlInit_v2": fn() -> Status;
    shutdown = "nvmlShutdown": fn() -> Status;
    error_string = "nvmlErrorString": fn(Status) -> *const c_char;
    driver_version = "nvmlSystemGetDriverVersion": fn(*mut c_char, c_uint) -> Status;
    device_count = "nvmlDeviceGetCount_v2": fn(*mut c_uint) -> Status;
    by_index = "nvmlDeviceGetHandleByIndex_v2": fn(c_uint, *mut Handle) -> Status;
    by_address = "nvmlDeviceGetHandleByPciBusId_v2": fn(*const c_char, *mut Handle) -> Status;
    uuid = "nvmlDeviceGetUUID": fn(Handle, *mut c_char, c_uint) -> Status;
    name = "nvmlDeviceGetName": fn(Handle, *mut c_char, c_uint) -> Status;
    mig_mode = "nvmlDeviceGetMigMode": fn(Handle, *mut c_uint, *mut c_uint) -> Status;
    energy = "nvmlDeviceGetTotalEnergyConsumption": fn(Handle, *mut c_ulonglong) -> Status;
    power = "nvmlDeviceGetPowerUsage": fn(Handle, *mut c_uint) -> Status;
    clock = "nvmlDeviceGetClockInfo": fn(Handle, c_uint, *mut c_uint) -> Status;
    temperature = "nvmlDeviceGetTemperature": fn(Handle, c_uint, *mut c_uint) -> Status;
}

/// The library, ready to be asked. Errors are sentences that say what it or its loader said.
pub struct Nvml {
    functions: Functions,
    /// Holds the functions; none in tests.
    _library: Option<Library>,
}

impl Nvml {
    /// Loads and starts the library.
    ///
    /// # Errors
    /// If there is none, it is too old, or it finds no driver.
    pub fn open() -> Result<Self, String> {
        // SAFETY: loading the driver's library runs its initialisation only, and it declares its functions so.
        let loaded = unsafe { Library::new(FILE).and_then(|library| Ok((Functions::find(&library)?, library))) };
        let (functions, library) = loaded.map_err(|problem| problem.to_string())?;
        Self::start(functions, Some(library))
    }

    fn start(functions: Functions, library: Option<Library>) -> Result<Self, String> {
        // SAFETY: it takes no arguments, and the library is loaded.
        check(&functions, unsafe { (functions.init)() })?;
        Ok(Self { functions, _library: library })
    }

    /// Version of the driver.
    ///
    /// # Errors
    /// If the library does not tell.
    pub fn driver_version(&self) -> Result<String, String> {
        // SAFETY: the library writes at most so many bytes.
        self.text(|text, len| unsafe { (self.functions.driver_version)(text, len) })
    }

    /// How many GPUs there are.
    ///
    /// # Errors
    /// If the library does not tell.
    pub fn device_count(&self) -> Result<u32, String> {
        // SAFETY: the library writes one number.
        self.value(0, |count| unsafe { (self.functions.device_count)(count) })
    }

    /// The GPU of this number.
    ///
    /// # Errors
    /// If there is none.
    pub fn device_by_index(&self, index: u32) -> Result<Device, String> {
        // SAFETY: the library writes one handle.
        self.value(std::ptr::null_mut(), |handle| unsafe { (self.functions.by_index)(index, handle) }).map(Device)
    }

    /// The GPU at this address of the PCI bus.
    ///
    /// # Errors
    /// If there is none.
    pub fn device_by_address(&self, address: &str) -> Result<Device, String> {
        let address = CString::new(address).map_err(|_| "an address has no zero byte".to_owned())?;
        // SAFETY: the library reads text up to its zero byte and writes one handle.
        self.value(std::ptr::null_mut(), |handle| unsafe { (self.functions.by_address)(address.as_ptr(), handle) })
            .map(Device)
    }

    /// What names a GPU on any machine.
    ///
    /// # Errors
    /// If the library does not tell.
    pub fn uuid(&self, device: Device) -> Result<String, String> {
        // SAFETY: the handle is the library's, which writes at most so many bytes.
        self.text(|text, len| unsafe { (self.functions.uuid)(device.0, text, len) })
    }

    /// Name of the product.
    ///
    /// # Errors
    /// If the library does not tell.
    pub fn name(&self, device: Device) -> Result<String, String> {
        // SAFETY: the handle is the library's, which writes at most so many bytes.
        self.text(|text, len| unsafe { (self.functions.name)(device.0, text, len) })
    }

    /// Whether the GPU is cut into instances.
    ///
    /// # Errors
    /// If the GPU cannot be cut.
    pub fn is_partitioned(&self, device: Device) -> Result<bool, String> {
        let mut pending = 0;
        // SAFETY: the handle is the library's, which writes two numbers.
        let mode = self.value(0, |mode| unsafe { (self.functions.mig_mode)(device.0, mode, &raw mut pending) })?;
        Ok(mode != 0)
    }

    /// Millijoules since the driver was loaded.
    ///
    /// # Errors
    /// If the GPU counts none.
    pub fn millijoules(&self, device: Device) -> Result<u64, String> {
        // SAFETY: the handle is the library's, which writes one number.
        self.value(0, |energy| unsafe { (self.functions.energy)(device.0, energy) })
    }

    /// Milliwatts that the board draws.
    ///
    /// # Errors
    /// If the GPU does not tell.
    pub fn milliwatts(&self, device: Device) -> Result<u32, String> {
        // SAFETY: the handle is the library's, which writes one number.
        self.value(0, |power| unsafe { (self.functions.power)(device.0, power) })
    }

    /// MHz of a clock.
    ///
    /// # Errors
    /// If the GPU does not tell.
    pub fn mhz(&self, device: Device, clock: Clock) -> Result<u32, String> {
        // SAFETY: the handle is the library's, which writes one number.
        self.value(0, |mhz| unsafe { (self.functions.clock)(device.0, clock as c_uint, mhz) })
    }

    /// Degrees Celsius of the chip.
    ///
    /// # Errors
    /// If the GPU does not tell.
    pub fn celsius(&self, device: Device) -> Result<u32, String> {
        // SAFETY: the handle is the library's, which writes one number.
        self.value(0, |degrees| unsafe { (self.functions.temperature)(device.0, CHIP, degrees) })
    }

    /// What a function writes over `initial`.
    fn value<T>(&self, initial: T, function: impl FnOnce(*mut T) -> Status) -> Result<T, String> {
        let mut value = initial;
        check(&self.functions, function(&raw mut value))?;
        Ok(value)
    }

    /// What a function writes as text.
    fn text(&self, function: impl FnOnce(*mut c_char, c_uint) -> Status) -> Result<String, String> {
        let mut bytes = [0u8; TEXT];
        check(&self.functions, function(bytes.as_mut_ptr().cast(), TEXT as c_uint))?;
        let text = CStr::from_bytes_until_nul(&bytes).map_err(|problem| problem.to_string())?;
        text.to_str().map(str::to_owned).map_err(|problem| problem.to_string())
    }
}

impl Drop for Nvml {
    fn drop(&mut self) {
        // SAFETY: this is what was started; the library is still loaded. It may fail, and nothing follows from that.
        unsafe { (self.functions.shutdown)() };
    }
}

// SAFETY: NVML may be called from every thread at any time, and its handles are good in all of them.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

/// Says in the library's words what a number means, unless it is 0.
fn check(functions: &Functions, status: Status) -> Result<(), String> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: the library gives a text of its own for every number, or null.
    let words = unsafe {
        let text = (functions.error_string)(status);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    Err(words.unwrap_or_else(|| format!("error {status}")))
}

#[cfg(test)]
#[path = "nvml_tests.rs"]
pub(super) mod tests;
