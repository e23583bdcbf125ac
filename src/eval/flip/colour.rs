//! Colours as FLIP measures them: sRGB, linear light, YCxCz and Hunt-adjusted CIELab.
//!
//! XYZ appears only as a share of the D65 white's, so that grey has three equal numbers.

/// Linear sRGB to XYZ under D65, up to a factor a row: the primaries' chromaticities as exact fractions. A row's sum is
/// the white's X, Y or Z in the same unit.
const PRIMARIES: [[f64; 3]; 3] = [
    [10_135_552.0, 8_788_810.0, 4_435_075.0],
    [2_613_072.0, 8_788_810.0, 887_015.0],
    [1_425_312.0, 8_788_810.0, 70_074_185.0],
];
const XYZ_FROM_RGB: Matrix = share_of_white();
const RGB_FROM_XYZ: Matrix = inverse(XYZ_FROM_RGB);
/// CIELab is linear below this cube of 6/29.
const CUBE: f32 = 216.0 / 24_389.0;

type Matrix = [[f64; 3]; 3];

const fn share_of_white() -> Matrix {
    let mut matrix = PRIMARIES;
    let mut row = 0;
    while row < 3 {
        let [r, g, b] = PRIMARIES[row];
        let white = r + g + b;
        matrix[row] = [r / white, g / white, b / white];
        row += 1;
    }
    matrix
}

const fn inverse(m: Matrix) -> Matrix {
    let mut cofactors = [[0.0; 3]; 3];
    let mut at = 0;
    while at < 9 {
        let (i, j) = (at / 3, at % 3);
        let (i1, i2, j1, j2) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
        // Transposed; going round in both directions brings the sign along.
        cofactors[j][i] = m[i1][j1] * m[i2][j2] - m[i1][j2] * m[i2][j1];
        at += 1;
    }
    let determinant = m[0][0] * cofactors[0][0] + m[0][1] * cofactors[1][0] + m[0][2] * cofactors[2][0];
    let mut at = 0;
    while at < 9 {
        cofactors[at / 3][at % 3] /= determinant;
        at += 1;
    }
    cofactors
}

fn product(matrix: &Matrix, [x, y, z]: [f32; 3]) -> [f32; 3] {
    matrix.map(|[a, b, c]| a as f32 * x + b as f32 * y + c as f32 * z)
}

/// Linear light of an sRGB value in `[0, 1]` (IEC 61966-2-1).
pub fn linear(value: f32) -> f32 {
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// YCxCz of linear RGB: CIELab without its cube roots, so that filters in it are linear in light.
pub fn ycxcz(rgb: [f32; 3]) -> [f32; 3] {
    let [x, y, z] = product(&XYZ_FROM_RGB, rgb);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// Linear RGB of YCxCz; outside `[0, 1]` where no sRGB colour is.
pub fn rgb([y, cx, cz]: [f32; 3]) -> [f32; 3] {
    let y = (y + 16.0) / 116.0;
    product(&RGB_FROM_XYZ, [y + cx / 500.0, y, y - cz / 200.0])
}

/// CIELab of linear RGB in `[0, 1]` with the Hunt effect: chroma grows with lightness.
pub fn hunt_lab(rgb: [f32; 3]) -> [f32; 3] {
    let root = |t: f32| if t > CUBE { t.cbrt() } else { t * (841.0 / 108.0) + 4.0 / 29.0 };
    let [x, y, z] = product(&XYZ_FROM_RGB, rgb).map(root);
    let lightness = 116.0 * y - 16.0;
    let adjusted = 0.01 * lightness;
    [lightness, adjusted * 500.0 * (x - y), adjusted * 200.0 * (y - z)]
}

/// HyAB distance of two colours: city block in lightness, Euclidean in chroma (Abasi et al. 2020).
pub fn hyab(a: [f32; 3], b: [f32; 3]) -> f32 {
    (a[0] - b[0]).abs() + ((a[1] - b[1]).powi(2) + (a[2] - b[2]).powi(2)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(found: [f32; 3], expected: [f32; 3], tolerance: f32) {
        let near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() <= tolerance);
        assert!(near, "expected {expected:?}, found {found:?}");
    }

    #[test]
    fn grey_has_no_chroma() {
        for value in [0.0, 1e-4, 0.18, 0.5, 1.0] {
            let [l, cx, cz] = ycxcz([value; 3]);
            assert_near([l, cx, cz], [116.0 * value - 16.0, 0.0, 0.0], 1e-4);
            let [_, a, b] = hunt_lab([value; 3]);
            assert_near([0.0, a, b], [0.0; 3], 1e-4);
        }
        assert_near(hunt_lab([1.0; 3]), [100.0, 0.0, 0.0], 1e-4);
        assert_near(hunt_lab([0.0; 3]), [0.0; 3], 1e-4);
    }

    /// Green and blue under D65, as colour tables give them, the chroma scaled by the lightness.
    #[test]
    fn primaries_in_lab() {
        assert_near(hunt_lab([0.0, 1.0, 0.0]), [87.735, -86.183 * 0.877_35, 83.179 * 0.877_35], 0.05);
        assert_near(hunt_lab([0.0, 0.0, 1.0]), [32.297, 79.188 * 0.322_97, -107.86 * 0.322_97], 0.05);
    }

    #[test]
    fn conversions_undo_each_other() {
        for colour in [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.3], [0.02, 0.7, 0.99]] {
            assert_near(rgb(ycxcz(colour)), colour, 2e-6);
        }
    }

    #[test]
    fn curve_meets_its_ends() {
        assert_eq!((linear(0.0), linear(1.0)), (0.0, 1.0));
        assert!((linear(0.04045) - linear(0.040_451)).abs() < 1e-6);
        assert!((linear(0.5) - 0.214_041).abs() < 1e-6);
    }

    #[test]
    fn distances_by_hand() {
        assert_eq!(hyab([10.0, 3.0, 0.0], [8.0, 0.0, 4.0]), 7.0);
        assert_eq!(hyab([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), 0.0);
    }
}
