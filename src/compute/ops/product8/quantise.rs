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
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        match out.width {
            32 => of_width::<Q, 32>(pick, x, x_stride, out),
            64 => of_width::<Q, 64>(pick, x, x_stride, out),
            _ => of_width::<Q, 0>(pick, x, x_stride, out),
        }
    }
}

/// Rows of `W` values, which the compiler unrolls, or of any number, where that is 0.
///
/// # Safety
/// As [`kernel`]; `W` is the width or 0.
#[inline(always)]
unsafe fn of_width<Q: Passes, const W: usize>(pick: Option<&[u32]>, x: &[f32], x_stride: usize, out: &mut Rows8) {
    let rows = out.rows;
    let width = if W > 0 { W } else { out.width };
    let start = |row: usize| {
        let from = pick.map_or(row, |rows| rows[row] as usize) * x_stride;
        assert!(from + width <= x.len(), "values {from}..{} of {}", from + width, x.len());
        x[from..].as_ptr()
    };
    for first in (0..rows).step_by(Q::MANY) {
        let count = Q::MANY.min(rows - first);
        // The first row stands for those that are not there.
        let mut many = [start(first); 16];
        for r in 1..count {
            many[r] = start(first + r);
        }
        // SAFETY: the caller vouches for the instructions; rows were measured when their start was taken.
        unsafe { many_rows::<Q, W>(&many, first, count, out) };
    }
}

/// Writes `count` rows of bytes from row `first` on, at most [`Passes::MANY`].
///
/// # Safety
/// The instructions of `Q` are available, `out` has been shaped, `W` is its width or 0, and there are as many values at each of
/// the first [`Passes::MANY`] pointers.
#[inline(always)]
pub(in crate::ops) unsafe fn many_rows<Q: Passes, const W: usize>(
    many: &[*const f32; 16],
    first: usize,
    count: usize,
    out: &mut Rows8,
) {
    let sign = out.sign;
    let (width, stride) = if W > 0 { (W, W) } else { (out.width, out.stride) };
    assert!(count <= 16 && (first + count) * stride <= out.data.len(), "rows {first} on of {} rows", out.rows);
    // SAFETY: the caller vouches for the instructions and the pointers.
    let largest = unsafe { Q::largest_bits_of(many, width) }.map(f32::from_bits);
    // What is one number a row is computed for all of them at once.
    let (mut factors, mut scales) = ([0.0; 16], [0.0; 16]);
    for r in 0..Q::MANY {
        (factors[r], scales[r]) = factor_and_scale(largest[r], sign);
    }
    for r in 0..count {
        // SAFETY: as above; these are the row's own values and bytes, as was just checked.
        unsafe {
            let bytes = std::slice::from_raw_parts_mut(out.data.as_mut_ptr().add((first + r) * stride), stride);
            convert::<Q>(std::slice::from_raw_parts(many[r], width), sign, factors[r], bytes);
        }
    }
    out.scale[first..first + count].copy_from_slice(&scales[..count]);
}

/// What a row's values are multiplied by, 0 where its bytes are all the zero point, and the value of a step.
#[inline(always)]
fn factor_and_scale(largest: f32, sign: Sign) -> (f32, f32) {
    let usual = (SMALLEST..=f32::MAX).contains(&largest);
    let other = if largest <= f32::MAX { 0.0 } else { f32::NAN };
    let (factor, scale) = (sign.steps() / largest, largest / sign.steps());
    (if usual { factor } else { 0.0 }, if usual { scale } else { other })
}

/// Writes the bytes of one row, as long as `x`, rounded up to a multiple of eight.
///
/// # Safety
/// The instructions of `Q` are available.
#[inline(always)]
unsafe fn convert<Q: Passes>(x: &[f32], sign: Sign, factor: f32, bytes: &mut [u8]) {
    if factor == 0.0 {
        bytes.fill(sign.zero());
        return;
    }
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        match sign {
            Sign::Signed => Q::convert::<true>(x, factor, bytes),
            Sign::NonNegative => Q::convert::<false>(x, factor, bytes),
        }
    }
}
