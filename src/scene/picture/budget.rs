//! Memory for pictures that are being decoded: many threads at once must not hold many large ones.

use std::sync::{Condvar, Mutex, PoisonError};

/// Most bytes for pictures in decoding, unless a single one needs more.
const MOST: u64 = 2 << 30;
/// Bytes for a pixel in decoding: RGBA of 16 bits, RGB of 32 bits, and the same again while it is straightened.
const BYTES_A_PIXEL: u64 = 32;

/// Bytes that pictures being decoded have reserved.
static TAKEN: Mutex<u64> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

/// Memory that is given back when dropped.
pub(crate) struct Reserved(u64);

/// Waits until there is memory to decode a picture of this size. A thread holds one reservation at a time.
pub(crate) fn reserve((width, height): (u32, u32)) -> Reserved {
    let bytes = u64::from(width) * u64::from(height) * BYTES_A_PIXEL;
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let full = |taken: &mut u64| *taken > 0 && *taken + bytes > MOST;
    let mut taken = GIVEN_BACK.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner);
    *taken += bytes;
    Reserved(bytes)
}

impl Drop for Reserved {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        GIVEN_BACK.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn large_pictures_wait_for_each_other() {
        let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let _reserved = reserve((11_585, 11_585));
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
    }
}
