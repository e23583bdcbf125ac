//! What separates photographs of a place from pictures of it that a program computes: exposure, colour, lens, noise, JPEG,
//! and cameras that were found by matching photographs.
//!
//! A scene draws how much of each it has, a view its own share of that. Everything follows from the scene's seed and the
//! number of the view.

mod optics;
mod pose;
#[cfg(test)]
mod tests;

use super::World;
use super::pixels::Sampling;
use super::rng::Rng;
use super::tracer::{ToneCurve, tone};
use crate::picture;
use crate::write::{self, PictureFormat};
use crate::{Camera, Image, Result};
use glam::Vec3;

/// How the pictures of a scene are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Capture {
    /// As computed: equal exposure, no lens, no noise, exact cameras.
    #[default]
    Ideal,
    /// As a person with a camera takes them, and structure from motion finds the cameras.
    Real,
}

/// How much of what a scene's pictures have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Imperfections {
    seed: u64,
    /// Exposures of the views lie within this share of each other's middle.
    pub exposure: f32,
    /// Gains of red and blue likewise.
    pub white_balance: f32,
    /// Share of light that is lost in the corners.
    pub vignetting: f32,
    /// Standard deviation of the blur, in pixels.
    pub blur: f32,
    /// Standard deviation of the noise at middle grey, as a share of its linear value.
    pub noise: f32,
    pub curve: ToneCurve,
    /// Quality of the JPEG that pictures go through.
    pub quality: u8,
    /// Error of the written cameras: by how far the places that a view sees are off in it, as a root mean square in pixels.
    pub pose_error: f32,
}

/// Linear value of middle grey.
const GREY: f32 = 0.18;

impl Imperfections {
    /// Those of the scene of a seed.
    pub fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 6);
        // Most captures keep their settings; a quarter are taken by a camera that adapts from view to view.
        let exposure = if rng.chance(0.75) { rng.range(0.0, 0.03) } else { rng.log_range(0.03, 0.15) };
        let white_balance = if rng.chance(0.8) { rng.range(0.0, 0.012) } else { rng.log_range(0.012, 0.06) };
        let curve = ToneCurve {
            contrast: rng.log_range(0.85, 1.2),
            lift: if rng.chance(0.5) { 0.0 } else { rng.range(0.0, 0.04) },
            saturation: rng.range(0.85, 1.2),
        };
        let full = Self {
            seed,
            exposure,
            white_balance,
            vignetting: rng.range(0.0, 0.25),
            // Pictures of LLFF at an eighth of their size are sharper than such at 0.8 pixels.
            blur: rng.range(0.25, 0.7),
            noise: rng.log_range(0.003, 0.04),
            curve,
            quality: rng.count(85, 98) as u8,
            pose_error: rng.range(0.1, 0.3),
        };
        if rng.chance(0.7) { full.reduced(rng.log_range(1.5, 6.0), rng.range(0.2, 0.35)) } else { full }
    }

    /// Those of pictures that were made smaller by `factor` after they were taken, as most are that people render: what is
    /// counted in pixels shrinks with them. `filter` is the standard deviation of the reduction's own blur, in small pixels
    /// (0.29 for the mean over a square).
    fn reduced(self, factor: f32, filter: f32) -> Self {
        Self {
            blur: (self.blur / factor).hypot(filter),
            noise: self.noise / factor,
            quality: self.quality.max(96),
            pose_error: self.pose_error / factor,
            ..self
        }
    }

    /// Random numbers of a view.
    fn rng(&self, view: usize, purpose: u64) -> Rng {
        Rng::new(self.seed ^ (view as u64 + 1).wrapping_mul(0x9fb2_1c65_1e98_df25), purpose)
    }

    /// Gains of red, green and blue in a view.
    pub fn gains(&self, view: usize) -> Vec3 {
        let mut rng = self.rng(view, 7);
        let exposure = 1.0 + self.exposure * rng.range(-1.0, 1.0);
        let [red, blue] = [1.0, 1.0].map(|one: f32| one + self.white_balance * rng.range(-1.0, 1.0));
        Vec3::new(red, 1.0, blue) * exposure
    }

    /// Blur of a view, in pixels: hands and focus differ a little.
    pub fn blur_of(&self, view: usize) -> f32 {
        self.blur * self.rng(view, 8).range(0.92, 1.08)
    }

    /// The photograph of a view whose linear colours, exposed as the scene is, are `linear`.
    ///
    /// # Errors
    /// Those of the JPEG encoder and decoder; none in practice.
    pub fn photograph(&self, view: usize, camera: &Camera, mut linear: Vec<Vec3>) -> Result<Image> {
        let size = (camera.width as usize, camera.height as usize);
        optics::vignette(&mut linear, size, self.vignetting, self.gains(view));
        optics::blur(&mut linear, size, self.blur_of(view));
        self.add_noise(view, &mut linear);
        let data = linear.iter().flat_map(|colour| self.curve.develop(*colour).to_array()).collect();
        through_jpeg(&Image::new(camera.width, camera.height, data)?, self.quality)
    }

    /// Photons come at random, and so does a part that does not depend on the light.
    fn add_noise(&self, view: usize, linear: &mut [Vec3]) {
        let mut rng = self.rng(view, 9);
        let variance = (self.noise * GREY).powi(2);
        let (shot, read) = (0.8 * variance / GREY, 0.2 * variance);
        for colour in linear {
            *colour = colour.map(|v| v + (shot * v.max(0.0) + read).sqrt() * normal(&mut rng));
        }
    }

    /// The camera that is written for a view, and is off a little; `depth` is what the true one sees.
    pub fn written_camera(&self, view: usize, camera: &Camera, depth: &[f32]) -> Camera {
        let mut rng = self.rng(view, 10);
        let error = self.pose_error * rng.range(0.8, 1.2);
        pose::perturbed(camera, depth, error, &mut rng)
    }
}

impl ToneCurve {
    /// Linear colour to what is stored in a picture.
    fn develop(&self, linear: Vec3) -> Vec3 {
        let bent = (linear.max(Vec3::ZERO) / GREY).map(|v| v.powf(self.contrast)) * GREY;
        let stored = bent.map(tone);
        let grey = Vec3::splat(stored.dot(Vec3::new(0.299, 0.587, 0.114)));
        let lifted = grey.lerp(stored, self.saturation) * (1.0 - self.lift) + Vec3::splat(self.lift);
        lifted.clamp(Vec3::ZERO, Vec3::ONE)
    }
}

/// About a normal distribution of unit variance: a sum of uniform numbers, which has no tails that a sensor would clip.
fn normal(rng: &mut Rng) -> f32 {
    let bits = rng.bits();
    let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xffff).sum();
    (sum as f32 / 65_536.0 - 2.0) * 3f32.sqrt()
}

fn through_jpeg(image: &Image, quality: u8) -> Result<Image> {
    let file = write::encode(image, PictureFormat::Jpeg { quality })?;
    picture::from_jpeg(&file)
}

impl World {
    /// How its pixels are sampled: photographs are blurred and noisy anyway, and most of a world for training is smooth.
    pub(super) fn sampling(&self) -> Sampling {
        if self.imperfections.is_some() { Sampling::AtEdges } else { Sampling::Everywhere }
    }

    /// The picture that is stored of a view, and the camera that is written beside it.
    ///
    /// # Errors
    /// As [`Imperfections::photograph`].
    pub(super) fn photograph(
        &self,
        view: usize,
        camera: &Camera,
        linear: Vec<Vec3>,
        depth: &[f32],
    ) -> Result<(Image, Camera)> {
        match &self.imperfections {
            None => Ok((self.develop_all(camera, &linear), *camera)),
            Some(imperfections) => {
                let exposed = linear.into_iter().map(|colour| colour * self.lighting.exposure).collect();
                let image = imperfections.photograph(view, camera, exposed)?;
                Ok((image, imperfections.written_camera(view, camera, depth)))
            }
        }
    }
}
