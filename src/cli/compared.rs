//! Images and photographs as they are compared.

use anyhow::{bail, ensure};
use eval::mask::Mask;
use gnt::renderer::Rendered;
use scene::image::every_pixel;
use scene::{Frame, Image, Scene, View};
use serde::{Deserialize, Serialize};

/// A photograph as it is compared.
pub struct Truth {
    /// Every pixel that the stride keeps.
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

/// The photograph that a frame can be compared with.
pub fn photograph<'a>(scene: &'a Scene, frame: &Frame) -> Option<&'a View> {
    let view = scene.views.get(frame.truth?)?;
    let same = (view.camera.width, view.camera.height) == (frame.camera.width, frame.camera.height);
    same.then_some(view)
}

/// Likeness of a frame and its photograph.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// PSNR in dB.
    pub psnr: f64,
    /// SSIM.
    pub ssim: f64,
}

impl Quality {
    /// Compares an image as it is saved with every `stride`-th pixel of the photograph that its mask lets count.
    ///
    /// # Errors
    /// If the photograph or its mask cannot be read or has another size.
    pub fn measure(image: &Image, photograph: &View, stride: u32) -> anyhow::Result<Self> {
        let truth = Truth::load(photograph, stride)?;
        let (reference, mask) = (&truth.image, truth.mask.as_ref());
        Ok(Self {
            psnr: eval::psnr(image, reference, mask)?,
            ssim: eval::ssim(image, reference, eval::SsimKind::Gnt, mask)?,
        })
    }
}

/// A rendered image as its file has it: clipped and rounded to 8 bits.
pub fn as_saved(image: &Image) -> anyhow::Result<Image> {
    let rounded = image.to_rgb8().iter().map(|value| f32::from(*value) / 255.0).collect();
    Ok(Image::new(image.width, image.height, rounded)?)
}

/// Checks that all colours and depths of a frame are numbers: weights that are finite may still overflow. `what` names frame
/// and model in messages.
///
/// # Errors
/// Naming the first pixel that has none.
pub fn expect_numbers(rendered: &Rendered, what: &str) -> anyhow::Result<()> {
    let width = rendered.image.width.max(1) as usize;
    let at = |pixel: usize| format!("pixel ({}, {})", pixel % width, pixel / width);
    let bad = |values: &[f32]| values.iter().position(|value| !value.is_finite());
    if let Some(i) = bad(&rendered.image.data) {
        let value = rendered.image.data[i];
        bail!(
            "{what}: expected colours that are numbers, found {value} at {}: the model's weights overflow",
            at(i / 3)
        );
    }
    for values in [&rendered.depth, &rendered.range] {
        if let Some(i) = bad(values) {
            bail!(
                "{what}: expected depths that are numbers, found {} at {}: the model's weights overflow",
                values[i],
                at(i)
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pixel_that_is_no_number_is_named() {
        let mut rendered = crate::cli::render::files::tests::rendered(0.5);
        expect_numbers(&rendered, "frame a").unwrap();
        rendered.range[7] = f32::INFINITY;
        let message = |rendered: &Rendered| expect_numbers(rendered, "frame a").unwrap_err().to_string();
        assert!(message(&rendered).contains("frame a: expected depths that are numbers, found inf at pixel (2, 1)"));
        rendered.image.data[3 * 4 + 2] = f32::NAN;
        assert!(message(&rendered).contains("colours that are numbers, found NaN at pixel (4, 0)"));
    }
}
