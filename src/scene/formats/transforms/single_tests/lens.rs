//! Intrinsics and lens distortion, given for all frames or for one.

use super::*;

#[test]
fn intrinsics_fit_the_stored_and_the_reduced_image() {
    let centre = [("cx", json!(60.0)), ("cy", json!(70.0))];
    let full = [("w", json!(124)), ("h", json!(132)), ("fl_x", json!(160)), ("fl_y", json!(168.0))];
    let json = edited(&[centre.as_slice(), &full].concat(), &[]);
    let camera = scene(&json, LoadOptions::default()).views[0].camera;
    assert!((camera.focal - glam::Vec2::new(40.0, 42.0)).length() < TOLERANCE, "{}", camera.focal);
    assert!((camera.center - glam::Vec2::new(14.5, 17.0)).length() < TOLERANCE, "{}", camera.center);
    let reduced = scene(&json, LoadOptions { factor: Some(2), ..LoadOptions::default() });
    assert_eq!((reduced.size(), reduced.views[2].stored_size), ((15, 16), (31, 33)));
    let camera = reduced.views[0].camera;
    let expected = glam::Vec2::new(15.0 * 15.0 / 31.0 - 0.5, 17.5 * 16.0 / 33.0 - 0.5);
    assert!((camera.center - expected).length() < TOLERANCE, "{} {expected}", camera.center);
    assert!(load(folder(&json).path(), &LoadOptions { factor: Some(32), ..LoadOptions::default() }).is_err());
}

/// instant-ngp's key and nerfstudio's model are one, and polynomials are of the angle.
#[test]
fn fisheyes_are_straightened() {
    let fisheye = [("k1", json!(-0.03)), ("k2", json!(0.004))];
    let of = |more: (&'static str, Value)| {
        let shared = [fisheye.as_slice(), &[("fl_x", json!(26.0)), ("fl_y", json!(26.0)), more]].concat();
        scene(&edited(&shared, &[]), LoadOptions::default())
    };
    let scenes = [("is_fisheye", json!(true)), ("camera_model", json!("OPENCV_FISHEYE"))].map(of);
    assert_eq!(scenes[0].views[3].distortion, scenes[1].views[3].distortion);
    let lens = scenes[0].views[0].distortion.unwrap();
    assert_eq!(lens.lens().model, crate::LensModel::fisheye(&[-0.03, 0.004]));
    assert!(!lens.is_cut() && lens.zoom() < 1.0, "{lens:?}");
    // A fisheye that sees more than a flat picture can hold is cut to 60 degrees from its axis, and that is said.
    let wide = [("fl_x", json!(9.0)), ("fl_y", json!(9.0)), ("is_fisheye", json!(true))];
    let wide = scene(&edited(&wide, &[]), LoadOptions::default());
    let camera = wide.views[0].camera;
    let corner = ((glam::Vec2::splat(-0.5) - camera.center) / camera.focal).length();
    assert!((corner - 3.0f32.sqrt()).abs() < 1e-3, "{corner}");
    assert!(wide.warnings.iter().any(|w| w.contains("frame 0") && w.contains("60 degrees")), "{:?}", wide.warnings);
}

/// Pictures may differ in size, if each has its own intrinsics or they fit.
#[test]
fn photographs_of_different_sizes_are_read() {
    let own = [("w", json!(21)), ("h", json!(40)), ("fl_x", json!(30.0)), ("fl_y", json!(31.0)), ("cx", json!(9.0))];
    let dir = folder(&edited(&[], &own));
    add_image(&dir, "images/01.png", (21, 40));
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    let view = &scene.views[1];
    assert_eq!((scene.size(), view.stored_size, view.camera.width), ((31, 33), (21, 40), 21));
    assert_eq!((view.camera.focal, view.camera.center), (glam::Vec2::new(30.0, 31.0), glam::Vec2::new(8.5, 19.5)));
    assert_eq!(view.load_image().unwrap().width, 21);
    assert!(scene.warnings[0].contains("1 of 5 differ from the first of 31x33"), "{:?}", scene.warnings);
}

/// What a frame gives is not mixed with what the file gives for another camera.
#[test]
fn a_frame_overrides_what_all_have() {
    let own = [("fl_x", json!(50.0)), ("fl_y", json!(52.0)), ("cx", json!(10.0)), ("k1", json!(0.1))];
    let changed = scene(&edited(&[("k2", json!(0.05))], &own), LoadOptions::default());
    let lens = |i: usize| changed.views[i].distortion.unwrap();
    assert_eq!((brown(lens(0)).radial, lens(0).focal().x), ([0.0, 0.05, 0.0, 0.0], 40.0));
    // The file's k2 is for the file's focal length.
    assert_eq!((brown(lens(1)).radial, lens(1).focal()), ([0.1, 0.0, 0.0, 0.0], DVec2::new(50.0, 52.0)));
    assert_eq!((lens(1).center(), lens(2)), (DVec2::new(9.5, 16.0), lens(0)));
    // Without coefficients of its own, the frame is incomplete, unless its focal length is nearly the file's.
    let zoomed = &[("fl_x", json!(50.0)), ("fl_y", json!(52.0))];
    let message = error(&edited(&[("k2", json!(0.05))], zoomed));
    assert!(message.contains("frame 1") && message.contains("k1 and its kind"), "{message}");
    assert!(scene(&edited(&[], zoomed), LoadOptions::default()).views[1].distortion.is_none());
    let nearly = &[("fl_x", json!(40.5)), ("fl_y", json!(42.5))];
    let nearly = scene(&edited(&[("k2", json!(0.05))], nearly), LoadOptions::default());
    assert_eq!(brown(nearly.views[1].distortion.unwrap()).radial[1], 0.05);
    // One focal length means square pixels; the file's are not.
    let message = error(&edited(&[], &[("fl_x", json!(50.0))]));
    assert!(message.contains("both axes") && message.contains("40 and 42"), "{message}");
    // A size of its own: what is in pixels has to stand beside it.
    let double = [("w", json!(62)), ("h", json!(66))];
    assert!(error(&edited(&[], &double)).contains("fl_x beside the frame's own w and h of 62x66"));
    let whole = [double.as_slice(), &[("fl_x", json!(80.0)), ("fl_y", json!(84.0))]].concat();
    let camera = scene(&edited(&[], &whole), LoadOptions::default()).views[1].camera;
    assert!((camera.focal - glam::Vec2::new(40.0, 42.0)).length() < TOLERANCE, "{}", camera.focal);
    assert!(error(&edited(&[("cx", json!(15.0))], &whole)).contains("cx beside the frame's own w and h"));
    // The pinhole camera is the lens's.
    for view in &changed.views {
        let expected = view.distortion.unwrap().focal() * view.distortion.unwrap().zoom();
        assert!((view.camera.focal.as_dvec2() - expected).length() < 1e-4);
        assert!(!view.load_image().unwrap_err().to_string().contains("transforms"));
    }
    // A right angle sees as far to the side as ahead.
    let mut angle = edited(&[("camera_angle_x", json!(std::f64::consts::FRAC_PI_2))], &[]);
    angle.as_object_mut().unwrap().retain(|key, _| !key.starts_with("fl"));
    let camera = scene(&angle, LoadOptions::default()).views[0].camera;
    assert!((camera.focal - 15.5).length() < TOLERANCE, "{}", camera.focal);
    angle["frames"][1]["camera_angle_y"] = json!(std::f64::consts::FRAC_PI_2);
    let camera = scene(&angle, LoadOptions::default()).views[1].camera;
    assert!((camera.focal - 16.5).length() < TOLERANCE, "the frame's own, with square pixels: {}", camera.focal);
}

#[test]
fn distorted_photographs_are_straightened() {
    let dir = folder(&edited(&[("k1", json!(0.2)), ("p2", json!(-0.01)), ("camera_model", json!("OPENCV"))], &[]));
    let scene = load(dir.path(), &LoadOptions { factor: Some(2), ..LoadOptions::default() }).unwrap();
    let image = scene.views[4].load_image().unwrap();
    assert_eq!((image.width, image.height), (15, 16));
    assert!(scene.views[4].camera.focal.x > 20.0, "{}", scene.views[4].camera.focal);
    // The colours are a plane over the pixels, so that those of the middle stay and the corner's come from inside.
    assert!((image.pixel(7, 8)[0] - (7.5 * 10.0 + 8.0 * 2.0) / 255.0).abs() < 0.03, "{:?}", image.pixel(7, 8));
    assert!(image.pixel(0, 0)[0] > 0.0);
}

/// One camera, given in every way.
#[test]
fn intrinsics_of_every_form_are_one_camera() {
    let square = |value: Value| {
        let mut json = ring(3);
        let object = json.as_object_mut().unwrap();
        for key in ["fl_x", "fl_y", "w", "h"] {
            object.remove(key);
        }
        object.extend(value.as_object().unwrap().clone());
        scene(&json, LoadOptions::default()).views[1].camera
    };
    let radians = |extent: f64| 2.0 * (0.5 * extent / 40.0f64).atan();
    let expected = square(json!({"fl_x": 40.0}));
    for form in [
        json!({"fl_y": 40.0}),
        json!({"fl_x": 40.0, "fl_y": 40.0, "cx": 15.5, "cy": 16.5, "w": 31, "h": 33}),
        json!({"fl_x": 80.0, "cx": 31.0, "cy": 33.0, "w": 62, "h": 66}),
        json!({"camera_angle_x": radians(31.0)}),
        json!({"camera_angle_y": radians(33.0)}),
        json!({"camera_angle_x": radians(31.0), "camera_angle_y": radians(33.0), "fl_x": null}),
        json!({"x_fov": radians(31.0).to_degrees()}),
        json!({"y_fov": radians(33.0).to_degrees(), "k1": 0, "k5": 0.0, "is_fisheye": false, "rolling_shutter": [0, 0, 0]}),
    ] {
        let camera = square(form.clone());
        assert!((camera.focal - expected.focal).length() < 1e-4, "{form}: {}", camera.focal);
        assert!((camera.center - expected.center).length() < 1e-4, "{form}: {}", camera.center);
    }
    assert_eq!(expected.center, crate::middle(31, 33));
    // Values for pictures of another size that show by the field of view beside them.
    let mut json = ring(3);
    for key in ["fl_y", "w", "h"] {
        json.as_object_mut().unwrap().remove(key);
    }
    json["camera_angle_x"] = json!(radians(31.0) / 2.0);
    assert!(error(&json).contains("pictures of different sizes"), "{}", error(&json));
    (json["w"], json["h"]) = (json!(31), json!(33));
    assert!(scene(&json, LoadOptions::default()).warnings[0].contains("contradicts"));
}
