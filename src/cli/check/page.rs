//! The page of a check: what was found, the cameras in plan and elevation, and the photographs concerned.

use super::severity_name;
use crate::cli::finetune::score::Score;
use crate::cli::reading;
use scene::check::Report;
use scene::{Image, Scene};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Most photographs that are shown, and their width in pixels.
const SHOWN: usize = 12;
const WIDTH: u32 = 320;
/// Side of a drawing in pixels.
const SIDE: f32 = 420.0;

/// The page, which needs no other file: photographs are in it.
pub fn page(scene: &Scene, report: &Report, score: Option<&Score>) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title><style>body{{font:16px \
         sans-serif;margin:2em;max-width:60em}}figure{{display:inline-block;margin:0 1em 1em \
         0}}.wrong{{color:#a00}}.worse{{color:#850}}svg{{border:1px solid #ccc}}</style></head><body>\n<h1>{0}</h1>\n",
        escaped(&reading::describe(scene))
    );
    for line in super::words(scene, report, score)
        .iter()
        .skip(1)
        .filter(|l| !l.starts_with("wrong:") && !l.starts_with("worse:"))
    {
        let _ = writeln!(html, "<p>{}</p>", escaped(line));
    }
    for finding in &report.findings {
        let class = severity_name(finding.severity);
        let (problem, remedy) = (escaped(&finding.problem), escaped(&finding.remedy));
        let _ = writeln!(html, "<p class=\"{class}\"><b>{class}:</b> {problem}<br>{remedy}</p>");
    }
    let marked: BTreeSet<usize> = report.findings.iter().flat_map(|finding| finding.views.iter().copied()).collect();
    for (title, axes) in [("From above (x and z)", [0, 2]), ("From the side (z and y)", [2, 1])] {
        let _ = writeln!(html, "<figure>{}<figcaption>{title}</figcaption></figure>", drawing(scene, axes, &marked));
    }
    for id in marked.into_iter().take(SHOWN) {
        let view = &scene.views[id];
        // A picture that went away meanwhile is left out.
        if let Some(uri) = view.load_image().ok().and_then(|image| picture(&image)) {
            let name = escaped(&view.name);
            let _ =
                writeln!(html, "<figure><img alt=\"{name}\" src=\"{uri}\"><figcaption>{name}</figcaption></figure>");
        }
    }
    html + "</body></html>\n"
}

/// Cameras along two axes of the scene: a dot each, and a line the way that it looks; those of findings are red.
fn drawing(scene: &Scene, axes: [usize; 2], marked: &BTreeSet<usize>) -> String {
    let places: Vec<[f32; 2]> = scene.views.iter().map(|v| axes.map(|axis| v.camera.origin()[axis])).collect();
    let range = |i: usize| {
        let fold = |start: f32, f: fn(f32, f32) -> f32| places.iter().map(|p| p[i]).fold(start, f);
        (fold(f32::INFINITY, f32::min), fold(f32::NEG_INFINITY, f32::max))
    };
    let ranges = [range(0), range(1)];
    let size = ranges.iter().map(|(low, high)| high - low).fold(1e-6, f32::max);
    let at = |place: [f32; 2]| {
        [0, 1].map(|i| (place[i] - 0.5 * (ranges[i].0 + ranges[i].1)) / size * 0.75 * SIDE + 0.5 * SIDE)
    };
    let mut svg = format!("<svg width=\"{SIDE}\" height=\"{SIDE}\">");
    for (id, view) in scene.views.iter().enumerate() {
        let [x, y] = at(places[id]);
        let forward = view.camera.forward();
        let [dx, dy] = axes.map(|axis| forward[axis] * 22.0);
        let colour = if marked.contains(&id) { "#c00" } else { "#357" };
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/><circle cx=\"{x:.1}\" cy=\"{y:.1}\" \
             r=\"3\" fill=\"{colour}\"><title>{}</title></circle>",
            x + dx,
            y + dy,
            escaped(&view.name)
        );
    }
    svg + "</svg>"
}

/// A picture as the text of a small JPEG.
fn picture(image: &Image) -> Option<String> {
    let width = WIDTH.min(image.width);
    let height = (u64::from(image.height) * u64::from(width) / u64::from(image.width.max(1))).max(1) as u32;
    let small = scene::resample::area_downscale(image, width, height).ok()?;
    let bytes = scene::write::encode(&small, scene::write::PictureFormat::Jpeg { quality: 85 }).ok()?;
    Some(format!("data:image/jpeg;base64,{}", base64(&bytes)))
}

/// Bytes in base 64 (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * i) & 63) as usize] as char;
            out.push(if i <= chunk.len() { letter } else { '=' });
        }
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_by_hand() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
