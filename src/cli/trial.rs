//! Whether a CUDA device is to be trusted by `--device auto`: at its first use, it computes a little beside the processor,
//! and the verdict is kept in the folder of the compiled kernels. It holds for the card, its driver, this build of the
//! program and the kernels of the network's sizes; where one of them changes, there is a new trial.

use super::selftest::{trial_rays, trial_step};
use compute::cuda::Device;
use compute::cuda::cache::{Cache, fingerprint};
use gnt::Model;
use gnt::cuda::CudaEngine;
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
    /// Those of the user, for this program.
    pub fn of_user() -> Self {
        Self { cache: Cache::of_user(), build: build() }
    }

    #[cfg(test)]
    pub fn at(folder: &std::path::Path, build: &str) -> Self {
        Self { cache: Cache::at(folder), build: build.into() }
    }

    /// Whether an engine renders what the processor renders, of rays of its network.
    ///
    /// # Errors
    /// If the device fails; nothing is kept then.
    pub fn of_engine(&self, engine: &mut CudaEngine, model: &Model, params: &[f32]) -> anyhow::Result<Verdict> {
        let kernels = gnt::cuda::kernels_of(&model.config, engine.precision())?;
        let device = engine.device().clone();
        self.verdict(&device, &kernels, || trial_rays(engine, model, params))
    }

    /// Whether a device takes the training steps that the processor takes.
    ///
    /// # Errors
    /// If the device fails; nothing is kept then.
    pub fn of_training(&self, device: &Device) -> anyhow::Result<Verdict> {
        self.verdict(device, "training", || trial_step(device))
    }

    /// The verdict that is kept, or that of a `trial`, which gives a sentence about what is wrong.
    fn verdict(
        &self,
        device: &Device,
        of: &str,
        trial: impl FnOnce() -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<Verdict> {
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

/// A name for this build: the version, the kernels, and length and time of the program's file.
fn build() -> String {
    let kernels = compute::cuda::sources::FILES.iter().flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()]);
    let file = std::env::current_exe().and_then(std::fs::metadata).ok().map(|file| {
        let time = file.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        format!("{} bytes, {:?}", file.len(), time)
    });
    format!("{} {} {file:?}", env!("CARGO_PKG_VERSION"), fingerprint(kernels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::selftest::faulty_device;
    use gnt::cuda::CudaPrecision;

    fn engine(device: &Device, precision: CudaPrecision) -> (CudaEngine, Model, Vec<f32>) {
        let (model, params, _) = gnt::builtin::load("gnt-shiftadd").unwrap();
        (CudaEngine::new(device.clone(), &model, &params, precision).unwrap(), model, params)
    }

    /// A device that agrees is tried once for each build and each kernel, and again where what was kept is damaged.
    #[test]
    fn a_verdict_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let files = || std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
        let device = kernels_host::device();
        let (mut engine, model, params) = engine(&device, CudaPrecision::Int8);
        let mut tried = 0;
        let mut trial = |trials: &Trials| {
            let verdict = trials.verdict(&device, "kernels", || {
                tried += 1;
                trial_rays(&mut engine, &model, &params)
            });
            (verdict.unwrap(), tried)
        };
        let trials = Trials::at(folder.path(), "one build");
        assert_eq!(trial(&trials), (Verdict::Trusted, 1));
        assert_eq!(trial(&trials), (Verdict::Trusted, 1));
        assert_eq!(trial(&Trials::at(folder.path(), "another")), (Verdict::Trusted, 2));
        assert_eq!(files().len(), 2);
        for file in files() {
            let whole = std::fs::read(&file).unwrap();
            std::fs::write(&file, &whole[1..]).unwrap();
        }
        assert_eq!(trial(&trials), (Verdict::Trusted, 3));
        assert_eq!(trial(&trials), (Verdict::Trusted, 3));
        for text in ["", "trusted more or less", "distrusted", "distrusted ", "\u{fffd}"] {
            assert_eq!(read(text.as_bytes()), None, "{text:?}");
        }
    }

    /// A device that gives other colours is not trusted, also the next time, until the build changes.
    #[test]
    fn a_device_that_is_wrong_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let trials = Trials::at(folder.path(), "build");
        let (mut wrong, model, params) = engine(&faulty_device(), CudaPrecision::Int8);
        let verdict = trials.of_engine(&mut wrong, &model, &params).unwrap();
        let Verdict::Distrusted(problem) = &verdict else { panic!("{verdict:?}") };
        assert!(problem.contains("colours"), "{problem}");
        // What is kept holds for the device, whatever it does now: the fault may come and go.
        let (mut right, ..) = engine(&kernels_host::device(), CudaPrecision::Int8);
        assert_eq!(trials.of_engine(&mut right, &model, &params).unwrap(), verdict);
        let other = Trials::at(folder.path(), "other build");
        assert_eq!(other.of_engine(&mut right, &model, &params).unwrap(), Verdict::Trusted);
    }

    #[test]
    fn training_is_tried_too() {
        let folder = tempfile::tempdir().unwrap();
        let trials = Trials::at(folder.path(), "build");
        assert_eq!(trials.of_training(&kernels_host::device()).unwrap(), Verdict::Trusted);
        assert!(matches!(trials.of_training(&faulty_device()).unwrap(), Verdict::Trusted), "it is remembered");
        let other = Trials::at(folder.path(), "other build");
        assert!(matches!(other.of_training(&faulty_device()).unwrap(), Verdict::Distrusted(_)));
        // A device that fails gives no verdict, and none is kept.
        let small = kernels_host::device_with_memory(64 << 10);
        let third = Trials::at(folder.path(), "third build");
        assert!(third.of_training(&small).is_err());
        assert_eq!(third.of_training(&kernels_host::device()).unwrap(), Verdict::Trusted);
    }

    #[test]
    fn a_build_has_a_name() {
        assert_eq!(build(), build());
        assert!(build().starts_with(env!("CARGO_PKG_VERSION")) && build().contains("bytes"), "{}", build());
    }
}
