//! The photographs of a scene taken together: their sizes, which way up, and what is transparent.

use super::{file_name, format_error};
use crate::picture::{self, Header};
use crate::{Error, Result, parallel};
use ::image::metadata::Orientation;
use glam::DVec2;
use std::path::PathBuf;

/// Least part of a picture that is transparent where an object stands before nothing.
const BEFORE_NOTHING: f64 = 0.1;

/// What the headers of a scene's photographs say.
pub(super) struct Pictures {
    /// Width and height of each, after they are turned.
    pub sizes: Vec<(u32, u32)>,
    /// How each is turned when it is loaded.
    pub turns: Vec<Orientation>,
    /// Whether each picture has an alpha channel.
    has_alpha: Vec<bool>,
}

impl Pictures {
    /// Reads the headers of all photographs.
    ///
    /// Cameras and phones store pixels as the sensor lies and add a tag (EXIF orientation) that says how to turn them.
    /// Structure from motion works on the pixels and ignores the tag, unless the pictures were turned for it. So the tag
    /// counts only where the pose file, or else the other photographs, show that poses are those of the turned picture.
    /// `aspects` are width by height of the pictures that the pose file is for, where it tells.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] for a picture that cannot be read; [`Error::Scene`] if there are none.
    pub fn survey(paths: &[PathBuf], aspects: &[Option<f64>], warnings: &mut Vec<String>) -> Result<Self> {
        let headers = paths.iter().map(|path| picture::header(path)).collect::<Result<Vec<_>>>()?;
        let turns = turns(paths, &headers, aspects, warnings);
        let size = |i: usize| {
            let turned = turns[i] != Orientation::NoTransforms;
            if turned { headers[i].turned_size() } else { headers[i].size }
        };
        if paths.is_empty() {
            return Err(Error::Scene("expected at least one image, found none".into()));
        }
        let has_alpha = headers.iter().map(|header| header.has_alpha).collect();
        Ok(Self { sizes: (0..paths.len()).map(size).collect(), turns, has_alpha })
    }

    /// The size that all photographs have.
    ///
    /// # Errors
    /// [`Error::Format`] for one that differs from the first.
    pub fn one_size(&self, paths: &[PathBuf]) -> Result<(u32, u32)> {
        let (w, h) = self.sizes[0];
        match self.sizes.iter().position(|size| *size != (w, h)) {
            Some(i) => {
                let (first, found) = (file_name(&paths[0]), self.sizes[i]);
                let problem = format!(
                    "expected {w}x{h} like {first}, found {}x{}: in this layout all photographs of a scene have one size",
                    found.0, found.1
                );
                Err(format_error(&paths[i], problem))
            }
            None => Ok((w, h)),
        }
    }

    /// Part of the pixels of each photograph that are transparent. Only those with an alpha channel are decoded; pictures
    /// that cannot be are left for loading to name.
    pub fn transparent(&self, paths: &[PathBuf]) -> Vec<f64> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        parallel::map(paths.len(), threads, |i| {
            if !self.has_alpha[i] {
                return 0.0;
            }
            let _memory = picture::reserve(self.sizes[i]);
            picture::decode(&paths[i]).map_or(0.0, |decoded| picture::transparent_share(&decoded))
        })
    }
}

/// Whether photographs with these transparent parts show an object before nothing, and not just lack corners.
pub(super) fn are_before_nothing(shares: &[f64]) -> bool {
    shares.iter().all(|share| *share >= BEFORE_NOTHING)
}

/// Says how many photographs have transparent pixels, if any.
pub(super) fn say_transparent(shares: &[f64], warnings: &mut Vec<String>) {
    let (count, all) = (shares.iter().filter(|share| **share > 0.0).count(), shares.len());
    if count > 0 {
        warnings.push(format!(
            "transparent pixels in {count} of {all} photographs (alpha channel): they are composited on white"
        ));
    }
}

/// Says that photographs differ in size, if they do.
pub(super) fn say_sizes(sizes: &[(u32, u32)], paths: &[PathBuf], warnings: &mut Vec<String>) {
    let Some(first) = sizes.first() else { return };
    if let Some(i) = sizes.iter().position(|size| size != first) {
        let others = sizes.iter().filter(|size| *size != first).count();
        warnings.push(format!(
            "photographs of different sizes: {} of {} differ from the first of {}x{}, such as {} of {}x{}; each is used in \
             its own",
            others,
            sizes.len(),
            first.0,
            first.1,
            file_name(&paths[i]),
            sizes[i].0,
            sizes[i].1
        ));
    }
}

/// Says of a fisheye photograph, and those like it, that it sees more than is used.
pub(super) fn cut_warning(what: &str) -> String {
    format!(
        "{what}: the fisheye sees more than a flat picture can hold; of it and its like, what lies within 60 degrees of \
         the optical axis is used"
    )
}

/// How each photograph is turned, and warnings for tags.
fn turns(
    paths: &[PathBuf],
    headers: &[Header],
    aspects: &[Option<f64>],
    warnings: &mut Vec<String>,
) -> Vec<Orientation> {
    let one_size = |size: fn(&Header) -> (u32, u32)| headers.windows(2).all(|pair| size(&pair[0]) == size(&pair[1]));
    // Without sizes in the pose file: turned if only so all photographs have one size.
    let others_say_turned = !one_size(|header| header.size) && one_size(Header::turned_size);
    let (mut turned, mut fits, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    let mut turns = vec![Orientation::NoTransforms; headers.len()];
    for (i, header) in headers.iter().enumerate() {
        if header.orientation == Orientation::NoTransforms {
            continue;
        }
        let (width, height) = header.size;
        let sides_tell = picture::swaps_sides(header.orientation) && width != height;
        let lies_across = |aspect: f64| (aspect > 1.0) != (width > height);
        match aspects.get(i).copied().flatten().filter(|aspect| *aspect != 1.0) {
            Some(aspect) if sides_tell && !lies_across(aspect) => fits.push(i),
            Some(_) if sides_tell => turned.push(i),
            None if sides_tell && others_say_turned => turned.push(i),
            _ => unknown.push(i),
        }
    }
    turned.iter().for_each(|&i| turns[i] = headers[i].orientation);
    let mut say = |ids: &[usize], what: &str| {
        let Some(&first) = ids.first() else { return };
        let more = if ids.len() > 1 { format!(" and {} more", ids.len() - 1) } else { String::new() };
        warnings.push(format!(
            "{}{more}: EXIF orientation {} {what}",
            file_name(&paths[first]),
            headers[first].orientation.to_exif()
        ));
    };
    say(&turned, "is applied, since only so the pictures have the shape that the poses are for");
    say(&fits, "is ignored, since the pixels as stored have the shape that the poses are for");
    say(
        &unknown,
        "is ignored, as by structure from motion: the sizes do not tell whether the poses are for the turned pictures",
    );
    turns
}

/// The scale from the size that a pose file gives to that of a picture; `None` if the picture was stretched, cropped or
/// lies on its side, so that no scale fits both sides up to rounding to whole pixels.
pub(super) fn scale((width, height): (u32, u32), file: DVec2) -> Option<f64> {
    if !(file.is_finite() && file.min_element() > 0.0) {
        return None;
    }
    let picture = DVec2::new(width.into(), height.into());
    let (low, high) = ((picture - 1.0) / file, (picture + 1.0) / file);
    let exact = picture / file;
    (low.max_element() <= high.min_element()).then(|| (exact.x * exact.y).sqrt())
}

#[cfg(test)]
#[path = "pictures_tests.rs"]
mod tests;
