//! Real GPUs, through NVIDIA's driver. Nothing of CUDA is needed to build, and on machines without a driver every
//! function here returns an error.

mod api;
mod gpu;
mod modules;

use super::{CudaError, Device, DeviceInfo, Result, nvrtc};
use api::{Api, NO_DEVICE, NOT_INITIALISED, api};
use cudarc::driver::sys::CUdevice_attribute as Attribute;
use gpu::Gpu;
use std::ffi::{CStr, c_int};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Kernels use the matrix units of Ampere.
const OLDEST: (u32, u32) = (8, 0);

/// Number of GPUs that the driver shows.
///
/// # Errors
/// [`CudaError::NoDevice`] if there is no driver, or it does not start.
pub fn count() -> Result<u32> {
    let api = api()?;
    let mut count = 0;
    // SAFETY: writes the number.
    match unsafe { (api.device_count)(&mut count) } {
        0 => Ok(count.max(0) as u32),
        NO_DEVICE | NOT_INITIALISED => Ok(0),
        status => Err(CudaError::NoDevice(format!("counting the GPUs: {}", api.problem(status)))),
    }
}

/// Opens a GPU by its number; `$CUDA_VISIBLE_DEVICES` says which ones have one.
///
/// # Errors
/// [`CudaError::NoDevice`] if there is no driver, no such GPU, or it is too old for the kernels.
pub fn open(number: u32) -> Result<Device> {
    let (api, count) = (api()?, count()?);
    if number >= count {
        let problem = match count {
            0 => "the NVIDIA driver finds no GPU".to_owned(),
            _ => format!("there is no GPU {number}: the driver finds {count}, counted from 0"),
        };
        return Err(CudaError::NoDevice(problem));
    }
    let (device, info) = look_at(api, number)?;
    if info.capability < OLDEST {
        let (major, minor) = info.capability;
        let problem =
            format!("{}: compute capability {major}.{minor}, the kernels need 8.0 (Ampere) or newer", info.name);
        return Err(CudaError::NoDevice(problem));
    }
    Gpu::open(api, device, info).map(|gpu| Device(Arc::new(gpu)))
}

/// Locks what stays whole where a thread panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What there is of CUDA on this machine, a line for the driver, each GPU, and the compiler.
pub fn describe() -> String {
    let (lines, newest) = match api() {
        Err(problem) => (vec![problem.to_string()], u32::MAX),
        Ok(api) => {
            let (major, minor) = api.version();
            let mut lines = vec![format!("driver for CUDA {major}.{minor}")];
            match count() {
                Ok(0) => lines.push("no GPU".into()),
                Ok(count) => lines.extend((0..count).map(|number| match look_at(api, number) {
                    Ok((_, info)) => format!("GPU {number}: {}", sentence(&info)),
                    Err(problem) => format!("GPU {number}: {problem}"),
                })),
                Err(problem) => lines.push(problem.to_string()),
            }
            (lines, major)
        }
    };
    let compiler = match nvrtc::installed(newest) {
        Ok(nvrtc) => {
            let (major, minor) = nvrtc.version();
            format!("NVRTC {major}.{minor} ({})", nvrtc.path().display())
        }
        Err(problem) => format!("{problem}: prebuilt kernels only"),
    };
    lines.into_iter().chain([compiler]).collect::<Vec<_>>().join("\n")
}

fn sentence(info: &DeviceInfo) -> String {
    let DeviceInfo { name, capability: (major, minor), multiprocessors, memory, .. } = info;
    let gibibytes = *memory as f64 / f64::from(1 << 30);
    format!("{name}, compute capability {major}.{minor}, {multiprocessors} multiprocessors, {gibibytes:.1} GiB")
}

/// The driver with its version, as exactly as it can be known.
fn driver(api: &Api) -> String {
    // CUDA's own version stays the same over many drivers; the kernel module tells its own.
    let module = std::fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let (major, minor) = api.version();
    format!("driver for CUDA {major}.{minor} {}", module.lines().next().unwrap_or_default()).trim_end().to_owned()
}

/// The driver's number for a GPU, and what it is.
fn look_at(api: &Api, number: u32) -> Result<(c_int, DeviceInfo)> {
    let mut device = 0;
    // SAFETY: writes the number.
    let status = unsafe { (api.device_get)(&mut device, number as c_int) };
    api.check(status, || format!("GPU {number}"))?;
    let attribute = |attribute: Attribute| {
        let mut value = 0;
        // SAFETY: writes the number.
        let status = unsafe { (api.device_attribute)(&mut value, attribute as u32, device) };
        api.check(status, || format!("GPU {number}: {attribute:?}")).map(|()| value as u32)
    };
    let mut name = [0_u8; 256];
    // SAFETY: the name with its zero byte fits, or is cut.
    let status = unsafe { (api.device_name)(name.as_mut_ptr().cast(), name.len() as c_int, device) };
    api.check(status, || format!("GPU {number}: name"))?;
    let mut memory = 0;
    // SAFETY: writes the number.
    let status = unsafe { (api.device_memory)(&mut memory, device) };
    api.check(status, || format!("GPU {number}: memory"))?;
    let mut uuid = [0_u8; 16];
    // SAFETY: writes the sixteen bytes.
    let status = unsafe { (api.device_uuid)(&mut uuid, device) };
    api.check(status, || format!("GPU {number}: UUID"))?;
    let uuid: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let info = DeviceInfo {
        identity: format!("{uuid}, {}", driver(api)),
        name: CStr::from_bytes_until_nul(&name).unwrap_or_default().to_string_lossy().into_owned(),
        capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        shared_per_block: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        shared_per_multiprocessor: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)?,
        memory: memory as u64,
    };
    Ok((device, info))
}

#[cfg(test)]
mod tests;
