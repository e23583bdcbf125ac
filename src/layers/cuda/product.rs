//! Matrix products.

use super::epilogue::Epilogue;
use super::reduce::reduce_launch;
use super::{Ops, Slice, SliceMut};
use compute::cuda::{Args, Launch, Result};

/// A row-major matrix in device memory, possibly read as its transpose.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: Slice<'a>,
    rows: usize,
    cols: usize,
    stride: usize,
    transposed: bool,
}

/// A row-major matrix in device memory, to be written.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    data: SliceMut<'a>,
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<'a> Matrix<'a> {
    /// A contiguous `[rows, cols]` matrix at the start of `data`.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn new(data: impl Into<Slice<'a>>, rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A matrix whose rows start `stride` values apart.
    ///
    /// # Panics
    /// If `data` is too short, or rows overlap.
    pub fn strided(data: impl Into<Slice<'a>>, rows: usize, cols: usize, stride: usize) -> Self {
        let data = data.into();
        assert_reach(data.len(), rows, cols, stride);
        Self { data, rows, cols, stride, transposed: false }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// Rows and columns as they are read.
    fn shape(&self) -> (usize, usize) {
        if self.transposed { (self.cols, self.rows) } else { (self.rows, self.cols) }
    }
}

impl<'a> MatrixMut<'a> {
    /// A contiguous `[rows, cols]` matrix at the start of `data`.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn new(data: impl Into<SliceMut<'a>>, rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A matrix whose rows start `stride` values apart.
    ///
    /// # Panics
    /// If `data` is too short, or rows overlap.
    pub fn strided(data: impl Into<SliceMut<'a>>, rows: usize, cols: usize, stride: usize) -> Self {
        let data = data.into();
        assert_reach(data.len(), rows, cols, stride);
        Self { data, rows, cols, stride }
    }
}

fn assert_reach(len: usize, rows: usize, cols: usize, stride: usize) {
    let reach = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * stride + cols };
    assert!(cols <= stride && reach <= len, "matrix {rows}x{cols}, stride {stride}, reaches past {len} values");
}

/// Threads of a block and terms of a step.
pub(super) const THREADS: u32 = 128;
pub(super) const DEPTH: usize = 16;
/// Fewest terms that are worth a block of their own.
const SHORTEST_PART: usize = 256;

/// How a product is cut into blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    kernel: &'static str,
    tiles: usize,
    /// Terms of each part of the sum.
    part: usize,
    parts: usize,
}

impl Plan {
    fn new(m: usize, n: usize, k: usize, wanted_blocks: usize) -> Self {
        let (high, wide) = (m > 64, n.next_power_of_two().clamp(16, 64));
        let kernel = match (high, wide) {
            (true, 16) => "training_product_128x16",
            (true, 32) => "training_product_128x32",
            (true, _) => "training_product_128x64",
            (false, 16) => "training_product_64x16",
            (false, 32) => "training_product_64x32",
            (false, _) => "training_product_64x64",
        };
        let tiles = m.div_ceil(if high { 128 } else { 64 }) * n.div_ceil(wide);
        let parts = (wanted_blocks / tiles).min(k / SHORTEST_PART).max(1);
        // Parts start at whole steps, which keeps 16-byte accesses aligned.
        let part = k.div_ceil(parts).next_multiple_of(DEPTH).max(DEPTH);
        Self { kernel, tiles, part, parts: k.div_ceil(part).max(1) }
    }
}

impl Ops {
    /// `c = a · b`, with `how` it is stored.
    ///
    /// # Shapes
    /// - `a`: `[M, K]`, `b`: `[K, N]`, `c`: `[M, N]`; any of them may be 0, and an empty sum is 0
    ///
    /// # Panics
    /// If the shapes disagree.
    ///
    /// # Errors
    /// If the device fails.
    pub fn product(&self, a: Matrix, b: Matrix, c: MatrixMut, how: Epilogue) -> Result<()> {
        self.any_product(a, b, c, how, false)
    }

    /// The same with a row more in `c`, behind the others: the sums of the columns of `b`.
    ///
    /// # Shapes
    /// - `a`: `[M, K]`, `b`: `[K, N]`, `c`: `[M + 1, N]`
    ///
    /// # Panics
    /// As [`Ops::product`].
    ///
    /// # Errors
    /// As [`Ops::product`].
    pub fn product_and_sums(&self, a: Matrix, b: Matrix, c: MatrixMut, how: Epilogue) -> Result<()> {
        self.any_product(a, b, c, how, true)
    }

    fn any_product(&self, a: Matrix, b: Matrix, c: MatrixMut, how: Epilogue, sums: bool) -> Result<()> {
        let ((m, k), (k_b, n)) = (a.shape(), b.shape());
        let rows = m + usize::from(sums);
        assert_eq!((k_b, c.rows, c.cols), (k, rows, n), "product of {m}x{k} and {k_b}x{n} into {}x{}", c.rows, c.cols);
        if let Some(bias) = how.bias {
            assert_eq!(bias.len(), n, "bias of {} for {n} columns", bias.len());
        }
        if m == 0 || n == 0 {
            return Ok(());
        }
        let plan = Plan::new(m, n, k, self.wanted_blocks());
        let mut scratch = self.partial.lock().expect("no launch panics");
        let partial =
            if plan.parts > 1 { scratch.resize(&self.device, plan.parts * rows * n)?.slice().address() } else { 0 };
        let args = Args::new()
            .value(a.data.address())
            .int(a.stride)
            .int(usize::from(a.transposed))
            .value(b.data.address())
            .int(b.stride)
            .int(usize::from(!b.transposed))
            .int(m)
            .int(n)
            .int(k)
            .int(plan.part)
            .value(partial);
        let args = args.value(c.data.address()).int(c.stride).int(usize::from(sums));
        let args = finish(args, how);
        let launch = Launch::new(plan.tiles, THREADS).grid(1, plan.parts);
        // SAFETY: the matrices reach inside their buffers (checked when they were made) and their shapes agree (checked
        // above); `c` is borrowed mutably, so it aliases neither `a` nor `b`; there are `parts` matrices of partial sums.
        unsafe { self.product.launch(plan.kernel, &launch, args)? };
        if plan.parts > 1 {
            self.reduce(partial, plan.parts, rows, n, c.data, c.stride, how)?;
        }
        Ok(())
    }

    /// `c = Σ partial`, with `how` it is stored; `partial` is the address of `[count, m, n]` values.
    pub(crate) fn reduce(
        &self,
        partial: u64,
        count: usize,
        m: usize,
        n: usize,
        c: SliceMut,
        stride: usize,
        how: Epilogue,
    ) -> Result<()> {
        let args = Args::new().value(partial).int(count).int(m).int(n).value(c.address()).int(stride);
        let args = finish(args, how);
        // SAFETY: the kernel reads `count` matrices of m·n values, which the callers have just written, and writes the
        // matrix that they have checked.
        unsafe { self.reduce.launch("training_reduce", &reduce_launch(m * n), args) }
    }
}

/// The arguments that say how results are stored.
fn finish(args: Args, how: Epilogue) -> Args {
    args.value(how.bias.map_or(0u64, |b| b.address()))
        .float(how.alpha)
        .int(usize::from(how.accumulate))
        .int(usize::from(how.relu))
}

#[cfg(test)]
#[path = "product_tests.rs"]
mod tests;
