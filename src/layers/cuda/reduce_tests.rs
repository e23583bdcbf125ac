use crate::cuda::testing::{VALUES, assert_near, in_each_schedule, ops, uniform, upload};
use crate::linear::add_column_sums;
use crate::params::SplitMix;

#[test]
fn column_sums_are_those_of_the_cpu() {
    let ops = ops();
    for (rows, cols) in [(1, 1), (31, 3), (1000, 3), (1000, 48), (65, 255), (33, 257), (129, 600), (0, 5)] {
        let x = uniform(&mut SplitMix(3), rows * cols, 1.0);
        let mut expected = uniform(&mut SplitMix(4), cols, 1.0);
        let device = upload(&ops, &x);
        let start = expected.clone();
        add_column_sums(compute::isa(), &x, &mut expected);
        in_each_schedule(|_| {
            let mut sums = upload(&ops, &start);
            ops.column_sums(&device, sums.slice_mut()).unwrap();
            assert_near(&format!("{rows}x{cols}"), &sums.read().unwrap(), &expected, VALUES);
        });
    }
}
