//! Memory of a device.

use super::{Device, Result};
use std::marker::PhantomData;

/// Values that are nothing but their bytes.
///
/// # Safety
/// Every pattern of bytes is a value, and there are no padding bytes.
pub unsafe trait Plain: Copy + Send + Sync + 'static {
    /// The value's bytes.
    fn bytes(&self) -> &[u8] {
        as_bytes(std::slice::from_ref(self))
    }
}

// SAFETY: plain numbers.
unsafe impl Plain for f32 {}
// SAFETY: plain numbers.
unsafe impl Plain for i32 {}
// SAFETY: plain numbers.
unsafe impl Plain for u8 {}
// SAFETY: plain numbers.
unsafe impl Plain for u16 {}
// SAFETY: plain numbers.
unsafe impl Plain for u32 {}
// SAFETY: plain numbers.
unsafe impl Plain for u64 {}
// SAFETY: plain values one after the other.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// The value whose bytes are all zero.
pub fn zero<T: Plain>() -> T {
    // SAFETY: every pattern of bytes is a value of a plain type.
    unsafe { std::mem::zeroed() }
}

/// The bytes of values.
pub fn as_bytes<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: `Plain` values have no padding, and any byte may be read.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

fn as_bytes_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: any pattern of bytes is a value.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// Values on a device; given back when dropped.
#[derive(Debug)]
pub struct Buffer<T: Plain> {
    device: Device,
    address: u64,
    len: usize,
    kind: PhantomData<T>,
}

impl<T: Plain> Buffer<T> {
    /// Memory for `len` values, all zero.
    ///
    /// # Errors
    /// [`super::CudaError::OutOfMemory`] if there is not so much.
    pub fn zeros(device: &Device, len: usize) -> Result<Self> {
        // An empty buffer still has an address of its own.
        let address = device.0.allocate((len * size_of::<T>()).max(1))?;
        Ok(Self { device: device.clone(), address, len, kind: PhantomData })
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the values lie on the device.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Overwrites the first values.
    ///
    /// # Panics
    /// If there are more than the buffer holds.
    ///
    /// # Errors
    /// If the copy fails, or work before it did.
    pub fn write(&mut self, values: &[T]) -> Result<()> {
        self.write_on(0, 0, values)
    }

    /// Overwrites values from `first` on, in the order of `stream`.
    ///
    /// # Panics
    /// If they do not fit.
    ///
    /// # Errors
    /// As [`Buffer::write`].
    pub fn write_on(&mut self, stream: usize, first: usize, values: &[T]) -> Result<()> {
        assert!(first + values.len() <= self.len, "{} values at {first} of {}", values.len(), self.len);
        // SAFETY: the range lies inside the buffer.
        unsafe { self.device.0.write(stream, self.address + (first * size_of::<T>()) as u64, as_bytes(values)) }
    }

    /// Makes all values zero, in the order of `stream`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn clear(&mut self, stream: usize) -> Result<()> {
        // SAFETY: the buffer has as many bytes.
        unsafe { self.device.0.zero(stream, self.address, self.len * size_of::<T>()) }
    }

    /// A copy of all values.
    ///
    /// # Errors
    /// If the copy fails, or work before it did.
    pub fn read(&self) -> Result<Vec<T>> {
        let mut values = vec![zero(); self.len];
        self.read_on(0, 0, &mut values)?;
        Ok(values)
    }

    /// Copies values from `first` on, in the order of `stream`.
    ///
    /// # Panics
    /// If there are not so many.
    ///
    /// # Errors
    /// If the copy fails, or work before it did.
    pub fn read_on(&self, stream: usize, first: usize, values: &mut [T]) -> Result<()> {
        assert!(first + values.len() <= self.len, "{} values at {first} of {}", values.len(), self.len);
        // SAFETY: the range lies inside the buffer.
        unsafe { self.device.0.read(stream, self.address + (first * size_of::<T>()) as u64, as_bytes_mut(values)) }
    }
}

impl<T: Plain> Drop for Buffer<T> {
    fn drop(&mut self) {
        // SAFETY: the address came from `allocate`; launches that use the buffer are ordered before the free by the
        // driver, and no other value holds the address.
        unsafe { self.device.0.free(self.address) }
    }
}
