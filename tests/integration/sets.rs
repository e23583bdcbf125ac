//! The program with each instruction set that `SHIFTRAY_SIMD` names.
//!
//! Tests of kernels go through all sets that the processor has. Which these are shows here: a test for each set, ignored
//! unless it is asked for, since whether the processor has the set is not known when tests are compiled. `.ci/run` asks for
//! those of the processor that it runs on. On another machine: `cargo test --test integration -- --ignored needs_avx2`.

use crate::support::Place;

/// Renders by both built-in models with the set and with none, and compares the pictures.
fn renders_with(set: &str) {
    let place = Place::with_scene(5);
    for model in ["gnt-shiftadd", "gnt-dense"] {
        // The same numbers everywhere: 8-bit products would round by set.
        let line = format!(
            "render tiny --model {model} --path test --samples 9 --views 3 --precision f32 --device cpu --json"
        );
        let render = |set: &str| {
            let command = &mut place.command(&format!("{line} --out {model}-{set}"));
            let output = command.env("SHIFTRAY_SIMD", set).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && !errors.contains("is ignored"), "{set}: {errors}");
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(report["cpu_level"], set);
            crate::support::pixels(&place.path(&format!("{model}-{set}/000.png"))).data
        };
        let difference = scene::image::mean_squared_error(&render(set), &render("portable"));
        let psnr = scene::image::psnr(difference, 1e-12);
        assert!(psnr > 50.0, "{model}: {psnr} dB between {set} and portable");
    }
}

#[test]
#[ignore = "needs AVX2, FMA and POPCNT"]
fn needs_avx2() {
    renders_with("avx2");
}

#[test]
#[ignore = "needs AVX-VNNI"]
fn needs_avx_vnni() {
    renders_with("avx2+vnni");
}

#[test]
#[ignore = "needs AVX-512 F, BW, DQ and VL"]
fn needs_avx512() {
    renders_with("avx512");
}

#[test]
#[ignore = "needs AVX-512 VNNI"]
fn needs_vnni() {
    renders_with("avx512+vnni");
}

#[test]
#[ignore = "needs AVX-512 BITALG"]
fn needs_bitalg() {
    renders_with("avx512+bitalg");
}
