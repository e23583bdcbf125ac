//! Where NVRTC may lie.

use super::Nvrtc;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs};

/// What to tell those who lack it.
pub const INSTALL: &str = "install NVRTC (pip install nvidia-cuda-nvrtc-cu12, or the CUDA toolkit; SHIFTRAY_NVRTC names a libnvrtc elsewhere)";

/// Versions of the library, newest first.
const MAJORS: [u32; 2] = [13, 12];

/// The library of this machine: the one that `$SHIFTRAY_NVRTC` names, or else the newest that is no newer than CUDA
/// `newest`, which the driver tells: a driver refuses the code of a compiler with a later major version. It is looked
/// for once.
///
/// # Errors
/// A sentence, if there is none.
pub fn installed(newest: u32) -> Result<&'static Nvrtc, &'static str> {
    static FOUND: OnceLock<Result<Nvrtc, String>> = OnceLock::new();
    FOUND.get_or_init(|| find(newest)).as_ref().map_err(String::as_str)
}

fn find(newest: u32) -> Result<Nvrtc, String> {
    if let Some(path) = env::var_os("SHIFTRAY_NVRTC").filter(|path| !path.is_empty()) {
        return Nvrtc::load(Path::new(&path)).map_err(|e| format!("SHIFTRAY_NVRTC: {e}"));
    }
    let mut too_new = None;
    for major in MAJORS {
        for path in candidates(major) {
            match Nvrtc::load(&path) {
                Ok(nvrtc) if nvrtc.version().0 <= newest => return Ok(nvrtc),
                Ok(nvrtc) => too_new = Some(nvrtc.version()),
                Err(_) => {}
            }
        }
    }
    Err(match too_new {
        Some((major, minor)) => format!("NVRTC {major}.{minor} is newer than the driver, which knows CUDA {newest}"),
        None => "NVRTC was not found".into(),
    })
}

/// Names that the loader may know, then files that exist: toolkits, and the packages of Python.
fn candidates(major: u32) -> Vec<PathBuf> {
    let file = format!("libnvrtc.so.{major}");
    let folder = |name: &str| env::var_os(name).map(PathBuf::from);
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(folder);
    let toolkits = toolkits.chain(["/usr/local/cuda".into(), format!("/usr/local/cuda-{major}").into()]);
    let pythons = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(folder);
    let pythons = pythons.chain(folder("HOME").map(|home| home.join(".local")));
    let pythons = pythons.chain(["/usr/local", "/usr", "/opt/conda", "/opt/venv"].map(PathBuf::from));
    let mut found: Vec<PathBuf> = toolkits.map(|toolkit| toolkit.join("lib64").join(&file)).collect();
    for python in pythons {
        found.push(python.join("lib").join(&file));
        found.extend(packages(&python).into_iter().flat_map(|packages| {
            let folders = [format!("nvidia/cu{major}/lib"), "nvidia/cuda_nvrtc/lib".into()];
            folders.map(|folder| packages.join(folder).join(&file))
        }));
    }
    found.retain(|path| path.exists());
    found.insert(0, file.into());
    found
}

/// Folders of packages of a Python installation.
fn packages(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join("lib")) else { return Vec::new() };
    let mut pythons: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    pythons.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")));
    pythons.sort();
    pythons.iter().rev().flat_map(|python| ["site-packages", "dist-packages"].map(|name| python.join(name))).collect()
}

/// Loads the second library, which NVRTC looks for by its name: the loader does not find it beside the first one.
pub(super) fn load_builtins(path: &Path) {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("libnvrtc-builtins.so") {
            // SAFETY: a library of data, without initialisers of its own.
            if let Ok(library) = unsafe { libloading::Library::new(entry.path()) } {
                std::mem::forget(library);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_into_the_packages_of_python() {
        let root = tempfile::tempdir().unwrap();
        for name in ["python3.9", "python3.12", "perl5"] {
            fs::create_dir_all(root.path().join("lib").join(name)).unwrap();
        }
        let found = packages(root.path());
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found.contains(&root.path().join("lib/python3.12/site-packages")));
        assert!(found.contains(&root.path().join("lib/python3.9/dist-packages")));
        assert!(packages(&root.path().join("none")).is_empty());
    }

    #[test]
    fn a_library_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libnvrtc.so.12");
        assert!(Nvrtc::load(&path).unwrap_err().starts_with(path.to_str().unwrap()));
        fs::write(&path, b"not a library").unwrap();
        assert!(Nvrtc::load(&path).unwrap_err().starts_with(path.to_str().unwrap()));
        assert_eq!(candidates(12)[0], Path::new("libnvrtc.so.12"));
    }
}
