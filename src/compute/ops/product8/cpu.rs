//! Register-tiled product of bytes: which kernel runs, and how it goes through a matrix.
//!
//! Weights in codes are decoded to bytes once per call, a first cache's worth at a time. Kept as bytes they would save
//! 1 to 8 % at twice the memory: on one Zen 5 core with AVX-512 VNNI (2026-12-01, best of 30) a matrix of 64x256 takes
//! 6.9 µs from either for 192 rows, and 0.98 from codes against 0.90 from bytes for 24.

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512, AvxVnni, Vnni};
use super::lanes::{Dot, Portable};
use super::pack::{Blocks, Bytes, Codes, EIGHT};
use super::tile::{self, ADD, Chunk, RELU, ROUTED, STORE, SUMS};
#[cfg(target_arch = "x86_64")]
use super::tiles;
use super::{Epilogue, PANEL, Packed8, Rows8};
use crate::Isa;
use crate::simd::Simd;
use std::cell::RefCell;
use std::ops::Range;

/// What becomes of the sums.
#[derive(Clone, Copy)]
pub enum Finish<'a> {
    /// Stored as they are, in place of `f32`.
    Sums,
    /// Scaled, and the bias added.
    Scaled(Epilogue),
    /// Scaled, the bias added, and `gate` times that added to row `rows[r]` of the output.
    Routed(&'a [u32], &'a [f32]),
}

/// From this number of rows on tiles are used.
const LEAST_TILE_ROWS: usize = 6;

/// Decoded panels, kept by each thread.
pub(super) type Decoded = Vec<Bytes>;

/// # Safety
/// `y` is valid for rows of [`crate::ops::padded`] outputs, `y_stride` apart; `x` is as wide as `weight` has inputs. Of a
/// routed product there are as many rows and gates as `x` has rows, and `y` is valid for the rows that are named.
pub(super) unsafe fn product8(isa: Isa, x: &Rows8, weight: &Packed8, y: *mut f32, y_stride: usize, finish: Finish) {
    thread_local!(static DECODED: RefCell<Decoded> = const { RefCell::new(Vec::new()) });
    // Most of a tile would be empty.
    let isa = if x.rows() < LEAST_TILE_ROWS { isa.without_amx() } else { isa };
    let call = Call { isa, x, weight, y, y_stride, finish };
    // SAFETY: as the caller vouches.
    DECODED.with_borrow_mut(|decoded| unsafe { run(isa, call, decoded) });
}

crate::simd_fn! {
    /// # Safety
    /// As [`product8`].
    unsafe fn run(isa: Isa, call: Call, decoded: &mut Decoded) => {
        // SAFETY: here are tiles and the instructions of `Vnni`; the caller vouches for the rest.
        avx512+amx => unsafe { tiles::kernel(call, decoded) },
        // SAFETY: here are the instructions of `Vnni`; the caller vouches for the rest.
        avx512+vnni => unsafe { kernel::<Vnni>(call, decoded) },
        // SAFETY: here are those of `Avx512`.
        avx512 => unsafe { kernel::<Avx512>(call, decoded) },
        // SAFETY: here are those of `AvxVnni`.
        avx2+vnni => unsafe { kernel::<AvxVnni>(call, decoded) },
        // SAFETY: here are those of `Avx2`.
        avx2 => unsafe { kernel::<Avx2>(call, decoded) },
        // SAFETY: `Portable` needs no special instructions.
        portable => unsafe { kernel::<Portable>(call, decoded) },
    }
}

/// What [`product8`] was called with.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub isa: Isa,
    pub x: &'a Rows8,
    pub weight: &'a Packed8,
    pub y: *mut f32,
    pub y_stride: usize,
    pub finish: Finish<'a>,
}

/// Blocks of weights that one pass over the rows goes through: half of a first cache of 32 KB.
const CHUNK: usize = (16 << 10) / size_of::<Bytes>();

/// # Safety
/// The instructions of `D` are available; the rest as [`product8`].
#[inline(always)]
unsafe fn kernel<D: Dot>(call: Call, decoded: &mut Decoded) {
    let weight = call.weight;
    let octets = weight.inputs.div_ceil(EIGHT);
    let panels = weight.scale.len() / PANEL;
    let widest = D::REGISTERS * D::F::LANES / PANEL;
    // The panels of a step stay in the first cache while all rows go by.
    let step = (CHUNK / octets.max(1) / widest * widest).max(widest);
    for panel in (0..panels).step_by(step) {
        let panels = step.min(panels - panel);
        let blocks = panel * octets..(panel + panels) * octets;
        // SAFETY: the caller vouches for the instructions, and the blocks are those of `panels` panels.
        unsafe {
            let blocks = blocks_of(call.isa, weight, blocks, decoded);
            let chunk = Chunk { octets, blocks: blocks.as_ptr().cast(), panels, column: panel * PANEL, call };
            match call.finish {
                Finish::Sums => tile::all_rows::<D, SUMS>(chunk),
                Finish::Scaled(Epilogue::Store) => tile::all_rows::<D, STORE>(chunk),
                Finish::Scaled(Epilogue::Relu) => tile::all_rows::<D, RELU>(chunk),
                Finish::Scaled(Epilogue::Add) => tile::all_rows::<D, ADD>(chunk),
                Finish::Routed(..) => tile::all_rows::<D, ROUTED>(chunk),
            }
        }
    }
}

/// Blocks of a matrix as bytes, as the kernel of `isa` reads them.
pub(super) fn blocks_of<'a>(
    isa: Isa,
    weight: &'a Packed8,
    blocks: Range<usize>,
    decoded: &'a mut Decoded,
) -> &'a [Bytes] {
    if let (Blocks::Bytes(bytes), true) = (&weight.blocks, isa.has_vector_bytes()) {
        return &bytes[blocks];
    }
    decoded.resize(decoded.len().max(blocks.len()), Bytes([0; _]));
    let to = &mut decoded[..blocks.len()];
    match &weight.blocks {
        Blocks::Codes(codes) => decode(isa, &codes[blocks], to),
        Blocks::Bytes(bytes) => bytes[blocks].iter().zip(&mut *to).for_each(|(from, to)| Portable::rearrange(from, to)),
    }
    to
}

crate::simd_fn! {
    fn decode(isa: Isa, codes: &[Codes], to: &mut [Bytes]) => {
        // SAFETY: here are the instructions of `Avx512`.
        avx512 => codes.iter().zip(to).for_each(|(codes, to)| unsafe { Avx512::decode(codes, to) }),
        // SAFETY: here are those of `Avx2`.
        avx2 => codes.iter().zip(to).for_each(|(codes, to)| unsafe { Avx2::decode(codes, to) }),
        // SAFETY: `Portable` needs no special instructions.
        portable => codes.iter().zip(to).for_each(|(codes, to)| unsafe { Portable::decode(codes, to) }),
    }
}
