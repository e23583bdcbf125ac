//! Source views on a device.

use super::{CudaEngine, CudaPrecision, Device};
use crate::config::ViewAttentionKind;
use crate::features::cuda::ImageSize;
use crate::surface::SurfaceMap;
use crate::{Error, Result, sharpened};
use compute::cuda::twin::{Address, Float2, Float4, Stored};
use compute::cuda::{Args, Buffer, CudaError, Launch};
use compute::twin;
use scene::{Camera, Image};

twin! {
    /// A source view. Axes of a camera: x right, y down, z forward; pixels are integers at their centres.
    pub(super) struct RaySource {
        /// Colours `[height, width]`.
        image: Address<Float4>,
        /// First token layer of the feature map, `[map_height, map_width, C]`.
        map: Address<Stored>,
        /// Codes of the keys of all blocks, `[map pixels, depth, kCode]`; null where no block reads them.
        keys: Address<u32>,
        /// Where the view's own rays end, inverse depth and deviation, `[surface_height, surface_width]`; null where not known.
        surface: Address<Float2>,
        /// Three rows.
        pixel_from_world: [f32; 12],
        eye: [f32; 3],
        width: i32,
        height: i32,
        map_width: i32,
        map_height: i32,
        surface_width: i32,
        surface_height: i32,
        /// Pixels from one ray of the surface map to the next.
        surface_cell: i32,
        /// Whether the network asks which views a sample is hidden from.
        asks_visibility: i32,
        /// Fills the struct up to a multiple of eight bytes.
        unused: i32,
    }
}

/// A source view ready to be looked up: it does not depend on the target, so it is made once a scene.
#[derive(Debug)]
pub struct CudaSource {
    pub(super) view: RaySource,
    bytes: u64,
    // Held because `view` points to them.
    _image: Buffer<f32>,
    map: Map,
    keys: Option<Buffer<u32>>,
    surface: Option<Buffer<f32>>,
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

    /// Tells where the view's own rays end, or that it is not known.
    ///
    /// # Errors
    /// If the device fails.
    pub fn set_surface(&mut self, device: &Device, surface: Option<&SurfaceMap>) -> Result<()> {
        self.bytes -= self.surface.take().map_or(0, |held| 4 * held.len() as u64);
        self.view.surface = Address::NULL;
        let Some(surface) = surface else { return Ok(()) };
        let held = device.upload(surface.cells().as_flattened())?;
        (self.view.surface_width, self.view.surface_height) = (surface.size().0 as i32, surface.size().1 as i32);
        self.view.surface_cell = surface.cell() as i32;
        self.view.surface = Address::at(held.address());
        self.bytes += 4 * held.len() as u64;
        self.surface = Some(held);
        Ok(())
    }

    /// Bytes of device memory held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The codes of the keys of all blocks, `[pixels, depth, words]`, with words of 32 bits; empty where no block reads
    /// them.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read_keys(&self) -> Result<Vec<u32>> {
        Ok(self.keys.as_ref().map_or(Ok(Vec::new()), Buffer::read)?)
    }

    /// Replaces the codes of the keys.
    ///
    /// # Errors
    /// If there are not as many, or the device fails.
    pub fn write_keys(&mut self, codes: &[u32]) -> Result<()> {
        let count = self.keys.as_ref().map_or(0, Buffer::len);
        if codes.len() != count {
            return Err(Error::Input(format!("codes of keys: expected {count} words, found {}", codes.len())));
        }
        Ok(self.keys.as_mut().map_or(Ok(()), |keys| keys.write(codes))?)
    }

    /// The map after the first token layer `[pixels, C]`; empty unless the engine's precision is f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read_map(&self) -> Result<Vec<f32>> {
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
        let colours = match self.config.sharpening {
            0 => self.device.upload(&image.data)?,
            percent => self.device.upload(&sharpened(image, percent).data)?,
        };
        let features = self.features.forward(&colours, ImageSize { images: 1, height: h, width: w })?;
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
        let mut view = RaySource {
            image: Address::at(pixel_image.address()),
            map: Address::at(map.address()),
            keys: Address::NULL,
            pixel_from_world,
            eye,
            width: w as i32,
            height: h as i32,
            map_width: map_width as i32,
            map_height: map_height as i32,
            surface: Address::NULL,
            surface_width: 0,
            surface_height: 0,
            surface_cell: 0,
            asks_visibility: i32::from(self.config.visibility),
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
                view.keys = (&keys).into();
                Some(keys)
            }
        };
        let map = match self.precision {
            CudaPrecision::F32 => Map::F32(map),
            _ => {
                let rounded = self.device.zeros::<u32>(pixels * c / 2)?;
                let args = Args::new().buffer(&map).buffer(&rounded).int(pixels * c / 2);
                launch("prepare_round", Launch::each(pixels * c / 2), args)?;
                self.device.synchronise()?;
                view.map = Address::at(rounded.address());
                Map::Bf16(rounded)
            }
        };
        self.device.synchronise()?;
        let keys_bytes = keys.as_ref().map_or(0, |k| 4 * k.len());
        let bytes = (16 * h * w + pixels * c * self.precision.stored_bytes() + keys_bytes) as u64;
        Ok(CudaSource { view, bytes, _image: pixel_image, map, keys, surface: None })
    }
}
