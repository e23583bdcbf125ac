//! `shiftray classify`: what is in a picture, and how often that is right.

mod attention;
mod confusion;
mod evaluate;
mod runner;

use super::device::Device;
use super::output;
use anyhow::bail;
use clap::{ValueEnum, value_parser};
use runner::Runner;
use serde::Serialize;
use std::path::PathBuf;
use vit::Model;
use vit::checkpoint::Checkpoint;
use vit::cuda::Classified;
use vit::engine::EngineScratch;

/// Say what is in pictures, or how often that is right.
///
/// Prints the likeliest classes of each picture with their probabilities. With --eval, labelled pictures (a folder per
/// class, a tar archive of such folders, CIFAR-10's binary batches) are classified: accuracy, a table of the classes,
/// latency and throughput.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pictures: PNG, JPEG, WebP, TIFF, BMP or GIF of any size
    #[arg(required_unless_present = "eval")]
    pictures: Vec<PathBuf>,
    /// Model: a built-in name (vit-shiftadd, vit-dense: ten classes of things, from pictures of 32x32 pixels), a file that
    /// `shiftray train classifier` or `shiftray reparam` wrote, or a checkpoint of timm (DeiT, PVTv2)
    #[arg(long, value_name = "NAME|FILE", default_value = vit::builtin::NAMES[0])]
    model: String,
    /// Classify these labelled pictures and say how often the answer is right
    #[arg(long, value_name = "DATA", conflicts_with = "pictures")]
    eval: Option<PathBuf>,
    /// Folder for `metrics.json` and `confusion.png` of --eval
    #[arg(short, long, requires = "eval")]
    out: Option<PathBuf>,
    /// `metrics.json` of an earlier --eval to compare with
    #[arg(long, value_name = "FILE", requires = "eval")]
    baseline: Option<PathBuf>,
    /// Draw where the model looks, as a picture; for one picture
    #[arg(long, value_name = "PNG", conflicts_with = "eval")]
    attention: Option<PathBuf>,
    /// Height and width of images for a checkpoint of timm [default: 224, or what its position embeddings say]
    #[arg(long)]
    size: Option<usize>,
    /// Number of classes to name for each picture
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u16).range(1..=1000))]
    top: u16,
    /// How products are computed; auto is int8 for a network with shift layers where the processor has AVX2, else f32
    #[arg(long, value_enum, default_value_t = PrecisionArg::Auto)]
    precision: PrecisionArg,
    /// Where it is computed: cpu, cuda, cuda:N or auto; on CUDA in f32, which needs NVRTC (--attention is computed on the
    /// processor all the same)
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Threads
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

/// The value of `--precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum PrecisionArg {
    /// What is fastest without being seen
    Auto,
    /// All in f32; shift layers with their exact weights
    F32,
    /// Shift layers on 8-bit activations, all others in f32
    Mixed,
    /// All but the first and the last layer on 8-bit activations
    Int8,
}

impl PrecisionArg {
    /// As `--precision` takes it.
    fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }
}

/// A classifier that is ready to run.
struct Classifier {
    checkpoint: Checkpoint,
    model: Model,
    runner: Runner,
}

impl Classifier {
    fn load(args: &Args, threads: usize) -> anyhow::Result<Self> {
        let checkpoint = vit::builtin::load(&args.model, args.size.map(|side| (side, side)))?;
        let model = Model::new(checkpoint.description.config, compute::Products::F32)?;
        let runner = Runner::new(&model, &checkpoint.params, args.device, args.precision, threads)?;
        Ok(Self { checkpoint, model, runner })
    }

    /// Probabilities `[pictures, classes]` of pictures of 8-bit pixels, and the tokens that the experts of each block ran.
    fn probabilities(
        &self,
        pictures: &[&[u8]],
        scratch: &mut EngineScratch,
    ) -> anyhow::Result<(Vec<f32>, Vec<[u64; 2]>)> {
        let description = &self.checkpoint.description;
        let Classified { logits: mut values, counts } =
            self.runner.classify(&description.preprocess, pictures, scratch)?;
        layers::softmax::softmax_rows(compute::isa(), &mut values, description.config.classes());
        Ok((values, counts))
    }

    /// Name of a class, or its number where the model knows no names.
    fn class(&self, i: usize) -> String {
        self.checkpoint.description.classes.get(i).cloned().unwrap_or_else(|| i.to_string())
    }
}

#[derive(Serialize)]
struct Answer {
    picture: String,
    classes: Vec<Class>,
}

#[derive(Serialize)]
struct Class {
    class: String,
    index: usize,
    probability: f32,
}

/// Runs the subcommand.
///
/// # Errors
/// If the model or a picture cannot be read, or a file cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let threads = args.threads.map_or_else(compute::parallel::available, usize::from);
    let classifier = Classifier::load(&args, threads)?;
    if let Some(data) = &args.eval {
        return evaluate::run(&args, &classifier, data, threads);
    }
    if args.attention.is_some() && args.pictures.len() != 1 {
        bail!("--attention: expected one picture, found {}", args.pictures.len());
    }
    let mut scratch = EngineScratch::default();
    let (mut answers, mut unread) = (Vec::new(), 0);
    for path in &args.pictures {
        let description = &classifier.checkpoint.description;
        let image = match scene::read_upright(path) {
            Ok(image) => image,
            Err(problem) if args.pictures.len() > 1 => {
                output::warn(&format!("left out: {problem}"));
                unread += 1;
                continue;
            }
            Err(problem) => return Err(problem.into()),
        };
        let pixels = description.preprocess.fit(&image, description.config.image_size());
        let (probabilities, _) = classifier.probabilities(&[&pixels], &mut scratch)?;
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
        let classes = order.into_iter().take(usize::from(args.top)).map(|index| Class {
            class: classifier.class(index),
            index,
            probability: probabilities[index],
        });
        let answer = Answer { picture: path.display().to_string(), classes: classes.collect() };
        if !args.json {
            print(&answer)?;
        }
        if let Some(out) = &args.attention {
            attention::draw(&classifier, &pixels, out)?;
        }
        answers.push(answer);
    }
    if args.json {
        output::line(&serde_json::to_string_pretty(&answers)?)?;
    }
    if unread > 0 {
        bail!("{unread} of {} pictures could not be read", args.pictures.len());
    }
    Ok(())
}

/// A line a class, with a bar of up to twenty characters.
fn print(answer: &Answer) -> anyhow::Result<()> {
    output::line(&answer.picture)?;
    let widest = answer.classes.iter().map(|c| c.class.chars().count()).max().unwrap_or(0);
    for Class { class, probability, .. } in &answer.classes {
        let bar = "█".repeat((probability * 20.0).round() as usize);
        output::line(&format!("  {class:widest$}  {:5.1} %  {bar}", 100.0 * probability))?;
    }
    Ok(())
}
