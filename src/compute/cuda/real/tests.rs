//! The GPU of this machine, if there is one, and the driver's calls against a stand-in for it.

use super::modules::Code;
use super::*;
use crate::cuda::{Args, Buffer, Driver, KernelSource, Launch};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

#[test]
fn lacking_a_gpu_is_an_error_with_a_sentence() {
    let number = match count() {
        Ok(count) => count,
        Err(problem) => {
            assert!(matches!(problem, CudaError::NoDevice(_)), "{problem:?}");
            assert!(problem.to_string().contains("NVIDIA driver"), "{problem}");
            0
        }
    };
    let problem = open(number).unwrap_err();
    assert!(matches!(problem, CudaError::NoDevice(_)), "{problem:?}");
    assert!(describe().contains("NVRTC"), "{}", describe());
}

/// The stand-in, compiled, with its functions. Each test has its own, as an error makes one useless.
struct Fake {
    api: &'static Api,
    live: unsafe extern "C" fn() -> c_int,
    _folder: TempDir,
}

impl Fake {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libfake.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda/real/fake_driver.c");
        let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
        let mut command = Command::new(compiler);
        command.args(["-xc", "-std=c11", "-O1", "-shared", "-fPIC", "-o"]).args([&path, &source]);
        let done = command.output().expect("a C++ compiler, which the kernels' emulation needs too");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        // SAFETY: the library has no initialisers.
        let library = Box::leak(Box::new(unsafe { libloading::Library::new(&path) }.unwrap()));
        // SAFETY: the function's type in the file.
        let live = *unsafe { library.get(b"fake_live\0") }.unwrap();
        Self { api: Box::leak(Box::new(Api::of(library).unwrap())), live, _folder: folder }
    }

    fn open(&self) -> Arc<Gpu> {
        let (number, info) = look_at(self.api, 0).unwrap();
        Arc::new(Gpu::open(self.api, number, info).unwrap())
    }

    fn live(&self) -> c_int {
        // SAFETY: takes nothing.
        unsafe { (self.live)() }
    }
}

fn module(gpu: &Gpu, code: &[u8]) -> Result<usize> {
    let source = KernelSource { defines: vec![("N", code.len() as i64)], ..KernelSource::plain("x.cu") };
    gpu.modules.number(gpu.api, &source, || Ok(Code { bytes: code.to_vec(), registers: Some(99) }))
}

fn launch(gpu: &Gpu, module: usize, kernel: &str, how: &Launch, x: &Buffer<f32>) -> Result<()> {
    // SAFETY: the arguments of "add"; the other kernels take none.
    unsafe { gpu.launch(module, kernel, how, &mut Args::new().buffer(x).float(2.0).pointers()) }
}

#[test]
fn a_gpu_tells_what_it_is() {
    let fake = Fake::new();
    let info = fake.open().info().clone();
    let expected = DeviceInfo {
        name: "Fake".into(),
        identity: info.identity.clone(),
        capability: (9, 0),
        multiprocessors: 132,
        shared_per_block: 227 << 10,
        shared_per_multiprocessor: 228 << 10,
        memory: 1 << 20,
    };
    assert_eq!(info, expected);
    assert!(info.identity.starts_with("808182838485868788898a8b8c8d8e8f, driver for CUDA 12.4"), "{}", info.identity);
    assert_eq!(sentence(&info), "Fake, compute capability 9.0, 132 multiprocessors, 0.0 GiB");
    assert_eq!(fake.api.version(), (12, 4));
    assert!(look_at(fake.api, 1).unwrap_err().to_string().starts_with("GPU 1: "));
    assert_eq!(fake.api.problem(4000), "CUDA error 4000");
    assert_eq!(fake.live(), 0);
}

#[test]
fn memory_is_zeroed_copied_and_given_back() {
    let fake = Fake::new();
    let gpu = fake.open();
    let device = Device(gpu.clone());
    let mut x = device.zeros::<f32>(33).unwrap();
    assert_eq!(x.address() % 256, 0);
    assert_eq!(x.read().unwrap(), [0.0; 33]);
    x.write_on(1, 31, &[1.0, 2.0]).unwrap();
    let mut tail = [0.0; 3];
    x.read_on(1, 30, &mut tail).unwrap();
    assert_eq!(tail, [0.0, 1.0, 2.0]);
    x.clear(0).unwrap();
    assert_eq!(x.read().unwrap(), [0.0; 33]);
    let empty = device.upload::<u8>(&[]).unwrap();
    assert!(empty.read().unwrap().is_empty());
    drop(empty);
    let problem = device.zeros::<u8>(1 << 20).unwrap_err().to_string();
    assert_eq!(problem, "device memory: no room for 1048576 bytes, 1048444 of 1048576 bytes free");
    // A thread that never used the device.
    let read = std::thread::spawn(move || x.read().unwrap()).join().unwrap();
    assert_eq!(read, [0.0; 33]);
    assert_eq!(gpu.free_memory().unwrap(), 1 << 20);
    drop((gpu, device));
    assert_eq!(fake.live(), 0);
}

#[test]
fn kernels_are_loaded_once_and_launched() {
    let fake = Fake::new();
    let gpu = fake.open();
    let device = Device(gpu.clone());
    let x = device.zeros::<f32>(64).unwrap();
    let number = module(&gpu, b"good").unwrap();
    let open = fake.live();
    assert_eq!(module(&gpu, b"good").unwrap(), number);
    assert_eq!(fake.live(), open, "loaded twice");
    assert_ne!(module(&gpu, b"other").unwrap(), number);
    launch(&gpu, number, "add", &Launch::new(2, 32), &x).unwrap();
    launch(&gpu, number, "add", &Launch::new(2, 16).on(1), &x).unwrap();
    launch(&gpu, number, "add", &Launch::new(0, 32), &x).unwrap();
    device.synchronise().unwrap();
    assert_eq!(x.read().unwrap(), [[4.0; 32], [2.0; 32]].concat());
    // The limit of shared memory is only raised, which the stand-in checks.
    for bytes in [60 << 10, 227 << 10, 60 << 10, 0] {
        launch(&gpu, number, "add", &Launch::new(1, 1).shared(bytes), &x).unwrap();
    }
    let problem = |kernel: &str, how: Launch| launch(&gpu, number, kernel, &how, &x).unwrap_err().to_string();
    assert!(problem("missing", Launch::new(1, 1)).starts_with("launch of missing@x.cu N=4: no such kernel: "));
    let shared = problem("add", Launch::new(1, 1).shared((227 << 10) + 1));
    assert_eq!(shared, "launch of add@x.cu N=4: 232449 bytes of shared memory, 232448 at most");
    let threads = problem("add", Launch::new(1, 1025));
    assert!(
        threads.starts_with("launch of add@x.cu N=4 with Launch { grid: [1, 1, 1], block: [1025, 1, 1]"),
        "{threads}"
    );
    let bad = module(&gpu, b"bad code").unwrap_err().to_string();
    assert_eq!(bad, "kernels x.cu N=8: the driver does not load them: CUDA_ERROR_OTHER ptxas fatal : registers 99");
    drop((x, device, gpu));
    assert_eq!(fake.live(), 0);
}

/// Registers that spill need memory at a launch; fewer blocks may find room.
#[test]
fn a_launch_without_room_says_so() {
    let fake = Fake::new();
    let gpu = fake.open();
    let x = Device(gpu.clone()).zeros::<f32>(32).unwrap();
    let number = module(&gpu, b"good").unwrap();
    let problem = launch(&gpu, number, "spill", &Launch::new(5, 32), &x).unwrap_err();
    assert!(matches!(problem, CudaError::OutOfMemory { .. }), "{problem:?}");
    assert!(
        problem.to_string().starts_with("device memory: no room for the launch of spill@x.cu N=4 with"),
        "{problem}"
    );
    launch(&gpu, number, "spill", &Launch::new(4, 32), &x).unwrap();
}

/// 57 of 228 KiB for each of two blocks, with the driver's own; what is left is cache.
#[test]
fn shared_memory_is_as_much_as_the_blocks_need() {
    let fake = Fake::new();
    let gpu = fake.open();
    let x = Device(gpu.clone()).zeros::<f32>(32).unwrap();
    let number = module(&gpu, b"good").unwrap();
    let how = Launch::new(1, 32).shared(56 << 10);
    assert!(launch(&gpu, number, "halves", &how, &x).is_err());
    launch(&gpu, number, "halves", &how.resident(2), &x).unwrap();
    assert!(launch(&gpu, number, "halves", &how.resident(3), &x).is_err());
}

#[test]
fn failures_that_show_late_name_the_kernel() {
    let fake = Fake::new();
    let gpu = fake.open();
    let x = Device(gpu.clone()).zeros::<f32>(32).unwrap();
    let number = module(&gpu, b"good").unwrap();
    launch(&gpu, number, "add", &Launch::new(1, 32), &x).unwrap();
    gpu.synchronise(0).unwrap();
    launch(&gpu, number, "fail", &Launch::new(1, 32), &x).unwrap();
    let problem = x.read().unwrap_err();
    assert!(matches!(problem, CudaError::Driver { .. }));
    assert_eq!(
        problem.to_string(),
        "copying 128 bytes from the device: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered; \
         launched before and not known to be done: fail@x.cu N=4 (CUDA_LAUNCH_BLOCKING=1 finds the one)"
    );
    // The device stays useless, and still says why.
    assert!(gpu.synchronise(1).unwrap_err().to_string().contains("work of stream 1: CUDA_ERROR_ILLEGAL_ADDRESS"));
    assert!(launch(&gpu, number, "add", &Launch::new(1, 32), &x).unwrap_err().to_string().contains("fail@x.cu"));
    assert!(gpu.allocate(1).is_err());
    drop((x, gpu));
    assert_eq!(fake.live(), 0);
}

#[test]
fn marks_tell_the_time_between_them() {
    let fake = Fake::new();
    let gpu = fake.open();
    for _ in 0..3 {
        let open = fake.live();
        let marks = [0, 0, 1].map(|stream| gpu.mark(stream).unwrap());
        assert_eq!(gpu.seconds_between(marks[0], marks[2]).unwrap(), 0.5);
        let last = gpu.mark(0).unwrap();
        assert_eq!(gpu.seconds_between(marks[1], last).unwrap(), 0.5);
        assert!(fake.live() <= open.max(7), "events are not used again");
    }
    drop(gpu);
    assert_eq!(fake.live(), 0);
}

#[test]
#[should_panic(expected = "marks 0 and 1 of 2")]
fn marks_are_forgotten_after_use() {
    let gpu = Fake::new().open();
    let marks = [0, 0].map(|stream| gpu.mark(stream).unwrap());
    gpu.seconds_between(marks[0], marks[1]).unwrap();
    let _ = gpu.seconds_between(marks[0], marks[1]);
}
