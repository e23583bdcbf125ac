//! Lists the files of `kernels/`, which `sources.rs` embeds in the program.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let kernels = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../../kernels");
    let kernels = kernels.canonicalize().expect("kernels/ is in the repository");
    let mut files = Vec::new();
    // Those in `host` are the emulation's.
    for folder in ["common", "features", "images", "render", "training"] {
        collect(&kernels.join(folder), &mut files);
    }
    let name = |file: &PathBuf| {
        let name = file.strip_prefix(&kernels).expect("found below it").to_str().expect("names in ASCII");
        name.replace('\\', "/")
    };
    files.sort_by_key(name);
    let mut text = "&[\n".to_owned();
    for file in files {
        writeln!(text, "    ({:?}, include_str!({file:?})),", name(&file)).expect("a string grows");
    }
    text += "]\n";
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("kernel_files.rs"), text).expect("OUT_DIR can be written");
}

/// Files below a folder, and the folder itself as what the list hangs on.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("a folder of kernels/ can be read").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|kind| kind == "cu" || kind == "cuh") {
            files.push(path);
        }
    }
}
