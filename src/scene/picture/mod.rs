//! Picture files: what their headers say, and decoding them within bounds.
//!
//! The format comes from a file's first bytes, since extensions are often wrong. A header is not believed blindly: a few
//! hundred bytes may claim any size.

mod budget;
mod gif;
mod jpeg;

pub(crate) use budget::reserve;

use crate::file::{open_regular, read_limited};
use crate::{Error, Image, Result};
use ::image::codecs::{png::PngDecoder, webp::WebPDecoder};
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

/// Longest side of an image that is read; larger ones are refused before anything is allocated.
const MAX_SIDE: u32 = 32_768;
/// Most pixels of an image that is read: 1.6 GB as `f32` colours.
const MAX_PIXELS: u64 = 1 << 27;
/// Largest image file that is read: [`MAX_PIXELS`] in four channels of 16 bits, and as much again for what else is in it.
const MAX_BYTES: u64 = 2 << 30;
/// Pixels that a file may claim whatever its size.
const FREE_PIXELS: u64 = 1 << 20;

/// Extensions of the files that are taken for pictures, in the order in which a missing one is looked for.
pub(crate) const EXTENSIONS: [&str; 9] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif", "jpe"];
/// Extensions of pictures that are not read.
const UNREAD: [&str; 29] = [
    "heic", "heif", "hif", "avif", "jxl", "jp2", "j2k", "exr", "hdr", "tga", "psd", "ppm", "pgm", "pnm", "dng", "cr2",
    "cr3", "crw", "nef", "nrw", "arw", "sr2", "raf", "orf", "rw2", "pef", "srw", "x3f", "raw",
];
/// What is read, for messages.
const READ: &str = "PNG, JPEG, WebP, TIFF, BMP or GIF";

/// What becomes of an image's alpha channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpha {
    /// Colours are taken as they are stored (masks, and pictures that this program wrote).
    Ignore,
    /// Straight alpha is composited on white, `rgb·a + (1 − a)` (photographs and renderings).
    White,
}

/// Whether the extension is that of a picture that is read.
pub(crate) fn is_read(path: &Path) -> bool {
    has_extension(path, &EXTENSIONS)
}

/// Whether the extension is that of a picture that is not read.
pub(crate) fn is_unread(path: &Path) -> bool {
    has_extension(path, &UNREAD)
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| known.contains(&extension.as_str()))
}

/// `path` with the first extension of a picture under which there is a file; appended, since a stem may have a point of
/// its own.
pub(crate) fn with_extension(path: &Path) -> Option<PathBuf> {
    with_any(path, &EXTENSIONS)
}

/// `path` with the first of some extensions, in lower or upper case, under which there is a file.
fn with_any(path: &Path, extensions: &[&str]) -> Option<PathBuf> {
    let upper = extensions.iter().map(|extension| extension.to_uppercase());
    extensions.iter().map(|extension| (*extension).to_owned()).chain(upper).find_map(|extension| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(extension);
        Some(PathBuf::from(name)).filter(|path| path.is_file())
    })
}

/// A file of this path's stem in a format that is not read.
pub(crate) fn unread_sibling(path: &Path) -> Option<PathBuf> {
    let stem = if is_read(path) || is_unread(path) { path.with_extension("") } else { path.to_owned() };
    with_any(&stem, &UNREAD)
}

/// Error for a picture in a format that is not read.
pub(crate) fn unread(path: &Path) -> Error {
    let kind = path.extension().unwrap_or_default().to_string_lossy().to_uppercase();
    let problem = format!(
        "{kind} pictures are not read: convert them to JPEG or PNG first, at the same size and without turning them \
         (for instance `magick mogrify -format jpg *.{}`, which keeps the file names)",
        path.extension().unwrap_or_default().to_string_lossy()
    );
    Error::Format { path: path.to_owned(), problem }
}

/// What the header of a picture says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Width and height of the pixels as stored.
    pub size: (u32, u32),
    /// How viewers turn the picture, after its EXIF data.
    pub orientation: Orientation,
    /// Whether there is an alpha channel.
    pub has_alpha: bool,
}

impl Header {
    /// Width and height after the picture is turned as its tag says.
    pub fn turned_size(&self) -> (u32, u32) {
        let (width, height) = self.size;
        if swaps_sides(self.orientation) { (height, width) } else { (width, height) }
    }
}

/// Whether a picture's width becomes its height.
pub(crate) fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// Reads the header of a picture.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is no picture that is read, too large, or claims
/// more pixels than its bytes can hold.
pub(crate) fn header(path: &Path) -> Result<Header> {
    let mut file = open_regular(path)?;
    let first = first_bytes(path, &mut file)?;
    let bytes = file.metadata().map_err(|source| Error::Io { path: path.to_owned(), source })?.len();
    let reader = reader(path, file)?;
    let format = reader.format();
    let mut decoder = reader.into_decoder().map_err(|e| decode_error(path, &first, e))?;
    let size = decoder.dimensions();
    check_claim(path, size, format, bytes)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(Header { size, orientation, has_alpha: decoder.color_type().has_alpha() })
}

/// Width and height from the header of an image file.
///
/// # Errors
/// As for [`read_image`], but for what only decoding shows.
pub fn image_size(path: &Path) -> Result<(u32, u32)> {
    Ok(header(path)?.size)
}

/// Reads a still PNG, JPEG, WebP, TIFF, BMP or GIF of 8 or 16 bits, gray or colour, as its pixels are stored.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is no such picture, too large, an animation, ends
/// early or cannot be decoded.
pub fn read_image(path: &Path, alpha: Alpha) -> Result<Image> {
    colours(decode(path)?, alpha)
}

/// The colours of a JPEG picture in memory that this program made.
///
/// # Errors
/// [`Error::Format`] if it cannot be decoded.
pub(crate) fn from_jpeg(bytes: &[u8]) -> Result<Image> {
    let path = Path::new("JPEG in memory");
    colours(reader(path, Cursor::new(bytes))?.decode().map_err(|e| decode_error(path, bytes, e))?, Alpha::Ignore)
}

/// Reads a picture as viewers show it: turned as its EXIF data says, straight alpha composited on white.
///
/// # Errors
/// As [`read_image`].
pub fn read_upright(path: &Path) -> Result<Image> {
    header(path)?;
    upright_from_bytes(path, &read_limited(path, MAX_BYTES)?)
}

/// As [`read_upright`] for a file in memory, whose `path` stands in messages.
///
/// # Errors
/// As [`read_image`].
pub fn upright_from_bytes(path: &Path, bytes: &[u8]) -> Result<Image> {
    let mut decoder = reader(path, Cursor::new(bytes))?.into_decoder().map_err(|e| decode_error(path, bytes, e))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    drop(decoder);
    let mut decoded = decode_bytes(path, bytes)?;
    decoded.apply_orientation(orientation);
    colours(decoded, Alpha::White)
}

/// The pixels of a picture as they are stored.
///
/// # Errors
/// As [`read_image`].
pub(crate) fn decode(path: &Path) -> Result<DynamicImage> {
    header(path)?;
    decode_bytes(path, &read_limited(path, MAX_BYTES)?)
}

/// As [`decode`] for a file in memory.
fn decode_bytes(path: &Path, bytes: &[u8]) -> Result<DynamicImage> {
    let fail = |problem: &str| Err(Error::Format { path: path.to_owned(), problem: problem.to_owned() });
    let reader = reader(path, Cursor::new(bytes))?;
    let format = reader.format();
    let size = self::reader(path, Cursor::new(bytes))?.into_dimensions().map_err(|e| decode_error(path, bytes, e))?;
    check_claim(path, size, format, bytes.len() as u64)?;
    if format == Some(ImageFormat::Jpeg) && !jpeg::is_whole(bytes) {
        return fail("expected a whole JPEG picture, found that the file ends early");
    }
    if format == Some(ImageFormat::Gif) && !gif::frames(bytes).fit {
        return fail("expected a frame within the picture, found one that reaches beyond it");
    }
    if is_animated(bytes, format) {
        return fail("expected a still picture, found an animation: save the frame that is meant as a picture");
    }
    reader.decode().map_err(|e| decode_error(path, bytes, e))
}

/// RGB colours of decoded pixels.
pub(crate) fn colours(decoded: DynamicImage, alpha: Alpha) -> Result<Image> {
    let (width, height) = (decoded.width(), decoded.height());
    let data = match decoded {
        DynamicImage::ImageLuma8(_)
        | DynamicImage::ImageLumaA8(_)
        | DynamicImage::ImageRgb8(_)
        | DynamicImage::ImageRgba8(_) => {
            blend(decoded.into_rgba8().as_raw().iter().map(|v| f32::from(*v) / 255.0), alpha)
        }
        _ => blend(decoded.into_rgba16().as_raw().iter().map(|v| f32::from(*v) / 65_535.0), alpha),
    };
    Image::new(width, height, data)
}

/// Part of the pixels that are not opaque.
pub(crate) fn transparent_share(decoded: &DynamicImage) -> f64 {
    let count = match decoded {
        image if !image.color().has_alpha() => 0,
        DynamicImage::ImageLumaA8(image) => image.pixels().filter(|p| p.0[1] != u8::MAX).count(),
        DynamicImage::ImageRgba8(image) => image.pixels().filter(|p| p.0[3] != u8::MAX).count(),
        other => other.to_rgba16().pixels().filter(|p| p.0[3] != u16::MAX).count(),
    };
    count as f64 / (f64::from(decoded.width()) * f64::from(decoded.height())).max(1.0)
}

/// RGB values from RGBA values.
fn blend(rgba: impl ExactSizeIterator<Item = f32>, alpha: Alpha) -> Vec<f32> {
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    let mut pixel = [0.0; 4];
    for (i, value) in rgba.enumerate() {
        pixel[i % 4] = value;
        if i % 4 == 3 {
            let [r, g, b, a] = pixel;
            match alpha {
                Alpha::Ignore => rgb.extend([r, g, b]),
                Alpha::White => rgb.extend([r, g, b].map(|c| c * a + (1.0 - a))),
            }
        }
    }
    rgb
}

/// Whether a file has more than one frame; damage is left for decoding to find.
fn is_animated(bytes: &[u8], format: Option<ImageFormat>) -> bool {
    let source = || source(Cursor::new(bytes));
    match format {
        Some(ImageFormat::Png) => PngDecoder::new(source()).and_then(|decoder| decoder.is_apng()).unwrap_or(false),
        Some(ImageFormat::WebP) => WebPDecoder::new(source()).is_ok_and(|decoder| decoder.has_animation()),
        Some(ImageFormat::Gif) => gif::frames(bytes).count > 1,
        _ => false,
    }
}

/// Checks the size that a header claims against what is read at all, and against the file's bytes.
fn check_claim(path: &Path, (width, height): (u32, u32), format: Option<ImageFormat>, bytes: u64) -> Result<()> {
    let fail = |problem: String| Err(Error::Format { path: path.to_owned(), problem });
    let pixels = u64::from(width) * u64::from(height);
    if width == 0 || height == 0 || width.max(height) > MAX_SIDE || pixels > MAX_PIXELS {
        return fail(format!(
            "expected an image of 1x1 to {MAX_PIXELS} pixels with sides up to {MAX_SIDE}, found {width}x{height}"
        ));
    }
    // A JPEG has at least one bit for each block of 8x8 pixels. The best that deflate does is 1032 to 1, on eight
    // pixels a byte; nothing that was photographed or rendered comes near to that in other formats either.
    let densest = if format == Some(ImageFormat::Jpeg) { 512 } else { 8 * 1032 };
    if pixels > FREE_PIXELS.max(densest * bytes) {
        return fail(format!("expected a picture, found a file of {bytes} bytes that claims {width}x{height} pixels"));
    }
    Ok(())
}

/// What a picture is read from: a file or bytes in memory.
trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// Any of them. The decoders are large and are compiled for each type that they read from: this way for one only.
type Source<'a> = BufReader<Box<dyn ReadSeek + 'a>>;

fn source<'a>(from: impl ReadSeek + 'a) -> Source<'a> {
    BufReader::new(Box::new(from))
}

/// A reader of the file `path`, which lies in `from`; the format comes from its first bytes.
fn reader<'a>(path: &Path, from: impl ReadSeek + 'a) -> Result<ImageReader<Source<'a>>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut reader = ImageReader::new(source(from)).with_guessed_format().map_err(io)?;
    reader.limits(limits());
    Ok(reader)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    // Room for the largest allowed image with four 16-bit channels.
    limits.max_alloc = Some(MAX_PIXELS * 8);
    limits
}

/// What is wrong with a picture that begins with these bytes.
fn decode_error(path: &Path, first: &[u8], error: ::image::ImageError) -> Error {
    if is_unread(path) {
        return unread(path);
    }
    let problem = match error {
        ::image::ImageError::IoError(source) if source.kind() == ErrorKind::UnexpectedEof => match first {
            [] => format!("expected a {READ} image, found an empty file"),
            _ => "expected a whole picture, found that the file ends early".to_owned(),
        },
        ::image::ImageError::IoError(source) => return Error::Io { path: path.to_owned(), source },
        other => match kind_of(first) {
            Some(kind) => format!("expected a {READ} image, found {kind}"),
            None => format!("expected a {READ} image that can be decoded, found: {other}"),
        },
    };
    Error::Format { path: path.to_owned(), problem }
}

/// The beginning of a file, which is then read from its start again.
fn first_bytes(path: &Path, file: &mut File) -> Result<Vec<u8>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    file.take(16).read_to_end(&mut bytes).map_err(io)?;
    file.rewind().map_err(io)?;
    Ok(bytes)
}

/// What a file is that is no picture that is read, by its first bytes.
fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [] => Some("an empty file"),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand.get(..4)? {
            b"avif" | b"avis" => Some("an AVIF picture"),
            b"heic" | b"heix" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => Some("a HEIC picture"),
            _ => Some("a film"),
        },
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => Some("a JPEG XL picture"),
        [b'I', b'I', 0x2B, 0, ..] | [b'M', b'M', 0, 0x2B, ..] => Some("a BigTIFF picture"),
        [b'P', b'K', 3, 4, ..] => Some("a zip file"),
        [b'%', b'P', b'D', b'F', ..] => Some("a PDF file"),
        _ => None,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
