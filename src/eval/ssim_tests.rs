use super::*;
use crate::testing::{self, Metrics, patterns};

/// Mean similarity at the positions, with the window as a plain double loop.
fn plain(images: &[Image; 2], kind: SsimKind, positions: &[(i64, i64)]) -> f64 {
    let Window { weights, covariance_scale, .. } = kind.window();
    let radius = weights.len() as i64 / 2;
    let (width, height) = (i64::from(images[0].width), i64::from(images[0].height));
    let mut sum = 0.0;
    for ((x, y), c) in positions.iter().flat_map(|position| (0..3).map(move |c| (*position, c))) {
        let mut m = [0.0; MOMENTS];
        for (i, j) in (-radius..=radius).flat_map(|i| (-radius..=radius).map(move |j| (i, j))) {
            let (u, v) = (x + i, y + j);
            if (0..width).contains(&u) && (0..height).contains(&v) {
                let [p, q] = images.each_ref().map(|image| f64::from(image.pixel(u as u32, v as u32)[c]));
                let weight = weights[(i + radius) as usize] * weights[(j + radius) as usize];
                [p, q, p * p, q * q, p * q].iter().zip(&mut m).for_each(|(v, m)| *m += weight * v);
            }
        }
        sum += similarity(m, covariance_scale);
    }
    sum / (3 * positions.len()) as f64
}

#[test]
fn equal_images_have_one() {
    for (width, height) in [(1, 1), (1, 31), (33, 2), (13, 17)] {
        let image = testing::image(width, height, |x, y, c| ((x * 7 + y * 13 + c * 5) % 11) as f32 / 10.0);
        for kind in SsimKind::ALL.iter().filter(|kind| width.min(height) > 11 || **kind == SsimKind::Gnt) {
            assert!((ssim(&image, &image, *kind, None).unwrap() - 1.0).abs() < 1e-12, "{width}x{height} {kind}");
        }
    }
}

/// One pixel, of which the window sees its middle weight only.
#[test]
fn one_pixel_by_hand() {
    let of = |a: f32, b: f32| {
        let [a, b] = [a, b].map(|value| testing::image(1, 1, |_, _, _| value));
        ssim(&a, &b, SsimKind::Gnt, None).unwrap()
    };
    let w = gaussian()[GAUSSIAN_RADIUS].powi(2);
    let expected = C1 * C2 / ((w * w + C1) * (w - w * w + C2));
    assert!((of(0.0, 1.0) - expected).abs() < 1e-12);
    assert_eq!(of(0.0, f32::INFINITY), of(0.0, 1.0));
}

/// The only position of a 7x7 image: 24 of 49 pixels white against all black.
#[test]
fn one_uniform_window_by_hand() {
    let image = testing::image(7, 7, |x, y, _| ((x + y) % 2) as f32);
    let found = ssim(&image, &Image::black(7, 7), SsimKind::Uniform, None).unwrap();
    let mean: f64 = 24.0 / 49.0;
    let variance = (24.0 - 49.0 * mean * mean) / 48.0;
    let expected = C1 * C2 / ((mean * mean + C1) * (variance + C2));
    assert!((found - expected).abs() < 1e-12, "expected {expected}, found {found}");
}

#[test]
fn agrees_with_a_plain_double_loop() {
    for (kind, width, height, margin) in
        [(SsimKind::Gnt, 7, 19, 0), (SsimKind::Gaussian, 11, 19, 5), (SsimKind::Uniform, 33, 7, 3)]
    {
        let images = patterns(width, height);
        let (width, height) = (i64::from(width), i64::from(height));
        let rows = margin..height - margin;
        let all: Vec<_> = rows.flat_map(|y| (margin..width - margin).map(move |x| (x, y))).collect();
        let (expected, found) = (plain(&images, kind, &all), ssim(&images[0], &images[1], kind, None).unwrap());
        assert!((found - expected).abs() < 1e-12, "{kind}: expected {expected}, found {found}");
        assert!((found - ssim(&images[1], &images[0], kind, None).unwrap()).abs() < 1e-12, "{kind}: symmetric");

        let counts = |x: i64, y: i64| (x * y + x) % 3 == 0;
        let flags = (0..height).flat_map(|y| (0..width).map(move |x| counts(x, y))).collect();
        let mask = Mask::new(width as u32, height as u32, flags).unwrap();
        let some: Vec<_> = all.into_iter().filter(|(x, y)| counts(*x, *y)).collect();
        let expected = plain(&images, kind, &some);
        let found = ssim(&images[0], &images[1], kind, Some(&mask)).unwrap();
        assert!((found - expected).abs() < 1e-12, "{kind}, masked: expected {expected}, found {found}");
    }
}

#[test]
fn agrees_with_the_reference() {
    let (image, truth, expected) = testing::fixture("metric.ssim");
    let found = ssim(&image, &truth, SsimKind::Gnt, None).unwrap();
    assert!((found - expected).abs() < 1e-5, "expected {expected}, found {found}");
}

/// Both sides compute in 64 bits; what remains comes from colours rounded to 32-bit fractions.
#[test]
fn agrees_with_scikit_image() {
    for pair in testing::metrics() {
        let Metrics { name, image, reference, mask, .. } = &pair;
        for (kind, mask, number) in [
            (SsimKind::Gaussian, None, "ssim_gaussian"),
            (SsimKind::Gaussian, Some(mask), "ssim_gaussian_masked"),
            (SsimKind::Uniform, None, "ssim_uniform"),
            (SsimKind::Uniform, Some(mask), "ssim_uniform_masked"),
        ] {
            let (expected, found) = (pair.number(number), ssim(image, reference, kind, mask).unwrap());
            assert!((found - expected).abs() < 1e-6, "{name} {number}: expected {expected}, found {found}");
        }
    }
}

#[test]
fn windows_must_fit() {
    for (kind, width, height, expected) in [
        (SsimKind::Gaussian, 10, 31, "image: expected at least 11x11 pixels for SSIM gaussian, found 10x31"),
        (SsimKind::Uniform, 33, 6, "image: expected at least 7x7 pixels for SSIM uniform, found 33x6"),
    ] {
        let image = Image::black(width, height);
        assert_eq!(ssim(&image, &image, kind, None).unwrap_err().to_string(), expected);
        assert_eq!(ssim(&image, &image, SsimKind::Gnt, None).unwrap(), 1.0);
    }
    // Counts only where no window fits.
    let image = Image::black(11, 13);
    let corner = Mask::new(11, 13, (0..143).map(|pixel| pixel == 0).collect()).unwrap();
    let error = ssim(&image, &image, SsimKind::Gaussian, Some(&corner)).unwrap_err().to_string();
    assert_eq!(error, "mask: expected at least one pixel that counts 5 pixels inside the border, found none");
    assert_eq!(ssim(&image, &image, SsimKind::Gnt, Some(&corner)).unwrap(), 1.0);
}

#[test]
fn names_are_read_back() {
    for kind in SsimKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
        assert!(kind.describe().starts_with("SSIM of ") && kind.describe().ends_with('.'), "{kind}");
    }
    assert_eq!(SsimKind::default(), SsimKind::Gnt);
    let error = "Wang".parse::<SsimKind>().unwrap_err().to_string();
    assert_eq!(error, "SSIM: expected gnt, gaussian or uniform, found \"Wang\"");
}
