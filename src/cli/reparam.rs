//! `shiftray reparam`: from a trained dense model to additive attention, shift layers and experts.

use anyhow::{Context, bail};
use gnt::Model;
use gnt::checkpoint::{Checkpoint, Precision};
use layers::experts::latency_shares;
use std::path::{Path, PathBuf};
use train::data::Dataset;
use train::distillation::{Distillation, Teacher};
use train::ps::ShiftForm;
use train::reparam::{Piece, convert};
use train::run::{LogLine, Options, Plan, Run, STATE_FILE};
use train::schedule::Schedule;

/// Turn a trained model into one with additive attention, shift layers and experts.
///
/// Each stage replaces some pieces and fine-tunes the whole, with the dense model as teacher of states and colours beside
/// the scenes' own colours. A stage is a folder in the run's folder; an interrupted run goes on when the same command is
/// given again. The last stage's model is also written to `model.safetensors` in the run's folder, packed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Dense model: a built-in name or a file
    #[arg(long, value_name = "NAME|FILE")]
    model: String,
    /// Folder of the run
    #[arg(long)]
    out: PathBuf,
    /// Folder of scenes, or `synth` to generate procedural scenes first
    #[arg(long, default_value = "synth")]
    data: String,
    /// Stages, separated by commas; pieces of a stage are joined by +. Pieces: ray, ray-linear, view, shift, mlp-shift,
    /// experts
    #[arg(long, default_value = "ray+view,shift+experts", value_parser = parse_stages)]
    stages: Stages,
    /// Steps of each stage
    #[arg(long, default_value_t = 3000)]
    steps: u64,
    /// Bits of a shift layer's weights: 4 or 5
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=5))]
    bits: u8,
    /// What is trained of shift layers: float weights that are rounded (q), or exponents and signs (ps)
    #[arg(long, default_value = "q")]
    form: Form,
    /// Rays a step
    #[arg(long, default_value_t = 400)]
    rays: usize,
    /// Samples a ray; by default those of the model
    #[arg(long)]
    samples: Option<usize>,
    /// Fewest and most source views
    #[arg(long, num_args = 2, value_names = ["MIN", "MAX"], default_values_t = [6, 10])]
    views: Vec<usize>,
    /// Peak learning rate
    #[arg(long, default_value_t = 1e-3)]
    rate: f32,
    /// Weight of the distance from the teacher's states; 0 learns from colours alone
    #[arg(long, default_value_t = 0.02)]
    distil: f32,
    /// Weight of the loss on depth
    #[arg(long, default_value_t = 0.001)]
    depth_weight: f32,
    /// Train the feature network too, which takes about twice as long
    #[arg(long)]
    train_features: bool,
    /// Latencies of the multiply and the shift expert, such as 6:4; by default they are measured on this processor
    #[arg(long, value_name = "A:B", value_parser = parse_latencies)]
    alpha: Option<[f64; 2]>,
    /// Weight of the loss that balances the experts by their latencies
    #[arg(long, default_value_t = 0.01)]
    balance: f32,
    /// Seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Scenes to generate with `--data synth`
    #[arg(long, default_value_t = 200)]
    scenes: usize,
    /// Stop after this many minutes; the same command goes on later
    #[arg(long)]
    minutes: Option<f64>,
    /// Where steps are computed: auto, cpu, cuda or cuda:N; a stage can be gone on with on either
    #[arg(long, default_value = "auto")]
    device: super::device::Device,
    /// Threads; the result does not depend on it
    #[arg(long)]
    threads: Option<usize>,
    /// Steps between checkpoints
    #[arg(long, default_value_t = 250)]
    save_every: u64,
}

/// [`ShiftForm`] on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// Float weights, rounded (DeepShift-Q)
    Q,
    /// Exponents and signs (DeepShift-PS)
    Ps,
}

impl From<Form> for ShiftForm {
    fn from(form: Form) -> Self {
        match form {
            Form::Q => Self::Q,
            Form::Ps => Self::Ps,
        }
    }
}

/// Stages in order, each with its name and pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stages(Vec<(String, Vec<Piece>)>);

fn parse_stages(text: &str) -> Result<Stages, String> {
    let names = || Piece::ALL.map(|(name, _)| name).join(", ");
    let piece = |name: &str| {
        let found = Piece::ALL.into_iter().find(|(n, _)| *n == name);
        found.map(|(_, piece)| piece).ok_or_else(|| format!("expected pieces of {}, found {name:?}", names()))
    };
    let stage = |text: &str| Ok((text.to_owned(), text.split('+').map(piece).collect::<Result<_, String>>()?));
    text.split(',').map(stage).collect::<Result<_, String>>().map(Stages)
}

fn parse_latencies(text: &str) -> Result<[f64; 2], String> {
    let wrong = || format!("expected two positive numbers such as 6:4, found {text:?}");
    let (a, b) = text.split_once(':').ok_or_else(wrong)?;
    let pair = [a, b].map(|v| v.trim().parse::<f64>());
    match pair {
        [Ok(a), Ok(b)] if a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite() => Ok([a, b]),
        _ => Err(wrong()),
    }
}

/// Runs the subcommand.
///
/// # Errors
/// If model or data cannot be read, a piece does not fit the model, or a file cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let threads = args.threads.unwrap_or_else(tensor::parallel::available).max(1);
    let (dense, dense_params, name) = gnt::builtin::load(&args.model)?;
    if args.views[0] < 1 || args.views[0] > args.views[1] || args.rays == 0 || args.steps == 0 {
        bail!("expected at least one view, ray and step, and MIN up to MAX views");
    }
    let samples = args.samples.unwrap_or(dense.config.samples);
    if !(2..=4096).contains(&samples) {
        bail!("--samples: expected 2 to 4096, found {samples}");
    }
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let data = if args.data == "synth" {
        let folder = args.out.join("scenes");
        super::synth::generate(&folder, args.scenes, args.seed)?;
        folder
    } else {
        PathBuf::from(&args.data)
    };
    let dataset = Dataset::open(&data)?;
    let started = std::time::Instant::now();
    let (mut model, mut params) = (dense.clone(), dense_params.clone());
    for (i, (stage, pieces)) in args.stages.0.iter().enumerate() {
        let folder = args.out.join(format!("{}-{stage}", i + 1));
        let config = pieces.iter().fold(model.config, |config, piece| piece.apply(config, args.bits));
        let run = if folder.join(STATE_FILE).exists() {
            let run = Run::resume(&folder)?;
            if run.state().config != config {
                bail!("{}: holds a run of another network; choose another --out", folder.display());
            }
            run
        } else {
            start(&args, &model, &params, config, &dataset)?
        };
        let teacher = Teacher::new(dense.clone(), &dense_params);
        let mut run = run.with_teacher(teacher)?;
        let left = args.minutes.map(|m| (m * 60.0 - started.elapsed().as_secs_f64()).max(0.0));
        let trained = run.state().step < args.steps;
        if trained {
            run = args.device.train_on(run, threads)?;
            train_stage(&mut run, &dataset, &folder, stage, &args, left, threads)?;
        }
        if run.state().step < args.steps {
            super::output::note(format_args!(
                "stopped at step {} of stage {stage}; the same command goes on",
                run.state().step
            ));
            return Ok(());
        }
        params = run.state().average.clone();
        model = run.model().clone();
        // A stage that was done before must not put its model in the place of a later one's.
        if trained || i + 1 == args.stages.0.len() {
            let mut checkpoint = run.checkpoint();
            describe(&mut checkpoint, &args, &name, stage, &folder, run.state());
            checkpoint.write(&args.out.join("model.safetensors"), Precision::Packed)?;
        }
    }
    super::output::note(format_args!("model in {}", args.out.join("model.safetensors").display()));
    Ok(())
}

fn start(args: &Args, model: &Model, params: &[f32], config: gnt::Config, dataset: &Dataset) -> anyhow::Result<Run> {
    let samples = args.samples.unwrap_or(config.samples);
    let views = (args.views[0], args.views[1]);
    let stats = train::calibration::calibrate(model, params, dataset, views, samples, args.seed)?;
    let (pupil, params) = convert(model, params, config, &stats, args.seed)?;
    let latencies = match (args.alpha, config.mlp) {
        (_, gnt::MlpKind::Dense | gnt::MlpKind::Shift { .. }) => None,
        (Some(latencies), _) => Some(latencies),
        (None, _) => Some(gnt::engine::Engine::new(pupil.clone(), &params).expert_latencies()),
    };
    let balance = match latencies {
        Some(latencies) => {
            let alpha = latency_shares(latencies).map_err(|e| anyhow::anyhow!("{e}"))?;
            super::output::note(format_args!(
                "latency shares of the multiply and the shift expert: {:.2} and {:.2}",
                alpha[0], alpha[1]
            ));
            Some((alpha, args.balance))
        }
        None => None,
    };
    let options = Options {
        seed: args.seed,
        rays: args.rays,
        samples,
        views,
        depth_weight: args.depth_weight,
        schedule: Schedule { peak: args.rate, feature_factor: 0.3, warmup: 50, steps: args.steps },
        average_decay: 0.998,
        clip_norm: 1.0,
        freeze_features: !args.train_features,
        distillation: Distillation {
            features: args.distil,
            states: args.distil,
            colour: 1.0,
            weights: args.distil / 10.0,
        },
        balance,
        form: args.form.into(),
        guided: None,
    };
    let checkpoint = Checkpoint::from_params(&config, &pupil.layout, &params);
    Ok(Run::start(config, options, Some(checkpoint))?)
}

fn train_stage(
    run: &mut Run,
    dataset: &Dataset,
    folder: &Path,
    stage: &str,
    args: &Args,
    seconds: Option<f64>,
    threads: usize,
) -> anyhow::Result<()> {
    let bar = super::progress(args.steps, "steps");
    bar.set_position(run.state().step);
    super::output::note(format_args!(
        "stage {stage}: {} parameters, {} scenes, {threads} threads",
        run.model().layout.len(),
        dataset.len()
    ));
    let plan = Plan {
        out: folder.to_owned(),
        until: args.steps,
        seconds,
        save_every: args.save_every,
        log_every: 50,
        threads,
        validation: None,
    };
    run.train(dataset, &plan, |line: &LogLine| {
        bar.set_position(line.step);
        bar.set_message(format!(
            "PSNR {:.2} from teacher {:.4} multiply {:.2} {:.3} s/step",
            line.psnr, line.distillation, line.multiply_share, line.seconds
        ));
    })?;
    bar.finish();
    Ok(())
}

/// Writes down where the model comes from.
fn describe(
    checkpoint: &mut Checkpoint,
    args: &Args,
    name: &str,
    stage: &str,
    folder: &Path,
    state: &train::state::State,
) {
    let stages: Vec<&str> = args.stages.0.iter().map(|(s, _)| s.as_str()).collect();
    // The file's name alone: a model that is passed on should not tell its maker's folders.
    let name = Path::new(name).file_name().map_or_else(|| name.to_owned(), |f| f.to_string_lossy().into_owned());
    let about =
        format!("reparameterised from {name}: stage {stage} of {}, {} steps each", stages.join(","), args.steps);
    checkpoint.metadata.insert("about".into(), about);
    if let Some((alpha, _)) = state.options.balance {
        checkpoint.metadata.insert("expert_latency_shares".into(), format!("{:.4}:{:.4}", alpha[0], alpha[1]));
        if let Some(share) = multiply_share(folder) {
            checkpoint.metadata.insert("shift_share".into(), format!("{:.4}", 1.0 - share));
        }
    }
}

/// Part of the rows that the multiply expert ran, by the last line of the run's log.
fn multiply_share(folder: &Path) -> Option<f64> {
    let log = std::fs::read_to_string(folder.join(train::run::LOG_FILE)).ok()?;
    let line: LogLine = log.lines().rev().find_map(|line| serde_json::from_str(line).ok())?;
    Some(line.multiply_share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_and_wrong_ones_named() {
        let stages = parse_stages("ray+view,experts").unwrap();
        assert_eq!(stages.0.len(), 2);
        assert_eq!(stages.0[0].1, [Piece::Ray, Piece::View]);
        assert!(parse_stages("ray,nothing").unwrap_err().contains("\"nothing\""));
        assert!(parse_stages("").is_err());
    }

    #[test]
    fn latencies_are_two_positive_numbers() {
        assert_eq!(parse_latencies("6:4").unwrap(), [6.0, 4.0]);
        for wrong in ["6", "0:1", "a:b", "1:-1", "inf:1", "nan:1"] {
            assert!(parse_latencies(wrong).is_err(), "{wrong}");
        }
    }
}
