//! Exact folding: from parameters as checkpoints name them to the matrices that products read, and gradients back.
//!
//! Every folded value is a copy of a parameter, a product of two parameter matrices, or a sum of such. The list of
//! [`Fold`]s is built once; [`fold`] runs it forward and [`unfold`] runs its adjoint, so that training sees gradients
//! of the original parameters while all per-sample work happens in the smaller folded network.

use crate::Slot;
use crate::linear::LinearKind;
use compute::{Mat, MatMut, matmul};
use std::borrow::Cow;

/// A block inside a folded matrix.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The folded matrix.
    pub slot: Slot,
    /// Its number of columns.
    pub columns: usize,
    /// First row of the block.
    pub row: usize,
    /// First column of the block.
    pub column: usize,
}

impl Place {
    /// The block that starts at the matrix's first entry.
    pub fn start(slot: Slot, columns: usize) -> Self {
        Self { slot, columns, row: 0, column: 0 }
    }

    /// The block that starts at `(row, column)`.
    pub fn at(slot: Slot, columns: usize, row: usize, column: usize) -> Self {
        Self { slot, columns, row, column }
    }

    fn offset(&self) -> usize {
        self.row * self.columns + self.column
    }
}

/// One step of folding; each adds to its place.
#[derive(Clone, Copy, Debug)]
pub enum Fold {
    /// Adds `scale · Wᵀ`, where `W` is `outputs × inputs`, columns `first ..` of a parameter with `columns` columns.
    Transpose {
        /// The parameter.
        from: Slot,
        /// Its number of columns.
        columns: usize,
        /// First column used.
        first: usize,
        /// Rows of `W`.
        outputs: usize,
        /// Columns of `W`.
        inputs: usize,
        /// Factor.
        scale: f32,
        /// Weights of a shift layer are rounded to signed powers of two first.
        kind: LinearKind,
        /// `[inputs, outputs]` block.
        to: Place,
    },
    /// Adds a convolution's weight `[outputs, inputs, taps]` as `[taps, inputs, outputs]`.
    Taps {
        /// The parameter.
        from: Slot,
        /// Output channels.
        outputs: usize,
        /// Input channels of each output.
        inputs: usize,
        /// Pixels of the kernel.
        taps: usize,
        /// The whole folded matrix.
        to: Slot,
    },
    /// Adds `(A · B)ᵀ` of two parameters.
    Product {
        /// `[outputs, inner]`.
        a: Slot,
        /// `[inner, inputs]`.
        b: Slot,
        /// Rows of `A`.
        outputs: usize,
        /// Columns of `A`.
        inner: usize,
        /// Columns of `B`.
        inputs: usize,
        /// `[inputs, outputs]` block.
        to: Place,
    },
}

impl Fold {
    /// The transpose of a whole `outputs × inputs` parameter.
    pub fn transpose(from: Slot, outputs: usize, inputs: usize, to: Place) -> Self {
        Self::Transpose { from, columns: inputs, first: 0, outputs, inputs, scale: 1.0, kind: LinearKind::Dense, to }
    }

    /// The same for a layer of `kind`.
    pub fn of_kind(mut self, kind: LinearKind) -> Self {
        if let Self::Transpose { kind: own, .. } = &mut self {
            *own = kind;
        }
        self
    }

    /// A bias, as a row.
    pub fn bias(from: Slot, to: Place) -> Self {
        Self::transpose(from, from.len, 1, to)
    }

    /// The transposed product of two parameters.
    pub fn product(a: Slot, b: Slot, outputs: usize, inner: usize, inputs: usize, to: Place) -> Self {
        Self::Product { a, b, outputs, inner, inputs, to }
    }
}

/// Computes the folded vector of length `folded_len` from `params`.
pub fn fold(folds: &[Fold], params: &[f32], folded_len: usize) -> Vec<f32> {
    let mut folded = vec![0.0; folded_len];
    for step in folds {
        match *step {
            Fold::Transpose { from, columns, first, outputs, inputs, scale, kind, to } => {
                let mut from = Cow::Borrowed(from.of(params));
                if let LinearKind::Shift { bits } = kind {
                    let mut rounded = vec![0.0; from.len()];
                    crate::shift::quantise(&from, columns, bits, &mut rounded);
                    from = Cow::Owned(rounded);
                }
                let into = &mut to.slot.of_mut(&mut folded)[to.offset()..];
                for i in 0..inputs {
                    for o in 0..outputs {
                        into[i * to.columns + o] += scale * from[o * columns + first + i];
                    }
                }
            }
            Fold::Taps { from, outputs, inputs, taps, to } => {
                let (from, into) = (from.of(params), to.of_mut(&mut folded));
                each_tap(outputs, inputs, taps, |parameter, place| into[place] += from[parameter]);
            }
            Fold::Product { a, b, outputs, inner, inputs, to } => {
                let a = Mat::new(a.of(params), outputs, inner);
                let b = Mat::new(b.of(params), inner, inputs);
                let into = &mut to.slot.of_mut(&mut folded)[to.offset()..];
                matmul(1.0, b.t(), a.t(), MatMut::strided(into, inputs, outputs, to.columns), true);
            }
        }
    }
    folded
}

/// Calls with every place in `[outputs, inputs, taps]` and its place in `[taps, inputs, outputs]`.
fn each_tap(outputs: usize, inputs: usize, taps: usize, mut call: impl FnMut(usize, usize)) {
    for (o, i) in (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))) {
        (0..taps).for_each(|t| call((o * inputs + i) * taps + t, (t * inputs + i) * outputs + o));
    }
}

/// Adds to `grads` the gradients of the parameters, given those of the folded values (the adjoint of [`fold`]).
pub fn unfold(folds: &[Fold], params: &[f32], folded_grads: &[f32], grads: &mut [f32]) {
    for step in folds {
        match *step {
            // Gradients pass the rounding of a shift layer as they are (straight-through).
            Fold::Transpose { from, columns, first, outputs, inputs, scale, to, .. } => {
                let from = from.of_mut(grads);
                let got = &to.slot.of(folded_grads)[to.offset()..];
                for i in 0..inputs {
                    for o in 0..outputs {
                        from[o * columns + first + i] += scale * got[i * to.columns + o];
                    }
                }
            }
            Fold::Taps { from, outputs, inputs, taps, to } => {
                let (from, got) = (from.of_mut(grads), to.of(folded_grads));
                each_tap(outputs, inputs, taps, |parameter, place| from[parameter] += got[place]);
            }
            Fold::Product { a, b, outputs, inner, inputs, to } => {
                let got = &to.slot.of(folded_grads)[to.offset()..];
                let got = Mat::strided(got, inputs, outputs, to.columns);
                let b_rows = Mat::new(b.of(params), inner, inputs);
                matmul(1.0, got.t(), b_rows.t(), MatMut::new(a.of_mut(grads), outputs, inner), true);
                let a_rows = Mat::new(a.of(params), outputs, inner);
                matmul(1.0, a_rows.t(), got.t(), MatMut::new(b.of_mut(grads), inner, inputs), true);
            }
        }
    }
}
