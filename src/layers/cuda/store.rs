//! Parts of device memory as operands, and memory that is kept between steps.

use crate::Slot;
use compute::cuda::{Buffer, Device, Plain, Result};
use std::ops::Range;

/// A contiguous part of a device buffer, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    buffer: &'a Buffer<f32>,
    offset: usize,
    len: usize,
}

/// A contiguous part of a device buffer, to be written.
#[derive(Debug)]
pub struct SliceMut<'a> {
    buffer: &'a mut Buffer<f32>,
    offset: usize,
    len: usize,
}

impl<'a> Slice<'a> {
    /// The values of a parameter in the flat vector.
    ///
    /// # Panics
    /// If the slot reaches past the end of `flat`.
    pub fn of(flat: &'a Buffer<f32>, slot: Slot) -> Self {
        Self::from(flat).part(slot.offset..slot.offset + slot.len)
    }

    /// A part of this part.
    ///
    /// # Panics
    /// If `range` reaches past the end.
    pub fn part(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} values", self.len);
        Self { offset: self.offset + range.start, len: range.len(), ..self }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the first value lies on the device.
    pub fn address(&self) -> u64 {
        self.buffer.address() + (self.offset * size_of::<f32>()) as u64
    }
}

impl<'a> SliceMut<'a> {
    /// The values of a parameter in the flat vector.
    ///
    /// # Panics
    /// If the slot reaches past the end of `flat`.
    pub fn of(flat: &'a mut Buffer<f32>, slot: Slot) -> Self {
        Self::from(flat).part(slot.offset..slot.offset + slot.len)
    }

    /// A part of this part.
    ///
    /// # Panics
    /// If `range` reaches past the end.
    pub fn part(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} values", self.len);
        Self { offset: self.offset + range.start, len: range.len(), ..self }
    }

    /// A shorter loan of this part, which can be used again afterwards.
    pub fn reborrow(&mut self) -> SliceMut<'_> {
        SliceMut { buffer: self.buffer, offset: self.offset, len: self.len }
    }

    /// The same part, to be read.
    pub fn slice(&self) -> Slice<'_> {
        Slice { buffer: self.buffer, offset: self.offset, len: self.len }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the first value lies on the device.
    pub fn address(&self) -> u64 {
        self.slice().address()
    }
}

impl<'a> From<&'a Buffer<f32>> for Slice<'a> {
    fn from(buffer: &'a Buffer<f32>) -> Self {
        Self { buffer, offset: 0, len: buffer.len() }
    }
}

impl<'a> From<&'a mut Buffer<f32>> for SliceMut<'a> {
    fn from(buffer: &'a mut Buffer<f32>) -> Self {
        Self { offset: 0, len: buffer.len(), buffer }
    }
}

impl<'a> From<&'a Store> for Slice<'a> {
    fn from(store: &'a Store) -> Self {
        store.slice()
    }
}

impl<'a> From<&'a mut Store> for SliceMut<'a> {
    fn from(store: &'a mut Store) -> Self {
        store.slice_mut()
    }
}

/// Memory of a tape or of a backward pass: kept between steps, and only ever replaced by more of it.
#[derive(Debug)]
pub struct Store<T: Plain = f32> {
    buffer: Option<Buffer<T>>,
    len: usize,
}

impl<T: Plain> Default for Store<T> {
    fn default() -> Self {
        Self { buffer: None, len: 0 }
    }
}

impl<T: Plain> Store<T> {
    /// Makes room for `len` values; what they are is not defined.
    ///
    /// # Errors
    /// [`compute::cuda::CudaError::OutOfMemory`] if there is not so much memory.
    pub fn resize(&mut self, device: &Device, len: usize) -> Result<&mut Self> {
        if self.buffer.as_ref().is_none_or(|b| b.len() < len) {
            // Given back first, so that the old and the new need not fit together.
            (self.buffer, self.len) = (None, 0);
            self.buffer = Some(device.zeros(len)?);
        }
        self.len = len;
        Ok(self)
    }

    /// Makes room for `values` and copies them there, after all earlier work.
    ///
    /// # Errors
    /// As [`Store::resize`], and if the copy fails.
    pub fn upload(&mut self, device: &Device, values: &[T]) -> Result<&mut Self> {
        self.resize(device, values.len())?;
        self.buffer.as_mut().expect("made just now").write(values)?;
        Ok(self)
    }

    /// Number of values in use.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is in use.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The memory, which may be longer than what is in use.
    ///
    /// # Panics
    /// If it was never resized.
    pub fn buffer(&self) -> &Buffer<T> {
        self.buffer.as_ref().expect("memory that was made by `resize`")
    }

    /// A copy of the values in use, after all earlier work.
    ///
    /// # Errors
    /// If the copy fails, or work before it did.
    pub fn read(&self) -> Result<Vec<T>> {
        let Some(buffer) = &self.buffer else { return Ok(Vec::new()) };
        // SAFETY: zero bytes are a value of a plain type.
        let mut values = vec![unsafe { std::mem::zeroed() }; self.len];
        buffer.read_on(0, 0, &mut values)?;
        Ok(values)
    }
}

impl Store {
    /// The values in use, to be read.
    pub fn slice(&self) -> Slice<'_> {
        Slice { buffer: self.buffer(), offset: 0, len: self.len }
    }

    /// The values in use, to be written.
    pub fn slice_mut(&mut self) -> SliceMut<'_> {
        let buffer = self.buffer.as_mut().expect("memory that was made by `resize`");
        SliceMut { buffer, offset: 0, len: self.len }
    }
}
