//! Photographic textures: a folder of pictures that surfaces may wear in place of procedural patterns.

use super::rng::Rng;
use super::swatch::Swatch;
use crate::picture::{self, Alpha};
use crate::{Error, Image, Result, parallel};
use glam::Vec3;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest side that a texture is kept with; larger pictures are halved until they fit.
const MAX_SIDE: u32 = 256;
/// Most pictures of an album: 64,000 at the largest size would fill twelve gigabytes, so this is generous.
const MAX_PICTURES: usize = 20_000;
/// Folders within folders that are looked into.
const MAX_DEPTH: usize = 16;

/// Pictures of materials, in the order of their paths.
#[derive(Clone, Debug)]
pub struct Album {
    pictures: Vec<Picture>,
}

/// A picture as it is kept: 8 bits a channel, sRGB.
#[derive(Clone, Debug, PartialEq)]
struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Album {
    /// Reads all pictures in `folder` and the folders in it, hidden ones left out. They are ordered by their path below
    /// `folder`, so that a seed chooses the same ones wherever the folder lies and however its entries are listed.
    ///
    /// # Errors
    /// [`Error::Io`] if a folder or file cannot be read, [`Error::Format`] naming the first picture that cannot be decoded,
    /// [`Error::Scene`] if there are no pictures, or too many.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        collect(folder, 0, &mut paths)?;
        // By components: as text, "a-b/c" would come before "a/c" on one system and after "a\c" on another.
        paths.sort();
        let count = paths.len();
        if count == 0 || count > MAX_PICTURES {
            let problem = format!("expected 1 to {MAX_PICTURES} pictures (PNG, JPEG, WebP, TIFF, BMP or GIF)");
            return Err(Error::Scene(format!("{}: {problem}, found {count}", folder.display())));
        }
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let pictures = parallel::map(count, threads, |i| read(&paths[i]));
        Ok(Self { pictures: pictures.into_iter().collect::<Result<_>>()? })
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there are none; [`Self::open`] refuses that.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// A number that tells this album from others: a hash of the pictures, their order included.
    pub fn fingerprint(&self) -> u64 {
        // FNV-1a, so that it is the same in every version of the standard library.
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.pictures.iter().fold(0xcbf2_9ce4_8422_2325, |hash, picture| {
            let size = picture.width.to_le_bytes().into_iter().chain(picture.height.to_le_bytes());
            size.chain(picture.rgb.iter().copied()).fold(hash, fold)
        })
    }

    /// The largest steps between neighbouring pixels of a picture that repeats, in x and in y.
    #[cfg(test)]
    pub(super) fn steps(&self, picture: usize) -> (u8, u8) {
        let Picture { width, height, rgb } = &self.pictures[picture];
        let (width, height) = (*width as usize, *height as usize);
        let at = |x: usize, y: usize| &rgb[(y % height * width + x % width) * 3..][..3];
        let step = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        let places = || (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let along_x = places().map(|(x, y)| step(at(x, y), at(x + 1, y))).max();
        let along_y = places().map(|(x, y)| step(at(x, y), at(x, y + 1))).max();
        (along_x.unwrap_or(0), along_y.unwrap_or(0))
    }

    /// One picture as a texture with random hue, contrast, place, direction and size: `pixel` is the size of a pixel where
    /// it is seen. Now and then it takes on the colour `tint` and keeps its own light and dark only.
    pub(super) fn draw(&self, rng: &mut Rng, pixel: f32, tint: Vec3, tinted: f32) -> Swatch {
        let Picture { width, height, rgb } = &self.pictures[rng.count(0, self.pictures.len() - 1)];
        let linear: Vec<Vec3> = rgb.as_chunks::<3>().0.iter().map(|c| super::palette::srgb(*c)).collect();
        let mean = linear.iter().sum::<Vec3>() / linear.len() as f32;
        let aim = if rng.chance(tinted) {
            tint
        } else {
            let hue = Vec3::ONE + rng.direction() * if rng.chance(0.3) { rng.range(0.0, 0.5) } else { 0.08 };
            mean * hue * rng.log_range(0.7, 1.5)
        };
        let gain = (aim / mean.max(Vec3::splat(1e-3))).min(Vec3::splat(4.0));
        let contrast = if rng.chance(0.3) { rng.log_range(0.6, 2.2) } else { rng.log_range(0.85, 1.3) };
        let colour = |c: Vec3| {
            let lighter = (c / mean.max(Vec3::splat(1e-3))).max(Vec3::splat(1e-3));
            (lighter.map(|v| v.powf(contrast)) * mean * gain).clamp(Vec3::splat(0.01), Vec3::splat(0.92))
        };
        let texels: Vec<Vec3> = linear.into_iter().map(colour).collect();
        // From texels half a pixel large to texels of three pixels, which look soft as close-ups do.
        let texel = pixel * rng.log_range(0.5, 3.0);
        let stretch = if rng.chance(0.25) { rng.log_range(0.6, 1.6) } else { 1.0 };
        let angle = if rng.chance(0.6) { rng.pick(&[0.0, 0.25, 0.5, 0.75]) } else { rng.unit() };
        let turn = angle * std::f32::consts::TAU;
        let shift = Vec3::new(rng.unit(), rng.unit(), rng.unit());
        let relief = if rng.chance(0.35) { rng.range(0.2, 1.2) } else { 0.0 };
        Swatch::new((*width as usize, *height as usize), &texels, texel, stretch, turn, shift, relief)
    }
}

/// The album of a world under construction, with random numbers of its own: shapes and cameras stay what they are without
/// it.
pub(super) struct Wardrobe<'a> {
    album: &'a Album,
    rng: Rng,
    /// Part of the surfaces that are dressed.
    share: f32,
}

impl<'a> Wardrobe<'a> {
    pub fn new(album: &'a Album, seed: u64) -> Self {
        let mut rng = Rng::new(seed, 5);
        let share = rng.range(0.6, 0.8);
        Self { album, rng, share }
    }

    /// A texture for a surface of the colour `tint`, unless it is left as it is. `tinted` is the chance to keep the colour.
    pub fn dress(&mut self, pixel: f32, tint: Vec3, tinted: f32) -> Option<Arc<Swatch>> {
        let chosen = self.rng.chance(self.share);
        chosen.then(|| Arc::new(self.album.draw(&mut self.rng, pixel, tint, tinted)))
    }
}

fn collect(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<()> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_DEPTH {
                collect(&path, depth + 1, paths)?;
            }
        } else if picture::is_read(&path) {
            paths.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Picture> {
    let mut image = picture::read_image(path, Alpha::White)?;
    while image.width.max(image.height) > MAX_SIDE {
        image = halved(&image);
    }
    let image = seamless(&image);
    Ok(Picture { width: image.width, height: image.height, rgb: image.to_rgb8() })
}

/// Pixels at each edge of a picture that are left out: cut-outs have a line of something else there.
const EDGE: u32 = 2;
/// Part of the size over which a picture's end fades into its beginning.
const FADE: u32 = 12;

/// The picture without its edges, and with its ends faded into its beginnings, so that it can be repeated. Tiny ones stay.
fn seamless(image: &Image) -> Image {
    if image.width.min(image.height) < 8 * EDGE {
        return image.clone();
    }
    let inner = |x: u32, y: u32| image.pixel(x + EDGE, y + EDGE);
    let (width, height) = (image.width - 2 * EDGE, image.height - 2 * EDGE);
    let (fade_x, fade_y) = (width.div_ceil(FADE), height.div_ceil(FADE));
    let mix = |a: [f32; 3], b: [f32; 3], t: f32| std::array::from_fn::<f32, 3, _>(|c| a[c] + (b[c] - a[c]) * t);
    let (out_width, out_height) = (width - fade_x, height - fade_y);
    let across = |x: u32, y: u32| match x < fade_x {
        true => mix(inner(out_width + x, y), inner(x, y), (x as f32 + 0.5) / fade_x as f32),
        false => inner(x, y),
    };
    let mut data = Vec::with_capacity(out_width as usize * out_height as usize * 3);
    for y in 0..out_height {
        for x in 0..out_width {
            data.extend(match y < fade_y {
                true => mix(across(x, out_height + y), across(x, y), (y as f32 + 0.5) / fade_y as f32),
                false => across(x, y),
            });
        }
    }
    Image { width: out_width, height: out_height, data }
}

/// Means of two by two pixels; the last column and row of odd sizes count twice.
fn halved(image: &Image) -> Image {
    let (width, height) = (image.width.div_ceil(2), image.height.div_ceil(2));
    let mut data = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        for x in 0..width {
            let (x1, y1) = ((2 * x + 1).min(image.width - 1), (2 * y + 1).min(image.height - 1));
            let four = [(2 * x, 2 * y), (x1, 2 * y), (2 * x, y1), (x1, y1)].map(|(x, y)| image.pixel(x, y));
            data.extend((0..3).map(|c| four.iter().map(|p| p[c]).sum::<f32>() * 0.25));
        }
    }
    Image { width, height, data }
}
