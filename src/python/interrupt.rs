//! Long work without Python's lock, which Ctrl-C ends.

use gnt::renderer::Stop;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How often Python is asked for signals: nobody notices a tenth of a second.
const EVERY: Duration = Duration::from_millis(100);

/// Runs `work` on a thread of its own while other threads of Python go on. `work` is told when a signal such as Ctrl-C was
/// raised, and its end is waited for.
///
/// # Errors
/// What the signal's handler raised, such as `KeyboardInterrupt`; `RuntimeError` if there is no thread to be had, or for a
/// mistake of this program.
pub fn run<T: Send>(py: Python<'_>, work: impl FnOnce(Stop) -> T + Send) -> PyResult<T> {
    let stopped = AtomicBool::new(false);
    let stop = || stopped.load(Ordering::Relaxed);
    py.detach(|| {
        thread::scope(|scope| {
            let (done, result) = channel();
            let worker = move || {
                // Received unless the caller has gone, who waits for it.
                let _ = done.send(work(&stop));
            };
            let started = thread::Builder::new().name("shiftray".into()).spawn_scoped(scope, worker);
            let handle =
                started.map_err(|problem| PyRuntimeError::new_err(format!("no thread to work on: {problem}")))?;
            loop {
                match result.recv_timeout(EVERY) {
                    Ok(result) => return Ok(result),
                    Err(RecvTimeoutError::Timeout) => Python::attach(|py| py.check_signals()).inspect_err(|_| {
                        stopped.store(true, Ordering::Relaxed);
                    })?,
                    Err(RecvTimeoutError::Disconnected) => {
                        // A panic is caught here, since it would end the program.
                        let _ = handle.join();
                        return Err(PyRuntimeError::new_err("a mistake in shiftray, told on stderr: please report it"));
                    }
                }
            }
        })
    })
}
