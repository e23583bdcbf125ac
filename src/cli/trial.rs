//! Whether a CUDA device is to be trusted by `--device auto`: for rendering as [`Trials`] tell, and for training likewise.

use super::selftest::trial_step;
use compute::cuda::Device;
pub use gnt::cuda::trial::{Trials, Verdict};

/// Trials of the user, for this program.
pub fn of_user() -> Trials {
    Trials::of_user(&std::env::current_exe().unwrap_or_default())
}

/// Whether a device takes the training steps that the processor takes.
///
/// # Errors
/// If the device fails; nothing is kept then.
pub fn of_training(trials: &Trials, device: &Device) -> anyhow::Result<Verdict> {
    trials.verdict(device, "training", || trial_step(device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::selftest::faulty_device;
    use gnt::Model;
    use gnt::cuda::trial::trial_rays;
    use gnt::cuda::{CudaEngine, CudaPrecision};

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
        assert_eq!(of_training(&trials, &kernels_host::device()).unwrap(), Verdict::Trusted);
        assert!(matches!(of_training(&trials, &faulty_device()).unwrap(), Verdict::Trusted), "it is remembered");
        let other = Trials::at(folder.path(), "other build");
        assert!(matches!(of_training(&other, &faulty_device()).unwrap(), Verdict::Distrusted(_)));
        // A device that fails gives no verdict, and none is kept.
        let small = kernels_host::device_with_memory(64 << 10);
        let third = Trials::at(folder.path(), "third build");
        assert!(of_training(&third, &small).is_err());
        assert_eq!(of_training(&third, &kernels_host::device()).unwrap(), Verdict::Trusted);
    }
}
