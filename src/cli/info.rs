//! `shiftray info`: what this build and a model hold.

mod cost;

use cost::Cost;
use gnt::{Config, Model};
use serde::Serialize;

/// Say what this program can use, and what a model holds.
///
/// Operations are multiply-accumulates for one ray at the model's default numbers of samples and source views: those
/// that the network takes as it was trained, and those that are left after folding.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A built-in model or a model file
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Info {
    version: &'static str,
    cpu_level: &'static str,
    threads: usize,
    models: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelInfo>,
}

#[derive(Serialize)]
struct ModelInfo {
    name: String,
    config: Config,
    /// Numbers by the part of the network that they belong to.
    parameters: Parameters,
    /// Bytes of the parameters as the program holds them, 32 bits each.
    bytes: usize,
    operations: Operations,
}

#[derive(Serialize)]
struct Parameters {
    transformer: usize,
    features: usize,
    total: usize,
}

/// Multiply-accumulates a ray.
#[derive(Serialize)]
struct Operations {
    samples: usize,
    views: usize,
    plain: Cost,
    plain_total: u64,
    folded: Cost,
    folded_total: u64,
}

/// Prints what is asked for.
///
/// # Errors
/// If the model is unknown or damaged.
pub fn run(args: Args) -> anyhow::Result<()> {
    let model = args.model.as_deref().map(|name| {
        let (model, _, name) = gnt::builtin::load(name)?;
        anyhow::Ok(describe(&model, name))
    });
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        cpu_level: tensor::level().name(),
        threads: tensor::parallel::available(),
        models: gnt::builtin::NAMES,
        model: model.transpose()?,
    };
    let text = if args.json { serde_json::to_string(&info)? } else { words(&info) };
    super::output::line(&text)
}

fn describe(model: &Model, name: String) -> ModelInfo {
    let Config { samples, views, .. } = model.config;
    let is_feature = |e: &&layers::params::Entry| e.name.starts_with("feature_net.");
    let features = model.layout.entries().iter().filter(is_feature).map(|e| e.slot.len).sum();
    let total = model.layout.len();
    let (plain, folded) = (Cost::plain(&model.config, samples, views), Cost::folded(&model.config, samples, views));
    ModelInfo {
        name,
        config: model.config,
        parameters: Parameters { transformer: total - features, features, total },
        bytes: total * size_of::<f32>(),
        operations: Operations {
            samples,
            views,
            plain_total: plain.total(),
            plain,
            folded_total: folded.total(),
            folded,
        },
    }
}

fn words(info: &Info) -> String {
    let models = if info.models.is_empty() { "none built in".to_owned() } else { info.models.join(", ") };
    let mut lines = vec![
        format!("shiftray    {}", info.version),
        format!("processor   {} threads, {}", info.threads, info.cpu_level),
        format!("models      {models}"),
    ];
    if let Some(model) = &info.model {
        lines.push(String::new());
        model.words(&mut lines);
    }
    lines.join("\n")
}

impl ModelInfo {
    fn words(&self, lines: &mut Vec<String>) {
        let Config { width, depth, heads, mlp_ratio, attention_hidden, .. } = self.config;
        let Config { start, position, head, features, .. } = self.config;
        let Parameters { transformer, features: in_features, total } = self.parameters;
        let Operations { samples, views, plain, folded, .. } = &self.operations;
        let hidden = width * mlp_ratio;
        lines.extend([
            format!("model       {}", self.name),
            format!("network     width {width}, depth {depth}, {heads} heads, feed-forward {hidden}"),
            format!("            attention hidden {attention_hidden}, start {start:?}, {position:?}, head {head:?}"),
            format!(
                "features    stem {}, stages {:?} of {:?} blocks, {} channels",
                features.stem_width, features.widths, features.blocks, features.channels
            ),
            format!("parameters  {total}: {transformer} transformer, {in_features} features; {} bytes", self.bytes),
            String::new(),
            format!("Million multiply-accumulates a ray, {samples} samples, {views} views:"),
            format!("{:20} {:>9} {:>9}", "", "plain", "folded"),
        ]);
        let both = plain.parts().into_iter().zip(folded.parts()).map(|((name, a), (_, b))| (name, a, b));
        for (name, a, b) in both.chain([("total", plain.total(), folded.total())]) {
            lines.push(format!("{name:20} {:9.3} {:9.3}", a as f64 / 1e6, b as f64 / 1e6));
        }
    }
}
