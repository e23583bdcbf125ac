//! Work on several threads with results that do not depend on their number.

use std::sync::Mutex;
use std::thread::Builder;

/// Runs `work` on every item, up to `threads` at a time; items are handed out in order as threads become free.
///
/// Each item owns its outputs, so results are the same for any number of threads; sum them afterwards in item order.
/// The calling thread is one of them. Where the system starts no more, those that run do the work.
pub fn for_each<T: Send>(items: &mut [T], threads: usize, work: impl Fn(usize, &mut T) + Sync) {
    for_each_with(items, threads, || (), |(), i, item| work(i, item));
}

/// As [`for_each`], with scratch memory that each thread makes once.
pub fn for_each_with<T: Send, S>(
    items: &mut [T],
    threads: usize,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize, &mut T) + Sync,
) {
    run(items, threads, Builder::new, scratch, work);
}

fn run<T: Send, S>(
    items: &mut [T],
    threads: usize,
    builder: impl Fn() -> Builder,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize, &mut T) + Sync,
) {
    if threads <= 1 || items.len() <= 1 {
        let mut scratch = scratch();
        return items.iter_mut().enumerate().for_each(|(i, item)| work(&mut scratch, i, item));
    }
    let workers = threads.min(items.len());
    let queue = Mutex::new(items.iter_mut().enumerate());
    let worker = || {
        let mut scratch = scratch();
        loop {
            let next = queue.lock().expect("no worker panics while it holds the queue").next();
            let Some((i, item)) = next else { break };
            work(&mut scratch, i, item);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            if builder().spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
        worker();
    });
}

/// Number of threads this process may use.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    /// Stacks that do not fit in memory stand for a system that starts no more threads.
    #[test]
    fn threads_that_cannot_be_started_are_done_without() {
        let mut items = vec![0usize; 31];
        let builder = || std::thread::Builder::new().stack_size(1 << 50);
        assert!(builder().spawn(|| ()).is_err());
        super::run(&mut items, 5, builder, || (), |(), i, item| *item += i + 1);
        assert!(items.iter().enumerate().all(|(i, v)| *v == i + 1));
    }

    #[test]
    fn every_item_is_worked_on_once() {
        for threads in [1, 2, 5] {
            let mut items = vec![0usize; 31];
            super::for_each(&mut items, threads, |i, item| *item += i + 1);
            assert!(items.iter().enumerate().all(|(i, v)| *v == i + 1));
        }
    }
}
