use super::*;

fn values(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
        })
        .collect()
}

/// The nearest bf16, ties to even.
fn rounded(x: f32) -> f64 {
    let bits = x.to_bits();
    f64::from(f32::from_bits((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF_0000))
}

const SIZES: [(usize, usize, usize); 6] =
    [(1, 1, 1), (16, 32, 16), (33, 31, 7), (64, 64, 64), (45, 100, 83), (130, 2500, 40)];

/// Every unit, every layout, odd sizes and every start, against plain sums of the rounded factors.
#[test]
fn products_of_rounded_factors() {
    let units = crate::Isa::available().filter(|isa| isa.has_bf16());
    for (isa, (m, k, n)) in units.flat_map(|isa| SIZES.map(|size| (isa, size))) {
        let (a, b, old, row) = (values(m * k, 1), values(k * n, 2), values(m * n, 3), values(n, 4));
        let transposed = |x: &[f32], rows: usize, cols: usize| {
            (0..rows * cols).map(|i| x[i % rows * cols + i / rows]).collect::<Vec<f32>>()
        };
        let (at, bt) = (transposed(&a, m, k), transposed(&b, k, n));
        for (start, alpha) in [(Start::Zero, 1.0), (Start::Own, 0.5), (Start::Row(&row), 1.0)] {
            for a in [Mat::new(&a, m, k), Mat::new(&at, k, m).t()] {
                for b in [Mat::new(&b, k, n), Mat::new(&bt, n, k).t()] {
                    let mut c = old.clone();
                    packed::product(isa, alpha, a, b, MatMut::new(&mut c, m, n), start);
                    for i in 0..m * n {
                        let (r, col) = (i / n, i % n);
                        let begin = match start {
                            Start::Zero => 0.0,
                            Start::Own => old[i],
                            Start::Row(row) => row[col],
                        };
                        let exact: f64 = f64::from(begin)
                            + (0..k).map(|x| rounded(alpha * a.at(r, x)) * rounded(b.at(x, col))).sum::<f64>();
                        let bound = 1e-5 * (1.0 + (k as f64).sqrt());
                        assert!(
                            (f64::from(c[i]) - exact).abs() < bound,
                            "{isa} {m} {k} {n} {start:?} {i}: {} {exact}",
                            c[i]
                        );
                    }
                }
            }
        }
    }
}
