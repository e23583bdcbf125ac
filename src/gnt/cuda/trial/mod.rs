//! Whether a CUDA device is to be trusted by `--device auto`: at its first use, it computes a little beside the processor,
//! and the verdict is kept in the folder of the compiled kernels. It holds for the card, its driver, this build of the
//! program and the kernels of the network's sizes; where one of them changes, there is a new trial.

mod material;
mod rays;

use super::CudaEngine;
use crate::{Model, Result};
use compute::cuda::Device;
use compute::cuda::cache::{Cache, fingerprint};
pub use material::Material;
pub use rays::trial_rays;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// What a trial found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The device computes what the processor does.
    Trusted,
    /// It does not; a sentence that says how far they are apart.
    Distrusted(String),
}

/// Where verdicts are kept, and what they hold for beside a device.
#[derive(Clone, Debug)]
pub struct Trials {
    cache: Cache,
    /// Which build of the program.
    build: String,
}

/// First word of what is kept of a device that is trusted, and of another one.
const TRUSTED: &str = "trusted";
const DISTRUSTED: &str = "distrusted";

impl Trials {
    /// Those of the user, for the program or library in a file.
    pub fn of_user(program: &Path) -> Self {
        Self { cache: Cache::of_user(), build: build(program) }
    }

    /// Those in a folder, for a build of this name.
    pub fn at(folder: &Path, build: &str) -> Self {
        Self { cache: Cache::at(folder), build: build.into() }
    }

    /// Whether an engine renders what the processor renders, of rays of its network.
    ///
    /// # Errors
    /// If the device fails; nothing is kept then.
    pub fn of_engine(&self, engine: &mut CudaEngine, model: &Model, params: &[f32]) -> Result<Verdict> {
        let kernels = super::kernels_of(&model.config, engine.precision())?;
        let device = engine.device().clone();
        self.verdict(&device, &kernels, || trial_rays(engine, model, params))
    }

    /// The verdict that is kept of a device and of what it computes, or that of a `trial`, which gives a sentence about what
    /// is wrong.
    ///
    /// # Errors
    /// Those of the trial; nothing is kept then.
    pub fn verdict<E>(
        &self,
        device: &Device,
        of: &str,
        trial: impl FnOnce() -> std::result::Result<Option<String>, E>,
    ) -> std::result::Result<Verdict, E> {
        let info = device.info();
        let parts = [&info.name, &info.identity, &self.build, of].map(|part: &str| part.as_bytes());
        let key = format!("trial-{}", fingerprint(parts));
        if let Some(verdict) = self.cache.get(&key).and_then(|bytes| read(&bytes)) {
            return Ok(verdict);
        }
        let verdict = trial()?.map_or(Verdict::Trusted, Verdict::Distrusted);
        let text = match &verdict {
            Verdict::Trusted => TRUSTED.to_owned(),
            Verdict::Distrusted(problem) => format!("{DISTRUSTED} {problem}"),
        };
        self.cache.put(&key, text.as_bytes());
        Ok(verdict)
    }
}

/// A verdict as it is kept; none if it is nothing that this program writes.
fn read(bytes: &[u8]) -> Option<Verdict> {
    let text = std::str::from_utf8(bytes).ok()?;
    match text.split_once(' ').unwrap_or((text, "")) {
        (TRUSTED, "") => Some(Verdict::Trusted),
        (DISTRUSTED, problem) if !problem.is_empty() => Some(Verdict::Distrusted(problem.to_owned())),
        _ => None,
    }
}

/// A name for the build of a program: the version, the kernels, and length and time of its file.
fn build(program: &Path) -> String {
    let kernels = compute::cuda::sources::FILES.iter().flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()]);
    let file = std::fs::metadata(program).ok().map(|file| {
        let time = file.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        format!("{} bytes, {:?}", file.len(), time)
    });
    format!("{} {} {file:?}", env!("CARGO_PKG_VERSION"), fingerprint(kernels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_verdict_is_none() {
        for text in ["", "trusted more or less", "distrusted", "distrusted ", "\u{fffd}"] {
            assert_eq!(read(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(read(b"trusted"), Some(Verdict::Trusted));
        assert_eq!(read(b"distrusted it is off"), Some(Verdict::Distrusted("it is off".into())));
    }

    #[test]
    fn a_build_has_a_name() {
        let name = build(&std::env::current_exe().unwrap());
        assert!(name.starts_with(env!("CARGO_PKG_VERSION")) && name.contains("bytes"), "{name}");
        assert!(build(Path::new("none")).ends_with("None"));
    }
}
