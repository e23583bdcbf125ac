use super::*;
use std::collections::BTreeSet;

#[test]
fn kernel_files_are_embedded() {
    assert!(FILES.is_sorted(), "FILES is not sorted");
    for name in ["common/mma.cuh", "render/render.cu", "render/view_attention/hamming.cuh"] {
        assert!(FILES.iter().any(|(path, text)| *path == name && text.len() > 100), "{name}");
    }
    assert!(FILES.iter().all(|(path, _)| !path.starts_with("host/")), "the emulation is no kernel");
}

#[test]
fn every_kernel_file_is_compiled() {
    let listed: BTreeSet<&str> = listed().iter().map(|l| l.source.file).collect();
    let files: BTreeSet<&str> = FILES.iter().map(|(path, _)| *path).filter(|path| path.ends_with(".cu")).collect();
    let missing: Vec<_> = files.difference(&listed).collect();
    assert!(missing.is_empty(), "named by no line of kernels/prebuilt.txt, so nothing compiles them: {missing:?}");
    let unknown: Vec<_> = listed.difference(&files).collect();
    assert!(unknown.is_empty(), "kernels/prebuilt.txt names files that are not there: {unknown:?}");
}

#[test]
fn the_list_is_parsed() {
    let text = "# comment\n\na/b.cu\nc.cu WIDTH=64 SIGN=-1 | registers=168 | spill<=32 | not carried # why\n";
    let [first, second] = parse(text).unwrap().try_into().unwrap();
    assert_eq!(first, Listed { source: KernelSource::plain("a/b.cu"), spill: 0, carried: true });
    let defines = vec![("WIDTH", 64), ("SIGN", -1)];
    assert_eq!(
        second,
        Listed { source: KernelSource { file: "c.cu", defines, registers: Some(168) }, spill: 32, carried: false }
    );
    assert_eq!(second.source.label(), "c.cu WIDTH=64 SIGN=-1");
    for (text, problem) in [
        ("a.cu WIDTH", "line 1: expected NAME=NUMBER, found \"WIDTH\""),
        ("\na.cu WIDTH=x", "line 2: expected NAME=NUMBER, found \"WIDTH=x\""),
        ("a.cu | spill=3", "line 1: expected registers=N, spill<=N or \"not carried\", found \"spill=3\""),
        ("a.cu | registers=many", "line 1: expected a number, found \"registers=many\""),
        ("a.cu\na.cu | spill<=3", "line 2: a.cu is there twice"),
        ("| spill<=3", "line 1: no file"),
    ] {
        assert_eq!(parse(text).unwrap_err(), problem);
    }
}

#[test]
fn includes_are_written_once_with_their_lines() {
    let files = [
        ("a.cu", "// a\n#include \"b.cuh\"\n  #include \"c.cuh\" // again\nint a;"),
        ("b.cuh", "#pragma once\n#include \"c.cuh\"\nint b;\n"),
        ("c.cuh", "#pragma once\nint c;\n"),
    ];
    let expected = "#line 1 \"a.cu\"\n// a\n\
        #line 1 \"b.cuh\"\n\n\
        #line 1 \"c.cuh\"\n\nint c;\n\
        #line 3 \"b.cuh\"\nint b;\n\
        #line 3 \"a.cu\"\n\
        #line 4 \"a.cu\"\nint a;\n";
    assert_eq!(flatten_from(&files, "a.cu").unwrap(), expected);
}

#[test]
fn what_cannot_be_included_is_named() {
    let files = [("a.cu", "\n#include \"b.cuh\""), ("b.cuh", "#include \"d.cuh\""), ("e.cu", "#include <cstdint>")];
    let problem = |file| flatten_from(&files, file).unwrap_err().to_string();
    assert_eq!(problem("a.cu"), "kernels a.cu: a.cu:2: b.cuh:1: there is no d.cuh among the embedded sources");
    assert_eq!(problem("e.cu"), "kernels e.cu: e.cu:1: only files of kernels/ can be included");
    assert_eq!(problem("f.cu"), "kernels f.cu: there is no f.cu among the embedded sources");
}
