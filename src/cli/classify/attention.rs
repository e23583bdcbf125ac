//! Where a classifier looks: the tokens' weights in sequence pooling over the picture, and which expert each block sent
//! them to.

use super::Classifier;
use layers::FeedForward;
use scene::Image;
use std::path::Path;
use vit::model::{Net, Tape};

/// Pixels along a side of each panel, at least.
const PANEL: usize = 256;

/// Draws panels beside one another: the picture, the picture lit by the weights, and for each block with experts the picture
/// with tokens of the multiply expert in blue and of the shift expert in orange.
pub fn draw(classifier: &Classifier, pixels: &[u8], tape: &Tape, path: &Path) -> anyhow::Result<()> {
    let Net::Compact(net) = &classifier.model.net;
    let side = net.image_side();
    let grid = side / vit::config::TOKEN_SIDE;
    let scale = PANEL.div_ceil(side);
    let weights = &tape.compact.pooling;
    let most = weights.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let mut panels: Vec<Box<dyn Fn(usize, [f32; 3]) -> [f32; 3]>> = vec![
        Box::new(|_, colour| colour),
        Box::new(move |token, colour| colour.map(|c| c * (0.15 + 0.85 * weights[token] / most))),
    ];
    for (i, block) in net.blocks.iter().enumerate() {
        if let FeedForward::Experts(_) = block.feed_forward {
            let shifted: Vec<u32> =
                tape.compact.feed_forward(i).experts.rows(layers::feed_forward::experts::SHIFT).to_vec();
            panels.push(Box::new(move |token, colour| {
                let tint = if shifted.contains(&(token as u32)) { [1.0, 0.6, 0.1] } else { [0.2, 0.4, 1.0] };
                std::array::from_fn(|c| 0.5 * colour[c] + 0.5 * tint[c])
            }));
        }
    }
    let panel = side * scale;
    let mut image = Image::black((panel * panels.len()) as u32, panel as u32);
    let width = panel * panels.len();
    for (i, out) in image.data.chunks_exact_mut(3).enumerate() {
        let (y, x) = (i / width / scale, i % width % panel / scale);
        let colour = std::array::from_fn(|c| f32::from(pixels[(y * side + x) * 3 + c]) / 255.0);
        let token = y / vit::config::TOKEN_SIDE * grid + x / vit::config::TOKEN_SIDE;
        out.copy_from_slice(&panels[i % width / panel](token, colour));
    }
    Ok(scene::write::write_png(path, &image)?)
}
