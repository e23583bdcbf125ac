use super::*;
use crate::report::sheet::{PanelInputs, panels};
use crate::report::testing;
use crate::testing::image;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A sheet for every image of every case, routing for the models that have experts.
fn sheets(metrics: &Metrics) -> Vec<Sheet> {
    let mut sheets = Vec::new();
    for (i, case) in metrics.cases.iter().enumerate() {
        for (j, result) in case.images.iter().enumerate() {
            let ours = image(33, 31, |x, y, c| ((x * (i as u32 + 1) + y + c) % 32) as f32 / 31.0);
            let truth = image(33, 31, |x, y, c| ((x + y * (j as u32 + 1) + 5 * c) % 32) as f32 / 31.0);
            let shares: Vec<f32> = (0..33 * 31).map(|p| p as f32 / 1023.0).collect();
            let depth = vec![2.0; 33 * 31];
            let routing = (!case.routed.is_empty()).then_some(&shares[..]);
            let depth_range = case.depth_range;
            let rendered = PanelInputs { image: &ours, truth: &truth, depth: &depth, depth_range, routing, mask: None };
            sheets.push(
                Sheet::new(case.key.clone(), result.name.clone(), &panels(&rendered).unwrap(), depth_range).unwrap(),
            );
        }
    }
    sheets
}

/// Tags of HTML are closed in order; those that have no content are not closed.
fn check_balance(page: &str) {
    const VOID: [&str; 5] = ["meta", "link", "img", "input", "!DOCTYPE"];
    let (mut open, mut rest): (Vec<&str>, &str) = (Vec::new(), page);
    while let Some((before, after)) = rest.split_once('<') {
        assert!(!before.contains('>') || matches!(open.last(), Some(&("script" | "style"))), "bare > in {before:?}");
        let (tag, after) = after.split_once('>').unwrap();
        rest = after;
        let name = tag.split([' ', '/', '\n']).find(|part| !part.is_empty()).unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> after {before:?}");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
            if ["script", "style"].contains(&name) {
                let (_, after) = rest.split_once(&format!("</{name}>")).unwrap();
                rest = after;
                open.pop();
            }
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn the_page_is_whole_and_loads_nothing() {
    let metrics = testing::metrics();
    let sheets = sheets(&metrics);
    let page = page(&metrics, &sheets);
    check_balance(&page);
    for reference in ["http:", "https:", "//cdn", "@import", "url(", "src=\"/", "file:"] {
        assert!(!page.contains(reference), "{reference}");
    }
    for (id, _) in SECTIONS {
        assert_eq!(page.matches(&format!("<section id=\"{id}\">")).count(), 1, "{id}");
        assert!(page.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    let ids: Vec<&str> = page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(super::super::figures::distinct(&ids).len(), ids.len(), "addresses are unique: {ids:?}");
    assert_eq!(page.matches("<svg").count(), 6);
    // What a reader looks for, as printed.
    for text in [
        "no weights given",
        "not available: no RAPL &lt;counter&gt;",
        "Only matrix products and convolutions cost anything.",
        "RAPL package",
        "AVX2",
        "2,900 MHz",
        "504 × 378",
        "1,234,567 weights",
        "shiftray-metrics/1",
        "<th scope=\"col\">Look-ups</th>",
        "3.81 MiB",
        &"5d".repeat(32),
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn every_picture_is_embedded_and_truth_once() {
    let metrics = testing::metrics();
    let sheets = sheets(&metrics);
    let page = page(&metrics, &sheets);
    let times = |jpeg: &[u8]| page.matches(&STANDARD.encode(jpeg)).count();
    for sheet in &sheets {
        // Pictures that look alike in two sheets are embedded in both.
        let alike = |get: fn(&Sheet) -> &Vec<u8>| sheets.iter().filter(|s| get(s) == get(sheet)).count();
        assert_eq!(times(&sheet.ours), alike(|s| &s.ours));
        assert_eq!(times(&sheet.error), alike(|s| &s.error));
        assert_eq!(times(&sheet.depth), alike(|s| &s.depth));
        assert!(sheet.routing.as_ref().is_none_or(|routing| times(routing) > 0));
    }
    // Six photographs, two models.
    assert_eq!(page.matches("<figure data-kind=\"truth\"").count(), 6);
    for (kind, number) in [("ours", 12), ("error", 12), ("depth", 12), ("routing", 6)] {
        assert_eq!(page.matches(&format!("<figure data-kind=\"{kind}\"")).count(), number, "{kind}");
    }
    assert_eq!(page.matches("src=\"data:image/jpeg;base64,").count(), 48);
    assert!(page.contains("PSNR 27.00 dB · SSIM 0.8500 · FLIP 0.1100"), "scores stand beside the pictures");
}

#[test]
fn names_are_escaped_everywhere() {
    let metrics = testing::metrics();
    let page = page(&metrics, &sheets(&metrics));
    for bare in ["<b>shift", "<script>alert", "\"x\"\"", "</script><b>", "'gnt <dense>'", "is < half"] {
        assert!(!page.contains(bare), "{bare}");
    }
    assert_eq!(page.matches("<script>").count(), 1);
    assert!(page.contains("horns &amp; &lt;script&gt;alert('x')&lt;/script&gt;"));
    assert!(page.contains("gnt-&lt;b&gt;shift&amp;add&lt;/b&gt; &quot;x&quot;"));
    assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"));
}

#[test]
fn the_best_are_marked_in_the_headline() {
    let metrics = testing::metrics();
    let table = tables::headline(&metrics).into_string();
    // Means over scenes 27, 28.15 and 29.3 dB.
    assert!(table.contains("<td class=\"best\">28.15</td>"), "{table}");
    assert!(table.contains("mean over 3 scenes") && table.contains("mean over 6 images"));
    let one = testing::build(&["fern"], &[testing::DENSE], &[10], "held-out");
    assert!(!tables::headline(&one).into_string().contains("<td class=\"best\""));
}

#[test]
fn degenerate_metrics_make_a_page() {
    let mut gaps = testing::metrics();
    gaps.latencies.clear();
    gaps.runs.clear();
    gaps.definitions.energy.clear();
    let mut odd = testing::few_views();
    odd.shard = Some(crate::report::data::Shard { index: 2, count: 3 });
    for case in &mut odd.cases {
        case.mean.psnr = f64::NAN;
        case.modelled.joules = f64::INFINITY;
        case.images.push(case.images[0].clone());
    }
    odd.cases[0].images.clear();
    for metrics in [testing::empty(), gaps, odd, testing::build(&["x"], &["y"], &[1], "val")] {
        let page = page(&metrics, &[]);
        check_balance(&page);
        assert!(!page.contains("NaN") && !page.contains(">inf"), "figures are numbers or dashes");
        assert!(page.contains("The page was made without pictures."));
    }
}

#[test]
fn photographs_that_differ_are_kept_apart() {
    let metrics = testing::metrics();
    let mut sheets = sheets(&metrics);
    sheets.retain(|sheet| sheet.key.scene == "fern");
    sheets[1].truth = sheets[1].ours.clone();
    // A sheet of a case that the metrics do not have.
    sheets.push(Sheet {
        key: crate::report::data::CaseKey { model: "other".into(), ..sheets[0].key.clone() },
        ..sheets[0].clone()
    });
    let page = page(&metrics, &sheets);
    assert_eq!(page.matches("<figure data-kind=\"truth\"").count(), 2);
    assert_eq!(page.matches("<figure data-kind=\"ours\"").count(), 3);
}
