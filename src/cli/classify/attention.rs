//! Where a classifier looks: the tokens' weights in sequence pooling over the picture, and which expert each block sent
//! them to.

use super::Classifier;
use anyhow::bail;
use layers::FeedForwardKind;
use layers::feed_forward::experts::SHIFT;
use scene::Image;
use std::path::Path;
use vit::model::{Net, Scratch, Tape};

/// Pixels along a side of each panel, at least.
const PANEL: usize = 256;

/// Draws panels beside one another: the picture, the picture lit by the weights, and for each block with experts the picture
/// with tokens of the multiply expert in blue and of the shift expert in orange.
pub fn draw(classifier: &Classifier, pixels: &[u8], path: &Path) -> anyhow::Result<()> {
    let (model, checkpoint) = (&classifier.model, &classifier.checkpoint);
    let (blocks, token_side) = match (&model.net, &checkpoint.description.config) {
        (Net::Compact(net), _) => (net.blocks.len(), vit::config::TOKEN_SIDE),
        (Net::Deit(net), vit::Config::Deit(config)) => (net.blocks.len(), config.patch),
        _ => bail!("--attention: expected a compact model or a DeiT, found a PVTv2"),
    };
    let (side, across) = checkpoint.description.config.image_size();
    if side != across {
        bail!("--attention: expected a model of square images, found {side} by {across}");
    }
    // The engine keeps no weights of attentions; the training pass does.
    let (mut tape, mut x) = (Tape::default(), Vec::new());
    checkpoint.description.preprocess.normalise(pixels, &mut x);
    model.forward(&model.fold(&checkpoint.params), 1, &x, None, &mut tape, &mut Scratch::default());
    let grid = side / token_side;
    let scale = PANEL.div_ceil(side);
    let weights = match &model.net {
        Net::Deit(net) => net.class_attention(&tape.deit),
        _ => tape.compact.pooling.clone(),
    };
    let most = weights.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    // From a token and a pixel's colour to the colour that is shown.
    type Panel<'a> = Box<dyn Fn(usize, [f32; 3]) -> [f32; 3] + 'a>;
    let mut panels: Vec<Panel> = vec![
        Box::new(|_, colour| colour),
        Box::new(move |token, colour| colour.map(|c| c * (0.15 + 0.85 * weights[token] / most))),
    ];
    let has_experts = matches!(checkpoint.description.config.kinds().feed_forward, FeedForwardKind::Experts { .. });
    for block in (0..blocks).filter(|_| has_experts) {
        let shifted: Vec<u32> = match &model.net {
            Net::Deit(net) => net.patches_of(&tape.deit, block, SHIFT).collect(),
            _ => tape.compact.feed_forward(block).experts.rows(SHIFT).to_vec(),
        };
        panels.push(Box::new(move |token, colour| {
            let tint = if shifted.contains(&(token as u32)) { [1.0, 0.6, 0.1] } else { [0.2, 0.4, 1.0] };
            std::array::from_fn(|c| 0.5 * colour[c] + 0.5 * tint[c])
        }));
    }
    let panel = side * scale;
    let mut image = Image::black((panel * panels.len()) as u32, panel as u32);
    let width = panel * panels.len();
    for (i, out) in image.data.chunks_exact_mut(3).enumerate() {
        let (y, x) = (i / width / scale, i % width % panel / scale);
        let colour = std::array::from_fn(|c| f32::from(pixels[(y * side + x) * 3 + c]) / 255.0);
        let token = y / token_side * grid + x / token_side;
        out.copy_from_slice(&panels[i % width / panel](token, colour));
    }
    Ok(scene::write::write_png(path, &image)?)
}
