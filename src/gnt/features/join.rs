//! Joining a decoder map with a map of the encoder.

/// A map `[height, width, channels]` without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Shape {
    /// For every row of `self` its index in `inner`, which lies centred in it, an odd row or column more at the bottom
    /// or right; and the column where `inner` starts.
    fn place(self, inner: Shape) -> (impl Iterator<Item = Option<usize>>, usize) {
        assert!(inner.height <= self.height && inner.width <= self.width, "{inner:?} must fit into {self:?}");
        let top = (self.height - inner.height) / 2;
        let rows = (0..self.height).map(move |y| y.checked_sub(top).filter(|y| *y < inner.height));
        (rows, (self.width - inner.width) / 2)
    }
}

/// Joins the channels of two maps, those of `up` first; `skip`, never larger, is padded with zeros to the size of `up`.
pub(super) fn join(up: &[f32], up_shape: Shape, skip: &[f32], skip_shape: Shape, joined: &mut Vec<f32>) {
    let (cu, cs) = (up_shape.channels, skip_shape.channels);
    let (rows, left) = up_shape.place(skip_shape);
    joined.resize(up_shape.height * up_shape.width * (cu + cs), 0.0);
    let lines = joined.chunks_exact_mut(up_shape.width * (cu + cs)).zip(up.chunks_exact(up_shape.width * cu));
    for ((line, up), row) in lines.zip(rows) {
        let skip = row.map_or(&[][..], |y| &skip[y * skip_shape.width * cs..(y + 1) * skip_shape.width * cs]);
        for (x, (pixel, up)) in line.chunks_exact_mut(cu + cs).zip(up.chunks_exact(cu)).enumerate() {
            let (first, second) = pixel.split_at_mut(cu);
            first.copy_from_slice(up);
            match x.checked_sub(left).and_then(|x| skip.get(x * cs..(x + 1) * cs)) {
                Some(skip) => second.copy_from_slice(skip),
                None => second.fill(0.0),
            }
        }
    }
}

/// The transpose of [`join`].
pub(super) fn split(d_joined: &[f32], up_shape: Shape, d_up: &mut Vec<f32>, skip_shape: Shape, d_skip: &mut Vec<f32>) {
    let (cu, cs) = (up_shape.channels, skip_shape.channels);
    let (rows, left) = up_shape.place(skip_shape);
    d_up.resize(up_shape.height * up_shape.width * cu, 0.0);
    d_skip.resize(skip_shape.height * skip_shape.width * cs, 0.0);
    let lines = d_joined.chunks_exact(up_shape.width * (cu + cs)).zip(d_up.chunks_exact_mut(up_shape.width * cu));
    for ((line, up), row) in lines.zip(rows) {
        line.chunks_exact(cu + cs).zip(up.chunks_exact_mut(cu)).for_each(|(d, up)| up.copy_from_slice(&d[..cu]));
        let Some(y) = row else { continue };
        let skip = d_skip[y * skip_shape.width * cs..(y + 1) * skip_shape.width * cs].chunks_exact_mut(cs);
        line.chunks_exact(cu + cs).skip(left).zip(skip).for_each(|(d, skip)| skip.copy_from_slice(&d[cu..]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_the_smaller_map_and_takes_the_padding_off_again() {
        let (up_shape, skip_shape) =
            (Shape { height: 4, width: 5, channels: 2 }, Shape { height: 1, width: 2, channels: 1 });
        let up: Vec<f32> = (0..40).map(|v| v as f32 + 1.0).collect();
        let mut joined = vec![f32::NAN; 7];
        join(&up, up_shape, &[-1.0, -2.0], skip_shape, &mut joined);
        // Three rows are missing: one above, two below. Three columns: one left, two right.
        let second: Vec<f32> = joined.chunks(3).map(|p| p[2]).collect();
        let mut expected = [0.0; 20];
        expected[6..8].copy_from_slice(&[-1.0, -2.0]);
        assert_eq!(second, expected);
        let (mut d_up, mut d_skip) = (Vec::new(), vec![9.0; 5]);
        split(&joined, up_shape, &mut d_up, skip_shape, &mut d_skip);
        assert_eq!((d_up, d_skip), (up, vec![-1.0, -2.0]));
    }

    #[test]
    #[should_panic(expected = "must fit into")]
    fn refuses_a_larger_encoder_map() {
        let shape = |height| Shape { height, width: 1, channels: 1 };
        join(&[0.0], shape(1), &[0.0; 2], shape(2), &mut Vec::new());
    }
}
