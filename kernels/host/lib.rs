//! The CUDA kernels on the CPU: a [`Driver`] for tests on machines without a GPU.
//!
//! Kernels are compiled from the same files by a C++ compiler, see `cuda_host.h`. Only the instances that
//! `instances.rs` lists exist. Speed is of no interest here.

use compute::cuda::{CudaError, Device, DeviceInfo, Driver, KernelSource, Launch, Result};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

include!("instances.rs");

/// Files without constants.
const PLAIN_FILES: &[&str] = include!(concat!(env!("OUT_DIR"), "/plain_files.rs"));

unsafe extern "C" {
    fn cuh_launch(
        kernel: *const c_char,
        grid: *const u32,
        block: *const u32,
        shared: usize,
        args: *mut *mut c_void,
        threads: u32,
    ) -> c_int;
    fn cuh_schedule(mode: c_int, seed: c_int);
}

/// In which order the threads of a block run: an error that depends on it is a missing barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// First to last.
    Forward,
    /// Last to first.
    Reverse,
    /// At random.
    Random(u16),
}

/// Sets the order for all launches of this process from now on.
pub fn set_schedule(schedule: Schedule) {
    let (mode, seed) = match schedule {
        Schedule::Forward => (0, 0),
        Schedule::Reverse => (1, 0),
        Schedule::Random(seed) => (2, c_int::from(seed)),
    };
    // SAFETY: sets an atomic number.
    unsafe { cuh_schedule(mode, seed) }
}

thread_local! {
    static LAUNCHES: Cell<u64> = const { Cell::new(0) };
}

/// Launches of this thread so far, on all devices: what a GPU would be asked for as well.
pub fn launches() -> u64 {
    LAUNCHES.get()
}

/// The CPU as a device with 1 GiB of memory.
pub fn device() -> Device {
    device_with_memory(1 << 30)
}

/// The same with as many bytes of memory.
pub fn device_with_memory(memory: u64) -> Device {
    let info = DeviceInfo {
        name: "CPU emulation".into(),
        identity: "the processor".into(),
        capability: (8, 0),
        multiprocessors: 2,
        shared_per_block: 163 << 10,
        shared_per_multiprocessor: 164 << 10,
        memory,
    };
    Device(Arc::new(Host { info, state: Mutex::default() }))
}

#[derive(Debug)]
struct Host {
    info: DeviceInfo,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Blocks by address, as units of 256 bytes.
    blocks: BTreeMap<u64, Vec<Unit>>,
    used: u64,
    modules: Vec<String>,
    marks: Vec<Instant>,
}

#[derive(Clone, Debug)]
#[repr(align(256))]
struct Unit(#[expect(dead_code, reason = "read through pointers")] [u8; 256]);

impl Host {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no launch panics")
    }

    /// Checks that a range lies in an allocated block.
    fn check(&self, address: u64, bytes: usize) {
        let state = self.state();
        let block = state.blocks.range(..=address).next_back();
        let inside = block.is_some_and(|(start, units)| address + bytes as u64 <= start + 256 * units.len() as u64);
        assert!(inside || bytes == 0, "{bytes} bytes at {address:#x} were not allocated");
    }
}

impl Driver for Host {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn free_memory(&self) -> Result<u64> {
        Ok(self.info.memory - self.state().used)
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        let free = self.free_memory()?;
        let units = bytes.div_ceil(256);
        if 256 * units as u64 > free {
            return Err(CudaError::OutOfMemory { wanted: format!("{bytes} bytes"), free, total: self.info.memory });
        }
        let block = vec![Unit([0; 256]); units];
        let address = block.as_ptr() as u64;
        let mut state = self.state();
        state.used += 256 * units as u64;
        state.blocks.insert(address, block);
        Ok(address)
    }

    unsafe fn free(&self, address: u64) {
        let mut state = self.state();
        let block = state.blocks.remove(&address).expect("memory of this device");
        state.used -= 256 * block.len() as u64;
    }

    unsafe fn write(&self, _stream: usize, address: u64, bytes: &[u8]) -> Result<()> {
        self.check(address, bytes.len());
        // SAFETY: the range is allocated, and `bytes` are the caller's own.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
        Ok(())
    }

    unsafe fn read(&self, _stream: usize, address: u64, bytes: &mut [u8]) -> Result<()> {
        self.check(address, bytes.len());
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    unsafe fn zero(&self, _stream: usize, address: u64, bytes: usize) -> Result<()> {
        self.check(address, bytes);
        // SAFETY: the range is allocated.
        unsafe { std::ptr::write_bytes(address as *mut u8, 0, bytes) };
        Ok(())
    }

    fn module(&self, source: &KernelSource) -> Result<usize> {
        let known = instances(PLAIN_FILES.iter().copied())
            .iter()
            .any(|(file, defines)| *file == source.file && *defines == source.defines);
        let label = source.label();
        if !known {
            let problem = "not among the instances that are compiled for the CPU".into();
            return Err(CudaError::Kernels { label, problem });
        }
        let mut state = self.state();
        let found = state.modules.iter().position(|m| *m == label);
        Ok(found.unwrap_or_else(|| {
            state.modules.push(label);
            state.modules.len() - 1
        }))
    }

    unsafe fn launch(&self, module: usize, kernel: &str, how: &Launch, args: &mut [*mut c_void]) -> Result<()> {
        let name = format!("{kernel}@{}", self.state().modules[module]);
        let fail = |problem: String| Err(CudaError::Driver { what: format!("launch of {name}"), problem });
        if how.shared > self.info.shared_per_block {
            return fail(format!("{} bytes of shared memory, {} at most", how.shared, self.info.shared_per_block));
        }
        let c_name = CString::new(name.clone()).expect("no zero bytes in names");
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        // SAFETY: the caller vouches for the arguments; the sizes are read by value.
        let code = unsafe {
            let (grid, block) = (how.grid.as_ptr(), how.block.as_ptr());
            cuh_launch(c_name.as_ptr(), grid, block, how.shared as usize, args.as_mut_ptr(), threads)
        };
        match code {
            0 => {
                LAUNCHES.set(LAUNCHES.get() + 1);
                Ok(())
            }
            1 => fail("no such kernel".into()),
            _ => fail(format!("blocks of {:?} threads", how.block)),
        }
    }

    fn synchronise(&self, _stream: usize) -> Result<()> {
        Ok(())
    }

    fn mark(&self, _stream: usize) -> Result<usize> {
        let mut state = self.state();
        state.marks.push(Instant::now());
        Ok(state.marks.len() - 1)
    }

    fn seconds_between(&self, first: usize, second: usize) -> Result<f64> {
        let state = self.state();
        Ok((state.marks[second] - state.marks[first]).as_secs_f64())
    }
}

#[cfg(test)]
mod tests;
