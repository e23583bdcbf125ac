//! The model against values worked out by hand, its inverse, and the pinhole camera that replaces the lens.

use super::*;
use proptest::prelude::*;

/// f64 arithmetic on numbers near 1.
const TOLERANCE: f64 = 1e-12;

fn lens(radial: [f64; 4], tangential: [f64; 2]) -> Coefficients {
    Coefficients { radial, tangential }
}

#[test]
fn matches_values_worked_out_by_hand() {
    // r² = 0.25 at (0.3, 0.4): 1 + 0.1/4 − 0.2/16 + 0.4/64 + 0.8/256 = 1.021875.
    let radial = lens([0.1, -0.2, 0.4, 0.8], [0.0; 2]);
    let seen = radial.distort(DVec2::new(0.3, 0.4));
    assert!((seen - DVec2::new(0.3065625, 0.40875)).length() < TOLERANCE, "{seen}");
    // p1 = 0.01: (2·0.12, 0.25 + 2·0.16)·p1; p2 = 0.02: (0.25 + 2·0.09, 2·0.12)·p2.
    let tangential = lens([0.0; 4], [0.01, 0.02]);
    let seen = tangential.distort(DVec2::new(0.3, 0.4));
    assert!((seen - DVec2::new(0.3 + 0.0024 + 0.0086, 0.4 + 0.0057 + 0.0048)).length() < TOLERANCE, "{seen}");
    assert_eq!(radial.distort(DVec2::ZERO), DVec2::ZERO);
    assert!(Coefficients::default().is_zero() && !tangential.is_zero() && !radial.is_zero());
}

#[test]
fn barrel_sees_more_and_pincushion_less() {
    let zoom = |k1: f64| {
        Distortion::new(lens([k1, 0.0, 0.0, 0.0], [0.0; 2]), DVec2::splat(40.0), DVec2::new(15.0, 16.0), (31, 33))
    };
    let (barrel, pincushion) = (zoom(-0.2).unwrap(), zoom(0.2).unwrap());
    assert!(barrel.zoom() < 0.98 && pincushion.zoom() > 1.02, "{} {}", barrel.zoom(), pincushion.zoom());
    // The picture is symmetric, so that the pincushion's corners are what touches.
    let corner = pincushion.stored_from_pinhole(DVec2::new(30.5, 32.5));
    assert!((corner - DVec2::new(30.5, 32.5)).abs().max_element() < 1e-6, "{corner}");
    // A barrel touches first in the middle of the nearer sides.
    let side = barrel.stored_from_pinhole(DVec2::new(30.5, 16.0));
    assert!((side.x - 30.5).abs() < 1e-6, "{side}");
    assert_eq!(barrel.stored_from_pinhole(barrel.center()), barrel.center());
}

#[test]
fn a_picture_folded_over_is_refused() {
    // Largest at r = 0.816, where it is seen at 0.544: a photograph that is wider cannot be told apart beyond.
    let folding = lens([-0.5, 0.0, 0.0, 0.0], [0.0; 2]);
    let new = |focal| Distortion::new(folding, DVec2::splat(focal), DVec2::splat(49.5), (100, 100));
    let message = new(60.0).unwrap_err();
    assert!(message.contains("fold") && message.contains("-0.5"), "{message}");
    assert!(new(200.0).unwrap().zoom() < 1.0);
    assert_eq!(folding.undistort(DVec2::new(0.6, 0.0)), None);
    // Comes back after the fold: each edge is inside again there, and must not be taken.
    let wave = lens([-3.0, 2.0, 0.0, 0.0], [0.0; 2]);
    assert!(Distortion::new(wave, DVec2::splat(50.0), DVec2::splat(49.5), (100, 100)).is_err());
}

#[test]
fn senseless_lenses_are_refused() {
    let fine = lens([0.1, 0.0, 0.0, 0.0], [0.0; 2]);
    let (focal, center) = (DVec2::splat(30.0), DVec2::splat(15.0));
    for (coefficients, focal, center, expected) in [
        (lens([f64::NAN, 0.0, 0.0, 0.0], [0.0; 2]), focal, center, "finite distortion"),
        (lens([0.0; 4], [0.0, f64::INFINITY]), focal, center, "finite distortion"),
        (fine, DVec2::new(0.0, 3.0), center, "focal"),
        (fine, DVec2::new(3.0, -1.0), center, "focal"),
        (fine, DVec2::new(3.0, f64::NAN), center, "focal"),
        (fine, focal, DVec2::new(31.0, 3.0), "principal point"),
        (fine, focal, DVec2::new(f64::NAN, 3.0), "principal point"),
        (lens([1e300, -1e300, 0.0, 1e308], [0.0; 2]), focal, center, "fold"),
        (lens([0.0; 4], [1e200, 1e200]), focal, center, "fold"),
    ] {
        let message = Distortion::new(coefficients, focal, center, (31, 31)).unwrap_err();
        assert!(message.contains(expected), "{expected}: {message}");
    }
    // All that is seen through it lies next to the principal point.
    let message = Distortion::new(lens([1e30, 0.0, 0.0, 0.0], [0.0; 2]), focal, center, (31, 31)).unwrap_err();
    assert!(message.contains("some of the picture"), "{message}");
    // One pixel is an image, too.
    assert!(Distortion::new(fine, focal, DVec2::ZERO, (1, 1)).unwrap().zoom() > 1.0);
}

proptest! {
    #[test]
    fn the_inverse_returns(
        x in -0.7..0.7, y in -0.7..0.7, k1 in -0.15..0.3, k2 in -0.05..0.1, k3 in -0.02..0.02, p1 in -0.02..0.02,
        p2 in -0.02..0.02,
    ) {
        let lens = lens([k1, k2, k3, 0.01], [p1, p2]);
        let ray = DVec2::new(x, y);
        let back = lens.undistort(lens.distort(ray)).unwrap();
        prop_assert!((back - ray).length() < 1e-9, "{} {}", ray, back);
    }

    #[test]
    fn the_jacobian_is_the_slope(x in -1.0..1.0, y in -1.0..1.0, k1 in -1.0..1.0, k4 in -1.0..1.0, p1 in -0.5..0.5) {
        let lens = lens([k1, 0.3, -0.2, k4], [p1, 0.1]);
        let (ray, step) = (DVec2::new(x, y), 1e-6);
        for axis in [DVec2::X, DVec2::Y] {
            let slope = (lens.distort(ray + axis * step) - lens.distort(ray - axis * step)) / (2.0 * step);
            prop_assert!((lens.jacobian(ray) * axis - slope).length() < 1e-6);
        }
    }

    /// Every pixel's area is inside, and some edge touches: no focal length that is smaller would do.
    #[test]
    fn pixels_fall_inside_and_the_view_is_as_wide_as_can_be(
        k1 in -0.2..0.3, k2 in -0.1..0.1, p1 in -0.01..0.01, p2 in -0.01..0.01, cx in 12.0..18.0, width in 31u32..34,
    ) {
        let size = (width, 21);
        let (focal, center) = (DVec2::new(35.0, 33.0), DVec2::new(cx, 9.5));
        let lens = Distortion::new(lens([k1, k2, 0.0, 0.0], [p1, p2]), focal, center, size).unwrap();
        let mut closest = f64::INFINITY;
        for x in 0..=2 * size.0 {
            for y in 0..=2 * size.1 {
                let seen = lens.stored_from_pinhole(DVec2::new(x.into(), y.into()) * 0.5 - 0.5);
                let margin = (seen + 0.5).min(DVec2::new(size.0.into(), size.1.into()) - 0.5 - seen).min_element();
                // Only 129 points of each side are followed, so that others may miss by less than this.
                prop_assert!(margin > -1e-3, "({}, {}) is seen at {}", x, y, seen);
                closest = closest.min(margin);
            }
        }
        prop_assert!(closest < 1e-3, "{}", closest);
    }

    #[test]
    fn any_numbers_end(values in proptest::collection::vec(any::<f64>(), 10)) {
        let lens = lens([values[0], values[1], values[2], values[3]], [values[4], values[5]]);
        let made = Distortion::new(lens, DVec2::new(values[6], values[7]), DVec2::new(values[8], values[9]), (7, 5));
        if let Ok(made) = made {
            prop_assert!(made.zoom().is_finite() && made.zoom() > 0.0);
        }
        let _ = lens.undistort(DVec2::new(values[6], values[7]));
    }
}
