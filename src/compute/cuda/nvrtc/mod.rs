//! NVIDIA's run-time compiler, where it is installed: kernels are compiled for the card at hand.
//!
//! The library is loaded by its path, as more than one version may be there, and Python packages put it where the loader
//! does not look.

mod find;
mod log;

pub use find::{INSTALL, installed};
pub use log::{Resources, resources};

use super::cache::{Cache, fingerprint};
use super::{CudaError, KernelSource, Result, sources};
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::path::{Path, PathBuf};

/// A function's result; 0 is success.
type Status = c_int;
type Program = *mut c_void;

/// What is made from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Machine code for cards of exactly this architecture: 90 for compute capability 9.0.
    Cubin(u32),
    /// PTX, which drivers translate for any card of this architecture or a newer one.
    Ptx(u32),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Cubin(architecture) => write!(f, "sm_{architecture}"),
            Target::Ptx(architecture) => write!(f, "compute_{architecture}"),
        }
    }
}

/// What the compiler made.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// CUBIN, or the text of PTX.
    pub code: Vec<u8>,
    /// What the compiler said; [`resources`] reads it.
    pub log: String,
}

/// A loaded library.
#[derive(Clone, Debug)]
pub struct Nvrtc {
    path: PathBuf,
    version: (u32, u32),
    architectures: Vec<u32>,
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> Status,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> Status,
    destroy: unsafe extern "C" fn(*mut Program) -> Status,
    error: unsafe extern "C" fn(Status) -> *const c_char,
    log: Output,
    ptx: Output,
    cubin: Output,
}

/// The functions that tell the size of an output, and copy it.
#[derive(Clone, Copy, Debug)]
struct Output {
    size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    get: unsafe extern "C" fn(Program, *mut c_char) -> Status,
}

impl Nvrtc {
    /// Loads a library by its path, or by a name that the loader finds. It stays loaded.
    ///
    /// # Errors
    /// A sentence, if there is none or it is older than CUDA 11.2.
    pub fn load(path: &Path) -> std::result::Result<Self, String> {
        find::load_builtins(path);
        // SAFETY: the library's initialisers are those of NVIDIA's compiler, which need nothing from the program.
        let library = unsafe { Library::new(path) }.map_err(|e| format!("{}: {e}", path.display()))?;
        // The library holds threads and memory of its own, and is needed until the end.
        let library: &'static Library = Box::leak(Box::new(library));
        // SAFETY: the types are those of nvrtc.h, the same since CUDA 11.2.
        unsafe { Self::look_up(library, path) }.map_err(|e| format!("{}: {e}", path.display()))
    }

    /// # Safety
    /// The library is NVRTC.
    unsafe fn look_up(library: &'static Library, path: &Path) -> std::result::Result<Self, String> {
        fn get<T: Copy>(library: &'static Library, name: &CStr) -> std::result::Result<T, String> {
            // SAFETY: the types at the places of use are those of nvrtc.h.
            unsafe { library.get::<T>(name.to_bytes_with_nul()) }.map(|symbol| *symbol).map_err(|e| e.to_string())
        }
        let version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> Status = get(library, c"nvrtcVersion")?;
        let count: unsafe extern "C" fn(*mut c_int) -> Status = get(library, c"nvrtcGetNumSupportedArchs")?;
        let list: unsafe extern "C" fn(*mut c_int) -> Status = get(library, c"nvrtcGetSupportedArchs")?;
        let (mut major, mut minor, mut number) = (0, 0, 0);
        // SAFETY: both write the numbers that they are given.
        let status = unsafe { version(&mut major, &mut minor) | count(&mut number) };
        let mut architectures = vec![0; number.max(0) as usize];
        // SAFETY: the function writes as many numbers as the other one told.
        if status != 0 || unsafe { list(architectures.as_mut_ptr()) } != 0 {
            return Err("does not tell its version".into());
        }
        let output = |size, read| -> std::result::Result<Output, String> {
            Ok(Output { size: get(library, size)?, get: get(library, read)? })
        };
        Ok(Self {
            path: path.to_owned(),
            version: (major as u32, minor as u32),
            architectures: architectures.into_iter().map(|a| a as u32).collect(),
            create: get(library, c"nvrtcCreateProgram")?,
            compile: get(library, c"nvrtcCompileProgram")?,
            destroy: get(library, c"nvrtcDestroyProgram")?,
            error: get(library, c"nvrtcGetErrorString")?,
            log: output(c"nvrtcGetProgramLogSize", c"nvrtcGetProgramLog")?,
            ptx: output(c"nvrtcGetPTXSize", c"nvrtcGetPTX")?,
            cubin: output(c"nvrtcGetCUBINSize", c"nvrtcGetCUBIN")?,
        })
    }

    /// Where the library was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Version of CUDA, such as `(12, 9)`.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Whether machine code for an architecture can be made: 90 for compute capability 9.0.
    pub fn supports(&self, architecture: u32) -> bool {
        self.architectures.contains(&architecture)
    }

    /// The code of [`Nvrtc::compile`], from the cache where the same was compiled before.
    ///
    /// # Errors
    /// As [`Nvrtc::compile`].
    pub fn compile_cached(&self, source: &KernelSource, target: Target, cache: &Cache) -> Result<Vec<u8>> {
        let key = self.key(source, target)?;
        if let Some(code) = cache.get(&key) {
            return Ok(code);
        }
        let code = self.compile(source, target)?.code;
        cache.put(&key, &code);
        Ok(code)
    }

    /// A name for what a source is compiled to: another one where the text, the options or the compiler differ.
    fn key(&self, source: &KernelSource, target: Target) -> Result<String> {
        let text = sources::flatten(source.file)?;
        let (version, options) = (format!("{:?}", self.version), options(source, target).join(" "));
        Ok(fingerprint([text.as_bytes(), version.as_bytes(), options.as_bytes()]))
    }

    /// Compiles a source.
    ///
    /// # Errors
    /// [`CudaError::Kernels`] with the compiler's words if it refuses the source.
    pub fn compile(&self, source: &KernelSource, target: Target) -> Result<Compiled> {
        let fail = |problem: String| {
            let (major, minor) = self.version;
            CudaError::Kernels { label: source.label(), problem: format!("NVRTC {major}.{minor}, {target}: {problem}") }
        };
        let c_string = |text: String| CString::new(text).map_err(|e| fail(e.to_string()));
        let text = c_string(sources::flatten(source.file)?)?;
        let name = c_string(source.file.to_owned())?;
        let options = options(source, target).into_iter().map(c_string).collect::<Result<Vec<_>>>()?;
        let options: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
        let check = |status: Status| match status {
            0 => Ok(()),
            // SAFETY: the function returns a constant text for any number.
            _ => Err(fail(unsafe { CStr::from_ptr((self.error)(status)) }.to_string_lossy().into_owned())),
        };
        let mut program = OwnedProgram { nvrtc: self, program: std::ptr::null_mut() };
        let null = std::ptr::null();
        // SAFETY: both texts end with a zero byte and outlive the program; there are no headers.
        check(unsafe { (self.create)(&mut program.program, text.as_ptr(), name.as_ptr(), 0, null, null) })?;
        // SAFETY: the program is alive, and there are as many options as told.
        let status = unsafe { (self.compile)(program.program, options.len() as c_int, options.as_ptr()) };
        let log = program.output(self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned();
        check(status).map_err(|e| if log.trim().is_empty() { e } else { fail(log.trim().to_owned()) })?;
        let code = match target {
            Target::Cubin(_) => program.output(self.cubin),
            Target::Ptx(_) => program.output(self.ptx),
        };
        let mut code = code.map_err(|status| check(status).expect_err("not a success"))?;
        if let Target::Ptx(_) = target {
            code.truncate(code.iter().position(|byte| *byte == 0).unwrap_or(code.len()));
        }
        Ok(Compiled { code, log })
    }
}

/// How a source is compiled. Approximate functions are called by name in kernels, so fast-math is off.
pub fn options(source: &KernelSource, target: Target) -> Vec<String> {
    let mut options = vec![
        "--std=c++17".to_owned(),
        "-default-device".to_owned(),
        "--fmad=true".to_owned(),
        format!("--gpu-architecture={target}"),
    ];
    if let Target::Cubin(_) = target {
        options.push("--ptxas-options=-v".to_owned());
        // Lets NVIDIA's tools name the kernels' lines; the code stays the same.
        options.push("-lineinfo".to_owned());
    }
    options.extend(source.registers.map(|registers| format!("--maxrregcount={registers}")));
    options.extend(source.defines.iter().map(|(name, value)| format!("-D{name}={value}")));
    options
}

struct OwnedProgram<'a> {
    nvrtc: &'a Nvrtc,
    program: Program,
}

impl OwnedProgram<'_> {
    fn output(&self, output: Output) -> std::result::Result<Vec<u8>, Status> {
        let mut size = 0;
        // SAFETY: the program is alive; the function writes the number.
        match unsafe { (output.size)(self.program, &mut size) } {
            0 => {}
            status => return Err(status),
        }
        let mut bytes = vec![0_u8; size];
        // SAFETY: there is room for as many bytes as the function told.
        match unsafe { (output.get)(self.program, bytes.as_mut_ptr().cast()) } {
            0 => Ok(bytes),
            status => Err(status),
        }
    }
}

impl Drop for OwnedProgram<'_> {
    fn drop(&mut self) {
        if !self.program.is_null() {
            // SAFETY: the program is alive, and nothing uses it any more.
            unsafe { (self.nvrtc.destroy)(&mut self.program) };
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
