//! Errors and warnings as Python has them, with the messages of the program.

use pyo3::exceptions::{PyRuntimeError, PyUserWarning, PyValueError};
use pyo3::prelude::*;
use std::ffi::CString;
use std::io;

/// `OSError`, or the kind of it that fits, for a file that cannot be read; `ValueError` for all else.
pub fn of_scene(error: scene::Error) -> PyErr {
    match &error {
        scene::Error::Io { source, .. } => of_system(source.kind(), error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}

/// As [`of_scene`]; `RuntimeError` for a device that fails or is not there.
pub fn of_network(error: gnt::Error) -> PyErr {
    match &error {
        gnt::Error::Io { source, .. } => of_system(source.kind(), error.to_string()),
        gnt::Error::Cuda(_) | gnt::Error::Unsupported(_) => PyRuntimeError::new_err(error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}

/// `ValueError` about an argument, by name.
pub fn of_argument(name: &str, expected: &str, found: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("{name}: expected {expected}, found {found}"))
}

fn of_system(kind: io::ErrorKind, message: String) -> PyErr {
    io::Error::new(kind, message).into()
}

/// Warns as Python does, on behalf of the line that called.
///
/// # Errors
/// Where the user has made errors of warnings.
pub fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 1)
}
