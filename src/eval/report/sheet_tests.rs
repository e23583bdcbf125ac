use super::*;
use crate::testing::image;

/// An image of odd size with all inputs, which the tests change one at a time.
struct Inputs {
    image: Image,
    truth: Image,
    depth: Vec<f32>,
    routing: Vec<f32>,
    mask: Vec<bool>,
}

impl Inputs {
    fn new(width: u32, height: u32) -> Self {
        let pixels = (width * height) as usize;
        Self {
            image: image(width, height, |x, y, c| ((x + 2 * y + 3 * c) % 31) as f32 / 255.0),
            truth: image(width, height, |x, y, c| ((5 * x + y + c) % 33) as f32 / 255.0),
            depth: vec![2.0; pixels],
            routing: vec![0.5; pixels],
            mask: vec![true; pixels],
        }
    }

    fn all(&self) -> PanelInputs<'_> {
        PanelInputs {
            image: &self.image,
            truth: &self.truth,
            depth: &self.depth,
            depth_range: [1.0, 4.0],
            routing: Some(&self.routing),
            mask: Some(&self.mask),
        }
    }
}

fn rgb(image: &Image, pixel: usize) -> Rgb {
    let bytes = image.to_rgb8();
    [bytes[3 * pixel], bytes[3 * pixel + 1], bytes[3 * pixel + 2]]
}

#[test]
fn errors_are_means_over_channels() {
    let mut inputs = Inputs::new(5, 1);
    inputs.truth = Image::black(5, 1);
    inputs.image.data = [
        [0.0, 0.0, 0.0],
        [0.375, 0.0, 0.0],
        [0.25, 0.25, 0.25],
        [f32::NAN, f32::NEG_INFINITY, 0.0],
        [0.0, f32::INFINITY, 0.0],
    ]
    .concat();
    let made = panels(&inputs.all()).unwrap();
    for (pixel, t) in [0.0, 0.5, 1.0, 0.0, 1.0].into_iter().enumerate() {
        assert_eq!(rgb(&made.error, pixel), Scale::Error.at(t), "pixel {pixel}");
    }
    assert_eq!([&made.ours.data[..9], &made.truth.data], [&inputs.image.data[..9], &inputs.truth.data]);
}

#[test]
fn depth_is_even_in_its_inverse() {
    let mut inputs = Inputs::new(7, 1);
    inputs.depth = vec![1.0, 1.6, 4.0, 1e30, f32::MIN_POSITIVE, 0.0, f32::NAN];
    let depth = panels(&inputs.all()).unwrap().depth;
    for (pixel, t) in [0.0, 0.5, 1.0, 1.0, 0.0].into_iter().enumerate() {
        assert_eq!(rgb(&depth, pixel), Scale::Depth.at(t), "pixel {pixel}");
    }
    for pixel in [5, 6] {
        assert!(HATCH.contains(&rgb(&depth, pixel)), "pixel {pixel}");
    }
    inputs.depth = vec![f32::INFINITY; 7];
    assert_eq!(rgb(&panels(&inputs.all()).unwrap().depth, 3), Scale::Depth.at(1.0));
    let flat = panels(&PanelInputs { depth_range: [3.0, 3.0], ..inputs.all() }).unwrap().depth;
    assert_eq!(rgb(&flat, 0), Scale::Depth.at(0.5));
}

#[test]
fn routing_and_masks() {
    let mut inputs = Inputs::new(31, 3);
    inputs.routing[..4].copy_from_slice(&[0.0, 1.0, f32::NAN, 7.0]);
    for masked in [0, 45, 92] {
        inputs.mask[masked] = false;
    }
    let made = panels(&inputs.all()).unwrap();
    let routing = made.routing.as_ref().unwrap();
    for (pixel, t) in [(0, 0.0), (1, 1.0), (3, 1.0), (92, 0.5)] {
        assert_eq!(rgb(routing, pixel), Scale::Routing.at(t), "pixel {pixel}");
    }
    assert!(HATCH.contains(&rgb(routing, 2)));
    let plain = panels(&PanelInputs { mask: None, routing: None, ..inputs.all() }).unwrap();
    assert_eq!(plain.routing, None);
    for pixel in 0..93 {
        let (masked, unmasked) = (rgb(&made.error, pixel), rgb(&plain.error, pixel));
        if inputs.mask[pixel] {
            assert_eq!(masked, unmasked, "pixel {pixel}");
        } else {
            assert!(HATCH.contains(&masked) && !HATCH.contains(&unmasked), "pixel {pixel}: {masked:?}, {unmasked:?}");
        }
    }
    // Stripes, not one grey.
    inputs.mask.fill(false);
    let hatched = panels(&inputs.all()).unwrap().error;
    assert!(HATCH.iter().all(|grey| (0..93).any(|pixel| rgb(&hatched, pixel) == *grey)));
}

#[test]
fn bad_input_is_named() {
    let inputs = Inputs::new(5, 3);
    let all = inputs.all();
    let small = Image::black(3, 5);
    for (rendered, wanted) in [
        (PanelInputs { truth: &small, ..all }, "expected 3x5 like the reference, found 5x3"),
        (PanelInputs { depth: &inputs.depth[1..], ..all }, "depth: expected 15 values for 5x3 pixels, found 14"),
        (PanelInputs { routing: Some(&[]), ..all }, "routing: expected 15 values for 5x3 pixels, found 0"),
        (PanelInputs { mask: Some(&[true; 16]), ..all }, "mask: expected 15 values for 5x3 pixels, found 16"),
        (PanelInputs { depth_range: [0.0, 1.0], ..all }, "depth range: expected 0 < near <= far, found near 0, far 1"),
        (PanelInputs { depth_range: [2.0, 1.0], ..all }, "found near 2, far 1"),
        (PanelInputs { depth_range: [f32::NAN, 1.0], ..all }, "found near NaN, far 1"),
        (PanelInputs { depth_range: [1.0, f32::INFINITY], ..all }, "found near 1, far inf"),
    ] {
        let error = panels(&rendered).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn composites_come_apart_again() {
    for (width, height) in [(1, 1), (31, 3), (33, 31)] {
        let mut inputs = Inputs::new(width, height);
        inputs.mask[0] = false;
        for routing in [None, Some(&inputs.routing[..])] {
            let made = panels(&PanelInputs { routing, ..inputs.all() }).unwrap();
            let sheet = composite(&made);
            let count = 4 + u32::from(routing.is_some());
            assert_eq!((sheet.width, sheet.height), ((count - 1) * pitch(width) + width, height));
            assert_eq!(sheet.pixel(width, height - 1), [1.0; 3], "the gap is white");
            assert_eq!(sheet.pixel(pitch(width), 0), made.truth.pixel(0, 0));
            assert_eq!(split(&sheet, [width, height]).unwrap(), made);
        }
    }
    for (width, height) in [(99, 7), (100, 0), (0, 7), (u32::MAX, 7)] {
        let error = split(&Image::black(412, 7), [width, height]).unwrap_err().to_string();
        assert!(error.contains("found 412x7"), "{error}");
    }
    assert!(split(&Image::black(412, 7), [100, 7]).unwrap().routing.is_none());
}

/// The same photograph must look the same whatever stands beside it: the page shows it once.
#[test]
fn panels_do_not_show_in_their_neighbours() {
    for width in [1, 18, 31, 33] {
        let inputs = Inputs::new(width, 9);
        let truth = |ours: f32| {
            let made = panels(&inputs.all()).unwrap();
            let ours = Image { data: vec![ours; made.ours.data.len()], ..made.ours.clone() };
            let bytes = jpeg(&composite(&Panels { ours, ..made })).unwrap();
            let sheet = image::load_from_memory_with_format(&bytes, image::ImageFormat::Jpeg).unwrap().into_rgb8();
            let data = sheet.into_raw().iter().map(|v| f32::from(*v) / 255.0).collect();
            split(&Image { width: 4 * pitch(width) + width, height: 9, data }, [width, 9]).unwrap().truth
        };
        assert_eq!(truth(0.0), truth(1.0), "{width}");
    }
}

#[test]
fn sheets_are_jpeg_files() {
    let inputs = Inputs::new(33, 31);
    let made = panels(&inputs.all()).unwrap();
    let key = CaseKey { scene: "fern".into(), split: "held-out".into(), model: "gnt".into(), views: 10 };
    let sheet = Sheet::new(key.clone(), "image000".into(), &made, [1.0, 4.0]).unwrap();
    assert_eq!(sheet.size, [33, 31]);
    for (bytes, panel) in [(&sheet.ours, &made.ours), (&sheet.depth, &made.depth)] {
        let decoded = image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg).unwrap().into_rgb8();
        assert_eq!(decoded.dimensions(), (33, 31));
        // Compression moves the mean of an image by far less than a level.
        let mean = |bytes: &[u8]| bytes.iter().map(|v| f64::from(*v)).sum::<f64>() / bytes.len() as f64;
        let [expected, found] = [mean(&panel.to_rgb8()), mean(decoded.as_raw())];
        assert!((expected - found).abs() < 1.0, "expected {expected}, found {found}");
    }
    for (width, height, wanted) in [(0, 3, "found 0x3"), (65_536, 1, "found 65536x1")] {
        let black = Image::black(width, height);
        let panels = Panels { ours: black.clone(), ..made.clone() };
        let error = Sheet::new(key.clone(), String::new(), &panels, [1.0, 4.0]).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}
