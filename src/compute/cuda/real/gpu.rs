//! A GPU as a [`Driver`].

use super::api::{Api, Handle, OUT_OF_MEMORY, Raw, Status};
use super::lock;
use super::modules::{self, Function, Modules};
use crate::cuda::cache::Cache;
use crate::cuda::{CudaError, DeviceInfo, Driver, KernelSource, Launch, Result, STREAMS, nvrtc};
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, PoisonError};

/// The stream that fills new memory: work of the others is not waited for.
const FILLING: usize = STREAMS;

/// Bytes of shared memory that the driver keeps for itself in each block.
const RESERVED_SHARED: u32 = 1024;

/// How many launches of a stream an error can name.
const REMEMBERED: usize = 8;

/// A GPU with its primary context, which cuBLAS and the like share.
#[derive(Debug)]
pub struct Gpu {
    pub api: &'static Api,
    device: c_int,
    info: DeviceInfo,
    context: Handle,
    streams: Vec<Handle>,
    pub modules: Modules,
    marks: Mutex<Marks>,
    /// The last launches of each stream that are not known to be done: errors come late, and these may have made them.
    launched: [Mutex<VecDeque<Arc<str>>>; STREAMS],
}

/// Events by number; those that are free are used again.
#[derive(Debug, Default)]
struct Marks {
    events: Vec<Handle>,
    free: Vec<usize>,
}

impl Gpu {
    pub fn open(api: &'static Api, device: c_int, info: DeviceInfo) -> Result<Self> {
        const NON_BLOCKING: u32 = 1;
        let mut context = std::ptr::null_mut();
        // SAFETY: writes the handle.
        let status = unsafe { (api.context_retain)(&mut context, device) };
        api.check(status, || format!("opening {}", info.name))?;
        let mut gpu = Self {
            api,
            device,
            info,
            context: Handle(context),
            streams: Vec::new(),
            modules: Modules::default(),
            marks: Mutex::default(),
            launched: Default::default(),
        };
        gpu.enter()?;
        for _ in 0..=FILLING {
            let mut stream = std::ptr::null_mut();
            // SAFETY: writes the handle. What was made before an error is given back on drop.
            let status = unsafe { (api.stream_create)(&mut stream, NON_BLOCKING) };
            gpu.check(status, || "opening a stream".into())?;
            gpu.streams.push(Handle(stream));
        }
        Ok(gpu)
    }

    /// Makes the context that of the calling thread.
    fn enter(&self) -> Result<()> {
        // SAFETY: the context is retained as long as `self` lives.
        let status = unsafe { (self.api.context_set)(self.context.0) };
        self.api.check(status, || format!("using {}", self.info.name))
    }

    /// An error, unless `status` is a success; it names the kernels whose failure may only show now.
    fn check(&self, status: Status, what: impl FnOnce() -> String) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        let pending: Vec<String> =
            self.launched.iter().flat_map(|l| lock(l).iter().map(|n| n.to_string()).collect::<Vec<_>>()).collect();
        let mut problem = self.api.problem(status);
        if !pending.is_empty() {
            let pending = pending.join(", ");
            problem += &format!(
                "; launched before and not known to be done: {pending} (CUDA_LAUNCH_BLOCKING=1 finds the one)"
            );
        }
        Err(CudaError::Driver { what: what(), problem })
    }

    fn stream(&self, number: usize) -> Raw {
        assert!(number < STREAMS, "stream {number} of {STREAMS}");
        self.streams[number].0
    }

    /// Waits for a stream.
    fn wait(&self, number: usize, what: impl FnOnce() -> String) -> Result<()> {
        // SAFETY: the stream is open.
        let status = unsafe { (self.api.stream_synchronise)(self.stream(number)) };
        self.check(status, what)?;
        lock(&self.launched[number]).clear();
        Ok(())
    }

    fn remember(&self, stream: usize, name: &Arc<str>) {
        let mut launched = lock(&self.launched[stream]);
        if !launched.contains(name) {
            if launched.len() == REMEMBERED {
                launched.pop_front();
            }
            launched.push_back(Arc::clone(name));
        }
    }

    fn memory_info(&self) -> Result<(u64, u64)> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: writes the numbers.
        let status = unsafe { (self.api.memory_info)(&mut free, &mut total) };
        self.check(status, || "asking for free memory".into())?;
        Ok((free as u64, total as u64))
    }
}

impl Driver for Gpu {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn free_memory(&self) -> Result<u64> {
        self.enter()?;
        Ok(self.memory_info()?.0)
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.enter()?;
        let mut address = 0;
        // SAFETY: writes the address.
        let status = unsafe { (self.api.allocate)(&mut address, bytes) };
        if status == OUT_OF_MEMORY {
            let (free, total) = self.memory_info()?;
            return Err(CudaError::OutOfMemory { wanted: format!("{bytes} bytes"), free, total });
        }
        self.check(status, || format!("allocating {bytes} bytes"))?;
        let filling = self.streams[FILLING].0;
        // SAFETY: the memory is that of the line above, and known to nobody else.
        let status = unsafe {
            match (self.api.fill)(address, 0, bytes, filling) {
                0 => (self.api.stream_synchronise)(filling),
                status => status,
            }
        };
        self.check(status, || format!("clearing {bytes} new bytes")).inspect_err(|_| {
            // SAFETY: as above.
            unsafe { (self.api.free)(address) };
        })?;
        Ok(address)
    }

    unsafe fn free(&self, address: u64) {
        if self.enter().is_ok() {
            for stream in &self.streams {
                // Launches may still use the memory. An error shows at the next call that can return one.
                // SAFETY: the stream is open.
                unsafe { (self.api.stream_synchronise)(stream.0) };
            }
            // SAFETY: the caller vouches for the address.
            unsafe { (self.api.free)(address) };
        }
    }

    unsafe fn write(&self, stream: usize, address: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.enter()?;
        let what = || format!("copying {} bytes to the device", bytes.len());
        // SAFETY: the caller vouches for the memory; `bytes` stay until the copy is done.
        let status =
            unsafe { (self.api.copy_to_device)(address, bytes.as_ptr().cast(), bytes.len(), self.stream(stream)) };
        self.check(status, what)?;
        self.wait(stream, what)
    }

    unsafe fn read(&self, stream: usize, address: u64, bytes: &mut [u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.enter()?;
        let count = bytes.len();
        let what = || format!("copying {count} bytes from the device");
        // SAFETY: the caller vouches for the memory; `bytes` are borrowed until the copy is done.
        let status = unsafe { (self.api.copy_to_host)(bytes.as_mut_ptr().cast(), address, count, self.stream(stream)) };
        self.check(status, what)?;
        self.wait(stream, what)
    }

    unsafe fn zero(&self, stream: usize, address: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.enter()?;
        // SAFETY: the caller vouches for the memory.
        let status = unsafe { (self.api.fill)(address, 0, bytes, self.stream(stream)) };
        self.check(status, || format!("clearing {bytes} bytes"))
    }

    fn module(&self, source: &KernelSource) -> Result<usize> {
        self.enter()?;
        let (major, minor) = self.info.capability;
        let compile = || {
            let nvrtc = nvrtc::installed(self.api.version().0);
            modules::code(source, 10 * major + minor, nvrtc, &Cache::of_user())
        };
        self.modules.number(self.api, source, compile)
    }

    unsafe fn launch(&self, module: usize, kernel: &str, how: &Launch, args: &mut [*mut c_void]) -> Result<()> {
        let stream = self.stream(how.stream);
        // No block, nothing to do; the driver would call it an error.
        if how.grid.contains(&0) {
            return Ok(());
        }
        self.enter()?;
        let function: Function = self.modules.function(self.api, module, kernel)?;
        let name = &function.name;
        if how.shared > self.info.shared_per_block {
            let problem = format!("{} bytes of shared memory, {} at most", how.shared, self.info.shared_per_block);
            return Err(CudaError::Driver { what: format!("launch of {name}"), problem });
        }
        function.allow_shared(self.api, how.shared)?;
        if let Some(blocks) = how.resident {
            let wanted = blocks.saturating_mul(how.shared + RESERVED_SHARED);
            function.prefer_shared(self.api, wanted, self.info.shared_per_multiprocessor)?;
        }
        let Launch { grid: [x, y, z], block: [i, j, k], shared, .. } = *how;
        let none = std::ptr::null_mut();
        // SAFETY: the caller vouches for the arguments, which the driver copies before it returns.
        let status =
            unsafe { (self.api.launch)(function.handle.0, x, y, z, i, j, k, shared, stream, args.as_mut_ptr(), none) };
        if status == OUT_OF_MEMORY {
            // Registers that spill lie in memory that the driver may have to get first.
            let (free, total) = self.memory_info()?;
            return Err(CudaError::OutOfMemory { wanted: format!("the launch of {name} with {how:?}"), free, total });
        }
        self.check(status, || format!("launch of {name} with {how:?}"))?;
        self.remember(how.stream, name);
        Ok(())
    }

    fn synchronise(&self, stream: usize) -> Result<()> {
        self.enter()?;
        self.wait(stream, || format!("work of stream {stream}"))
    }

    fn mark(&self, stream: usize) -> Result<usize> {
        self.enter()?;
        let mut marks = lock(&self.marks);
        let number = match marks.free.pop() {
            Some(number) => number,
            None => {
                let mut event = std::ptr::null_mut();
                // SAFETY: writes the handle; no flags, so the event keeps the time.
                let status = unsafe { (self.api.event_create)(&mut event, 0) };
                self.check(status, || "making an event".into())?;
                marks.events.push(Handle(event));
                marks.events.len() - 1
            }
        };
        // SAFETY: event and stream are open.
        let status = unsafe { (self.api.event_record)(marks.events[number].0, self.stream(stream)) };
        self.check(status, || format!("marking stream {stream}")).inspect_err(|_| marks.free.push(number))?;
        Ok(number)
    }

    fn seconds_between(&self, first: usize, second: usize) -> Result<f64> {
        assert_ne!(first, second, "two marks");
        self.enter()?;
        let [start, end] = {
            let marks = lock(&self.marks);
            let forgotten = [first, second].map(|number| marks.free.contains(&number) || number >= marks.events.len());
            assert_eq!(forgotten, [false; 2], "marks {first} and {second} of {}", marks.events.len());
            [first, second].map(|number| marks.events[number].0)
        };
        let mut milliseconds = 0.0;
        // SAFETY: both events are open and were recorded.
        let status = unsafe {
            match ((self.api.event_synchronise)(start), (self.api.event_synchronise)(end)) {
                (0, 0) => (self.api.event_milliseconds)(&mut milliseconds, start, end),
                (0, status) | (status, _) => status,
            }
        };
        // Given back only now: another thread could have recorded them anew.
        lock(&self.marks).free.extend([first, second]);
        self.check(status, || "time between two marks".into())?;
        Ok(f64::from(milliseconds) / 1000.0)
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        if self.enter().is_ok() {
            // Errors have no place to go: work that failed was told before, or is of no interest any more.
            for stream in &self.streams {
                // SAFETY: the stream is open.
                unsafe { (self.api.stream_synchronise)(stream.0) };
            }
            self.modules.unload(self.api);
            for event in &self.marks.get_mut().unwrap_or_else(PoisonError::into_inner).events {
                // SAFETY: no mark is used any more.
                unsafe { (self.api.event_destroy)(event.0) };
            }
            for stream in &self.streams {
                // SAFETY: the stream is idle, and nothing uses it any more.
                unsafe { (self.api.stream_destroy)(stream.0) };
            }
        }
        // SAFETY: retained once, when the device was opened.
        unsafe { (self.api.context_release)(self.device) };
    }
}
