//! Python's package `shiftray`: scenes and the renderer, with numpy arrays in and out.
//!
//! Its types for type checkers stand in `shiftray/_shiftray.pyi`; tests are written in Python, in `tests/`.

mod arrays;
mod coordinates;
mod engine;
mod errors;
mod interrupt;
mod py_renderer;
mod py_scene;

#[pyo3::pymodule]
mod _shiftray {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::py_renderer::PyRenderer;
    #[pymodule_export]
    use crate::py_scene::{PyScene, PyView};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("MODELS", gnt::builtin::NAMES)
    }
}
