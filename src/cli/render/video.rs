//! Files that are made of all frames of a run: the video and the contact sheet.

use super::format::FrameFormat;
use super::outputs::OutputArgs;
use super::record::{FrameRecord, Journal};
use crate::cli::guard::Inputs;
use crate::cli::{folder, hash};
use anyhow::{Context, bail};
use scene::resample::area_downscale;
use scene::video::VideoFormat;
use scene::{Image, write};
use std::path::{Path, PathBuf};

/// Largest sides of a picture in a contact sheet.
const CELL: (u32, u32) = (240, 240);
/// Most pictures in one.
const MOST: usize = 100;
/// Pixels between and around them, which are white.
const GAP: u32 = 6;

/// A frame's file and the size of its picture.
pub type FrameFile = (PathBuf, (u32, u32));

/// Checks that the files can be made, before the time for the frames is spent, and that they take the place of nothing but
/// earlier ones of the frames in `out`. Returns what will be done to frames, in words.
///
/// # Errors
/// If one cannot be made, or its file is something else.
pub fn check(args: &OutputArgs, out: &Path, sizes: &[(u32, u32)], inputs: &Inputs) -> anyhow::Result<Option<String>> {
    if let Some(sheet) = &args.contact_sheet {
        check_place(args, "--contact-sheet", sheet, out, inputs)?;
    }
    let Some(video) = &args.video else { return Ok(None) };
    if let Some(pair) = sizes.windows(2).find(|pair| pair[0] != pair[1]) {
        let (a, b) = (pair[0], pair[1]);
        bail!("--video: expected frames of one size, found {}x{} and {}x{}; see --size", a.0, a.1, b.0, b.1);
    }
    check_place(args, "--video", video, out, inputs)?;
    let size = sizes.first().copied().unwrap_or_default();
    format(args, video)?.check(video, size, args.fps).context("--video")
}

/// The format of the video.
fn format(args: &OutputArgs, video: &Path) -> anyhow::Result<VideoFormat> {
    match VideoFormat::of(video, args.codec).context("--video: expected a name that ends in .mp4 or .gif")? {
        VideoFormat::Gif if args.codec.is_some() => bail!("--codec: expected a video that ends in .mp4, found a GIF"),
        format => Ok(format),
    }
}

fn check_place(args: &OutputArgs, option: &str, file: &Path, out: &Path, inputs: &Inputs) -> anyhow::Result<()> {
    inputs.expect_unread_file(option, file)?;
    scene::file::check_replaceable(file).with_context(|| option.to_owned())?;
    // A record that cannot be read is told where the frames are looked for.
    let own = file.exists() && FrameRecord::read(out).unwrap_or_default().is_own_video(file);
    if !own {
        inputs.expect_other_file(option, file)?;
    }
    if file.exists() && !own && !args.overwrite {
        bail!(
            "{option} {}: exists already, and the record of these frames does not say that it was made of them; choose \
             another name, or --overwrite replaces it",
            file.display()
        );
    }
    let beside = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder::probe(beside).with_context(|| format!("{option} {}: cannot be written", file.display()))
}

/// Makes the files of all frames that are asked for, and records them.
///
/// # Errors
/// If a frame cannot be read, or a file cannot be written.
pub fn make(args: &OutputArgs, format: FrameFormat, frames: &[FrameFile], journal: &mut Journal) -> anyhow::Result<()> {
    if let Some(video) = &args.video {
        let kind = self::format(args, video)?;
        let images = frames.iter().map(|(file, size)| format.read(file, *size));
        journal.add_video(video, "")?;
        kind.write(video, args.fps, images)?;
        journal.add_video(video, &hash::file(video)?)?;
    }
    if let Some(sheet) = &args.contact_sheet {
        let images = spread(frames.len(), MOST).map(|i| format.read(&frames[i].0, frames[i].1));
        journal.add_video(sheet, "")?;
        write::write_png(sheet, &contact_sheet(images)?)?;
        journal.add_video(sheet, &hash::file(sheet)?)?;
    }
    Ok(())
}

/// What is said of a contact sheet that does not show all frames.
pub fn sheet_note(frames: usize) -> Option<String> {
    (frames > MOST).then(|| format!("contact sheet: {MOST} of {frames} frames, evenly spread"))
}

/// At most `most` of `count` numbers, evenly spread from the first to the last.
fn spread(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let shown = count.min(most);
    (0..shown).map(move |i| if count <= most { i } else { i * (count - 1) / (most - 1).max(1) })
}

/// Pictures in rows, each reduced to fit a cell, on white.
fn contact_sheet(images: impl Iterator<Item = scene::Result<Image>>) -> anyhow::Result<Image> {
    let small = |image: scene::Result<Image>| -> anyhow::Result<Image> {
        let image = image?;
        let scale = f64::from(CELL.0) / f64::from(image.width);
        let scale = scale.min(f64::from(CELL.1) / f64::from(image.height)).min(1.0);
        let side = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
        Ok(area_downscale(&image, side(image.width), side(image.height))?)
    };
    let small = images.map(small).collect::<anyhow::Result<Vec<_>>>()?;
    let cell = small.iter().fold((1, 1), |(w, h), image| (image.width.max(w), image.height.max(h)));
    // Near to 4:3 as a whole.
    let columns = (small.len() as f64 * f64::from(cell.1) / f64::from(cell.0) * 4.0 / 3.0).sqrt().round();
    let columns = (columns as usize).clamp(1, small.len().max(1));
    let rows = small.len().div_ceil(columns);
    let side = |count: usize, length: u32| count as u32 * (length + GAP) + GAP;
    let mut sheet = Image::black(side(columns, cell.0), side(rows, cell.1));
    sheet.data.fill(1.0);
    for (i, image) in small.iter().enumerate() {
        let at = |place: usize, length: u32, own: u32| side(place, length) + (length - own) / 2;
        let (left, top) = (at(i % columns, cell.0, image.width), at(i / columns, cell.1, image.height));
        for (y, row) in image.data.chunks_exact(3 * image.width as usize).enumerate() {
            let to = 3 * ((top as usize + y) * sheet.width as usize + left as usize);
            sheet.data[to..to + row.len()].copy_from_slice(row);
        }
    }
    Ok(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheets_show_frames_in_order() {
        let image = |level: f32| Ok(Image::new(480, 320, vec![level; 480 * 320 * 3]).unwrap());
        let sheet = contact_sheet((0..5).map(|i| image(i as f32 / 10.0))).unwrap();
        assert_eq!((sheet.width, sheet.height), (2 * 246 + 6, 3 * 166 + 6));
        let middle = |i: u32| sheet.pixel(6 + 246 * (i % 2) + 120, 6 + 166 * (i / 2) + 80)[0];
        assert!((0..5).all(|i| (middle(i) - i as f32 / 10.0).abs() < 1e-6));
        assert_eq!((middle(5), sheet.pixel(0, 0), sheet.pixel(249, 9)), (1.0, [1.0; 3], [1.0; 3]));
        // Small pictures stay as they are, and others beside them are in the middle of their cells.
        let mixed = [Ok(Image::black(3, 200)), Ok(Image::black(9, 5))].into_iter();
        let sheet = contact_sheet(mixed).unwrap();
        assert_eq!((sheet.width, sheet.height), (2 * 15 + 6, 206 + 6));
        assert_eq!((sheet.pixel(9, 6), sheet.pixel(8, 6)), ([0.0; 3], [1.0; 3]));
    }

    #[test]
    fn many_frames_are_spread() {
        assert_eq!(spread(7, 4).collect::<Vec<_>>(), [0, 2, 4, 6]);
        assert_eq!(spread(3, 4).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(0, 4).count(), 0);
        assert!(sheet_note(100).is_none() && sheet_note(101).unwrap().contains("100 of 101"));
    }
}
