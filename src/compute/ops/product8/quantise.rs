//! Rows of `f32` to bytes, each row with a scale of its own.

use super::lanes::Portable;
#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::pack::EIGHT;
use super::passes::Passes;
use crate::Isa;

/// What values a row has, which decides how bytes stand for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Any value: `q = round(x · 127 / max|x|) + 128`.
    Signed,
    /// Values of at least zero, as after a ReLU: `q = round(x · 255 / max|x|)`. A negative value becomes zero.
    NonNegative,
}

impl Sign {
    /// The byte that stands for zero.
    pub fn zero(self) -> u8 {
        match self {
            Self::Signed => 128,
            Self::NonNegative => 0,
        }
    }

    /// Steps between zero and the largest magnitude.
    pub fn steps(self) -> f32 {
        match self {
            Self::Signed => 127.0,
            Self::NonNegative => 255.0,
        }
    }
}

/// Rows of bytes: `x ≈ scale[row] · (byte − zero)`. Made to be reused: memory grows to the largest use and stays.
#[derive(Clone, Debug)]
pub struct Rows8 {
    rows: usize,
    width: usize,
    stride: usize,
    sign: Sign,
    data: Vec<u8>,
    scale: Vec<f32>,
}

/// Rows after the last one that kernels may read, so that they can take sixteen at a time.
const SLACK_ROWS: usize = 15;

impl Default for Rows8 {
    fn default() -> Self {
        Self { rows: 0, width: 0, stride: 0, sign: Sign::Signed, data: Vec::new(), scale: Vec::new() }
    }
}

impl Rows8 {
    /// Rows given as bytes, `[rows, width]`, and their scales.
    pub fn from_bytes(bytes: &[u8], scale: &[f32], width: usize, sign: Sign) -> Self {
        assert_eq!(bytes.len(), scale.len() * width, "bytes of {} rows of {width}", scale.len());
        let mut rows = Self::default();
        rows.shape(scale.len(), width, sign);
        rows.scale.copy_from_slice(scale);
        for row in 0..scale.len() {
            let (used, rest) = rows.data[row * rows.stride..][..rows.stride].split_at_mut(width);
            used.copy_from_slice(&bytes[row * width..][..width]);
            rest.fill(sign.zero());
        }
        rows
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Bytes from row to row: `width` rounded up to a multiple of eight. The bytes between are the zero point.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// How bytes stand for values.
    pub fn sign(&self) -> Sign {
        self.sign
    }

    /// The bytes, `[rows, stride]`.
    pub fn data(&self) -> &[u8] {
        &self.data[..self.rows * self.stride]
    }

    /// Value of one step in each row.
    pub fn scale(&self) -> &[f32] {
        &self.scale[..self.rows]
    }

    /// The bytes of a row and its scale, to be written.
    pub(in crate::ops) fn row_mut(&mut self, row: usize) -> (&mut [u8], &mut f32) {
        (&mut self.data[row * self.stride..][..self.stride], &mut self.scale[row])
    }

    /// The bytes and those of some rows after them, which hold anything.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn data_with_slack(&self) -> &[u8] {
        &self.data
    }

    /// Makes room for rows, which hold anything.
    pub(in crate::ops) fn shape(&mut self, rows: usize, width: usize, sign: Sign) {
        (self.rows, self.width, self.stride, self.sign) = (rows, width, width.next_multiple_of(EIGHT), sign);
        self.data.resize(self.data.len().max((rows + SLACK_ROWS) * self.stride), 0);
        self.scale.resize(self.scale.len().max(rows), 0.0);
    }
}

/// Rows whose largest magnitude is below this count as zero: `255 / max` must stay finite.
const SMALLEST: f32 = 1e-30;

/// Writes the first `rows` rows of `x` as bytes, rounding to nearest, ties to even.
///
/// The bytes are the same with every instruction set. A row of zeros (nothing of `1e-30` or above) has scale 0; a row with a value
/// that is not finite has scale NaN, so that its products are NaN as they would be in `f32`. The bytes of either are
/// the zero point.
///
/// # Shapes
/// - `x`: `[rows, width]`, rows `x_stride` apart
/// - `out`: becomes `[rows, width]`
pub fn quantise(isa: Isa, rows: usize, x: &[f32], x_stride: usize, width: usize, sign: Sign, out: &mut Rows8) {
    run(isa, rows, None, x, x_stride, width, sign, out);
}

/// As [`quantise`] for the rows of `x` that are listed, in that order.
pub fn quantise_rows(isa: Isa, rows: &[u32], x: &[f32], x_stride: usize, width: usize, sign: Sign, out: &mut Rows8) {
    run(isa, rows.len(), Some(rows), x, x_stride, width, sign, out);
}

fn run(
    isa: Isa,
    rows: usize,
    pick: Option<&[u32]>,
    x: &[f32],
    x_stride: usize,
    width: usize,
    sign: Sign,
    out: &mut Rows8,
) {
    out.shape(rows, width, sign);
    all(isa, pick, x, x_stride, out);
}

crate::simd_fn! {
    fn all(isa: Isa, pick: Option<&[u32]>, x: &[f32], x_stride: usize, out: &mut Rows8) => {
        // SAFETY: here are the instructions of `Avx512`.
        avx512 => unsafe { kernel::<Avx512>(pick, x, x_stride, out) },
        // SAFETY: here are those of `Avx2`.
        avx2 => unsafe { kernel::<Avx2>(pick, x, x_stride, out) },
        // SAFETY: `Portable` needs no special instructions.
        portable => unsafe { kernel::<Portable>(pick, x, x_stride, out) },
    }
}

/// # Safety
/// The instructions of `Q` are available.
#[inline(always)]
unsafe fn kernel<Q: Passes>(pick: Option<&[u32]>, x: &[f32], x_stride: usize, out: &mut Rows8) {
    let Rows8 { rows, width, stride, sign, .. } = *out;
    for row in 0..rows {
        let from = pick.map_or(row, |rows| rows[row] as usize) * x_stride;
        assert!(from + width <= x.len(), "values {from}..{} of {}", from + width, x.len());
        let x = &x[from..from + width];
        // SAFETY: the caller vouches for the instructions.
        out.scale[row] = unsafe { one_row::<Q>(x, sign, &mut out.data[row * stride..][..stride]) };
    }
}

/// Writes one row and returns its scale; `bytes` is as long as `x`, rounded up to a multiple of eight.
///
/// # Safety
/// The instructions of `Q` are available.
#[inline(always)]
pub(in crate::ops) unsafe fn one_row<Q: Passes>(x: &[f32], sign: Sign, bytes: &mut [u8]) -> f32 {
    // SAFETY: the caller vouches for the instructions.
    let largest = f32::from_bits(unsafe { Q::largest_bits(x) });
    if (SMALLEST..=f32::MAX).contains(&largest) {
        let factor = sign.steps() / largest;
        // SAFETY: as above.
        unsafe {
            match sign {
                Sign::Signed => Q::convert::<true>(x, factor, bytes),
                Sign::NonNegative => Q::convert::<false>(x, factor, bytes),
            }
        }
        largest / sign.steps()
    } else {
        bytes.fill(sign.zero());
        if largest <= f32::MAX { 0.0 } else { f32::NAN }
    }
}
