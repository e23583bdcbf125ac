//! `shiftray info`: what this build and a model hold.

mod classifier;
mod counts;
mod energy;

use super::{output, shares};
use anyhow::{Context, bail};
use classifier::Classifier;
use counts::Counts;
use gnt::checkpoint::annotate;
use gnt::shift_shares::{self, ShiftShares, has_experts};
use gnt::{Config, Model};
use serde::Serialize;
use std::path::PathBuf;

/// Say what this program can use, and what a model holds.
///
/// Operations are those for one ray at the model's default numbers of samples and source views, and bytes those of the
/// matrices: of the dense network of these sizes as it is trained (plain) and after folding (before), and of the model
/// itself, where it has Hamming attention, shifts or experts (after). Rows of experts are counted as routers send them when
/// pictures are rendered; where the file does not say how they do, for both ends: all rows multiplied, and all shifted.
/// Those of a classifier are counted for one image.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A built-in model or a model file; a classifier or a checkpoint of timm's too
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    /// Render held-out views of these scenes small, and count where the model's routers send the rows
    #[arg(long, value_name = "SCENE", num_args = 1.., requires = "model")]
    measure_shares: Vec<String>,
    /// Folder of scenes; may be repeated
    #[arg(long, value_name = "DIR", requires = "measure_shares")]
    scenes: Vec<PathBuf>,
    /// Write the model's file here, with what was measured in it
    #[arg(short, long, value_name = "FILE", requires = "measure_shares")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Info {
    version: &'static str,
    cpu_level: &'static str,
    threads: usize,
    /// Driver, GPUs and compiler, or what is missing.
    cuda: Vec<String>,
    models: &'static [&'static str],
    classifiers: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<AnyModel>,
}

/// A model that renders, or a classifier.
#[derive(Serialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "one a run")]
enum AnyModel {
    Renderer(ModelInfo),
    Classifier(Classifier),
}

#[derive(Serialize)]
struct ModelInfo {
    name: String,
    config: Config,
    /// Numbers by the part of the network that they belong to.
    parameters: Parameters,
    /// Bytes of the parameters as the program holds them, 32 bits each.
    bytes: usize,
    operations: Counts,
    energy: energy::Report,
}

#[derive(Serialize)]
struct Parameters {
    transformer: usize,
    features: usize,
    total: usize,
}

/// Prints what is asked for.
///
/// # Errors
/// If the model is unknown or damaged, or scenes to measure with cannot be used.
pub fn run(args: Args) -> anyhow::Result<()> {
    let model = args.model.as_deref().map(|name| look_into(name, &args)).transpose()?;
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        cpu_level: compute::isa().name(),
        threads: compute::parallel::available(),
        cuda: compute::cuda::real::describe().lines().map(str::to_owned).collect(),
        models: gnt::builtin::NAMES,
        classifiers: vit::builtin::NAMES,
        model,
    };
    let text = if args.json { serde_json::to_string(&info)? } else { words(&info) };
    output::line(&text)
}

/// Reads a model and, if that is asked for, measures how it routes.
fn look_into(name: &str, args: &Args) -> anyhow::Result<AnyModel> {
    if let Some((checkpoint, _)) = super::classifiers::named(name)? {
        if !args.measure_shares.is_empty() {
            bail!(
                "--measure-shares: expected a model that renders, found the classifier {name}; classify --eval counts its rows"
            );
        }
        return Ok(AnyModel::Classifier(Classifier::new(name, &checkpoint)?));
    }
    let checkpoint = gnt::builtin::checkpoint(name)?;
    let model = Model::new(checkpoint.config)?;
    let mut shares = ShiftShares::of(&checkpoint)?;
    // Nothing is said of a model that cannot be run.
    let params = checkpoint.into_params(&model.layout)?;
    if !args.measure_shares.is_empty() {
        if !has_experts(&model.config) {
            bail!("--measure-shares: expected a model with experts, found none in {name}");
        }
        if let Some(out) = &args.out {
            scene::file::check_replaceable(out).context("--out")?;
        }
        let scenes = args.measure_shares.iter().map(|scene| shares::scene(scene, &args.scenes));
        let scenes = scenes.collect::<anyhow::Result<Vec<_>>>()?;
        let measured = shares::measure(&model, &params, &scenes, compute::parallel::available())?;
        if let Some(out) = &args.out {
            let text = shift_shares::text(&measured);
            let file = annotate::with_metadata(name, &gnt::builtin::file(name)?, shift_shares::RENDERED, &text)?;
            scene::write::write_bytes(out, &file).context("--out")?;
            output::note(&format!("model with its shares in {}", out.display()));
        }
        shares = ShiftShares::Rendered(measured);
    }
    Ok(AnyModel::Renderer(describe(&model, name.to_owned(), &shares)?))
}

fn describe(model: &Model, name: String, shares: &ShiftShares) -> anyhow::Result<ModelInfo> {
    let is_feature = |e: &&layers::params::Entry| e.name.starts_with("feature_net.");
    let features = model.layout.entries().iter().filter(is_feature).map(|e| e.slot.len).sum();
    let total = model.layout.len();
    let lists = counts::Lists::of(&model.config, shares);
    Ok(ModelInfo {
        name,
        config: model.config,
        parameters: Parameters { transformer: total - features, features, total },
        bytes: total * size_of::<f32>(),
        operations: Counts::new(&model.config, shares, &lists),
        energy: energy::Report::new(&lists, energy::IMAGE, energy::RAYS)?,
    })
}

fn words(info: &Info) -> String {
    let models = if info.models.is_empty() { "none built in".to_owned() } else { info.models.join(", ") };
    let mut lines = vec![
        format!("shiftray    {}", info.version),
        format!("processor   {} threads, {}", info.threads, info.cpu_level),
        format!("models      {models}"),
        format!("classifiers {}", info.classifiers.join(", ")),
    ];
    lines.extend(info.cuda.iter().map(|line| format!("CUDA        {line}")));
    if let Some(model) = &info.model {
        lines.push(String::new());
        match model {
            AnyModel::Renderer(model) => model.words(&mut lines),
            AnyModel::Classifier(model) => model.words(&mut lines),
        }
    }
    lines.join("\n")
}

impl ModelInfo {
    fn words(&self, lines: &mut Vec<String>) {
        let Config { width, depth, heads, mlp_ratio, attention_hidden, .. } = self.config;
        let Config { start, position, head, features, .. } = self.config;
        let Parameters { transformer, features: in_features, total } = self.parameters;
        let Config { view_attention, ray_attention, linears, mlp, .. } = self.config;
        let hidden = width * mlp_ratio;
        lines.extend([
            format!("model       {}", self.name),
            format!("network     width {width}, depth {depth}, {heads} heads, feed-forward {hidden}"),
            format!("            attention hidden {attention_hidden}, start {start:?}, {position:?}, head {head:?}"),
            format!(
                "            {view_attention:?} views, {ray_attention:?} ray, {linears:?} linears, {mlp:?} feed-forward"
            ),
            format!(
                "features    stem {}, stages {:?} of {:?} blocks, {} channels",
                features.stem_width, features.widths, features.blocks, features.channels
            ),
            format!("parameters  {total}: {transformer} transformer, {in_features} features; {} bytes", self.bytes),
        ]);
        self.operations.words(lines);
        lines.push(String::new());
        self.energy.words(self.operations.is_dense(), energy::WHOLE, lines);
    }
}
