//! Layers on the emulated device beside their CPU twins.

use super::{Ops, Store};
use crate::params::SplitMix;
use kernels_host::Schedule;
use std::sync::{Mutex, MutexGuard};

pub use crate::testing::{parameters, uniform};

/// Products sum in another order than the CPU's; everything else agrees better.
pub const VALUES: f32 = 1e-5;
/// Gradients pass through more sums.
pub const GRADIENTS: f32 = 1e-4;

/// The operations on the emulated device.
pub fn ops() -> Ops {
    Ops::new(&kernels_host::device()).unwrap()
}

/// `count` rows of `width` values in `[-2, 2)`; every third is constant, and the last is large.
pub fn states(rows: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut x = uniform(&mut SplitMix(seed), rows * width, 2.0);
    for (i, row) in x.chunks_exact_mut(width).enumerate() {
        if i % 3 == 2 {
            // Exact, so that the variance is 0 and not rounding that the normalisation blows up.
            row.fill((i % 5) as f32 * 0.25 - 0.5);
        } else if i + 1 == rows {
            row.iter_mut().for_each(|v| *v *= 1e3);
        }
    }
    x
}

/// Asserts that all numbers agree within `tolerance` of the largest expected one.
pub fn assert_near(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0.0f32, |m, e| m.max(e.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * largest, "{name}[{i}]: {f} and {e}, the largest being {largest}");
    }
}

/// Asserts that the gradient of every parameter agrees within [`GRADIENTS`] of its largest value.
pub fn assert_gradients(layout: &crate::Layout, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), layout.len());
    for entry in layout.entries() {
        assert_near(&entry.name, entry.slot.of(found), entry.slot.of(expected), GRADIENTS);
    }
}

/// Runs `test` in each order of threads; only one test at a time sets the order.
pub fn in_each_schedule(mut test: impl FnMut(Schedule)) {
    static ONE: Mutex<()> = Mutex::new(());
    struct Back<'a>(#[expect(dead_code, reason = "held until dropped")] MutexGuard<'a, ()>);
    impl Drop for Back<'_> {
        fn drop(&mut self) {
            kernels_host::set_schedule(Schedule::Forward);
        }
    }
    let _back = Back(ONE.lock().unwrap_or_else(|e| e.into_inner()));
    for schedule in [Schedule::Reverse, Schedule::Random(7), Schedule::Forward] {
        kernels_host::set_schedule(schedule);
        test(schedule);
    }
}

/// A copy of `values` on the device, at the start of memory that is longer and dirty.
pub fn upload(ops: &Ops, values: &[f32]) -> Store {
    let mut store = Store::default();
    store.resize(ops.device(), values.len() + 7).unwrap();
    ops.fill(f32::NAN, &mut store).unwrap();
    store.upload(ops.device(), values).unwrap();
    store
}
