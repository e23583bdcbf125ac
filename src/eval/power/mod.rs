//! Energy that a computation takes, as the hardware itself counts it: NVML for GPUs, RAPL for processors.
//!
//! Nothing of it is needed: where a counter is missing or may not be read, a [`Meter`] says so and measures nothing.

pub mod gpu;
pub mod rapl;
#[cfg(test)]
mod tests;

use gpu::{Gpu, IntegratedPower};
use rapl::Rapl;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Something that counts joules.
trait Counter: Send {
    /// Joules since some moment in the past; none if the hardware does not answer.
    fn joules(&mut self) -> Option<f64>;

    /// How often [`Counter::joules`] must be called so that nothing is lost; never if none.
    fn interval(&self) -> Option<Duration> {
        None
    }
}

type Shared = Arc<Mutex<Box<dyn Counter>>>;

/// Measures joules between two moments.
pub struct Meter {
    description: String,
    counter: Option<Shared>,
    begin: Option<f64>,
    ticker: Option<Ticker>,
}

impl Meter {
    /// The meter of the CUDA device of this number: the whole board, whoever uses it.
    pub fn gpu(number: u32) -> Self {
        let opened = Gpu::of_cuda(number).and_then(|gpu| {
            let description = gpu.describe();
            if gpu.joules().is_some() {
                return Ok((format!("{description}, energy counter"), Box::new(gpu) as Box<dyn Counter>));
            }
            let integral = IntegratedPower::new(gpu).ok_or_else(|| format!("{description}: tells no power"))?;
            Ok((format!("{description}, sampled power"), Box::new(integral)))
        });
        Self::new(opened.map_err(|problem| format!("no energy of GPU {number}: {problem}")))
    }

    /// The meter of the processor's packages and memory, whoever uses them.
    pub fn cpu() -> Self {
        Self::cpu_at(Path::new(rapl::FOLDER))
    }

    fn cpu_at(folder: &Path) -> Self {
        let opened = Rapl::open(folder).map(|rapl| (rapl.describe(), Box::new(rapl) as Box<dyn Counter>));
        Self::new(opened.map_err(|problem| format!("no energy of the processor: {problem}")))
    }

    fn new(opened: Result<(String, Box<dyn Counter>), String>) -> Self {
        let (description, counter) = match opened {
            Ok((description, counter)) => (description, Some(Arc::new(Mutex::new(counter)))),
            Err(problem) => (problem, None),
        };
        Self { description, counter, begin: None, ticker: None }
    }

    /// Begins to measure, again if it has before.
    #[must_use]
    pub fn start(mut self) -> Self {
        self.ticker = None;
        self.begin = self.read();
        if let (Some(counter), true) = (&self.counter, self.begin.is_some()) {
            let interval = lock(counter).interval();
            self.ticker = interval.and_then(|interval| Ticker::start(Arc::clone(counter), interval));
        }
        self
    }

    /// Joules since [`Meter::start`]; none without a counter, or if it stopped to answer. Hardware updates its counters
    /// some ten times a second, so what is measured should last for seconds.
    pub fn joules(&self) -> Option<f64> {
        let begin = self.begin?;
        Some((self.read()? - begin).max(0.0))
    }

    /// What is measured, or why nothing is.
    pub fn describe(&self) -> &str {
        &self.description
    }

    /// Whether there is a counter.
    pub fn available(&self) -> bool {
        self.counter.is_some()
    }

    fn read(&self) -> Option<f64> {
        lock(self.counter.as_ref()?).joules()
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Meter").field("description", &self.description).field("begin", &self.begin).finish()
    }
}

/// A counter stays whole where a thread panics.
fn lock(counter: &Shared) -> MutexGuard<'_, Box<dyn Counter>> {
    counter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that reads a counter again and again until it is dropped.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// None if the system has no thread left: then long measurements may be wrong, but short ones are right.
    fn start(counter: Shared, interval: Duration) -> Option<Self> {
        let (stop, stopped) = channel();
        let run = move || {
            while stopped.recv_timeout(interval) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                lock(&counter).joules();
            }
        };
        let thread = std::thread::Builder::new().name("energy".into()).spawn(run).ok()?;
        Some(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // Without its sender the channel wakes the thread.
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // The counter is not known to panic; if it did, the measurement has said so.
            let _ = thread.join();
        }
    }
}
