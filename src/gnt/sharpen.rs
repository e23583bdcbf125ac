//! Source photographs sharpened before they are read.

use scene::Image;

/// The photograph with `percent` hundredths of what its four neighbours' mean differs from each pixel added to it; beyond the
/// border a pixel is its own neighbour. 0 changes nothing. Colours may leave `[0, 1]`.
///
/// A colour that is looked up between pixels is a mean of four, and a picture of such colours is blurred. Sharpening the
/// photographs once costs nothing a ray.
pub fn sharpened(image: &Image, percent: u8) -> Image {
    let (width, height) = (image.width as usize, image.height as usize);
    let (row, amount) = (3 * width, f32::from(percent) / 100.0);
    let mut data = Vec::with_capacity(image.data.len());
    for y in 0..height {
        let here = &image.data[y * row..][..row];
        let above = &image.data[y.saturating_sub(1) * row..][..row];
        let below = &image.data[(y + 1).min(height - 1) * row..][..row];
        data.extend((0..row).map(|i| {
            let left = if i < 3 { i } else { i - 3 };
            let right = if i + 3 < row { i + 3 } else { i };
            let mean = (above[i] + below[i] + here[left] + here[right]) / 4.0;
            here[i] + amount * (here[i] - mean)
        }));
    }
    Image { data, ..*image }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_grow_and_plain_places_stay() {
        let image = |data: Vec<f32>| Image::new(4, 2, data.iter().flat_map(|v| [*v; 3]).collect()).unwrap();
        let edge = image(vec![0.25, 0.25, 0.75, 0.75, 0.25, 0.25, 0.75, 0.75]);
        let sharp = image(vec![0.25, 0.1875, 0.8125, 0.75, 0.25, 0.1875, 0.8125, 0.75]);
        assert_eq!(sharpened(&edge, 50), sharp);
        assert_eq!(sharpened(&edge, 0), edge);
    }

    /// The least picture there can be, and channels apart from each other.
    #[test]
    fn one_pixel_is_its_own_neighbour() {
        let image = Image::new(1, 1, vec![0.1, 0.5, 0.9]).unwrap();
        assert_eq!(sharpened(&image, 80), image);
        let image = Image::new(2, 1, vec![0.0, 0.5, 1.0, 1.0, 0.5, 0.0]).unwrap();
        assert_eq!(sharpened(&image, 40).data, [-0.1, 0.5, 1.1, 1.1, 0.5, -0.1]);
    }
}
