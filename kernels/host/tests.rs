use super::*;
use compute::cuda::Args;

fn numbers(count: usize, scale: i32) -> Vec<f32> {
    (0..count as i32).map(|i| ((i * 7 + i / 16) % scale - scale / 2) as f32).collect()
}

#[test]
fn launches_each_instance_of_a_file() {
    let device = device();
    let x = device.upload(&numbers(1000, 9)).unwrap();
    for (defines, scale) in [(vec![], 2.0), (vec![("SCALE", 3)], 3.0)] {
        let source = KernelSource { defines, ..KernelSource::plain("host/probe.cu") };
        let module = device.module(&source).unwrap();
        let y = device.zeros::<f32>(1000).unwrap();
        // SAFETY: the kernel's arguments; it touches 1000 values.
        unsafe { module.launch("probe_scale", &Launch::each(1000), Args::new().buffer(&x).buffer(&y).int(1000)) }
            .unwrap();
        let expected: Vec<f32> = numbers(1000, 9).iter().map(|x| scale * x).collect();
        assert_eq!(y.read().unwrap(), expected);
    }
}

#[test]
fn barriers_hold_under_every_schedule() {
    let (rows, width) = (5, 333);
    let device = device();
    let module = device.module(&KernelSource::plain("host/probe.cu")).unwrap();
    let values = numbers(rows * width, 11);
    let x = device.upload(&values).unwrap();
    for schedule in [Schedule::Reverse, Schedule::Random(3), Schedule::Forward] {
        set_schedule(schedule);
        let y = device.zeros::<f32>(rows).unwrap();
        // SAFETY: the kernel's arguments; it touches `rows` rows of `width` values.
        unsafe { module.launch("probe_row_sum", &Launch::new(rows, 64), Args::new().buffer(&x).buffer(&y).int(width)) }
            .unwrap();
        let expected: Vec<f32> = values.chunks(width).map(|row| row.iter().sum()).collect();
        assert_eq!(y.read().unwrap(), expected, "{schedule:?}");
    }
}

#[test]
fn matrix_units_multiply_exactly() {
    let (a, b) = (numbers(256, 9), numbers(128, 7));
    let device = device();
    let module = device.module(&KernelSource::plain("host/probe.cu")).unwrap();
    let [x, y] = [&a, &b].map(|v| device.upload(v).unwrap());
    let [bf16, tf32] = [0, 1].map(|_| device.zeros::<f32>(128).unwrap());
    let args = Args::new().buffer(&x).buffer(&y).buffer(&bf16).buffer(&tf32);
    // SAFETY: the kernel's arguments, matrices of 16x16 and 16x8.
    unsafe { module.launch("probe_products", &Launch::new(1, 32), args) }.unwrap();
    let expected: Vec<f32> = (0..128).map(|i| (0..16).map(|k| a[i / 8 * 16 + k] * b[k * 8 + i % 8]).sum()).collect();
    assert_eq!(bf16.read().unwrap(), expected);
    assert_eq!(tf32.read().unwrap(), expected);
}

#[test]
fn memory_is_counted_and_errors_are_told() {
    let device = device_with_memory(4096);
    let held = device.zeros::<f32>(512).unwrap();
    let error = device.zeros::<u8>(2049).unwrap_err().to_string();
    assert_eq!(error, "device memory: no room for 2049 bytes, 2048 of 4096 bytes free");
    drop(held);
    assert_eq!(device.0.free_memory().unwrap(), 4096);
    let missing = KernelSource { defines: vec![("SCALE", 4)], ..KernelSource::plain("host/probe.cu") };
    assert!(device.module(&missing).unwrap_err().to_string().starts_with("kernels host/probe.cu SCALE=4: not among"));
    let module = device.module(&KernelSource::plain("host/probe.cu")).unwrap();
    // SAFETY: nothing is launched.
    let error = unsafe { module.launch("no_kernel", &Launch::new(1, 32), Args::new()) }.unwrap_err().to_string();
    assert_eq!(error, "launch of no_kernel@host/probe.cu: no such kernel");
}
