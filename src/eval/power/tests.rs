//! Meters on machines without counters, and on folders that look like those of Linux.

use super::gpu::{Integral, Name, from_visible};
use super::*;
use std::fs;
use std::time::Instant;

/// `(folder, name, microjoules, range)`
type Fake<'a> = (&'a str, &'a str, &'a str, &'a str);

fn powercap(zones: &[Fake]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (folder, name, energy, range) in zones {
        let zone = dir.path().join(folder);
        fs::create_dir_all(&zone).unwrap();
        for (file, value) in [("name", name), ("energy_uj", energy), ("max_energy_range_uj", range)] {
            fs::write(zone.join(file), format!("{value}\n")).unwrap();
        }
    }
    dir
}

fn set(dir: &tempfile::TempDir, zone: &str, energy: u64) {
    fs::write(dir.path().join(zone).join("energy_uj"), format!("{energy}\n")).unwrap();
}

/// Packages and their memory count, each once; cores, which are part of a package, do not.
#[test]
fn packages_and_memory_add_up() {
    let range = "65532610987";
    let dir = powercap(&[
        ("intel-rapl:0", "package-0", "1000000", range),
        ("intel-rapl:0:0", "core", "900000", range),
        ("intel-rapl:0:1", "dram", "5", range),
        ("intel-rapl:1", "package-1", "0", range),
        ("intel-rapl:2", "psys", "7", range),
        ("intel-rapl-mmio:0", "package-0", "3", range),
    ]);
    let meter = Meter::cpu_at(dir.path());
    assert_eq!(meter.describe(), "RAPL: package-0, dram, package-1");
    assert_eq!(meter.joules(), None, "not started");
    let meter = meter.start();
    assert_eq!(meter.joules(), Some(0.0));
    set(&dir, "intel-rapl:0", 3_500_000);
    set(&dir, "intel-rapl:0:0", 3_000_000);
    set(&dir, "intel-rapl:0:1", 250_005);
    set(&dir, "intel-rapl:1", 1_000_000);
    set(&dir, "intel-rapl:2", 9_000_000);
    let joules = meter.joules().unwrap();
    assert!((joules - 3.75).abs() < 1e-9, "{joules}");
    assert_eq!(meter.start().joules(), Some(0.0), "started again");
}

/// Counters start again at 0 when their range is full, even several times in a measurement.
#[test]
fn counters_wrap_around() {
    let dir = powercap(&[("intel-rapl:0", "package-0", "262143000000", "262143328850")]);
    let meter = Meter::cpu_at(dir.path()).start();
    set(&dir, "intel-rapl:0", 671_150);
    let joules = meter.joules().unwrap();
    assert!((joules - 1.0).abs() < 1e-9, "{joules}");
    set(&dir, "intel-rapl:0", 0);
    let joules = meter.joules().unwrap();
    assert!((joules - 1.0 - 262_142.657_7).abs() < 1e-6, "{joules}");
}

/// A counter is read often enough in the background to see it wrap twice.
#[test]
fn long_measurements_are_watched() {
    struct Steps(Arc<Mutex<u32>>);
    impl Counter for Steps {
        fn joules(&mut self) -> Option<f64> {
            let mut calls = self.0.lock().unwrap();
            *calls += 1;
            Some(f64::from(*calls))
        }
        fn interval(&self) -> Option<Duration> {
            Some(Duration::from_millis(1))
        }
    }
    let calls = Arc::new(Mutex::new(0));
    let meter = Meter::new(Ok(("steps".into(), Box::new(Steps(Arc::clone(&calls)))))).start();
    let until = Instant::now() + Duration::from_secs(20);
    while *calls.lock().unwrap() < 5 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(meter.joules().unwrap() >= 5.0, "{meter:?}");
    drop(meter);
    let after = *calls.lock().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(*calls.lock().unwrap(), after, "the thread ends with the meter");
}

#[test]
fn what_is_missing_is_said() {
    let nowhere = tempfile::tempdir().unwrap();
    let cases =
        [(nowhere.path().join("none"), "none: No such file"), (nowhere.path().to_owned(), "no counter of a processor")];
    for (folder, wanted) in cases {
        let meter = Meter::cpu_at(&folder).start();
        assert_eq!((meter.joules(), meter.available()), (None, false));
        assert!(meter.describe().contains(wanted), "{}", meter.describe());
    }
    for (energy, range) in [("", "1"), ("12 J", "1"), ("-3", "1"), ("3", "much")] {
        let dir = powercap(&[("intel-rapl:0", "package-0", energy, range)]);
        let meter = Meter::cpu_at(dir.path());
        assert!(!meter.available() && meter.describe().contains("expected a number"), "{}", meter.describe());
    }
}

/// A counter that stops to answer gives nothing rather than something wrong.
#[test]
fn lost_counters_give_nothing() {
    let dir = powercap(&[("intel-rapl:0", "package-0", "5", "100"), ("intel-rapl:1", "package-1", "5", "100")]);
    let meter = Meter::cpu_at(dir.path()).start();
    fs::remove_file(dir.path().join("intel-rapl:1/energy_uj")).unwrap();
    set(&dir, "intel-rapl:0", 25);
    assert_eq!(meter.joules(), None);
    set(&dir, "intel-rapl:1", 5);
    let joules = meter.joules().unwrap();
    assert!((joules - 20e-6).abs() < 1e-12, "{joules}");
}

/// Whatever there is on this machine, nothing panics, and the answer says what it is.
#[test]
fn the_meters_of_this_machine_answer() {
    for meter in [Meter::gpu(0), Meter::gpu(u32::MAX), Meter::cpu()] {
        let meter = meter.start();
        assert_eq!(meter.joules().is_some(), meter.available(), "{}", meter.describe());
        assert!(!meter.describe().is_empty() && !meter.describe().contains('\n'), "{}", meter.describe());
    }
    assert!(!Meter::gpu(u32::MAX).available());
    for name in [Name::Number(u32::MAX), Name::Uuid("GPU-none".into()), Name::Pci("not an address\0".into())] {
        let problem = gpu::Gpu::open(&name).unwrap_err();
        assert!(problem.starts_with("NVML: "), "{problem}");
    }
}

#[test]
fn numbers_follow_what_cuda_sees() {
    let of = |number, visible| from_visible(number, visible);
    assert_eq!(of(3, None), Ok(Name::Number(3)));
    assert_eq!(of(1, Some("2, 0")), Ok(Name::Number(0)));
    assert_eq!(of(0, Some("GPU-8932f937")), Ok(Name::Uuid("GPU-8932f937".into())));
    assert!(of(0, Some("MIG-1a2b")).unwrap_err().contains("whole GPU"));
    for (number, visible) in [(0, ""), (1, "0"), (0, "first"), (0, "-1")] {
        assert!(of(number, Some(visible)).unwrap_err().contains("CUDA_VISIBLE_DEVICES"), "{visible}");
    }
}

#[test]
fn power_is_integrated_between_samples() {
    let (mut integral, start) = (Integral::default(), Instant::now());
    let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
    assert_eq!(integral.add(at(0.0), 100.0), 0.0);
    assert_eq!(integral.add(at(2.0), 300.0), 400.0);
    assert_eq!(integral.add(at(2.5), 300.0), 550.0);
    assert_eq!(integral.add(at(2.25), 300.0), 550.0, "time never runs back");
}
