//! The pictures that a file names, and which of them are held out.

use super::*;

#[test]
fn images_are_found_and_named() {
    let mut json = ring(4);
    for (i, path) in ["./b/1.5", "a/0001", "a/0002.png", "b/0001.JPG"].iter().enumerate() {
        json["frames"][i]["file_path"] = json!(path);
    }
    let dir = tempfile::tempdir().unwrap();
    json["frames"][2]["file_path"] = json!(dir.path().join("a/0002.png"));
    json["frames"][2]["mask_path"] = json!("m/0002");
    write(&dir, &json);
    for name in ["b/1.5.jpg", "a/0001.jpeg", "a/0002.png", "b/0001.JPG", "m/0002.png"] {
        add_image(&dir, name, (31, 33));
    }
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    let names: Vec<_> = scene.views.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["a_0001", "a_0002", "b_0001", "b_1.5"]);
    let expected = ["transforms.json", "a/0001.jpeg", "a/0002.png", "b/0001.JPG", "b/1.5.jpg", "m/0002.png"];
    assert_eq!(crate::formats::files(&scene), expected.map(|name| dir.path().join(name)));
    // The gradient's darker corner is left out.
    let mask = scene.views[1].load_mask().unwrap().unwrap();
    assert_eq!((mask.len(), mask[0], mask[mask.len() - 1]), (31 * 33, false, true));
    assert_eq!(scene.views[0].load_mask().unwrap(), None);

    std::fs::remove_file(dir.path().join("b/1.5.jpg")).unwrap();
    let message = load(dir.path(), &LoadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("frame 0") && message.contains("b/1.5"), "{message}");
    add_image(&dir, "b/1.5.jpg", (31, 30));
    assert!(load(dir.path(), &LoadOptions::default()).unwrap_err().to_string().contains("31x30"));
}

#[test]
fn lists_in_the_file_are_the_splits() {
    let names = |ids: &[usize]| json!(ids.iter().map(|i| format!("images/{i:02}.png")).collect::<Vec<_>>());
    let lists = [("train_filenames", names(&[0, 2])), ("val_filenames", names(&[4, 1]))];
    let dir = folder(&edited(&[lists.as_slice(), &[("test_filenames", names(&[3]))]].concat(), &[]));
    assert_eq!(crate::formats::splits(dir.path(), None).unwrap(), [Split::Test, Split::Val]);
    let options = |split| LoadOptions { split, ..LoadOptions::default() };
    for (split, held_out) in [(None, [3].as_slice()), (Some(Split::Test), &[3]), (Some(Split::Val), &[1, 4])] {
        let scene = load(dir.path(), &options(split)).unwrap();
        assert_eq!(
            (scene.source_ids.as_slice(), scene.held_out.as_slice()),
            ([0, 2].as_slice(), held_out),
            "{split:?}"
        );
        assert_eq!((scene.split, scene.views.len()), (split.or(Some(Split::Test)), 5));
    }
    let message = load(dir.path(), &options(Some(Split::HeldOut))).unwrap_err().to_string();
    assert!(message.contains("held-out") && message.contains("test and val"), "{message}");

    // Without a training list the rest is for training.
    let dir = folder(&edited(&[("val_filenames", names(&[4]))], &[]));
    assert_eq!(load(dir.path(), &options(None)).unwrap().source_ids, [0, 1, 2, 3]);
    assert!(load(dir.path(), &options(Some(Split::Test))).unwrap_err().to_string().contains("found val"));
    let dir = folder(&edited(&[("train_filenames", names(&[4]))], &[]));
    let scene = load(dir.path(), &options(None)).unwrap();
    assert_eq!((scene.source_ids.as_slice(), scene.held_out.len(), scene.split), ([4].as_slice(), 0, None));
    assert!(scene.warnings[0].contains("no view is held out"));
    // What is held out is no source, even if it is listed for training.
    let dir = folder(&edited(&[lists[0].clone(), ("test_filenames", names(&[1, 2]))], &[]));
    let scene = load(dir.path(), &options(None)).unwrap();
    assert_eq!((scene.source_ids.as_slice(), scene.held_out.as_slice()), ([0].as_slice(), [1, 2].as_slice()));
    assert!(scene.warnings[0].ends_with("no sources: 1"), "{:?}", scene.warnings);
    // Lists without names say nothing.
    let dir = folder(&edited(&[("test_filenames", names(&[])), ("val_filenames", names(&[1]))], &[]));
    assert_eq!(crate::formats::splits(dir.path(), None).unwrap(), [Split::Val]);
    assert_eq!(load(dir.path(), &options(None)).unwrap().held_out, [1]);
    let dir = folder(&edited(&[("test_filenames", names(&[])), ("train_filenames", names(&[]))], &[]));
    assert_eq!(crate::formats::splits(dir.path(), None).unwrap(), [Split::HeldOut]);
    let message = error(&edited(&[("val_filenames", names(&[7]))], &[]));
    assert!(message.contains("val_filenames") && message.contains("07.png"), "{message}");

    let dir = folder(&ring(3));
    assert_eq!(crate::formats::splits(dir.path(), None).unwrap(), [Split::HeldOut]);
    assert!(load(dir.path(), &options(Some(Split::HeldOut))).is_ok());
    let none = LoadOptions { hold_every: 0, ..options(Some(Split::HeldOut)) };
    assert!(load(dir.path(), &none).unwrap_err().to_string().contains("found none"));
}

#[test]
fn missing_pictures_stop_what_needs_them() {
    let dir = folder(&ring(17));
    let remove = |i: usize| std::fs::remove_file(dir.path().join(format!("images/{i:02}.png"))).unwrap();
    let load = |split| load(dir.path(), &LoadOptions { split, ..LoadOptions::default() });
    remove(8);
    let scene = load(None).unwrap();
    assert_eq!((scene.views.len(), scene.held_out.len(), scene.source_ids.len(), scene.split), (16, 0, 14, None));
    assert!(scene.warnings[0].contains("1 of 17 missing: \"images/08.png\" of frame 8"), "{:?}", scene.warnings);
    assert!(load(Some(Split::HeldOut)).unwrap_err().to_string().contains("1 of 17 missing"));
    (3..6).for_each(remove);
    let message = load(None).unwrap_err().to_string();
    assert!(message.contains("4 of 17 missing: \"images/03.png\" of frame 3"), "{message}");
}

#[test]
fn names_of_other_systems_are_read_with_a_word() {
    let mut json = ring(5);
    for i in 0..5 {
        json["frames"][i]["file_path"] = json!(format!(".\\Images\\{i:02}.PNG"));
    }
    let dir = folder(&ring(5));
    write(&dir, &json);
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    assert_eq!(scene.views[4].path, dir.path().join("images/04.png"));
    assert_eq!(scene.warnings.len(), 1);
    assert!(scene.warnings[0].contains("backslashes and letter case; 5 such names"), "{:?}", scene.warnings);
}
