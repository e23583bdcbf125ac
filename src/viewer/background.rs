//! Threads that step back for the window.

/// How much less the system favours such a thread, in steps of `nice`: a thread of the window gets ten times its time.
#[cfg(target_os = "linux")]
const BACK: i32 = 10;

/// Has the calling thread, and those that it starts from now on, give way to the window's where both want a core. Where the
/// graphics driver draws on the processor, frames would else wait until work for an old camera is given up. Linux alone has
/// priorities of single threads; elsewhere nothing changes.
pub(crate) fn step_back() {
    // Refused: then all threads are equal, as elsewhere.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(BACK);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn only_the_thread_and_its_own_step_back() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        let there = std::thread::spawn(move || {
            super::step_back();
            (niceness(), std::thread::spawn(niceness).join().unwrap())
        });
        let expected = (before + super::BACK).min(19);
        assert_eq!(there.join().unwrap(), (expected, expected));
        assert_eq!(niceness(), before);
    }
}
