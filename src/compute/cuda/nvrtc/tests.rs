//! Compiles every kernel. What takes a compiler is in `needs_nvrtc`: `cargo test -p compute -- --ignored needs_nvrtc` with
//! `SHIFTRAY_NVRTC` naming one, as `.ci/run` does.

use super::*;
use crate::cuda::sources::{Listed, listed, small};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What kernels are made for: Ampere, Hopper, and the Blackwell of workstations.
const ARCHITECTURES: [u32; 3] = [80, 90, 120];

/// Writes past the capture of tests, so that it shows also where they pass.
pub(crate) fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).expect("stderr can be written");
}

/// The compiler.
///
/// # Panics
/// If there is none.
fn compiler() -> &'static Nvrtc {
    installed(u32::MAX).unwrap_or_else(|problem| panic!("{problem}: {INSTALL}"))
}

/// What was compiled before, so that a change of one kernel costs one compilation.
pub(crate) fn cache() -> Cache {
    Cache::at(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/compiled-kernels"))
}

/// The log of a compilation.
fn log_of(nvrtc: &Nvrtc, source: &KernelSource, target: Target) -> Result<String> {
    let key = nvrtc.key(source, target)? + ".log";
    if let Some(log) = cache().get(&key) {
        return Ok(String::from_utf8(log).unwrap());
    }
    let log = nvrtc.compile(source, target)?.log;
    cache().put(&key, log.as_bytes());
    Ok(log)
}

fn join(values: impl Iterator<Item = impl ToString>) -> String {
    values.map(|v| v.to_string()).collect::<Vec<_>>().join("/")
}

/// What is wrong with the kernels of a source.
fn faults(entry: &Listed, architecture: u32, found: &[Resources], log: &str) -> Vec<String> {
    let label = entry.source.label();
    let mut faults = Vec::new();
    if found.is_empty() {
        faults.push(format!("{label}: no kernel in it; the compiler said: {log}"));
    }
    for r in found {
        let (kernel, stores, loads, limit) = (&r.kernel, r.spill_stores, r.spill_loads, entry.spill);
        if stores.max(loads) > limit {
            faults.push(format!(
                "{label}: {kernel} spills {stores} bytes and loads {loads} on sm_{architecture}, limit {limit}"
            ));
        }
        if r.registers == 0 {
            faults.push(format!("{label}: the log does not tell the registers of {kernel}: {log}"));
        }
    }
    faults
}

#[test]
fn options_follow_the_source() {
    let source =
        KernelSource { registers: Some(128), defines: vec![("A", 1), ("B", -2)], ..KernelSource::plain("x.cu") };
    let ptx = options(&source, Target::Ptx(80)).join(" ");
    let expected =
        "--std=c++17 -default-device --fmad=true --gpu-architecture=compute_80 --maxrregcount=128 -DA=1 -DB=-2";
    assert_eq!(ptx, expected);
    let cubin = options(&KernelSource::plain("x.cu"), Target::Cubin(90)).join(" ");
    assert!(cubin.contains("--gpu-architecture=sm_90") && !cubin.contains("maxrregcount"), "{cubin}");
}

mod needs_nvrtc {
    use super::*;

    #[test]
    #[ignore = "needs SHIFTRAY_NVRTC"]
    fn every_kernel_compiles_without_spilling() {
        let nvrtc = compiler();
        let architectures: Vec<u32> = ARCHITECTURES.into_iter().filter(|a| nvrtc.supports(*a)).collect();
        let jobs: Vec<(&Listed, u32)> = listed()
            .iter()
            .flat_map(|entry| architectures.iter().map(move |architecture| (entry, *architecture)))
            .collect();
        let (next, logs) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some((entry, architecture)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let log = log_of(nvrtc, &entry.source, Target::Cubin(*architecture));
                        logs.lock().unwrap().insert((entry.source.label(), *architecture), log);
                    }
                });
            }
        });
        let logs = logs.into_inner().unwrap();
        let (major, minor) = nvrtc.version();
        let all = join(architectures.iter());
        let mut table = format!(
            "\nNVRTC {major}.{minor}, sm_{all}\n{:<44} {:>12} {:>24} {:>7} {:>12}\n",
            "kernel", "registers", "spill stores", "shared", "stack"
        );
        let mut problems = Vec::new();
        for entry in listed() {
            table += &format!("{}\n", entry.source.label());
            // By kernel, as the compiler orders them.
            let mut kernels: Vec<(String, Vec<Resources>)> = Vec::new();
            for architecture in &architectures {
                match &logs[&(entry.source.label(), *architecture)] {
                    Err(problem) => problems.push(problem.to_string()),
                    Ok(log) => {
                        let found = resources(log);
                        problems.extend(faults(entry, *architecture, &found, log));
                        for r in found {
                            match kernels.iter_mut().find(|(kernel, _)| *kernel == r.kernel) {
                                Some((_, all)) => all.push(r),
                                None => kernels.push((r.kernel.clone(), vec![r])),
                            }
                        }
                    }
                }
            }
            for (kernel, all) in &kernels {
                let column = |value: fn(&Resources) -> u32| join(all.iter().map(value));
                table += &format!(
                    "  {kernel:<42} {:>12} {:>24} {:>7} {:>12}\n",
                    column(|r| r.registers),
                    column(|r| r.spill_stores),
                    all[0].shared,
                    column(|r| r.stack)
                );
            }
        }
        say(&table);
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    #[ignore = "needs SHIFTRAY_NVRTC"]
    fn messages_name_the_original_file() {
        let nvrtc = compiler();
        // A constant that is no name of a type, where the headers say `float`.
        let source = KernelSource { defines: vec![("lane_id", 7)], ..KernelSource::plain(small().file) };
        let message = nvrtc.compile(&source, Target::Cubin(80)).unwrap_err().to_string();
        assert!(message.starts_with(&format!("kernels {} lane_id=7: NVRTC ", source.file)), "{message}");
        assert!(message.contains("common/portable.cuh("), "{message}");
    }

    #[test]
    #[ignore = "needs SHIFTRAY_NVRTC"]
    fn code_is_cached_by_source_options_and_architecture() {
        let nvrtc = compiler();
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let source = small().clone();
        let compile = |source: &KernelSource, target| nvrtc.compile_cached(source, target, &cache).unwrap();
        let files = || std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
        let code = compile(&source, Target::Cubin(80));
        assert!(code.starts_with(b"\x7fELF"), "a CUBIN is an ELF file");
        let [file] = files().try_into().unwrap();
        assert_eq!(compile(&source, Target::Cubin(80)), code);
        assert_eq!(files(), std::slice::from_ref(&file));
        std::fs::write(&file, b"damaged").unwrap();
        assert_eq!(compile(&source, Target::Cubin(80)), code);
        let kept = std::fs::read(&file).unwrap();
        assert!(kept.starts_with(&code), "the damaged file was not replaced");
        let ptx = compile(&source, Target::Ptx(80));
        assert!(String::from_utf8(ptx).unwrap().contains(".target sm_80"));
        compile(&source, Target::Cubin(90));
        compile(&KernelSource { registers: Some(255), ..source.clone() }, Target::Cubin(80));
        compile(&KernelSource { defines: vec![("UNUSED", 1)], ..source }, Target::Cubin(80));
        assert_eq!(files().len(), 5);
    }
}
