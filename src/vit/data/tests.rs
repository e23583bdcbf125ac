use super::*;
use std::io::Write;

fn picture(brightness: u8, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(40, 32, image::Rgb([brightness; 3])).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn read(path: &Path) -> Result<Labelled> {
    Labelled::read(path, (32, 32), &Preprocess::cifar(), 2)
}

/// The same pictures in a folder, a tar archive, and one compressed by gzip.
#[test]
fn all_containers_hold_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = [("cat/b.png", 50), ("cat/a.png", 40), ("ant/z.bmp", 30)];
    let mut tar = tar::Builder::new(Vec::new());
    for (name, brightness) in pictures {
        let format = image::ImageFormat::from_path(name).unwrap();
        let bytes = picture(brightness, format);
        let path = dir.path().join("set").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &bytes).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, format!("train/{name}"), &bytes[..]).unwrap();
    }
    std::fs::write(dir.path().join("set/cat/broken.png"), b"none").unwrap();
    let plain = tar.into_inner().unwrap();
    std::fs::write(dir.path().join("set.tar"), &plain).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&plain).unwrap();
    std::fs::write(dir.path().join("set.tar.gz"), gz.finish().unwrap()).unwrap();
    for name in ["set", "set.tar", "set.tar.gz"] {
        let found = read(&dir.path().join(name)).unwrap();
        assert_eq!(found.classes, ["ant", "cat"], "{name}");
        assert_eq!(found.labels, [0, 1, 1]);
        assert_eq!([0, 1, 2].map(|i| found.picture(i)[0]), [30, 40, 50]);
        assert_eq!(found.skipped.len(), usize::from(name == "set"));
    }
}

#[test]
fn binary_batches() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = vec![7; 2 * 3073];
    bytes[3073] = 2;
    (bytes[3074], bytes[3074 + 1024]) = (11, 12);
    std::fs::write(dir.path().join("data_batch_1.bin"), &bytes).unwrap();
    let found = read(dir.path()).unwrap();
    assert_eq!(found.classes.len(), 10);
    assert_eq!(found.labels, [2, 7]);
    assert_eq!(found.picture(0)[..4], [11, 12, 7, 7]);
    bytes[0] = 10;
    std::fs::write(dir.path().join("data_batch_1.bin"), &bytes).unwrap();
    assert!(read(dir.path()).unwrap_err().to_string().contains("record 0: expected a class below 10, found 10"));
}

#[test]
fn what_holds_no_pictures_is_said() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read(dir.path()).unwrap_err().to_string().contains("found no picture"));
    std::fs::write(dir.path().join("x.tar.xz"), b"\xFD7zXZ\0 and nothing that follows").unwrap();
    assert!(read(&dir.path().join("x.tar.xz")).is_err());
    assert!(read(&dir.path().join("missing")).unwrap_err().to_string().contains("missing"));
}

#[test]
fn long_lists_of_classes_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data_batch_1.bin"), vec![7; 3073]).unwrap();
    let mut found = read(dir.path()).unwrap();
    let names: Vec<String> = (0..1000).map(|i| format!("n{i}")).collect();
    let problem = found.relabel(dir.path(), &names).unwrap_err().to_string();
    assert!(problem.contains("(n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 990 more), found"), "{problem}");
}
