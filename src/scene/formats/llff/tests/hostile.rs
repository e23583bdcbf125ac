//! Files that must be refused, with what is wrong in which row.

use super::*;
use proptest::prelude::*;
use std::path::PathBuf;

#[test]
fn bad_rows_are_named() {
    let cases: [(usize, f64, &str); 9] = [
        (3, f64::NAN, "finite"),
        (1, 1.5, "orthonormal"),
        (5, 0.0, "orthonormal"),
        (14, 0.0, "focal"),
        (14, f64::INFINITY, "focal"),
        (15, 0.0, "0 < near < far"),
        (15, 9.0, "0 < near < far"),
        (15, f64::NAN, "0 < near < far"),
        (16, 1e300, "0 < near < far"),
    ];
    for (column, value, expected) in cases {
        let mut rows = line(3);
        rows[1][column] = value;
        let dir = folder(&rows, "images_8", (7, 5));
        let message = error(&dir, LoadOptions::default());
        for part in ["poses_bounds.npy", "row 1", "image001.png", expected] {
            assert!(message.contains(part), "column {column}: {message}");
        }
    }
    let mut tiny = line(3);
    tiny[1][15] = 1e-44;
    // A bound far from the others is no fault of the rest.
    let scene = load(folder(&tiny, "images_8", (7, 5)).path(), &LoadOptions::default()).unwrap();
    assert!(scene.warnings[0].contains("row 1 (image001.png): its near bound"), "{:?}", scene.warnings);
    let plain = load(folder(&line(3), "images_8", (7, 5)).path(), &LoadOptions::default()).unwrap();
    assert_eq!((scene.near, scene.far, scene.views[1].near), (plain.near, plain.far, plain.views[1].near));
}

#[test]
fn counts_and_sizes_must_agree() {
    let dir = folder(&line(3), "images_8", (7, 5));
    std::fs::remove_file(dir.path().join("images_8/image001.png")).unwrap();
    let message = error(&dir, LoadOptions::default());
    assert!(message.contains("3 rows") && message.contains("2 images"), "{message}");
    GrayImage::new(7, 6).save(dir.path().join("images_8/image001.png")).unwrap();
    let message = error(&dir, LoadOptions::default());
    assert!(message.contains("image001.png") && message.contains("7x5") && message.contains("7x6"), "{message}");
    let dir = folder(&[], "images_8", (7, 5));
    assert!(error(&dir, LoadOptions::default()).contains("0 x 17"));
}

#[test]
fn rows_are_compared_with_the_photographs() {
    let mut swapped = line(3);
    swapped.iter_mut().for_each(|row| row.swap(4, 9));
    for (rows, size, expected) in [
        (swapped, (64, 48), ["48x64", "64x48", "row 0"]),
        (line(3), (64, 40), ["64x48", "64x40", "image000.png"]),
        (line(3), (48, 64), ["64x48", "48x64", "turned"]),
    ] {
        let message = error(&folder(&rows, "images", size), LoadOptions::default());
        expected.iter().for_each(|part| assert!(message.contains(part), "{message}"));
    }
    // One size for poses and another for pictures is fine, and is said.
    let scene = load(folder(&line(3), "images_4", (64, 48)).path(), &LoadOptions::default()).unwrap();
    assert_eq!(scene.views[0].camera.focal, Vec2::splat(50.0));
    assert!(scene.warnings[0].contains("row 0") && scene.warnings[0].contains("64x48"), "{:?}", scene.warnings);
}

#[test]
fn other_layouts_and_folders_say_what_to_do() {
    let dir = folder(&line(3), "images_2", (32, 24));
    let message = error(&dir, LoadOptions::default());
    assert!(message.contains("images_8, images_4 or images, found images_2; --factor 2 reads images_2"), "{message}");
    let narrow: Vec<u8> = vec![0; 3 * 14 * 8];
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 14), }\n";
    std::fs::write(dir.path().join("poses_bounds.npy"), npy::tests::file(header, &narrow)).unwrap();
    assert!(error(&dir, LoadOptions::default()).contains("found 3 x 14"));
    std::fs::write(dir.path().join("hwf_cxcy.npy"), b"x").unwrap();
    let message = error(&dir, LoadOptions::default());
    assert!(message.contains("3 x 14") && message.contains("hwf_cxcy.npy") && message.contains("NeX"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is in the file, loading ends with a scene or an error.
    #[test]
    fn any_numbers_never_panic(values in proptest::collection::vec(any::<f64>(), 34), good in any::<bool>()) {
        let mut rows = line(2);
        for (value, new) in rows.as_flattened_mut().iter_mut().zip(values) {
            if !good || !new.is_finite() {
                *value = new;
            }
        }
        let names = ["a.png".to_owned(), "b.png".to_owned()];
        let folder = ImageFolder { path: PathBuf::from("images_8"), stored_factor: 8, factor: 8 };
        let images = Images { names: &names, stored: (8, 6), size: (8, 6), folder: &folder };
        let posed = Posed::from_rows(Path::new("p"), &rows, &images, &mut Vec::new());
        if let Ok(posed) = posed {
            prop_assert!(posed.cameras.iter().all(|c| c.validate("read").is_ok()));
        }
    }

    #[test]
    fn damaged_files_never_panic(cut in 0usize..500, at in 0usize..500, to in any::<u8>()) {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = npy_bytes(&line(2));
        let at = at % bytes.len();
        bytes[at] = to;
        bytes.truncate(cut);
        let path = dir.path().join("poses_bounds.npy");
        std::fs::write(&path, bytes).unwrap();
        if let Ok(rows) = read_rows(&path) {
            prop_assert_eq!(rows.len(), 2);
        }
    }
}
