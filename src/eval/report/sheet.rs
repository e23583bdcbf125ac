//! Pictures of one image side by side: rendered, photographed, their difference, depth, and where pixels were routed.

use super::colours::{HATCH, Rgb, Scale};
use super::data::CaseKey;
use crate::error::{check, clipped};
use crate::{Error, Result};
use scene::Image;
use scene::write::{PictureFormat, encode};

/// Difference at the bright end of the error map: the mean over the channels of `|ours - truth|`, colours in `[0, 1]`.
pub const ERROR_RANGE: f64 = 0.25;

/// Least pixels between panels of a [`composite`].
const GAP: u32 = 4;

/// Side of the blocks that JPEG works in.
const BLOCK: u32 = 8;

/// Quality of the pictures in the page, of 100: artefacts stay below the errors that the page shows.
const JPEG_QUALITY: u8 = 88;

/// Largest side that a JPEG file can have.
const JPEG_SIDE: u32 = 65_535;

/// What the panels of an image are made of.
#[derive(Clone, Copy, Debug)]
pub struct PanelInputs<'a> {
    /// The rendered image, rounded to 8 bits.
    pub image: &'a Image,
    /// The photograph.
    pub truth: &'a Image,
    /// `[height, width]`, in scene units; hatched where it is not above 0 or no number.
    pub depth: &'a [f32],
    /// Depth at the bright and at the dark end of its scale, in scene units.
    pub depth_range: [f32; 2],
    /// `[height, width]`: share of a pixel's rows that went to the multiply expert, in `[0, 1]`; hatched where it is no
    /// number.
    pub routing: Option<&'a [f32]>,
    /// `[height, width]`: the pixels that count.
    pub mask: Option<&'a [bool]>,
}

/// Pictures of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Panels {
    /// The rendered image.
    pub ours: Image,
    /// The photograph.
    pub truth: Image,
    /// Their difference, from 0 to [`ERROR_RANGE`]; hatched where the mask leaves pixels out.
    pub error: Image,
    /// Near is bright; even in inverse depth.
    pub depth: Image,
    /// From the shift expert by white to the multiply expert.
    pub routing: Option<Image>,
}

/// Makes the panels of an image.
///
/// # Errors
/// [`Error::Shape`] if an image is empty, one differs in size from the others, or the range of depths is not above 0
/// and ordered.
pub fn panels(rendered: &PanelInputs) -> Result<Panels> {
    let PanelInputs { image, truth, depth, depth_range, routing, mask } = *rendered;
    check(image, truth)?;
    let pixels = image.data.len() / 3;
    let counts = [("depth", Some(depth.len())), ("routing", routing.map(<[_]>::len)), ("mask", mask.map(<[_]>::len))];
    for (what, found) in counts {
        if let Some(found) = found.filter(|n| *n != pixels) {
            let expected = format!("{pixels} values for {}x{} pixels", image.width, image.height);
            return Err(Error::Shape { what, expected, found: found.to_string() });
        }
    }
    let size = (image.width, image.height);
    let picture = |colour: &dyn Fn(usize) -> Option<Rgb>| coloured(size, colour);
    let difference = |i: usize| {
        let channels = (3 * i..3 * i + 3).map(|j| (clipped(image.data[j]) - clipped(truth.data[j])).abs());
        let masked = mask.is_some_and(|mask| !mask[i]);
        (!masked).then(|| Scale::Error.at(channels.sum::<f64>() / 3.0 / ERROR_RANGE))
    };
    let expert = |share: f32| (!share.is_nan()).then(|| Scale::Routing.at(share.into()));
    Ok(Panels {
        ours: image.clone(),
        truth: truth.clone(),
        error: picture(&difference),
        depth: depth_picture(depth, size, depth_range)?,
        routing: routing.map(|routing| picture(&|i| expert(routing[i]))),
    })
}

/// Depths `[height, width]` of a picture of `size` in colours: near is bright, even in inverse depth; hatched where a depth is
/// not above 0 or no number.
///
/// # Errors
/// [`Error::Shape`] if the length does not match, or the range of depths is not above 0 and ordered.
pub fn depth_picture(depth: &[f32], size: (u32, u32), [near, far]: [f32; 2]) -> Result<Image> {
    let pixels = size.0 as usize * size.1 as usize;
    if depth.len() != pixels {
        let expected = format!("{pixels} values for {}x{} pixels", size.0, size.1);
        return Err(Error::Shape { what: "depth", expected, found: depth.len().to_string() });
    }
    if !(near > 0.0 && near <= far && far.is_finite()) {
        let expected = "0 < near <= far".to_owned();
        return Err(Error::Shape { what: "depth range", expected, found: format!("near {near}, far {far}") });
    }
    let [near, far] = [near, far].map(f64::from);
    let distance = |i: usize| {
        let d = f64::from(depth[i]);
        // One depth only: the middle of the scale.
        let t = if near < far { (1.0 / near - 1.0 / d) / (1.0 / near - 1.0 / far) } else { 0.5 };
        (d > 0.0).then(|| Scale::Depth.at(t))
    };
    Ok(coloured(size, &distance))
}

/// A picture of a colour for each pixel's number; hatched where there is none.
fn coloured((width, height): (u32, u32), colour: &dyn Fn(usize) -> Option<Rgb>) -> Image {
    let colours = (0..width as usize * height as usize)
        .flat_map(|i| colour(i).unwrap_or_else(|| hatch(i, width as usize)).map(|v| f32::from(v) / 255.0));
    Image { width, height, data: colours.collect() }
}

/// Diagonal stripes.
fn hatch(pixel: usize, width: usize) -> Rgb {
    HATCH[usize::from((pixel % width + pixel / width) % 6 < 3)]
}

/// Pixels from the left edge of one panel of a [`composite`] to the next. Panels begin with a block of JPEG, so that none
/// shows in its neighbour.
pub fn pitch(width: u32) -> u32 {
    width.saturating_add(GAP).checked_next_multiple_of(BLOCK).unwrap_or(u32::MAX)
}

/// The panels from left to right on white, [`pitch`] pixels apart: ours, truth, error, depth and, where there is one,
/// routing.
///
/// # Panics
/// If the panels differ in size.
pub fn composite(panels: &Panels) -> Image {
    let Panels { ours, truth, error, depth, routing } = panels;
    let panels: Vec<&Image> = [ours, truth, error, depth].into_iter().chain(routing).collect();
    let (width, height) = (ours.width, ours.height);
    let count = panels.len() as u32;
    let gap = pitch(width) - width;
    let mut sheet = Image { width: (count - 1) * pitch(width) + width, height, data: Vec::new() };
    sheet.data.reserve_exact(sheet.width as usize * height as usize * 3);
    let row = width as usize * 3;
    for y in 0..height as usize {
        for (i, panel) in panels.iter().enumerate() {
            assert_eq!((panel.width, panel.height), (width, height), "size of panel {i}");
            if i > 0 {
                sheet.data.resize(sheet.data.len() + gap as usize * 3, 1.0);
            }
            sheet.data.extend(&panel.data[y * row..][..row]);
        }
    }
    sheet
}

/// The panels of a [`composite`] of images of `size`, width and height: what was saved once need not be rendered again.
///
/// # Errors
/// [`Error::Shape`] if the sheet is neither as wide as four nor as five panels, or differs in height.
pub fn split(sheet: &Image, [width, height]: [u32; 2]) -> Result<Panels> {
    let wide = |count: u64| (count - 1) * u64::from(pitch(width)) + u64::from(width);
    let count = [4, 5].into_iter().find(|count| wide(*count) == u64::from(sheet.width));
    let whole = sheet.data.len() == sheet.width as usize * sheet.height as usize * 3;
    let (Some(count), true, true) = (count, sheet.height == height && width > 0 && height > 0, whole) else {
        let expected = format!("{}x{height} or {}x{height} for panels of {width}x{height}", wide(4), wide(5));
        let found = format!("{}x{} with {} values", sheet.width, sheet.height, sheet.data.len());
        return Err(Error::Shape { what: "sheet", expected, found });
    };
    let panel = |i: u32| {
        let rows = sheet.data.chunks_exact(sheet.width as usize * 3);
        let from = (i * pitch(width)) as usize * 3;
        Image { width, height, data: rows.flat_map(|row| &row[from..from + width as usize * 3]).copied().collect() }
    };
    let routing = (count == 5).then(|| panel(4));
    Ok(Panels { ours: panel(0), truth: panel(1), error: panel(2), depth: panel(3), routing })
}

/// Panels of one image of one case as the page embeds them.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// The case that the picture belongs to.
    pub key: CaseKey,
    /// Name of the photograph.
    pub image: String,
    /// Width and height in pixels.
    pub size: [u32; 2],
    /// Depth at the bright and at the dark end of its scale, in scene units.
    pub depth_range: [f32; 2],
    /// The rendered image, as a JPEG file like the others.
    pub ours: Vec<u8>,
    /// The photograph.
    pub truth: Vec<u8>,
    /// Difference of both, as colours.
    pub error: Vec<u8>,
    /// Depth, as colours.
    pub depth: Vec<u8>,
    /// Share of each pixel's rows that went to shift experts, as colours.
    pub routing: Option<Vec<u8>>,
}

impl Sheet {
    /// Compresses panels.
    ///
    /// # Errors
    /// [`Error::Shape`] if a panel is empty or larger than JPEG files can be.
    pub fn new(key: CaseKey, image: String, panels: &Panels, depth_range: [f32; 2]) -> Result<Self> {
        Ok(Self {
            key,
            image,
            size: [panels.ours.width, panels.ours.height],
            depth_range,
            ours: jpeg(&panels.ours)?,
            truth: jpeg(&panels.truth)?,
            error: jpeg(&panels.error)?,
            depth: jpeg(&panels.depth)?,
            routing: panels.routing.as_ref().map(jpeg).transpose()?,
        })
    }
}

/// A JPEG file of an image.
///
/// # Errors
/// [`Error::Shape`] if the image is empty or larger than JPEG files can be.
pub fn jpeg(image: &Image) -> Result<Vec<u8>> {
    let (width, height) = (image.width, image.height);
    let error = |found: String| {
        let expected = format!("sides of 1 to {JPEG_SIDE} pixels and three values a pixel");
        Error::Shape { what: "picture", expected, found }
    };
    let values = u64::from(width) * u64::from(height) * 3;
    if values == 0 || width.max(height) > JPEG_SIDE || values != image.data.len() as u64 {
        return Err(error(format!("{width}x{height} with {} values", image.data.len())));
    }
    encode(image, PictureFormat::Jpeg { quality: JPEG_QUALITY }).map_err(|e| error(format!("{width}x{height}: {e}")))
}

#[cfg(test)]
#[path = "sheet_tests.rs"]
mod tests;
