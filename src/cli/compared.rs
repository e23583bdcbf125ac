//! Images and photographs as they are compared.

use anyhow::{bail, ensure};
use eval::mask::Mask;
use scene::image::every_pixel;
use scene::{Image, View};

/// A photograph as it is compared.
pub struct Truth {
    /// The pixels of the stride.
    pub image: Image,
    /// Those that count, where not all do.
    pub mask: Option<Mask>,
}

impl Truth {
    /// Every `stride`-th pixel of a photograph and its mask.
    ///
    /// # Errors
    /// If they cannot be read, or the mask leaves no pixel.
    pub fn load(view: &View, stride: u32) -> anyhow::Result<Self> {
        let image = view.load_image()?.every(stride);
        let size = (view.camera.width, view.camera.height);
        let mask = match view.load_mask()? {
            None => None,
            Some(all) => {
                let counts = |(x, y)| all[y as usize * size.0 as usize + x as usize];
                let counted: Vec<bool> = every_pixel(size, stride).map(counts).collect();
                let path = view.mask.clone().unwrap_or_default();
                ensure!(
                    counted.contains(&true),
                    "{}: expected a pixel that counts among every {stride} in x and y, found none",
                    path.display()
                );
                Some(Mask::new(image.width, image.height, counted)?)
            }
        };
        Ok(Self { image, mask })
    }

    /// Part of the pixels that count, where not all do.
    pub fn unmasked(&self) -> Option<f64> {
        self.mask.as_ref().map(Mask::share)
    }
}

/// A rendered image as its file has it: clipped and rounded to 8 bits. `what` names it in messages.
///
/// # Errors
/// If a colour is no number.
pub fn as_saved(image: &Image, what: &str) -> anyhow::Result<Image> {
    if let Some(value) = image.data.iter().find(|value| !value.is_finite()) {
        bail!("{what}: expected colours that are numbers, found {value}");
    }
    let rounded = image.to_rgb8().iter().map(|value| f32::from(*value) / 255.0).collect();
    Ok(Image::new(image.width, image.height, rounded)?)
}
