//! `shiftray info`: what this build and a model hold.

pub mod cost;
pub mod energy;
pub mod steps;

use anyhow::bail;
use cost::Table;
use gnt::checkpoint::Checkpoint;
use gnt::{Config, MlpKind, Model};
use serde::Serialize;

/// Examples at the end of the help.
const EXAMPLES: &str = "\
Examples:
  What this program can use here:
    shiftray info
  Sizes, operations and modelled energy of a model:
    shiftray info --model gnt-shiftadd";

/// Say what this program can use, and what a model holds.
///
/// Operations are those for one ray at the model's default numbers of samples and source views, and bytes those of the
/// matrices: of the dense network of these sizes as it is trained (plain) and after folding (before), and of the model
/// itself, where it has additive attention, shifts or experts (after).
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
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
    /// Driver, GPUs and compiler, or what is missing.
    cuda: Vec<String>,
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
    energy: energy::Report,
}

#[derive(Serialize)]
struct Parameters {
    transformer: usize,
    features: usize,
    total: usize,
}

/// Operations a ray.
#[derive(Serialize)]
struct Operations {
    samples: usize,
    views: usize,
    /// Share of the samples that routers send to experts of shifts.
    #[serde(skip_serializing_if = "Option::is_none")]
    shift_share: Option<f64>,
    plain: Table,
    before: Table,
    after: Table,
}

/// What is assumed of routers where a model does not say how they split.
const SHIFT_SHARE: f64 = 0.5;
/// Metadata entry of a model file in which it says so.
const SHIFT_SHARE_KEY: &str = "shift_share";

/// Prints what is asked for.
///
/// # Errors
/// If the model is unknown or damaged.
pub fn run(args: Args) -> anyhow::Result<()> {
    let model = args.model.as_deref().map(|name| {
        let checkpoint = gnt::builtin::checkpoint(name)?;
        let model = Model::new(checkpoint.config)?;
        let share = shift_share(&checkpoint)?;
        // Nothing is said of a model that cannot be run.
        checkpoint.into_params(&model.layout)?;
        describe(&model, name.to_owned(), share)
    });
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        cpu_level: tensor::level().name(),
        threads: tensor::parallel::available(),
        cuda: tensor::cuda::real::describe().lines().map(str::to_owned).collect(),
        models: gnt::builtin::NAMES,
        model: model.transpose()?,
    };
    let text = if args.json { serde_json::to_string(&info)? } else { words(&info) };
    super::output::line(&text)
}

/// Share of the samples that routers send to experts of shifts, as the model file says it.
fn shift_share(checkpoint: &Checkpoint) -> anyhow::Result<f64> {
    let Some(text) = checkpoint.metadata.get(SHIFT_SHARE_KEY) else { return Ok(SHIFT_SHARE) };
    match text.trim().parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => {
            let file = checkpoint.origin.display();
            bail!("{file}: {SHIFT_SHARE_KEY:?} in the metadata: expected a number from 0 to 1, found {text:?}")
        }
    }
}

fn describe(model: &Model, name: String, shift_share: f64) -> anyhow::Result<ModelInfo> {
    let config = model.config;
    let Config { samples, views, .. } = config;
    let is_feature = |e: &&layers::params::Entry| e.name.starts_with("feature_net.");
    let features = model.layout.entries().iter().filter(is_feature).map(|e| e.slot.len).sum();
    let total = model.layout.len();
    let (plain, before) = (steps::plain(&config, samples, views), steps::before(&config, samples, views));
    let after = steps::after(&config, samples, views, shift_share);
    Ok(ModelInfo {
        name,
        config,
        parameters: Parameters { transformer: total - features, features, total },
        bytes: total * size_of::<f32>(),
        operations: Operations {
            samples,
            views,
            shift_share: matches!(config.mlp, MlpKind::Experts { .. }).then_some(shift_share),
            plain: Table::of(&plain),
            before: Table::of(&before),
            after: Table::of(&after),
        },
        energy: energy::Report::new(&plain, &before, &after)?,
    })
}

fn words(info: &Info) -> String {
    let models = if info.models.is_empty() { "none built in".to_owned() } else { info.models.join(", ") };
    let mut lines = vec![
        format!("shiftray    {}", info.version),
        format!("processor   {} threads, {}", info.threads, info.cpu_level),
        format!("models      {models}"),
    ];
    lines.extend(info.cuda.iter().map(|line| format!("CUDA        {line}")));
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
        self.energy.words(self.operations.is_dense(), lines);
    }
}

impl Operations {
    fn is_dense(&self) -> bool {
        self.after == self.before
    }

    fn words(&self, lines: &mut Vec<String>) {
        let Self { samples, views, .. } = self;
        lines.push(String::new());
        lines.push(format!("Million operations a ray, {samples} samples, {views} views. Softmax and norms are not"));
        lines.push("counted; dense matrices have 4 bytes a weight, in files of 16-bit floats 2.".to_owned());
        let mut table = |heading: &str, table: &Table| {
            lines.extend([String::new(), heading.to_owned()]);
            table.words(lines);
        };
        table("Plain: the dense network of these sizes as it is trained", &self.plain);
        table("Before: the same network folded, as it is run", &self.before);
        if !self.is_dense() {
            let split = match self.shift_share {
                Some(share) => format!(", {:.0} % of the samples in experts of shifts", 100.0 * share),
                None => String::new(),
            };
            table(&format!("After: this network{split}"), &self.after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gnt::checkpoint::Precision;

    #[test]
    fn a_model_file_tells_how_its_routers_split() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let model = Model::new(Config { depth: 1, ..Config::compact() }.shift_add()).unwrap();
        let params = model.layout.initialise(5);
        let mut checkpoint = Checkpoint::from_params(&model.config, &model.layout, &params);
        let mut share = |text: Option<&str>| {
            checkpoint.metadata = text.map(|t| (SHIFT_SHARE_KEY.to_owned(), t.to_owned())).into_iter().collect();
            checkpoint.write(&path, Precision::Packed).unwrap();
            shift_share(&gnt::builtin::checkpoint(path.to_str().unwrap()).unwrap())
        };
        assert_eq!(share(None).unwrap(), SHIFT_SHARE);
        for (text, expected) in [("0", 0.0), ("0.375", 0.375), (" 1 ", 1.0), ("1e-3", 0.001)] {
            assert_eq!(share(Some(text)).unwrap(), expected);
        }
        for text in ["", "half", "-0.1", "1.01", "nan", "inf", "0,5"] {
            let error = share(Some(text)).unwrap_err().to_string();
            let wanted = format!("\"shift_share\" in the metadata: expected a number from 0 to 1, found {text:?}");
            assert!(error.contains("model.safetensors: ") && error.ends_with(&wanted), "{error}");
        }
    }
}
