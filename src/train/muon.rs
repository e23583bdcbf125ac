//! The Muon optimiser for matrices: momentum whose singular values are all made about one.
//!
//! Adam scales each number by itself, so a matrix moves mostly along the few directions in which its gradients are large.
//! Muon (Jordan and others, 2024) replaces the momentum by the nearest matrix with orthogonal rows or columns, so that all
//! directions move alike. It is found without a decomposition, by five steps of a polynomial (Newton and Schulz). The update
//! is scaled to the size that Adam's have (Liu and others, 2025), so that both take one learning rate.

use compute::matrix::{Mat, MatMut, matmul};
use compute::parallel;
use std::ops::Range;

/// Part of the momentum that is kept in a step.
const MOMENTUM: f32 = 0.95;
/// Steps of the polynomial.
const STEPS: usize = 5;
/// The polynomial's coefficients, of the first, third and fifth power (Jordan's).
const POLYNOMIAL: [f32; 3] = [3.4445, -4.7750, 2.0315];
/// Root of the mean square of an update, about Adam's.
const SIZE: f32 = 0.2;
/// Fewest rows and columns: below it there are no directions to even out.
const FEWEST: usize = 16;

/// A parameter that Muon updates: a matrix of `rows` outputs in the flat vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    offset: usize,
    rows: usize,
    cols: usize,
}

/// The parameters of a layout that Muon takes: weights of linear layers and convolutions (one row an output) with at least
/// 16 rows and columns. Embeddings of positions are no matrices that anything is multiplied by.
pub(crate) fn matrices(layout: &layers::params::Layout) -> Vec<Matrix> {
    let matrix = |entry: &layers::params::Entry| {
        let rows = *entry.shape.first().filter(|_| entry.name.ends_with("weight"))?;
        let cols = entry.slot.len / rows.max(1);
        (rows.min(cols) >= FEWEST).then_some(Matrix { offset: entry.slot.offset, rows, cols })
    };
    layout.entries().iter().filter_map(matrix).collect()
}

/// The parameters between and beside the matrices, `len` in all.
pub(crate) fn others(matrices: &[Matrix], len: usize) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(matrices.iter().map(|m| m.offset + m.rows * m.cols));
    let ends = matrices.iter().map(|m| m.offset).chain(std::iter::once(len));
    starts.zip(ends).map(|(start, end)| start..end).filter(|part| !part.is_empty()).collect()
}

/// Updates the matrices in place by `rate`; `momentum` is as long as `params`, of which only the matrices' parts are used.
/// The result does not depend on the number of threads.
pub(crate) fn update(
    matrices: &[Matrix],
    momentum: &mut [f32],
    params: &mut [f32],
    grads: &[f32],
    rate: f32,
    threads: usize,
) {
    let mut updates: Vec<(Matrix, Vec<f32>)> = Vec::with_capacity(matrices.len());
    for &matrix in matrices {
        let part = matrix.offset..matrix.offset + matrix.rows * matrix.cols;
        let ahead = momentum[part.clone()].iter_mut().zip(&grads[part]).map(|(m, g)| {
            *m = MOMENTUM * *m + (1.0 - MOMENTUM) * g;
            // One step ahead, as Nesterov has it.
            MOMENTUM * *m + (1.0 - MOMENTUM) * g
        });
        updates.push((matrix, ahead.collect()));
    }
    parallel::for_each(&mut updates, threads, |_, (matrix, update)| even_out(update, matrix.rows, matrix.cols));
    for (matrix, update) in updates {
        let scale = rate * SIZE * (matrix.rows.max(matrix.cols) as f32).sqrt();
        params[matrix.offset..].iter_mut().zip(update).for_each(|(p, u)| *p -= scale * u);
    }
}

/// Makes all singular values of a row-major `[rows, cols]` matrix about one, from 0.7 to 1.2; one of zeros stays.
fn even_out(matrix: &mut [f32], rows: usize, cols: usize) {
    let length = matrix.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt() as f32;
    if length <= f32::MIN_POSITIVE {
        return;
    }
    matrix.iter_mut().for_each(|v| *v /= length);
    // Products of the shorter side with itself: x·xᵀ of a wide matrix, xᵀ·x of a tall one.
    let side = rows.min(cols);
    let (mut gram, mut polynomial, mut next) =
        (vec![0.0; side * side], vec![0.0; side * side], vec![0.0; matrix.len()]);
    let [first, third, fifth] = POLYNOMIAL;
    for _ in 0..STEPS {
        let x = Mat::new(matrix, rows, cols);
        let (left, right) = if rows <= cols { (x, x.t()) } else { (x.t(), x) };
        matmul(1.0, left, right, MatMut::new(&mut gram, side, side), false);
        let square = Mat::new(&gram, side, side);
        matmul(fifth, square, square, MatMut::new(&mut polynomial, side, side), false);
        polynomial.iter_mut().zip(&gram).for_each(|(p, g)| *p += third * g);
        let factor = Mat::new(&polynomial, side, side);
        let (left, right) = if rows <= cols { (factor, x) } else { (x, factor) };
        matmul(1.0, left, right, MatMut::new(&mut next, rows, cols), false);
        matrix.iter_mut().zip(&next).for_each(|(v, n)| *v = first * *v + n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layers::params::SplitMix;

    fn random(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = SplitMix(seed);
        (0..len).map(|_| rng.uniform() - 0.5).collect()
    }

    /// Length of `matrix · v`.
    fn stretched(matrix: &[f32], cols: usize, v: &[f32]) -> f32 {
        let rows = matrix.chunks_exact(cols).map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum::<f32>());
        rows.map(|x| x * x).sum::<f32>().sqrt()
    }

    #[test]
    fn all_directions_move_alike() {
        for (rows, cols) in [(24, 24), (16, 40), (40, 16)] {
            let mut matrix = random(rows * cols, 5);
            // One direction far larger than all others, as gradients have.
            for (i, v) in matrix.iter_mut().enumerate() {
                *v += 3.0 * ((i / cols) as f32 * 0.1).cos() * ((i % cols) as f32 * 0.2).sin();
            }
            even_out(&mut matrix, rows, cols);
            // Singular values by their squares' sum, and none above 1.3: rows·σ² lies between that of 0.6 and of 1.2.
            let sum: f32 = matrix.iter().map(|v| v * v).sum();
            let mean = sum / rows.min(cols) as f32;
            assert!((0.36..1.44).contains(&mean), "{rows}x{cols}: {mean}");
            for seed in 0..20 {
                let v = random(cols, seed);
                let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
                let factor = stretched(&matrix, cols, &v) / length;
                assert!(factor < 1.3 && (factor > 0.4 || rows < cols), "{rows}x{cols}: {factor}");
            }
        }
        let mut zeros = vec![0.0; 20 * 20];
        even_out(&mut zeros, 20, 20);
        assert!(zeros.iter().all(|v| *v == 0.0));
    }

    #[test]
    fn updates_are_those_of_any_number_of_threads_and_leave_the_rest() {
        let matrices = [Matrix { offset: 3, rows: 16, cols: 20 }, Matrix { offset: 330, rows: 20, cols: 16 }];
        let run = |threads: usize| {
            let (mut params, mut momentum) = (random(700, 1), vec![0.0; 700]);
            for step in 0..3 {
                update(&matrices, &mut momentum, &mut params, &random(700, 10 + step), 0.01, threads);
            }
            (params, momentum)
        };
        let (params, momentum) = run(1);
        assert_eq!((&params, &momentum), (&run(2).0, &run(2).1));
        let start = random(700, 1);
        let moved = |range: Range<usize>| range.into_iter().filter(|&i| params[i] != start[i]).count();
        assert_eq!((moved(0..3), moved(323..330), moved(650..700)), (0, 0, 0));
        assert!(moved(3..323) > 300 && moved(330..650) > 300);
        assert_eq!(others(&matrices, 700), [0..3, 323..330, 650..700]);
        assert_eq!(others(&[], 5).first(), Some(&(0..5)));
    }
}
