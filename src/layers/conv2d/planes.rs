//! The padded, row-interleaved image that turns a convolution into matrix products without copying patches.
//!
//! With channels last, the taps of one kernel row over one pixel are `kernel * channels` consecutive values, so the
//! patches of all pixels form a matrix whose rows overlap: row stride `stride * channels`. Rows of the padded image
//! whose index is equal modulo the stride lie together in one plane, and a plane row holds a multiple of `stride`
//! pixels; then one such matrix runs over all output rows, at the price of a few unused columns at row ends.

/// Sizes of one convolution over one image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub kernel: usize,
    pub stride: usize,
    pub pad: usize,
    pub out_height: usize,
    pub out_width: usize,
    /// Output columns including the unused ones: `ceil(padded width / stride)`.
    pub cols: usize,
    /// Rows of every plane: `ceil(padded height / stride)`.
    pub rows: usize,
}

impl Geometry {
    pub fn new(height: usize, width: usize, channels: usize, kernel: usize, stride: usize, pad: usize) -> Self {
        let (padded_height, padded_width) = (height + 2 * pad, width + 2 * pad);
        assert!(
            padded_height >= kernel && padded_width >= kernel && height > pad && width > pad,
            "convolution of {kernel}x{kernel} with reflect padding {pad} over {height}x{width}"
        );
        Self {
            height,
            width,
            channels,
            kernel,
            stride,
            pad,
            out_height: (padded_height - kernel) / stride + 1,
            out_width: (padded_width - kernel) / stride + 1,
            cols: padded_width.div_ceil(stride),
            rows: padded_height.div_ceil(stride),
        }
    }

    /// Values in a plane row.
    pub fn row_len(&self) -> usize {
        self.cols * self.stride * self.channels
    }

    /// Values in a plane.
    pub fn plane_len(&self) -> usize {
        self.rows * self.row_len()
    }

    /// Planes that some kernel row reads.
    pub fn planes(&self) -> usize {
        self.stride.min(self.kernel)
    }

    /// Whether the image itself already has the layout of the planes.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.pad == 0
    }

    /// How far, in plane rows and columns, the last tap of a kernel lies from the first.
    pub fn reach(&self) -> usize {
        (self.kernel - 1) / self.stride
    }

    /// Number of taps of a kernel row that read column phase `phase`.
    pub fn taps(&self, phase: usize) -> usize {
        (self.kernel.saturating_sub(phase)).div_ceil(self.stride)
    }

    fn reflect(index: isize, len: usize) -> usize {
        let last = len as isize - 1;
        (if index < 0 {
            -index
        } else if index > last {
            2 * last - index
        } else {
            index
        }) as usize
    }

    /// Start of padded row `r` in the planes; none if no kernel row reads it.
    fn row_start(&self, r: usize) -> Option<usize> {
        (r % self.stride < self.kernel)
            .then(|| (r % self.stride) * self.plane_len() + (r / self.stride) * self.row_len())
    }

    /// Writes the planes of `image` (`[height, width, channels]`), reflected at the borders.
    pub fn gather(&self, image: &[f32], planes: &mut Vec<f32>) {
        let (c, pad, w) = (self.channels, self.pad, self.width);
        planes.resize(self.planes() * self.plane_len(), 0.0);
        for r in 0..self.rows * self.stride {
            let Some(start) = self.row_start(r) else { continue };
            let row = &mut planes[start..start + self.row_len()];
            if r >= self.height + 2 * pad {
                row.fill(0.0);
                continue;
            }
            let source = Self::reflect(r as isize - pad as isize, self.height) * w * c;
            row[pad * c..(pad + w) * c].copy_from_slice(&image[source..source + w * c]);
            for j in 0..pad {
                row.copy_within((2 * pad - j) * c..(2 * pad - j + 1) * c, j * c);
                row.copy_within((pad + w - 2 - j) * c..(pad + w - 1 - j) * c, (pad + w + j) * c);
            }
            // Unused columns read these; whatever an earlier image left could be NaN and would not vanish times zero.
            row[(w + 2 * pad) * c..].fill(0.0);
        }
    }

    /// The transpose of [`Geometry::gather`]: adds up, for every pixel, the gradients of its copies.
    pub fn fold(&self, planes: &[f32], image: &mut [f32]) {
        let (c, pad, w) = (self.channels, self.pad, self.width);
        let mut add_row = |r: usize, assign: bool| {
            let target = Self::reflect(r as isize - pad as isize, self.height) * w * c;
            let target = &mut image[target..target + w * c];
            let Some(start) = self.row_start(r) else {
                if assign {
                    target.fill(0.0);
                }
                return;
            };
            let row = &planes[start..start + self.row_len()];
            if assign {
                target.copy_from_slice(&row[pad * c..(pad + w) * c]);
            } else {
                add(target, &row[pad * c..(pad + w) * c]);
            }
            for j in 0..pad {
                add(&mut target[(pad - j) * c..(pad - j + 1) * c], &row[j * c..(j + 1) * c]);
                let right = (pad + w + j) * c;
                add(&mut target[(w - 2 - j) * c..(w - 1 - j) * c], &row[right..right + c]);
            }
        };
        (pad..pad + self.height).for_each(|r| add_row(r, true));
        (0..pad).chain(pad + self.height..self.height + 2 * pad).for_each(|r| add_row(r, false));
    }
}

/// `target += source`.
fn add(target: &mut [f32], source: &[f32]) {
    target.iter_mut().zip(source).for_each(|(t, s)| *t += s);
}
