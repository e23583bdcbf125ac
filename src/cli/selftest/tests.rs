//! The checks on the emulated device, on broken figures, and their report.

use super::difference::{Difference, judge, judge_strictly};
use super::material::{Material, Network, VIEWS};
use super::report::{Bound, Report};
use super::stages::Flips;
use super::{Scope, on_cpu, on_cuda, training};
use compute::cuda::{Device, DeviceInfo, Driver, KernelSource, Launch, Result};
use gnt::Config;
use std::ffi::c_void;
use std::sync::Arc;

/// The emulated device, but that every value that is read from it is wrong.
pub fn faulty_device() -> Device {
    Device(Arc::new(Faulty(kernels_host::device())))
}

#[derive(Debug)]
struct Faulty(Device);

impl Driver for Faulty {
    fn info(&self) -> &DeviceInfo {
        self.0.info()
    }

    fn free_memory(&self) -> Result<u64> {
        self.0.0.free_memory()
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.0.0.allocate(bytes)
    }

    unsafe fn free(&self, address: u64) {
        // SAFETY: the caller vouches for the address.
        unsafe { self.0.0.free(address) }
    }

    unsafe fn write(&self, stream: usize, address: u64, bytes: &[u8]) -> Result<()> {
        // SAFETY: the caller vouches for the memory.
        unsafe { self.0.0.write(stream, address, bytes) }
    }

    unsafe fn read(&self, stream: usize, address: u64, bytes: &mut [u8]) -> Result<()> {
        // SAFETY: the caller vouches for the memory.
        unsafe { self.0.0.read(stream, address, bytes) }?;
        // The lowest bit of an exponent: a number becomes twice or half as large.
        bytes.iter_mut().skip(2).step_by(4).for_each(|byte| *byte ^= 0x80);
        Ok(())
    }

    unsafe fn zero(&self, stream: usize, address: u64, bytes: usize) -> Result<()> {
        // SAFETY: the caller vouches for the memory.
        unsafe { self.0.0.zero(stream, address, bytes) }
    }

    fn module(&self, source: &KernelSource) -> Result<usize> {
        self.0.0.module(source)
    }

    unsafe fn launch(&self, module: usize, kernel: &str, how: &Launch, args: &mut [*mut c_void]) -> Result<()> {
        // SAFETY: the caller vouches for the arguments.
        unsafe { self.0.0.launch(module, kernel, how, args) }
    }

    fn synchronise(&self, stream: usize) -> Result<()> {
        self.0.0.synchronise(stream)
    }

    fn mark(&self, stream: usize) -> Result<usize> {
        self.0.0.mark(stream)
    }

    fn seconds_between(&self, first: usize, second: usize) -> Result<f64> {
        self.0.0.seconds_between(first, second)
    }
}

const QUICK: Scope = Scope { quick: true, starve: true };

fn assert_passed(report: &Report, least: usize) {
    let (failed, judged) = report.counts();
    assert!(failed == 0 && judged >= least, "{judged} judged:\n{}", report.table("emulation", 0.0));
}

#[test]
fn the_emulated_device_renders_as_the_processor() {
    let mut report = Report::default();
    on_cuda::run(&kernels_host::device(), QUICK, &mut report).unwrap();
    assert_passed(&report, 20);
    assert!(report.rows().iter().any(|row| row.check.contains("short of memory")), "{:?}", report.rows());
}

#[test]
fn the_emulated_device_trains_as_the_processor() {
    let mut report = Report::default();
    training::run(&kernels_host::device(), QUICK, &mut report).unwrap();
    assert_passed(&report, 3);
}

#[test]
fn the_processor_agrees_with_itself() {
    let mut report = Report::default();
    on_cpu::run(QUICK, &mut report).unwrap();
    assert_passed(&report, 16);
}

/// A device without memory fails each check, with its reason, and nothing else.
#[test]
fn what_fails_is_a_row() {
    let mut report = Report::default();
    let device = kernels_host::device_with_memory(64 << 10);
    training::run(&device, QUICK, &mut report).unwrap();
    on_cuda::run(&device, QUICK, &mut report).unwrap();
    let (failed, judged) = report.counts();
    assert!(failed == judged && failed == report.rows().len(), "{}", report.table("small", 0.0));
    assert!(report.rows().iter().all(|row| row.found.is_none() && row.note.starts_with("device memory")));
}

/// The material has what the checks are for: samples that no source sees, and some that all see.
#[test]
fn some_samples_are_seen_by_nobody() {
    let material = Material::new(VIEWS);
    let depths = material.depths(33);
    let (mut by_none, mut by_all) = (0, 0);
    for ray in material.rays(37) {
        for z in &depths {
            let point = (ray.origin + ray.direction * *z).extend(1.0);
            let seen = material.sources[..3].iter().filter(|(camera, _)| {
                let p = camera.pixel_from_world() * point;
                let (x, y) = (p.x / p.z, p.y / p.z);
                p.z > 0.0 && x >= 0.0 && y >= 0.0 && x <= camera.width as f32 - 1.0 && y <= camera.height as f32 - 1.0
            });
            match seen.count() {
                0 => by_none += 1,
                3 => by_all += 1,
                _ => {}
            }
        }
    }
    assert!(by_none > 30 && by_all > 200, "{by_none} samples seen by no view, {by_all} by all");
    let random = Network::random("compact", Config::compact(), 1).unwrap();
    assert!(random.params.iter().all(|p| *p != 0.0) && !random.trained && !random.has_codes());
    assert!(Network::built_in("gnt-shiftadd").unwrap().has_codes());
}

/// A single wrong value is an error in a dense network, and wherever decisions are shared. Where each side makes its own, a
/// few rays may be others.
#[test]
fn wrong_stages_are_found() {
    let dense = Network::random("dense", Config::compact(), 1).unwrap();
    let shift_add = Network::random("ShiftAdd", Config::compact().shift_add(), 1).unwrap();
    let want = vec![2.0; 40];
    // Ten rays of four values; at the second stage the first `wrong` of them are off, at the third as many more.
    let stages = |wrong: [usize; 2], value: f32| {
        let stage = |index: usize, wrong: usize| {
            let mut got = want.clone();
            got.iter_mut().step_by(4).take(wrong).for_each(|v| *v += value);
            Difference::new(format!("block {index}"), &got, &want, 10)
        };
        [stage(0, 0), stage(1, wrong[0]), stage(2, wrong[0] + wrong[1])]
    };
    // Samples so that there are few bits, and many.
    let (few, many) = (8, 192);
    for (network, samples, wrong, value, failed, judged) in [
        (&dense, many, [0, 0], 0.0, 0, 1),
        (&dense, many, [10, 0], 1.9e-4, 0, 1),
        (&dense, many, [1, 0], 2.1e-4, 1, 1),
        (&dense, many, [1, 0], f32::NAN, 1, 1),
        (&shift_add, few, [10, 0], 1.9e-4, 0, 1),
        (&shift_add, few, [2, 1], 0.5, 0, 1),
        (&shift_add, few, [2, 2], 2.1e-4, 1, 1),
        (&shift_add, few, [4, 0], f32::NAN, 1, 1),
        (&shift_add, many, [6, 0], 0.5, 0, 0),
    ] {
        let mut report = Report::default();
        judge(network, "stages", samples, &stages(wrong, value), &mut report);
        assert_eq!(report.counts(), (failed, judged), "{wrong:?} {value}: {:?}", report.rows());
        let mut report = Report::default();
        judge_strictly(network, "stages", &stages(wrong, value), &mut report);
        let within = value.abs() <= 2e-4;
        assert_eq!(report.counts(), (usize::from(!within), 1), "{wrong:?} {value}: {:?}", report.rows());
    }
}

/// One decision may be otherwise, or one of thousands, but not more.
#[test]
fn too_many_other_decisions_are_found() {
    let network = Network::random("ShiftAdd", Config::compact().shift_add(), 1).unwrap();
    let flips = |found, all| Flips { what: "experts", found, all };
    for (found, failed, judged) in [
        (vec![], 0, 0),
        (vec![flips(1, 10)], 0, 1),
        (vec![flips(2, 10)], 1, 1),
        (vec![flips(0, 10), flips(20, 100_000)], 0, 1),
        (vec![flips(0, 10), flips(22, 100_000), flips(0, 7)], 1, 1),
    ] {
        let mut report = Report::default();
        on_cuda::judge_flips(&network, "own decisions", &found, &mut report);
        assert_eq!(report.counts(), (failed, judged), "{found:?}: {:?}", report.rows());
    }
}

#[test]
fn reports_say_what_failed() {
    let mut report = Report::default();
    report.add("net", "f32", 3e-5, Bound::AtMost(1e-4), "worst stage: colour");
    report.add("net", "bf16", f64::NAN, Bound::AtLeast(50.0), "");
    report.add("net", "dB", 12.0, Bound::None, "told only");
    report.attempt("net", "frames", |_| Err("no kernel"));
    assert_eq!(report.counts(), (2, 3));
    let table = report.table("cuda:0 (X)", 1.25);
    assert!(table.contains("ok    net") && table.contains("FAIL  net") && table.contains("told  net"), "{table}");
    assert!(table.ends_with("cuda:0 (X): 3 checks, 2 out of bounds, 1.2 s"), "{table}");
    let json: serde_json::Value = serde_json::from_str(&report.json("d", 1.0)).unwrap();
    assert_eq!((&json["passed"], &json["failed"], &json["judged"]), (&false.into(), &2.into(), &3.into()));
    assert_eq!(json["checks"][0]["bound"]["at_most"], 1e-4);
    assert!(json["checks"][1]["found"].is_null() && json["checks"][3]["note"] == "no kernel", "{json}");
}
