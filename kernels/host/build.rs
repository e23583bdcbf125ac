//! Compiles the kernels for the CPU, each instance as a C++ file of its own.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, thread};

include!("instances.rs");

fn main() {
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by cargo"));
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let kernels = here.parent().expect("below kernels/");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .debug(false)
        .include(kernels)
        .include(&here)
        // Else the linker drops files that do nothing but register kernels.
        .link_lib_modifier("+whole-archive")
        .flag_if_supported("-ffp-contract=fast")
        .flag_if_supported("-Wno-unknown-pragmas")
        .flag_if_supported("-Wno-attributes")
        .flag_if_supported("-Wno-unused-function")
        .flag_if_supported("-Wno-unused-parameter");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        build.flag_if_supported("-mfma");
    }
    let plain = plain_files(kernels);
    fs::write(out.join("plain_files.rs"), format!("&{plain:?}")).expect("OUT_DIR can be written");
    let jobs: Vec<(PathBuf, String)> =
        instances(plain.into_iter()).iter().map(|(file, defines)| instance(kernels, file, defines)).collect();
    let next = AtomicUsize::new(0);
    let workers = env::var("NUM_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    thread::scope(|scope| {
        for _ in 0..workers.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((name, text)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let object = out.join(name).with_extension("o");
                    if !object.exists() {
                        let path = out.join(name);
                        fs::write(&path, text).expect("OUT_DIR can be written");
                        let made = build.clone().file(&path).compile_intermediates();
                        fs::rename(&made[0], &object).expect("OUT_DIR can be written");
                    }
                }
            });
        }
    });
    build.objects(jobs.iter().map(|(name, _)| out.join(name).with_extension("o")));
    build.compile("shiftray_kernels");
    watch(kernels);
}

/// The files without constants, sorted.
fn plain_files(kernels: &Path) -> Vec<&'static str> {
    let mut files = vec!["host/probe.cu"];
    for folder in ["features", "images", "training"] {
        for entry in fs::read_dir(kernels.join(folder)).expect("kernels/ can be read").flatten() {
            let name = entry.file_name().into_string().expect("names in ASCII");
            if name.ends_with(".cu") {
                files.push(Box::leak(format!("{folder}/{name}").into_boxed_str()));
            }
        }
    }
    files.sort_unstable();
    files
}

/// Name and text of an instance's C++ file. The name holds a hash of all that the file includes, so that what has not
/// changed is not compiled again.
fn instance(kernels: &Path, file: &str, defines: &[(&str, i64)]) -> (PathBuf, String) {
    let label = defines.iter().fold(file.to_owned(), |label, (name, value)| format!("{label} {name}={value}"));
    let mut text = format!("#define INSTANCE \"{label}\"\n");
    for (name, value) in defines {
        text += &format!("#define {name} {value}\n");
    }
    // The same names mean different things in different instances, so none of them may leave its file.
    text += &format!("#include \"cuda_host.h\"\nnamespace {{\n#include \"{file}\"\n}}\n");
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let mut seen = vec!["host/cuda_host.h".to_owned(), file.to_owned()];
    let mut at = 0;
    while at < seen.len() {
        let content = fs::read_to_string(kernels.join(&seen[at])).unwrap_or_else(|e| panic!("{}: {e}", seen[at]));
        content.hash(&mut hasher);
        for line in content.lines() {
            let Some(name) = line.trim().strip_prefix("#include \"") else { continue };
            let name = name.trim_end_matches('"').to_owned();
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        at += 1;
    }
    (PathBuf::from(format!("instance_{:016x}.cpp", hasher.finish())), text)
}

fn watch(folder: &Path) {
    for entry in fs::read_dir(folder).expect("kernels/ can be read").flatten() {
        let path = entry.path();
        if path.is_dir() {
            // Also for files that are added.
            println!("cargo:rerun-if-changed={}", path.display());
            watch(&path);
        } else if path.extension().is_some_and(|e| e == "cu" || e == "cuh" || e == "h" || e == "rs") {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
}
