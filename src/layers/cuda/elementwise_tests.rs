use super::*;
use crate::cuda::testing::{ops, uniform, upload};
use crate::params::SplitMix;

#[test]
fn operations_follow_their_formulas_at_any_alignment() {
    let ops = ops();
    for len in [0, 1, 3, 31, 33, 1029] {
        for offset in [0, 1] {
            let mut rng = SplitMix(len as u64);
            let [x, y] = [0, 1].map(|_| uniform(&mut rng, len + offset, 1.0));
            let x_device = upload(&ops, &x);
            let check = |what: &str, run: &dyn Fn(Slice, SliceMut), formula: &dyn Fn(f32, f32) -> f32| {
                let mut device = upload(&ops, &y);
                run(x_device.slice().part(offset..offset + len), device.slice_mut().part(offset..offset + len));
                let mut expected = y.clone();
                expected.iter_mut().zip(&x).skip(offset).for_each(|(y, x)| *y = formula(*x, *y));
                assert_eq!(device.read().unwrap(), expected, "{what}, {len} values at {offset}");
            };
            check("relu", &|x, y| ops.relu_backward(x, y).unwrap(), &|x, y| if x > 0.0 { y } else { 0.0 });
            check("copy", &|x, y| ops.copy(x, y).unwrap(), &|x, _| x);
            // A power of two, as whether the product is rounded on its own depends on the compiler.
            check("axpy", &|x, y| ops.axpy(-0.5, x, y).unwrap(), &|x, y| y - 0.5 * x);
            check("scale", &|_, y| ops.scale(3.0, y).unwrap(), &|_, y| 3.0 * y);
            check("relu of itself", &|_, y| ops.relu(y).unwrap(), &|_, y| y.max(0.0));
            check("fill", &|_, y| ops.fill(7.0, y).unwrap(), &|_, _| 7.0);
        }
    }
}

#[test]
fn gelu_is_the_processors() {
    let ops = ops();
    let mut x = uniform(&mut SplitMix(3), 1029, 5.0);
    x[..5].copy_from_slice(&[0.0, -0.0, 1e-30, -40.0, 40.0]);
    let mut expected = vec![0.0; x.len()];
    crate::gelu::gelu(compute::isa(), &x, &mut expected);
    let mut y = upload(&ops, &vec![7.0; x.len()]);
    ops.gelu(&upload(&ops, &x), &mut y).unwrap();
    for (x, (found, expected)) in x.iter().zip(y.read().unwrap().iter().zip(&expected)) {
        assert!((found - expected).abs() < 2e-6, "gelu of {x}: {found} and {expected}");
    }
}

#[test]
fn clipped_outputs_pass_nothing_on() {
    let ops = ops();
    let y = upload(&ops, &[0.0, -0.0, 1e-30, f32::NAN, 5.0]);
    let mut d = upload(&ops, &[1.0, 2.0, 3.0, 4.0, f32::INFINITY]);
    ops.relu_backward(&y, &mut d).unwrap();
    assert_eq!(d.read().unwrap(), [0.0, 0.0, 3.0, 0.0, f32::INFINITY]);
}

#[test]
fn rows_move_there_and_back() {
    let ops = ops();
    let (rows, width) = (33, 37);
    let x = uniform(&mut SplitMix(9), rows * width, 1.0);
    let numbers: Vec<i32> = (0..rows as i32).map(|i| i * 7 % rows as i32).collect();
    let mut order = Store::<i32>::default();
    order.upload(ops.device(), &numbers).unwrap();
    let (device, mut gathered, mut back) = (upload(&ops, &x), upload(&ops, &vec![0.0; x.len()]), upload(&ops, &x));
    ops.gather_rows(device.slice(), &order, width, gathered.slice_mut()).unwrap();
    let expected: Vec<f32> = numbers.iter().flat_map(|n| x[*n as usize * width..][..width].to_vec()).collect();
    assert_eq!(gathered.read().unwrap(), expected);
    ops.fill(0.0, &mut back).unwrap();
    ops.scatter_rows(gathered.slice(), &order, width, back.slice_mut()).unwrap();
    assert_eq!(back.read().unwrap(), x);
}
