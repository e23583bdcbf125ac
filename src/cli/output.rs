//! What goes to stdout and stderr. A reader that went away or a full disk never makes the program panic.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Writes `text` and a line break to stdout. Where nobody reads any more (`shiftray … | head`), that is no error.
///
/// # Errors
/// If stdout cannot be written for another reason, such as a full disk.
pub fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(problem) if problem.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(problem).context("stdout could not be written"))
        }
        _ => Ok(()),
    }
}

/// Writes `text` and a line break to stderr in one piece, or nothing where it cannot be written: there is no other place
/// to say so.
pub fn note(text: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// As [`note`], for what looks odd.
pub fn warn(text: &str) {
    note(&format!("warning: {text}"));
}

/// Whether [`say_once`] is silent.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Silences [`say_once`], as `--quiet` asks for.
pub fn be_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// As [`note`], but the same text only once a run; for what the program chose, such as the device.
pub fn say_once(text: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let first = SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned());
    if first && !QUIET.load(Ordering::Relaxed) {
        note(text);
    }
}
