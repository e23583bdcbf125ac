use super::*;
use crate::report::testing;

#[test]
fn tables_are_aligned() {
    let metrics = testing::metrics();
    let text = words(&metrics);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("PSNR dB    SSIM    FLIP  median s  p95 s   rays/s"), "{text}");
    assert_eq!(lines[1], "fern, 1 image");
    assert!(
        lines[2].starts_with("  gnt-dense ") && lines[2].ends_with("27.00  0.8500  0.1100      2.00   2.40   95,256")
    );
    assert!(text.contains("Mean over scenes\n") && text.contains("Mean over images\n"));
    assert!(text.contains("LPIPS: no weights given.\nMeasured energy: not available: no RAPL <counter>\n"), "{text}");
    // All lines of figures end in one column.
    let widths: Vec<usize> = lines.iter().filter(|l| l.starts_with(' ')).map(|l| l.chars().count()).collect();
    assert_eq!(widths.len(), 11);
    assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
    // The last case was not timed.
    assert!(lines[9].starts_with("  gnt-<b>") && lines[9].ends_with('–'), "{text}");
}

#[test]
fn lines_have_at_most_120_characters() {
    let mut metrics = testing::few_views();
    let long = "ein sehr langer Name, größer als alles\n\u{1b}[31m".repeat(5);
    for case in &mut metrics.cases {
        case.key.scene = long.clone();
        case.key.model = long.clone();
        case.mean = crate::report::data::Scores { psnr: -1e15, ssim: -1e15, lpips: Some(1e300), flip: f64::NAN };
        case.images[0].scores = case.mean;
    }
    metrics.latencies[0].meter = long.clone();
    metrics.latencies[0].joules = None;
    metrics.summaries = crate::report::summary::summaries(&metrics.cases);
    for metrics in [testing::metrics(), testing::few_views()] {
        for line in words(&metrics).lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }
    let text = words(&metrics);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("LPIPS"), "{text}");
}

#[test]
fn without_images() {
    assert_eq!(words(&testing::empty()), "No images were evaluated.\n");
    assert_eq!(markdown(&testing::empty()), "");
}

#[test]
fn markdown_has_scenes_as_columns() {
    let metrics = testing::metrics();
    let text = markdown(&metrics);
    let expected = "\
**PSNR** (dB), higher is better; held-out, 10 source views

| model | fern | flower | horns \\& \\<script\\>alert\\('x'\\)\\</script\\> | mean |
|---|---:|---:|---:|---:|
| gnt-dense | **27.00** | **28.15** | **29.30** | **28.15** |
| gnt-\\<b\\>shift\\&add\\</b\\> \"x\" | 26.60 | 27.75 | 28.90 | 27.75 |
";
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.contains("\n**SSIM**, higher") && text.contains("\n**FLIP**, lower") && !text.contains("LPIPS"),
        "{text}"
    );
}

#[test]
fn markdown_keeps_settings_apart() {
    let mut metrics = testing::few_views();
    // A model that lacks a scene.
    metrics.cases.retain(|case| (case.key.scene.as_str(), case.key.model.as_str()) != ("fern", testing::MIXED));
    metrics.models[0].name = "a|b".into();
    for case in metrics.cases.iter_mut().filter(|case| case.key.model == testing::DENSE) {
        case.key.model = "a|b".into();
    }
    metrics.summaries = crate::report::summary::summaries(&metrics.cases);
    let text = markdown(&metrics);
    assert_eq!(text.matches("**PSNR** (dB)").count(), 6, "three numbers of views, two splits");
    assert!(text.contains("| a\\|b | 22.50 | **23.65** | 23.07 |"), "{text}");
    assert!(text.contains("\"x\" | – | 23.25 | 23.25 |"), "means over other scenes are not compared: {text}");
}
