//! The maximum of every 2 by 2 pixels, channels last.

pub mod cuda;

/// Pools images `x` `[images, height, width, channels]` with even sides; `y` is resized and overwritten.
pub fn forward((images, height, width): (usize, usize, usize), channels: usize, x: &[f32], y: &mut Vec<f32>) {
    assert!(height.is_multiple_of(2) && width.is_multiple_of(2), "sides to pool: {height}, {width}");
    assert_eq!(x.len(), images * height * width * channels, "values to pool");
    y.resize(x.len() / 4, 0.0);
    let row = width * channels;
    for (y, x) in y.chunks_exact_mut(row / 2).zip(x.chunks_exact(2 * row)) {
        maxima(compute::isa(), channels, x, y);
    }
}

/// The gradient of the input, given that of the output; it goes to the first of equal maxima. `dx` is resized.
pub fn backward(
    (images, height, width): (usize, usize, usize),
    channels: usize,
    x: &[f32],
    dy: &[f32],
    dx: &mut Vec<f32>,
) {
    assert_eq!((x.len(), dy.len() * 4), (images * height * width * channels, x.len()), "values to pool");
    dx.resize(x.len(), 0.0);
    let row = width * channels;
    for ((dy, x), dx) in dy.chunks_exact(row / 2).zip(x.chunks_exact(2 * row)).zip(dx.chunks_exact_mut(2 * row)) {
        to_maxima(compute::isa(), channels, x, dy, dx);
    }
}

compute::simd_fn! {
    fn maxima(isa: Isa, channels: usize, x: &[f32], y: &mut [f32]) {
        let (upper, lower) = x.split_at(x.len() / 2);
        let rows = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
        for ((upper, lower), y) in rows.zip(y.chunks_exact_mut(channels)) {
            let ((a, b), (c, d)) = (upper.split_at(channels), lower.split_at(channels));
            for i in 0..channels {
                y[i] = a[i].max(b[i]).max(c[i].max(d[i]));
            }
        }
    }
}

compute::simd_fn! {
    fn to_maxima(isa: Isa, channels: usize, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        let half = x.len() / 2;
        let (upper, lower) = x.split_at(half);
        let (d_upper, d_lower) = dx.split_at_mut(half);
        let rows = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
        let d_rows = d_upper.chunks_exact_mut(2 * channels).zip(d_lower.chunks_exact_mut(2 * channels));
        for (((upper, lower), (d_upper, d_lower)), dy) in rows.zip(d_rows).zip(dy.chunks_exact(channels)) {
            let ((a, b), (c, d)) = (upper.split_at(channels), lower.split_at(channels));
            let ((da, db), (dc, dd)) = (d_upper.split_at_mut(channels), d_lower.split_at_mut(channels));
            for i in 0..channels {
                let most = a[i].max(b[i]).max(c[i].max(d[i]));
                let mut left = dy[i];
                let mut give = |value: f32| {
                    let given = if value == most { left } else { 0.0 };
                    left = if value == most { 0.0 } else { left };
                    given
                };
                da[i] = give(a[i]);
                db[i] = give(b[i]);
                dc[i] = give(c[i]);
                dd[i] = give(d[i]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn maxima_and_their_gradients() {
        // Two channels, two rows of four pixels.
        let x = [1., 8., 2., 7., 3., 6., 4., 5., 9., 0., 2., 7., 3., 6., 4., 9.];
        let (mut y, mut dx) = (Vec::new(), vec![7.0; 3]);
        super::forward((1, 2, 4), 2, &x, &mut y);
        assert_eq!(y, [9., 8., 4., 9.]);
        super::backward((1, 2, 4), 2, &x, &[1., 2., 3., 4.], &mut dx);
        assert_eq!(dx, [0., 2., 0., 0., 0., 0., 3., 0., 1., 0., 0., 0., 0., 0., 0., 4.]);
    }
}
