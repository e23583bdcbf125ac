use super::*;
use crate::Layout;
use crate::folding::fold;
use crate::params::SplitMix;
use crate::testing::uniform;

/// Against sums over the definition, with kernels that reach past small images, and both gradients by their adjoints.
#[test]
fn equals_the_definition() {
    for (kernel, stride, pad, height, width) in
        [(3, 1, 1, 4, 6), (7, 4, 3, 9, 13), (3, 2, 1, 7, 5), (2, 2, 0, 5, 6), (5, 1, 2, 2, 1)]
    {
        let (inputs, outputs, images) = (3, 5, 2);
        let mut layout = Layout::new();
        let mut b = Builder::new(&mut layout, "");
        let layer = PatchConv::build(&mut b, "conv", (inputs, outputs), kernel, stride, pad);
        let (folds, len) = (b.folds, b.folded.len());
        let mut rng = SplitMix(3);
        let params = uniform(&mut rng, layout.len(), 1.0);
        let folded = fold(&folds, &params, len);
        let x = uniform(&mut rng, images * height * width * inputs, 1.0);
        let (mut y, mut scratch) = (Vec::new(), PatchConvScratch::default());
        layer.forward(&folded, (images, height, width), &x, &mut y, &mut scratch);
        let (rows, columns) = layer.output_size(height, width);
        assert_eq!(rows, (height + 2 * pad - kernel) / stride + 1);
        for i in 0..y.len() {
            let (o, at) = (i % outputs, i / outputs);
            let (image, row, column) = (at / (rows * columns), at / columns % rows, at % columns);
            let mut want = params[layout.find("conv.bias").unwrap().slot.offset + o];
            for (ky, kx, c) in
                (0..kernel * kernel * inputs).map(|j| (j / inputs / kernel, j / inputs % kernel, j % inputs))
            {
                let (yy, xx) = (row * stride + ky, column * stride + kx);
                if (pad..height + pad).contains(&yy) && (pad..width + pad).contains(&xx) {
                    want += params[((o * inputs + c) * kernel + ky) * kernel + kx]
                        * x[((image * height + yy - pad) * width + xx - pad) * inputs + c];
                }
            }
            assert!((y[i] - want).abs() < 1e-4, "{kernel} {stride} {pad}: {} {want}", y[i]);
        }
        let dy = uniform(&mut rng, y.len(), 1.0);
        let (mut dx, mut grads) = (Vec::new(), vec![0.0; len]);
        layer.backward(&folded, (images, height, width), &x, &dy, Some(&mut dx), &mut scratch, &mut grads);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let bias = layer.linear.bias.unwrap();
        let without_bias = dot(&y, &dy) - dot(bias.of(&folded), bias.of(&grads));
        assert!((without_bias - dot(&x, &dx)).abs() < 1e-3);
        let weight = layer.linear.weight;
        assert!((without_bias - dot(weight.of(&folded), weight.of(&grads))).abs() < 1e-3);
    }
}
