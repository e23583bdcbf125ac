//! Memory for maps, kept between calls.

use crate::{Error, Result};
use compute::cuda::{Buffer, CudaError, Device};
use std::collections::BTreeMap;

/// Buffers that nobody uses at the moment, by length.
///
/// All work is in order on one stream, so a buffer may be given back as soon as the last kernel that uses it is
/// launched.
#[derive(Debug)]
pub(super) struct Pool {
    device: Device,
    free: BTreeMap<usize, Vec<Buffer<f32>>>,
}

/// Lengths are rounded up to one of eight steps between powers of two, so that images of nearly the same size share
/// buffers.
fn rounded(len: usize) -> usize {
    let len = len.max(64);
    len.next_multiple_of(len.next_power_of_two() / 16)
}

impl Pool {
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), free: BTreeMap::new() }
    }

    /// A buffer of at least `len` values, whatever they are.
    pub fn take(&mut self, len: usize) -> Result<Buffer<f32>> {
        let len = rounded(len);
        self.find(len, len + len / 2).map_or_else(|| self.allocate(len), Ok)
    }

    /// A buffer of just `len` values, whatever they are.
    pub fn take_exact(&mut self, len: usize) -> Result<Buffer<f32>> {
        self.find(len, len).map_or_else(|| self.allocate(len), Ok)
    }

    /// Gives a buffer back.
    pub fn give(&mut self, buffer: Buffer<f32>) {
        self.free.entry(buffer.len()).or_default().push(buffer);
    }

    fn find(&mut self, least: usize, most: usize) -> Option<Buffer<f32>> {
        let (&len, buffers) = self.free.range_mut(least..=most).next()?;
        let buffer = buffers.pop();
        if buffers.is_empty() {
            self.free.remove(&len);
        }
        buffer
    }

    fn allocate(&mut self, len: usize) -> Result<Buffer<f32>> {
        match self.device.zeros(len) {
            // Buffers for images of other sizes are in the way.
            Err(CudaError::OutOfMemory { .. }) if !self.free.is_empty() => {
                self.free.clear();
                Ok(self.device.zeros(len)?)
            }
            found => Ok(found?),
        }
    }

    /// Maps of so many images whose values are whatever they are.
    pub fn map(&mut self, images: usize, height: usize, width: usize, channels: usize) -> Result<Map> {
        let values = [height, width, channels].into_iter().try_fold(images, usize::checked_mul);
        // Kernels count values by `int`.
        let values = values.filter(|n| i32::try_from(*n).is_ok()).ok_or_else(|| {
            Error::Input(format!(
                "source image: too large for the device, one of its maps has {width}x{height} pixels and {channels} \
                 channels for each of {images} images, but at most 2^31 - 1 values are possible"
            ))
        })?;
        Ok(Map { images, height, width, channels, data: self.take(values)? })
    }

    /// Gives a map's buffer back.
    pub fn give_map(&mut self, map: Option<Map>) {
        if let Some(map) = map {
            self.give(map.data);
        }
    }
}

/// Maps `[images, height, width, channels]` in a buffer that may be larger.
#[derive(Debug)]
pub(super) struct Map {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub data: Buffer<f32>,
}

/// Maps that are only read.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub data: &'a Buffer<f32>,
}

impl Map {
    pub fn view(&self) -> View<'_> {
        View { images: self.images, height: self.height, width: self.width, channels: self.channels, data: &self.data }
    }
}

impl View<'_> {
    /// Pixels of an image.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Values of all images.
    pub fn len(&self) -> usize {
        self.images * self.pixels() * self.channels
    }

    /// Images, height and width, with other channels.
    pub fn size(&self, channels: usize) -> [usize; 4] {
        [self.images, self.height, self.width, channels]
    }

    /// Asserts the size, and that the buffer holds as many values.
    pub fn expect(&self, what: &str, size: [usize; 4]) {
        assert_eq!(self.size(self.channels), size, "{what}: images, height, width and channels");
        assert!(self.data.len() >= self.len(), "{what}: {} values in a buffer of {}", self.len(), self.data.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_fits_and_makes_room() {
        assert_eq!([1, 64, 65, 1000, 1025].map(rounded), [64, 64, 72, 1024, 1152]);
        let device = kernels_host::device_with_memory(4 * 3000);
        let mut pool = Pool::new(&device);
        let first = pool.take(1000).unwrap();
        let (address, len) = (first.address(), first.len());
        pool.give(first);
        assert_eq!(len, 1024);
        // A much smaller one must not take it.
        let small = pool.take(100).unwrap();
        assert_ne!(small.address(), address);
        let again = pool.take(990).unwrap();
        assert_eq!(again.address(), address);
        pool.give(again);
        // Only without the idle buffer there is room.
        let large = pool.take_exact(2500).unwrap();
        assert_eq!(large.len(), 2500);
        let error = pool.take(2000).unwrap_err().to_string();
        assert!(error.starts_with("device memory: no room for 8192 bytes"), "{error}");
    }

    #[test]
    fn refuses_maps_that_kernels_cannot_count() {
        let error = Pool::new(&kernels_host::device()).map(1, 1 << 14, 1 << 14, 64).unwrap_err().to_string();
        assert!(error.contains("16384x16384 pixels and 64 channels"), "{error}");
    }
}
