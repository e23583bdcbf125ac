//! Feature maps of bytes: a quarter of the memory, which is what a look-up waits for.

use super::LookUp;
use crate::Isa;
use crate::ops::product8::{Passes, Rows8, Sign, lanes, quantise};
use crate::simd::{self, Simd};
use std::mem::MaybeUninit;

/// Most channels of a map of bytes.
const MOST_WIDTH: usize = 512;

/// A feature map whose pixels are signed bytes, each pixel with a scale of its own: `x ≈ scale · byte`.
#[derive(Clone, Debug, Default)]
pub struct Map8 {
    width: usize,
    data: Vec<i8>,
    scale: Vec<f32>,
}

impl Map8 {
    /// Rounds a map `[pixels, width]` to bytes: an error of at most a 254th of a pixel's largest value.
    pub fn new(isa: Isa, map: &[f32], width: usize) -> Self {
        let mut rows = Rows8::default();
        crate::ops::product8::quantise(isa, map.len() / width, map, width, width, Sign::Signed, &mut rows);
        let bytes = rows.data().chunks_exact(rows.stride().max(1)).flat_map(|row| &row[..width]);
        let data = bytes.map(|byte| (byte ^ 128) as i8).collect();
        Self { width, data, scale: rows.scale().to_vec() }
    }

    /// Number of pixels.
    pub fn pixels(&self) -> usize {
        self.scale.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.data.len() + 4 * self.scale.len()
    }

    /// The values that the bytes stand for, `[pixels, width]`.
    pub fn to_f32(&self) -> Vec<f32> {
        let pixels = self.data.chunks_exact(self.width).zip(&self.scale);
        pixels.flat_map(|(bytes, scale)| bytes.iter().map(move |byte| scale * f32::from(*byte))).collect()
    }

    /// Asks for what a look-up will read, so that it is at hand a little later.
    #[inline(always)]
    pub fn prefetch(&self, index: [u32; 4]) {
        // Neighbours of a row are mostly in the same part.
        for index in [index[0], index[2]] {
            simd::prefetch(&self.data, index as usize * self.width);
        }
    }
}

/// As [`gather`](super::gather), from maps of bytes and to rows of bytes.
///
/// # Shapes
/// - `maps`: one a view, of `width` channels, at most 512
/// - `colour`: `[4, width]`, three rows and the bias
/// - `y`: becomes `[look-ups, width]`; `width` is a multiple of 8
pub fn gather8(isa: Isa, look_ups: &[LookUp], maps: &[&Map8], colour: &[f32], width: usize, y: &mut Rows8) {
    assert!(width.is_multiple_of(8) && width <= MOST_WIDTH && colour.len() == 4 * width, "{width} channels");
    assert!(maps.iter().all(|map| map.width == width), "maps of {width} channels");
    for l in look_ups {
        let pixels = maps[l.view as usize].pixels();
        assert!(l.index.iter().all(|i| (*i as usize) < pixels), "look-up {:?} in a map of {pixels} pixels", l.index);
    }
    y.shape(look_ups.len(), width, Sign::NonNegative);
    // SAFETY: just checked; the width is a multiple of the lanes.
    unsafe { run(isa.for_width(width), look_ups, maps, colour, width, y) };
}

crate::simd_fn! {
    /// # Safety
    /// `width` is a multiple of the lanes, `colour` has four rows of it, the indices lie inside the maps, and `y` has room.
    unsafe fn run(isa: Isa, look_ups: &[LookUp], maps: &[&Map8], colour: &[f32], width: usize, y: &mut Rows8) => {
        // SAFETY: here are the instructions of both; the caller vouches for the rest.
        avx512 => unsafe { kernel::<simd::Avx512, lanes::Avx512>(look_ups, maps, colour, width, y) },
        // SAFETY: as above.
        avx2 => unsafe { kernel::<simd::Avx2, lanes::Avx2>(look_ups, maps, colour, width, y) },
        // SAFETY: as above.
        portable => unsafe { kernel::<simd::Portable, lanes::Portable>(look_ups, maps, colour, width, y) },
    }
}

/// # Safety
/// The instructions of `S` and `Q` are available; the rest as [`run`].
#[inline(always)]
unsafe fn kernel<S: Simd, Q: Passes>(look_ups: &[LookUp], maps: &[&Map8], colour: &[f32], width: usize, y: &mut Rows8) {
    // SAFETY: as the caller vouches.
    unsafe {
        match width {
            32 => of_width::<S, Q, 32>(look_ups, maps, colour, width, y),
            64 => of_width::<S, Q, 64>(look_ups, maps, colour, width, y),
            _ => of_width::<S, Q, 0>(look_ups, maps, colour, width, y),
        }
    }
}

/// Rows of `W` values, which the compiler unrolls, or of any number, where that is 0.
///
/// # Safety
/// As [`kernel`]; `W` is the width or 0.
#[inline(always)]
unsafe fn of_width<S: Simd, Q: Passes, const W: usize>(
    look_ups: &[LookUp],
    maps: &[&Map8],
    colour: &[f32],
    width: usize,
    y: &mut Rows8,
) {
    let width = if W > 0 { W } else { width };
    // As many rows as are quantised together; those that a last group does not have hold what was there before.
    let mut values = MaybeUninit::<[f32; 16 * MOST_WIDTH]>::uninit();
    let values = values.as_mut_ptr().cast::<f32>();
    let many =
        std::array::from_fn(|r| values.wrapping_add(if r < look_ups.len() { r * width } else { 0 }).cast_const());
    for (group, look_ups) in look_ups.chunks(Q::MANY).enumerate() {
        for (r, l) in look_ups.iter().enumerate() {
            // SAFETY: indices lie inside the map, and steps of `LANES` inside rows of `width` values.
            unsafe {
                let row = values.add(r * width);
                let map = maps.get_unchecked(l.view as usize);
                let (mut taps, mut weight) = ([map.data.as_ptr(); 4], [S::splat(0.0); 4]);
                for t in 0..4 {
                    taps[t] = map.data.as_ptr().add(l.index[t] as usize * width);
                    weight[t] = S::splat(l.weight[t] * *map.scale.as_ptr().add(l.index[t] as usize));
                }
                let mut rgb = [S::splat(0.0); 3];
                for c in 0..3 {
                    rgb[c] = S::splat(l.colour[c]);
                }
                for i in (0..width).step_by(S::LANES) {
                    let mut sum = S::load(colour.as_ptr().add(3 * width + i));
                    for t in 0..4 {
                        sum = S::fma(weight[t], S::load_bytes(taps[t].add(i)), sum);
                    }
                    for c in 0..3 {
                        sum = S::fma(rgb[c], S::load(colour.as_ptr().add(c * width + i)), sum);
                    }
                    S::store(row.add(i), S::max(sum, S::splat(0.0)));
                }
            }
        }
        // SAFETY: the caller vouches for the instructions and for the shape of `y`; each of `many` has been written, in this
        // group or the first.
        unsafe { quantise::many_rows::<Q, W>(&many, group * Q::MANY, look_ups.len(), y) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::gather;
    use super::*;

    /// Against the same look-ups in the exact map: no further away than half a step of the map, of a weight of one, and half
    /// a step of the row.
    #[test]
    fn close_to_the_exact_look_up_with_every_set() {
        for width in [8, 16, 24, 32, 48, 64, 512] {
            let value = |i: usize| ((i * 7919) % 1009) as f32 / 504.5 - 1.0;
            let map: Vec<f32> = (0..6 * width).map(|i| value(i) * (1.0 + (i / width) as f32)).collect();
            let colour: Vec<f32> = (0..4 * width).map(|i| value(i + 5) * 0.3).collect();
            let look_ups = [
                LookUp { view: 0, index: [0, 1, 3, 4], weight: [0.1, 0.2, 0.3, 0.4], colour: [0.5, 0.25, 1.0] },
                LookUp { view: 1, index: [5, 0, 0, 0], weight: [0.75, 0.0, 0.0, 0.0], colour: [0.0; 3] },
                LookUp { view: 1, index: [2, 2, 2, 2], weight: [0.0; 4], colour: [0.0; 3] },
            ];
            // Some groups of rows, the last one not whole.
            let look_ups: Vec<LookUp> = look_ups.into_iter().cycle().take(37).collect();
            let mut first: Option<(Vec<u8>, Vec<f32>)> = None;
            for isa in Isa::available() {
                let mut exact = vec![0.0; look_ups.len() * width];
                gather(isa, &look_ups, &[&map, &map], &colour, width, &mut exact);
                let map8 = Map8::new(isa, &map, width);
                let mut y = Rows8::default();
                gather8(isa, &look_ups, &[&map8, &map8], &colour, width, &mut y);
                for (r, exact) in exact.chunks_exact(width).enumerate() {
                    let largest =
                        |i: u32| map[i as usize * width..][..width].iter().fold(0.0, |a: f32, v| a.max(v.abs()));
                    let of_map: f32 =
                        (0..4).map(|t| look_ups[r].weight[t] * largest(look_ups[r].index[t]) / 254.0).sum();
                    let step = y.scale()[r];
                    for (i, want) in exact.iter().enumerate() {
                        let got = step * f32::from(y.data()[r * y.stride() + i]);
                        assert!(
                            (got - want).abs() <= of_map + 0.5 * step + 1e-5,
                            "{isa} {width}: {got}, expected {want}"
                        );
                    }
                }
                let result = (y.data().to_vec(), y.scale().to_vec());
                let same = first.get_or_insert_with(|| result.clone());
                // Sums may round differently where products are fused.
                assert!(result.0.iter().zip(&same.0).all(|(a, b)| a.abs_diff(*b) <= 1), "{isa} {width}");
            }
        }
    }

    #[test]
    fn nothing_is_looked_up_for_nothing() {
        let mut y = Rows8::default();
        gather8(crate::isa(), &[], &[], &[0.0; 64], 16, &mut y);
        assert_eq!((y.rows(), y.width()), (0, 16));
    }

    #[test]
    #[should_panic(expected = "in a map of 2 pixels")]
    fn pixels_outside_are_refused() {
        let map = Map8::new(crate::isa(), &[0.0; 2 * 16], 16);
        let outside = LookUp { view: 0, index: [0, 1, 0, 2], ..LookUp::default() };
        gather8(crate::isa(), &[outside], &[&map], &[0.0; 64], 16, &mut Rows8::default());
    }

    #[test]
    fn a_pixel_that_is_no_number_spoils_no_other() {
        let isa = crate::isa();
        let mut map = vec![0.5; 2 * 16];
        map[3] = f32::NAN;
        let map = Map8::new(isa, &map, 16);
        let at = |pixel: u32| LookUp { view: 0, index: [pixel; 4], weight: [1.0, 0.0, 0.0, 0.0], colour: [0.0; 3] };
        let mut y = Rows8::default();
        gather8(isa, &[at(0), at(1)], &[&map], &[0.25; 64], 16, &mut y);
        assert!(y.scale()[1] * f32::from(y.data()[y.stride()]) > 0.74);
        assert_eq!(map.bytes(), 2 * 16 + 8);
    }
}
