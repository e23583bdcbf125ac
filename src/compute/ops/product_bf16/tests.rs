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

/// Every layout, odd sizes and every start, against plain sums of the rounded factors.
#[test]
fn products_of_rounded_factors() {
    if !crate::isa().has_amx() {
        return;
    }
    for (m, k, n) in [(1, 1, 1), (16, 32, 16), (33, 31, 7), (64, 64, 64), (45, 100, 83), (130, 2500, 40)] {
        let (a, b, old, row) = (values(m * k, 1), values(k * n, 2), values(m * n, 3), values(n, 4));
        let transposed = |x: &[f32], rows: usize, cols: usize| {
            (0..rows * cols).map(|i| x[i % rows * cols + i / rows]).collect::<Vec<f32>>()
        };
        let (at, bt) = (transposed(&a, m, k), transposed(&b, k, n));
        for (start, alpha) in [(Start::Zero, 1.0), (Start::Own, 0.5), (Start::Row(&row), 1.0)] {
            for a in [Mat::new(&a, m, k), Mat::new(&at, k, m).t()] {
                for b in [Mat::new(&b, k, n), Mat::new(&bt, n, k).t()] {
                    let mut c = old.clone();
                    Products::Bf16Tiles.matmul(alpha, a, b, MatMut::new(&mut c, m, n), start);
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
                        assert!((f64::from(c[i]) - exact).abs() < bound, "{m} {k} {n} {start:?} {i}: {} {exact}", c[i]);
                    }
                }
            }
        }
    }
}

#[test]
#[ignore = "timing"]
fn speed() {
    for (m, k, n, ta) in [
        (1024, 192, 576, 0),
        (1024, 192, 384, 0),
        (1024, 384, 192, 0),
        (192, 1024, 576, 1),
        (1024, 576, 192, 2),
        (4096, 576, 128, 0),
        (64, 32, 64, 2),
        (64, 64, 32, 0),
    ] {
        let (a, b) = (values(m * k, 1), values(k * n, 2));
        let mut c = vec![0.0; m * n];
        for p in [Products::F32, Products::Bf16Tiles] {
            let reps = 200_000_000_0 / (2 * m * k * n) * 5 + 1;
            let mut best = f64::MAX;
            for _ in 0..3 {
                let t = std::time::Instant::now();
                for _ in 0..reps {
                    let am = if ta == 1 { Mat::new(&a, k, m).t() } else { Mat::new(&a, m, k) };
                    let bm = if ta == 2 { Mat::new(&b, n, k).t() } else { Mat::new(&b, k, n) };
                    p.matmul(1.0, am, bm, MatMut::new(&mut c, m, n), if ta == 1 { Start::Own } else { Start::Zero });
                }
                best = best.min(t.elapsed().as_secs_f64() / reps as f64);
            }
            eprintln!("{m}x{k}x{n} {ta} {}: {:.1} GFLOP/s", p.name(), 2e-9 * (m * k * n) as f64 / best);
        }
    }
}
