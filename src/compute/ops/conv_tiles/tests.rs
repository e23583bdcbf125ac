use super::*;
use crate::{Mat, MatMut, matmul};

fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Numbers that bf16 holds exactly.
            ((state >> 40) % 255) as f32 / 64.0 - 2.0
        })
        .collect()
}

/// Patches `[pixels, 9 · channels]` of images with a border of zeros.
fn patches(s: &ConvShape, x: &[f32]) -> Vec<f32> {
    let mut out = Vec::new();
    for i in 0..s.images {
        for (y, px) in (0..s.height).flat_map(|y| (0..s.width).map(move |x| (y, x))) {
            for (ky, kx) in (0..9).map(|t| (t / 3, t % 3)) {
                for c in 0..s.inputs {
                    let (yy, xx) = (y + ky, px + kx);
                    let inside = (1..=s.height).contains(&yy) && (1..=s.width).contains(&xx);
                    out.push(if inside { x[((i * s.height + yy - 1) * s.width + xx - 1) * s.inputs + c] } else { 0.0 });
                }
            }
        }
    }
    out
}

#[test]
fn equals_the_product_of_patches() {
    for (images, height, width, inputs, outputs) in [(1, 3, 16, 32, 32), (3, 5, 16, 64, 32), (2, 4, 32, 32, 96)] {
        let shape = ConvShape { images, height, width, inputs, outputs };
        if !shape.fits() {
            return;
        }
        let pixels = images * height * width;
        let (x, dy) = (values(pixels * inputs, 1), values(pixels * outputs, 2));
        let (weight, bias) = (values(9 * inputs * outputs, 3), values(outputs, 4));
        let patches = patches(&shape, &x);
        let patches = Mat::new(&patches, pixels, 9 * inputs);

        let mut want: Vec<f32> = bias.iter().copied().cycle().take(pixels * outputs).collect();
        let kernel = Mat::new(&weight, 9 * inputs, outputs);
        matmul(1.0, patches, kernel, MatMut::new(&mut want, pixels, outputs), true);
        let mut got = vec![9.0; want.len()];
        forward(&shape, &x, &weight, &bias, &mut got);
        assert_close(&got, &want);

        let mut want = weight.clone();
        let dys = Mat::new(&dy, pixels, outputs);
        matmul(1.0, patches.t(), dys, MatMut::new(&mut want, 9 * inputs, outputs), true);
        let mut got = weight.clone();
        weight_gradient(&shape, &x, &dy, &mut got);
        assert_close(&got, &want);

        // The gradient of the input is the adjoint: ⟨weight ∗ x, dy⟩ = ⟨x, gradient⟩ for every x.
        let mut dx = vec![9.0; x.len()];
        input_gradient(&shape, &dy, &weight, &mut dx);
        let mut y = vec![0.0; dy.len()];
        for probe in [0, 7, x.len() / 2 + 3, x.len() - 1] {
            let mut x = vec![0.0; x.len()];
            x[probe] = 1.0;
            forward(&shape, &x, &weight, &vec![0.0; outputs], &mut y);
            let dot: f32 = y.iter().zip(&dy).map(|(y, d)| y * d).sum();
            assert!((dot - dx[probe]).abs() < 1e-3 * (1.0 + dot.abs()), "{probe}: {dot} {}", dx[probe]);
        }
    }
}

fn assert_close(got: &[f32], want: &[f32]) {
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() < 1e-3 * (1.0 + w.abs()), "{i}: {g} {w}");
    }
}
