//! What a classifier holds.

use super::counts::{After, Lists, is_dense, table_lines};
use super::energy::{Report, THOUSANDTHS};
use layers::FeedForwardKind;
use layers::operations::Table;
use serde::Serialize;
use vit::checkpoint::Checkpoint;
use vit::operations::{dense, of_image};
use vit::{Config, Model};

#[derive(Serialize)]
pub struct Classifier {
    name: String,
    config: Config,
    /// Names of the classes in order; empty where the file has none.
    classes: Vec<String>,
    parameters: usize,
    /// Bytes of the parameters as the program holds them, 32 bits each.
    bytes: usize,
    /// Of one image.
    operations: Operations,
    energy: Report,
}

#[derive(Serialize)]
struct Operations {
    /// The dense network of these sizes.
    before: Table,
    #[serde(flatten)]
    after: After<Table>,
}

impl Classifier {
    /// Looks into a model.
    ///
    /// # Errors
    /// If its configuration is out of range.
    pub fn new(name: &str, checkpoint: &Checkpoint) -> anyhow::Result<Self> {
        let config = checkpoint.description.config;
        let parameters = Model::new(config, compute::Products::F32)?.layout.len();
        let before = of_image(&dense(&config), &[]);
        let after = match config.kinds().feed_forward {
            FeedForwardKind::Experts { .. } => {
                let all = |share: f64| of_image(&config, &vec![share; blocks(&config)]);
                After::Between { all_multiply: all(0.0), all_shift: all(1.0) }
            }
            _ => After::Known(of_image(&config, &[])),
        };
        let lists = Lists { plain: before.clone(), before, after };
        let Ok(after) = lists.after.try_map(|steps| Ok::<_, std::convert::Infallible>(Table::of(steps)));
        let (height, width) = config.image_size();
        Ok(Self {
            name: name.to_owned(),
            config,
            classes: checkpoint.description.classes.clone(),
            parameters,
            bytes: parameters * size_of::<f32>(),
            operations: Operations { before: Table::of(&lists.before), after },
            energy: Report::new(&lists, [width as u64, height as u64], 1)?.of_classifier(),
        })
    }

    /// Lines for people.
    pub fn words(&self, lines: &mut Vec<String>) {
        let Self { name, config, classes, parameters, bytes, operations, energy } = self;
        let (height, width) = config.image_size();
        let sizes = match config {
            Config::Compact(c) => format!("width {}, depth {}, {} heads, stem {:?}", c.width, c.depth, c.heads, c.stem),
            Config::Deit(c) => {
                format!("width {}, depth {}, {} heads, patches of {}", c.width, c.depth, c.heads, c.patch)
            }
            Config::Pvt(c) => format!("widths {:?}, depths {:?}", c.widths, c.depths),
        };
        let kinds = config.kinds();
        let named = if classes.is_empty() { "without names".to_owned() } else { classes.join(", ") };
        lines.extend([
            format!("model       {name}, a classifier"),
            format!("network     {}: {sizes}", config.name()),
            format!(
                "            {:?} attention, {:?} linears, {:?} feed-forward",
                kinds.attention, kinds.linears, kinds.feed_forward
            ),
            format!("images      {width}x{height}"),
            format!("classes     {}: {}", config.classes(), shortened(&named)),
            format!("parameters  {parameters}; {bytes} bytes"),
            String::new(),
            "Million operations an image. Softmax and norms are not counted; dense matrices have 4 bytes a weight. To the".to_owned(),
            "layers an image is a ray, and its tokens are the ray's samples.".to_owned(),
        ]);
        table_lines("Before: the dense network of these sizes", &operations.before, lines);
        let is_dense = is_dense(&operations.before, &operations.after);
        match &operations.after {
            _ if is_dense => {}
            After::Known(table) => table_lines("After: this network", table, lines),
            After::Between { all_multiply, all_shift } => {
                table_lines("After, if all tokens went to multiply experts", all_multiply, lines);
                table_lines("After, if all tokens went to shift experts", all_shift, lines);
                lines.push("shiftray classify --eval DATA tells where tokens go.".to_owned());
            }
        }
        lines.push(String::new());
        energy.words(is_dense, THOUSANDTHS, lines);
    }
}

/// Number of blocks, each of which has a router where there are experts.
fn blocks(config: &Config) -> usize {
    match config {
        Config::Compact(config) => config.depth,
        Config::Deit(config) => config.depth,
        Config::Pvt(config) => config.depths.iter().sum(),
    }
}

/// The start of a long list of names.
fn shortened(names: &str) -> String {
    const MOST: usize = 100;
    match names.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &names[..end]),
        None => names.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_mixture_are_told() {
        for (name, has_experts) in [("vit-shiftadd", true), ("vit-dense", false)] {
            let classifier = Classifier::new(name, &vit::builtin::load(name, None).unwrap()).unwrap();
            let mut lines = Vec::new();
            classifier.words(&mut lines);
            let text = lines.join("\n");
            assert!(text.contains("32x32") && text.contains("10: airplane"), "{text}");
            assert_eq!(text.contains("all tokens went to shift experts"), has_experts, "{text}");
            assert_eq!(text.contains("After"), has_experts, "{text}");
            let energy: Vec<&str> = lines.iter().filter(|l| l.starts_with("before ")).map(String::as_str).collect();
            assert!(energy.len() == 1 && energy[0].split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() > 1.0);
            let json = serde_json::to_value(&classifier).unwrap();
            assert_eq!(json["operations"].get("after_all_shift").is_some(), has_experts, "{json}");
            assert!(json["operations"]["before"]["total"]["multiplies"].as_u64().unwrap() > 10_000_000, "{json}");
        }
    }
}
