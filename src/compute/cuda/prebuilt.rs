//! PTX of the listed kernels, embedded for machines that have a driver and nothing else.
//!
//! `kernels/prebuilt.zip` is made by the tests of this file, from the sources beside it and the list in
//! `kernels/prebuilt.txt`, with a compiler that is old on purpose: drivers refuse PTX of a later version than their own.
//! After a change of a kernel or of the list, with version 12.1.105 of the Python package `nvidia-cuda-nvrtc-cu12`
//! unpacked:
//!
//! ```text
//! SHIFTRAY_NVRTC_PREBUILT=.../libnvrtc.so.12 UPDATE_PREBUILT=1 cargo test -p compute prebuilt -- --include-ignored
//! ```

use super::cache::fingerprint;
use super::nvrtc::{Target, options};
use super::{KernelSource, sources};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::OnceLock;
use zip::ZipArchive;

static ARCHIVE: &[u8] = include_bytes!("../../../kernels/prebuilt.zip");

/// What the archive is made for: any card that the kernels can run on.
const TARGET: Target = Target::Ptx(80);

/// Name of the [`Manifest`] in the archive; the other members are named by the labels of their sources.
const MANIFEST: &str = "manifest.json";

/// How the archive was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    /// Version of the compiler, as the PTX tells it.
    compiler: String,
    /// By label.
    kernels: BTreeMap<String, Made>,
}

/// What a member was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    options: Vec<String>,
    /// Fingerprint of the flattened source.
    source: String,
}

impl Made {
    fn from(source: &KernelSource) -> super::Result<Self> {
        let text = sources::flatten(source.file)?;
        Ok(Self { options: options(&without_registers(source), TARGET), source: fingerprint([text.as_bytes()]) })
    }
}

/// Registers are shared out when PTX is translated, so the limit is given there.
fn without_registers(source: &KernelSource) -> KernelSource {
    KernelSource { registers: None, ..source.clone() }
}

/// Whether the PTX of a source is embedded, whatever the registers that it may have.
pub fn carries(source: &KernelSource) -> bool {
    ptx(source).is_ok()
}

/// PTX of a source.
///
/// # Errors
/// A sentence, if the archive lacks it, or holds it for another text of the source: its kernels might take other
/// arguments.
pub fn ptx(source: &KernelSource) -> Result<Vec<u8>, String> {
    static OPENED: OnceLock<Result<Manifest, String>> = OnceLock::new();
    let label = source.label();
    let manifest = OPENED.get_or_init(|| {
        let text = member(ARCHIVE, MANIFEST)?;
        serde_json::from_slice(&text).map_err(|e| format!("kernels/prebuilt.zip: {MANIFEST}: {e}"))
    });
    let Some(made) = manifest.as_ref().map_err(String::clone)?.kernels.get(&label) else {
        return Err("no prebuilt code for these sizes, which only some networks have".into());
    };
    let expected = Made::from(source).map_err(|e| e.to_string())?;
    if *made != expected {
        return Err("the prebuilt code was made from another version of the source".into());
    }
    member(ARCHIVE, &label)
}

/// A member of an archive.
fn member(archive: &[u8], name: &str) -> Result<Vec<u8>, String> {
    let fail = |problem: String| format!("kernels/prebuilt.zip: {name:?}: {problem}");
    let mut archive = ZipArchive::new(Cursor::new(archive)).map_err(|e| fail(e.to_string()))?;
    let mut member = archive.by_name(name).map_err(|e| fail(e.to_string()))?;
    let mut bytes = Vec::new();
    member.read_to_end(&mut bytes).map_err(|e| fail(e.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "prebuilt_tests.rs"]
mod tests;
