use super::*;
use crate::cuda::Store;
use crate::cuda::testing::{assert_near, in_each_schedule, ops, uniform, upload};
use crate::params::SplitMix;

const TOLERANCE: f32 = 1e-5;

/// One operand in memory: an offset, a stride and whether it lies transposed.
#[derive(Clone, Copy, Debug)]
struct Lie {
    offset: usize,
    gap: usize,
    transposed: bool,
}

const PLAIN: Lie = Lie { offset: 0, gap: 0, transposed: false };

struct Operand {
    rows: usize,
    cols: usize,
    lie: Lie,
    values: Vec<f32>,
    store: Store,
}

impl Operand {
    fn new(ops: &Ops, rows: usize, cols: usize, lie: Lie, seed: u64) -> Self {
        let (outer, inner) = if lie.transposed { (cols, rows) } else { (rows, cols) };
        let values = uniform(&mut SplitMix(seed), lie.offset + outer * (inner + lie.gap), 1.0);
        let store = upload(ops, &values);
        Self { rows, cols, lie, values, store }
    }

    fn matrix(&self) -> Matrix<'_> {
        let (outer, inner) = if self.lie.transposed { (self.cols, self.rows) } else { (self.rows, self.cols) };
        let view = self.store.slice().part(self.lie.offset..self.values.len());
        let matrix = Matrix::strided(view, outer, inner, inner + self.lie.gap);
        if self.lie.transposed { matrix.t() } else { matrix }
    }

    fn at(&self, r: usize, c: usize) -> f64 {
        let (outer, inner, wide) = if self.lie.transposed { (c, r, self.rows) } else { (r, c, self.cols) };
        f64::from(self.values[self.lie.offset + outer * (wide + self.lie.gap) + inner])
    }
}

fn check(ops: &Ops, [m, n, k]: [usize; 3], a: Lie, b: Lie, c: Lie, alpha: f32, [add, bias, relu]: [bool; 3]) {
    let (a, b) = (Operand::new(ops, m, k, a, 1), Operand::new(ops, k, n, b, 2));
    let mut target = Operand::new(ops, m, n, c, 3);
    let bias_values = uniform(&mut SplitMix(4), n, 1.0);
    let bias_store = upload(ops, &bias_values);
    let mut expected = target.values.clone();
    for r in 0..m {
        for c in 0..n {
            let sum: f64 = (0..k).map(|t| a.at(r, t) * b.at(t, c)).sum();
            let there = if add { target.at(r, c) } else { 0.0 };
            let v = there + f64::from(alpha) * sum + if bias { f64::from(bias_values[c]) } else { 0.0 };
            expected[target.lie.offset + r * (n + target.lie.gap) + c] = if relu { v.max(0.0) } else { v } as f32;
        }
    }
    let how = Epilogue { alpha, accumulate: add, bias: bias.then(|| bias_store.slice()), relu };
    let (offset, gap, end) = (target.lie.offset, target.lie.gap, target.values.len());
    let c = MatrixMut::strided(target.store.slice_mut().part(offset..end), m, n, n + gap);
    ops.product(a.matrix(), b.matrix(), c, how).unwrap();
    // What lies between the rows is compared as well.
    assert_near(&format!("{m}x{n}x{k}"), &target.store.read().unwrap(), &expected, TOLERANCE);
}

#[test]
fn products_of_all_sizes() {
    let ops = ops();
    for size in [[1, 1, 1], [33, 2, 31], [65, 48, 16], [129, 65, 17], [31, 192, 33], [130, 17, 100], [256, 32, 64]] {
        check(&ops, size, PLAIN, PLAIN, PLAIN, 1.0, [false; 3]);
        check(&ops, size, PLAIN, Lie { transposed: true, ..PLAIN }, PLAIN, -0.5, [true, true, true]);
    }
    check(&ops, [5, 3, 0], PLAIN, PLAIN, PLAIN, 1.0, [false, true, false]);
    check(&ops, [0, 3, 5], PLAIN, PLAIN, PLAIN, 1.0, [false; 3]);
    check(&ops, [3, 0, 5], PLAIN, PLAIN, PLAIN, 1.0, [false; 3]);
}

#[test]
fn operands_may_be_transposed_strided_and_unaligned() {
    let ops = ops();
    let lies = [
        Lie { offset: 0, gap: 3, transposed: false },
        Lie { offset: 1, gap: 0, transposed: true },
        Lie { offset: 4, gap: 4, transposed: false },
        Lie { offset: 8, gap: 8, transposed: true },
    ];
    for a in lies {
        for b in lies {
            check(&ops, [65, 36, 44], a, b, Lie { transposed: false, ..b }, 2.0, [true, false, false]);
        }
    }
}

#[test]
fn long_sums_are_cut_and_added_in_order() {
    let ops = ops();
    for size in [[16, 16, 3001], [48, 33, 999], [65, 3, 2048]] {
        let plan = Plan::new(size[0], size[1], size[2], ops.wanted_blocks());
        assert!(plan.parts > 1, "{plan:?}");
        check(&ops, size, Lie { transposed: true, ..PLAIN }, PLAIN, PLAIN, 1.0, [true, false, false]);
        check(&ops, size, PLAIN, PLAIN, Lie { gap: 2, ..PLAIN }, 0.5, [false, true, true]);
    }
    assert_eq!(
        Plan::new(64, 64, 1 << 21, 528),
        Plan { kernel: "training_product_64x64", tiles: 1, part: 3984, parts: 527 }
    );
    assert_eq!(Plan::new(1 << 21, 48, 48, 528).parts, 1);
}

/// A row more than the product has: the sums of the right matrix's columns, in one piece and in many.
#[test]
fn sums_of_columns_come_along() {
    let ops = ops();
    for [m, n, k] in [[1, 1, 1], [5, 3, 7], [64, 16, 300], [65, 33, 40], [130, 70, 2500], [32, 200, 1111]] {
        let (a, b) =
            (Operand::new(&ops, m, k, Lie { transposed: true, ..PLAIN }, 1), Operand::new(&ops, k, n, PLAIN, 2));
        let before = uniform(&mut SplitMix(3), (m + 1) * n, 1.0);
        let mut c = upload(&ops, &before);
        let target = MatrixMut::new(c.slice_mut(), m + 1, n);
        ops.product_and_sums(a.matrix(), b.matrix(), target, Epilogue::add()).unwrap();
        let value = |r: usize, c: usize| -> f64 {
            (0..k).map(|t| if r < m { a.at(r, t) * b.at(t, c) } else { b.at(t, c) }).sum()
        };
        let expected: Vec<f32> =
            before.iter().enumerate().map(|(i, there)| (f64::from(*there) + value(i / n, i % n)) as f32).collect();
        assert_near(&format!("{m}x{n}x{k}"), &c.read().unwrap(), &expected, TOLERANCE);
    }
}

#[test]
fn order_of_threads_does_not_matter() {
    let ops = ops();
    let (a, b) = (Operand::new(&ops, 70, 600, PLAIN, 5), Operand::new(&ops, 600, 40, PLAIN, 6));
    let mut found = Vec::new();
    in_each_schedule(|_| {
        let mut c = upload(&ops, &[0.0; 70 * 40]);
        ops.product(a.matrix(), b.matrix(), MatrixMut::new(&mut c, 70, 40), Epilogue::default()).unwrap();
        found.push(c.read().unwrap());
    });
    assert!(found[0].iter().any(|v| *v != 0.0));
    assert!(found.iter().all(|f| *f == found[0]), "a sum depends on the order of threads");
}

#[test]
#[should_panic(expected = "product of 2x3 and 4x5 into 2x5")]
fn refuses_shapes_that_disagree() {
    let ops = ops();
    let (a, b, mut c) = (upload(&ops, &[0.0; 6]), upload(&ops, &[0.0; 20]), upload(&ops, &[0.0; 10]));
    let (a, b) = (Matrix::new(&a, 2, 3), Matrix::new(&b, 4, 5));
    ops.product(a, b, MatrixMut::new(&mut c, 2, 5), Epilogue::default()).unwrap();
}

#[test]
#[should_panic(expected = "reaches past")]
fn refuses_a_matrix_past_the_end() {
    let ops = ops();
    Matrix::new(&upload(&ops, &[0.0; 5]), 2, 3);
}
