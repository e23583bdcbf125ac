use super::*;
use crate::cuda::nvrtc::{Nvrtc, tests::cache};
use crate::cuda::sources::{Listed, listed, small};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The version whose PTX any driver from 530 on takes.
const COMPILER: &str = "V12.1.105";
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kernels/prebuilt.zip");
const HOW_TO_UPDATE: &str = "make kernels/prebuilt.zip anew, see src/compute/cuda/prebuilt.rs";

/// What the archive holds.
fn carried() -> impl Iterator<Item = &'static Listed> {
    listed().iter().filter(|l| l.carried)
}

/// Members of the archive as they are made from the sources here.
fn make(nvrtc: &Nvrtc) -> BTreeMap<String, Vec<u8>> {
    let mut manifest = Manifest { compiler: COMPILER.into(), ..Manifest::default() };
    let mut members = BTreeMap::new();
    for entry in carried() {
        let label = entry.source.label();
        let code = nvrtc.compile_cached(&without_registers(&entry.source), TARGET, &cache()).unwrap();
        let text = std::str::from_utf8(&code).unwrap();
        let found = text.lines().find(|line| line.contains("Cuda compilation tools"));
        assert!(found.is_some_and(|line| line.ends_with(COMPILER)), "expected {COMPILER}, found {found:?}");
        manifest.kernels.insert(label.clone(), Made::from(&entry.source).unwrap());
        members.insert(label, without_counters(text).into_bytes());
    }
    members.insert(MANIFEST.into(), serde_json::to_vec_pretty(&manifest).unwrap());
    members
}

/// PTX without the numbers of calls in its comments: the compiler counts them from the start of the process.
fn without_counters(ptx: &str) -> String {
    let lines = ptx.split('\n').map(|line| line.split_once(" // callseq").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn counters_are_left_out() {
    let ptx = "call:\n\t{ // callseq 24, 0\n\tret;\n\t} // callseq 24\n\0";
    assert_eq!(without_counters(ptx), "call:\n\t{\n\tret;\n\t}\n\0");
}

/// The same bytes for the same members.
fn pack(members: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        archive.start_file(name.as_str(), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn prebuilt_code_is_of_the_present_sources() {
    if std::env::var_os("UPDATE_PREBUILT").is_some() {
        return; // The other test is about to write the archive.
    }
    let manifest: Manifest = serde_json::from_slice(&member(ARCHIVE, MANIFEST).unwrap()).unwrap();
    let made: BTreeMap<String, Made> = carried().map(|l| (l.source.label(), Made::from(&l.source).unwrap())).collect();
    let labels = |kernels: &BTreeMap<String, Made>| kernels.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(labels(&manifest.kernels), labels(&made), "{HOW_TO_UPDATE}");
    let stale: Vec<&String> = made.keys().filter(|label| made[*label] != manifest.kernels[*label]).collect();
    assert!(stale.is_empty(), "changed since kernels/prebuilt.zip was made: {stale:?}: {HOW_TO_UPDATE}");
    assert_eq!(manifest.compiler, COMPILER);
    for entry in carried() {
        let text = String::from_utf8(ptx(&entry.source).unwrap()).unwrap();
        assert!(text.contains(".version 8.1") && text.contains(".target sm_80"), "{}", entry.source.label());
    }
}

#[test]
fn prebuilt_code_is_only_for_listed_sizes() {
    let missing = KernelSource { defines: vec![("NOT_LISTED", 1)], ..small().clone() };
    assert!(ptx(&missing).unwrap_err().starts_with("no prebuilt code for these sizes"));
    let limited = KernelSource { registers: Some(77), ..small().clone() };
    assert_eq!(Made::from(&limited).unwrap(), Made::from(small()).unwrap());
}

#[test]
fn prebuilt_archives_are_the_same_each_time() {
    let members = BTreeMap::from([("b.cu A=1".to_owned(), vec![7; 999]), ("a.cu".to_owned(), b"text".to_vec())]);
    let archive = pack(&members);
    assert_eq!(archive, pack(&members));
    for (name, bytes) in &members {
        assert_eq!(member(&archive, name).unwrap(), *bytes);
    }
    assert!(member(&archive, "c.cu").unwrap_err().starts_with("kernels/prebuilt.zip: \"c.cu\": "));
    assert!(member(&archive[..50], "a.cu").is_err());
}

mod needs_nvrtc {
    use super::*;

    #[test]
    #[ignore = "needs SHIFTRAY_NVRTC_PREBUILT"]
    fn prebuilt_code_is_made_from_the_sources_beside_it() {
        let path = std::env::var_os("SHIFTRAY_NVRTC_PREBUILT").filter(|path| !path.is_empty());
        let path =
            path.unwrap_or_else(|| panic!("SHIFTRAY_NVRTC_PREBUILT does not name the libnvrtc.so.12 of {COMPILER}"));
        let members = make(&Nvrtc::load(Path::new(&path)).unwrap());
        if std::env::var_os("UPDATE_PREBUILT").is_some() {
            std::fs::write(PATH, pack(&members)).unwrap();
        }
        let archive = std::fs::read(PATH).unwrap();
        for (label, expected) in &members {
            let found = member(&archive, label).unwrap_or_else(|problem| panic!("{problem}: {HOW_TO_UPDATE}"));
            assert!(found == *expected, "{label}: prebuilt is not what the compiler makes: {HOW_TO_UPDATE}");
        }
        assert_eq!(ZipArchive::new(Cursor::new(&archive[..])).unwrap().len(), members.len(), "{HOW_TO_UPDATE}");
    }
}
