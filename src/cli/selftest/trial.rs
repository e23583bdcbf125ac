//! A small comparison of a device's training with the processor's, in a fraction of a second.

use super::material::{Material, Network};
use super::training::{Pair, batch};
use compute::cuda::Device;
use gnt::Config;

/// Source views.
const VIEWS: usize = 3;
/// A training step's losses and gradients may differ by so much.
const STEP: f64 = 1e-2;

/// Takes a training step of a small network on `device` and on the processor. Gives a sentence if they differ too much.
///
/// # Errors
/// If the device fails.
pub fn trial_step(device: &Device) -> anyhow::Result<Option<String>> {
    let material = Material::new(VIEWS);
    let network = Network::random("compact", Config::compact(), 5)?;
    let apart = Pair::new(device, &network, 9)?.step(None, &batch(&material, 5, 1), 1)?;
    // Also what is not a number is too much.
    let within = apart.relative <= STEP;
    Ok((!within).then(|| {
        let (found, worst) = (apart.relative, &apart.worst);
        format!("a training step differs from the processor's by {found:.2e} of the largest value of {worst}, which may be {STEP}")
    }))
}

#[cfg(test)]
mod tests {
    use super::super::material::networks;
    use gnt::cuda::trial::trial_rays;
    use gnt::cuda::{CudaEngine, CudaPrecision, fastest};

    /// A right device is trusted with every network, also with those whose weights are random and whose codes hang on
    /// roundings.
    #[test]
    fn no_network_makes_a_right_device_suspicious() {
        for network in networks(true).unwrap() {
            let (model, params) = (&network.model, &network.params);
            for precision in [CudaPrecision::F32, CudaPrecision::Bf16, fastest(&model.config)] {
                let mut engine = CudaEngine::new(kernels_host::device(), model, params, precision).unwrap();
                let problem = trial_rays(&mut engine, model, params).unwrap();
                assert_eq!(problem, None, "{} in {}", network.name, precision.name());
            }
        }
    }
}
