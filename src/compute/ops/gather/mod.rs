//! Bilinear look-up of a feature map, plus the colour's part of the first token layer, with its bias and ReLU.

mod cpu;
mod map8;

use crate::Isa;
pub use map8::{Map8, gather8};

/// One look-up: where it reads the feature map, and the colour that goes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LookUp {
    /// Which map.
    pub view: u32,
    /// Pixels of the map, `y · width + x`.
    pub index: [u32; 4],
    /// Their weights; 0 outside the map.
    pub weight: [f32; 4],
    /// Colour of the photograph.
    pub colour: [f32; 3],
}

/// `y = max(Σ weight · map[index] + colour · C + bias, 0)` for each look-up.
///
/// # Shapes
/// - `maps`: one `[pixels, width]` a view
/// - `colour`: `[4, width]`, three rows and the bias
/// - `y`: `[look-ups, width]`; `width` is a multiple of 8
pub fn gather(isa: Isa, look_ups: &[LookUp], maps: &[&[f32]], colour: &[f32], width: usize, y: &mut [f32]) {
    assert!(width.is_multiple_of(8) && colour.len() == 4 * width && y.len() >= look_ups.len() * width);
    for l in look_ups {
        let pixels = maps[l.view as usize].len() / width;
        assert!(l.index.iter().all(|i| (*i as usize) < pixels), "look-up {:?} in a map of {pixels} pixels", l.index);
    }
    // SAFETY: just checked; the width is a multiple of the lanes.
    unsafe { cpu::gather(isa.for_width(width), look_ups, maps, colour, width, y) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_formula() {
        let width = 16;
        let map: Vec<f32> = (0..6 * width).map(|i| (i % 13) as f32 - 6.0).collect();
        let colour: Vec<f32> = (0..4 * width).map(|i| (i % 7) as f32 * 0.1 - 0.3).collect();
        let look_ups = [
            LookUp { view: 0, index: [0, 1, 3, 4], weight: [0.1, 0.2, 0.3, 0.4], colour: [0.5, 0.25, 1.0] },
            LookUp { view: 1, index: [5, 0, 0, 0], weight: [0.75, 0.0, 0.0, 0.0], colour: [0.0; 3] },
        ];
        for isa in Isa::available() {
            let mut y = vec![0.0; 2 * width];
            gather(isa, &look_ups, &[&map, &map], &colour, width, &mut y);
            for (r, l) in look_ups.iter().enumerate() {
                for i in 0..width {
                    let map: f32 = (0..4).map(|t| l.weight[t] * map[l.index[t] as usize * width + i]).sum();
                    let rgb: f32 = (0..3).map(|c| l.colour[c] * colour[c * width + i]).sum();
                    let want = (map + rgb + colour[3 * width + i]).max(0.0);
                    assert!((y[r * width + i] - want).abs() < 1e-5);
                }
            }
        }
    }
}
