//! Files that must be refused, with what is wrong in which frame.

use super::*;
use proptest::prelude::*;

#[test]
fn bad_values_are_named() {
    let mut skewed = matrix(DMat4::IDENTITY);
    skewed[0][1] = json!(0.3);
    let mut projective = matrix(DMat4::IDENTITY);
    projective[3][0] = json!(1.0);
    let mirrored = matrix(DMat4::from_scale(DVec3::new(-1.0, 1.0, 1.0)));
    let scaled = matrix(DMat4::from_scale(DVec3::splat(2.0)));
    let far = matrix(DMat4::from_translation(DVec3::X * 1e60));
    for (key, value, expected) in [
        ("fl_x", json!(0.0), "fl_x"),
        ("fl_x", json!(-3.0), "fl_x"),
        ("fl_y", json!(0.0), "fl_y"),
        ("fl_x", json!(1e300), "both axes"),
        ("x_fov", json!(180), "x_fov between 0 and 180"),
        ("k5", json!(0.1), "\"k5\" of 0.1"),
        ("ftheta_p0", json!(1), "\"ftheta_p0\""),
        ("latlong", json!(true), "\"latlong\""),
        ("equirectangular", json!(true), "\"equirectangular\""),
        ("camera_type", json!("omnidirectional"), "\"OMNIDIRECTIONAL\""),
        ("cx", json!(31.5), "cx within the picture's width of 31"),
        ("cy", json!(-1), "cy within the picture's height of 33"),
        ("cx", json!("a"), "cx to be a number, found the text"),
        ("w", json!(0), "w to be"),
        ("h", json!(-31), "h to be"),
        ("w", json!(1e300), "shape"),
        ("h", json!(66), "shape"),
        ("cx", json!(1e300), "cx within"),
        ("camera_angle_x", json!(3.2), "camera_angle_x"),
        ("camera_angle_y", json!(0.0), "camera_angle_y"),
        ("k1", json!(-20.0), "fold"),
        ("k1", json!(1e300), "fold"),
        ("camera_model", json!("FULL_OPENCV"), "\"FULL_OPENCV\""),
        ("camera_model", json!("EQUIRECTANGULAR"), "SIMPLE_RADIAL"),
        ("is_fisheye", json!([1, "x"]), "is_fisheye to be true or false, found a list of 2"),
        ("transform_matrix", skewed, "orthonormal"),
        ("transform_matrix", scaled, "orthonormal"),
        ("transform_matrix", mirrored, "right-handed"),
        ("transform_matrix", projective, "0 0 0 1"),
        ("transform_matrix", far, "finite"),
        ("transform_matrix", json!([]), "4 rows of 4 numbers, found 0"),
        ("transform_matrix", json!(vec![[0.0; 4]; 5]), "4 rows of 4 numbers, found 5"),
    ] {
        let message = error(&edited(&[], &[(key, value)]));
        for part in ["transforms.json", "frame 1", "01.png", expected] {
            assert!(message.contains(part), "{key}: {message}");
        }
    }
    let mut json = ring(3);
    json.as_object_mut().unwrap().remove("fl_x");
    json.as_object_mut().unwrap().remove("fl_y");
    assert!(error(&json).contains("fl_x, fl_y, camera_angle_x"), "{}", error(&json));
    json["frames"] = json!([]);
    assert!(error(&json).contains("at least one frame"));
    let message = error(&edited(&[], &[("file_path", json!("images/./00.png"))]));
    assert!(message.contains("frames 0 and 1") && message.contains("twice"), "{message}");
    let message = error(&edited(&[], &[("mask_path", json!("masks/none.png"))]));
    assert!(message.contains("frame 1") && message.contains("mask_path") && message.contains("none.png"), "{message}");
}

#[test]
fn text_that_is_no_such_json_is_refused() {
    let dir = folder(&ring(2));
    let text = ring(2).to_string();
    let cases = [
        (text.replace("40.0", "NaN"), "frame 0 (images/00.png): expected fl_x to be a positive number, found NaN"),
        (text.replacen("10.0", "NaN", 1), "frame 0 (images/00.png): expected a finite pose, found NaN"),
        (text.replace("40.0", "1e999"), "JSON"),
        (text.replace("40.0", "\"40\""), "fl_x to be a number, found the text \"40\""),
        (
            text.replace("\"frames\"", "\"frame\""),
            "the key frames with a list of photographs, found the keys fl_x, fl_y",
        ),
        (text.replace("\"file_path\"", "\"file\""), "frame 0: expected file_path"),
        (text.replace("\"transform_matrix\"", "\"matrix\""), "frame 0 (images/00.png): expected transform_matrix"),
        ("[".repeat(100_000), "JSON"),
        ("{ // of Tuesday\n}".to_owned(), "line 1"),
        (String::new(), "JSON"),
        (r#"{"frames": [3]}"#.to_owned(), "frame 0: expected an object, found 3"),
        (r#"{"frames": {}}"#.to_owned(), "frames to be a list"),
    ];
    for (case, expected) in cases {
        std::fs::write(dir.path().join("transforms.json"), &case).unwrap();
        let message = load(dir.path(), &LoadOptions::default()).unwrap_err().to_string();
        assert!(message.contains("transforms.json") && message.contains(expected), "{case}: {message}");
    }
    // What nothing uses does no harm, and neither does a mark before the text.
    let odd = text.replacen('{', "{\"exposure\": NaN, \"camera_model\": \"opencv\",", 1);
    std::fs::write(dir.path().join("transforms.json"), format!("\u{feff}{odd}")).unwrap();
    load(dir.path(), &LoadOptions::default()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn damaged_files_never_panic(cut in 0usize..3000, at in 0usize..3000, to in any::<u8>()) {
        let json = edited(&[("k1", json!(0.1)), ("near", json!(1.0))], &[("p1", json!(0.01))]);
        let dir = folder(&json);
        let mut bytes = json.to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = to;
        bytes.truncate(cut);
        std::fs::write(dir.path().join("transforms.json"), bytes).unwrap();
        if let Ok(scene) = load(dir.path(), &LoadOptions::default()) {
            prop_assert!(scene.views.iter().all(|v| v.camera.validate("read").is_ok()));
        }
    }

    /// Whatever numbers are in the file, loading ends with a scene or an error.
    #[test]
    fn any_numbers_never_panic(
        values in proptest::collection::vec(any::<f64>(), 14), pose in proptest::collection::vec(any::<f64>(), 12),
        good in 0usize..20,
    ) {
        const KEYS: [&str; 14] = [
            "fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "k3", "k4", "p1", "p2", "near", "far",
        ];
        // Often a single bad value, since many are refused at the first.
        let mut json = ring(3);
        for (i, (key, value)) in KEYS.iter().zip(values).enumerate() {
            if good >= KEYS.len() || i == good {
                json[*key] = json!(value);
            }
        }
        if good == 15 {
            json["frames"][1]["transform_matrix"] = json!(pose.as_chunks::<4>().0);
        }
        let dir = folder(&json);
        if let Ok(scene) = load(dir.path(), &LoadOptions::default()) {
            prop_assert!(scene.views.iter().all(|v| v.camera.validate("read").is_ok()));
            prop_assert!(scene.near > 0.0 && scene.near < scene.far && scene.far.is_finite());
        }
    }
}
