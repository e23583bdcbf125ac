//! Files that are written are whole, read back the same, and leave nothing behind on failure.

use super::*;
use crate::video::gif;
use crate::view::{Alpha, image_size, read_image};
use std::fs;
use std::io;

fn gradient(width: u32, height: u32) -> Image {
    let count = width * height * 3;
    Image::new(width, height, (0..count).map(|i| (i % 256) as f32 / 255.0).collect()).unwrap()
}

fn listing(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    names.collect()
}

#[test]
fn png_reads_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    for (width, height) in [(1, 1), (31, 33), (7, 2)] {
        let image = gradient(width, height);
        write_png(&path, &image).unwrap();
        assert_eq!(read_image(&path, Alpha::Ignore).unwrap(), image);
    }
    assert_eq!(listing(dir.path()), ["a.png"]);
}

#[test]
fn extreme_colours_are_clipped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    write_png(&path, &Image::new(1, 1, vec![f32::NAN, f32::INFINITY, -3.0]).unwrap()).unwrap();
    assert_eq!(read_image(&path, Alpha::Ignore).unwrap().data, [0.0, 1.0, 0.0]);
}

#[test]
fn depth_keeps_its_scale() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.png");
    let depth = [0.0, 1.0, 2.0, f32::NAN, -1.0, f32::INFINITY];
    let levels = |path: &Path| ::image::open(path).unwrap().into_luma16().into_raw();
    assert_eq!(write_depth_png(&path, 3, 2, &depth, None).unwrap(), 32_767.5);
    assert_eq!(levels(&path), [0, 32_768, 65_535, 0, 0, 0]);
    assert_eq!(write_depth_png(&path, 2, 3, &depth, Some(40_000.0)).unwrap(), 40_000.0);
    assert_eq!(levels(&path), [0, 40_000, 65_535, 0, 0, 0]);
    assert_eq!(write_depth_png(&path, 1, 1, &[f32::NAN], None).unwrap(), 1.0);
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(write_depth_png(&path, 3, 2, &depth, Some(scale)).is_err(), "{scale}");
    }
    assert!(write_depth_png(&path, 3, 3, &depth, None).is_err());
}

#[test]
fn npy_reads_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.npy");
    let values: Vec<f32> = (0..21).map(|i| i as f32 / 7.0).collect();
    write_npy(&path, 7, 3, &values).unwrap();
    let file = npyz::NpyFile::new(fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(file.shape(), [3, 7]);
    assert_eq!(file.into_vec::<f32>().unwrap(), values);
    assert!(write_npy(&path, 7, 4, &values).is_err());
}

#[test]
fn gif_keeps_the_frame_rate_on_average() {
    use ::image::AnimationDecoder;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gif");
    gif::write(&path, 30.0, (0..30).map(|_| Ok(gradient(13, 9)))).unwrap();
    assert_eq!(image_size(&path).unwrap(), (13, 9));
    let decoder = ::image::codecs::gif::GifDecoder::new(io::BufReader::new(fs::File::open(&path).unwrap())).unwrap();
    let delays: Vec<u32> = decoder.into_frames().map(|f| f.unwrap().delay().numer_denom_ms().0).collect();
    assert_eq!((delays.len(), delays.iter().sum::<u32>()), (30, 1000));
}

#[test]
fn failures_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gif");
    fs::write(&path, b"older").unwrap();
    let sizes = [gradient(3, 3), gradient(3, 4)];
    assert!(matches!(gif::write(&path, 10.0, sizes.map(Ok)), Err(Error::Shape { .. })));
    let late = [Ok(gradient(3, 3)), Err(Error::Scene("late".into()))];
    assert_eq!(gif::write(&path, 10.0, late).unwrap_err().to_string(), "late");
    assert!(gif::write(&path, 10.0, []).is_err());
    for rate in [0.0, f32::NAN, 51.0] {
        assert!(gif::write(&path, rate, [Ok(gradient(3, 3))]).is_err());
    }
    assert_eq!(listing(dir.path()), ["a.gif"]);
    assert_eq!(fs::read(&path).unwrap(), b"older");
}

#[test]
fn folders_that_cannot_be_written_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent/a.png");
    let message = write_png(&absent, &gradient(3, 3)).unwrap_err().to_string();
    assert!(message.contains("absent/a.png"), "{message}");
    // A folder in the place of the file: the rename fails, the temporary file goes.
    let taken = dir.path().join("taken.png");
    fs::create_dir(&taken).unwrap();
    assert!(write_png(&taken, &gradient(3, 3)).unwrap_err().to_string().contains("taken.png"));
    assert_eq!(listing(dir.path()), ["taken.png"]);
}

/// A disk that has room for a number of bytes.
struct FullDisk(usize);

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let room = bytes.len().min(self.0);
        self.0 -= room;
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_wherever_it_fills_up() {
    let path = Path::new("out/a.png");
    let image = gradient(31, 33);
    for room in [0, 1, 40, 100] {
        let failed = |e| image_error(path, e);
        let written =
            encode_png(&mut FullDisk(room), &image.to_rgb8(), (31, 33), ExtendedColorType::Rgb8).map_err(failed);
        let message = written.unwrap_err().to_string();
        assert!(message.contains("out/a.png"), "{room}: {message}");
        assert!(gif::encode(path, &mut FullDisk(room), 10.0, [Ok(image.clone())]).is_err(), "{room}");
        assert!(npy::write(&mut FullDisk(room), &[33, 31], &vec![0.0f32; 31 * 33]).is_err(), "{room}");
    }
}

/// The system's own full disk, where there is one.
#[cfg(target_os = "linux")]
#[test]
fn the_full_device_is_an_error() {
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let mut out = io::BufWriter::new(full);
    let written = encode_png(&mut out, &gradient(31, 33).to_rgb8(), (31, 33), ExtendedColorType::Rgb8)
        .map_err(|e| image_error(Path::new("a.png"), e))
        .and_then(|()| out.flush().map_err(|source| Error::Io { path: "a.png".into(), source }));
    assert!(matches!(written, Err(Error::Io { .. })), "{written:?}");
    // Nothing of the buffer may be written again when it is dropped.
    let _ = out.into_parts();
}
