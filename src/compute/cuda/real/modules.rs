//! Kernels of a device: compiled or prebuilt, loaded once.

use super::api::{Api, Handle, Status};
use super::lock;
use crate::cuda::cache::Cache;
use crate::cuda::nvrtc::{INSTALL, Nvrtc, Target};
use crate::cuda::{CudaError, KernelSource, Result, prebuilt};
use std::collections::HashMap;
use std::ffi::{CString, c_uint, c_void};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

// Values of `CUjit_option` and `CUfunction_attribute`.
const MAX_REGISTERS: c_uint = 0;
const ERROR_LOG: c_uint = 5;
const ERROR_LOG_BYTES: c_uint = 6;
const MAX_DYNAMIC_SHARED: c_uint = 8;
const PREFERRED_SHARED_CARVEOUT: c_uint = 9;

/// Code that the driver loads: a CUBIN, or PTX with a zero byte at its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    pub bytes: Vec<u8>,
    /// PTX was made without a limit of registers, which the driver applies.
    pub registers: Option<u32>,
}

/// The code of a source for a card: by NVRTC where it is there and knows the card, else prebuilt.
pub fn code(
    source: &KernelSource,
    architecture: u32,
    nvrtc: std::result::Result<&Nvrtc, &str>,
    cache: &Cache,
) -> Result<Code> {
    let lacking = match nvrtc {
        Ok(nvrtc) if nvrtc.supports(architecture) => {
            let bytes = nvrtc.compile_cached(source, Target::Cubin(architecture), cache)?;
            return Ok(Code { bytes, registers: None });
        }
        Ok(nvrtc) => {
            let (major, minor) = nvrtc.version();
            format!("NVRTC {major}.{minor} does not know sm_{architecture}")
        }
        Err(problem) => problem.to_owned(),
    };
    match prebuilt::ptx(source) {
        Ok(mut bytes) => {
            bytes.push(0);
            Ok(Code { bytes, registers: source.registers })
        }
        Err(problem) => {
            let problem = format!("{lacking}, and {problem}: {INSTALL}, or use --device cpu");
            Err(CudaError::Kernels { label: source.label(), problem })
        }
    }
}

/// A kernel.
#[derive(Clone, Debug)]
pub struct Function {
    pub handle: Handle,
    /// Kernel and label of the source, for messages.
    pub name: Arc<str>,
    /// Bytes of dynamic shared memory that the driver was asked for.
    shared: Arc<Mutex<u32>>,
    /// Percent of a multiprocessor's memory that the driver was asked to make shared memory.
    carveout: Arc<Mutex<Option<u32>>>,
}

impl Function {
    /// Lets launches have `bytes` of dynamic shared memory: beyond 48 KiB the driver wants to be told.
    pub fn allow_shared(&self, api: &Api, bytes: u32) -> Result<()> {
        let mut shared = lock(&self.shared);
        if bytes > *shared {
            // SAFETY: the function is loaded.
            let status = unsafe { (api.function_set)(self.handle.0, MAX_DYNAMIC_SHARED, bytes as i32) };
            api.check(status, || format!("{bytes} bytes of shared memory for {}", self.name))?;
            *shared = bytes;
        }
        Ok(())
    }

    /// Asks for `bytes` of the `total` bytes of a multiprocessor to be shared memory, and the rest to be its first-level
    /// cache. The driver takes it as a hint.
    pub fn prefer_shared(&self, api: &Api, bytes: u32, total: u32) -> Result<()> {
        let percent = (100 * u64::from(bytes)).div_ceil(u64::from(total.max(1))).min(100) as u32;
        let mut carveout = lock(&self.carveout);
        if *carveout != Some(percent) {
            // SAFETY: the function is loaded.
            let status = unsafe { (api.function_set)(self.handle.0, PREFERRED_SHARED_CARVEOUT, percent as i32) };
            api.check(status, || format!("{percent} % of shared memory for {}", self.name))?;
            *carveout = Some(percent);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Loaded {
    module: Handle,
    label: String,
    functions: Mutex<HashMap<String, Function>>,
}

/// The loaded modules of a device.
#[derive(Debug, Default)]
pub struct Modules {
    /// Each source has a lock of its own, so that several are compiled at the same time, and each once.
    numbers: Mutex<HashMap<KernelSource, Arc<Mutex<Option<usize>>>>>,
    loaded: RwLock<Vec<Loaded>>,
}

impl Modules {
    /// Number of the source's module, which `code` makes if it is not loaded. The device's context is current.
    pub fn number(&self, api: &Api, source: &KernelSource, code: impl FnOnce() -> Result<Code>) -> Result<usize> {
        let entry = Arc::clone(lock(&self.numbers).entry(source.clone()).or_default());
        let mut number = lock(&entry);
        if let Some(number) = *number {
            return Ok(number);
        }
        let label = source.label();
        let module = load(api, &label, &code()?)?;
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.push(Loaded { module, label, functions: Mutex::default() });
        Ok(*number.insert(loaded.len() - 1))
    }

    /// A kernel of a module. The device's context is current.
    pub fn function(&self, api: &Api, module: usize, kernel: &str) -> Result<Function> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let count = loaded.len();
        let Loaded { module, label, functions } =
            loaded.get(module).unwrap_or_else(|| panic!("module {module} of {count}"));
        let mut functions = lock(functions);
        if let Some(function) = functions.get(kernel) {
            return Ok(function.clone());
        }
        let name = format!("{kernel}@{label}");
        let symbol = CString::new(kernel).expect("no zero bytes in names");
        let mut handle = std::ptr::null_mut();
        // SAFETY: the module is loaded, and the name ends with a zero byte.
        let status = unsafe { (api.module_function)(&mut handle, module.0, symbol.as_ptr()) };
        api.check(status, || format!("launch of {name}: no such kernel"))?;
        let function =
            Function { handle: Handle(handle), name: name.into(), shared: Arc::default(), carveout: Arc::default() };
        functions.insert(kernel.to_owned(), function.clone());
        Ok(function)
    }

    /// Unloads everything. The device's context is current, and no kernel runs.
    pub fn unload(&mut self, api: &Api) {
        for loaded in self.loaded.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // SAFETY: nothing uses the module any more.
            let _: Status = unsafe { (api.module_unload)(loaded.module.0) };
        }
    }
}

fn load(api: &Api, label: &str, code: &Code) -> Result<Handle> {
    let mut module = std::ptr::null_mut();
    let mut log = vec![0_u8; 8192];
    let mut options = vec![ERROR_LOG, ERROR_LOG_BYTES];
    // Numbers are passed in the place of pointers.
    let mut values = vec![log.as_mut_ptr().cast::<c_void>(), log.len() as *mut c_void];
    if let Some(registers) = code.registers {
        options.push(MAX_REGISTERS);
        values.push(registers as usize as *mut c_void);
    }
    let count = options.len() as c_uint;
    // SAFETY: the code is a CUBIN, or PTX that ends with a zero byte; there are as many options and values as told, and
    // the log is as long as the second one says.
    let status = unsafe {
        (api.module_load)(&mut module, code.bytes.as_ptr().cast(), count, options.as_mut_ptr(), values.as_mut_ptr())
    };
    if status == 0 {
        return Ok(Handle(module));
    }
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let words = String::from_utf8_lossy(&log[..end]).trim().to_owned();
    let problem = format!("the driver does not load them: {} {words}", api.problem(status)).trim_end().to_owned();
    Err(CudaError::Kernels { label: label.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::sources::small;

    #[test]
    fn prebuilt_code_is_taken_where_there_is_no_compiler() {
        let cache = Cache::of_user();
        let listed = KernelSource { registers: Some(168), ..small().clone() };
        let Code { bytes, registers } = code(&listed, 90, Err("NVRTC was not found"), &cache).unwrap();
        assert!(bytes.ends_with(b"\n\0"), "PTX with a zero byte at its end");
        assert_eq!(registers, Some(168));
        let other = KernelSource { defines: vec![("NOT_LISTED", 1)], ..listed };
        let problem = code(&other, 90, Err("NVRTC was not found"), &cache).unwrap_err().to_string();
        let expected = format!(
            "kernels {}: NVRTC was not found, and no prebuilt code for these sizes, which only some networks have: \
             {INSTALL}, or use --device cpu",
            other.label()
        );
        assert_eq!(problem, expected);
    }
}
