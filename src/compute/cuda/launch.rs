//! How a kernel is started.

use super::{Buffer, Plain};
use std::ffi::c_void;

/// Grid, block and shared memory of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory of a block.
    pub shared: u32,
    /// Which of the device's streams.
    pub stream: usize,
    /// How many blocks a multiprocessor shall have room for at once: what they do not need of its memory is left to its
    /// first-level cache. As the driver likes if not given.
    pub resident: Option<u32>,
}

impl Launch {
    /// `blocks` blocks of `threads` threads on the first stream.
    pub fn new(blocks: usize, threads: u32) -> Self {
        let blocks = u32::try_from(blocks).expect("fewer than 2^32 blocks");
        Self { grid: [blocks, 1, 1], block: [threads, 1, 1], shared: 0, stream: 0, resident: None }
    }

    /// One thread for each of `count` items (at least one block), 256 a block.
    pub fn each(count: usize) -> Self {
        Self::new(count.div_ceil(256).max(1), 256)
    }

    /// The same with dynamic shared memory.
    pub fn shared(self, bytes: usize) -> Self {
        Self { shared: u32::try_from(bytes).expect("fewer than 2^32 bytes"), ..self }
    }

    /// The same, with room for so many blocks on each multiprocessor and no more.
    pub fn resident(self, blocks: usize) -> Self {
        Self { resident: Some(u32::try_from(blocks).expect("few blocks")), ..self }
    }

    /// The same on another stream.
    pub fn on(self, stream: usize) -> Self {
        Self { stream, ..self }
    }

    /// The same with a second and third dimension of the grid.
    pub fn grid(self, y: usize, z: usize) -> Self {
        let [y, z] = [y, z].map(|n| u32::try_from(n).expect("fewer than 2^32 blocks"));
        Self { grid: [self.grid[0], y, z], ..self }
    }
}

/// Arguments of a kernel, in order.
#[derive(Debug, Default)]
pub struct Args {
    /// Values one after the other, each at the start of a word.
    words: Vec<u64>,
    starts: Vec<usize>,
}

impl Args {
    /// No arguments yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A pointer to the start of a buffer.
    pub fn buffer<T: Plain>(self, buffer: &Buffer<T>) -> Self {
        self.value(buffer.address())
    }

    /// A pointer to a buffer, or null.
    pub fn optional<T: Plain>(self, buffer: Option<&Buffer<T>>) -> Self {
        self.value(buffer.map_or(0u64, Buffer::address))
    }

    /// An `int`.
    ///
    /// # Panics
    /// If `value` is not one.
    pub fn int(self, value: usize) -> Self {
        self.value(i32::try_from(value).expect("a size below 2^31"))
    }

    /// A `float`.
    pub fn float(self, value: f32) -> Self {
        self.value(value)
    }

    /// Any value with the layout of C, also a struct.
    pub fn value<T: Plain>(mut self, value: T) -> Self {
        const { assert!(align_of::<T>() <= 8, "arguments are aligned to 8 bytes") };
        self.starts.push(self.words.len());
        let bytes = value.bytes();
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.words.push(u64::from_ne_bytes(word));
        }
        self
    }

    /// Where each argument lies; valid as long as `self` is not changed.
    pub fn pointers(&mut self) -> Vec<*mut c_void> {
        let base = self.words.as_mut_ptr();
        // SAFETY: every start is an index into `words`.
        self.starts.iter().map(|start| unsafe { base.add(*start) }.cast()).collect()
    }
}
