//! The driver's functions that are used here, looked up at run time.
//!
//! All of them are in every driver since CUDA 11. Results are plain numbers: later drivers may return codes that no list
//! of today holds.

use crate::cuda::{CudaError, Result};
use cudarc::driver::sys::{culib, is_culib_present};
use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

/// `CUresult`; 0 is success.
pub type Status = c_uint;
/// The address of something of the driver's: a context, stream, event, module or function.
pub type Raw = *mut c_void;

/// No device: not an error where devices are counted.
pub const NO_DEVICE: Status = 100;
/// What later calls return where the start told [`NO_DEVICE`].
pub const NOT_INITIALISED: Status = 3;
/// An allocation that the device refused.
pub const OUT_OF_MEMORY: Status = 2;

/// What a driver's handle points to may be used from every thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(pub Raw);

// SAFETY: the driver's functions may be called from any thread with any handle.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

macro_rules! functions {
    ($($name:ident = $symbol:literal ($($kind:ty),*);)*) => {
        /// The functions, by their names without `cu`.
        #[derive(Debug)]
        pub struct Api {
            $(pub $name: unsafe extern "C" fn($($kind),*) -> Status,)*
        }

        impl Api {
            /// Looks the functions up in a driver's library.
            pub fn of(library: &'static Library) -> std::result::Result<Self, String> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the types are those of cuda.h.
                        let symbol = unsafe { library.get(concat!($symbol, "\0").as_bytes()) };
                        *symbol.map_err(|_| concat!("the NVIDIA driver is too old: it lacks ", $symbol).to_owned())?
                    },)*
                })
            }
        }
    };
}

functions! {
    init = "cuInit" (c_uint);
    driver_version = "cuDriverGetVersion" (*mut c_int);
    error_name = "cuGetErrorName" (Status, *mut *const c_char);
    error_string = "cuGetErrorString" (Status, *mut *const c_char);
    device_count = "cuDeviceGetCount" (*mut c_int);
    device_get = "cuDeviceGet" (*mut c_int, c_int);
    device_name = "cuDeviceGetName" (*mut c_char, c_int, c_int);
    device_uuid = "cuDeviceGetUuid" (*mut [u8; 16], c_int);
    device_memory = "cuDeviceTotalMem_v2" (*mut usize, c_int);
    device_attribute = "cuDeviceGetAttribute" (*mut c_int, c_uint, c_int);
    context_retain = "cuDevicePrimaryCtxRetain" (*mut Raw, c_int);
    context_release = "cuDevicePrimaryCtxRelease_v2" (c_int);
    context_set = "cuCtxSetCurrent" (Raw);
    memory_info = "cuMemGetInfo_v2" (*mut usize, *mut usize);
    allocate = "cuMemAlloc_v2" (*mut u64, usize);
    free = "cuMemFree_v2" (u64);
    copy_to_device = "cuMemcpyHtoDAsync_v2" (u64, *const c_void, usize, Raw);
    copy_to_host = "cuMemcpyDtoHAsync_v2" (*mut c_void, u64, usize, Raw);
    fill = "cuMemsetD8Async" (u64, u8, usize, Raw);
    stream_create = "cuStreamCreate" (*mut Raw, c_uint);
    stream_synchronise = "cuStreamSynchronize" (Raw);
    stream_destroy = "cuStreamDestroy_v2" (Raw);
    event_create = "cuEventCreate" (*mut Raw, c_uint);
    event_record = "cuEventRecord" (Raw, Raw);
    event_synchronise = "cuEventSynchronize" (Raw);
    event_milliseconds = "cuEventElapsedTime" (*mut f32, Raw, Raw);
    event_destroy = "cuEventDestroy_v2" (Raw);
    module_load = "cuModuleLoadDataEx" (*mut Raw, *const c_void, c_uint, *mut c_uint, *mut Raw);
    module_function = "cuModuleGetFunction" (*mut Raw, Raw, *const c_char);
    module_unload = "cuModuleUnload" (Raw);
    function_set = "cuFuncSetAttribute" (Raw, c_uint, c_int);
    launch = "cuLaunchKernel" (
        Raw, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Raw, *mut *mut c_void, *mut *mut c_void
    );
}

/// The driver, initialised once.
///
/// # Errors
/// [`CudaError::NoDevice`] with a sentence if there is none, or it cannot be used.
pub fn api() -> Result<&'static Api> {
    static API: OnceLock<std::result::Result<Api, String>> = OnceLock::new();
    let opened = API.get_or_init(|| {
        // SAFETY: loads the driver's library, whose initialisers need nothing from the program. Asked first, as the
        // second function panics where there is none.
        let library = unsafe {
            if !is_culib_present() {
                return Err("there is no NVIDIA driver (no libcuda was found)".into());
            }
            culib()
        };
        let api = Api::of(library)?;
        // SAFETY: the first call of all; it takes no flags.
        match unsafe { (api.init)(0) } {
            0 | NO_DEVICE => Ok(api),
            status => Err(format!("the NVIDIA driver does not start: {}", api.problem(status))),
        }
    });
    opened.as_ref().map_err(|problem| CudaError::NoDevice(problem.clone()))
}

impl Api {
    /// The driver's words for a result.
    pub fn problem(&self, status: Status) -> String {
        let text = |get: unsafe extern "C" fn(Status, *mut *const c_char) -> Status| {
            let mut text = std::ptr::null();
            // SAFETY: the function writes a pointer to a constant text, or null for an unknown number.
            unsafe {
                let _ = get(status, &mut text);
                if text.is_null() { None } else { Some(CStr::from_ptr(text).to_string_lossy().into_owned()) }
            }
        };
        let name = text(self.error_name).unwrap_or_else(|| format!("CUDA error {status}"));
        text(self.error_string).map_or(name.clone(), |words| format!("{name}: {words}"))
    }

    /// An error that says what was done, unless `status` is a success.
    pub fn check(&self, status: Status, what: impl FnOnce() -> String) -> Result<()> {
        match status {
            0 => Ok(()),
            _ => Err(CudaError::Driver { what: what(), problem: self.problem(status) }),
        }
    }

    /// The newest CUDA whose programs the driver runs, such as `(12, 4)`.
    pub fn version(&self) -> (u32, u32) {
        let mut version = 0;
        // SAFETY: writes the number; it stays 0 if the driver does not tell.
        unsafe { (self.driver_version)(&mut version) };
        (version as u32 / 1000, version as u32 % 1000 / 10)
    }
}
