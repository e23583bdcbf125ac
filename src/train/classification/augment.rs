//! A picture as one step sees it: moved, mirrored, with a hole, its colours changed.

use super::ClassifyOptions;
use layers::params::SplitMix;

/// Appends picture `pixels` `[height, width, 3]` of 8 bits, normalised by `table`, changed as the options say.
///
/// `turn` is whether it is mirrored, where the options mirror at all.
pub(super) fn augment(
    options: &ClassifyOptions,
    pixels: &[u8],
    (height, width): (usize, usize),
    table: &[[f32; 256]; 3],
    turn: bool,
    rng: &mut SplitMix,
    out: &mut Vec<f32>,
) {
    let pad = options.crop as usize;
    let (dy, dx) = (rng.below(2 * pad + 1), rng.below(2 * pad + 1));
    let turn = options.flip && turn;
    let first = out.len();
    for y in 0..height {
        let row = mirrored(y + dy, pad, height) * width;
        for x in 0..width {
            let x = if turn { width - 1 - x } else { x };
            let at = (row + mirrored(x + dx, pad, width)) * 3;
            out.extend((0..3).map(|c| table[c][usize::from(pixels[at + c])]));
        }
    }
    let out = &mut out[first..];
    if options.colour > 0.0 {
        let mut change = || 1.0 + options.colour * (2.0 * rng.uniform() - 1.0);
        let (contrast, brightness) = (change(), change() - 1.0);
        out.iter_mut().for_each(|v| *v = *v * contrast + brightness);
    }
    let side = options.cutout as usize;
    if side > 0 {
        // The middle may be any pixel, so that corners are cut as often as the rest.
        let (my, mx) = (rng.below(height), rng.below(width));
        let range = |middle: usize, most: usize| {
            (middle + 1).saturating_sub(side / 2 + 1)..(middle + side - side / 2).min(most)
        };
        for y in range(my, height) {
            for x in range(mx, width) {
                out[(y * width + x) * 3..][..3].fill(0.0);
            }
        }
    }
}

/// Place `i − pad` of a line of `len` pixels that is mirrored at its ends, without repeating the last.
fn mirrored(i: usize, pad: usize, len: usize) -> usize {
    let period = (2 * len - 2).max(1) as isize;
    let at = (i as isize - pad as isize).rem_euclid(period) as usize;
    at.min(period as usize - at).min(len - 1)
}

/// A number of the beta distribution with both parameters `alpha` (Jöhnk's method; any positive parameter up to about 10).
pub(super) fn beta(alpha: f32, rng: &mut SplitMix) -> f32 {
    for _ in 0..1000 {
        let (a, b) = ((1.0 - rng.uniform()).powf(1.0 / alpha), (1.0 - rng.uniform()).powf(1.0 / alpha));
        if a + b <= 1.0 && a + b > 0.0 {
            return a / (a + b);
        }
    }
    0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_mirrored() {
        let places: Vec<usize> = (0..8).map(|i| mirrored(i, 2, 4)).collect();
        assert_eq!(places, [2, 1, 0, 1, 2, 3, 2, 1]);
        assert_eq!(mirrored(9, 4, 1), 0);
    }

    #[test]
    fn pictures_are_moved_mirrored_and_cut() {
        let table: [[f32; 256]; 3] = std::array::from_fn(|_| std::array::from_fn(|v| v as f32));
        let pixels: Vec<u8> = (0..4 * 4 * 3).map(|i| i as u8 + 1).collect();
        let plain = ClassifyOptions { crop: 0, cutout: 0, ..ClassifyOptions::default() };
        let mut out = Vec::new();
        augment(&plain, &pixels, (4, 4), &table, false, &mut SplitMix(1), &mut out);
        assert!(out.iter().zip(&pixels).all(|(o, p)| *o == f32::from(*p)));
        out.clear();
        augment(&plain, &pixels, (4, 4), &table, true, &mut SplitMix(1), &mut out);
        assert_eq!(out[..3], [10.0, 11.0, 12.0]);
        let cut = ClassifyOptions { cutout: 2, ..plain };
        for seed in 0..50 {
            out.clear();
            augment(&cut, &pixels, (4, 4), &table, false, &mut SplitMix(seed), &mut out);
            let holes = out.iter().filter(|v| **v == 0.0).count();
            assert!([3, 6, 12].contains(&holes), "{holes}");
        }
    }

    #[test]
    fn beta_has_its_mean_and_spread() {
        let mut rng = SplitMix(3);
        let drawn: Vec<f32> = (0..20_000).map(|_| beta(0.5, &mut rng)).collect();
        let mean = drawn.iter().sum::<f32>() / 20_000.0;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 20_000.0;
        assert!((mean - 0.5).abs() < 0.01 && (variance - 0.125).abs() < 0.005, "{mean} {variance}");
    }
}
