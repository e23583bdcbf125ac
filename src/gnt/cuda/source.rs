//! Source views on a device.

use super::{CudaEngine, Precision};
use crate::config::ViewAttentionKind;
use crate::{Error, Result};
use scene::{Camera, Image};
use tensor::cuda::{Args, Buffer, CudaError, Launch, Plain};

/// A source view as kernels read it; twin of the struct in `kernels/render/network.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceView {
    image: u64,
    map: u64,
    keys: u64,
    pixel_from_world: [f32; 12],
    eye: [f32; 3],
    width: i32,
    height: i32,
    map_width: i32,
    map_height: i32,
    unused: i32,
}

// SAFETY: 24 bytes of addresses and 20 numbers of four bytes: no padding.
unsafe impl Plain for SourceView {}

/// A source view ready to be looked up: it does not depend on the target, so it is made once a scene.
#[derive(Debug)]
pub struct CudaSource {
    pub(super) view: SourceView,
    bytes: u64,
    // Held because `view` points to them.
    _image: Buffer<f32>,
    map: Map,
    _keys: Option<Buffer<u32>>,
}

#[derive(Debug)]
enum Map {
    F32(Buffer<f32>),
    #[expect(dead_code, reason = "held for its memory")]
    Bf16(Buffer<u32>),
}

impl CudaSource {
    /// Moves the view to where `camera` stands; nothing else of it depends on that.
    pub fn place(&mut self, camera: &Camera) {
        (self.view.pixel_from_world, self.view.eye) = placed(camera);
    }

    /// Bytes of device memory held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The map after the first token layer `[pixels, C]`; empty in bf16.
    pub(super) fn read_map(&self) -> Result<Vec<f32>> {
        match &self.map {
            Map::F32(map) => Ok(map.read()?),
            Map::Bf16(_) => Ok(Vec::new()),
        }
    }
}

/// The first three rows of the projection, and the camera's centre.
fn placed(camera: &Camera) -> ([f32; 12], [f32; 3]) {
    let matrix = camera.pixel_from_world().transpose().to_cols_array();
    (std::array::from_fn(|i| matrix[i]), camera.origin().to_array())
}

impl CudaEngine {
    /// Runs the feature network on a source view, applies the first token layer to its map and makes the keys' codes.
    ///
    /// # Errors
    /// If the image is too small for the feature network or the device's memory.
    pub fn prepare(&mut self, camera: &Camera, image: &Image) -> Result<CudaSource> {
        let (h, w) = (image.height as usize, image.width as usize);
        let colours = self.device.upload(&image.data)?;
        let features = self.features.forward(&colours, h, w)?;
        let size = (features.width, features.height, features.channels);
        let source = self.prepare_with_map(camera, (&colours, w, h), &features.data, size);
        self.features.recycle(features);
        source
    }

    /// The same from a feature map `[height, width, channels]` of the image `[height, width, 3]`.
    pub(super) fn prepare_with_map(
        &mut self,
        camera: &Camera,
        (colours, w, h): (&Buffer<f32>, usize, usize),
        features: &Buffer<f32>,
        (map_width, map_height, channels): (usize, usize, usize),
    ) -> Result<CudaSource> {
        let (c, pixels) = (self.config.width, map_width * map_height);
        assert!(colours.len() >= 3 * h * w && features.len() >= pixels * channels, "sizes of image and map");
        if pixels * c >= 1 << 31 || h * w * 4 >= 1 << 31 {
            return Err(Error::Input(format!("source image: {w}x{h} pixels are too many for CUDA")));
        }
        let pixel_image = self.device.zeros::<f32>(4 * h * w)?;
        let map = self.device.zeros::<f32>(pixels * c)?;
        let launch = |kernel: &str, how: Launch, args: Args| -> std::result::Result<(), CudaError> {
            // SAFETY: see the calls: buffers hold as many values as the counts beside them say.
            unsafe { self.prepare.launch(kernel, &how, args) }
        };
        // [h·w, 3] to [h·w, 4].
        let args = Args::new().buffer(colours).buffer(&pixel_image).int(h * w);
        launch("prepare_image", Launch::each(h * w), args)?;
        // [pixels, F] times [F, C].
        let args = Args::new().buffer(features).buffer(&self.map).buffer(&map).int(pixels).int(channels);
        launch("prepare_map", Launch::each(pixels * c), args)?;

        let (pixel_from_world, eye) = placed(camera);
        let mut view = SourceView {
            image: pixel_image.address(),
            map: map.address(),
            keys: 0,
            pixel_from_world,
            eye,
            width: w as i32,
            height: h as i32,
            map_width: map_width as i32,
            map_height: map_height as i32,
            unused: 0,
        };
        let keys = match self.config.view_attention {
            ViewAttentionKind::Subtract => None,
            ViewAttentionKind::Hamming => {
                let keys = self.device.zeros::<u32>(pixels * self.config.depth * c.div_ceil(32))?;
                let exact = self.exact.as_ref().unwrap_or(&self.network).weights;
                let here = self.device.upload(&[view])?;
                let args = Args::new().buffer(&here).value(exact).buffer(&keys);
                // Four warps of sixteen pixels; the map is in f32 still.
                launch("prepare_keys", Launch::new(pixels.div_ceil(64), 128), args)?;
                self.device.synchronise()?;
                view.keys = keys.address();
                Some(keys)
            }
        };
        let map = match self.precision {
            Precision::F32 => Map::F32(map),
            _ => {
                let rounded = self.device.zeros::<u32>(pixels * c / 2)?;
                let args = Args::new().buffer(&map).buffer(&rounded).int(pixels * c / 2);
                launch("prepare_round", Launch::each(pixels * c / 2), args)?;
                self.device.synchronise()?;
                view.map = rounded.address();
                Map::Bf16(rounded)
            }
        };
        self.device.synchronise()?;
        let keys_bytes = keys.as_ref().map_or(0, |k| 4 * k.len());
        let bytes = (16 * h * w + pixels * c * self.precision.bytes() + keys_bytes) as u64;
        Ok(CudaSource { view, bytes, _image: pixel_image, map, _keys: keys })
    }
}
