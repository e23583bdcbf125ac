use super::*;
use crate::testing::{self, Metrics, patterns};

#[test]
fn equal_images_have_none() {
    for (width, height) in [(1, 1), (1, 31), (33, 2), (13, 17)] {
        let [image, _] = patterns(width, height);
        assert_eq!(flip_map(&image, &image).unwrap(), vec![0.0; (width * height) as usize]);
        assert_eq!(flip(&image, &image, None).unwrap(), 0.0);
    }
}

/// Flat colours have no features, and blur leaves them as they are: black against white is 100 of lightness.
#[test]
fn flat_colours_by_hand() {
    let flat = |colour: [f32; 3]| testing::image(31, 3, |_, _, c| colour[c as usize]);
    // Lightness, and chroma scaled by it, of green and blue; see the colours' tests.
    let largest: f32 = (87.735 - 32.297) + ((75.613f32 + 25.575).powi(2) + (72.977f32 + 34.836).powi(2)).sqrt();
    let relative = (100.0 / largest).powf(0.7);
    let expected = 0.95 + (relative - 0.4) / 0.6 * 0.05;
    let found = flip(&flat([0.0; 3]), &flat([1.0; 3]), None).unwrap();
    assert!((found - f64::from(expected)).abs() < 1e-4, "expected {expected}, found {found}");
    // The two that the scale is made for.
    let found = flip(&flat([0.0, 1.0, 0.0]), &flat([0.0, 0.0, 1.0]), None).unwrap();
    assert!((found - 1.0).abs() < 1e-5, "found {found}");
}

#[test]
fn order_is_indifferent_and_values_stay_in_range() {
    for (width, height) in [(1, 1), (31, 1), (33, 31)] {
        let [a, b] = patterns(width, height);
        let map = flip_map(&a, &b).unwrap();
        assert_eq!(map, flip_map(&b, &a).unwrap());
        assert!(map.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}

#[test]
fn colours_are_clipped() {
    let [a, b] = patterns(13, 17);
    let mut wild = a.clone();
    for (value, i) in wild.data.iter_mut().zip(0..) {
        match *value {
            0.0 => *value = [f32::NAN, -3.0, f32::NEG_INFINITY][i % 3],
            1.0 => *value = [f32::INFINITY, 7.0, 1.0][i % 3],
            _ => {}
        }
    }
    assert_eq!(flip_map(&wild, &b).unwrap(), flip_map(&a, &b).unwrap());
}

/// Every pixel within 32-bit rounding of the released code, whose roots near 0 enlarge it.
#[test]
fn agrees_with_the_released_code() {
    for pair in testing::metrics() {
        let Metrics { name, image, reference, mask, flip_map: expected, .. } = &pair;
        let found = flip_map(image, reference).unwrap();
        assert_eq!(found.len(), expected.len());
        for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 3e-4, "{name}, pixel {at}: expected {expected}, found {found}");
        }
        for (mask, number) in [(None, "flip"), (Some(mask), "flip_masked")] {
            let (expected, found) = (pair.number(number), flip(image, reference, mask).unwrap());
            assert!((found - expected).abs() < 1e-5, "{name} {number}: expected {expected}, found {found}");
        }
    }
}
