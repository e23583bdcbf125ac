//! `shiftray check`: what a capture is, and what is wrong with it.

mod page;

use super::finetune::score::Score;
use super::guard::Inputs;
use super::reading::{self, Reading};
use super::{output, usage};
use clap::value_parser;
use gnt::engine::Engine;
use gnt::renderer::Renderer;
use scene::check::{Finding, Report, Severity, Subject, check};
use scene::{Format, Scene};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Say what a capture is and what is wrong with it.
///
/// Compares photographs with their poses, sharpness and exposure with their neighbours', and depth bounds with what is seen;
/// each finding comes with what to do. At the end some photographs are left out and rendered from the others: their PSNR tells
/// how good new views will be. Exits with 1 if something is wrong.
#[derive(Debug, clap::Args)]
#[command(override_usage = "shiftray check <SCENE> [OPTIONS]")]
pub struct Args {
    /// Scene: a folder, a zip file, or a name that is looked up in --scenes, SHIFTRAY_SCENES and scenes/
    #[arg(value_name = "SCENE")]
    place: Option<String>,
    /// The scene, in another way
    #[arg(long, value_name = "NAME|DIR", required_unless_present = "place")]
    scene: Option<String>,
    /// Folder of scenes; may be repeated
    #[arg(long, value_name = "DIR")]
    scenes: Vec<PathBuf>,
    /// Reduction of the photographs, as 8 or 1/8
    #[arg(long, visible_alias = "scale", value_parser = usage::parse_scale, value_name = "N|1/N")]
    factor: Option<u32>,
    #[command(flatten)]
    reading: Reading,
    /// Model that renders the left-out photographs: a built-in name or a file
    #[arg(long, default_value = gnt::builtin::NAMES[0], value_name = "NAME|FILE")]
    model: String,
    /// Leave out the rendering
    #[arg(long)]
    no_render: bool,
    /// Also write a page with the cameras in plan and elevation and the photographs concerned
    #[arg(short, long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of words
    #[arg(long)]
    json: bool,
    /// Threads
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024), value_name = "N")]
    threads: Option<u16>,
    /// Say nothing about progress
    #[arg(short, long)]
    quiet: bool,
}

/// Checks the scene and says what was found.
///
/// # Errors
/// If something is wrong with the capture, or a report cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let name = usage::one_scene("check", args.place.as_deref(), args.scene.as_deref())?;
    output::be_quiet(args.quiet);
    let threads = args.threads.map_or_else(compute::parallel::available, usize::from).max(1);
    let root = scene::locate(name, &args.scenes)?;
    let read = |format: Option<Format>| {
        let options = scene::LoadOptions { format, ..args.reading.options(args.factor) };
        scene::formats::load(&root, &options).and_then(|scene| scene.check_images(threads).map(|()| scene))
    };
    let scene = match read(args.reading.format) {
        Ok(scene) => scene,
        Err(problem) => return unreadable(&args, &root, &problem),
    };
    if let Some(out) = &args.out {
        Inputs::of(&scene).expect_unread_file("--out", out)?;
    }
    let report = check(&scene, threads)?;
    let score = if args.no_render { None } else { score(&args, &scene, threads)? };
    if let Some(out) = &args.out {
        let html = page::page(&scene, &report, score.as_ref());
        scene::write::write_bytes(out, html.as_bytes())?;
    }
    if args.json {
        output::line(&json_of(&scene, &report, score.as_ref()).to_string())?;
    } else {
        for line in words(&scene, &report, score.as_ref()) {
            output::line(&line)?;
        }
    }
    let wrong = report.findings.iter().filter(|finding| finding.severity == Severity::Wrong).count();
    if wrong > 0 {
        anyhow::bail!("{}: {wrong} of {} findings make frames wrong", scene.name, report.findings.len());
    }
    Ok(())
}

/// PSNR of some left-out photographs; none if the scene leaves none out.
fn score(args: &Args, scene: &Scene, threads: usize) -> anyhow::Result<Option<Score>> {
    if scene.held_out.is_empty() || scene.source_ids.is_empty() {
        return Ok(None);
    }
    let (model, params, _) = gnt::builtin::load(&args.model)?;
    let side = model.features.min_size() as u32;
    if scene.views.iter().any(|view| view.camera.width.min(view.camera.height) < side) {
        output::warn(&format!("the photographs are smaller than {side} pixels on a side: nothing is rendered"));
        return Ok(None);
    }
    output::say_once("rendering left-out photographs from the others");
    let engine = Engine::new(model, &params);
    let mut renderer = Renderer::new(engine, scene.clone());
    Score::of(&mut renderer, threads).map(Some)
}

/// Says what is wrong with a scene that cannot be read, as a finding.
fn unreadable(args: &Args, root: &Path, problem: &scene::Error) -> anyhow::Result<()> {
    let text = problem.to_string();
    let (subject, remedy) = match problem {
        scene::Error::Bounds { .. } => {
            (Subject::Bounds, "correct the bounds in the file, or give others with --bounds NEAR,FAR")
        }
        scene::Error::Photographs { .. } => (
            Subject::Files,
            "put the photographs back that the poses were found from, or find the poses anew (`shiftray poses`)",
        ),
        _ => (Subject::Files, "see above; --format names another layout, where the folder has several"),
    };
    if args.json {
        let finding =
            json!({"severity": "wrong", "subject": subject.name(), "problem": text, "remedy": remedy, "views": []});
        output::line(&json!({"scene": root.display().to_string(), "findings": [finding]}).to_string())?;
    } else {
        output::line(&format!("wrong: {text}\n  {remedy}"))?;
    }
    anyhow::bail!("{}: cannot be read as a scene", root.display())
}

/// The report in lines.
fn words(scene: &Scene, report: &Report, score: Option<&Score>) -> Vec<String> {
    let mut lines = vec![reading::describe(scene)];
    let [near, far] = report.bounds;
    lines.push(format!(
        "field of view {:.0} degrees, neighbours {:.3} apart, depths {near:.3} to {far:.3} (units of the scene's files)",
        report.field_of_view, report.baseline
    ));
    if let Some([nearest, farthest]) = report.depths {
        lines.push(format!("the photographs show places at depths {nearest:.3} to {farthest:.3}"));
    }
    lines.push(match report.agreement {
        Some(agreement) => format!(
            "poses compared with {} pairs of photographs: {:.0} % of what both show lies where the poses say",
            report.pairs,
            100.0 * agreement
        ),
        None => "poses could not be compared: neighbouring photographs share too few details".into(),
    });
    lines.extend(scene.warnings.iter().map(|warning| format!("note: {warning}")));
    for Finding { severity, problem, remedy, .. } in &report.findings {
        lines.push(format!("{}: {problem}\n  {remedy}", severity_name(*severity)));
    }
    if report.findings.is_empty() {
        lines.push("nothing is wrong".into());
    }
    if let Some(score) = score {
        let count = score.views.len();
        let photographs = if count == 1 { "photograph" } else { "photographs" };
        lines.push(format!("PSNR of {count} left-out {photographs} rendered from the others: {:.2} dB", score.psnr));
    }
    lines
}

/// The word for a severity.
fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Wrong => "wrong",
        Severity::Worse => "worse",
    }
}

fn json_of(scene: &Scene, report: &Report, score: Option<&Score>) -> Value {
    let finding = |finding: &Finding| {
        let views: Vec<&str> = finding.views.iter().map(|id| scene.views[*id].name.as_str()).collect();
        json!({
            "severity": severity_name(finding.severity), "subject": finding.subject.name(), "views": views,
            "problem": finding.problem, "remedy": finding.remedy,
        })
    };
    json!({
        "scene": scene.name,
        "format": scene.format.name(),
        "views": scene.views.len(),
        "size": [scene.size().0, scene.size().1],
        "field_of_view": report.field_of_view,
        "baseline": report.baseline,
        "bounds": report.bounds,
        "depths": report.depths,
        "pairs": report.pairs,
        "agreement": report.agreement,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "psnr": score.map(|score| score.psnr),
        "warnings": scene.warnings,
    })
}
